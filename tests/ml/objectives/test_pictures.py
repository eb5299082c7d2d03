from xml.etree import ElementTree as ET

from ml.objectives import OBJECTIVES, pictures


def test_draws_what_each_objective_is_looked_at_by(recall_fitted, ltv_fitted):
    drawn = {
        **pictures.drawn(OBJECTIVES["probability"], recall_fitted.longest),
        **{f"ltv {name}": text for name, text in pictures.drawn(OBJECTIVES["amount"], ltv_fitted.longest).items()},
    }

    assert set(drawn) == {"roc.svg", "gain.svg", "calibration.svg", "ltv gain.svg", "ltv deciles.svg"}
    for text in drawn.values():
        assert ET.fromstring(text).tag.endswith("svg")  # noqa: S314 - drawn a line above


def test_the_same_rows_give_the_same_bytes(recall_fitted):
    once, twice = (pictures.drawn(OBJECTIVES["probability"], recall_fitted.longest) for _ in range(2))

    assert once == twice
