"""
A training sample as files, for people who want to try a model of their own: `rows.parquet` and what its columns are.

The rows are what our learners are given, encoded by an encoder that was fitted on the same training rows, with the same
split. Users are under a pseudonym that is drawn anew each time and kept nowhere. One row is a member of the population on
a day that some part of the split uses.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ml.model.encoder import MAX_LEVELS, MIN_SHARE, MIN_USERS, Dense
from ml.objectives import OBJECTIVES
from ml.training import fitting
from rekindle.errors import InputError
from rekindle.settings import settings
from rekindle.warehouse import contracts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ml.model.encoder import Feature
    from ml.products import Product, Target
    from ml.training.samples import Sample, Split

ROWS = "rows.parquet"
COLUMNS = "columns.json"

CHUNK = 20_000
"""Rows that are encoded at once: a few hundred columns of them are some 50 MB."""

WEIGHT = "weight"

SPLIT = "split_{label}"
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Written:
    """What was written."""

    folder: Path
    row_count: int
    feature_count: int
    parts: Mapping[str, Mapping[str, int]]
    """Rows by label and part of the split."""


def write(product: Product, sample: Sample, split: Split, folder: Path) -> Written:
    """
    Write the sample into a folder: all of it, or nothing.

    Raises InputError `folder_not_empty` where the folder holds anything but what an earlier call wrote.
    """
    folder = folder.resolve()
    refuse_other_files(folder)
    sample = fitting.settled(product, sample, split)
    encoder = fitting.encoders_of(sample, split).of(Dense)
    drawn = sample.whole
    parts = {SPLIT.format(label=target.label): _parts(drawn, split, target) for target in sample.targets}
    counts = {
        target.label: {name: int((part == name).sum()) for name in PARTS}
        for target, part in zip(sample.targets, parts.values(), strict=True)
    }
    with _whole(folder) as unfinished:
        row_count = _write_rows(unfinished / ROWS, product, drawn, encoder, parts)
        dictionary = {
            **_about(product, sample, split),
            "rows": row_count,
            "rows_by_part": counts,
            "columns": [*_key_columns(product, sample), *_feature_columns(product, sample, encoder)],
        }
        (unfinished / COLUMNS).write_text(json.dumps(dictionary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return Written(folder, row_count, len(encoder.features), counts)


def refuse_other_files(folder: Path) -> None:
    """Refuse to write over anything that this module has not written."""
    if not folder.exists():
        return
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name}
    if there and there != {ROWS, COLUMNS}:
        raise InputError(
            f"{folder} holds something else than an earlier sample.",
            todo="Name a folder that is empty or not there yet.",
            code="folder_not_empty",
        )


def feature_names(features: Sequence[Feature]) -> list[str]:
    """
    Name the encoded columns, each once, in letters, digits and underscores: LightGBM takes no other in a name.

    `country__AT` is the flag of a level, `event_counts_28d__visit` the count of a key; the dictionary has both as they are.
    """
    names: list[str] = []
    for feature in features:
        parts = [feature.column, feature.key, feature.level if feature.level is not None else feature.rest]
        name = "__".join(re.sub(r"[^0-9A-Za-z]+", "_", part) for part in parts if part is not None)
        taken = sum(other == name or other.startswith(f"{name}__again_") for other in names)
        names.append(f"{name}__again_{taken}" if taken else name)
    return names


def _parts(sample: Sample, split: Split, target: Target) -> np.ndarray:
    """Name the part of the split that each row belongs to for a target; empty for those in a gap, or without a label."""
    days, known = sample.rows["day"], pc.is_valid(sample.rows[target.label]).to_numpy()
    all_known = np.logical_and.reduce([pc.is_valid(sample.rows[t.label]).to_numpy() for t in sample.targets])
    part = np.full(sample.rows.num_rows, "", dtype=object)
    unmessaged = sample.rows[sample.messaged].to_numpy() == 0 if sample.messaged else np.True_
    usable = {"train": known, "validation": known & unmessaged, "test": all_known & unmessaged}
    chosen = (split.train[target.label], split.validation[target.label], split.test)
    for name, its in zip(PARTS, chosen, strict=True):
        on_day = pc.is_in(days, value_set=pa.array(list(its), pa.date32())).to_numpy()
        part[on_day & usable[name]] = name
    return part


def _write_rows(path: Path, product: Product, sample: Sample, encoder: Dense, parts: Mapping[str, np.ndarray]) -> int:
    """Encode and write chunk by chunk the rows that some part uses, in an order that says nothing about the keys."""
    keys = {_pseudonym(name): _hashed(sample.rows[name]) for name in product.key}
    sorted_by = [("day", "ascending"), *((name, "ascending") for name in keys)]
    order = pc.sort_indices(pa.table({"day": sample.rows["day"], **keys}), sorted_by).to_numpy()
    order = order[np.logical_or.reduce([part != "" for part in parts.values()])[order]]
    labels, names = [target.label for target in sample.targets], feature_names(encoder.features)
    weights = {} if (weight := sample.weight(sample.rows)) is None else {WEIGHT: weight}
    types = {
        **dict.fromkeys(keys, pa.string()),
        "day": pa.date32(),
        **dict.fromkeys(labels, pa.float64()),
        **dict.fromkeys(weights, pa.float64()),
        **dict.fromkeys(parts, pa.string()),
        **dict.fromkeys(names, pa.float64()),
    }
    with pq.ParquetWriter(path, pa.schema(list(types.items())), compression="zstd") as writer:
        for start in range(0, len(order), CHUNK):
            at = order[start : start + CHUNK]
            rows = sample.rows.take(pa.array(at))
            matrix = encoder.encode(rows)
            columns = [
                *(key.take(pa.array(at)) for key in keys.values()),
                *(rows[name].cast(types[name]) for name in ("day", *labels)),
                *(pa.array(counts[at]) for counts in weights.values()),
                *(pa.array([name or None for name in part[at]], pa.string()) for part in parts.values()),
                # What is missing has no value here, rather than the NaN that the matrix holds.
                *(pa.array(column, from_pandas=True) for column in matrix.T),
            ]
            writer.write_table(pa.table(columns, schema=writer.schema))
    return len(order)


def _pseudonym(key: str) -> str:
    return f"{key.removesuffix('_id')}_key"


def _hashed(ids: pa.ChunkedArray) -> pa.Array:
    """Put a pseudonym for each id; the secret is forgotten, so nobody can try ids until one fits."""
    secret = secrets.token_bytes(32)
    coded = ids.combine_chunks().dictionary_encode()
    known = [
        None if one is None else hashlib.blake2b(one.encode(), key=secret, digest_size=16).hexdigest()
        for one in coded.dictionary.to_pylist()
    ]
    return pa.array(known, pa.string()).take(coded.indices)


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """Give a folder beside the wanted one to write into, and put it in its place when all is written."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        yield unfinished
        if folder.exists():
            # A folder is replaced by renaming only where it is empty.
            earlier = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            folder.replace(earlier)
            unfinished.replace(folder)
            shutil.rmtree(earlier)
        else:
            unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _about(product: Product, sample: Sample, split: Split) -> dict[str, Any]:
    return {
        "product": product.name,
        "objective": product.objective,
        "what": f"{product.title}: a row per {' and '.join(product.key)} and day, as our learners are given it.",
        "day": sample.day.isoformat(),
        "sample_digest": sample.digest,
        "snapshots": dict(sample.snapshots),
        "user_share": sample.user_share,
        "kept_out": list(sample.kept_out),
        "days": split.to_json(),
        "limits": _limits(sample),
    }


