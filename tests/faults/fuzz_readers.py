"""Damage files in many ways and read them: every reader must either read or refuse with one clear error.

    python tests/faults/fuzz_readers.py --n 2000 --seed 0

prints what it counted, exits with 1 if there was a defect, and keeps the files of those. One damaged file follows from
the seed and its number alone (``--only 17`` makes it again). A defect is an exception other than MurineError, a
MurineError that does not say which file (and for HDF5 what was expected), a crash or a hang outside the HDF5 library,
more than 2 GB of memory, or anything unpickled.

Files are read in a process as `murine.io.isolation` makes them for files that nobody has verified. Where the HDF5
library itself crashes or hangs in it, that is counted as contained: its user sees one MurineError.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "helpers"))

from murine.errors import MurineError
from murine.io.isolation import Crashed, Isolated

with suppress(ImportError):  # xarray imports it where it is installed, and its functions are unpickled then
    import dask.delayed  # noqa: F401

Rng = np.random.Generator

MEMORY = 2 << 30
"""Bytes that a reader may take."""
MOST_RESIDENT = 2_000_000_000
"""Bytes of memory that it may touch."""


# ------------------------------------------------------------------------------------------------------- readers


def read_two_photon(path: Path) -> None:
    from murine.cortex.allen.reduction import read_recording

    events = path.parent / "events.npz"
    signal = ("corrected", "dff", "events")[sum(path.name.encode()) % 3]
    read_recording(path, events=events, signal=signal, isolated=False)


def read_two_photon_events(path: Path) -> None:
    from murine.cortex.allen.reduction import read_recording

    read_recording(path.parent / "plain.nwb", events=path, signal="events", isolated=False)


def read_scenes(path: Path) -> None:
    """The images in a two-photon file."""
    from murine.cortex.allen.ophys import Experiment
    from murine.cortex.allen.templates import scene_images

    with Experiment(path) as experiment:
        scene_images(experiment.scene_template())


def read_neuropixels(path: Path) -> None:
    from murine.cortex.allen.neuropixels import read_session

    read_session(path, isolated=False)


def read_catalogue(path: Path) -> None:
    from murine.cortex.allen.catalogue import Catalogue

    catalogue = Catalogue.read(path.parent, cells=True)
    catalogue.summary()
    catalogue.select(session_type=(), failed=True).experiments.to_csv(os.devnull)


def read_csv(path: Path) -> None:
    from murine.cortex.allen.neuropixels_tables import read_tables

    read_tables(path.parent).natural_scene_sessions(["VISp"])


def read_tiff(path: Path) -> None:
    from murine.cortex.allen.templates import tiff_images

    tiff_images(path.parent)


def read_arrays(path: Path) -> None:
    from murine.io.files import read_npz

    read_npz(path, max_bytes=1 << 30)


def read_netcdf(path: Path) -> None:
    from murine.cortex.recording import Recording

    recording = Recording.read(path, isolated=False)
    repr((recording.digest, recording.mean()))


@dataclass
class Attempt:
    """What came of reading one file."""

    state: str
    """``read``, ``refused``, or ``defect``."""
    text: str = ""
    peak: int = 0
    warned: list[str] = field(default_factory=list)


_reading: list[str] = []
"""What was unpickled while a file was read; None of it may be."""
_watched = [False, False]
"""Whether the hook is there, and whether a file is being read."""


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched[1] and event == "pickle.find_class":
        _reading.append(repr(arguments))


def attempt(read: Callable[[Path], None], path: Path) -> Attempt:
    """Read a file, in a process of its own, and say what came of it."""
    if not _watched[0]:
        sys.addaudithook(_watch)
        logging.disable()
        _watched[0] = True
    _reading.clear()
    _clear_peak()
    _watched[1] = True
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            read(path)
            result = Attempt("read")
        except MurineError as error:
            result = Attempt("refused", str(error))
        except MemoryError:
            raise
        except Exception:
            result = Attempt("defect", "\n".join(traceback.format_exc().splitlines()[-7:]))
        finally:
            _watched[1] = False
    if _reading:
        result = Attempt("defect", f"unpickled {_reading}")
    result.peak = _peak()
    result.warned = sorted({f"{Path(w.filename).name}:{w.lineno}: {w.message}" for w in warned})
    return result


def _clear_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return 1024 * int(found[1])


# ------------------------------------------------------------------------------------------------------- damage


def damaged_bytes(rng: Rng, content: bytes, places: np.ndarray) -> tuple[bytes, str]:
    """Damage a file's bytes; ``places`` are where to (for example its metadata)."""
    data = bytearray(content)
    how = str(rng.choice(["bits", "bits", "run", "cut", "zeros", "double", "move", "length", "length", "length"]))
    at = int(rng.choice(places))
    if how == "bits":
        for place in rng.choice(places, int(rng.choice([1, 1, 2, 8, 32]))):
            data[place] ^= 1 << int(rng.integers(8))
    elif how == "run":
        size = int(rng.integers(1, 64))
        data[at : at + size] = rng.bytes(size)
        del data[len(content) :]
    elif how == "cut":
        del data[at:]
    elif how == "zeros":
        size = int(rng.choice([4, 16, 64, 512, 4096]))
        data[at : at + size] = bytes(len(data[at : at + size]))
    elif how == "double":
        size = int(rng.choice([1, 8, 64, 512]))
        data[at:at] = data[at : at + size]
    elif how == "move":
        size, source = int(rng.choice([8, 24, 64, 512])), int(rng.choice(places))
        piece = data[source : source + size]
        data[at : at + len(piece)] = piece
    else:
        for place in rng.choice(places, int(rng.choice([1, 1, 4]))):
            width = int(rng.choice([1, 2, 4, 8]))
            place -= place % width
            value = [2 ** (8 * width) - 1, 2 ** (8 * width - 1) - 1, 2 ** (8 * width - 1), 2 ** (5 * width), 0, 1]
            data[place : place + width] = int(rng.choice(np.array(value, dtype=object))).to_bytes(width, "little")
        del data[len(content) :]
    return bytes(data), how


