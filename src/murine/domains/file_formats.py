"""Readers of the formats of published digits: idx, Matlab, libsvm, Semeion's table, and archives of pictures."""

from __future__ import annotations

import bz2
import gzip
import io
import re
import struct
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int64, UInt8
from numpy.typing import NDArray

from murine.errors import MurineError

#: Largest number of bytes that a file may unpack to (SynDigits' training images take 1.5e9).
_MOST = 4 << 30

#: Number of pixels of an image of USPS or Semeion.
_PIXELS = 16 * 16


@contextmanager
def _readable(file: Path, kind: str) -> Iterator[None]:
    """Turn any exception of a parser into a `MurineError` with the name of the file."""
    try:
        yield
    except FileNotFoundError:
        raise MurineError(f"there is no file {str(file)!r}.") from None
    except MurineError:
        raise
    except Exception as error:  # of what scipy.io, tarfile and Pillow raise there is no end
        raise MurineError(f"{str(file)!r} is no readable {kind} ({error}); it may be damaged or truncated.") from error


def read_idx(file: Path) -> UInt8[np.ndarray, "..."]:
    """Read an idx file of bytes, gzipped or not: images (n, height, width) or labels (n,).

    Two zero bytes, the type (8: unsigned bytes), the number of dimensions, each dimension as a big-endian 32-bit
    number, the data.
    """
    with _readable(file, "idx file"):
        content = file.read_bytes()
        if content[:2] == b"\x1f\x8b":
            with gzip.open(file) as stream:
                content = _bounded(stream)
        if len(content) < 4 or content[:2] != b"\0\0":
            raise ValueError("it does not begin as one")
        kind, n_dimensions = content[2:4]
        if kind != 8 or not 1 <= n_dimensions <= 3:
            raise ValueError(f"it holds numbers of type {kind} in {n_dimensions} dimensions; expected bytes in 1 to 3")
        start = 4 + 4 * n_dimensions
        shape = struct.unpack(f">{n_dimensions}I", content[4:start])
        if int(np.prod(shape, dtype=object)) != len(content) - start:
            raise ValueError(f"it holds {len(content) - start} bytes for {shape}")
        return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read_mat(file: Path) -> tuple[UInt8[np.ndarray, "n 32 32 3"], Int64[np.ndarray, " n"]]:
    """Read SVHN's Matlab files: ``X`` (32, 32, 3, n) and ``y`` (n, 1) with 10 for the digit 0."""
    from scipy.io import loadmat

    with _readable(file, "Matlab file"):
        content = loadmat(file, variable_names=("X", "y"))
        images, labels = content.get("X"), content.get("y")
        if images is None or images.dtype != np.uint8 or images.ndim != 4 or images.shape[:3] != (32, 32, 3):
            raise ValueError(f"X is {'missing' if images is None else f'{images.dtype} {images.shape}'}")
        if labels is None or labels.size != images.shape[3]:
            raise ValueError(f"y is {'missing' if labels is None else labels.shape} for {images.shape[3]} images")
        digits = _whole(labels.ravel())
        if not 0 <= digits.min() <= digits.max() <= 10:
            raise ValueError(f"y goes from {digits.min()} to {digits.max()}")
        return images.transpose(3, 0, 1, 2), digits % 10


