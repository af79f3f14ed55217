"""The six domains of digits in the shared folder, which need no network."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from numpy.typing import NDArray

from murine.domains.raw_images import DIGITS, RawDomain, drawn_parts
from murine.errors import MurineError
from murine.io.files import read_npz, read_table

#: Seed of the split of sources without one.
SEED = 0

#: SHA-256 of the shared files.
_DIGESTS = {
    "fonts.npz": "0fc93946d0b73255693dc033e31c4d2312995658edc87d1bec7422293356e626",
    "mnist.npz": "555cb803c6dd394fb0a5ccad1f1e5547b906baf9e3902c2ef8e82c18fc703344",
    "mnist_m_subset.csv": "128361c53ca1a171d388b7146faaca6ede84565c1706855910a471c3b939f349",
    "mnist_m_subset.png": "b774360cca13b45586f918e41e6745e005970d8f7be1580669c6dfc8f41194b9",
    "semeion.npz": "2a56d1e12d12ae3270b7e6046c472ffa65ba01f7cbf692276c2721540a022744",
    "street_chars.csv": "8bbee122c899a5147991b16702446c2bc678bf37ba6a6628a30456664b2f8fe4",
    "street_chars.png": "23be75355e6a80bf4948da47311539db80fbfa2eed265a967e36d8e2e133352e",
    "usps.npz": "8a558e74d6716dd4f3a84e66e356621ffd1f7b7b664a9816647041d5121dc197",
}

#: Side of a tile of a sheet.
_TILE = 32


def digits_folder(root: Path | None = None) -> Path:
    """Find the folder of digits: in ``root``, else in ``$MURINE_SHARED``, else in ``../shared``; in ``data/digits``
    there, or in ``digits``.
    """
    given = root or Path(os.environ.get("MURINE_SHARED", "../shared"))
    for folder in (given / "data" / "digits", given / "digits"):
        if folder.is_dir():
            return folder
    raise MurineError(
        f"found no digits in {str(given)!r}: expected a folder that holds data/digits/ or digits/. Give it with --data "
        "FOLDER or the environment variable MURINE_SHARED; `murine domains list` tells which domains need none."
    )


def mnist(root: Path | None = None) -> RawDomain:
    """MNIST: the first 12,000 training images and all 10,000 test images, 28 x 28, white on black.

    Groups are ``mnist-train-I`` and ``mnist-test-I``, where I is the position in the official files. Images of other
    domains that were made from an image have the same group."""
    arrays, sources = _arrays(root, "mnist.npz", ("x_train", "y_train", "x_test", "y_test"))
    n_train, n_test = len(arrays["y_train"]), len(arrays["y_test"])
    return RawDomain(
        np.concatenate([arrays["x_train"], arrays["x_test"]]),
        np.concatenate([arrays["y_train"], arrays["y_test"]]).astype(np.int64),
        np.array(["train"] * n_train + ["test"] * n_test),
        mnist_groups(n_train, n_test),
        DIGITS,
        sources,
        polarity="white-on-black",
        framed=True,
    )


def mnist_groups(n_train: int, n_test: int) -> Shaped[np.ndarray, " n_images"]:
    """Return the groups of MNIST's images, one for each image, in the order of the official files."""
    return np.array([f"mnist-train-{i}" for i in range(n_train)] + [f"mnist-test-{i}" for i in range(n_test)])


def usps(root: Path | None = None) -> RawDomain:
    """USPS, complete: 16 x 16, white on black, no margin. Stored levels of 0 .. 2000 become 0 .. 1.

    Groups are by content, so that the same image is known again in another copy of USPS."""
    arrays, sources = _arrays(root, "usps.npz", ("x_train", "y_train", "x_test", "y_test"))
    levels = np.concatenate([arrays["x_train"], arrays["x_test"]])
    labels = np.concatenate([arrays["y_train"], arrays["y_test"]]).astype(np.int64)
    parts = np.array(["train"] * len(arrays["y_train"]) + ["test"] * len(arrays["y_test"]))
    return RawDomain(
        levels / 2000.0, labels, parts, by_content("usps", levels), DIGITS, sources, polarity="white-on-black"
    )


def by_content(name: str, levels: NDArray[np.generic]) -> Shaped[np.ndarray, " n_images"]:
    """Return groups by content: the digest of the levels of each image, as 16-bit numbers."""
    rows = np.ascontiguousarray(levels, dtype="<u2").reshape(len(levels), -1)
    return np.array([f"{name}-{hashlib.sha256(row.tobytes()).hexdigest()[:16]}" for row in rows])