def metadata_places(path: Path) -> np.ndarray:
    """The bytes of an HDF5 file that are no data."""
    is_data = np.zeros(path.stat().st_size, dtype=bool)

    def mark(_: str, found: h5py.Dataset | h5py.Group) -> None:
        if not isinstance(found, h5py.Dataset):
            return
        if found.chunks is None:
            start = found.id.get_offset()
            if start is not None:
                is_data[start : start + found.id.get_storage_size()] = True
            return
        for i in range(found.id.get_num_chunks()):
            chunk = found.id.get_chunk_info(i)
            is_data[chunk.byte_offset : chunk.byte_offset + chunk.size] = True

    with h5py.File(path, "r") as file:
        file.visititems(mark)
    return np.flatnonzero(~is_data)


_DTYPES: tuple[Any, ...] = (
    *("f2", ">f4", "f8", "f16", "i1", "u8", ">i8", "c16", "?", "S3", "S70000", "V5"),
    *(h5py.string_dtype(), h5py.string_dtype("ascii"), h5py.vlen_dtype(np.int32), h5py.ref_dtype, h5py.regionref_dtype),
    *(np.dtype([("a", "f4"), ("b", "S2")]), h5py.enum_dtype({"A": 1, "B": 2}), np.dtype(("f4", (3,)))),
)
_SHAPES: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (1, 1), (0, 5), (3, 0), (2, 3, 4), (119,), (7, 2), (118, 0, 3))
_ODD = (np.nan, np.inf, -np.inf, -1.0, 0.0, 1e300, -1e300, 5e-324, 2.0**63, 0.5, 117, 118, 2**31)
_TEXTS = (
    b"",
    b"\xff\xfe",
    b"caf\xe9",
    b"\x00",
    b"x" * 100_000,
    "μ\u202e".encode(),
    b"-1",
    b"9" * 5000,
    b"1e400",
    b"\xed\xa0\x80",
    "٣".encode(),
)