def read_libsvm(file: Path) -> tuple[Float[np.ndarray, "n 16 16"], Int64[np.ndarray, " n"]]:
    """Read USPS as libsvm has it, packed with bzip2: lines of ``label 1:value ... 256:value``.

    Labels are 1 .. 10 for the digits 0 .. 9; values are -1 (black) .. 1 (white), made 0 .. 1 here. What is not written
    is 0, as the format has it.
    """
    with _readable(file, "libsvm file"):
        with bz2.open(file) as stream:
            lines = _bounded(stream).decode("ascii").splitlines()
        images, labels = np.zeros((len(lines), _PIXELS)), np.empty(len(lines))
        for i, line in enumerate(lines):
            label, *pairs = line.split()
            places, values = zip(*(pair.split(":") for pair in pairs), strict=True)
            images[i, np.array(places, dtype=np.int64) - 1] = np.array(values, dtype=np.float64)
            labels[i] = float(label)
        if not lines or not (np.isfinite(images).all() and np.abs(images).max() <= 1):
            raise ValueError("its values are not between -1 and 1")
        digits = _whole(labels) - 1
        if not 0 <= digits.min() <= digits.max() <= 9:
            raise ValueError(f"its labels go from {digits.min() + 1} to {digits.max() + 1}; expected 1 to 10")
        return (images.reshape(-1, 16, 16) + 1) / 2, digits


def read_semeion(file: Path) -> tuple[UInt8[np.ndarray, "n 16 16"], Int64[np.ndarray, " n"]]:
    """Read Semeion: lines of 256 pixels (0 or 1) and ten numbers of which one is 1, at the place of the digit."""
    with _readable(file, "table of Semeion"):
        table = np.loadtxt(file, ndmin=2)
        pixels, marks = table[:, :_PIXELS], table[:, _PIXELS:]
        if marks.shape[1] != 10 or not (np.isin(table, (0, 1)).all() and (marks.sum(axis=1) == 1).all()):
            raise ValueError(f"expected lines of 256 pixels, 0 or 1, and one 1 among ten; found {table.shape}")
        return pixels.reshape(-1, 16, 16).astype(np.uint8), marks.argmax(axis=1).astype(np.int64)


def read_pictures(file: Path, part: str) -> tuple[UInt8[np.ndarray, "n 32 32 3"], Int64[np.ndarray, " n"]]:
    """Read one part of MNIST-M as its authors publish it, pictures in a packed archive.

    ``mnist_m/mnist_m_PART_labels.txt`` has lines of ``name label``; the pictures are in ``mnist_m/mnist_m_PART/``.
    Nothing is unpacked to the disk.
    """
    from PIL import Image

    folder = f"mnist_m_{part}"
    with _readable(file, "archive of MNIST-M"), tarfile.open(file, "r:gz") as archive:
        pictures: dict[str, NDArray[np.uint8]] = {}
        listing = ""
        for member in archive:
            *_, parent, name = ("", *member.name.split("/"))
            if not member.isfile() or member.size > 1 << 24 or name.startswith("."):
                continue
            if name == f"{folder}_labels.txt":
                listing = _content(archive, member).decode("ascii")
            elif parent == folder:
                picture = Image.open(io.BytesIO(_content(archive, member)))
                pictures[name] = np.asarray(picture.convert("RGB"))
        rows = [line.split() for line in listing.splitlines()]
        if not rows or any(len(row) != 2 or not re.fullmatch("[0-9]", row[1]) for row in rows):
            raise ValueError(f"it has no list of labels {folder}_labels.txt, or a line of it is no name and digit")
        if missing := [name for name, _ in rows if name not in pictures]:
            raise ValueError(f"{len(missing)} pictures are missing, as {missing[0]}")
        if any(pictures[name].shape != (32, 32, 3) for name, _ in rows):
            raise ValueError("a picture is not 32 x 32")
        return np.stack([pictures[name] for name, _ in rows]), np.array([int(label) for _, label in rows])


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    opened = archive.extractfile(member)
    return opened.read() if opened else b""


def _bounded(stream: gzip.GzipFile | bz2.BZ2File) -> bytes:
    """Return the content of a packed file; refuse more than `_MOST` bytes."""
    content = stream.read(_MOST + 1)
    if len(content) > _MOST:
        raise ValueError(f"it unpacks to more than {_MOST:,} bytes")
    return content


def _whole(numbers: NDArray[Any]) -> NDArray[np.int64]:
    if not (np.isfinite(numbers).all() and (numbers == np.rint(numbers)).all()):
        raise ValueError("a label is not a whole number")
    return numbers.astype(np.int64)
