"""Pilotlight on a cluster, beside what the cluster does without it: `python -m benchmarks.cluster`.

docs/performance.md says what it needs and how to read it.
"""
