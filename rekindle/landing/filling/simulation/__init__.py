"""
A business with known truth: users who come, fall dormant and return by a process that no model of ours assumes.

Every figure from it is simulated. What it is made of stands in `conf/simulation.yml`; docs/simulation.md tells the process.
"""
