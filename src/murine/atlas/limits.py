"""Limits that commands name in their help, before anything else is imported."""

from __future__ import annotations

#: Seconds in which a network has to call a module, finish a layer or be built; a slow one does one of these.
TIME_LIMIT = 1800.0
