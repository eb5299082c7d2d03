"""
The gate: whether a model, or in its place the best naive rule, may become champion.

Pure functions on test rows: `routes` says by which ways one comes through, `level` what is asked on each of them, `segments`
whether some lose by it, `leaks` what must not be known, `served` whether what scores is what was judged. Every number that
decides stands in conf/gate.yml.
"""

from ml.training.gate.criteria import Criteria, criteria
from ml.training.gate.paired import Pair
from ml.training.gate.recalibrated import judge_recalibration
from ml.training.gate.routes import Challenge, judge, judge_challenger, judge_rule
from ml.training.gate.verdict import UNREADABLE, Criterion, Verdict

__all__ = [
    "UNREADABLE",
    "Challenge",
    "Criteria",
    "Criterion",
    "Pair",
    "Verdict",
    "criteria",
    "judge",
    "judge_challenger",
    "judge_recalibration",
    "judge_rule",
]
