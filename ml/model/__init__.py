"""A model: encoder, parts, learners, calibration, scorer, reasons. Numpy and Arrow; no Spark, MLflow or Postgres."""
