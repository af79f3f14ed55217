"""Published formats: files written as their authors write them, and files that are damaged."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import struct
import tarfile
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from sklearn.datasets import dump_svmlight_file

from murine.domains.digits import by_content
from murine.domains.file_formats import read_idx, read_libsvm, read_mat, read_pictures, read_semeion
from murine.errors import MurineError

N = 20
LABELS = np.arange(N) % 10


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).integers(0, 256, shape).astype(np.uint8)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def semeion_table(bits: np.ndarray, labels: np.ndarray) -> bytes:
    """As UCI has it: four decimals, marks without, a blank and a DOS line break at the end."""
    rows = (
        " ".join([*(f"{v:.4f}" for v in image.ravel()), *("1" if d == label else "0" for d in range(10))])
        for image, label in zip(bits, labels, strict=True)
    )
    return "".join(f"{row} \r\n" for row in rows).encode()


def archive(parts: dict[str, tuple[np.ndarray, np.ndarray]], left_out: str = "", spoil: bytes = b"") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:

        def add(name: str, content: bytes) -> None:
            member = tarfile.TarInfo(f"mnist_m/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))

        for part, (images, labels) in parts.items():
            lines = []
            for i, (image, label) in enumerate(zip(images, labels, strict=True)):
                name = f"{i:08d}.png"
                lines.append(f"{name} {label}\n")
                picture = io.BytesIO()
                Image.fromarray(image).save(picture, "PNG")
                if name != left_out:
                    add(f"mnist_m_{part}/{name}", spoil or picture.getvalue())
                    add(f"mnist_m_{part}/._{name}", b"left by a Mac")
            add(f"mnist_m_{part}_labels.txt", "".join(reversed(lines)).encode())
    return packed.getvalue()


@pytest.mark.parametrize("shape", [(N,), (N, 28, 28), (3, 5, 7)])
@pytest.mark.parametrize("packed", [True, False])
def test_idx(shape, packed, tmp_path):
    array = noise(*shape)
    content = idx(array)
    file = tmp_path / "idx"
    file.write_bytes(gzip.compress(content) if packed else content)
    found = read_idx(file)
    assert found.dtype == np.uint8
    assert (found == array).all()


def test_matlab(tmp_path):
    """Dimensions as Matlab has them, 10 for the digit 0."""
    images = noise(N, 32, 32, 3)
    file = tmp_path / "train_32x32.mat"
    tens = np.where(LABELS == 0, 10, LABELS)[:, None].astype(np.uint8)
    savemat(file, {"X": images.transpose(1, 2, 3, 0), "y": tens}, do_compression=True)
    found, labels = read_mat(file)
    assert (found == images).all()
    assert labels.tolist() == LABELS.tolist()


def test_libsvm(shared_data, tmp_path):
    """Written by scikit-learn, which leaves out zeros; the groups are those of the shared copy."""
    with np.load(shared_data / "digits" / "usps.npz") as stored:
        levels, digits = stored["x_test"][:50].astype(int), stored["y_test"][:50]
    text = io.BytesIO()
    dump_svmlight_file((levels.reshape(50, -1) - 1000) / 1000, digits + 1, text, zero_based=False)
    assert b":0 " not in text.getvalue()
    file = tmp_path / "usps.bz2"
    file.write_bytes(bz2.compress(text.getvalue()))
    found, labels = read_libsvm(file)
    assert labels.tolist() == digits.tolist()
    assert np.abs(found - levels / 2000).max() < 1e-9
    assert (by_content("usps", np.rint(2000 * found)) == by_content("usps", levels)).all()


def test_semeion_is_written_to_the_byte_as_published(shared_data, tmp_path):
    """The MD5 that torchvision expects of the original."""
    with np.load(shared_data / "digits" / "semeion.npz") as stored:
        bits, digits = stored["x"], stored["y"]
    content = semeion_table(bits, digits)
    assert hashlib.md5(content).hexdigest() == "cb545d371d2ce14ec121470795a77432"
    file = tmp_path / "semeion.data"
    file.write_bytes(content)
    found, labels = read_semeion(file)
    assert (found == bits).all()
    assert (labels == digits).all()


def test_pictures_in_an_archive(tmp_path):
    parts = {"train": (noise(N, 32, 32, 3), LABELS), "test": (noise(3, 32, 32, 3), np.array([4, 0, 9]))}
    file = tmp_path / "mnist_m.tar.gz"
    file.write_bytes(archive(parts))
    for part, (images, labels) in parts.items():
        found, digits = read_pictures(file, part)
        assert (found == images[::-1]).all()  # the list is in another order
        assert (digits == labels[::-1]).all()


GOOD: dict[str, tuple[Callable[..., object], bytes]] = {
    "idx": (read_idx, gzip.compress(idx(noise(N, 28, 28)))),
    "libsvm": (read_libsvm, bz2.compress(b"1 1:-1 256:0.5\n10 3:1\n")),
    "semeion": (read_semeion, semeion_table(noise(N, 16, 16) % 2, LABELS)),
    "pictures": (lambda file: read_pictures(file, "test"), archive({"test": (noise(N, 32, 32, 3), LABELS)})),
}


@pytest.mark.parametrize("kind", list(GOOD))
@pytest.mark.parametrize("damage", ["cut", "empty", "other", "missing"])
def test_damaged_files(kind, damage, tmp_path):
    read, content = GOOD[kind]
    file = tmp_path / f"the-{kind}"
    file.write_bytes(content)
    read(file)  # good as it is
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(
            {"cut": content[: len(content) // 2 - 30], "empty": b"", "other": b"<html>gone</html>"}[damage]
        )
    with pytest.raises(MurineError, match=f"the-{kind}' is no readable" if damage != "missing" else "no file"):
        read(file)


def mat(**arrays: np.ndarray) -> bytes:
    content = io.BytesIO()
    savemat(content, arrays)
    return content.getvalue()


X = np.zeros((32, 32, 3, 2), np.uint8)
Y = np.ones((2, 1))


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (read_idx, struct.pack(">BBBBI", 0, 0, 9, 1, 1) + b"\0", "numbers of type 9"),
        (read_idx, struct.pack(">BBBBI", 0, 0, 8, 1, 5) + b"\0", r"1 bytes for \(5,\)"),
        (read_idx, struct.pack(">BBBBIII", 0, 0, 8, 3, 2**31, 2**31, 2**31), "0 bytes for"),
        (read_mat, mat(y=Y), "X is missing"),
        (read_mat, mat(X=X), "y is missing"),
        (read_mat, mat(X=X, y=np.ones((3, 1))), "for 2 images"),
        (read_mat, mat(X=X.astype(float), y=Y), "X is float64"),
        (read_mat, mat(X=X, y=np.array([[np.nan], [1]])), "not a whole number"),
        (read_mat, mat(X=X, y=np.array([[11], [1]])), "y goes from 1 to 11"),
        (read_libsvm, bz2.compress(b"1 1:nan\n"), "not between -1 and 1"),
        (read_libsvm, bz2.compress(b"1 1:2\n"), "not between -1 and 1"),
        (read_libsvm, bz2.compress(b"0 1:1\n"), "labels go from 0 to 0"),
        (read_libsvm, bz2.compress(b"1.5 1:1\n"), "not a whole number"),
        (read_libsvm, bz2.compress(b"1 257:1\n"), "out of bounds"),
        (read_semeion, b"0 1 0\n", "expected lines of 256 pixels"),
        (read_semeion, semeion_table(np.full((1, 16, 16), 0.5), np.array([1])), "0 or 1"),
        (read_semeion, semeion_table(np.zeros((1, 16, 16)), np.array([11])), "one 1 among ten"),
        (
            lambda f: read_pictures(f, "train"),
            archive({"test": (noise(2, 32, 32, 3), [1, 2])}),
            "no list of labels",
        ),
        (
            lambda f: read_pictures(f, "test"),
            archive({"test": (noise(2, 32, 32, 3), [1, 2])}, "00000001.png"),
            "1 pictures",
        ),
        (lambda f: read_pictures(f, "test"), archive({"test": (noise(2, 31, 32, 3), [1, 2])}), "not 32 x 32"),
        (lambda f: read_pictures(f, "test"), archive({"test": (noise(2, 32, 32, 3), [1, 12])}), "no name and digit"),
        (
            lambda f: read_pictures(f, "test"),
            archive({"test": (noise(1, 32, 32, 3), [1])}, spoil=b"x"),
            "cannot identify",
        ),
    ],
)
def test_content_that_makes_no_sense(read, content, message, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(MurineError, match=message):
        read(file)


def test_a_name_that_leads_out_of_the_archive_is_not_followed(tmp_path):
    """Nothing is unpacked to the disk, whatever members are called."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in (("../../mnist_m_test/0.png", b"x"), ("../evil", b"x")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("mnist_m/mnist_m_test_labels.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    folder = tmp_path / "inner"
    folder.mkdir()
    file = folder / "mnist_m.tar.gz"
    file.write_bytes(packed.getvalue())
    with pytest.raises(MurineError, match="no readable archive"):
        read_pictures(file, "test")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [file]
