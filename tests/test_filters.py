"""The Gabor bank against closed forms, padding against numpy, convolution against scipy."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from murine.errors import MurineError
from murine.filters import convolve, gabor_bank, gaussian, pad

SCIPY_NAME = {"symmetric": "reflect", "reflect": "mirror"}


def gratings(wavelength, angle, phases, size, amplitude=0.5):
    y, x = torch.meshgrid(*[torch.arange(size, dtype=torch.float64)] * 2, indexing="ij")
    along = x * np.cos(angle) + y * np.sin(angle)
    phase = torch.as_tensor(phases, dtype=torch.float64)[:, None, None]
    return (0.5 + amplitude * torch.cos(2 * np.pi * along / wavelength + phase))[:, None].float()


def energy_at_centre(images, bank):
    k = bank.shape[-1]
    crop = (images.shape[-1] - k) // 2
    filtered = torch.einsum("nhw,fhw->nf", images[:, 0, crop : crop + k, crop : crop + k], bank[:, 0])
    return torch.hypot(filtered[:, 0::2], filtered[:, 1::2]).numpy()


def test_filters_have_zero_mean_unit_norm_and_are_in_quadrature():
    bank = gabor_bank([3.0, 4.0, 8.0, 16.0], 6)
    assert bank.dtype == torch.float32
    assert bank.shape == (4 * 6 * 2, 1, 41, 41)
    np.testing.assert_allclose(bank.sum(dim=(1, 2, 3)), 0, atol=2e-5)
    np.testing.assert_allclose(bank.square().sum(dim=(1, 2, 3)), 1, atol=1e-6)
    even, odd = bank[0::2, 0], bank[1::2, 0]
    np.testing.assert_allclose(even, even.flip(1, 2), atol=1e-7)
    np.testing.assert_allclose(odd, -odd.flip(1, 2), atol=1e-7)
    np.testing.assert_allclose((even * odd).sum(dim=(1, 2)), 0, atol=1e-6)


def test_filter_order_is_wavelength_then_orientation_then_parity():
    bank = gabor_bank([4.0, 8.0], 4).view(2, 4, 2, 21, 21)
    for i, wavelength in enumerate((4.0, 8.0)):
        for j in range(4):
            image = gratings(wavelength, np.pi * j / 4, [0.0], 21)
            energy = energy_at_centre(image, bank.view(-1, 1, 21, 21)).reshape(2, 4)
            assert np.unravel_index(energy.argmax(), energy.shape) == (i, j)
    even, odd = bank[0, 0]  # vertical bars 4 px apart: half a period to the right the sign turns, below it does not
    assert even[10, 12] < 0 < even[12, 10]
    assert odd[10, 9] < 0 < odd[10, 11]


@pytest.mark.parametrize("wavelength", [5.0, 9.0, 16.0])
def test_energy_of_a_matching_grating_has_the_closed_form_at_every_phase(wavelength):
    # Integrals of a Gaussian: <unit norm Gabor, cos> = sqrt(2 pi) sigma = sqrt(pi / 2) wavelength, less the
    # tails of the envelope beyond 2.5 sigma (2.5 %).
    bank = gabor_bank([wavelength], 1)
    energy = energy_at_centre(gratings(wavelength, 0, np.linspace(0, 6, 17), bank.shape[-1], 0.3), bank)
    np.testing.assert_allclose(energy, 0.3 * np.sqrt(np.pi / 2) * wavelength, rtol=0.04)
    assert energy.std() / energy.mean() < 0.01


def test_gaussian_is_the_impulse_response_of_scipys():
    impulse = np.zeros((31, 31))
    impulse[15, 15] = 1
    kernel = gaussian(2.3)[0, 0].numpy()
    radius = len(kernel) // 2
    expected = ndimage.gaussian_filter(impulse, 2.3, radius=radius)[
        15 - radius : 16 + radius, 15 - radius : 16 + radius
    ]
    np.testing.assert_allclose(kernel, expected, atol=1e-7)


@pytest.mark.parametrize("border", ["symmetric", "reflect"])
@pytest.mark.parametrize(("before", "after"), [(0, 0), (0, 1), (1, 2), (4, 4)])
def test_pad_is_numpys(border, before, after):
    x = np.random.default_rng(0).random((2, 3, 5, 7))
    width = ((0, 0), (0, 0), (before, after), (before, after))
    np.testing.assert_array_equal(pad(torch.tensor(x), before, after, border), np.pad(x, width, mode=border))


@pytest.mark.usefixtures("unchecked")
def test_pad_refuses_more_than_the_image_can_mirror():
    x = torch.rand(5, 4)
    assert pad(x, 4, 4).shape == (13, 12)
    with pytest.raises(MurineError, match="too small"):
        pad(x, 5, 0)
    with pytest.raises(MurineError, match="too small"):
        pad(x, 0, 4, "reflect")
    with pytest.raises(MurineError, match="unknown border"):
        pad(x, 1, 1, "wrap")


@pytest.mark.parametrize("border", ["symmetric", "reflect"])
@pytest.mark.parametrize("stride", [1, 3])
def test_convolve_is_scipys_correlation(border, stride):
    images = torch.rand(2, 1, 19, 23, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    bank = gabor_bank([4.0], 3)
    filtered = convolve(images, bank, border=border, stride=stride)
    for i in range(2):
        for f in range(len(bank)):
            expected = ndimage.correlate(images[i, 0].numpy(), bank[f, 0].double().numpy(), mode=SCIPY_NAME[border])
            np.testing.assert_allclose(filtered[i, f], expected[::stride, ::stride], atol=1e-12)


@pytest.mark.usefixtures("unchecked")
def test_a_bank_and_images_that_make_no_sense_are_refused():
    for arguments in (([],), ([2.0],), ([4.0], 0)):
        with pytest.raises(MurineError, match="no Gabor bank"):
            gabor_bank(*arguments)
    with pytest.raises(MurineError, match="sigma 0"):
        gabor_bank([4.0], sigma=0.0)
    with pytest.raises(MurineError, match="shape"):
        convolve(torch.rand(2, 3, 32, 32), gabor_bank([4.0]))
