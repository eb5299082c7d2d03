"""
What a user would pick instead: DuckDB and Polars, in an environment of their own (`.bench/venv`, requirements-bench.txt).

Nothing here imports Rekindle, and Rekindle imports nothing of here but the wording of the questions.
"""
