"""Read untrusted HDF5 files: shapes and types are checked before reading, and errors name the place in the file."""

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

#: The sizes of the dimensions of a dataset, each a number or None for any; None for any number of dimensions.
Shape = Sequence[int | None] | None

#: Kinds of numbers in a file to what users call them.
_KINDS = {"f": "floats", "iu": "integers", "iuf": "numbers", "SO": "text"}

#: Soft links that are followed on the way to one object; a circle has more.
_MOST_LINKS = 16

#: More groups than any file is searched for.
_MOST_GROUPS = 100_000

#: More text than any column of labels holds.
_MOST_TEXT_BYTES = 64 << 20

#: No compression stores this many bytes as one; what is small is not looked at.
_MOST_COMPRESSED, _SMALL = 2000, 64 << 20

#: First bytes of files of other formats, the name of the format, and advice.
_FOREIGN = (
    (
        b"CDF\x01",
        _NETCDF3 := "a NetCDF-3 file, the older format, which is not HDF5. Convert it to NetCDF-4: "
        "xarray.open_dataset(FILE, engine='scipy').to_netcdf(NEW, engine='h5netcdf')",
    ),
    (b"CDF\x02", _NETCDF3),
    (b"CDF\x05", _NETCDF3),
    (b"PK\x03\x04", "a zip archive, as .npz, .xlsx and .zarr.zip files are"),
    (b"\x1f\x8b", "packed with gzip. Unpack it first"),
    (b"BZh", "packed with bzip2. Unpack it first"),
    (b"\xfd7zXZ", "packed with xz. Unpack it first"),
    (b"MATLAB 5.0", "a MATLAB file before version 7.3. Save it with -v7.3, or give arrays (Recording.from_arrays)"),
    (b"\x93NUMPY", "a NumPy file (.npy). Give arrays (Recording.from_arrays)"),
    (b"PAR1", "a Parquet table"),
    (b"<?xml", "an XML page, as servers answer instead of a file. Fetch it again"),
    (b"<!DOCTYPE", "a web page, as servers answer instead of a file. Fetch it again"),
    (b"<html", "a web page, as servers answer instead of a file. Fetch it again"),
    (b"version https://git-lfs", "a pointer of Git LFS. Fetch the file itself (git lfs pull)"),
)

#: What h5py raises for damage.
_DAMAGE = (
    *(OSError, RuntimeError, ValueError, KeyError, IndexError, TypeError, AttributeError, ArithmeticError),
    SystemError,
)


def foreign_format(file: Path) -> str:
    """Return the format of a file that is not HDF5, and advice, recognised by its first bytes; '' if it is unknown."""
    try:
        with file.open("rb") as opened:
            start = opened.read(32)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not start:
        return "is empty"
    return next((f"is {what}" for magic, what in _FOREIGN if start.startswith(magic)), "")