def damaged_tree(rng: Rng, path: Path, names: list[str]) -> str:
    """Change a valid HDF5 file into another valid one that is not laid out as it should be."""
    done = []
    with h5py.File(path, "r+") as file:
        for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
            name = str(rng.choice(names))
            change = _CHANGES[int(rng.integers(len(_CHANGES)))]
            try:
                if name not in file:
                    continue
                change(rng, file, name)
                done.append(f"{change.__name__} {name}")
            except Exception:
                done.append(f"no {change.__name__} {name}")  # what h5py itself does not write
    return ", ".join(done)


def _replace(file: h5py.File, name: str, **options: Any) -> None:
    del file[name]
    file.create_dataset(name, **options)


def _remove(_: Rng, file: h5py.File, name: str) -> None:
    del file[name]


def _rename(rng: Rng, file: h5py.File, name: str) -> None:
    file.move(name, name + str(rng.choice(["2", " ", "\N{GREEK SMALL LETTER MU}"])))


def _misname(_: Rng, file: h5py.File, name: str) -> None:
    """A name beside it, and it too, that is no UTF-8."""
    parent, own = file[name].parent, name.rpartition("/")[2]
    for target in (b"\xff\xfe", own.encode() + b"\xe9"):
        parent.id.links.create_soft(target, b"nowhere")
    parent.id.links.move(own.encode(), parent.id, b"caf\xe9" + own.encode())


def _retype(rng: Rng, file: h5py.File, name: str) -> None:
    found, dtype = file[name], _DTYPES[int(rng.integers(len(_DTYPES)))]
    _replace(file, name, shape=found.shape, dtype=dtype)


def _cast(rng: Rng, file: h5py.File, name: str) -> None:
    """The same values, as another type."""
    values, dtype = file[name][()], str(rng.choice(["f2", ">f4", ">f8", "i2", "u1", "i8", "u8", "f16", "S20"]))
    _replace(file, name, data=np.asarray(values).astype(dtype))


def _reshape(rng: Rng, file: h5py.File, name: str) -> None:
    found = file[name]
    shape = _SHAPES[int(rng.integers(len(_SHAPES)))]
    _replace(file, name, shape=shape, dtype=found.dtype)


def _resize(rng: Rng, file: h5py.File, name: str) -> None:
    """One more or less in one dimension, with the values that there are."""
    values = np.asarray(file[name][()])
    axis = int(rng.integers(values.ndim))
    other = values.take(range(values.shape[axis] - 1), axis) if rng.random() < 0.5 else np.repeat(values, 2, axis)
    _replace(file, name, data=other)


def _turn(_: Rng, file: h5py.File, name: str) -> None:
    _replace(file, name, data=np.asarray(file[name][()]).T)


def _inflate(rng: Rng, file: h5py.File, name: str) -> None:
    """A huge shape without data, in the right number of dimensions where it can be."""
    found = file[name]
    n_dims = max(1, len(found.shape or ()))
    sizes = [2**20, 2**28, 2**31, 2**33, 2**62]
    shape = tuple(int(rng.choice(sizes[: 5 if k == 0 else 2])) for k in range(n_dims))
    if rng.random() < 0.4 and n_dims == len(found.shape):
        shape = (*found.shape[:-1], shape[-1])
    _replace(file, name, shape=shape, dtype=found.dtype, chunks=tuple(min(8, n) for n in shape))


