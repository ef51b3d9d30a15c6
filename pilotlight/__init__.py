"""Pilotlight: a serving layer for Kubernetes that speaks the Knative Serving API.

This package is what the components share, and the `pilotlight` command. It imports no component.
"""

__version__ = "0.1.0"
