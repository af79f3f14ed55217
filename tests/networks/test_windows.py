"""Windows of maps: a half and a third of the side, rounded up, at 3 x 3 places, each part of a map once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from murine.errors import MurineError
from murine.networks.capture import capture
from murine.networks.capture.windows import map_windows
from murine.networks.layer_kernel import LayerKernel


@pytest.mark.parametrize("side", [4, 5, 6, 7, 8, 13, 31, 64])
def test_sides_are_a_half_and_a_third_rounded_up(side):
    windows = map_windows(side, side)
    for share, length in (("half", (side + 1) // 2), ("third", (side + 2) // 3)):
        mine = [w for w in windows if w.name.startswith(share)]
        assert {(w.rows[1] - w.rows[0], w.columns[1] - w.columns[0]) for w in mine} <= {(length, length)}
        assert {w.rows[0] for w in mine} <= {0, (side - length) // 2, side - length}
    corners = {w.name: (w.rows, w.columns) for w in windows if w.name.startswith("half")}
    assert corners["half, top left"] == ((0, (side + 1) // 2), (0, (side + 1) // 2))
    assert corners["half, bottom right"][0][1] == side


def test_places_lie_within_the_map_and_are_different():
    for height, width in ((1, 1), (1, 9), (2, 2), (2, 7), (3, 3), (5, 11), (12, 16)):
        windows = map_windows(height, width)
        parts = [(w.rows, w.columns) for w in windows]
        assert len(set(parts)) == len(parts) == len({w.name for w in windows})
        for (top, bottom), (left, right) in parts:
            assert 0 <= top < bottom <= height
            assert 0 <= left < right <= width
        assert ((0, height), (0, width)) not in parts


def test_a_large_map_has_eighteen_windows_and_a_point_none():
    assert len(map_windows(13, 13)) == len(map_windows(12, 16)) == 18
    assert map_windows(1, 1) == []
    assert [w.n_places for w in map_windows(2, 2)] == [1, 1, 1, 1]


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(6 * 12 * 12, 5))


IMAGES = torch.rand(7, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_windows_follow_their_layer_with_the_kernels_of_their_features():
    kept = {}
    plain = capture(network(), IMAGES, reducer=lambda features: kept.update({features.name: features.tensor.clone()}))
    with_windows = capture(network(), IMAGES, windows="thirds", standardise=True)
    assert [layer.name for layer in with_windows if not layer.window] == [layer.name for layer in plain]
    whole = {layer.name: layer for layer in plain}
    names = [layer.name for layer in with_windows]
    for layer in with_windows:
        parent = layer.name.partition("@")[0]
        assert layer.depth == whole[parent].depth
        if not layer.window:
            np.testing.assert_array_equal(layer.kernel.covariance, whole[parent].kernel.covariance)
            continue
        assert names.index(parent) < names.index(layer.name)
        window = next(w for w in map_windows(*kept[parent].shape[2:]) if w.name == layer.window)
        part = kept[parent][:, :, slice(*window.rows), slice(*window.columns)].reshape(7, -1).numpy()
        assert layer.n_units == part.shape[1]
        np.testing.assert_allclose(layer.kernel.covariance, LayerKernel.of(part).covariance, atol=1e-4)
        spread = (part - part.mean(0)) / np.where(part.std(0) > 0, part.std(0), 1)
        np.testing.assert_allclose(layer.standardised.gram, spread @ spread.T, atol=1e-2)
    assert sum(layer.window != "" and layer.name.startswith("0@") for layer in with_windows) == 18
    assert not any(layer.window for layer in with_windows if layer.name.startswith(("3", "4")))


def test_windows_of_images_in_groups_are_the_same():
    whole = capture(network(), IMAGES, windows="thirds")
    parts = capture(network(), IMAGES, windows="thirds", batch_size=4)
    assert [(x.name, x.depth, x.window) for x in whole] == [(x.name, x.depth, x.window) for x in parts]
    for one, two in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one.kernel.covariance, two.kernel.covariance, atol=1e-4)


def test_windows_that_cannot_be_had_are_refused():
    with pytest.raises(MurineError, match="windows is 'halves'"):
        capture(network(), IMAGES, windows="halves")
    with pytest.raises(MurineError, match="windows of standardised units need all images in one pass"):
        capture(network(), IMAGES, windows="thirds", standardise=True, batch_size=4)
