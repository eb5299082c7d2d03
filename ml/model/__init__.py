"""A model: encoder, learners, calibration, scorer, reasons. Numpy and Arrow; no Spark, MLflow or Postgres."""
