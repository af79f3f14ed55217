"""Control networks: what they compute is known in closed form."""

import numpy as np
import pytest
import torch
from timm.data import resolve_model_data_config

from murine.errors import MurineError
from murine.networks.control_modules import GaborEnergy, NeuRNPixels, Pixels
from murine.networks.surgery.neurn import neurn


def capture(network, images):
    found = {}
    for name, module in network.named_modules():
        if name:
            module.register_forward_hook(lambda _m, _i, out, name=name: found.__setitem__(name, out))
    return network(images), found


def gratings(wavelength, orientation, phases, size=64):
    y, x = np.mgrid[:size, :size]
    angle = np.pi * orientation / 8
    along = 2 * np.pi / wavelength * (x * np.cos(angle) + y * np.sin(angle))
    grey = 0.5 + 0.4 * np.cos(along + np.asarray(phases)[:, None, None])
    return torch.tensor(grey, dtype=torch.float32)[:, None].expand(-1, 3, -1, -1)


def test_pixels_are_the_mean_of_the_channels():
    images = torch.rand(2, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    out, found = capture(Pixels(), images)
    np.testing.assert_allclose(found["pixels"], images.numpy().mean(axis=1, keepdims=True), atol=1e-6)
    assert out is found["pixels"]


def test_neurn_pixels_are_neurn_of_the_pixels():
    images = torch.rand(2, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    out, found = capture(NeuRNPixels(), images)
    np.testing.assert_array_equal(found["neurn"], neurn(images.mean(dim=1, keepdim=True), 3))
    assert out is found["neurn"]


@pytest.mark.parametrize("wavelength", [4, 8, 16])
def test_gabor_energy_does_not_depend_on_phase(wavelength):
    _, found = capture(GaborEnergy(), gratings(wavelength, 2, np.linspace(0, 2 * np.pi, 9)))
    maps = found[f"energy_{wavelength}"][:, 2].numpy()
    inside = maps[:, maps.shape[1] * 3 // 8 : maps.shape[1] * 5 // 8, maps.shape[2] * 3 // 8 : maps.shape[2] * 5 // 8]
    assert inside.std() / inside.mean() < 0.02
    # The contrast times the closed form of test_filters.
    np.testing.assert_allclose(inside, 0.4 * np.sqrt(np.pi / 2) * wavelength, rtol=0.05)


@pytest.mark.parametrize("wavelength", [4, 8, 16, 32])
@pytest.mark.parametrize("orientation", [0, 3, 6])
def test_gabor_energy_is_tuned_to_wavelength_and_orientation(wavelength, orientation):
    images = gratings(wavelength, orientation, [0.0, 2.0], 128)
    _, found = capture(GaborEnergy(), images)
    # Divided by the wavelength, a matching grating gives the same value at every scale.
    centre = {w: found[f"energy_{w}"] / w for w in (4, 8, 16, 32)}
    best = np.array([m[:, :, m.shape[2] // 2, m.shape[3] // 2].mean(dim=0).numpy() for m in centre.values()])
    scale, preferred = np.unravel_index(best.argmax(), best.shape)
    assert (4, 8, 16, 32)[scale] == wavelength
    assert preferred == orientation
    assert best[scale, (orientation + 4) % 8] < 0.05 * best[scale, orientation]


def test_gabor_energy_of_the_opposite_contrast_is_the_same_and_of_grey_is_zero():
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(GaborEnergy()(1 - images), GaborEnergy()(images), atol=1e-4)
    np.testing.assert_allclose(GaborEnergy()(torch.full((1, 3, 64, 64), 0.8)), 0, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(8, [4]), (28, [4, 8]), (32, [4, 8, 16]), (64, [4, 8, 16, 32]), (96, [4, 8, 16, 32])],
)
def test_all_holds_the_maps_of_the_wavelengths_that_fit(size, expected):
    images = torch.rand(2, 3, size, size + 5, generator=torch.Generator().manual_seed(0))
    out, found = capture(GaborEnergy(), images)
    assert list(found) == [*(f"energy_{w}" for w in expected), "all"]
    for wavelength in expected:
        stride = wavelength // 4
        assert found[f"energy_{wavelength}"].shape == (2, 8, -(-size // stride), -(-(size + 5) // stride))
    together = np.concatenate([found[f"energy_{w}"].reshape(2, -1) for w in expected], axis=1)
    np.testing.assert_array_equal(found["all"], together)
    assert out is found["all"]


def test_too_small_images_are_refused():
    with pytest.raises(MurineError, match=r"7 x 40 px are too small .* expected at least 8 px"):
        GaborEnergy()(torch.rand(1, 3, 7, 40))


@pytest.mark.parametrize("control", [Pixels, NeuRNPixels, GaborEnergy])
def test_timm_would_leave_the_images_as_they_are(control):
    config = resolve_model_data_config(control())
    assert config["input_size"] == control.default_cfg["input_size"] == (3, 64, 64)
    assert config["mean"] == (0, 0, 0)
    assert config["std"] == (1, 1, 1)
    assert config["interpolation"] == "bilinear"
    assert config["crop_pct"] == 1
    assert not list(control().parameters())
