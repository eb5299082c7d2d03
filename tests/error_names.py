"""The names of errors and alerts, read out of the code: what can stand in `code` where one is made."""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rekindle.settings import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

ROOMS = ("dags", "spark_jobs", "ml", "rekindle", "serving")
PASSED_ON = "code"
"""`error.code` and `told["code"]` pass on the name of an error that was made elsewhere."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


class UnreadableNameError(Exception):
    """A name that is not told by the code."""


@dataclass(frozen=True)
class Place:
    """An expression, the function that it stands in, and its module."""

    node: ast.expr
    within: Function | None
    module: str


@dataclass
class Code:
    """What is defined, assigned and called in some modules, by name."""

    functions: dict[str, list[tuple[Function, str]]] = field(default_factory=lambda: defaultdict(list))
    constants: dict[str, list[Place]] = field(default_factory=lambda: defaultdict(list))
    calls: dict[str, list[Place]] = field(default_factory=lambda: defaultdict(list))
    initialisers: dict[str, list[Function]] = field(default_factory=lambda: defaultdict(list))
    told: list[Place] = field(default_factory=list)


def error_names() -> dict[str, set[str]]:
    """Each name of an error or alert, with the modules that make it."""
    paths = sorted(path for room in ROOMS for path in (PROJECT / room).rglob("*.py"))
    return names_in({str(path.relative_to(PROJECT)): path.read_text(encoding="utf-8") for path in paths})


def names_in(modules: dict[str, str]) -> dict[str, set[str]]:
    """Names in the texts of some modules. Raises UnreadableNameError for one that only running the code would tell."""
    code = Code()
    for module, text in modules.items():
        _note(code, ast.parse(text), module, None)
    found = defaultdict(set)
    for place in code.told:
        for name, module in _texts(code, place, ()):
            found[name].add(module)
    return dict(found)


def _note(code: Code, node: ast.AST, module: str, within: Function | None) -> None:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                code.functions[child.name].append((child, module))
                if isinstance(node, ast.ClassDef) and child.name == "__init__":
                    code.initialisers[node.name].append(child)
            case ast.Assign(targets=[ast.Name(id=name)]) if within is None:
                code.constants[name].append(Place(child.value, None, module))
            case ast.Call():
                code.calls[_name(child.func)].append(Place(child, within, module))
                given = {keyword.arg: keyword.value for keyword in child.keywords}
                code.told += [Place(given["code"], within, module)] if {"todo", "code"} <= given.keys() else []
            case ast.Dict():
                held = {ast.unparse(key): value for key, value in zip(child.keys, child.values, strict=True) if key}
                told = held.get("'code'") if "'todo'" in held else None
                code.told += [Place(told, within, module)] if told else []
        _note(code, child, module, child if isinstance(child, Function) else within)


def _texts(code: Code, place: Place, asked: Sequence[ast.expr]) -> Iterator[tuple[str, str]]:
    """Texts that an expression can be, with the module in which each is written."""
    node = place.node
    if node in asked:
        return
    for inner in _made_of(code, place):
        if isinstance(inner.node, ast.Constant):
            if isinstance(inner.node.value, str):
                yield inner.node.value, inner.module
        else:
            yield from _texts(code, inner, [*asked, node])


def _made_of(code: Code, place: Place) -> Iterable[Place]:
    """What an expression takes its value from."""

    def here(*nodes: ast.expr) -> list[Place]:
        return [Place(node, place.within, place.module) for node in nodes]

    match place.node:
        case ast.Constant():
            return [place]
        case ast.IfExp(body=one, orelse=other):
            return here(one, other)
        case ast.BoolOp(values=values):
            return here(*values)
        case node if _is_passed_on(node):
            return []
        case ast.Name(id=name):
            found = _of_name(code, place, name)
        case ast.Attribute(value=ast.Name(id=error), attr=attr):
            makers = [
                (kind, init)
                for kind in _caught(place, error)
                for init in code.initialisers[kind]
                if attr in _parameters(init)
            ]
            found = [one for kind, init in makers for one in _arguments(code.calls[kind], init, attr, skip_self=True)]
        case ast.Call(func=func):
            found = _answers(code, place, _name(func))
        case _:
            found = []
    if not found:
        raise UnreadableNameError(f"{place.module}, line {place.node.lineno}: {ast.unparse(place.node)}")
    return found


def _is_passed_on(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(attr=key) | ast.Subscript(slice=ast.Constant(value=key)):
            return key == PASSED_ON
    return False


def _of_name(code: Code, place: Place, name: str) -> list[Place]:
    """Where a name gets its value: from who calls the function, within it, or from a constant."""
    if place.within is None:
        return code.constants[name]
    if name in _parameters(place.within):
        return _arguments(_calls(code, place), place.within, name)
    assigned = [
        Place(node.value, place.within, place.module)
        for node in ast.walk(place.within)
        if (isinstance(node, ast.NamedExpr) and node.target.id == name)
        or (isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name])
    ]
    return assigned or code.constants[name]


def _answers(code: Code, place: Place, name: str) -> list[Place]:
    """What a function returns: of several of the name the one of the same module, if there is one."""
    named = code.functions[name]
    near = [one for one in named if one[1] == place.module]
    return [
        Place(node.value, function, module)
        for function, module in near or named
        for node in ast.walk(function)
        if isinstance(node, ast.Return) and node.value
    ]


def _calls(code: Code, place: Place) -> list[Place]:
    """Calls of the function that an expression stands in: of a private one in its own module."""
    assert place.within is not None
    name = place.within.name
    return [call for call in code.calls[name] if not name.startswith("_") or call.module == place.module]


def _caught(place: Place, error: str) -> list[str]:
    """Kinds of what a function catches under a name."""
    handlers = [one for one in ast.walk(place.within or ast.Module()) if isinstance(one, ast.ExceptHandler)]
    return [_name(one.type) for one in handlers if one.name == error and one.type]


def _parameters(function: Function) -> list[str]:
    return [one.arg for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]


def _arguments(calls: Iterable[Place], function: Function, name: str, *, skip_self: bool = False) -> list[Place]:
    """What some calls of a function give for one of its parameters."""
    at = _parameters(function).index(name) - skip_self
    return [
        Place(given, call.within, call.module)
        for call in calls
        for given in _given(call.node, name, at)  # type: ignore[arg-type]
    ]


def _given(call: ast.Call, name: str, at: int) -> list[ast.expr]:
    in_turn = [
        part
        for one in call.args
        for part in (one.value.elts if _is_spread(one) else [one])  # type: ignore[attr-defined]
    ]
    return [keyword.value for keyword in call.keywords if keyword.arg == name] or in_turn[at : at + 1]


def _is_spread(node: ast.expr) -> bool:
    return isinstance(node, ast.Starred) and isinstance(node.value, ast.Tuple)


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