def _lump(rng: Rng, file: h5py.File, name: str) -> None:
    """Chunks of up to 4 GB for a dataset of any size."""
    found = file[name]
    n_dims = max(1, len(found.shape or ()))
    shape = found.shape or (1,)
    size = int(rng.choice([2**24, 2**27, 2**29]))
    chunks = (*(1,) * (n_dims - 1), max(1, size // found.dtype.itemsize))
    values = np.asarray(found[()]).reshape(shape) if rng.random() < 0.2 and size == 2**24 else None
    options: dict[str, Any] = {"shape": shape, "dtype": found.dtype} if values is None else {"data": values}
    _replace(file, name, **options, chunks=chunks, maxshape=(None,) * n_dims, compression="gzip")


def _empty(_: Rng, file: h5py.File, name: str) -> None:
    found = file[name]
    _replace(file, name, data=h5py.Empty(found.dtype))


def _group(rng: Rng, file: h5py.File, name: str) -> None:
    is_group = isinstance(file[name], h5py.Group)
    del file[name]
    if is_group:
        file[name] = rng.random(5)
    else:
        file.create_group(name)


def _type(_: Rng, file: h5py.File, name: str) -> None:
    """A named datatype in its place."""
    del file[name]
    file[name] = np.dtype("f8")


def _circle(rng: Rng, file: h5py.File, name: str) -> None:
    parent = file[name].parent
    del file[name]
    how = int(rng.integers(4))
    if how == 0:
        file[name] = h5py.SoftLink("/" + name)
    elif how == 1:
        file[name], file["loop"] = h5py.SoftLink("/loop"), h5py.SoftLink("/" + name)
    elif how == 2:
        file[name] = parent  # a hard link to the group above
    else:
        file[name] = h5py.SoftLink("/" + name + "/deeper")


def _dangle(_: Rng, file: h5py.File, name: str) -> None:
    del file[name]
    file[name] = h5py.SoftLink("/nowhere/at all")


def _outside(rng: Rng, file: h5py.File, name: str) -> None:
    """The data of another file, in all of three ways."""
    found = file[name]
    shape, dtype = found.shape, found.dtype
    other = Path(file.filename).with_name("plain.nwb")
    how = int(rng.integers(3))
    if how == 0:
        del file[name]
        file[name] = h5py.ExternalLink(str(rng.choice([str(other), "/etc/passwd", "nowhere.h5"])), "/" + name)
    elif how == 1:
        layout = h5py.VirtualLayout(shape, dtype)
        layout[...] = h5py.VirtualSource(str(other), name, shape, dtype)
        del file[name]
        file.create_virtual_dataset(name, layout)
    else:
        _replace(file, name, shape=shape, dtype=dtype, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])


def _spoil(rng: Rng, file: h5py.File, name: str) -> None:
    """Odd values among the right ones."""
    values = np.asarray(file[name][()])
    if values.dtype.kind in "SO":
        text = _TEXTS[int(rng.integers(len(_TEXTS)))]
        data = np.full(values.shape, text, dtype=f"S{max(1, len(text))}")
        if rng.random() < 0.3:
            return _replace(file, name, data=data.astype(object), dtype=h5py.string_dtype())
        return _replace(file, name, data=data)
    flat = values.reshape(-1).copy()
    odd = np.array(_ODD)[rng.integers(len(_ODD), size=len(flat))]
    rows = rng.random(len(flat)) < float(rng.choice([1, 0.1, 1 / max(1, len(flat))]))
    with np.errstate(invalid="ignore", over="ignore"):
        flat[rows] = odd[rows].astype(flat.dtype) if rng.random() < 0.7 else odd[0].astype(flat.dtype)
    return _replace(file, name, data=flat.reshape(values.shape))


def _mix(rng: Rng, file: h5py.File, name: str) -> None:
    values = np.asarray(file[name][()])
    _replace(file, name, data=rng.permutation(values.reshape(-1)).reshape(values.shape))


_CHANGES = (
    *(_remove, _rename, _misname, _retype, _retype, _cast, _reshape, _resize, _turn, _inflate, _lump, _empty, _group),
    *(_type, _circle, _dangle, _outside, _spoil, _spoil, _spoil, _mix),
)


_RAW = "@@raw@@"
_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 2**70, 1.5, "", "x" * 10_000, [], {}, [[]], [None], {"": 1}, "\ud800", "\0", [{"a": {}}]),
    *(f"{_RAW}NaN", f"{_RAW}Infinity", f"{_RAW}1e999", f"{_RAW}{'[' * 200_000}", f"{_RAW}{'9' * 5000}", f"{_RAW}'x'"),
    *(f"{_RAW}{'9' * 4000}", f"{_RAW}{'[' * 900}{']' * 900}", "nan", "9999-99-99", "-1000-01-01T00:00:00Z", "1"),
)


