"""Corruptions of domains at five strengths: further domains to test on, whose difference is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import NDArray

from murine.domains.domain import Domain
from murine.errors import MurineError, nearest
from murine.registry import Registry

#: Increased whenever a corruption gives other images. It is part of the identity of corrupted domains.
METHOD = 1

STRENGTHS = (1, 2, 3, 4, 5)

Levels = Float[np.ndarray, "size size 3"]

#: All corruptions by name: functions of an image (levels 0 ... 1), a strength (1 ... 5) and a generator. The generator
#: has the same seed at every strength, so only the strength differs.
corruptions: Registry[Callable[[Levels, int, np.random.Generator], Levels]] = Registry("corruption")

#: Standard deviations of the noise, in units of the range from black to white.
_NOISE = (0.06, 0.12, 0.2, 0.3, 0.45)
#: Standard deviations of the blur in pixels, for images of 32 pixels.
_BLUR = (0.5, 0.8, 1.2, 1.7, 2.4)
#: Factors of the contrast.
_CONTRAST = (0.7, 0.5, 0.33, 0.2, 0.1)


@corruptions.register("noise")
def noise(image: Levels, strength: int, rng: np.random.Generator) -> Levels:
    """Add Gaussian noise to every pixel and channel."""
    return image + _NOISE[strength - 1] * rng.standard_normal(image.shape)


@corruptions.register("blur")
def blur(image: Levels, strength: int, rng: np.random.Generator) -> Levels:
    """Blur with a Gaussian; the border is continued by the edge pixels."""
    from scipy.ndimage import gaussian_filter

    sigma = _BLUR[strength - 1] * len(image) / 32
    return gaussian_filter(image, (sigma, sigma, 0), mode="nearest")


@corruptions.register("contrast")
def contrast(image: Levels, strength: int, rng: np.random.Generator) -> Levels:
    """Reduce the contrast about the mean of the image."""
    mean = image.mean()
    return mean + _CONTRAST[strength - 1] * (image - mean)


@corruptions.register("inversion")
def inversion(image: Levels, strength: int, rng: np.random.Generator) -> Levels:
    """Invert one to five fifths of the image, on one side of a straight edge with a random direction.

    Local contrast stays. Mixing an image with its inverse would lose all contrast half way.
    """
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.indices(image.shape[:2]) - (len(image) - 1) / 2
    along = x * np.cos(angle) + y * np.sin(angle)
    order = np.argsort(np.argsort(along, axis=None, kind="stable"), kind="stable").reshape(along.shape)
    turned = order < round(along.size * strength / 5)
    return np.where(turned[..., None], 1 - image, image)


@corruptions.register("colour")
def colour(image: Levels, strength: int, rng: np.random.Generator) -> Levels:
    """Black and white become two random colours, a fifth, two fifths ... all the way; black stays the darker one.

    The colours differ by at least 0.3 in luma (Rec. 601)."""
    weights = np.array([0.299, 0.587, 0.114])
    while True:
        dark, light = rng.random((2, 3))
        if light @ weights - dark @ weights >= 0.3:
            break
    return image + strength / 5 * (dark + (light - dark) * image - image)


@corruptions.register("background")
def background(image: Levels, strength: int, rng: np.random.Generator) -> Levels:
    """A crop of a photograph, a fifth, two fifths ... all of its brightness, blended in as in MNIST-M: |crop - image|.

    The photographs are the two that come with scikit-learn, not those of MNIST-M."""
    pool = _textures(len(image))
    crop = pool[rng.integers(len(pool))] / 255.0
    return np.abs(strength / 5 * crop - image)


@cache
def _textures(size: int, n: int = 256) -> UInt8[np.ndarray, "n size size 3"]:
    """Colour crops of photographs with some contrast in them, always the same."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images
    rng = np.random.default_rng([size, *b"textures"])
    crops = np.empty((n, size, size, 3), dtype=np.uint8)
    for i in range(n):
        spread = 0.0
        while spread < 15:  # grey levels of 255; sky is drawn again
            photo = photos[rng.integers(len(photos))]
            side = int(min(photo.shape[:2]) * rng.uniform(0.08, 0.4))
            top, left = (int(rng.integers(n_pixels - side + 1)) for n_pixels in photo.shape[:2])
            crop = Image.fromarray(photo[top : top + side, left : left + side])
            crops[i] = np.asarray(crop.resize((size, size), Image.Resampling.BILINEAR))
            spread = float(crops[i].std())
    return crops


def parsed(text: str) -> tuple[str, int]:
    """Return the name and the strength in ``NAME:STRENGTH``.

    Raises
    ------
    MurineError
        If there is no such corruption, or the strength is not 1 to 5.

    Examples
    --------
    >>> parsed("noise:3")
    ('noise', 3)
    """
    name, colon, strength = text.partition(":")
    if name not in corruptions:
        raise MurineError(
            f"there is no corruption {name!r}{nearest(name, corruptions) or '.'} Known: "
            f"{', '.join(sorted(corruptions))}, each with a strength of 1 to 5, as noise:3."
        )
    if not colon or strength not in map(str, STRENGTHS):
        raise MurineError(f"{text!r} has no strength from 1 to 5; expected as {name}:3.")
    return name, int(strength)


def corrupted(domain: Domain, name: str, strength: int) -> Domain:
    """Return a domain with corrupted images.

    Random numbers are seeded with the position of an image in the whole domain, so they depend neither on the order of
    the images nor on the other images.

    Parameters
    ----------
    domain
        The domain to corrupt. The result is named ``NAME+CORRUPTION:STRENGTH``.
    name
        Name of a registered corruption.
    strength
        1 (weak) to 5 (strong).

    Raises
    ------
    MurineError
        If there is no such corruption or strength.

    Returns
    -------
    domain
        uint8 images of the same shape; labels, parts and groups are unchanged.

    Examples
    --------
    >>> from murine.domains import load_domain
    >>> digits = load_domain("rendered-fonts", part="test").subset(range(10))
    >>> corrupted(digits, "noise", 3)
    <Domain rendered-fonts+noise:3: 10 images, 32 x 32 px, 10 classes>
    """
    parsed(f"{name}:{strength}")
    corrupt = corruptions[name]
    images = np.empty_like(domain.images)
    for i, position in enumerate(domain.positions.tolist()):
        rng = np.random.default_rng([METHOD, position, *name.encode()])
        images[i] = _rounded(corrupt(domain.images[i] / 255.0, strength, rng))
    step = f"+{name}:{strength}"
    sources = (*domain.identity.sources, (f"corruption {name}", f"method {METHOD}"))
    identity = domain.identity.model_copy(update={"name": domain.identity.name + step, "sources": sources})
    return replace(domain, name=domain.name + step, images=images, identity=identity)


def _rounded(image: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.rint(255 * image.clip(0, 1)).astype(np.uint8)
