"""Rules of the house: who may import whom, and what a job never does. Each message says what to do instead."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rekindle.settings import PROJECT
from tests.traps import trap

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOMS = ("dags", "spark_jobs", "ml", "rekindle", "serving")
MAY_IMPORT = {
    "dags": {"rekindle.workflow", "ml.products"},
    "spark_jobs": {"rekindle", "ml"},
    "ml": {"rekindle"},
    "rekindle": set(),
    "serving": {"rekindle", "ml.model", "ml.products"},
}
"""Beside itself."""

MAY_IMPORT_ALL = ("rekindle/cli/", "rekindle/workflow/")
"""Who puts the parts together: the command line, and the kinds of task."""

STANDARD_LIBRARY_ONLY = "ml/products/"
HEAVY = ("pandas", "pyspark", "mlflow", "great_expectations", "lightgbm", "sklearn", "pyarrow", "dbt")
CLOCKS = {"now", "today", "utcnow", "current_timestamp", "current_date", "localtimestamp", "curdate"}
SHOWN = {"print", "show", "toPandas"}
MODULES = sorted(str(path.relative_to(PROJECT)) for room in ROOMS for path in (PROJECT / room).rglob("*.py"))


def tree_of(module: str) -> ast.Module:
    return ast.parse((PROJECT / module).read_text(encoding="utf-8"))


IMPORTERS = {"import_module", "__import__", "import_string"}
UNREADABLE = "what nobody can read here"


def imports(module: str, tree: ast.Module | None = None, *, at_the_top: bool = False) -> list[str]:
    """
    Full names of what a module imports, also relatively, within functions, and by a text: of an f-string its beginning.

    `from ml import products` is ml.products. `at_the_top` leaves out what is imported when a function is called, or never.
    """
    names = []
    for node in _at_the_top(tree or tree_of(module)) if at_the_top else ast.walk(tree or tree_of(module)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{_origin(module, node)}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call):
            names += _imported_by_text(node)
    return names


def _at_the_top(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        is_for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if not is_for_types and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from _at_the_top(child)


def _origin(module: str, node: ast.ImportFrom) -> str:
    """What `from` names, in full: each further dot is a folder further up."""
    folders = Path(module).parts[:-1]
    above = folders[: len(folders) + 1 - node.level] if node.level else ()
    return ".".join([*above, *([node.module] if node.module else [])])


def _imported_by_text(call: ast.Call) -> list[str]:
    """`import_module("spark_jobs.ingest.raw")`, and `Thread(target=import_module, args=["spark_jobs.ingest.raw"])`."""
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    if _name(call.func) in IMPORTERS:
        return _texts(given[0])
    return [text for one in given if any(_name(part) in IMPORTERS for part in given) for text in _texts(one)]


def _texts(node: ast.expr) -> list[str]:
    match node:
        case ast.Constant(value=str() as text):
            return [text]
        case ast.JoinedStr(values=[ast.Constant(value=str() as beginning), *_]) if "." in beginning:
            return [beginning.rstrip(".")]
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return [text for part in parts for text in _texts(part)]
        case _ if _name(node) in IMPORTERS:
            return []
    return [UNREADABLE]


def _name(node: ast.expr) -> str | None:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None


def calls(module: str) -> set[str]:
    """Names of functions and methods that are called."""
    return {name for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call) and (name := _name(node.func))}


def is_in(name: str, wanted: str) -> bool:
    return name == wanted or name.startswith(f"{wanted}.")


def test_all_rooms_are_looked_at():
    assert {Path(module).parts[0] for module in MODULES} == set(ROOMS)
    assert len(MODULES) > 30
    assert len(SQL) > 20


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from ml import products", "ml.products"),
        ("def f():\n  import ml.training.samples", "ml.training.samples"),
        ("from . import tables", "rekindle.landing.tables"),
        ("from .. import tables", "rekindle.tables"),
        ("from ..tables import stale", "rekindle.tables.stale"),
        ('import_module("spark_jobs.ingest.raw").main()', "spark_jobs.ingest.raw"),
        ('importlib.import_module(f"spark_jobs.{table}")', "spark_jobs"),
        ('Thread(target=import_module, args=["ml.training.trainer"])', "ml.training.trainer"),
        ('pool.submit(import_module, "ml.training.trainer")', "ml.training.trainer"),
        ("import_module(name)", UNREADABLE),
        ('import_module(f"{room}.raw")', UNREADABLE),
    ],
)
def test_each_way_to_import_is_seen(code: str, found: str):
    assert imports("rekindle/landing/zone.py", ast.parse(code)) == [found]


@pytest.mark.parametrize("module", [m for m in MODULES if not m.startswith(MAY_IMPORT_ALL)])
def test_imports_point_one_way(module: str):
    room = Path(module).parts[0]
    allowed = MAY_IMPORT[room] | {room}
    watched = {*ROOMS, "steps", "tests", UNREADABLE}
    ours = [name for name in imports(module) if name.split(".")[0] in watched]
    wrong = [name for name in ours if not any(is_in(name, one) for one in allowed)]

    assert not wrong, (
        f"{module} imports {', '.join(wrong)}: move what both need to rekindle/, or pass it as an argument."
    )


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith(STANDARD_LIBRARY_ONLY)])
def test_products_need_the_standard_library_only(module: str):
    """DAG files import them, and must import within a second."""
    import sys

    own = STANDARD_LIBRARY_ONLY.strip("/").replace("/", ".")
    others = {name.split(".")[0] for name in imports(module) if not is_in(name, own)}
    others -= set(sys.stdlib_module_names)

    assert not others, f"{module} imports {others}: keep what needs them beside what uses it."


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("dags/")])
def test_dag_files_import_nothing_heavy_at_the_top(module: str):
    heavy = [name for name in imports(module, at_the_top=True) if name.split(".")[0] in HEAVY]

    assert not heavy, f"{module} imports {', '.join(heavy)} at its top: import it within the task."


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("spark_jobs/")])
def test_jobs_have_one_signature(module: str):
    """What a job is about beside its days is named by who calls it."""
    for main in (node for node in tree_of(module).body if isinstance(node, ast.FunctionDef) and node.name == "main"):
        taken = [argument.arg for argument in main.args.args]

        assert taken == ["spark", "days", "run_id"], f"{module}: main({', '.join(taken)}); pass others by keyword only."


@trap("labels joined with who is active by the clock of now")
@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith(("spark_jobs/", "ml/", "dags/"))])
def test_jobs_read_no_clock(module: str):
    clocks = calls(module) & CLOCKS

    assert not clocks, f"{module} calls {', '.join(clocks)}: a job's only clock is the day it is given."


SQL = sorted(
    str(path.relative_to(PROJECT)) for path in (PROJECT / "dbt_project").rglob("*.sql") if path.parts[-2] != "target"
)
SQL_CLOCK = re.compile(rf"\b({'|'.join(sorted(CLOCKS))}|localtime|sysdate|getdate)\b", re.IGNORECASE)
DISTINCT_SUM = re.compile(r"\bsum\s*\(\s*distinct\b|\bsum_?distinct\b", re.IGNORECASE)


def without_comments(sql: str) -> str:
    return re.sub(r"\{#.*?#\}|--[^\n]*", "", sql, flags=re.DOTALL)


@trap("labels joined with who is active by the clock of now")
@pytest.mark.parametrize("module", SQL)
def test_models_read_no_clock(module: str):
    clocks = SQL_CLOCK.findall(without_comments((PROJECT / module).read_text(encoding="utf-8")))

    assert not clocks, f"{module} uses {', '.join(clocks)}: a model's only clock are the days it is built for."


@trap("a sum over distinct amounts")
@pytest.mark.parametrize("module", [*MODULES, *SQL])
def test_nobody_adds_up_distinct_amounts(module: str):
    found = DISTINCT_SUM.findall((PROJECT / module).read_text(encoding="utf-8"))

    assert not found, (
        f"{module} has {found[0]}: two orders of one amount are two; take each row once by its key instead."
    )


@pytest.mark.parametrize(
    ("text", "clocks", "sums"),
    [
        ("select Current_Date() as day", ["Current_Date"], []),
        ("where day > now() - 7 -- now", ["now"], []),
        ("{# of today #} select nowhere, today_at", [], []),
        ("sum( DISTINCT amount)", [], ["sum( DISTINCT"]),
        ("F.sum_distinct(amount), F.sumDistinct(amount)", [], ["sum_distinct", "sumDistinct"]),
        ("sum(amount), count(distinct day)", [], []),
    ],
)
def test_each_such_clock_and_sum_is_seen(text: str, clocks: list[str], sums: list[str]):
    assert (SQL_CLOCK.findall(without_comments(text)), DISTINCT_SUM.findall(text)) == (clocks, sums)


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith(("spark_jobs/", "ml/", "dags/"))])
def test_jobs_show_nothing(module: str):
    shown = calls(module) & SHOWN

    assert not shown, f"{module} calls {', '.join(shown)}: return figures, or record them with rekindle.records."


@pytest.mark.parametrize("module", MODULES)
def test_nothing_asks_which_product_it_is(module: str):
    """A product is declared in a file of ml/products, not wired."""
    from ml.products import PRODUCTS

    names = {product.name for product in PRODUCTS}
    asked = [
        ast.unparse(node)
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.Compare)
        and any(isinstance(one, ast.Constant) and one.value in names for one in (node.left, *node.comparators))
    ]

    assert not asked, f"{module} asks {', '.join(asked)}: declare the difference as a field of Product."


SIMULATION = "rekindle/landing/filling/simulation/"
ASKS_FOR_THE_SIMULATION = "rekindle/cli/landing.py"
"""The command that writes it."""


def test_nobody_reads_the_truth_of_a_simulated_business():
    """A score that had seen it would be judged by itself. So no module, query, contract or setting knows of it at all."""
    ours = [path for room in (*ROOMS, "dbt_project", "contracts") for path in (PROJECT / room).rglob("*")]
    asking = {
        str(path.relative_to(PROJECT))
        for path in [*ours, PROJECT / "conf" / "rekindle.yml", PROJECT / "conf" / "spark-defaults.conf"]
        if path.suffix in {".py", ".sql", ".yml", ".conf", ".j2", ".html"}
        if re.search(r"\btruth\b|filling[./ ]+(import )?simulation", path.read_text(encoding="utf-8"), re.IGNORECASE)
    }
    knowing = {path for path in asking if path.startswith(SIMULATION)}

    assert len(knowing) > 3, "this test no longer finds the simulation"
    assert asking - knowing == {ASKS_FOR_THE_SIMULATION}, (
        f"{sorted(asking - knowing - {ASKS_FOR_THE_SIMULATION})} know of the simulation: only its command may, and tests."
    )


def test_no_test_is_marked_by_hand_as_one_that_needs_a_server():
    """`make unit` would then run what starts one, or leave out what does not."""
    by_hand = "mark." + "platform"
    marked = [str(path) for path in (PROJECT / "tests").rglob("*.py") if by_hand in path.read_text(encoding="utf-8")]

    assert not marked, f"{marked} use {by_hand}: a fixture that starts a server asks for the fixture `server`."
