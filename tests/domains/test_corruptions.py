"""Corruptions: stronger means further away, and an image gets the same one in any company."""

from __future__ import annotations

import numpy as np
import pytest

from murine.domains.catalogue import load_domain
from murine.domains.corruptions import STRENGTHS, corrupted, corruptions, parsed
from murine.domains.domain import Domain
from murine.errors import MurineError


@pytest.fixture(scope="module", params=["mnist", "street"])
def domain(request, shared_data) -> Domain:
    test = load_domain(request.param, part="test", data=shared_data)
    return test.subset(np.arange(0, 240, 3))


@pytest.mark.parametrize("name", list(corruptions))
def test_each_strength_is_further_from_the_original(name, domain):
    original = domain.images.astype(float)
    distances = np.array(
        [
            [np.sqrt(((c - o) ** 2).mean()) for c, o in zip(corrupted(domain, name, s).images, original, strict=True)]
            for s in STRENGTHS
        ]
    )  # (strength, image)
    assert (distances[0] > 0).all()
    assert (np.diff(distances.mean(axis=1)) > 0.05 * distances[-1].mean()).all()
    assert (np.diff(distances, axis=0) > 0).mean() > 0.97  # of nearly every image, too


@pytest.mark.parametrize("name", list(corruptions))
def test_an_image_is_corrupted_alike_in_any_company(name, domain):
    whole = corrupted(domain, name, 3)
    picked = [5, 60, 2]
    assert (corrupted(domain.subset(picked), name, 3).images == whole.images[picked]).all()
    assert (corrupted(domain, name, 3).images == whole.images).all()
    assert corrupted(domain.subset(picked), name, 3).digest == whole.subset(picked).digest
    for what in ("labels", "parts", "groups", "positions"):
        assert (getattr(whole, what) == getattr(domain, what)).all()


def test_what_is_random_differs_between_images(domain):
    twins = domain.subset([0, 1])
    twins.images[1] = twins.images[0]
    for name in ("noise", "inversion", "colour", "background"):
        images = corrupted(twins, name, 2).images
        assert (images[0] != images[1]).any()


def test_strengths_are_what_they_say(shared_data):
    """Each against a plain statement of what it does."""
    domain = load_domain("mnist", part="test", data=shared_data).subset(np.arange(60))
    x = domain.images.astype(float)
    assert (corrupted(domain, "inversion", 5).images == 255 - domain.images).all()
    turned = (corrupted(domain, "inversion", 2).images != domain.images).all(axis=3)
    assert set(turned.sum(axis=(1, 2)).tolist()) == {round(0.4 * 1024)}
    faint = corrupted(domain, "contrast", 2).images.astype(float)
    assert np.abs(faint.mean(axis=(1, 2, 3)) - x.mean(axis=(1, 2, 3))).max() < 0.5
    assert faint.std(axis=(1, 2, 3)) == pytest.approx(0.5 * x.std(axis=(1, 2, 3)), rel=0.02)
    flat = domain.subset(np.arange(40))
    flat.images[:] = 128
    noisy = corrupted(flat, "noise", 3).images / 255
    assert noisy.std() == pytest.approx(0.2, rel=0.03)  # clipping takes a little
    blurred = corrupted(domain, "blur", 4).images.astype(float)
    assert blurred.mean() == pytest.approx(x.mean(), rel=0.01)
    dot = domain.subset([0])
    dot.images[:] = 0
    dot.images[0, 16, 16] = 255
    spread = corrupted(dot, "blur", 1).images[0, :, :, 0].astype(float)
    offset = np.arange(32) - 16
    assert (spread.sum(axis=0) @ offset**2 / spread.sum()) == pytest.approx(0.25, abs=0.06)  # variance 0.5^2
    tinted = corrupted(domain, "colour", 5).images
    colours = [
        {tuple(pixel) for pixel in image[source == source.max()]}
        for image, source in zip(tinted, domain.images[..., 0], strict=True)
    ]
    assert all(len(found) == 1 for found in colours)  # white has become one colour
    luma = tinted @ np.array([0.299, 0.587, 0.114]) / 255
    ground, ink = luma[:, 0, 0], np.array([i[s == s.max()][0] for i, s in zip(luma, x[..., 0], strict=True)])
    assert (ink - ground > 0.25).all()


def test_a_background_is_blended_as_in_mnist_m(shared_data):
    """Where the digit is black the crop is seen, where it is white its inverse: at a stroke both agree."""
    domain = load_domain("mnist", part="test", data=shared_data).subset(np.arange(40))
    black, white = domain.subset(np.arange(40)), domain.subset(np.arange(40))
    black.images[:] = 0
    white.images[:] = 255
    crop, inverse, seen = (corrupted(d, "background", 5).images.astype(int) for d in (black, white, domain))
    assert (crop + inverse == 255).all()
    assert (seen == np.abs(crop - domain.images.astype(int))).all()
    assert (crop.std(axis=(1, 2, 3)) > 14).all()
    assert (np.ptp(crop.astype(int), axis=3).mean(axis=(1, 2)) > 3).mean() > 0.8  # in colour


def test_names_and_identity(domain):
    noisy = corrupted(domain, "noise", 3)
    assert noisy.name == f"{domain.name}+noise:3"
    assert noisy.identity.name == noisy.name
    digests = {corrupted(domain, name, s).digest for name in ("noise", "blur") for s in STRENGTHS}
    assert len(digests | {domain.digest}) == 11
    assert parsed("blur:5") == ("blur", 5)
    for wrong in ("blur", "blur:0", "blur:6", "blur:3.0", "blur:", "smear:1", ""):
        with pytest.raises(MurineError, match="strength"):
            parsed(wrong)
    with pytest.raises(MurineError, match="strength"):
        corrupted(domain, "noise", 6)
