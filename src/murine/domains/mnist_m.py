"""MNIST-M, made from MNIST digits and photographs by the published recipe."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from murine.domains import digits
from murine.domains.raw_images import RawDomain
from murine.errors import MurineError

#: Seed of the crops. Increased whenever the same image would become another one.
SEED = 0

#: Share of the photographs for the training part. The others are for the test part.
_TRAIN_SHARE = 0.75


def mnist_m_made(root: Path | None = None) -> RawDomain:
    """Every MNIST image of the shared folder as MNIST-M would have it: |crop of a photograph - digit|, 28 x 28, colour.

    Ganin & Lempitsky 2015, section 4: a random crop of a BSDS500 photograph, in each channel the absolute difference to
    the digit. Here from the sixteen photographs of ``bsds_backgrounds``; training images get crops of the first twelve,
    test images of the last four, so that a network cannot know a background. Groups are those of MNIST. Which crop an
    image gets depends on its place in MNIST alone.
    """
    whole = digits.mnist(root)
    folder = backgrounds_folder(root)
    files = sorted(folder.glob("*.jpg"))
    if len(files) < 2:
        raise MurineError(f"{str(folder)!r} has {len(files)} photographs; expected at least 2, as NAME.jpg.")
    photos, sources = [], list(whole.sources)
    for file in files:
        content = file.read_bytes()
        sources.append((file.name, hashlib.sha256(content).hexdigest()))
        photos.append(_decoded(content, file))
    n_train = round(_TRAIN_SHARE * len(photos))
    drawn_from = {"train": photos[:n_train], "test": photos[n_train:]}
    height, width = np.asarray(whole.images).shape[1:3]
    images = np.empty((len(whole.labels), height, width, 3), dtype=np.uint8)
    for part, pool in drawn_from.items():
        rows = np.flatnonzero(whole.parts == part)
        # Rows of one draw: image i of a part gets the same crop however many follow it.
        draws = np.random.default_rng([SEED, *part.encode()]).random((len(rows), 3))
        for row, (which, down, across) in zip(rows.tolist(), draws.tolist(), strict=True):
            photo = pool[int(which * len(pool))]
            top = int(down * (photo.shape[0] - height + 1))
            left = int(across * (photo.shape[1] - width + 1))
            crop = photo[top : top + height, left : left + width].astype(np.int16)
            images[row] = np.abs(crop - whole.images[row][..., None])
    return replace(whole, images=images, sources=tuple(sources), polarity=None, framed=False)


def backgrounds_folder(root: Path | None = None) -> Path:
    """Return the folder of photographs, ``bsds_backgrounds`` beside the folder of digits."""
    given = root or Path(os.environ.get("MURINE_SHARED", "../shared"))
    for folder in (given / "data" / "bsds_backgrounds", given / "bsds_backgrounds"):
        if folder.is_dir():
            return folder
    raise MurineError(
        f"found no folder bsds_backgrounds/ in {str(given)!r}, from whose photographs mnist-m-made is made."
    )


def _decoded(content: bytes, file: Path) -> np.ndarray:
    import io

    from PIL import Image

    try:
        return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    except OSError as error:
        raise MurineError(f"{str(file)!r} is no readable photograph ({error}).") from error
