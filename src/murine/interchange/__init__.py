"""Interchange: the formats of other tools, in and out, with labels checked."""
