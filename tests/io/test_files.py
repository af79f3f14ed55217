"""Files that lie, are cut, or carry code: one clear error, no memory, nothing run."""

from __future__ import annotations

import errno
import json
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from murine.download.ledger import write_json
from murine.errors import MurineError
from murine.io.files import atomic_write, read_json, read_npz, read_table
from murine.io.temporary import create_beside, remove_abandoned

ARRAYS = {
    "numbers": np.random.default_rng(0).normal(size=(7, 5)),
    "turned": np.asfortranarray(np.arange(12, dtype=">i2").reshape(3, 4)),
    "words": np.array(["VISp", "VISl"]),
    "one": np.float32(3),
    "nothing": np.zeros((0, 4), np.uint8),
    "truth": np.array([True, False]),
}


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "arrays.npz"
    np.savez_compressed(file, **ARRAYS)
    return file


def npy(shape: object, descr: object = "<f8", content: bytes = b"", version: int = 1, **more: object) -> bytes:
    """An npy stream whose header says what it is told to."""
    header = repr({"descr": descr, "fortran_order": False, "shape": shape, **more}).encode() + b"\n"
    size = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + size + header + content


def zipped(file: Path, *contents: bytes, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(file, "w", method) as archive:
        for i, content in enumerate(contents):
            archive.writestr(f"array{i}.npy", content)
    return file


class Trap:
    """Makes a file where it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self):
        return (Path.touch, (self.file,))


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_back_to_the_bit(save, tmp_path):
    save(tmp_path / "arrays.npz", **ARRAYS)
    read = read_npz(tmp_path / "arrays.npz")
    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape), name
        assert read[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_version_of_the_header_is_read(version, tmp_path):
    values = np.arange(6.0)
    assert np.array_equal(
        read_npz(zipped(tmp_path / "a.npz", npy((6,), content=values.tobytes(), version=version)))["array0"], values
    )


@pytest.mark.parametrize("where", ["array", "field", "nested"])
def test_pickles_are_never_loaded(where, tmp_path):
    trap, sprung = Trap(tmp_path / "sprung"), tmp_path / "sprung"
    array = {
        "array": lambda: np.array([trap, None], dtype=object),
        "field": lambda: np.array([(1, trap)], dtype=[("a", "i4"), ("b", "O")]),
        "nested": lambda: np.array([([trap],)], dtype=[("a", "O", (1,))]),
    }[where]()
    np.savez(tmp_path / "a.npz", good=np.arange(3), bad=array)
    with pytest.raises(MurineError, match=r"a\.npz' is no readable npz file .*pickled objects"):
        read_npz(tmp_path / "a.npz")
    assert not sprung.exists()
    with np.load(tmp_path / "a.npz", allow_pickle=True) as arrays:
        arrays["bad"]
    assert sprung.exists()  # the trap works


def test_a_bare_pickle_is_no_npz(tmp_path):
    (tmp_path / "a.npz").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(MurineError, match="no readable npz file"):
        read_npz(tmp_path / "a.npz")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    "stream",
    [
        npy((7,), content=bytes(48)),
        npy((5,), content=bytes(48)),
        npy((10**13,), content=bytes(48)),
        npy((2**62, 2**62), content=bytes(48)),
        npy((-6,), content=bytes(48)),
        npy((-2, -3), content=bytes(48)),
        npy((6.0,), content=bytes(48)),
        npy(("a",), content=bytes(48)),
        npy(6, content=bytes(48)),
        npy((0, 2**70), content=bytes(48)),
        npy((6,), descr="<f99", content=bytes(48)),
        npy((6,), descr=[("a", "<f4", (10**6, 10**6))], content=bytes(48)),
        npy((6,), descr="|O", content=bytes(48)),
        npy((6,), descr=None, content=bytes(48)),
        npy((6,), content=bytes(48), extra=1),
        npy((6,), content=bytes(48), fortran_order=7),
        npy((6,), content=bytes(48), version=9),
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 300) + b"(" * 300 + bytes(48),
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 60000) + b" " * 60000 + bytes(48),
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 20) + b"{'descr': '\\d', 1L: " + bytes(48),
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 900) + b"{}",
        b"\x93NUMPY\x01\x00" + struct.pack("<H", 40) + b"__import__('os').system('touch sprung')\n",
        b"\x93NUM",
        b"",
        b"no array at all",
    ],
)
def test_headers_that_lie_are_refused_before_memory_is_taken(stream, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = zipped(tmp_path / "a.npz", stream)
    tracemalloc.start()
    try:
        with pytest.raises(MurineError, match=r"a\.npz' is no readable npz file"):
            read_npz(file)
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()
    assert not (tmp_path / "sprung").exists()


def test_what_follows_the_array_is_damage(tmp_path):
    with pytest.raises(MurineError, match="do not fit"):
        read_npz(zipped(tmp_path / "a.npz", npy((6,), content=bytes(48) + b"more")))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_no_flipped_byte_of_an_array_goes_unnoticed(method, tmp_path):
    values = np.random.default_rng(1).integers(0, 4, 300)
    whole = zipped(tmp_path / "a.npz", npy((300,), "<i8", values.tobytes()), method=method).read_bytes()
    refused = 0
    for at in range(len(whole)):
        (tmp_path / "a.npz").write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        try:
            read = read_npz(tmp_path / "a.npz")
        except MurineError:
            refused += 1
        else:  # dates and the like: what matters is whole
            (array,) = read.values()
            assert array.tobytes() == values.tobytes(), at
    assert refused > 0.8 * len(whole)


def test_no_truncated_file_is_read(file):
    whole = file.read_bytes()
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        with pytest.raises(MurineError, match="no readable npz file"):
            read_npz(file)


def test_the_sum_of_all_arrays_is_limited(file):
    size = sum(array.nbytes for array in ARRAYS.values())
    assert read_npz(file, max_bytes=size + 2000)
    with pytest.raises(MurineError, match=rf"more than {size:,}"):
        read_npz(file, max_bytes=size)


def test_a_bomb_is_refused_before_it_goes_off(tmp_path):
    """300 MB of zeros in 0.3 MB; and a small member that claims to be large."""
    file = zipped(tmp_path / "bomb.npz", npy((300 << 20,), "|u1", bytes(300 << 20)))
    assert file.stat().st_size < 1e6
    small = zipped(tmp_path / "claim.npz", npy((300 << 20,), "|u1", bytes(100)))
    content = small.read_bytes()
    with zipfile.ZipFile(small) as archive:
        (member,) = archive.infolist()
    header = member.file_size - 100
    claimed = struct.pack("<I", header + (300 << 20))
    assert content.count(struct.pack("<II", member.compress_size, member.file_size)) == 2
    small.write_bytes(
        content.replace(
            struct.pack("<II", member.compress_size, member.file_size),
            struct.pack("<I", member.compress_size) + claimed,
        )
    )
    tracemalloc.start()
    try:
        with pytest.raises(MurineError, match="more than 200,000,000"):
            read_npz(file, max_bytes=200_000_000)
        with pytest.raises(MurineError, match="bytes hold no 314,57"):
            read_npz(small)
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


def test_members_that_overlap_are_refused(tmp_path):
    """Many names for one compressed stream: a bomb without nesting."""
    file = zipped(tmp_path / "a.npz", npy((50_000,), "|u1", bytes(50_000)))
    content = bytearray(file.read_bytes())
    with zipfile.ZipFile(file) as archive:
        start = archive.start_dir
    entry, end = content[start:-22], bytearray(content[-22:])
    n = 50
    struct.pack_into("<HHI", end, 8, n, n, n * len(entry))
    file.write_bytes(content[:start] + entry * n + end)
    with zipfile.ZipFile(file) as archive:
        assert len(archive.infolist()) == n
    with pytest.raises(MurineError, match="no readable npz file"):
        read_npz(file)


def test_missing_files_and_folders(tmp_path):
    for read in (read_npz, read_json):
        with pytest.raises(MurineError, match=r"there is no file '.*nowhere'"):
            read(tmp_path / "nowhere")
        with pytest.raises(MurineError, match="no readable"):
            read(tmp_path)


def test_json_is_read_as_it_is(tmp_path):
    tree = {"a": [1, -2.5, None, True, "μ \U0001f42d", {"": []}], "big": 2**70}
    for text in (json.dumps(tree), json.dumps(tree, ensure_ascii=False), "\ufeff" + json.dumps(tree)):
        (tmp_path / "a.json").write_text(text, encoding="utf-8")
        assert read_json(tmp_path / "a.json") == tree
    (tmp_path / "a.json").write_text('["\\\\ud800"]')  # a backslash and five characters: no escape
    assert read_json(tmp_path / "a.json") == ["\\ud800"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[1, 2",
        b'{"a": 1} more',
        b"[NaN]",
        b"[Infinity]",
        b'{"a": -Infinity}',
        b"[" * 1_000_000,
        b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
        b"9" * 100_000,
        b'["caf\xe9"]',
        b'["\xed\xa0\x80"]',
        b'["\\ud800"]',
        b'{"\\uDFFF": 1}',
        json.dumps(["a"]).encode("utf-16"),
        b"['a']",
        b'["a\n"]',
        b"\x00" * 50,
    ],
)
def test_what_is_no_json_is_refused(content, tmp_path):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(MurineError, match=r"a\.json' is no readable JSON \(.+\); it may be truncated"):
        read_json(tmp_path / "a.json")


def test_no_truncated_json_is_read(tmp_path):
    whole = json.dumps([{"id": 1, "μ": [None, 2.5]}]).encode()
    for size in range(len(whole)):
        (tmp_path / "a.json").write_bytes(whole[:size])
        with pytest.raises(MurineError, match="no readable JSON"):
            read_json(tmp_path / "a.json")


def test_the_size_of_json_is_limited_before_it_is_read(tmp_path):
    (tmp_path / "a.json").write_text("[1, 2, 3]")
    assert read_json(tmp_path / "a.json", max_bytes=9) == [1, 2, 3]
    with (tmp_path / "a.json").open("r+b") as file:
        file.truncate(1 << 40)  # sparse
    with pytest.raises(MurineError, match="1,099,511,627,776 bytes, more than 1,073,741,824"):
        read_json(tmp_path / "a.json")


@pytest.mark.parametrize(
    "content", [b"", b"id,a\n1,2", b"id,a\n1,2,3\n", b'id,a\n"1,2\n', b"id,a\n\xff,1\n", b"a\n1\n"]
)
def test_tables_that_are_none_are_refused(content, tmp_path):
    (tmp_path / "a.csv").write_bytes(content)
    if content == b"id,a\n1,2,3\n":  # pandas takes the first column for the index
        assert list(read_table(tmp_path / "a.csv", ("id",))) == ["id", "a"]
        return
    with pytest.raises(MurineError, match=r"a\.csv"):
        read_table(tmp_path / "a.csv", ("id",))


# ------------------------------------------------------------------------------------------------------ writing


def begin(file: Path, error: BaseException) -> None:
    with atomic_write(file) as partial:
        partial.write_text("half of the n")
        raise error


def fill(file: Path, full: Path) -> None:
    with atomic_write(file) as partial:
        partial.unlink()
        partial.symlink_to(full)
        partial.write_bytes(bytes(1 << 20))


def test_a_file_appears_whole_in_folders_that_were_not_there(tmp_path):
    file = tmp_path / "a" / "b" / "c.txt"
    with atomic_write(file) as partial:
        partial.write_text("whole")
        assert not file.exists()
        assert partial.parent == file.parent  # the same disk: renaming is one step
    assert file.read_text() == "whole"
    assert [f.name for f in file.parent.iterdir()] == ["c.txt"]


def test_what_was_there_stays_until_the_new_is_whole(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        begin(file, KeyboardInterrupt())
    assert file.read_text() == "old"
    with pytest.raises(ZeroDivisionError):
        begin(file, ZeroDivisionError())
    assert file.read_text() == "old"
    with atomic_write(file) as partial:
        partial.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert [f.name for f in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "quota"), (errno.EROFS, "read-only"), (errno.EIO, "Errno 5")],
)
def test_why_a_file_could_not_be_written_is_told(number, reason, tmp_path):
    file = tmp_path / "a.txt"
    with pytest.raises(MurineError, match=rf"a\.txt' could not be written: .*{reason}"):
        begin(file, OSError(number, os.strerror(number)))
    assert not list(tmp_path.iterdir())


def test_a_folder_or_a_file_in_the_way(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(MurineError, match="folder of that name"), atomic_write(tmp_path / "folder") as partial:
        partial.write_text("x")
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(MurineError, match="a part of its path is a file"),
        atomic_write(tmp_path / "file" / "below") as partial,
    ):
        partial.write_text("x")
    assert sorted(f.name for f in tmp_path.iterdir()) == ["file", "folder"]


def test_a_full_disk_leaves_nothing():
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(MurineError, match="the disk is full"):
        fill(Path("/dev/shm/murine-test.npz"), full)
    assert not list(Path("/dev/shm").glob("*murine-test*"))


def test_arrays_are_written_under_a_name_without_a_suffix(tmp_path):
    with atomic_write(tmp_path / "a.npz") as partial, partial.open("wb") as opened:
        np.savez(opened, a=np.arange(3))
    assert read_npz(tmp_path / "a.npz")["a"].tolist() == [0, 1, 2]


# -------------------------------------------------------------------------------------------------- temporary names


def abandoned(folder: Path, name: str = "a.npz") -> Path:
    """What a process that has ended left."""
    code = "import sys; from murine.io.temporary import create_beside; from pathlib import Path; "
    code += "print(create_beside(Path(sys.argv[1])))"
    command = [sys.executable, "-c", code, str(folder / name)]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


def test_temporary_names_cannot_be_guessed_and_are_made_anew(tmp_path, monkeypatch):
    names = {create_beside(tmp_path / "a.npz").name for _ in range(5)}
    assert len(names) == 5
    monkeypatch.setattr("secrets.token_hex", lambda n: "0" * 2 * n)
    first = create_beside(tmp_path / "a.npz")
    with pytest.raises(FileExistsError):
        create_beside(tmp_path / "a.npz")
    first.unlink()
    (tmp_path / "victim").write_text("precious")
    first.symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        create_beside(tmp_path / "a.npz")
    assert (tmp_path / "victim").read_text() == "precious"


def test_what_a_killed_process_left_is_removed_by_the_next_writer(tmp_path):
    left = abandoned(tmp_path)
    with atomic_write(tmp_path / "other.txt") as mine:
        assert not left.exists()
        remove_abandoned(tmp_path)
        assert mine.exists()  # this process lives
        mine.write_text("x")
    assert [f.name for f in tmp_path.iterdir()] == ["other.txt"]


def test_what_may_have_an_owner_stays(tmp_path):
    left = abandoned(tmp_path)
    machine, pid, start, random = left.name.removeprefix(".a.npz.").removesuffix(".partial").split("-")
    elsewhere = tmp_path / f".a.npz.{'0' * 8}-{pid}-{start}-{random}.partial"
    reused = tmp_path / f".a.npz.{machine}-{os.getpid()}-{'0' * 8}-{random}.partial"
    others = [elsewhere, tmp_path / ".a.npz.99.partial", tmp_path / ".b.nwb.partial", tmp_path / "a.partial"]
    for file in [*others, reused]:
        file.write_bytes(b"half")
    folder = tmp_path / f".c.{machine}-{pid}-{start}-{random}.partial"
    folder.mkdir()
    remove_abandoned(tmp_path)
    kept = {file for file in tmp_path.iterdir() if file != reused}
    assert kept == {*others, folder}
    assert reused.exists() == (not Path("/proc").is_dir())  # another process had this number before


def test_the_longest_names_have_room(tmp_path):
    file = tmp_path / ("ü" * 125 + ".txt")
    with atomic_write(file) as partial:
        partial.write_text("x")
    assert file.read_text() == "x"


def test_a_link_under_a_guessed_name_of_a_transfer_is_refused(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".a.json.new").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"):
        write_json(tmp_path / ".a.json", {"size": 3})
    assert victim.read_text() == "precious"