def damaged_json(rng: Rng, content: bytes) -> tuple[bytes, str]:
    """Put odd values into a JSON text."""
    tree = json.loads(content)
    done = []
    for _ in range(int(rng.choice([1, 1, 2, 5]))):
        parent, key, node = None, None, tree
        depth = int(rng.integers(1, 7))
        while isinstance(node, (dict, list)) and node and depth:
            parent, depth = node, depth - 1
            key = list(node)[int(rng.integers(len(node)))] if isinstance(node, dict) else int(rng.integers(len(node)))
            node = node[key]
        if parent is None:
            continue
        how = str(rng.choice(["delete", "put", "put", "put", "double", "rename"]))
        done.append(f"{how} {key}")
        if how == "delete":
            del parent[key]
        elif how == "put":
            parent[key] = copy.deepcopy(_VALUES[int(rng.integers(len(_VALUES)))])  # more may be put into it
            done[-1] += f" {parent[key]!r:.20}"
        elif how == "double" and isinstance(parent, list):
            parent.append(copy.deepcopy(node))
        elif isinstance(parent, dict):
            parent[str(rng.choice(["container_id", "", "\ud800", str(key) + "_ns"]))] = copy.deepcopy(node)
    text = re.sub(rf'"{_RAW}(.*?)"', r"\1", json.dumps(tree))
    return text.encode(), ", ".join(done)


def damaged_table(rng: Rng, content: bytes) -> tuple[bytes, str]:
    """Put odd values into a csv table."""
    rows = [line.split(",") for line in content.decode().splitlines()]
    for _ in range(int(rng.choice([1, 1, 3, 20]))):
        row = rows[int(rng.integers(len(rows))) if rng.random() < 0.8 else 0]
        column = int(rng.integers(len(row)))
        how = str(rng.choice(["put", "put", "put", "delete", "more", "swap"]))
        odd = ["", "nan", "inf", "-1", "1e400", "9" * 400, "0.5", "x", '"', "\0", "é", "\n", "id", "1,2", "True", " "]
        if how == "put":
            row[column] = str(rng.choice(odd))
        elif how == "delete":
            del row[column]
        elif how == "more":
            row.append("1")
        else:
            rng.shuffle(row)
        rows = [row for row in rows if row]
    return "".join(",".join(row) + "\n" for row in rows).encode("utf-8", "replace"), "table"


