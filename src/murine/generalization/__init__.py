"""Domains, training on one of them, and what becomes of accuracy on those never seen."""
