"""Measurements of Pilotlight beside its peers. Each prints a table and writes a file of results."""
