"""Control layers against their formulas, written out pixel by pixel in numpy."""

import inspect
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from murine.errors import MurineError
from murine.networks.surgery.rival_layers import (
    DivisiveNorm,
    InstanceNorm,
    LocalContrast,
    ResponseNorm,
    Sobel,
    layers,
)


def images(seed=0):
    noise = torch.rand(3, 2, 14, 17, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    noise[1] *= 100
    return noise


def weights(sigma):
    radius = math.ceil(2.5 * sigma)
    profile = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    return profile / profile.sum()


def blurred(image, sigma):
    """scipy's ``reflect`` repeats the edge pixel."""
    rows = ndimage.correlate1d(image, weights(sigma), axis=0, mode="reflect")
    return ndimage.correlate1d(rows, weights(sigma), axis=1, mode="reflect")


def instance_norm(image):
    return np.stack([(c - c.mean()) / np.sqrt(c.var() + 1e-5) for c in image])


def local_contrast(image):
    centred = image - blurred(image.mean(axis=0), 1.6)
    local = np.sqrt(blurred((centred**2).mean(axis=0), 1.6))
    return centred / np.maximum(local.mean(), local)


def sobel(image):
    length = np.stack([np.hypot(ndimage.sobel(c, 0), ndimage.sobel(c, 1)) for c in image])  # reflects, too
    return length / length.max()


def divisive(image):
    return image / np.sqrt(1 + blurred((image**2).mean(axis=0), 2.0))


def lrn(image):
    total = np.zeros_like(image)
    for i in range(len(image)):
        total[i] = (image[max(0, i - 2) : i + 3] ** 2).sum(axis=0)
    return image / (1 + 1e-4 * total / 5) ** 0.75


FORMULAS = {
    InstanceNorm: instance_norm,
    LocalContrast: local_contrast,
    Sobel: sobel,
    DivisiveNorm: divisive,
    ResponseNorm: lrn,
}


@pytest.mark.parametrize("kind", FORMULAS)
def test_layers_are_their_formulas(kind):
    for image, mine in zip(images(), kind()(images()), strict=True):
        # The profile of the blur is kept in float32.
        np.testing.assert_allclose(mine, FORMULAS[kind](image.numpy()), rtol=1e-5, atol=1e-7)


def test_others_agree():
    x = images().float()
    torch.testing.assert_close(InstanceNorm()(x), torch.nn.InstanceNorm2d(2)(x), rtol=1e-4, atol=1e-5)
    ramp = torch.arange(9.0).repeat(7, 1)[None]
    np.testing.assert_array_equal(Sobel(relative=False)(ramp)[0, :, 1:-1], 1)
    assert Sobel()(ramp).max() == 1


@pytest.mark.parametrize("name", layers)
def test_what_all_layers_keep(name):
    layer = layers[name]()
    assert not layer.state_dict()
    x = images()
    for same in (x, x.float(), x.contiguous(memory_format=torch.channels_last), x[:0]):
        result = layer(same)
        assert result.shape == same.shape
        assert result.dtype == same.dtype
        assert result.isfinite().all()
    torch.testing.assert_close(layer(x[1:2])[0], layer(x)[1])  # an image's result is its own
    if name != "lrn":  # which torch itself refuses without a batch of three dimensions or more
        torch.testing.assert_close(layer(x[1]), layer(x)[1])
    spoilt = x.clone()
    spoilt[0, 0, 3, 4] = torch.nan
    assert layer(spoilt)[0].isnan().any()
    assert layer(spoilt)[1:].isfinite().all()
    flat = torch.full((2, 3, 12, 12), 1e4).requires_grad_()
    result = layer(flat)
    (slope,) = torch.autograd.grad(result.square().sum(), flat)
    assert slope.isfinite().all()
    if name not in ("divisive", "lrn"):
        assert (result == 0).all()
    small = images()[:1, :, :5, :5].requires_grad_()
    assert torch.autograd.gradcheck(layer, (small,))
    # What surgery needs to spell a layer: every option is kept under its name.
    for option, parameter in inspect.signature(layers[name]).parameters.items():
        assert getattr(layer, option) == parameter.default


def test_unusable_options_are_refused():
    for kind in (LocalContrast, DivisiveNorm):
        with pytest.raises(MurineError, match="sigma is 0; expected a positive number"):
            kind(sigma=0)
    with pytest.raises(MurineError, match="too small to be continued by 5 px"):
        DivisiveNorm()(torch.rand(1, 3, 4, 9))
    with pytest.raises(MurineError, match="unknown layer 'sobol'; did you mean sobel"):
        layers["sobol"]
