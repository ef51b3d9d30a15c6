"""The ConfigMaps of the system namespace, one module each: parsed, defaulted, checked.

Every `parse` is a pure function of a ConfigMap's data. Keys that nobody knows are ignored, keys
that are absent take their default, anything else raises `go_values.ConfigError`. Nothing here
imports more than the standard library, because every component reads some of them.
"""
