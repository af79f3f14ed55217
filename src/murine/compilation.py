"""Functions compiled to machine code, for loops that NumPy cannot do.

Modules that use this import numba, which takes a second: import them where they are needed, inside functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function at its first call; machine code is kept on disk where there is a folder to write to."""
    return _compile(function, set())


def compiled_sums(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a function whose sums may be taken in any order: several at once, which vectors of numbers need."""
    return _compile(function, {"reassoc", "contract"})


def _compile(function: Callable[P, R], liberties: set[str]) -> Callable[P, R]:
    plain = inspect.unwrap(function)  # without checks of types that may have been put around it
    try:
        result: Callable[P, R] = numba.njit(plain, cache=True, fastmath=liberties)
    except RuntimeError:  # nowhere to keep it: neither beside the source nor in the user's cache
        result = numba.njit(plain, fastmath=liberties)
    return result
