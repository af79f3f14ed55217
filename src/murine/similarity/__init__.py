"""Representational similarity: RDMs, RSA, Kendall, CKA, Procrustes, reweighted RSA."""
