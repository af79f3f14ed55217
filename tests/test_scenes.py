"""Scenes: their statistics are those of natural images, and a seed is all they depend on."""

import numpy as np
import pytest
from scipy.stats import kurtosis
from sklearn.datasets import load_sample_images

from murine.errors import MurineError
from murine.scenes import dead_leaves, photographs, synthetic_scenes


def spectral_slope(scenes):
    """Slope of log power against log frequency, from 3 cycles per image to half the Nyquist frequency."""
    size = scenes.shape[-1]
    window = np.hanning(size)[:, None] * np.hanning(size)
    centred = scenes - scenes.mean(axis=(1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(centred * window)) ** 2).mean(axis=0)
    f = np.fft.fftfreq(size, 1 / size)
    radius = np.hypot(f[:, None], f)
    use = (radius >= 3) & (radius <= size / 4)
    return np.polyfit(np.log(radius[use]), np.log(power[use]), 1)[0]


@pytest.mark.parametrize("make", [photographs, dead_leaves])
def test_scenes_have_the_statistics_of_natural_images(make):
    scenes = make(24, 64, 0).astype(float)
    # Power falls about as f^-2 to f^-3 (white noise: 0), and differences of neighbours have heavy tails
    # (Gaussian: excess kurtosis 0).
    assert -3.5 < spectral_slope(scenes) < -1.7
    assert kurtosis(np.diff(scenes, axis=2), axis=None) > 3
    assert scenes.std(axis=(1, 2)).min() > 5
    assert abs(np.corrcoef(scenes.reshape(24, -1))[np.triu_indices(24, 1)]).max() < 0.999


def test_photographs_are_squares_of_the_photographs():
    grey = [photo @ [0.299, 0.587, 0.114] for photo in load_sample_images().images]
    for scene in photographs(4, 427, 3)[:, ::9, ::9]:
        match = max(
            np.corrcoef(scene.ravel(), photo[::9, left : left + 427 : 9].ravel())[0, 1]
            for photo in grey
            for left in range(photo.shape[1] - 427)
        )
        assert match > 0.98  # the square lies between pixels


def test_leaves_cover_the_ground_with_edges():
    scenes = dead_leaves(30, 64, 1)
    assert (scenes == 128).mean() < 0.02  # the grey of the background
    assert len({scene.tobytes() for scene in scenes}) == 30


@pytest.mark.parametrize("make", [photographs, dead_leaves])
def test_a_scene_depends_on_seed_and_number_alone(make):
    np.random.seed(1)  # noqa: NPY002 (the global generator must not matter, nor be touched)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = make(4, 32, 5)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    np.random.seed(2)  # noqa: NPY002
    np.testing.assert_array_equal(make(6, 32, 5)[:4], first)
    assert (make(4, 32, 6) != first).any(axis=(1, 2)).all()


def test_synthetic_scenes_are_labelled_halves():
    stimuli = synthetic_scenes(5, 32, 2)
    assert stimuli.images.shape == (5, 32, 32)
    assert stimuli.ids == ("photo_000", "photo_001", "photo_002", "leaves_000", "leaves_001")
    assert stimuli.groups == ("photographs",) * 3 + ("dead leaves",) * 2
    plain = np.concatenate([photographs(3, 32, 2), dead_leaves(2, 32, 2)]).astype(float)
    for scene, before in zip(stimuli.images.astype(float), plain, strict=True):
        shown = 128 + 45 * (before - before.mean()) / before.std()  # one mean and contrast for all
        within = (shown > 0) & (shown < 255)
        np.testing.assert_allclose(scene[within], shown[within], atol=0.5 + 1e-9)
        assert np.isin(scene[~within], (0, 255)).all()
    assert stimuli.digest == synthetic_scenes(5, 32, 2).digest != synthetic_scenes(5, 32, 3).digest


def test_impossible_numbers_are_refused():
    with pytest.raises(MurineError, match="at least 2"):
        synthetic_scenes(1)
    for make in (photographs, dead_leaves):
        with pytest.raises(MurineError, match="at least 1 scene"):
            make(0)
        with pytest.raises(MurineError, match="at least 8 px"):
            make(2, 4)
