"""
Recommendations: which items whom to show. No Spark, MLflow or Postgres.

Who did what with which item when (`interactions`) is what `retrievers` learn from, a file each. Their lists are merged by rank
(`merging`), what may not be answered is left out (`filtering`), and a ranker orders what is left where validation says that it
helps (`ranking`). `recommender` learns all of it from training data alone; `evaluation` says on other
data how good it is.
"""

from ml.recommendation.interactions import Interactions, Items, Known, Users

__all__ = ["Interactions", "Items", "Known", "Users"]
