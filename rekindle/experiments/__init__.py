"""
What an experiment caused: pure computation on sums, without Spark or Postgres.

An arm is known by its sums (`Sums`), which add up over days and are made by SQL as well as by NumPy. From them follow the
difference to the control by intention to treat (`compare`), with the score of before the assignment taken out (CUPED), what
it is worth (`worth`), whether the arms have the sizes that were planned (`sample_ratio`), and which interval may be looked
at while an experiment runs (`looks`). docs/experiments.md says it in plain words.
"""

from rekindle.experiments.compare import ALPHA, Comparison, compare
from rekindle.experiments.estimates import Estimate
from rekindle.experiments.sample_ratio import SampleRatio, sample_ratio
from rekindle.experiments.sums import Sums, sums_of

__all__ = ["ALPHA", "Comparison", "Estimate", "SampleRatio", "Sums", "compare", "sample_ratio", "sums_of"]