class Tree:
    """An open HDF5 file.

    Every read states what it expects. Otherwise a `MurineError` names the file, the path inside it, what was found and
    what was expected. Memory is allocated only after the declared size was checked. No other file is opened: external
    links, external storage and virtual datasets are refused.

    Parameters
    ----------
    file
        An HDF5 file, opened for reading.
    max_bytes
        Largest number of bytes of one read.

    Notes
    -----
    libhdf5 itself can crash or hang if *metadata* are damaged. So files whose digest was not verified are read in a
    separate process (`murine.io.isolation`).

    Examples
    --------
    >>> import h5py
    >>> import numpy as np
    >>> with h5py.File("rates.h5", "w") as file:
    ...     file["units/rates"] = np.ones((3, 5))
    >>> with Tree("rates.h5") as tree:
    ...     tree.names("units"), tree.array("units/rates", (None, 5)).shape
    (['rates'], (3, 5))
    """

    def __init__(self, file: str | Path, *, max_bytes: int = 2 << 30) -> None:
        import h5py

        self.file = Path(file)
        self.max_bytes = max_bytes
        if not self.file.is_file():
            raise MurineError(f"there is no file {str(file)!r}; expected an HDF5 file.")
        if foreign := foreign_format(self.file):
            raise MurineError(f"{str(file)!r} is no readable HDF5 file: it {foreign}.")
        try:
            self._h5 = h5py.File(self.file, "r")
        except (*_DAMAGE, MemoryError) as error:
            raise MurineError(
                f"{str(file)!r} is no readable HDF5 file ({error}); it may be truncated, or of another format."
            ) from error

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
        except _DAMAGE as error:
            self.refuse(path, f"something unreadable ({error})", expected)
        except MemoryError:
            self.refuse(path, "more than the memory holds", expected)

    def __contains__(self, path: str) -> bool:
        with self._reading(path, "a group or dataset, or nothing"):
            return self._find(path) is not None

    def nwb_2(self) -> str:
        """Return the version of a file in NWB 2 (Neurodata Without Borders), '' for others.

        NWB 2 holds it as an attribute of the file, NWB 1 does not.
        """
        with self._reading("nwb_version", "a version, or nothing"):
            stored = self._h5.attrs.get("nwb_version", "")
        return stored.decode(errors="replace") if isinstance(stored, bytes) else str(stored)

    def names(self, path: str) -> list[str]:
        """Return the names in a group; an empty list if there is no group."""
        import h5py

        with self._reading(path, "a group"):
            found = self._find(path)
            if found is None:
                return []
            if not isinstance(found, h5py.Group):
                self.refuse(path, f"a {type(found).__name__.lower()}", "a group")
            return _names(found)

    def groups(self) -> Iterator[str]:
        """Return the path of every group, parents first; links are not followed, and each group comes once."""
        import h5py

        ahead, seen = [("", self._h5["/"])], set()
        while ahead:
            path, group = ahead.pop()
            with self._reading(path or "/", "a group"):
                address = h5py.h5o.get_info(group.id).addr
                if address in seen:  # hard links in a circle
                    continue
                seen.add(address)
                if len(seen) > _MOST_GROUPS:
                    self.refuse("/", f"more than {_MOST_GROUPS:,} groups", "fewer")
                if path:
                    yield path
                for name in reversed(_names(group)):
                    kind = group.id.links.get_info(name.encode()).type
                    if kind == h5py.h5l.TYPE_HARD and isinstance(inner := group[name], h5py.Group):
                        ahead.append((f"{path}/{name}", inner))

    def attribute(self, path: str, name: str) -> Any:
        """Return an attribute of the object at a path: text as str, other values as in h5py; None if there is none."""
        with self._reading(path, f"an attribute {name!r}, or none"):
            found = self._find(path)
            value = None if found is None else found.attrs.get(name)
            return value.decode(errors="replace") if isinstance(value, bytes) else value

    def referred(self, path: str, name: str) -> str:
        """Return the path of the object of this file that an attribute refers to; '' where it refers to none."""
        import h5py

        reference = self.attribute(path, name)
        if not isinstance(reference, h5py.Reference) or not reference:
            return ""
        with self._reading(path, f"an attribute {name!r} that refers to an object"):
            return str(self._h5[reference].name or "")

    def _find(self, path: str) -> h5py.Group | h5py.Dataset | h5py.Datatype | None:
        """Open the object at a path; None if there is none.

        Each step of the path is checked, so that no link leads out of the file.
        """
        import h5py

        found = self._h5["/"]
        ahead = _steps(path)
        n_links = 0
        while ahead:
            if not isinstance(found, h5py.Group):
                return None
            name = ahead.pop().encode()
            if not found.id.links.exists(name):
                return None
            kind = found.id.links.get_info(name).type
            if kind == h5py.h5l.TYPE_HARD:
                found = found[name]
            elif kind == h5py.h5l.TYPE_SOFT:
                n_links += 1
                if n_links > _MOST_LINKS:
                    self.refuse(path, "links in a circle", "an object, or a link to one")
                target = found.id.links.get_val(name).decode()
                ahead += _steps(target)
                found = self._h5["/"] if target.startswith("/") else found
            else:
                self.refuse(path, "a link to another file", "an object of this file")
        return found

    def dataset(self, path: str, shape: Shape, kind: str = "iuf") -> h5py.Dataset:
        """Find a dataset of a shape (None: any size) and a kind of dtype (NumPy's letters), without reading it."""
        import h5py

        expected = f"a dataset of {_KINDS.get(kind, kind)} of shape {_text(shape)}"
        with self._reading(path, expected):
            found = self._find(path)
            if found is None:
                self.refuse(path, self._nearby(path), expected)
            if not isinstance(found, h5py.Dataset):
                self.refuse(path, f"a {type(found).__name__.lower()}", expected)
            # This check comes before the shape is read, because the shape of a virtual dataset can depend on other
            # files.
            if found.is_virtual or found.external:
                self.refuse(path, "data that are kept in other files", expected)
            fits = shape is None or (
                len(found.shape or ()) == len(shape)
                and all(wanted in (None, size) for wanted, size in zip(shape, found.shape, strict=True))
            )
            wide = found.dtype.kind == "f" and found.dtype.itemsize > 8  # than what SciPy and this program know
            if found.shape is None or not fits or found.dtype.kind not in kind or wide:
                self.refuse(path, f"{found.dtype} of shape {found.shape}", expected)
            if found.dtype.kind == "O" and h5py.check_string_dtype(found.dtype) is None:
                self.refuse(path, "references, or lists of varying length", expected)
            size = math.prod(found.shape) * found.dtype.itemsize
            if size > _SMALL and size > _MOST_COMPRESSED * (stored := found.id.get_storage_size()):
                self.refuse(path, f"{found.shape} of {found.dtype}, for which {stored:,} bytes are stored", expected)
            chunk = math.prod(found.chunks or (0,)) * found.dtype.itemsize
            if chunk > self.max_bytes:  # one is the least that can be read
                self.refuse(path, f"pieces of {chunk:,} bytes", f"pieces of at most {self.max_bytes:,}")
            return found

    def is_dataset(self, path: str, shape: Shape, kind: str = "iuf") -> bool:
        """Whether there is a dataset of a shape and a kind of dtype at a path."""
        try:
            self.dataset(path, shape, kind)
        except MurineError:
            return False
        return True

    def array(self, path: str, shape: Shape, kind: str = "iuf") -> np.ndarray:
        """Read a whole dataset of numbers as it is stored, without a cast."""
        return self.read(path, self.dataset(path, shape, kind))

    def read(self, path: str, dataset: h5py.Dataset, *part: slice) -> np.ndarray:
        """Read a dataset, or a part of it (a slice for each of its first dimensions); refuses what would take more than
        ``max_bytes``.
        """
        with self._reading(path, "readable data"):
            sizes = [len(range(*piece.indices(size))) for piece, size in zip(part, dataset.shape, strict=False)]
            n_bytes = math.prod([*sizes, *dataset.shape[len(sizes) :]]) * dataset.dtype.itemsize
            if n_bytes > self.max_bytes:
                self.refuse(
                    path, f"{dataset.shape} of {dataset.dtype}, {n_bytes:,} bytes", f"at most {self.max_bytes:,}"
                )
            return np.asarray(dataset[part])

    def text(self, path: str) -> str:
        """Read one text, stored with fixed or variable length."""
        return self._decoded(path, self._texts(path, ()).item())

    def texts(self, path: str, shape: Shape = (None,)) -> list[str]:
        """Read texts; those of an array with several dimensions row after row."""
        return [self._decoded(path, value) for value in self._texts(path, shape).ravel().tolist()]

    def _texts(self, path: str, shape: Shape) -> np.ndarray:
        dataset = self.dataset(path, shape, "SO")
        size = math.prod(dataset.shape) * dataset.dtype.itemsize
        if size > _MOST_TEXT_BYTES:
            self.refuse(path, f"{dataset.shape} of {dataset.dtype}, {size:,} bytes", f"at most {_MOST_TEXT_BYTES:,}")
        return self.read(path, dataset)

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
        import h5py

        parts = path.strip("/").split("/")
        for depth in range(len(parts) - 1, -1, -1):
            parent = "/".join(parts[:depth]) or "/"
            found = self._find(parent)
            if found is not None:
                names = _names(found) if isinstance(found, h5py.Group) else []
                return f"nothing there ({parent} holds {some(names, 8) or 'nothing'})"
        return "nothing there"


