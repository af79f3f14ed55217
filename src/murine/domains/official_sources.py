"""Domains from the official archives that `murine.domains.archives` fetches."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from murine.domains.archives import fetched
from murine.domains.digits import by_content, mnist_groups, semeion_from
from murine.domains.file_formats import read_idx, read_libsvm, read_mat, read_pictures, read_semeion
from murine.domains.raw_images import DIGITS, RawDomain
from murine.errors import MurineError


def mnist(cache: Path | None = None) -> RawDomain:
    """MNIST, all 60,000 training and 10,000 test images; groups as in `murine.domains.digits.mnist`."""
    files, sources = fetched("mnist-official", cache)
    images = [read_idx(files[f"{part}-images-idx3-ubyte.gz"]) for part in ("train", "t10k")]
    labels = [read_idx(files[f"{part}-labels-idx1-ubyte.gz"]) for part in ("train", "t10k")]
    for pictures, digits in zip(images, labels, strict=True):
        if pictures.ndim != 3 or digits.shape != pictures.shape[:1]:
            raise MurineError(f"MNIST's images have shape {pictures.shape} for labels of {digits.shape}.")
    n_train, n_test = map(len, labels)
    return RawDomain(
        np.concatenate(images),
        np.concatenate(labels).astype(np.int64),
        _parts(n_train, n_test),
        mnist_groups(n_train, n_test),
        DIGITS,
        sources,
        polarity="white-on-black",
        framed=True,
    )


def usps(cache: Path | None = None) -> RawDomain:
    """USPS as libsvm has it; groups are by content, the same as those of `murine.domains.digits.usps`."""
    files, sources = fetched("usps-official", cache)
    (x_train, y_train), (x_test, y_test) = read_libsvm(files["usps.bz2"]), read_libsvm(files["usps.t.bz2"])
    images = np.concatenate([x_train, x_test])
    groups = by_content("usps", np.rint(2000 * images))
    labels = np.concatenate([y_train, y_test])
    return RawDomain(
        images, labels, _parts(len(y_train), len(y_test)), groups, DIGITS, sources, polarity="white-on-black"
    )


def semeion(cache: Path | None = None) -> RawDomain:
    """Semeion from its table; split and groups are those of `murine.domains.digits.semeion`."""
    files, sources = fetched("semeion-official", cache)
    return semeion_from(*read_semeion(files["semeion.data"]), sources)


def svhn(cache: Path | None = None) -> RawDomain:
    """SVHN, cropped digits: 32 x 32, colour, neighbours' digits at the sides; without its part *extra*."""
    return _matlab("svhn", ("train_32x32.mat", "test_32x32.mat"), cache)


def syndigits(cache: Path | None = None) -> RawDomain:
    """SynDigits (SYN): rendered digits in the manner of SVHN, 32 x 32, colour; 479,400 training images, 9,553 test."""
    return _matlab("syndigits", ("synth_train_32x32.mat", "synth_test_32x32.mat"), cache)


def mnist_m(cache: Path | None = None) -> RawDomain:
    """MNIST-M, the authors' release: 59,001 training and 9,001 test images of 32 x 32, colour.

    Test image i was made from MNIST test image i: the labels of the first 9,000 agree. The MNIST images of the training
    images are not recorded, so each training image is a group by itself."""
    files, sources = fetched("mnist-m-official", cache)
    archive = files["mnist_m.tar.gz"]
    (x_train, y_train), (x_test, y_test) = read_pictures(archive, "train"), read_pictures(archive, "test")
    groups = np.array([""] * len(y_train) + [f"mnist-test-{i}" for i in range(len(y_test))])
    images, labels = np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test])
    return RawDomain(images, labels, _parts(len(y_train), len(y_test)), groups, DIGITS, sources)


def _matlab(domain: str, names: tuple[str, str], cache: Path | None) -> RawDomain:
    files, sources = fetched(domain, cache)
    (x_train, y_train), (x_test, y_test) = (read_mat(files[name]) for name in names)
    images, labels = np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test])
    alone = np.full(len(labels), "", dtype="<U1")
    return RawDomain(images, labels, _parts(len(y_train), len(y_test)), alone, DIGITS, sources)


def _parts(n_train: int, n_test: int) -> np.ndarray:
    return np.array(["train"] * n_train + ["test"] * n_test)
