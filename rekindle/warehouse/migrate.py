"""
Migrating the warehouse: tables and marts become what contracts and ymls declare. Nothing is ever dropped or retyped.

A schema is shared by all branches of a table, so it is altered here and never in a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rekindle.warehouse import contracts, dbt, lineage, shadow
from rekindle.warehouse.marts import locked
from rekindle.warehouse.personal import columns_of
from rekindle.warehouse.tables import CATALOG

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NAMESPACES = ("staging", "marts")


def migrate(spark: SparkSession) -> None:
    """Create the tables and marts that are not there yet, empty; add columns that a declaration has gained."""
    create_tables(spark)
    create_marts(spark)
    for table in lineage.graph().order:
        _set_properties(spark, table)


def create_tables(spark: SparkSession) -> None:
    """Create all tables that have a contract, and add columns that a contract has gained."""
    for name in sorted({table.split(".")[0] for table in contracts.tables()}):
        spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {CATALOG}.{name}")
    for table in contracts.tables():
        contract = contracts.load(table)
        spark.sql(contract.create_table())
        present = set(spark.table(table).columns)
        for column in contract.columns:
            if column.name not in present:
                about = contracts.quoted(column.description)
                spark.sql(f"ALTER TABLE {table} ADD COLUMN `{column.name}` {column.spark_type} COMMENT {about}")


def create_marts(spark: SparkSession) -> None:
    """
    Create the staging views, and the marts that are not there yet, empty; add columns that a mart's yml has gained.

    For a migration: a run cannot, because on a branch `CREATE OR REPLACE TABLE AS` leaves main without a snapshot, and a
    schema is shared by all branches. Without days dbt builds one before any delivery, so what it creates has no rows.
    """
    for namespace in NAMESPACES:
        spark.sql(f"CREATE NAMESPACE IF NOT EXISTS {CATALOG}.{namespace}")
    marts = lineage.graph().marts()
    with locked(marts):
        absent = [mart for mart in marts if not spark.catalog.tableExists(f"{CATALOG}.{mart}")]
        models = ("staging", *(mart.split(".")[1] for mart in absent))
        # The staging views are made here and nowhere else, of what the business has decided.
        dbt.refuse_failed(dbt.invoke("create_marts", "run", "--select", *models, variables=dbt.decided()))
        for mart in set(marts) - set(absent):
            _add_columns(spark, mart)


def _set_properties(spark: SparkSession, table: str) -> None:
    """
    Let manifests hold no smallest and largest value of personal columns, and a session read a branch without naming it.

    Of files that are there, upkeep sees to the former. The latter is how dbt reads what its run has built, and a shadow's all
    (rekindle.warehouse.shadow).
    """
    name = f"{CATALOG}.{table}"
    there = {row["key"]: row["value"] for row in spark.sql(f"SHOW TBLPROPERTIES {name}").collect()}
    wanted = dict([shadow.BRANCHES]) | contracts.without_statistics(columns_of(table, spark.table(name).columns))
    if missing := {key: value for key, value in wanted.items() if there.get(key) != value}:
        told = ", ".join(f"{contracts.quoted(key)} = {contracts.quoted(value)}" for key, value in missing.items())
        spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ({told})")


def _add_columns(spark: SparkSession, mart: str) -> None:
    present = set(spark.table(mart).columns)
    for name, column in dbt.columns(mart).items():
        if name not in present:
            about = contracts.quoted(column["description"])
            spark.sql(f"ALTER TABLE {CATALOG}.{mart} ADD COLUMN `{name}` {column['data_type']} COMMENT {about}")
