"""
Answers while somebody waits: scores over REST, from the day that was published and by the models that scored it.

Nothing is computed in two ways: models, inputs and scores are those of the daily run (rekindle.publishing.answers), and what
scores here is what scores there (ml.model.scorer). A request reads memory alone; `holding` renews what is held beside it.
"""
