"""The objects of a Service as Knative Serving leaves them, for tests of taking them over.

Pure: `leave` hands each object to its caller, owners first, who creates it or puts it in the place
of what it was, and gives back what came of it: those that are owned name their owner's uid.
"""