class _Call:
    """What a pickle may do to its reader."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, ("exit 0",))


def damaged_arrays(rng: Rng, path: Path) -> str:
    """Rewrite an npz file with a header that lies, or with what is no numbers."""
    how = str(rng.choice(["header", "header", "pickle", "dtype", "name", "method", "twice", "bomb"]))
    with np.load(path) as arrays:
        values = arrays["ev"]
    if how == "pickle":
        odd = np.array([_Call(), None], dtype=object)
        np.savez(path, **{str(rng.choice(["ev", "more"])): odd}, **({} if rng.random() < 0.5 else {"other": values}))
    elif how == "dtype":
        dtype = str(rng.choice(["f2", ">f8", "i8", "c8", "?", "S4", "U3", "M8[s]", "f16", "u1"]))
        np.savez_compressed(path, ev=values.astype(dtype))
    elif how == "name":
        np.savez_compressed(path, **{str(rng.choice(["EV", "ev/", "../ev", "é", "ev.npy"])): values})
    elif how == "method":
        _zip(path, zipfile.ZIP_BZIP2 if rng.random() < 0.5 else zipfile.ZIP_LZMA, "ev.npy", _npy(values))
    elif how == "twice":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _zip(path, zipfile.ZIP_STORED, "ev.npy", b"no array", "a")
    elif how == "bomb":
        zeros = np.zeros((64 << 20) // 4, np.float32)
        _zip(path, zipfile.ZIP_DEFLATED, "ev.npy", _npy(zeros))
    else:
        shape = [values.shape, (2**60,), (2**31, 2**31), (-1, -5), (0, 2**62), (1.5,), ("a",), (True,), ()]
        descr = ["'<f4'", "'|O'", "'<f8'", "'|S0'", "[('a', '<f4', (1000000, 1000000))]", "'<f99'", "None", "'L'"]
        end = str(rng.choice([", ", ", ", ", 1: 2", "(" * 300, " \\d"]))
        order = str(rng.choice(["True", "False", "7", "0L"]))
        size = shape[int(rng.integers(len(shape)))]
        header = f"{{'descr': {rng.choice(descr)}, 'fortran_order': {order}, 'shape': {size}{end}}}\n".encode()
        start = b"\x93NUMPY" + bytes([int(rng.choice([1, 1, 2, 3, 9])), 0])
        length = len(header) if rng.random() < 0.8 else 65535
        _zip(path, zipfile.ZIP_DEFLATED, "ev.npy", start + length.to_bytes(2, "little") + header + values.tobytes())
    return how


def _npy(values: np.ndarray) -> bytes:
    import io

    whole = io.BytesIO()
    np.save(whole, values)
    return whole.getvalue()


def _zip(path: Path, method: int, name: str, content: bytes, mode: Literal["w", "a"] = "w") -> None:
    with zipfile.ZipFile(path, mode, method) as archive, archive.open(name, "w") as member:
        member.write(content)  # `writestr` would write the time of day


# ------------------------------------------------------------------------------------------------------- targets


@dataclass
class Target:
    """Files of one kind, and what reads them."""

    name: str
    read: Callable[[Path], None]
    files: list[Path]
    """Those that are damaged, one at a time; others lie beside them."""
    share: int
    """Of all files, in percent."""
    text: Callable[[Rng, bytes], tuple[bytes, str]] | None = None
    rewrite: Callable[[Rng, Path], str] | None = None
    places: dict[Path, tuple[np.ndarray, list[str]]] = field(default_factory=dict)
    """For HDF5: the bytes of each file's metadata, and the paths inside that matter."""

    @property
    def hdf5(self) -> bool:
        return bool(self.places)

    def damage(self, rng: Rng, path: Path, source: Path) -> str:
        """Write a damaged copy of a source."""
        content = source.read_bytes()
        chance = rng.random()
        if self.hdf5 and chance < 0.5:
            shutil.copyfile(source, path)
            return damaged_tree(rng, path, self.places[source][1])
        if self.text is not None and chance < 0.7:
            content, how = self.text(rng, content)
        elif self.rewrite is not None and chance < 0.6:
            shutil.copyfile(source, path)
            return self.rewrite(rng, path)
        else:
            places = np.arange(len(content))
            where = "anywhere"
            if self.hdf5 and chance < 0.9:
                places, where = self.places[source][0], "metadata"
            content, how = damaged_bytes(rng, content, places)
            how = f"{how} in {where}"
        path.write_bytes(content)
        return how