def semeion(root: Path | None = None) -> RawDomain:
    """Semeion: 1,593 images of 16 x 16, 0 or 1, white on black, the digit fills the frame.

    It has no official split: a fifth of every class is drawn as the test part, identical images on one side."""
    arrays, sources = _arrays(root, "semeion.npz", ("x", "y"))
    return semeion_from(arrays["x"], arrays["y"], sources)


def semeion_from(
    bits: NDArray[np.generic], given: NDArray[np.generic], sources: tuple[tuple[str, str], ...]
) -> RawDomain:
    """Return Semeion from its arrays of pixels and labels."""
    labels = given.astype(np.int64)
    groups = by_content("semeion", bits)
    parts = drawn_parts(labels, groups, SEED)
    return RawDomain((bits * 255).astype(np.uint8), labels, parts, groups, DIGITS, sources, polarity="white-on-black")


def fonts(root: Path | None = None) -> RawDomain:
    """Chars74K's computer fonts: 1,016 fonts, 28 x 28, black on white.

    Blocks of four fonts are styles of one typeface; a fifth of the 254 typefaces is drawn as the test part."""
    arrays, sources = _arrays(root, "fonts.npz", ("x", "y", "font_id"))
    labels = arrays["y"].astype(np.int64)
    typeface = (arrays["font_id"].astype(np.int64) - 1) // 4
    groups = np.array([f"typeface-{block}" for block in typeface])
    # One stratum: every typeface has all digits.
    parts = drawn_parts(np.zeros_like(labels), groups, SEED)
    return RawDomain(arrays["x"], labels, parts, groups, DIGITS, sources, polarity="black-on-white")


def mnist_m(root: Path | None = None) -> RawDomain:
    """MNIST-M, 2,000 of its test images: MNIST test digits blended into photographs, 32 x 32, colour.

    The group of a tile is that of the MNIST test image it was made of."""
    images, table, sources = _tiles(root, "mnist_m_subset", 25, ("mnist_test_index",))
    groups = np.array([f"mnist-test-{i}" for i in table["mnist_test_index"]])
    return RawDomain(images, table["label"].astype(np.int64), table["split"].astype(str), groups, DIGITS, sources)


def street(root: Path | None = None) -> RawDomain:
    """Chars74K's digits from street photographs, good and bad ones: 885, 32 x 32, colour, of both polarities.

    The split is that of the table. Several digits may come from one photograph, which nobody has recorded."""
    images, table, sources = _tiles(root, "street_chars", 15, ())
    alone = np.full(len(images), "", dtype="<U1")
    return RawDomain(images, table["label"].astype(np.int64), table["split"].astype(str), alone, DIGITS, sources)


def _arrays(
    root: Path | None, name: str, keys: tuple[str, ...]
) -> tuple[dict[str, NDArray[np.generic]], tuple[tuple[str, str], ...]]:
    file = digits_folder(root) / name
    sources = (published(file),)
    arrays = read_npz(file)
    return {key: arrays[key] for key in keys}, sources


def _tiles(
    root: Path | None, name: str, columns: int, further: tuple[str, ...]
) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.generic]], tuple[tuple[str, str], ...]]:
    from PIL import Image

    folder = digits_folder(root)
    sources = (published(folder / f"{name}.png"), published(folder / f"{name}.csv"))
    table = read_table(folder / f"{name}.csv", ("tile", "label", "split", *further))
    sheet = np.asarray(Image.open(folder / f"{name}.png").convert("RGB"))
    tiles = sheet.reshape(sheet.shape[0] // _TILE, _TILE, columns, _TILE, 3).swapaxes(1, 2).reshape(-1, _TILE, _TILE, 3)
    images = tiles[table["tile"].to_numpy()]
    return images, {str(column): table[column].to_numpy() for column in table}, sources


def published(file: Path) -> tuple[str, str]:
    """Return the name and SHA-256 of a shared file; refuse a file that is not the published one."""
    try:
        found = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise MurineError(
            f"{str(file)!r} cannot be read ({error.strerror}); the folder of digits is not complete."
        ) from error
    if found != _DIGESTS[file.name]:
        raise MurineError(
            f"{str(file)!r} is not the published file: its SHA-256 is {found}, expected {_DIGESTS[file.name]}. It may "
            "be damaged or changed; get it again."
        )
    return file.name, found
