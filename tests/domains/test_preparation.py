"""What is done to images, against Pillow and against rules that can be checked by eye."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from murine.domains.catalogue import DataFolders, domains, load_domain
from murine.domains.preparation import Preparation, prepare
from murine.domains.resizing import resize_stack
from murine.errors import MurineError


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape).astype(np.uint8)


def by_pillow(image: np.ndarray, width: int, height: int, method: str = "BILINEAR") -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling[method]))


@pytest.mark.parametrize("shape", [(28, 28), (16, 16), (64, 64), (100, 100), (28, 28, 3), (45, 45, 3), (7, 7), (1, 1)])
def test_squares_are_resized_as_by_pillow_to_the_bit(shape):
    images = noise(20, *shape)
    for side in (32, 11):
        expected = np.stack([by_pillow(image, side, side) for image in images])
        assert (resize_stack(images, side, side) == expected).all()


@pytest.mark.parametrize("shape", [(40, 20), (13, 90), (200, 31, 3)])
def test_others_are_within_a_level_of_pillow(shape):
    """Versions of Pillow differ in the order of the passes."""
    images = noise(20, *shape)
    expected = np.stack([by_pillow(image, 32, 32) for image in images]).astype(int)
    assert np.abs(resize_stack(images, 32, 32) - expected).max() <= 1


def test_images_of_one_size_and_of_many_come_out_alike():
    images = noise(5, 20, 20, 3)
    together = prepare(images, Preparation())
    assert (prepare(list(images), Preparation()) == together).all()
    grey = prepare([image[..., 0] for image in images], Preparation())
    assert (grey == together[..., :1]).all()
    assert (prepare(images / 255.0, Preparation()) == together).all()


def test_an_image_of_the_right_size_stays():
    images = noise(3, 32, 32, 3)
    for fit in ("stretch", "crop", "pad", "place"):
        for interpolation in ("bilinear", "bicubic", "lanczos", "nearest"):
            assert (prepare(images, Preparation(fit=fit, interpolation=interpolation)) == images).all()


@pytest.mark.parametrize("interpolation", ["bicubic", "lanczos", "nearest"])
def test_other_filters_are_pillows(interpolation):
    image = noise(20, 20, 3)
    prepared = prepare([image], Preparation(interpolation=interpolation))[0]
    assert (prepared == by_pillow(image, 32, 32, interpolation.upper())).all()


def test_fits_of_a_wide_image():
    """Black to the left, white in the middle square, black to the right, on 64 x 192."""
    wide = np.zeros((64, 192), np.uint8)
    wide[:, 64:128] = 255
    stretched, cropped, padded, placed = (
        prepare([wide], Preparation(fit=fit))[0, :, :, 0] for fit in ("stretch", "crop", "pad", "place")
    )
    assert abs(stretched.mean() / 255 - 1 / 3) < 0.02  # all of it
    assert (cropped == 255).all()  # the middle square
    assert (padded == placed).all()  # both have to be reduced
    rows = np.flatnonzero(padded.any(axis=1))
    assert (rows[0], rows[-1]) == (10, 20)  # 32 * 64 / 192 = 10.7, rounded to 11 rows in the middle
    assert abs(padded.mean() / 255 - (1 / 3) ** 2) < 0.02


def test_a_small_image_is_placed_and_not_enlarged():
    small = noise(16, 16)
    placed = prepare([small], Preparation(fit="place"), polarity="white-on-black")[0, :, :, 0]
    assert (placed[8:24, 8:24] == small).all()
    placed[8:24, 8:24] = 0
    assert not placed.any()
    assert (prepare([small], Preparation(fit="pad"))[0, :, :, 0] == by_pillow(small, 32, 32)).all()


def test_the_rest_is_filled_with_the_ground():
    paper = np.full((10, 40), 255, np.uint8)
    paper[4:6, 10:30] = 0
    for polarity in ("black-on-white", None):
        assert (prepare([paper], Preparation(fit="pad"), polarity=polarity)[0, [0, 31]] == 255).all()
    turned = prepare([paper], Preparation(fit="pad", polarity="white-on-black"), polarity="black-on-white")
    assert not turned[0, [0, 31]].any()
    photo = np.full((10, 40, 3), (10, 100, 190), np.uint8)
    assert (prepare([photo], Preparation(fit="pad"))[0, 0] == 100).all()  # grey


def test_polarity_is_the_sources(shared_data):
    plain = load_domain("fonts", part="test", data=shared_data)
    turned = load_domain("fonts", part="test", preparation=Preparation(polarity="white-on-black"), data=shared_data)
    assert plain.images.mean() > 200 > 60 > turned.images.mean()
    # Turned before it is resized: rounding may differ by a level.
    assert (
        np.abs(turned.images.astype(int) - (255 - plain.images.astype(int))).max() <= 2
    )  # rows and columns are rounded
    for name in ("semeion", "street"):
        same = load_domain(name, preparation=Preparation(polarity="white-on-black"), data=shared_data)
        assert (same.images == load_domain(name, data=shared_data).images).all()
    black = load_domain("semeion", preparation=Preparation(polarity="black-on-white"), data=shared_data)
    assert (black.images == 255 - load_domain("semeion", data=shared_data).images).mean() > 0.99


def test_framing_makes_margins_like_mnists(shared_data):
    """Of MNIST itself: ink in 20 of 28 pixels, its centre of mass in the middle."""
    preparation = Preparation(framing="mnist", polarity="white-on-black")

    def framed(name: str) -> np.ndarray:
        raw = domains[name].read(DataFolders(shared_data))
        return prepare(raw.images[-200:], preparation, polarity=raw.polarity, framed=raw.framed)

    def told(name: str) -> tuple[float, float, float]:
        images = framed(name)[:, :, :, 0] / 255
        rows, columns = (images > 0.1).any(axis=2), (images > 0.1).any(axis=1)
        sides = [32 - there.argmax(axis=1) - there[:, ::-1].argmax(axis=1) for there in (rows, columns)]
        total = images.sum(axis=(1, 2))
        y = (images.sum(axis=2) * (np.arange(32) + 0.5)).sum(axis=1) / total
        x = (images.sum(axis=1) * (np.arange(32) + 0.5)).sum(axis=1) / total
        return float(np.median(np.maximum(*sides))), float(np.abs(y - 16).mean()), float(np.abs(x - 16).mean())

    mnist = told("mnist")
    assert 22 <= mnist[0] <= 25  # 20 / 28 * 32 = 22.9, and blurred edges
    for name in ("usps", "semeion", "fonts"):
        extent, down, across = told(name)
        assert abs(extent - mnist[0]) <= 1.5
        assert max(down, across) < 0.8
    assert (framed("mnist") == load_domain("mnist", part="test", data=shared_data).images[-200:]).all()


def test_framing_keeps_the_aspect_ratio_and_survives_blank_images():
    image = np.zeros((16, 16), np.uint8)
    image[2:14, 7:10] = 255  # 12 x 3
    framed = prepare([image], Preparation(framing="mnist"), polarity="white-on-black")[0, :, :, 0]
    rows, columns = np.flatnonzero(framed.any(axis=1)), np.flatnonzero(framed.any(axis=0))
    assert (len(rows), len(columns)) == (23, 6)  # 22.9 and a quarter of it
    blank = prepare([np.zeros((16, 16), np.uint8)], Preparation(framing="mnist"), polarity="white-on-black")
    assert not blank.any()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.full((4, 4), np.nan), "NaN or infinity"),
        (np.full((4, 4), 1.5), r"1\.5 to 1\.5; floats have to be between 0"),
        (np.full((4, 4), -0.1), "between 0"),
        (np.zeros((4, 4), np.int64), "dtype int64"),
        (np.zeros((4, 0), np.uint8), "shape"),
        (np.zeros((4, 4, 2), np.uint8), "shape"),
        (np.zeros(4, np.uint8), "shape"),
    ],
)
def test_images_that_cannot_be_prepared(image, message):
    good = np.zeros((4, 4), np.uint8)
    with pytest.raises(MurineError, match=rf"image 1: .*{message}"):
        prepare([good, image], Preparation())
    with pytest.raises(MurineError, match=message):
        prepare(image[None], Preparation())


@pytest.mark.parametrize("wrong", [{"fit": "squeeze"}, {"size": 0}, {"polarity": "up"}, {"colour": "grey"}])
def test_preparations_that_are_none(wrong):
    with pytest.raises(ValidationError):
        Preparation(**wrong)
