"""
The graph of tables, as whoever writes a table declares it: what it reads, and how far back.

Contracts say it of tables that Spark and ML write (`reads`, `self`, `days`), dbt's models of theirs under `meta` in their own
yml. Build order, what a run builds, staleness, what a backfill has to make and what the DAG page shows follow from these
declarations alone; nothing else lists tables.
"""

from __future__ import annotations

import ast
import operator
from dataclasses import dataclass, field
from datetime import date, timedelta
from fnmatch import fnmatchcase
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any, Literal

from rekindle import yml
from rekindle.errors import CheckFailedError, InputError
from rekindle.settings import PROJECT, settings
from rekindle.warehouse import contracts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from rekindle.warehouse.contracts import Contract

    Window = tuple[date, date]
    """The first and the last day of an input."""
    Labels = Sequence[Mapping[str, Any]]
    """The label windows that score products train on: [{name, kind, from_day, to_day}]."""

MODELS = PROJECT / "dbt_project" / "models"
"""Where dbt's models are; those in `marts/` write tables, the others are views."""

Kind = Literal["ingest", "build", "marts", "score", "recommend"]


@dataclass(frozen=True)
class Reach:
    """
    How far back a day of a table reads an input, as it is declared.

    `day` is the same day, `always` every day up to it, `28 days` the 28 days before it and the day itself, `10 days before` only
    the tenth day before. The number may be an expression of settings and, with from_day and to_day, of the label windows: the
    reach is then that of all labels together, and nothing where there is none.
    """

    text: str

    def window(self, day: date, labels: Labels = ()) -> Window | None:
        """The days of the input that `day` reads."""
        if self.text == "day":
            return day, day
        if self.text == "always":
            return date.min, day
        expression, only_that_day = self._expression()
        names = {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
        values = list(labels) if names & {"from_day", "to_day"} else [{}]
        if not values:
            return None
        back = [_evaluate(expression.body, of_label) for of_label in values]
        return day - timedelta(max(back)), day - timedelta(min(back)) if only_that_day else day

    def _expression(self) -> tuple[ast.Expression, bool]:
        for ending, only_that_day in ((" days before", True), (" days", False)):
            if self.text.endswith(ending):
                try:
                    return ast.parse(self.text.removesuffix(ending), mode="eval"), only_that_day
                except SyntaxError:
                    break
        raise InputError(
            f"{self.text!r} does not say how far back a table reads.",
            todo="Write `day`, `always`, `28 days` or `10 days before`.",
        )


OPERATORS: Mapping[type[ast.operator], Callable[[int, int], int]] = {ast.Add: operator.add, ast.Sub: operator.sub}
FUNCTIONS: Mapping[str, Callable[..., int]] = {"max": max, "min": min}


def _evaluate(node: ast.expr, label: Mapping[str, Any]) -> int:
    """A number of days: whole numbers, settings, a label's window, sums, differences, min and max; nothing else."""
    match node:
        case ast.Constant(value=int() as number):
            return number
        case ast.Name(id=name) if name in label:
            return int(label[name])
        case ast.Name(id=name) if isinstance(setting := getattr(settings(), name, None), int):
            return setting
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](_evaluate(left, label), _evaluate(right, label))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            return FUNCTIONS[name](*(_evaluate(argument, label) for argument in arguments))
    raise InputError(
        f"A table cannot reach back {ast.unparse(node)} days.",
        todo="Use whole numbers, settings that are whole numbers, from_day and to_day of labels, + - min max.",
    )


@dataclass(frozen=True)
class Table:
    """What is declared of a table: who writes it, what its days are built from, and which days are wanted of it."""

    name: str
    kind: Kind
    reads: Mapping[str, Reach]
    days: Literal["every", "weekly", "served"] = "every"
    """Which days of a history are wanted: every one; the weekly that samples are taken from, and the latest; or none, because it
    is of use on days alone that a daily run publishes."""
    own: Reach | None = None
    """How far back it reads itself: walked by day, and no edge of the graph."""
    group: str | None = None
    """Of a mart: those that are built, tested, locked and released together."""
    any_of: frozenset[str] = frozenset()
    """Of what it reads: those that `scores.*` stands for, of which a day reads the ones that it is told of."""
    recorded: str | None = None
    """Of a mart of few rows: the table in Postgres that keeps its rows too, for pages."""
    tolerates: frozenset[str] = frozenset()
    """Of what it reads: what of which the last known state will do, where the day's could not be loaded."""
    keep: str | None = None
    """The setting that says for how many days its rows are kept; None where they stay."""
    always_built: bool = False
    """Whether what it is made of has more than fingerprints say: it is never found to be built."""
    is_optional: bool = False
    """A landing source that need not deliver."""
    is_state: bool = False
    """What landed last of a key is what is known of it: kept, however old it is."""
    is_by_product: bool = False
    """What ingestion writes beside a source's table: it is as new as what has landed, and nobody records its builds."""


