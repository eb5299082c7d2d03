"""Rules of the house: who may import whom, and what a job never does. Each message says what to do instead."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from rekindle.settings import PROJECT

ROOMS = ("dags", "spark_jobs", "ml", "rekindle")
MAY_IMPORT = {
    "dags": {"rekindle", "ml.products", "steps"},
    "spark_jobs": {"rekindle", "ml"},
    "ml": {"rekindle"},
    "rekindle": set(),
}
"""Beside itself. The command line (rekindle/cli) is the one part of rekindle that imports the others."""

STANDARD_LIBRARY_ONLY = "ml/products/"
HEAVY = ("pandas", "pyspark", "mlflow", "great_expectations", "lightgbm", "sklearn", "pyarrow", "dbt")
CLOCKS = {"now", "today", "utcnow", "current_timestamp", "current_date", "localtimestamp", "curdate"}
SHOWN = {"print", "show", "toPandas"}
MODULES = sorted(str(path.relative_to(PROJECT)) for room in ROOMS for path in (PROJECT / room).rglob("*.py"))


def tree_of(module: str) -> ast.Module:
    return ast.parse((PROJECT / module).read_text(encoding="utf-8"))


def imports(nodes: list[ast.stmt] | ast.Module) -> list[str]:
    """Full names of what is imported, `from ml import products` as ml.products."""
    names = []
    for node in ast.walk(nodes) if isinstance(nodes, ast.Module) else nodes:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def calls(module: str) -> set[str]:
    """Names of functions and methods that are called."""
    functions = [node.func for node in ast.walk(tree_of(module)) if isinstance(node, ast.Call)]
    return {
        f.attr if isinstance(f, ast.Attribute) else f.id for f in functions if isinstance(f, ast.Attribute | ast.Name)
    }


def is_in(name: str, wanted: str) -> bool:
    return name == wanted or name.startswith(f"{wanted}.")


def test_all_rooms_are_looked_at():
    assert {Path(module).parts[0] for module in MODULES} == set(ROOMS)
    assert len(MODULES) > 30


@pytest.mark.parametrize("module", [m for m in MODULES if not m.startswith("rekindle/cli/")])
def test_imports_point_one_way(module: str):
    room = Path(module).parts[0]
    allowed = MAY_IMPORT[room] | {room}
    ours = [name for name in imports(tree_of(module)) if name.split(".")[0] in {*ROOMS, "steps", "tests"}]
    wrong = [name for name in ours if not any(is_in(name, one) for one in allowed)]

    assert not wrong, (
        f"{module} imports {', '.join(wrong)}: move what both need to rekindle/, or pass it as an argument."
    )


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith(STANDARD_LIBRARY_ONLY)])
def test_products_need_the_standard_library_only(module: str):
    """DAG files import them, and must import within a second."""
    import sys

    own = STANDARD_LIBRARY_ONLY.strip("/").replace("/", ".")
    others = {name.split(".")[0] for name in imports(tree_of(module)) if not is_in(name, own)}
    others -= set(sys.stdlib_module_names)

    assert not others, f"{module} imports {others}: keep what needs them beside what uses it."


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("dags/")])
def test_dag_files_import_nothing_heavy_at_the_top(module: str):
    heavy = [name for name in imports(tree_of(module).body) if name.split(".")[0] in HEAVY]

    assert not heavy, f"{module} imports {', '.join(heavy)} at its top: import it within the task."


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith(("spark_jobs/", "ml/", "dags/"))])
def test_jobs_read_no_clock(module: str):
    clocks = calls(module) & CLOCKS

    assert not clocks, f"{module} calls {', '.join(clocks)}: a job's only clock is the day it is given."


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


def test_no_test_is_marked_by_hand_as_one_that_needs_a_server():
    """`make unit` would then run what starts one, or leave out what does not."""
    by_hand = "mark." + "platform"
    marked = [str(path) for path in (PROJECT / "tests").rglob("*.py") if by_hand in path.read_text(encoding="utf-8")]

    assert not marked, f"{marked} use {by_hand}: a fixture that starts a server asks for the fixture `server`."
