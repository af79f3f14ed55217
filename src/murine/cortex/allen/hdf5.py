"""HDF5 files read with suspicion: what is asked for is checked before it is read, and errors tell where it failed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from murine.errors import MurineError, some

if TYPE_CHECKING:
    import h5py

#: The sizes of a dataset, each exact or None for any; None for any number of them.
Shape = Sequence[int | None] | None

#: Kinds of numbers in a file to what users call them.
_KINDS = {"f": "floats", "iu": "integers", "iuf": "numbers", "SO": "text"}


class Tree:
    """An open HDF5 file.

    Every read states what it expects; what is not so is a `MurineError` with the file, the path inside it, what was
    found and what was expected. Nothing is allocated before the declared size was checked.

    Parameters
    ----------
    file
        An HDF5 file, opened for reading.
    max_bytes
        The most that one read may take.

    Notes
    -----
    libhdf5 itself may crash or run forever on damaged *metadata*. Files whose digest was not verified are therefore
    read in a process of their own (`murine.isolation`).
    """

    def __init__(self, file: str | Path, *, max_bytes: int = 2 << 30) -> None:
        import h5py

        self.file = Path(file)
        self.max_bytes = max_bytes
        if not self.file.is_file():
            raise MurineError(f"there is no file {str(file)!r}; expected an HDF5 file.")
        try:
            self._h5 = h5py.File(self.file, "r")
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise MurineError(f"{str(file)!r} is no readable HDF5 file ({error}); it may be truncated.") from error

    def __enter__(self) -> Tree:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._h5.close()

    def refuse(self, path: str, found: object, expected: object) -> NoReturn:
        """Raise the error for something at a path that is not as expected."""
        raise MurineError(f"{str(self.file)!r}, {path}: found {found}; expected {expected}.")

    @contextmanager
    def _reading(self, path: str, expected: str) -> Iterator[None]:
        try:
            yield
        except MurineError:
            raise
        except (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, SystemError) as error:
            self.refuse(path, f"something unreadable ({error})", expected)
        except MemoryError:
            self.refuse(path, "more than the memory holds", expected)

    def __contains__(self, path: str) -> bool:
        with self._reading(path, "a group or dataset, or nothing"):
            return path in self._h5

    def names(self, path: str) -> list[str]:
        """The names in a group; none where there is no group."""
        with self._reading(path, "a group"):
            return list(self._h5[path]) if path in self._h5 else []

    def dataset(self, path: str, shape: Shape, kind: str = "iuf") -> h5py.Dataset:
        """Find a dataset of a shape (None: any size) and a kind of dtype (NumPy's letters), without reading it."""
        import h5py

        expected = f"a dataset of {_KINDS.get(kind, kind)} of shape {_text(shape)}"
        with self._reading(path, expected):
            if path not in self._h5:
                self.refuse(path, self._nearby(path), expected)
            found = self._h5[path]
            if not isinstance(found, h5py.Dataset):
                self.refuse(path, f"a {type(found).__name__.lower()}", expected)
            fits = shape is None or (
                len(found.shape or ()) == len(shape)
                and all(wanted in (None, size) for wanted, size in zip(shape, found.shape, strict=True))
            )
            if found.shape is None or not fits or found.dtype.kind not in kind:
                self.refuse(path, f"{found.dtype} of shape {found.shape}", expected)
            return found

    def array(self, path: str, shape: Shape, kind: str = "iuf") -> np.ndarray:
        """Read a whole dataset of numbers as it is stored, without a cast."""
        return self.read(path, self.dataset(path, shape, kind))

    def read(self, path: str, dataset: h5py.Dataset, rows: slice = slice(None)) -> np.ndarray:
        """Read a dataset, or some rows of it; refuses what would take more than ``max_bytes``."""
        with self._reading(path, "readable data"):
            n_rows = len(range(*rows.indices(dataset.shape[0]))) if dataset.shape else 1
            size = n_rows * math.prod(dataset.shape[1:]) * dataset.dtype.itemsize
            if size > self.max_bytes:
                self.refuse(path, f"{dataset.shape} of {dataset.dtype}, {size:,} bytes", f"at most {self.max_bytes:,}")
            return np.asarray(dataset[rows] if dataset.shape else dataset[()])

    def text(self, path: str) -> str:
        """Read one text, stored with fixed or variable length."""
        return self._decoded(path, self.array(path, (), "SO").item())

    def texts(self, path: str, shape: Shape = (None,)) -> list[str]:
        """Read texts; those of an array with several dimensions row after row."""
        return [self._decoded(path, value) for value in self.array(path, shape, "SO").ravel().tolist()]

    def _decoded(self, path: str, value: object) -> str:
        if isinstance(value, bytes):
            try:
                return value.decode()
            except UnicodeDecodeError as error:
                self.refuse(path, f"bytes that are no UTF-8 ({error})", "text")
        if not isinstance(value, str):
            self.refuse(path, f"a {type(value).__name__}", "text")
        return value

    def _nearby(self, path: str) -> str:
        """What is there instead: the names of the deepest group on the way that exists."""
        parts = path.strip("/").split("/")
        for depth in range(len(parts) - 1, -1, -1):
            parent = "/".join(parts[:depth]) or "/"
            if parent in self._h5:
                names: list[Any] = list(self._h5[parent]) if hasattr(self._h5[parent], "keys") else []
                return f"nothing there ({parent} holds {some(names, 8) or 'nothing'})"
        return "nothing there"


def _text(shape: Shape) -> str:
    if shape is None:
        return "any"
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ("," * (len(shape) == 1)) + ")"
