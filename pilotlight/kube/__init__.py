"""The only door to the Kubernetes API: a client, an informer, and the resources by name."""
