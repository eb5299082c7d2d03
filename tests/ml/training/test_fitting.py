from dataclasses import replace
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from ml.model.artifact import digest_of
from ml.model.calibration import Platt
from ml.model.encoder import Encoded
from ml.model.learners import LEARNERS, Examples
from ml.model.learners.linear import Column
from ml.model.part import Part
from ml.model.scorer import Scorer
from ml.objectives import OBJECTIVES, figures
from ml.training import evaluation, fitting, gate, samples
from ml.training.rules import fit_rule
from rekindle.errors import CheckFailedError, InputError
from tests.bad_inputs import bad_input
from tests.ml.conftest import WORDING, feature_rows, sample_of, sundays
from tests.traps import trap


def fit(product, rows, business):
    sample = sample_of(product, rows, business)
    return fitting.fit(product, sample, samples.split(sample, business))


def replaced(rows: pa.Table, **columns) -> pa.Table:
    for name, values in columns.items():
        at = rows.column_names.index(name)
        rows = rows.set_column(at, name, pa.array(values, rows.schema.field(name).type))
    return rows


def test_recall_beats_the_best_rule_on_the_same_rows_and_recency_by_far(recall_fitted):
    found = recall_fitted.primary

    assert found.difference["auc"].value > 0
    assert found.model["auc"].value > recall_fitted.contests[0].test["recency"] + 0.1
    assert found.model["ece"].value < 3 * found.noise["ece_floor"]
    assert gate.judge(found).passed


def test_ltv_is_right_on_average_and_ranks_about_as_well_as_the_law_allows(ltv_fitted):
    found = ltv_fitted.evaluations["1_90"]

    assert list(ltv_fitted.evaluations) == ["1_30", "1_90"]
    assert 0.8 < found.model["predicted_over_actual"].value < 1.2
    assert found.model["gini"].value > 0.9 * found.naive["gini"].value


