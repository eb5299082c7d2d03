"""docs/privacy.md says what is held; contracts and ymls say it too, and this compares them."""

from __future__ import annotations

import re

from rekindle.erasure import personal
from rekindle.settings import PROJECT, settings
from rekindle.warehouse import contracts, dbt, lineage
from rekindle.warehouse.personal import columns_of

PAGE = (PROJECT / "docs" / "privacy.md").read_text(encoding="utf-8")


def held() -> dict[str, tuple[str, str | None]]:
    """The personal columns of each declared table, as the page writes them, and the setting that ends its rows."""
    found = {}
    for name, table in lineage.graph().tables.items():
        names = contracts.load(name).names if name in contracts.tables() else tuple(dbt.columns(name))
        if columns := columns_of(name, names):
            found[name] = ", ".join(f"{column} ({kind})" for column, kind in columns.items()), table.keep
    return found


def test_the_page_lists_what_is_personal_and_how_long_it_is_kept():
    told = {
        m[1]: (m[2], m[3])
        for m in re.finditer(r"^\| (\w+\.\w+) \| ([^|]+) \| [^|]+ \| ([^|]+) \|$", PAGE, re.MULTILINE)
    }

    assert {table: columns for table, (columns, _) in told.items()} == {
        t: columns for t, (columns, _) in held().items()
    }
    for table, (_, keep) in held().items():
        assert (f"`{keep}`" if keep else "as long as the user is there") in told[table][1], table


def test_each_setting_that_ends_rows_is_one():
    for _, keep in held().values():
        assert keep is None or getattr(settings(), keep) > 0


def test_the_page_names_what_stays_in_the_database():
    for table in personal.KEPT_IN_POSTGRES:
        assert table in PAGE
