import numpy as np
import pytest

from ml import gate
from ml.evaluation import Judged, evaluate


def judged(model_noise: float, naive_noise: float) -> Judged:
    draw = np.random.default_rng(0)
    truth = draw.normal(size=1500)
    outcome = (truth + draw.normal(size=1500) > 0).astype(float)
    raw, naive = truth + model_noise * draw.normal(size=1500), truth + naive_noise * draw.normal(size=1500)
    return Judged(np.arange(1500), outcome, raw, 1 / (1 + np.exp(-raw)), naive)


def test_a_model_that_beats_the_naive_rule_passes():
    verdict = gate.judge(evaluate("probability", judged(0.5, 2.0)))

    assert verdict.passed
    assert "beats the naive rule" in verdict.why
    assert "chance" not in verdict.why


def test_a_model_that_loses_does_not_pass():
    verdict = gate.judge(evaluate("probability", judged(2.0, 0.5)))

    assert not verdict.passed
    assert "loses to the naive rule" in verdict.why


@pytest.mark.parametrize("rule", ["the same", "as good"])
def test_a_tie_does_not_pass_and_doubt_is_said(rule):
    rows = judged(1.0, 1.0)
    if rule == "the same":
        rows = Judged(rows.users, rows.outcome, rows.raw, rows.prediction, rows.raw)
        assert not gate.judge(evaluate("probability", rows)).passed
    assert "may be chance" in gate.judge(evaluate("probability", rows)).why
