"""NeuRN against a direct double loop in float64."""

import numpy as np
import pytest
import torch

from murine.errors import MurineError
from murine.networks.neurn import NeuRN, neurn


def direct(image, k):
    """The definition, pixel by pixel: (channels, height, width) in float64."""
    image = np.asarray(image, dtype=np.float64)
    before, after = (k - 1) // 2, k // 2
    padded = np.pad(image, ((0, 0), (before, after), (before, after)), mode="symmetric")
    sigma = np.empty_like(image)
    for channel, row, column in np.ndindex(*image.shape):
        patch = padded[channel, row : row + k, column : column + k]
        mean = patch.sum() / k**2
        sigma[channel, row, column] = np.sqrt(((patch - mean) ** 2).sum() / k**2)
    return sigma / sigma.max() if sigma.max() > 0 else sigma


def noise(*shape, dtype=torch.float32, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("k", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("shape", [(1, 6, 6), (3, 7, 11)])
def test_neurn_is_the_definition(k, shape):
    images = noise(4, *shape)
    images[1] *= 255
    images[2, :, :4] = 0.5  # partly flat
    result = NeuRN(k)(images)
    assert result.dtype == images.dtype
    for image, mine in zip(images, result, strict=True):
        np.testing.assert_allclose(mine, direct(image, k), atol=1e-6)


def test_values_by_hand():
    image = torch.zeros(1, 4, 4)
    image[0, 0, 0] = 9.0
    # Symmetric border: the patch of pixel (0, 0) holds the 9 four times, that of (0, 1) twice, that of (1, 1)
    # once. With m of 9 pixels set, the deviation is sqrt(m (9 - m)).
    of = {m: np.sqrt(m * (9 - m)) for m in (1, 2, 4)}
    expected = np.zeros((4, 4))
    expected[0, 0], expected[0, 1], expected[1, 0], expected[1, 1] = of[4], of[2], of[2], of[1]
    np.testing.assert_allclose(neurn(image)[0], expected / of[4], atol=1e-6)
    # k = 4 spans -1 to +2: a pixel is seen from 2 before it to 1 after it.
    image = torch.zeros(1, 9, 9)
    image[0, 4, 4] = 1.0
    seen = np.argwhere(neurn(image, 4)[0].numpy() > 0)
    assert seen.min() == 2
    assert seen.max() == 5
    assert len(seen) == 16


def test_one_maximum_for_all_channels_of_an_image_and_none_across_images():
    images = noise(2, 3, 8, 8)
    images[0, 1] *= 0.1
    result = neurn(images)
    assert result[0].max() == 1
    assert result[0, 1].max() < 0.2
    np.testing.assert_array_equal(result[1], neurn(images[1]))


def test_flat_images_are_exactly_zero():
    for value in (0.0, 0.1, 1.0, 1e4, -3e7):
        assert (neurn(torch.full((2, 3, 9, 9), value)) == 0).all()
    batch = noise(2, 1, 6, 6)
    batch[0] = 0.3
    np.testing.assert_array_equal(neurn(batch)[0], 0)
    np.testing.assert_allclose(neurn(batch)[1], direct(batch[1], 3), atol=1e-6)


@pytest.mark.parametrize("k", [3, 4, 5, 9])
def test_bright_images_lose_no_precision(k):
    generator = torch.Generator().manual_seed(1)
    image = 1000 + 0.1 * torch.randn(1, 24, 24, generator=generator)
    np.testing.assert_allclose(neurn(image, k), direct(image, k), atol=1e-5, rtol=1e-5)
    image[0, 12, 12] = -5000  # an outlier, seen as the middle and as a neighbour
    np.testing.assert_allclose(neurn(image, k), direct(image, k), atol=1e-9, rtol=1e-5)


def test_gain_and_offset_do_not_matter():
    images = noise(2, 3, 10, 10, dtype=torch.float64)
    np.testing.assert_allclose(neurn(255 * images - 40), neurn(images), atol=1e-12)
    np.testing.assert_allclose(neurn(-images), neurn(images), atol=1e-12)


def test_flips_commute_with_an_odd_kernel():
    images = noise(2, 1, 9, 12, dtype=torch.float64)
    np.testing.assert_allclose(neurn(images.flip(-1), 5), neurn(images, 5).flip(-1), atol=1e-12)
    np.testing.assert_allclose(neurn(images.mT, 5), neurn(images, 5).mT, atol=1e-12)


def test_half_precision_is_computed_in_single():
    images = (255 * noise(2, 3, 8, 8)).half()
    result = neurn(images)
    assert result.dtype == torch.float16
    np.testing.assert_array_equal(result, neurn(images.float()).half())


def test_leading_dimensions_are_batches():
    images = noise(2, 5, 3, 7, 7)
    np.testing.assert_array_equal(neurn(images).flatten(0, 1), neurn(images.flatten(0, 1)))


def test_nan_spoils_its_own_image_only():
    images = noise(2, 1, 6, 6)
    images[0, 0, 2, 3] = torch.nan
    result = neurn(images)
    assert result[0].isnan().all()
    assert result[1].isfinite().all()


def test_gradient_is_right_and_finite_where_flat():
    images = noise(1, 2, 5, 5, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(neurn, (images,))
    flat = torch.zeros(1, 1, 8, 8)
    flat[..., :3] = noise(1, 1, 8, 3)
    flat.requires_grad_()
    neurn(flat).square().sum().backward()
    assert flat.grad.isfinite().all()
    assert (flat.grad != 0).any()


@pytest.mark.usefixtures("unchecked")
def test_unusable_input_is_refused():
    with pytest.raises(MurineError, match=r"torch\.uint8; expected floating point"):
        neurn(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(MurineError, match="kernel_size 9 was given images of 8 x 12 px"):
        neurn(torch.rand(1, 3, 8, 12), 9)
    with pytest.raises(MurineError, match="at least 2 px"):
        neurn(torch.rand(1, 3, 8, 8), 1)
    with pytest.raises(MurineError, match=r"expected \(\.\.\., channels, height, width\)"):
        neurn(torch.rand(8, 8))
