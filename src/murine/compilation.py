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
    """Compile a function at its first call; machine code is kept on disk where there is a folder to write to.

    Sums are taken in the order in which they are written, and NaN, zeros and infinities mean what they do in NumPy:
    with the compiler's liberties a loop may be right on one processor and give NaN on another. Division by zero gives
    infinity or NaN instead of an error, as in NumPy. Other threads can run meanwhile.
    """
    plain = inspect.unwrap(function)  # without checks of types that may have been put around it
    try:
        result: Callable[P, R] = numba.njit(plain, cache=True, nogil=True, fastmath=False, error_model="numpy")
    except RuntimeError:  # nowhere to keep it: neither beside the source nor in the user's cache
        result = numba.njit(plain, nogil=True, fastmath=False, error_model="numpy")
    return result