def _limits(sample: Sample) -> list[str]:
    """Say what these rows cannot tell, before somebody finds out by a figure that is too good."""
    their = "on days that are not drawn by what came of them" if sample.strata else "with all their days"
    drawn = f"{sample.user_share:.2%} of the users, drawn by a hash, {their}"
    told = f"""
    Days are weekly, and users are {"all" if sample.user_share == 1 else drawn}.
    The split is by time, with gaps of a label's whole reach that hold no rows.
    Fit on train, choose on validation; a test day that something was chosen by says nothing any more.
    A user has a row on many days: intervals must draw users, not rows.
    The encoder saw the training rows only; a column that is the same in all of them is left out.
    A level or key in less than {MIN_SHARE:.0%} of them, or beyond the {MAX_LEVELS} most frequent, is counted as other.
    So is one of fewer than {MIN_USERS} users.
    A feature is what was known at the end of the day; a label counts no delivery after its lateness allowance.
    These are personal data under a pseudonym: what somebody did can tell who they are.
    No erasure reaches a copy, so delete the folder when you are done.
    The secret behind the pseudonyms is kept nowhere; another sample has others.
    """
    limits = [line.strip() for line in told.strip().splitlines()]
    if sample.messaged:
        limits.append(
            f"Nobody knows {sample.messaged} when a user is scored: there it is 0, as of validation and test rows."
        )
    return [*limits, *sample.limits]


