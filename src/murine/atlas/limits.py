"""Limits that the help of commands states, in a module that is quick to import."""

from __future__ import annotations

#: Seconds in which a network has to call a module, finish a layer or be built; a slow one does one of these.
TIME_LIMIT = 1800.0