@dataclass(frozen=True)
class Step:
    """What one task of a run does: it writes these tables, after these other steps."""

    kind: Kind
    name: str
    """The source, the table, the group of marts, the score product, or what is learnt of all recommendations."""
    tables: tuple[str, ...]
    after: tuple[str, ...] = field(default=(), compare=False)
    """The steps whose tables it reads, by `id`; those that another of them comes after are left out."""
    tolerates: tuple[str, ...] = field(default=(), compare=False)
    """Of these, the ones that it comes after whether they succeed or not."""

    @property
    def id(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Graph:
    """All tables, each after what it reads."""

    tables: Mapping[str, Table]

    @classmethod
    def of(cls, tables: Iterable[Table]) -> Graph:
        """Put tables in order. Raises InputError where one reads what nobody writes, or they read each other in a circle."""
        named = {table.name: table for table in tables}
        for table in named.values():
            if unknown := sorted(set(table.reads) - set(named)):
                raise InputError(
                    f"{table.name} reads {', '.join(unknown)}, which no contract and no mart describes.",
                    todo="Name tables as <schema>.<table>, or write the contract.",
                )
        order = _sorted({name: set(table.reads) for name, table in named.items()})
        return cls({name: named[name] for name in order})

    @property
    def order(self) -> tuple[str, ...]:
        """Names of all tables, each after those that it reads."""
        return tuple(self.tables)

    def written_by(self, kind: Kind) -> tuple[str, ...]:
        """Names of the tables that a kind of step writes, in build order; by-products are left out."""
        return tuple(t.name for t in self.tables.values() if t.kind == kind and not t.is_by_product)

    def marts(self, group: str | None = None) -> tuple[str, ...]:
        """Names of the marts, or of those of a group, in build order."""
        return tuple(n for n in self.written_by("marts") if group is None or self.tables[n].group == group)

    def windows(self, table: str, day: date, labels: Labels = (), outcomes: Labels = ()) -> dict[str, Window]:
        """
        The days of each input that a day of a table is built from, as declared.

        Of tables that stand for a whole schema, those that `outcomes` name by their `table`, as far back as these say.
        """
        declared = self.tables[table]
        found = {
            name: reach.window(day, [o for o in outcomes if o["table"] == name] if name in declared.any_of else labels)
            for name, reach in declared.reads.items()
        }
        return {name: window for name, window in found.items() if window is not None}

    def refuse_undeclared(self, table: str, day: date, inputs: Mapping[str, Window], labels: Labels = ()) -> None:
        """Refuse to record that a day was built from more than its table declares: staleness would look elsewhere."""
        declared = self.windows(table, day, labels)
        if own := self.tables[table].own:
            declared[table] = own.window(day, labels) or (day, day)
        for name, (first, last) in inputs.items():
            if name not in declared or first < declared[name][0] or last > declared[name][1]:
                said = "it declares nothing of it" if name not in declared else _days(declared[name])
                raise CheckFailedError(
                    f"{table} of {day} reads {name} of {_days((first, last))}, but {said}.",
                    todo=f"Say in the declaration of {table} what it reads, and how far back.",
                    safe="Nothing was released.",
                    code="undeclared_input",
                )

    def steps(self, scored: Mapping[str, str]) -> tuple[Step, ...]:
        """
        What a run does, in order: each step after those whose tables it reads.

        `scored` names what writes each table that a model makes: of scores, of recommendations (`ml.products.makers`). Such a
        table without one is not made, nor is what reads it. Raises InputError where two steps would wait for each other.
        """
        makers: dict[str, set[str]] = {}
        steps: dict[str, list[str]] = {}
        for table in self.tables.values():
            name = self._step_name(table, scored)
            if name is None or any(not makers.get(read) for read in table.reads):
                makers[table.name] = set()
            elif table.is_by_product:
                makers[table.name] = set().union(*(makers[read] for read in table.reads))
            else:
                makers[table.name] = {f"{table.kind} {name}"}
                steps.setdefault(f"{table.kind} {name}", []).append(table.name)
        before = {
            step: {m for table in tables for read in self.tables[table].reads for m in makers[read]} - {step}
            for step, tables in steps.items()
        }
        order = _sorted(before)
        # Who goes on where an earlier step has failed says nothing to those after it of whether that was done.
        sure = {s: {b for b in found if not self._is_tolerated(steps[s], steps[b])} for s, found in before.items()}
        reachable: dict[str, set[str]] = {}
        for step in order:
            reachable[step] = set(sure[step]).union(*(reachable[earlier] for earlier in sure[step]))
        direct = {
            step: {b for b in found if not any(b in reachable[other] for other in sure[step])}
            for step, found in before.items()
        }
        kinds = {step: self.tables[tables[0]].kind for step, tables in steps.items()}
        return tuple(
            Step(
                kinds[s],
                s.removeprefix(f"{kinds[s]} "),
                tuple(steps[s]),
                tuple(x for x in order if x in direct[s]),
                tuple(x for x in order if x in direct[s] and self._is_tolerated(steps[s], steps[x])),
            )
            for s in order
        )

    def _is_tolerated(self, tables: Sequence[str], earlier: Sequence[str]) -> bool:
        """
        Whether all of `tables` do with what they know of the `earlier` ones that they read.

        Who reads what ingestion writes beside sources, their deliveries, does without those of a source that need not deliver.
        """
        found = [self.tables[name] for name in tables]
        read = [(one, name) for one in found for name in one.reads if name in earlier]
        if not read:
            return all(self.tables[name].is_optional for name in earlier)
        return all(name in one.tolerates for one, name in read)

    def for_permission(self, steps: Iterable[Step]) -> frozenset[str]:
        """Which of the steps (in order) load the sources of permission or build on them: no score waits for one."""
        found: set[str] = set()
        for step in steps:
            is_source = step.kind == "ingest" and step.name in contracts.permission_sources()
            if is_source or found & (set(step.after) - set(step.tolerates)):
                found.add(step.id)
        return frozenset(found)

    def _step_name(self, table: Table, scored: Mapping[str, str]) -> str | None:
        match table.kind:
            case "ingest":
                return table.name.removeprefix("raw.")
            case "build":
                return table.name
            case "marts":
                return table.group
            case "score" | "recommend":
                return scored.get(table.name)


def graph() -> Graph:
    """The graph of the project's tables, read once per process."""
    return _graph(contracts.FOLDER, MODELS)


@cache
def _graph(contracts_folder: Path, models: Path) -> Graph:  # noqa: ARG001 - contracts.load reads the folder that is in force
    found = [contracts.load(name) for name in contracts.tables()]
    # What permission is made of comes by itself: no score waits for it, and none is stale because it came.
    landed = tuple(c.table for c in found if c.landing and c.landing.serves == "scores")
    return Graph.of([*(_of_contract(c, landed) for c in found), *_marts(models, [c.table for c in found])])


def _of_contract(contract: Contract, landed: Sequence[str]) -> Table:
    # What ingestion writes beside the sources' tables reads all that has `landed`.
    is_by_product = isinstance(contract.reads, str)
    reads = dict.fromkeys(landed, "day") if isinstance(contract.reads, str) else contract.reads
    return Table(
        contract.table,
        contract.built_by,
        {name: Reach(text) for name, text in reads.items()},
        contract.days,
        Reach(contract.own_reach) if contract.own_reach else None,
        keep=contract.keep,
        always_built=contract.always_built,
        is_optional=contract.landing is not None and contract.landing.required is False,
        is_state=contract.landing is not None and contract.landing.kind == "state",
        is_by_product=is_by_product,
    )


def _marts(models: Path, others: Sequence[str]) -> list[Table]:
    """The marts, from the yml beside each model. A group is the folder under `marts/`; `scores.*` is every one of `others`."""
    found = []
    for path in sorted((models / "marts").rglob("*.sql")):
        (described,) = yml.read(path.with_suffix(".yml"))["models"]
        meta = described.get("config", {}).get("meta", {})
        reads: dict[str, Reach] = {}
        any_of: set[str] = set()
        for name, text in meta.get("reads", {}).items():
            meant = [other for other in others if fnmatchcase(other, name)] if name.endswith(".*") else [name]
            reads |= dict.fromkeys(meant, Reach(str(text)))
            any_of |= set(meant) if name.endswith(".*") else set()
        own = Reach(meta["self"]) if "self" in meta else None
        days, recorded = meta.get("days", "every"), meta.get("recorded")
        found.append(
            Table(
                f"marts.{path.stem}",
                "marts",
                reads,
                days,
                own,
                path.parent.name,
                frozenset(any_of),
                recorded,
                tolerates=frozenset(meta.get("tolerates", ())),
                keep=meta.get("keep"),
            )
        )
    return found


def _sorted(before: Mapping[str, set[str]]) -> list[str]:
    """An order in which each comes after those before it; of those that may come next, the first by name."""
    sorter = TopologicalSorter(before)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " reads ".join(reversed(error.args[1]))
        raise InputError(f"Tables read each other in a circle: {circle}.", todo="Break the circle.") from error
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += ready
        sorter.done(*ready)
    return order


def _days(window: Window) -> str:
    first, last = window
    return f"all days to {last}" if first == date.min else f"{first} to {last}"