def _key_columns(product: Product, sample: Sample) -> list[dict[str, Any]]:
    """Describe what is no feature: keys, day, labels and the split."""
    keys = [
        _column(
            _pseudonym(name), "key", table=product.population, source=name, is_=f"Stands for the {name}, in this file only.",
            type_="string", encoded="keyed hash, its secret forgotten",
        )
        for name in product.key
    ]  # fmt: skip
    day = contracts.load(product.features[0]).column("day").description
    dates = _column("day", "day", table=product.population, source="day", is_=day, type_="date", encoded="as it is")
    unit = OBJECTIVES[product.objective].unit
    labels = [
        _column(
            target.label, "label", table="marts.labels", source=target.label, type_="double", encoded="as it is",
            unit=_unit(unit.format(kind=target.kind.replace("_", " "))),
            is_=f"The label kind {target.kind} on the days day + {target.from_day} to day + {target.to_day}; "
            f"dbt_project/macros/labels/{target.kind}.sql says what it counts. Missing where not known yet.",
        )
        for target in sample.targets
    ]  # fmt: skip
    splits = [
        _column(
            SPLIT.format(label=target.label), "split", is_=f"What a row is for where {target.label} is learnt: "
            "train, validation or test; missing where it is for none.", type_="string",
        )
        for target in sample.targets
    ]  # fmt: skip
    weights = [
        _column(
            WEIGHT, "weight", is_="How much the row counts where it is learnt from: train rows were drawn by what came of them, "
            "and each stands for as many as its weight says.", type_="double",
        )
    ] if sample.strata else []  # fmt: skip
    return [*keys, dates, *labels, *weights, *splits]


def _feature_columns(product: Product, sample: Sample, encoder: Dense) -> list[dict[str, Any]]:
    found = {c.name: (table, c) for table in product.features for c in contracts.load(table).columns}
    described = []
    for name, feature in zip(feature_names(encoder.features), encoder.features, strict=True):
        if feature.column == sample.messaged:
            described.append(
                _column(
                    name, "messages", table="marts.labels", source=feature.column, type_="double", encoded="as a double",
                    is_="1 of who was sent a message on the label's days, or would have been had they not come back, else 0.",
                )
            )  # fmt: skip
            continue
        table, column = found[feature.column]
        unit = None
        if feature.kind != "flag" and column.words and column.words.unit:
            unit = _unit(column.words.unit if isinstance(column.words.unit, str) else column.words.unit[1])
            unit = unit.replace("{key}", feature.key or "other")
        described.append(
            _column(
                name, "feature", table=table, source=feature.column, key=feature.key, level=feature.level,
                is_=column.description, type_="double", source_type=column.type, unit=unit, encoded=_encoded(feature),
            )
        )  # fmt: skip
    return described


def _column(name: str, role: str, *, is_: str, type_: str, **more: str | None) -> dict[str, Any]:
    named = {"name": name, "role": role, "is": is_, "type": type_, **more}
    return {key: value for key, value in named.items() if value is not None}


def _unit(unit: str) -> str:
    return settings().currency if unit == "money" else unit


def _encoded(feature: Feature) -> str:
    """Say how a column of the table became this one."""
    of = feature.column if feature.key is None else f"the key {feature.key!r}"
    if feature.kind == "flag":
        if feature.level is not None:
            return f"1 where {of} is {feature.level!r}, else 0"
        return f"1 where {of} is {'missing' if feature.rest == 'missing' else 'any other text'}, else 0"
    if feature.key is not None:
        return f"the count of {of}, 0 where there is none"
    if feature.rest == "other":
        return "the sum of all keys without a column of their own"
    return "as a double; missing where there is none"
