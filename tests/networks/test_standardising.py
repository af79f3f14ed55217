"""Kernels of standardised units against features that are standardised one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

from murine.networks.capture import capture
from murine.networks.capture.standardising import CONSTANT, Moments, standardised_kernel


def reference(features):
    """Of scikit-learn, in float64."""
    patterns = StandardScaler().fit_transform(features.double().numpy().reshape(len(features), -1))
    return patterns @ patterns.T


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.linear = nn.Conv2d(3, 8, 3), nn.ReLU(inplace=True), nn.Linear(8 * 14 * 14, 40)

    def forward(self, x):
        return self.linear(self.relu(self.conv(x)).flatten(1))


@pytest.fixture(params=[0, 1])
def network_and_images(request):
    torch.manual_seed(request.param)
    return Net().eval(), torch.randn(22, 3, 16, 16) * 3 + 100


@pytest.mark.parametrize("batch_size", [None, 7, 8, 20])
def test_kernels_are_those_of_standardised_features(network_and_images, batch_size):
    network, images = network_and_images
    layers = {layer.name: layer for layer in capture(network, images, standardise=True, batch_size=batch_size)}
    with torch.no_grad():
        conv = network.conv(images)
        expected = {"conv": conv, "relu": conv.relu(), "linear": network(images)}
    for name, features in expected.items():
        kernel = layers[name].standardised
        wanted = reference(features)
        np.testing.assert_allclose(kernel.gram, wanted, atol=1e-4 * np.abs(wanted).max())
        plain = {layer.name: layer for layer in capture(network, images, batch_size=batch_size)}[name]
        np.testing.assert_array_equal(plain.kernel.covariance, layers[name].kernel.covariance)
        assert plain.standardised is None
        treated = layers[name].with_standardised_units
        assert treated.kernel is kernel
        assert treated.flag == ""


def test_constant_units_count_for_nothing():
    torch.manual_seed(2)
    features = torch.randn(12, 50)
    features[:, :10] = torch.linspace(-1e6, 1e6, 10)  # to the last bit
    features[:, 10:20] = 1 + 1e-8 * torch.randn(12, 10)  # but for rounding
    features[:, 20:25] = 0
    np.testing.assert_allclose(standardised_kernel(features).gram, reference(features[:, 25:]), rtol=1e-4, atol=1e-4)
    assert standardised_kernel(features[:, :25]).flag == "constant within images"
    assert Moments.of(features).scale[:25].eq(0).all()


def test_units_that_vary_little_still_count():
    features = 1 + 100 * CONSTANT * torch.randn(30, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    np.testing.assert_allclose(standardised_kernel(features).gram, reference(features), rtol=1e-9, atol=1e-9)


def test_what_is_not_finite_is_flagged():
    features = torch.randn(6, 4)
    features[2, 1] = torch.nan
    assert standardised_kernel(features).flag == "not finite"
    features[2, 1] = torch.inf
    assert standardised_kernel(features).flag == "not finite"


def test_one_image_more_or_less_in_the_first_set():
    features = torch.randn(20, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 5
    whole = Moments.of(features)
    for n in (1, 2, 13, 19):
        joined = Moments.of(features[:n]).joined(Moments.of(features[n:]))
        torch.testing.assert_close(joined.mean, whole.mean, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(joined.squares, whole.squares, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(joined.largest, whole.largest)
