"""
A digest of all that a business' rows are made by: code, contracts, settings, its declaration and its data.

Without what is only said of it, comments and descriptions: to build a business takes minutes, and words change often.
"""

from __future__ import annotations

import ast
import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from rekindle.settings import PROJECT

if TYPE_CHECKING:
    from quality.businesses.declared import Business

MADE_BY = (
    *("contracts", "dbt_project/macros", "dbt_project/models", "dbt_project/dbt_project.yml", "conf/rekindle.yml"),
    *("conf/simulation.yml", "ml/inputs.py", "ml/model/protected.py", "ml/products", "ml/training/samples.py"),
    *("rekindle/landing", "rekindle/settings.py", "rekindle/warehouse", "spark_jobs"),
)

DESCRIPTIONS = {"is", "description"}


def digest_of(business: Business) -> str:
    sha = hashlib.sha256(json.dumps(business.made_of, sort_keys=True, default=str).encode())
    sha.update(code_of(MADE_BY).encode())
    if business.data and business.data.exists():
        sha.update(business.data.read_bytes())
    return sha.hexdigest()[:16]


@cache
def code_of(names: tuple[str, ...]) -> str:
    """Return all code under some files and folders of the project, without what is only said of it."""
    roots = [PROJECT / name for name in names]
    files = [path for root in roots for path in ([root] if root.is_file() else root.rglob("*")) if path.suffix in BARE]
    return "\n".join(BARE[path.suffix](path.read_text(encoding="utf-8")) for path in sorted(files))


def python(text: str) -> str:
    """Return a program without comments and docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [statement for statement in node.body if not _is_text(statement)]
    return ast.dump(tree)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def sql(text: str) -> str:
    """Return a query without lines that are comments."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))


def yml(text: str) -> str:
    """Return what is declared without comments and descriptions."""
    return json.dumps(_bare(yaml.safe_load(text)), default=str)


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _bare(one) for key, one in value.items() if key not in DESCRIPTIONS}
    return [_bare(one) for one in value] if isinstance(value, list) else value


BARE = {".py": python, ".sql": sql, ".yml": yml}
