"""
Uplift: what a message changes for whom, learnt from an experiment that was randomised. No Spark, MLflow or Postgres.

A trial (`Trial`) is looked at before anything is believed (`checks`). Learners of the effect (`learners`) compete with the
constant effect within one half of it; what they are worth is measured on the other half (`curves`), where their level is
measured too (`learning`). Where the ranking of the effect cannot be told from chance, the constant effect is what is left.
`contest` repeats all that over many halves and says which learners differ by less than their error.
"""

from ml.uplift.trial import Trial

__all__ = ["Trial"]