def look_through(file: Path, max_bytes: int) -> None:
    """Visit what a library will visit that opens a flat file: variables, their attributes, texts and indices of data.

    Raises
    ------
    MurineError
        If something is damaged, kept in another file, or labels (fewer than three dimensions) take more than
        ``max_bytes``.

    Notes
    -----
    Where damage makes libhdf5 crash or never end, it does so here: call it with `murine.io.isolation.read_apart`.
    """
    with Tree(file, max_bytes=max_bytes) as tree:
        for key in tree.names("/"):
            found = tree.dataset(key, None, "biufSO")
            with tree._reading(key, "readable attributes and data"):
                for name in found.attrs:
                    found.attrs[name]
                if found.chunks is not None:
                    found.id.get_num_chunks()
            if found.ndim < 3 and found.size * found.dtype.itemsize > max_bytes:
                tree.refuse(key, f"labels of shape {found.shape}", f"at most {max_bytes:,} bytes")
            if found.dtype.kind == "O":  # texts, which lie in heaps of their own
                tree.read(key, found)
        with tree._reading("/", "readable attributes"):
            dict(tree._h5.attrs)


def _steps(path: str) -> list[str]:
    """The names on a path, the first one last."""
    return [step for step in path.split("/") if step not in ("", ".")][::-1]


def _names(group: h5py.Group) -> list[str]:
    """The names in a group; h5py gives bytes where they are no text."""
    names: list[Any] = list(group)
    return [name.decode(errors="backslashreplace") if isinstance(name, bytes) else str(name) for name in names]


def _text(shape: Shape) -> str:
    if shape is None:
        return "any"
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ("," * (len(shape) == 1)) + ")"
