"""Faults of all kinds, tried on real runs: `python -m tests.faults --rounds=100`.

Each module tries one kind and returns a `Table` of what happened; the test
suite runs the same functions for a few rounds.
"""
