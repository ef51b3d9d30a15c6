"""The activator's own errors."""

from __future__ import annotations


class ActivatorError(Exception):
    """Base of the activator's errors."""


class StateError(ActivatorError):
    """A transition that a state machine does not have: a bug of ours, never of a peer."""


class SettingsError(ActivatorError):
    """An environment variable that cannot be used; the text names it, its value and the rule."""
