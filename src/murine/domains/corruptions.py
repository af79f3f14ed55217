"""Corruptions of a domain at five strengths: further domains to test on, of which the cause is known."""

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

#: Raised whenever a corruption of the same image would come out otherwise; part of the identity through the name of
#: its source.
METHOD = 1

STRENGTHS = (1, 2, 3, 4, 5)

Levels = Float[np.ndarray, "size size 3"]

#: Names to functions of an image (levels 0 .. 1), a strength (1 .. 5) and a generator, which draws the same at every
#: strength: what differs between two strengths of an image is the strength.
corruptions: Registry[Callable[[Levels, int, np.random.Generator], Levels]] = Registry("corruption")

#: Standard deviation of noise, in units of the range from black to white.
_NOISE = (0.06, 0.12, 0.2, 0.3, 0.45)
#: Standard deviation of the blur in pixels, of an image of 32.
_BLUR = (0.5, 0.8, 1.2, 1.7, 2.4)
#: What is left of the contrast.
_CONTRAST = (0.7, 0.5, 0.33, 0.2, 0.1)


@corruptions.register("noise")
def noise(image: Levels, strength: int, rng: np.random.Generator) -> Levels:
    """Gaussian noise in every pixel and channel, clipped."""
    return image + _NOISE[strength - 1] * rng.standard_normal(image.shape)


@corruptions.register("blur")
def blur(image: Levels, strength: int, rng: np.random.Generator) -> Levels:
    """Gaussian blur; edge pixels go on outside."""
    from scipy.ndimage import gaussian_filter

    sigma = _BLUR[strength - 1] * len(image) / 32
    return gaussian_filter(image, (sigma, sigma, 0), mode="nearest")


@corruptions.register("contrast")
def contrast(image: Levels, strength: int, rng: np.random.Generator) -> Levels:
    """Less contrast about the mean of the image."""
    mean = image.mean()
    return mean + _CONTRAST[strength - 1] * (image - mean)


@corruptions.register("inversion")
def inversion(image: Levels, strength: int, rng: np.random.Generator) -> Levels:
    """Inversion of a fifth, two fifths ... all of the image, on one side of a straight edge of random direction.

    A blend of an image with its inverse would lose all contrast half way; so local contrast stays, and polarity goes.
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
    """``noise:3`` -> (noise, 3); what is not understood raises."""
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
    """A domain whose images are corrupted.

    What is random is drawn for every image by its position in the whole domain: neither the order of the images nor
    which others are there changes anything.

    Parameters
    ----------
    domain
        What to corrupt; the corrupted one is called ``NAME+CORRUPTION:STRENGTH``.
    name, strength
        A registered corruption, and 1 (weak) to 5.
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