def test_amounts_of_the_horizons_add_up(ltv_fitted, ltv_sample):
    """What is judged over 90 days is the first 30 and the increment."""
    first, whole = ltv_fitted.judged["1_30"], ltv_fitted.judged["1_90"]
    rows = ltv_sample.rows.to_pylist()
    increments = {(row["day"], row["user_id"]): row["net_revenue_31_90"] for row in rows}
    days = sorted({row["day"] for row in rows})[-len(whole.outcome) // 250 :]
    expected = [increments[day, user] for day in days for user in whole.users[:250]]

    np.testing.assert_allclose(whole.outcome - first.outcome, expected[-len(whole.outcome) :])


def test_all_candidates_are_shown_on_the_same_test_days(recall_fitted):
    (contest,) = recall_fitted.contests

    assert set(contest.validation) == {"rfm", "logistic", "curves", "boosting"}
    assert set(contest.test) == {*contest.validation, *contest.rules}
    assert contest.chosen in contest.validation
    assert recall_fitted.primary.model["auc"].value == pytest.approx(contest.test[contest.chosen])


def block_of(outcome, **predictions) -> fitting.Told:
    return fitting.Told(np.arange(len(outcome)), outcome, predictions)


def minus_log_loss(outcome, chance) -> float:
    return -figures.log_loss(outcome, chance)


def test_the_simpler_candidate_stays_where_chance_explains_the_difference():
    """The trap: one lost by .0003 of log-loss on a block, and was better on the test days."""
    draw = np.random.default_rng(0)
    chance = draw.uniform(0.1, 0.6, 2000)
    outcome = (draw.random(2000) < chance).astype(float)
    hardly = np.clip(chance + draw.normal(0, 0.005, 2000), 0.01, 0.99)
    blocks = [block_of(outcome, simple=hardly, other=chance)]

    assert fitting.choose(minus_log_loss, blocks, ["simple", "other"]) == "simple"
    assert fitting.choose(minus_log_loss, blocks, ["other", "simple"]) == "other"
    assert fitting.choose(minus_log_loss, blocks, []) is None


def test_a_candidate_that_is_better_beyond_chance_over_the_blocks_is_chosen():
    """Also where it loses in one of them."""
    draw = np.random.default_rng(1)
    blocks = []
    for n in range(3):
        chance = draw.uniform(0.1, 0.6, 1000)
        outcome = (draw.random(1000) < chance).astype(float)
        noisy = np.clip(chance + draw.normal(0, 0.1, 1000), 0.01, 0.99)
        flat = np.full(1000, outcome.mean())
        blocks.append(block_of(outcome, simple=flat if n else chance, better=chance if n else noisy))

    assert fitting.choose(minus_log_loss, blocks, ["simple", "better"]) == "better"


@pytest.mark.parametrize(("noise", "chosen"), [(0.08, "simple"), (0.2, "better")], ids=["less", "more"])
def test_the_best_is_chosen_where_it_is_ahead_by_more_than_a_standard_error(noise, chosen):
    """The trap: one block of days told nothing at 2.5 %, so the simpler stayed though it had ranked worse by more."""
    draw = np.random.default_rng(6)
    worth = draw.gamma(1.0, 10.0, 600)
    outcome = worth * draw.gamma(1.0, 1.0, 600)
    blocks = [block_of(outcome, simple=worth * np.exp(draw.normal(0, noise, 600)), better=worth)]
    ahead = evaluation.paired(figures.gini, [blocks[0].compared("better", "simple")])

    assert ahead.low < 0 < ahead.value
    assert fitting.choose(figures.gini, blocks, ["simple", "better"]) == chosen


def days_of_chances(odds: np.ndarray, came: np.ndarray, days: int) -> tuple[np.ndarray, Examples]:
    """Rows of some days with log-odds that a learner says, and outcomes drawn by those that came."""
    draw = np.random.default_rng(3)
    outcome = (draw.random(len(odds)) < 1 / (1 + np.exp(-came))).astype(float)
    table = pa.table({"day": np.repeat(np.array(sundays(days), "datetime64[D]"), len(odds) // days)})
    return odds, Examples(Encoded(table), outcome)


@pytest.mark.parametrize(
    ("came", "slope", "intercept"),
    [(lambda odds: odds, 1, 0), (lambda odds: odds - 1, 1, -1), (lambda odds: 0.4 * odds - 1, 0.4, -1)],
    ids=["as it is", "the level", "both"],
)
def test_chances_are_corrected_by_what_helps_on_other_days(came, slope, intercept):
    odds = np.random.default_rng(2).normal(0, 1.5, 8000)
    found = fitting.calibrate(OBJECTIVES["probability"], *days_of_chances(odds, came(odds), days=4))

    assert (found.slope, found.intercept) == pytest.approx((slope, intercept), abs=0.12)


def test_one_day_chooses_no_calibration():
    odds = np.random.default_rng(2).normal(0, 1.5, 2000)
    raw, rows = days_of_chances(odds, odds, days=1)

    assert fitting.calibrate(OBJECTIVES["probability"], raw, rows) == Platt.fit(raw, rows.outcome)


@pytest.mark.parametrize(("turned", "weeks"), [(True, 26), (False, None)], ids=["another business", "the same"])
def test_old_days_are_forgotten_where_they_describe_another_business(recall, business, turned, weeks):
    """Long silence used to mean a return soon; where nothing has changed, every day is learnt from."""
    rows = feature_rows(sundays(60), 60, seed=2)
    often, recency = (rows[name].to_numpy().astype(float) for name in ("active_days_28d", "recency_days"))
    old = np.arange(rows.num_rows) < 12 * 60
    odds = 0.4 * (often - 4) - 0.04 * (recency - 60) * np.where(old & turned, -3, 1)
    outcome = np.random.default_rng(2).random(len(odds)) < 1 / (1 + np.exp(-odds))
    product = replace(recall, candidates=("logistic",))
    sample = sample_of(product, replaced(rows, active_1_7=outcome.astype(float)), business)
    split = samples.split(sample, business)
    found = fitting.fit(product, sample, split)
    refitted = fitting.refit(product, sample, found.scorer, samples.refit_days(sample, split, business)).scorer
    again = Scorer.from_files(found.scorer.to_files())

    assert found.contests[0].history_weeks == weeks
    assert [scorer.forecasts[0].history_weeks for scorer in (found.scorer, refitted, again)] == [weeks] * 3


def test_the_simplest_wins_where_there_is_little_to_learn_from(recall, business):
    """Few users and a smooth law: trees only find noise."""
    found = fit(recall, feature_rows(sundays(12), 100, seed=1), business)

    assert found.contests[0].chosen == "rfm"
    assert found.scorer.forecasts[0].parts[0].predictor.kind == "linear"


def test_the_same_sample_gives_the_same_bytes(recall, recall_sample, recall_fitted, business):
    again = fitting.fit(recall, recall_sample, samples.split(recall_sample, business))

    assert digest_of(again.scorer.to_files()) == digest_of(recall_fitted.scorer.to_files())


def test_later_rows_do_not_change_what_was_learnt_before(recall, recall_sample, recall_fitted, business):
    """The test rows can be anything: neither the encoder nor a parameter has seen them."""
    split = samples.split(recall_sample, business)
    rows = recall_sample.rows
    tested = np.isin(rows["day"].to_numpy(), np.array(list(split.test), dtype="datetime64[D]"))
    label = rows["active_1_7"].to_numpy()
    turned = replaced(
        rows,
        active_1_7=np.where(tested, 1 - label, label),
        country=np.where(tested, "FR", rows["country"].to_numpy(zero_copy_only=False)).tolist(),
    )

    again = fitting.fit(recall, sample_of(recall, turned, business), split)

    assert digest_of(again.scorer.to_files()) == digest_of(recall_fitted.scorer.to_files())
    assert again.primary.model["auc"].value < 0.5


def weighing(name: str, factor: float):
    """A linear learner, but for weights that are a multiple of what it found."""

    def fit(*given):
        (part,) = honest.fit(*given)
        columns = tuple(replace(column, weight=factor * column.weight) for column in part.predictor.columns)
        return (Part(part.encoder, replace(part.predictor, columns=columns)),)

    honest = LEARNERS[name]
    return replace(honest, fit=fit)


def test_a_candidate_that_is_wildly_overconfident_is_out_and_named(recall, recall_sample, business, monkeypatch):
    monkeypatch.setitem(LEARNERS, "logistic", weighing("logistic", 20))
    (contest,) = fitting.fit(recall, recall_sample, samples.split(recall_sample, business)).contests

    assert contest.chosen in {"curves", "boosting"}
    assert "logistic" in contest.refused
    assert "outside 0.2 to 5" in contest.refused["logistic"]


def test_a_learner_that_cannot_minimise_the_loss_is_refused_by_name(recall, recall_sample, business):
    """The weights of past amounts say nothing of a chance, and would calibrate to something that looks like one."""
    wrong = replace(recall, candidates=("logistic", "linear"))

    with pytest.raises(InputError, match=r"learner_without_loss: linear cannot learn what recall is about"):
        fitting.fit(wrong, recall_sample, samples.split(recall_sample, business))


@bad_input("training on one class only", gets="refused")
def test_one_class_only_is_refused(recall, business):
    rows = feature_rows(sundays(12), 150)

    with pytest.raises(CheckFailedError, match=r"one_class: .*The champion stays"):
        fit(recall, replaced(rows, active_1_7=[1.0] * rows.num_rows), business)


@bad_input("training on 12 rows", gets="refused")
def test_twelve_rows_are_refused(recall, business):
    with pytest.raises(CheckFailedError, match=r"too_few_rows: There are 4 rows .*The champion stays"):
        fit(recall, feature_rows(sundays(6), 2), business)


def test_a_handful_of_returns_is_refused(recall, business):
    rows = feature_rows(sundays(12), 150)
    rare = np.arange(rows.num_rows) % 500 == 0

    with pytest.raises(CheckFailedError, match=r"too_few_of_a_kind"):
        fit(recall, replaced(rows, active_1_7=rare.astype(float)), business)


@bad_input("training on constant features", gets="refused")
def test_constant_features_are_refused(recall, business):
    rows = feature_rows(sundays(12), 150)
    same = rows.slice(0, 1).take(pa.array([0] * rows.num_rows)).drop_columns(["day", "user_id", "active_1_7"])
    for name in ("day", "user_id", "active_1_7"):
        same = same.append_column(name, rows[name])

    with pytest.raises(CheckFailedError, match=r"features_constant: .*The champion stays"):
        fit(recall, same, business)


def test_where_nobody_has_spent_anything_yet_amounts_are_learnt_from_the_rest(ltv, business):
    """A business that opens its shop after it was looked at for months: what counts as an amount is 0 of everybody."""
    rows = feature_rows(sundays(34), 250)
    nothing = [Decimal("0.00")] * rows.num_rows
    rows = replaced(rows, sale_amount_28d=nothing, sale_amount_90d=nothing)
    found = fit(replace(ltv, candidates=("linear", "boosted_linear")), rows, business)

    assert [forecast.candidate for forecast in found.scorer.forecasts] == ["boosted_linear"] * 2
    assert found.primary.model["gini"].value > 0.3


@trap("a label's window within that of the features")
@bad_input("training with the label among the features", gets="refused")
@pytest.mark.parametrize("copy", [lambda y: y, lambda y: 5 - 3 * y], ids=["as it is", "in disguise"])
def test_a_feature_that_knows_the_outcome_is_refused(recall, business, copy):
    """The trap: a feature window that contains the label window."""
    rows = feature_rows(sundays(12), 150)
    leaked = rows.append_column("visits_next_week", pa.array(copy(rows["active_1_7"].to_numpy())))

    with pytest.raises(CheckFailedError, match=r"label_among_features: .*visits_next_week"):
        fit(recall, leaked, business)


def test_pure_noise_does_not_pass_the_gate(recall, business):
    """Either no candidate ranks better than chance, or the gate sees that recency does better."""
    rows = feature_rows(sundays(12), 150)
    recency = rows["recency_days"].to_numpy()
    draw = np.random.default_rng(0)
    outcome = (draw.random(len(recency)) < 1 / (1 + np.exp(0.05 * (recency - 60)))).astype(float)
    blind = replaced(rows, active_1_7=outcome).drop_columns(
        [n for n in rows.column_names if n not in {"day", "user_id", "country", "active_1_7", "recency_days"}]
    )
    hidden = replaced(blind, recency_days=recency.tolist())
    sample = sample_of(recall, hidden, business)
    split = samples.split(sample, business)

    found = fitting.fit(recall, sample, split)

    assert found.primary.difference["auc"].value == pytest.approx(0, abs=0.05)


def of_yearly_shoppers() -> pa.Table:
    """Who was away longest is next: the fewer days since the last activity, the less."""
    rows = feature_rows(sundays(16), 200, seed=4)
    draw = np.random.default_rng(4)
    recency = draw.integers(200, 365, rows.num_rows)
    chance = 1 / (1 + np.exp(-(0.05 * (recency - 330))))
    return replaced(rows, recency_days=recency.tolist(), active_1_7=(draw.random(len(chance)) < chance).astype(float))


def test_the_rule_to_beat_is_the_best_on_validation_days(recall, business):
    """On a yearly business recency is worse than chance: to beat it proves nothing."""
    found = fit(recall, of_yearly_shoppers(), business)
    (contest,) = found.contests

    assert contest.rule == "due"
    assert found.rule.forecasts[0].candidate == "due"
    assert "recency" in contest.refused
    assert found.primary.naive["auc"].value == pytest.approx(contest.test["due"])
    assert contest.test["due"] > 0.7


def test_a_rule_that_wins_is_a_calibrated_model_of_its_name(recall, recall_sample, recall_fitted, business):
    split = samples.split(recall_sample, business)
    rule = fitting.as_rule(recall, recall_sample, split, recall_fitted)
    (contest,), (part,) = rule.contests, rule.scorer.forecasts
    again = Scorer.from_files(rule.scorer.to_files())
    rows = recall_sample.rows.slice(0, 50)
    scored = again.score(rows, WORDING).to_pylist()

    assert part.candidate == contest.rule == max(contest.rules, key=contest.rules.get)
    assert rule.primary.difference["auc"].value == pytest.approx(0)
    assert rule.primary.model["predicted_over_actual"].value == pytest.approx(1, abs=0.2)
    assert gate.judge_rule(rule.primary, part.candidate, "it lost").passed
    weights = next(rule.weights for rule in recall_sample.targets[0].rules if rule.name == part.candidate)
    assert {reason["feature"] for row in scored for reason in row["reasons"]} == set(weights)


def test_each_horizon_says_what_it_is_predicted_by(recall, recall_sample, recall_fitted, ltv_fitted, business):
    model = recall_fitted.to_json()["evaluations"]["1_7"]
    split = samples.split(recall_sample, business)
    rule = fitting.as_rule(recall, recall_sample, split, recall_fitted).to_json()["evaluations"]["1_7"]
    chosen = [LEARNERS[contest.chosen].says for contest in ltv_fitted.contests]
    by_horizon = ltv_fitted.to_json()["evaluations"]

    assert (model["is_rule"], model["made_by"]) == (False, [LEARNERS[recall_fitted.contests[0].chosen].says])
    assert (rule["is_rule"], rule["made_by"]) == (True, [recall_fitted.contests[0].rule])
    assert model["to_beat"] == rule["to_beat"] == [recall_fitted.contests[0].rule]
    assert by_horizon["1_30"]["made_by"] == chosen[:1]
    assert by_horizon["1_90"]["made_by"] == list(dict.fromkeys(chosen))


def test_ltv_has_the_best_spending_window_of_each_increment_to_beat(ltv_fitted):
    """The made-up world spends by its last 28 days; what is judged is the sum of the increments' rules."""
    first, second = ltv_fitted.contests
    windows = {"spending_28d", "spending_90d"}
    tested = ltv_fitted.longest

    assert first.rule in windows and second.rule in windows
    assert (tested.naive > 0).any()
    assert tested.naive.sum() == pytest.approx(tested.outcome.sum(), rel=0.2)


def test_a_rule_ranks_as_the_declared_sum_does(recall_sample):
    """Whatever is missing: without a usual gap a user comes last."""
    (target,) = recall_sample.targets
    rule = next(rule for rule in target.rules if rule.name == "gap_ratio")
    examples = Examples(Encoded(recall_sample.rows), recall_sample.rows["active_1_7"].to_numpy())
    raw = fit_rule(rule, OBJECTIVES["probability"], examples).raw(examples.rows)
    gaps = recall_sample.rows["current_gap_ratio"].to_pylist()
    declared = -np.array([365.0 if gap is None else gap for gap in gaps])

    order = np.argsort(declared, kind="stable")
    assert (np.diff(raw[order]) >= -1e-12).all()


def test_where_every_candidate_is_refused_the_rule_stands_in(recall, recall_sample, business, monkeypatch):
    turned = weighing("logistic", -1)
    for name in recall.candidates:
        monkeypatch.setitem(LEARNERS, name, turned)
    found = fitting.fit(recall, recall_sample, samples.split(recall_sample, business))

    assert not found.has_model
    assert found.contests[0].chosen is None
    assert found.scorer == found.rule
    assert "logistic for active_1_7: it ranks the wrong way round" in found.why_no_model


def tenure_of(part: Part) -> Column:
    """Weigh the tenure, of which no amount depends."""
    at = next(i for i, feature in enumerate(part.encoder.features) if feature.column == "tenure_days")
    return Column(at, "plain", 0.0, 1e4, 500.0, 0.5, 0.0, 0.0)


def distracted(encoders, loss, train, stop) -> tuple[Part, ...]:
    """Weigh the amounts, and of the later increment, which is twice as much, let the tenure count as well."""
    (part,) = LEARNERS["linear"].fit(encoders, loss, train, stop)
    if train.outcome.mean() < 250:
        return (part,)
    return (Part(part.encoder, replace(part.predictor, columns=(*part.predictor.columns, tenure_of(part)))),)


def test_a_rule_stands_in_for_the_increment_in_which_it_is_ahead(ltv, ltv_sample, business, monkeypatch):
    monkeypatch.setitem(LEARNERS, "distracted", replace(LEARNERS["linear"], name="distracted", fit=distracted))
    product, split = replace(ltv, candidates=("distracted",)), samples.split(ltv_sample, business)
    found = fitting.fit(product, ltv_sample, split)
    first, second = found.contests
    refitted = fitting.refit(product, ltv_sample, found.scorer, samples.refit_days(ltv_sample, split, business))

    assert (first.chosen, second.chosen, found.has_model) == ("distracted", None, True)
    assert "ahead of it by more than a standard error" in second.refused["distracted"]
    for scorer in (found.scorer, refitted.scorer):
        assert [forecast.candidate for forecast in scorer.forecasts] == ["distracted", second.rule]


def test_a_rule_stands_in_for_no_candidate_that_was_behind_while_it_had_less_to_learn_from(ltv, business, monkeypatch):
    rows = feature_rows(sundays(60), 200)
    lately = rows["sale_amount_28d"].to_numpy().astype(float)
    before = np.round(np.random.default_rng(0).gamma(1.0, 200.0, rows.num_rows), 2)
    # No rule knows both windows, and both count.
    of_90 = [Decimal(f"{amount:.2f}") for amount in lately + before]
    rows = replaced(rows, sale_amount_90d=of_90, net_revenue_1_30=3 * lately + before)
    sample = sample_of(ltv, rows, business)
    split = samples.split(sample, business)
    last = {label: days.last for label, days in split.train.items()}

    def slow(encoders, loss, train, stop) -> tuple[Part, ...]:
        """Learn what linear regression does from all training days, and from fewer nothing of amounts."""
        (part,) = LEARNERS["linear"].fit(encoders, loss, train, stop)
        if train.rows.rows["day"].to_pylist()[-1] in last.values():
            return (part,)
        return (Part(part.encoder, replace(part.predictor, columns=(tenure_of(part),))),)

    monkeypatch.setitem(LEARNERS, "slow", replace(LEARNERS["linear"], name="slow", fit=slow))
    contest, _ = fitting.fit(replace(ltv, candidates=("slow",)), sample, split).contests

    assert split.earlier[contest.label]
    assert contest.validation["slow"] < contest.rules[contest.rule] - 0.1
    assert contest.chosen == "slow"


def of_a_changing_business(weeks: int) -> pa.Table:
    """Ever more come back, and ever less because they came often: what was learnt long ago is no longer true."""
    rows = feature_rows(sundays(weeks), 200, seed=6)
    recency, often = (rows[name].to_numpy().astype(float) for name in ("recency_days", "active_days_28d"))
    time = np.repeat(np.linspace(0, 1, weeks), 200)
    odds = (0.8 - 0.7 * time) * often - (0.01 + 0.05 * time) * recency - 3 + 4 * time
    draw = np.random.default_rng(6)
    return replaced(rows, active_1_7=(draw.random(len(odds)) < 1 / (1 + np.exp(-odds))).astype(float))


def test_a_refitted_recipe_is_no_worse_on_later_days(recall, business):
    """On a business that changes it is better, in order and in level."""
    rows = of_a_changing_business(36)
    cut = rows.num_rows * 28 // 36
    sample, later = sample_of(recall, rows.slice(0, cut), business), rows.slice(cut)
    split = samples.split(sample, business)
    judged = fitting.fit(recall, sample, split).scorer
    refitted = fitting.refit(recall, sample, judged, samples.refit_days(sample, split, business))
    outcome = later["active_1_7"].to_numpy()
    before, after = (scorer.predict(later) for scorer in (judged, refitted.scorer))

    assert refitted.why_not is None
    assert figures.auc(outcome, after.raw) > figures.auc(outcome, before.raw)
    loss = [figures.log_loss(outcome, p.by_label["active_1_7"]) for p in (before, after)]
    assert loss[1] < loss[0]


@pytest.mark.parametrize("product", ["recall", "ltv"])
def test_a_refit_keeps_the_recipe(product, business, request):
    """The same learner with as many trees, for the same labels; where nothing has changed it says about the same."""
    sample, fitted, product = (request.getfixturevalue(f"{product}{name}") for name in ("_sample", "_fitted", ""))
    days = samples.refit_days(sample, samples.split(sample, business), business)
    refitted = fitting.refit(product, sample, fitted.scorer, days).scorer
    rows = sample.rows.slice(0, 500)

    for old, new in zip(fitted.scorer.forecasts, refitted.forecasts, strict=True):
        assert (new.label, new.candidate, new.trees) == (old.label, old.candidate, old.trees)
        assert [part.predictor.kind for part in new.parts] == [part.predictor.kind for part in old.parts]
    assert np.corrcoef(refitted.predict(rows).raw, fitted.scorer.predict(rows).raw)[0, 1] > 0.9
    assert digest_of(refitted.to_files()) != digest_of(fitted.scorer.to_files())


def test_a_refit_that_cannot_be_calibrated_leaves_what_was_judged(
    recall, recall_sample, recall_fitted, business, monkeypatch
):
    days = samples.refit_days(recall_sample, samples.split(recall_sample, business), business)
    monkeypatch.setattr(fitting, "calibrate", lambda *_: Platt(slope=-1.0, intercept=0.0))
    refitted = fitting.refit(recall, recall_sample, recall_fitted.scorer, days)

    assert refitted.scorer == recall_fitted.scorer
    assert "wrong way round" in refitted.why_not