def targets(root: Path) -> list[Target]:
    """Write the valid files that are damaged, small ones of every kind."""
    from allen_files import Options, write_events, write_experiment, write_tree
    from neuropixels_files import small_session, write_session, write_tables, write_templates

    from murine.cortex.recording import Recording

    two_photon = root / "two-photon"
    two_photon.mkdir()
    small = Options(cells=4, repetitions=2, fewer=((17, 1),), lead_in=60, lead_out=60, late_running=20)
    write_events(two_photon / "events.npz", small)
    # Pipeline 0.9 has the older layout. The last is rewritten in the format of newer HDF5 libraries.
    kinds = {"plain": {}, "chunked": {"compression": "gzip", "dtype": "float64"}, "old": {"pipeline": "0.9"}}
    for name, options in kinds.items():
        write_experiment(two_photon / f"{name}.nwb", Options(**{**vars(small), **options}))
    with h5py.File(two_photon / "plain.nwb") as old, h5py.File(two_photon / "latest.nwb", "w", libver="latest") as new:
        for name in old:
            old.copy(name, new)
    nwb = [two_photon / f"{name}.nwb" for name in (*kinds, "latest")]
    neuropixels = root / "neuropixels"
    neuropixels.mkdir()
    session = small_session(n_repetitions=3)
    sessions = [write_session(neuropixels / "session.nwb", session)]
    tables = write_tables(root / "tables", [session])
    write_templates(root / "scenes")
    write_tree(root / "tree", [small], [_container()])
    catalogue = sorted((root / "tree" / "visual-coding-2p").glob("*_*s.json"))
    recording = root / "recording"
    recording.mkdir()
    rng = np.random.default_rng(0)
    labels = {"neuroid_id": range(40), "area": ["VISp"] * 20 + ["VISl"] * 20, "depth_um": rng.random(40)}
    stored = Recording.from_arrays(rng.random((40, 9, 4)), labels, {"stimulus_id": range(9)})
    recordings = [recording / "recording.nc"]
    stored.write(recordings[0])

    def hdf5(read: Callable[[Path], None], files: list[Path]) -> dict[Path, tuple[np.ndarray, list[str]]]:
        return {file: (metadata_places(file), looked_up(read, file)) for file in files}

    return [
        Target("two-photon NWB", read_two_photon, nwb, 40, places=hdf5(read_two_photon, nwb)),
        Target("two-photon scenes", read_scenes, nwb, 8, places=hdf5(read_scenes, nwb)),
        Target("Neuropixels NWB", read_neuropixels, sessions, 18, places=hdf5(read_neuropixels, sessions)),
        Target("catalogue", read_catalogue, catalogue, 12, text=damaged_json),
        Target("events of an NWB", read_two_photon_events, [two_photon / "events.npz"], 4, rewrite=damaged_arrays),
        Target("npz", read_arrays, [two_photon / "events.npz"], 5, rewrite=damaged_arrays),
        Target("recording", read_netcdf, recordings, 7, places=hdf5(read_netcdf, recordings)),
        Target("csv", read_csv, sorted(tables.glob("*.csv")), 4, text=damaged_table),
        Target("tiff", read_tiff, sorted((root / "scenes").glob("*.tiff")), 2),
    ]


def _container() -> Any:
    from allen_files import Container, Options

    return Container(Options().container, tags=("Epileptiform Events",))


def looked_up(read: Callable[[Path], None], file: Path) -> list[str]:
    """The paths in an HDF5 file that its reader asks for, with the groups on the way."""
    from murine.io.hdf5 import Tree

    asked: set[str] = set()
    find = Tree._find

    def note(tree: Tree, path: str) -> Any:
        asked.add(path.strip("/"))
        return find(tree, path)

    Tree._find = note
    try:
        read(file)
    finally:
        Tree._find = find
    with h5py.File(file) as opened:
        there = {path for path in asked if path and path in opened}
    above = {path.rsplit("/", k)[0] for path in there for k in (1, 2, 3)}
    return sorted(there) * 4 + sorted(above - there)


# ------------------------------------------------------------------------------------------------------- counting


