"""Scenes without a download: crops of two photographs, and dead leaves."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from murine.errors import MurineError
from murine.io.array_cache import ArrayCache, Arrays
from murine.stimuli import StimulusSet

Scenes = UInt8[np.ndarray, "n size size"]


def photographs(n: int, size: int = 64, seed: int = 0) -> Scenes:
    """Cut random squares out of the two photographs that come with scikit-learn (a temple, a flower).

    The side of a square is between ``size`` px and 0.6 of the height of the photograph (427 px), uniform
    on a log scale; it is then reduced to ``size``. Where that leaves no choice it is ``size``, but at
    most the height, and enlarged. Squares with hardly any contrast (sky) are drawn again. Grey is Rec.
    601 luma. Scene i depends on ``seed`` and i alone.
    """
    from sklearn.datasets import load_sample_images

    _check(n, size)
    photos = [Image.fromarray(photo).convert("L") for photo in load_sample_images().images]
    scenes = np.empty((n, size, size), dtype=np.uint8)
    for i in range(n):
        rng = np.random.default_rng([seed, i, *b"photograph"])
        contrast = 0.0
        while contrast < 15:  # grey levels of 255; about one square in six falls below
            photo = photos[rng.integers(len(photos))]
            height = min(photo.size)
            narrow = min(size, height)
            side = narrow * max(1, 0.6 * height / narrow) ** rng.random()
            left, top = rng.random(2) * (np.array(photo.size) - side)
            box = (left, top, left + side, top + side)
            scenes[i] = np.asarray(photo.resize((size, size), Image.Resampling.BICUBIC, box=box))
            contrast = float(scenes[i].std())
    return scenes


def dead_leaves(n: int, size: int = 64, seed: int = 0) -> Scenes:
    """Draw overlapping discs whose radii follow a power law (Lee, Mumford, Huang 2001).

    That is how objects at all distances look. Radii have density r^-3 from a smallest one, between size /
    24 and size / 6 by scene, to size / 2. Each disc has a random grey level within the contrast of the
    scene, a shading in a random direction and, every second one, a striped texture. Edges are
    antialiased. Scene i depends on ``seed`` and i alone.
    """
    _check(n, size)
    scenes = np.empty((n, size, size), dtype=np.uint8)
    for i in range(n):
        scenes[i] = np.rint(255 * _leaves(size, np.random.default_rng([seed, i, *b"dead leaves"])))
    return scenes


def synthetic_scenes(n: int = 100, size: int = 64, seed: int = 0, *, kept: ArrayCache | None = None) -> StimulusSet:
    """Return ``n`` grey scenes of ``size`` x ``size`` px: half `photographs`, half `dead_leaves`.

    All have one mean and one contrast, as is usual in experiments: responses then tell structure, not how bright a
    scene is. Ids are ``photo_000 ...`` and ``leaves_000 ...``; groups "photographs" and "dead leaves". With an odd
    ``n`` there is one photograph more. With ``kept`` they are drawn once.
    """
    if n < 2:
        raise MurineError(f"{n} scenes were asked for; expected at least 2, one of each kind.")
    n_photos, n_leaves = n - n // 2, n // 2

    def draw() -> Arrays:
        both = [photographs(n_photos, size, seed), dead_leaves(n_leaves, size, seed)]
        return {"images": _equalised(np.concatenate(both))}

    return StimulusSet(
        (kept or ArrayCache()).arrays({"scenes": n, "size": size, "seed": seed}, draw)["images"],
        (*(f"photo_{i:03d}" for i in range(n_photos)), *(f"leaves_{i:03d}" for i in range(n_leaves))),
        ("photographs",) * n_photos + ("dead leaves",) * n_leaves,
        "synthetic scenes",
    )


def _equalised(scenes: Scenes, mean: float = 128, contrast: float = 45) -> Scenes:
    """Give every scene one mean and one standard deviation (grey levels; what falls outside 0 .. 255 is clipped)."""
    levels = scenes.astype(np.float64)
    centred = levels - levels.mean(axis=(1, 2), keepdims=True)
    scaled = mean + contrast * centred / centred.std(axis=(1, 2), keepdims=True)
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def _check(n: int, size: int) -> None:
    if n < 1 or size < 8:
        raise MurineError(f"{n} scenes of {size} px were asked for; expected at least 1 scene of at least 8 px.")


def _leaves(size: int, rng: np.random.Generator) -> Float[np.ndarray, "size size"]:
    small, large = size / rng.uniform(6, 24), size / 2
    area = 2 * np.pi * np.log(large / small) / (small**-2 - large**-2)  # of a leaf, on average
    n_leaves = int(8 * (size + 4 * small) ** 2 / area)  # covers every pixel about 8 times
    # Inverse of the distribution function of the density r^-3 between small and large.
    radius = (small**-2 - rng.random(n_leaves) * (small**-2 - large**-2)) ** -0.5
    centre = rng.random((n_leaves, 2)) * (size + 2 * radius[:, None]) - radius[:, None]
    contrast = rng.uniform(0.3, 1)  # of the scene
    level = contrast * rng.random(n_leaves) + (1 - contrast) * rng.random()
    shading = contrast * rng.normal(0, 0.12, (n_leaves, 2))  # grey levels per radius
    texture = contrast * rng.uniform(0, 0.2, n_leaves) * (rng.random(n_leaves) < 0.5)
    angle, phase = rng.uniform(0, 2 * np.pi, (2, n_leaves))
    frequency = 1 / rng.uniform(size / 20, size / 6, n_leaves)  # cycles per pixel

    image = np.full((size, size), 0.5)
    for i in range(n_leaves):
        # Only the box around the disc is touched; most discs are small.
        top, left = np.clip(np.floor(centre[i] - radius[i] - 1).astype(int), 0, size)
        bottom, right = np.clip(np.ceil(centre[i] + radius[i] + 2).astype(int), 0, size)
        y = np.arange(top, bottom)[:, None] - centre[i, 0]
        x = np.arange(left, right)[None, :] - centre[i, 1]
        cover = np.clip(radius[i] - np.hypot(y, x) + 0.5, 0, 1)
        leaf = level[i] + (shading[i, 0] * y + shading[i, 1] * x) / radius[i]
        if texture[i]:
            along = x * np.cos(angle[i]) + y * np.sin(angle[i])
            leaf += texture[i] * np.sin(2 * np.pi * frequency[i] * along + phase[i])
        box = image[top:bottom, left:right]
        box += cover * (np.clip(leaf, 0, 1) - box)
    return image
