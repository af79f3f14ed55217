"""HDF5 files read with suspicion: what is told in errors, and that no other file is ever opened."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

from murine.errors import MurineError
from murine.io.hdf5 import Tree

SECRET = 20160822.5


@pytest.fixture
def other(tmp_path):
    """Another file, in which nothing may be looked for."""
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["group/data"] = np.full(4, SECRET)
        file["text"] = "secret"
    return tmp_path / "other.h5"


@pytest.fixture
def file(tmp_path):
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/floats"] = rng.normal(size=(6, 4)).astype(np.float32)
        file["group/integers"] = np.arange(-3, 7)
        file.create_dataset("group/packed", data=rng.normal(size=(50, 8)), chunks=(7, 8), compression="gzip")
        file["group/truth"] = np.array([True, False])
        file["group/complex"] = np.ones(3, complex)
        file["long floats"] = np.ones(2, np.longdouble)
        file["texts/fixed"] = np.array(["a", "bcd"], dtype="S")
        file["texts/one"] = np.bytes_(b"175 microns")
        file["texts/greek"] = "\N{GREEK SMALL LETTER MU}m"
        file["texts/table"] = np.array([[b"a", b"b"], [b"c", b"d"]])
        file.create_dataset("texts/varying", data=["x", "\N{GREEK SMALL LETTER MU}", ""], dtype=h5py.string_dtype())
        file["texts/latin"] = np.bytes_(b"caf\xe9")
        file["empty"] = h5py.Empty("f8")
        file["none"] = np.zeros((0, 5))
        file["soft"] = h5py.SoftLink("/group")
        file["group/beside"] = h5py.SoftLink("floats")
        file["twice"] = h5py.SoftLink("soft/./beside")
        file["dangling"] = h5py.SoftLink("/group/nothing")
        file["named type"] = np.dtype("f8")
        file.create_dataset("references", data=[file["group"].ref], dtype=h5py.ref_dtype)
        file.create_dataset("lists", shape=(2,), dtype=h5py.vlen_dtype(np.int32))
    return tmp_path / "a.h5"


@pytest.fixture
def tree(file):
    with Tree(file) as tree:
        yield tree


def refused(call, *arguments: object) -> str:
    with pytest.raises(MurineError) as error:
        call(*arguments)
    return str(error.value)


def test_values_come_as_they_are_stored(tree, file):
    with h5py.File(file) as plain:
        for path in ("group/floats", "group/integers", "group/packed"):
            values = plain[path][()]
            found = tree.array(path, (None,) * values.ndim)
            assert (found.dtype, found.tobytes()) == (values.dtype, values.tobytes())
        rows = tree.read("group/packed", tree.dataset("group/packed", (50, None), "f"), slice(10, 30, 3))
        assert np.array_equal(rows, plain["group/packed"][10:30:3])
    assert tree.array("none", (None, 5)).shape == (0, 5)
    assert tree.array("/group//floats/", (6, 4)).shape == (6, 4)


def test_texts_of_every_kind(tree):
    assert tree.texts("texts/fixed") == ["a", "bcd"]
    assert tree.text("texts/one") == "175 microns"
    assert tree.text("texts/greek") == "\N{GREEK SMALL LETTER MU}m"
    assert tree.texts("texts/table", None) == ["a", "b", "c", "d"]
    assert tree.texts("texts/varying", (3,)) == ["x", "\N{GREEK SMALL LETTER MU}", ""]


def test_what_is_there_and_what_is_not(tree):
    for path in ("group", "group/floats", "texts/one", "empty", "named type", "soft/floats", "twice", "/"):
        assert path in tree, path
    for path in ("groups", "group/float", "group/floats/data", "texts/one/a", "dangling", "nothing/at/all"):
        assert path not in tree, path
    assert tree.names("texts") == ["fixed", "greek", "latin", "one", "table", "varying"]
    assert tree.names("soft")[:2] == ["beside", "complex"]
    assert tree.names("nowhere") == tree.names("dangling") == []


def test_soft_links_are_followed_inside_the_file(tree):
    expected = tree.array("group/floats", (6, 4))
    for path in ("soft/floats", "group/beside", "twice", "soft/beside"):
        assert np.array_equal(tree.array(path, (6, 4)), expected)


@pytest.mark.parametrize(
    ("path", "shape", "kind", "found", "expected"),
    [
        ("group/floats", (None,), "f", "float32 of shape (6, 4)", "a dataset of floats of shape (any,)"),
        ("group/floats", (6, 5), "iuf", "float32 of shape (6, 4)", "a dataset of numbers of shape (6, 5)"),
        ("group/floats", (None, 4, None), "f", "float32 of shape (6, 4)", "of shape (any, 4, any)"),
        ("group/floats", (6, 4), "iu", "float32 of shape (6, 4)", "a dataset of integers"),
        ("group/integers", None, "SO", "int64 of shape (10,)", "a dataset of text of shape any"),
        ("group/truth", (2,), "iuf", "bool of shape (2,)", "numbers"),
        ("group/complex", (3,), "iuf", "complex128 of shape (3,)", "numbers"),
        pytest.param(
            *("long floats", (2,), "iuf", f"{np.dtype(np.longdouble)} of shape (2,)", "numbers"),
            marks=pytest.mark.skipif(np.dtype(np.longdouble).itemsize <= 8, reason="no longer floats here"),
        ),
        ("empty", None, "f", "float64 of shape None", "floats"),
        ("group", (None,), "f", "a group", "a dataset of floats"),
        ("named type", (None,), "f", "a datatype", "a dataset of floats"),
        ("group/other", (None,), "f", "nothing there (group holds beside, complex, floats", "a dataset of floats"),
        ("groups/other/more", (None,), "f", "nothing there (/ holds dangling, empty, group,", "a dataset of floats"),
        ("group/floats/more", (None,), "f", "nothing there (group/floats holds nothing)", "a dataset of floats"),
        ("dangling", (None,), "f", "nothing there (/ holds", "a dataset of floats"),
        ("references", (None,), "SO", "references, or lists of varying length", "a dataset of text"),
        ("lists", (None,), "SO", "references, or lists of varying length", "a dataset of text"),
    ],
)
def test_errors_tell_file_path_found_and_expected(tree, file, path, shape, kind, found, expected):
    for read in (tree.dataset, tree.array):
        text = refused(read, path, shape, kind)
        assert text.startswith(f"{str(file)!r}, {path}: found {found}")
        assert re.search(rf"; expected .*{re.escape(expected)}", text)


def test_text_that_is_none(tree):
    assert "texts/latin: found bytes that are no UTF-8 ('utf-8' codec can't decode byte 0xe9" in refused(
        tree.text, "texts/latin"
    )
    assert "found |S3 of shape (2,); expected a dataset of text of shape ()" in refused(tree.text, "texts/fixed")
    assert "found float32 of shape (6, 4); expected a dataset of text" in refused(tree.texts, "group/floats", None)
    assert "texts: found a group" in refused(tree.text, "texts")
    assert "group/floats: found a dataset; expected a group" in refused(tree.names, "group/floats")


def test_names_that_are_no_text(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/good"] = 1.0
        group = file["group"]
        group.id.links.create_soft(b"caf\xe9", b"/group/good")
    with Tree(tmp_path / "a.h5") as tree:
        assert tree.names("group") == ["caf\\xe9", "good"]
        assert "group holds caf\\xe9, good" in refused(tree.array, "group/bad", ())


@pytest.mark.parametrize("target", ["/a", "/b", "/b/c", "a", "./a", "/a/a/a"])
def test_links_in_circles_end(target, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"], file["b"] = h5py.SoftLink(target), h5py.SoftLink("/a")
    with Tree(tmp_path / "a.h5") as tree:
        for call in ((tree.array, "a", ()), (tree.text, "b"), (tree.names, "a"), (tree.__contains__, "b")):
            assert "found links in a circle" in refused(*call)


def test_groups_in_circles_are_paths_like_others(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a/data"] = np.arange(3)
        file["a/again"] = file["a"]
    with Tree(tmp_path / "a.h5") as tree:
        assert tree.array("a/" + "again/" * 50 + "data", (3,)).tolist() == [0, 1, 2]


def _opened(tmp_path: Path) -> set[str]:
    """The files of the folder that this process has open."""
    links = [Path("/proc/self/fd") / name.name for name in Path("/proc/self/fd").iterdir()]
    return {link.readlink().name for link in links if link.exists() and link.readlink().parent == tmp_path}


@pytest.mark.parametrize("way", ["dataset", "group", "above", "behind a soft link", "chain"])
@pytest.mark.parametrize("name", ["other.h5", "absolute", "missing.h5", "/etc/passwd"])
def test_links_to_other_files_are_not_followed(way, name, other, tmp_path):
    target = str(other) if name == "absolute" else name
    file = tmp_path / "a.h5"
    with h5py.File(file, "w") as opened:
        path, there = {
            "dataset": ("data", "/group/data"),
            "group": ("data", "/group"),
            "above": ("outside/group/data", "/"),
            "behind a soft link": ("data", "/group/data"),
            "chain": ("data", "/group/data"),
        }[way]
        link = h5py.ExternalLink(target, there)
        opened[{"above": "outside", "behind a soft link": "outside", "chain": "outside"}.get(way, "data")] = link
        if way in ("behind a soft link", "chain"):
            opened["data"] = h5py.SoftLink("/more" if way == "chain" else "/outside")
            opened["more"] = h5py.SoftLink("outside")
    with Tree(file) as tree:
        for call in ((tree.array, path, None), (tree.text, path), (tree.names, path), (tree.__contains__, path)):
            text = refused(*call)
            assert text.startswith(f"{str(file)!r}, {path}: found a link to another file; expected")
            assert str(SECRET) not in text
        assert _opened(tmp_path) == {"a.h5"}
    if name in ("other.h5", "absolute") and way == "dataset":
        with h5py.File(file) as plain:
            assert plain["data"][0] == SECRET  # h5py itself follows it


def test_data_kept_in_other_files_are_not_read(other, tmp_path):
    file = tmp_path / "a.h5"
    raw = tmp_path / "raw"
    raw.write_bytes(np.full(4, SECRET).tobytes())
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource(str(other), "group/data", (4,), "f8")
    growing = h5py.VirtualLayout((4,), "f8", maxshape=(None,))
    growing[: h5py.h5s.UNLIMITED] = h5py.VirtualSource(str(other), "group/data", (4,), "f8", maxshape=(None,))[
        : h5py.h5s.UNLIMITED
    ]
    with h5py.File(file, "w") as opened:
        opened.create_virtual_dataset("virtual", layout)
        opened.create_virtual_dataset("growing", growing)
        opened.create_dataset("external", (4,), "f8", external=[(str(raw), 0, 32)])
    with h5py.File(file) as plain:
        assert plain["virtual"][0] == plain["external"][0] == SECRET
    with Tree(file) as tree:
        for path in ("virtual", "growing", "external"):
            text = refused(tree.array, path, (4,))
            assert f"{path}: found data that are kept in other files; expected a dataset of numbers" in text
        assert _opened(tmp_path) == {"a.h5"}


def test_links_of_unknown_kinds_are_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = h5py.ExternalLink("other.h5", "/x")
    content = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "b.h5").write_bytes(content.replace(b"other.h5", b"\xff" * 8))
    with Tree(tmp_path / "b.h5") as tree:
        assert "data: found" in refused(tree.array, "data", ())


def test_shapes_without_data_take_no_memory(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("long", (2**40,), "f8", chunks=(8,))
        file.create_dataset("wide", (150, 2**28), "f4", chunks=(1, 8))
        file.create_dataset("unwritten", (2**27,), "f8")
        file.create_dataset("texts", (2**24,), "S60", chunks=(8,))
        file.create_dataset("varying", (2**24,), h5py.string_dtype(), chunks=(8,))
        file["fixed"] = np.bytes_(b"x" * (65 << 20))
        lump = file.create_dataset("lump", (3,), "f8", chunks=(2**28 + 1,), maxshape=(None,), compression="gzip")
        small = file.create_dataset("small", (3, 3), "f8", chunks=(2, 2))
        assert lump.chunks[0] > small.chunks[0]
    with Tree(tmp_path / "a.h5") as tree:
        tracemalloc.start()
        try:
            for path, shape in (("long", (None,)), ("wide", (None, None)), ("unwritten", (None,))):
                assert re.search(r"for which [\d,]+ bytes are stored", refused(tree.array, path, shape))
            assert "for which 0 bytes are stored" in refused(tree.texts, "texts")
            assert "for which 0 bytes are stored" in refused(tree.texts, "varying")
            assert "68,157,440 bytes; expected at most 67,108,864" in refused(tree.text, "fixed")
            assert "found pieces of 2,147,483,656 bytes" in refused(tree.array, "lump", (3,))
            assert tree.array("small", (3, 3)).tolist() == np.zeros((3, 3)).tolist()
            assert tracemalloc.get_traced_memory()[1] < 5e6
        finally:
            tracemalloc.stop()


def test_what_one_read_may_take(file):
    with Tree(file, max_bytes=6 * 4 * 4) as tree:
        assert tree.array("group/floats", (6, 4)).nbytes == 96
    with Tree(file, max_bytes=6 * 4 * 4 - 1) as tree:
        dataset = tree.dataset("group/floats", (6, 4))
        assert "group/floats: found (6, 4) of float32, 96 bytes; expected at most 95" in refused(
            tree.read, "group/floats", dataset
        )
        assert tree.read("group/floats", dataset, slice(1, 6)).shape == (5, 4)


def test_a_checksum_or_filter_that_fails_is_damage(tmp_path):
    values = np.random.default_rng(1).normal(size=4000)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("sum", data=values, chunks=(4000,), fletcher32=True)
        file.create_dataset("gzip", data=values, chunks=(4000,), compression="gzip")
        places = {name: file[name].id.get_chunk_info(0).byte_offset for name in file}
    whole = (tmp_path / "a.h5").read_bytes()
    for name, at in places.items():
        damaged = bytearray(whole)
        damaged[at + 1000] ^= 0x40
        (tmp_path / "b.h5").write_bytes(damaged)
        with Tree(tmp_path / "b.h5") as tree:
            text = refused(tree.array, name, (4000,))
            assert re.search(rf"b\.h5', {name}: found something unreadable \(.+\); expected readable data\.", text)


def test_no_truncated_file_is_opened(file):
    whole = file.read_bytes()
    for size in (0, 1, 7, 8, 50, 96, 1000, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        says = r"\(.+\); it may be truncated" if size else "it is empty"
        with pytest.raises(MurineError, match=rf"a\.h5' is no readable HDF5 file.{{1,2}}{says}"):
            Tree(file)


def test_files_that_are_none(tmp_path):
    with pytest.raises(MurineError, match=r"there is no file '.*nothing\.h5'; expected an HDF5 file"):
        Tree(tmp_path / "nothing.h5")
    with pytest.raises(MurineError, match="there is no file"):
        Tree(tmp_path)
    (tmp_path / "text.h5").write_text("no HDF5" * 1000)
    with pytest.raises(MurineError, match="no readable HDF5 file"):
        Tree(tmp_path / "text.h5")
