"""What is to be told: pure functions from what was observed to the status of an object."""
