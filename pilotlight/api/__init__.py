"""The resources: their models, defaults, checks, conditions and CRDs.

Importing this package loads nothing: the data path takes `ingress_hash` from here, and only the
operator pays for the models.
"""
