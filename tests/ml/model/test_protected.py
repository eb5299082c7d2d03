import re
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.model.encoder import Dense, Encoded
from ml.model.protected import Protected, told
from ml.training import fitting, samples
from rekindle.settings import settings
from tests.ml.conftest import WORDING, feature_rows, sundays

PROTECTED = Protected.of(settings())


@pytest.mark.parametrize(
    "name",
    [
        *("age", "AGE", "Age Group", "ageGroup", "customer_age", "birth_date", "dateOfBirth", "dob", "gender", "sex"),
        *(
            "marital_status",
            "maritalStatus",
            "pregnant",
            "kids_count",
            "children",
            "household_comp",
            "race",
            "ethnicity",
        ),
        *("nationality", "religion", "political_party", "disability", "health-status", "sexual_orientation"),
    ],
)
def test_an_attribute_of_a_protected_kind_is_told_by_its_name_however_it_is_spelt(name):
    assert PROTECTED.holds(f"attributes:{name}")
    assert PROTECTED.keeps_out(name)


@pytest.mark.parametrize(
    "name",
    [
        *("user_gender", "customer_gender", "traits.gender", "usergender", "customerAgeGroup", "userDOB", "DOBYear"),
        *("is_pregnant", "has_disability", "is_disabled", "customer_religion", "user_ethnicity", "mental_health"),
        *("customerHealthStatus", "home_nationality", "estimated_marital_status", "is_married", "dateofbirth"),
        *("is_trade_union_member", "preferred race", "age2", "2nd_sex", "number-of-children", "user profile:age"),
        *("gender:self", "religion:declared", "self:gender", "ns:traits.sex"),
    ],
)
def test_such_a_word_is_found_wherever_it_stands_in_a_name(name):
    assert PROTECTED.keeps_out(f"attributes:{name}")


def test_a_key_is_told_and_allowed_as_it_is_delivered_with_its_colons():
    assert told(["attributes:religion:declared", "sex"]).endswith(" religion:declared, sex.")
    assert not replace(PROTECTED, inputs=("gender:self",)).keeps_out("attributes:gender:self")
    assert replace(PROTECTED, inputs=("self",)).keeps_out("attributes:gender:self")


INNOCENT = (
    *("plan", "page", "usage", "package_size", "language", "agency", "income", "trace", "Essex", "channel"),
    *("message", "average_order", "landingPage", "storageTier", "engagement", "manager", "image_count", "stage"),
    *("sexton", "unisex", "Middlesex", "terrace", "embrace", "racecourse", "bracelet", "kidney", "faithful"),
    *("union", "membership", "loyalty_member", "status", "orientation", "policy", "remarks", "market", "home_owner"),
)


@pytest.mark.parametrize("name", INNOCENT)
def test_a_name_that_only_contains_such_a_word_is_none(name):
    assert not PROTECTED.holds(f"attributes:{name}")


@pytest.mark.parametrize(
    "name", ["bike_race", "race_bike", "account_age", "sms_disabled", "websiteHealth", "good_faith"]
)
def test_a_word_of_two_meanings_is_kept_out_until_somebody_says_otherwise(name):
    """A feature that is lost costs little; one by which nobody should be treated is seen by whoever reads the reason."""
    assert PROTECTED.keeps_out(f"attributes:{name}")
    assert not replace(PROTECTED, inputs=(name,)).keeps_out(f"attributes:{name}")


# The list of a business may be one that was made when a pattern had to be the whole name.

WHOLE_NAMES = (
    *("age", "age_*", "*_age", "birth*", "*_birth*", "dob", "gender*", "sex", "sex_*", "*_sex", "sexual*", "marital*"),
    *("civil_status", "pregnan*", "kids*", "*_kids*", "*child*", "household_comp*", "race", "race_*", "racial*"),
    *("ethnic*", "nationality*", "national_origin*", "citizenship*", "religio*", "faith", "belief*", "politic*"),
    *("trade_union*", "union_member*", "disab*", "health*", "medical*", "genetic*", "dobYear", "CUSTOM key*"),
)
PIECES = [pattern.strip("*_") for pattern in WHOLE_NAMES] + ["Group", "ID", "user", "x2", "7", "s", "Ä"]


