"""A small Kubernetes API server: one process, one event loop, state in memory or in SQLite."""