@dataclass
class Tally:
    """What came of all files."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    defects: list[str] = field(default_factory=list)
    contained: list[str] = field(default_factory=list)
    warned: Counter[str] = field(default_factory=Counter)
    peak: int = 0

    @property
    def n(self) -> int:
        return sum(self.counts.values())


def judge(target: Target, path: Path, result: Attempt) -> str:
    """Why a result is a defect, '' if it is none."""
    if result.state == "defect":
        return result.text
    if result.peak > MOST_RESIDENT:
        return f"took {result.peak:,} bytes of memory: {result.text}"
    if result.state == "refused":
        if not any(name in result.text for name in (path.name, path.parent.name)):
            return f"does not tell the file: {result.text}"
        if target.hdf5 and not re.search("expected|is no readable|is damaged|may be damaged|none of its", result.text):
            return f"does not tell what was expected: {result.text}"
    return ""


def fuzz(n: int, seed: int, work: Path, kept: Path, seconds: float = 10.0, only: int | None = None) -> Tally:
    """Damage and read ``n`` files; those with a defect are kept."""
    kinds = targets(work)
    shares = np.array([target.share for target in kinds]) / sum(target.share for target in kinds)
    tally = Tally()
    with Isolated(MEMORY) as process:
        for index in range(n) if only is None else [only]:
            rng = np.random.default_rng([seed, index])
            target = kinds[int(rng.choice(len(kinds), p=shares))]
            source = target.files[int(rng.integers(len(target.files)))]
            # A single file is read under a name of its own; one of a folder takes the place of the whole one.
            alone = target.hdf5 or target.rewrite is not None
            path = source.with_name(f"damaged{index % 3}{source.suffix}") if alone else source
            whole = source.read_bytes()
            try:
                how = target.damage(rng, path, source)
                label = f"{index} ({target.name}, {source.name}, {how})"
                reason = _read(process, seconds, target, path, tally, label)
                if reason or only is not None:
                    kept.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, kept / f"{seed}-{index}-{source.name}")
                if reason:
                    tally.defects.append(f"{label}: {reason}")
            finally:
                path.unlink(missing_ok=True)
                source.write_bytes(whole)
    return tally


def _read(process: Isolated, seconds: float, target: Target, path: Path, tally: Tally, label: str) -> str:
    try:
        result = process.call(seconds, attempt, target.read, path)
    except Crashed as error:
        if not target.hdf5:
            tally.counts[target.name, "crashed"] += 1
            return str(error)
        tally.counts[target.name, "contained"] += 1
        tally.contained.append(f"{label}: {error}")
        return ""
    reason = judge(target, path, result)
    tally.counts[target.name, "defect" if reason else result.state] += 1
    tally.peak = max(tally.peak, result.peak)
    tally.warned.update(result.warned)
    return reason


def report(tally: Tally) -> None:
    """Print what was counted."""
    for name in dict.fromkeys(name for name, _ in tally.counts):
        states = {state: count for (target, state), count in sorted(tally.counts.items()) if target == name}
        print(f"{name:18} {sum(states.values()):6} files: {', '.join(f'{n} {state}' for state, n in states.items())}")
    for text, count in tally.warned.most_common():
        print(f"warned {count} times: {text:.200}")
    for text in tally.contained:
        print(f"contained: {text}")
    for text in tally.defects:
        print(f"DEFECT {text}")
    print(f"{tally.n} damaged files, {len(tally.defects)} defects, at most {tally.peak / 1e6:.0f} MB of memory")


def main() -> int:
    parser = argparse.ArgumentParser(description="Damage files and read them.")
    parser.add_argument("--n", type=int, default=2000, help="how many files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="one file, by its number")
    parser.add_argument("--seconds", type=float, default=10.0, help="limit of time for one file")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-defects"), help="where files with defects are kept")
    chosen = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        tally = fuzz(chosen.n, chosen.seed, Path(work), chosen.keep, chosen.seconds, chosen.only)
    report(tally)
    print(f"{time.monotonic() - start:.0f} s")
    return 1 if tally.defects else 0


if __name__ == "__main__":
    import fuzz_readers  # under its own name: the other process must find its functions

    sys.exit(fuzz_readers.main())
