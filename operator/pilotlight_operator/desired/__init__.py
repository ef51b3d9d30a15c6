"""What should exist: pure functions from a parent object and the configuration to its children."""