def is_whole_name(name: str, pattern: str) -> bool:
    """As it was told before names were taken apart."""
    spelt = [re.sub(r"[^\w*]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", one)).casefold() for one in (name, pattern)]
    return fnmatchcase(*(one.strip("_") for one in spelt))


@given(st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(["", "_", " ", "-", "."])), min_size=1, max_size=4))
def test_what_was_protected_by_its_whole_name_still_is(parts):
    name = "".join(word + sign for word, sign in parts)

    for pattern in WHOLE_NAMES:
        if is_whole_name(name, pattern):
            assert Protected((pattern,)).holds(f"attributes:{name}")
            assert pattern in {"dobYear", "CUSTOM key*"} or PROTECTED.holds(f"attributes:{name}")


@given(st.text(), st.lists(st.text()))
def test_any_text_may_be_a_name_or_a_pattern(name, patterns):
    found = Protected(tuple(patterns)).holds(name)

    assert Protected((*patterns, "*")).holds(name)
    assert found == any(Protected((pattern,)).holds(name) for pattern in patterns)


def test_no_column_of_the_features_is_taken_for_one():
    assert not [name for name in WORDING.phrases if PROTECTED.holds(name)]


def test_one_that_is_switched_on_is_an_input_and_still_no_reason():
    allowed = replace(PROTECTED, inputs=("Age",))

    assert allowed.holds("attributes:age")
    assert not allowed.keeps_out("attributes:age")
    assert allowed.keeps_out("attributes:age_group"), "each is named, not a kind of them"


def test_what_is_kept_out_of_rows_are_keys_of_texts_and_columns():
    rows = pa.table(
        {
            "gender": ["f", "m"],
            "attributes": pa.array([[("age", "1"), ("plan", "x")], [("kids", "2")]], pa.map_(pa.string(), pa.string())),
            "event_counts_7d": pa.array([[("birth_announcement", 1)], []], pa.map_(pa.string(), pa.int64())),
        }
    )

    assert PROTECTED.kept_out_of(rows) == ("gender", "attributes:age", "attributes:kids")
    assert told(PROTECTED.kept_out_of(rows)).endswith("gender, age, kids.")


def test_a_model_does_not_read_what_is_kept_out_and_the_rest_as_before(recall_sample, business):
    split = samples.split(recall_sample, business)
    kept_out = replace(recall_sample, kept_out=PROTECTED.kept_out_of(recall_sample.rows))
    before, after = (fitting.encoders_of(some, split).of(Dense) for some in (recall_sample, kept_out))

    assert kept_out.kept_out == ("attributes:age",)
    assert [f for f in before.features if f.source != "attributes:age"] == list(after.features)
    assert len(after.features) < len(before.features)


@given(st.lists(st.sampled_from(["recency_days", "active_days_28d", "attributes:age", "country"]), unique=True))
def test_what_is_never_shown_counts_among_the_rest(recall_fitted, hidden):
    """Contributions add up whatever is hidden, and the reasons are the largest of what may be shown."""
    rows, scorer = feature_rows(sundays(1), 30, seed=5), recall_fitted.scorer
    wording = replace(WORDING, protected=Protected(tuple(name.rpartition(":")[2] for name in hidden)))
    by_source = scorer.forecasts[0].parts[0].contributions(Encoded(rows)).by_source
    expected = np.sort(np.abs([amounts for source, amounts in by_source.items() if source not in hidden]), axis=0)

    for i, row in enumerate(scorer.score(rows, wording).to_pylist()):
        amounts = [reason["contribution"] for reason in row["reasons"]]
        assert row["baseline"] + sum(amounts) + row["other_contribution"] == pytest.approx(row["raw_score"])
        assert not {reason["feature"] for reason in row["reasons"]} & set(hidden)
        assert np.abs(amounts) == pytest.approx([amount for amount in expected[::-1][:3, i] if amount])
