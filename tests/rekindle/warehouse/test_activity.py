"""What counts as activity, said positively or by exclusions."""

from __future__ import annotations

import pytest

from rekindle import platform
from rekindle.errors import InputError
from rekindle.settings import NOT_ACTIVITY, Settings, settings
from rekindle.warehouse import dbt
from rekindle.warehouse.activity import Activity


@pytest.fixture
def decided(monkeypatch):
    """Set what a business decides."""

    def decide(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"REKINDLE_{name.upper()}", value)
        settings.cache_clear()
        return settings()

    yield decide
    settings.cache_clear()


def test_what_is_shipped_excludes_what_a_machine_caused():
    """Whoever changes the file's list changes this one: it tells a changed list from one that nobody touched."""
    assert settings().not_activity == NOT_ACTIVITY
    assert Activity.of(settings()) == Activity(
        "NOT (type IN ('message_delivery', 'link_preview_click', 'impression'))", "kind = 'sale'"
    )


@pytest.mark.parametrize(
    ("activity", "event", "order"),
    [
        ('["login"]', "(type IN ('login'))", "false"),
        ('["login", "sales"]', "(type IN ('login'))", "kind = 'sale'"),
        ('["sales"]', "false", "kind = 'sale'"),
    ],
)
def test_the_staging_views_follow_a_positive_list(decided, activity, event, order):
    decided(activity=activity)

    assert {name: dbt.decided()[name] for name in ("event_is_activity", "order_is_activity")} == {
        "event_is_activity": event,
        "order_is_activity": order,
    }


def test_a_platform_makes_its_views_anew_when_another_activity_is_decided(decided):
    before = platform._version_of_tables()
    assert platform._version_of_tables() == before

    decided(activity='["login"]')
    assert platform._version_of_tables() != before


def test_with_nothing_excluded_every_event_is_activity():
    assert Activity.of(Settings(not_activity=())).event == "true"


def test_two_definitions_at_once_are_refused_by_name(decided):
    with pytest.raises(
        InputError, match=r"activity names what counts \(login\), not_activity what does not \(ping\)"
    ) as e:
        decided(activity='["login"]', not_activity='["ping"]')

    assert e.value.code == "activity_said_twice"


def test_a_list_that_is_not_json_is_refused_by_name(decided):
    with pytest.raises(InputError, match=r"unreadable_setting: .* REKINDLE_ACTIVITY is a list or a map.* as JSON"):
        decided(activity="login")


def test_a_list_beside_the_untouched_or_emptied_exclusions_is_followed(decided):
    assert decided(activity='["login"]', not_activity="[]").activity == ("login",)
