"""Architectures as sequences of layers: alignment and Mantel tests."""
