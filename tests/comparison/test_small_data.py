"""Few stimuli, few repetitions, layers and neurons with nothing in them: refused, or flagged, never a silent number."""

from __future__ import annotations

import numpy as np
import pytest

from murine.comparison.metrics import metrics
from murine.comparison.scoring import Settings, Yardstick, score_layers
from murine.comparison.targets import targets_of
from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.networks.capture import CapturedLayer
from murine.networks.kernel import LayerKernel

SETTINGS = Settings(n_bootstraps=10, n_permutations=3)


def recording(trials):
    n_neuroids, n_stimuli, _ = trials.shape
    labels = {"neuroid_id": [f"n{i}" for i in range(n_neuroids)], "area": ["V1"] * n_neuroids}
    return Recording.from_arrays(trials, labels, {"stimulus_id": [f"s{i:03d}" for i in range(n_stimuli)]}, name="mouse")


def layer(name, x):
    kernel = LayerKernel.of(np.ascontiguousarray(x))
    return CapturedLayer(name, 0.5, (x.shape[1],), kernel, flag=kernel.flag)


def layers(truth, rng):
    n = len(truth)
    return [
        layer("truth", truth),
        layer("one unit", rng.normal(size=(n, 1))),
        layer("two units", rng.normal(size=(n, 2))),
        layer("constant", np.ones((n, 5))),
        layer("partly constant", np.hstack([np.ones((n, 5)), rng.normal(size=(n, 5))])),
    ]


@pytest.mark.parametrize("name", metrics)
@pytest.mark.parametrize(("n_stimuli", "n_repetitions", "signal"), [(3, 4, 1.0), (5, 4, 1.0), (25, 2, 0.0)])
def test_every_row_has_a_score_or_a_reason(name, n_stimuli, n_repetitions, signal):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(20, n_stimuli, 1))
    data = recording(signal * truth + rng.normal(size=(20, n_stimuli, n_repetitions)))
    needed = max(metrics[name].min_stimuli, 7 if name == "rsa-reweighted" else 0)
    if n_stimuli < needed:
        with pytest.raises(MurineError, match=rf"{n_stimuli} stimuli (are too few for '{name}'|cannot be cross-valid)"):
            score_layers(
                layers(truth[:, :, 0].T, rng), Yardstick(targets_of(data, n_splits=3), name, settings=SETTINGS)
            )
        return
    rows = score_layers(layers(truth[:, :, 0].T, rng), Yardstick(targets_of(data, n_splits=3), name, settings=SETTINGS))
    assert (rows.score.notna() | (rows.flag != "")).all()
    assert (rows.ceiling.isna() | (rows.ceiling > 0)).all()  # one of zero is none
    assert (rows.ceiled.notna() <= rows.ceiling.notna()).all()
    if not metrics[name].combines_layers:
        assert set(rows[rows.layer == "constant"].flag) == {"constant within images"}
    assert (rows.chosen != "").any()


def test_neurons_and_stimuli_without_responses_are_reported():
    rng = np.random.default_rng(1)
    truth = rng.normal(size=(20, 25, 1))
    trials = truth + rng.normal(size=(20, 25, 4))
    trials[3, 7] = np.nan
    trials[5] = 2.0
    targets = targets_of(recording(trials), n_splits=3)
    assert targets.left_out == {"missing responses": ("n3",), "constant responses": ("n5",)}
    for name in ("rsa-pearson", "cka-debiased", "ridge"):
        rows = score_layers([layer("truth", truth[:, :, 0].T)], Yardstick(targets, name, settings=SETTINGS))
        assert set(rows.n_neuroids) == {18}
        assert rows.score.notna().all()
    trials[:, 4] = np.nan
    with pytest.raises(MurineError, match="no neuron of 'mouse' can be used"):
        targets_of(recording(trials), n_splits=3)
