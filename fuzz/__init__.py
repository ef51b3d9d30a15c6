"""Bytes that nobody would think of, for everything that reads bytes of a peer."""
