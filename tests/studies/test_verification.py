"""Verification: it agrees where nothing is broken, and every row tells when something is."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest
from counting import Counting

from murine.cortex import reliability
from murine.cortex.loading import load_responses
from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording, Site
from murine.encoding import conwell2021 as projection
from murine.encoding import pls
from murine.encoding import prediction_scores as prediction
from murine.encoding import ridge as encoding
from murine.errors import MurineError
from murine.scoring import pls_metrics, ridge_metrics
from murine.similarity import cka, crossnobis, procrustes, rdm, rsa
from murine.similarity import neural_noise as noise
from murine.similarity import reweighted_rsa as reweighted
from murine.studies import verification
from murine.studies.reference_libraries import REFERENCES
from murine.studies.verification import ABSENT, FAILED, MISMATCH, OK, sample_of, simulated_sample, verify

COLUMNS = ["data", "metric", "reference", "version", "function", "difference", "tolerance", "agreement", "seconds"]


@pytest.fixture(scope="module", autouse=True)
def _libraries():
    pytest.importorskip("rsatoolbox", exc_type=ImportError)
    pytest.importorskip("himalaya")


@pytest.fixture
def few(monkeypatch):
    """Only quick references, one of each library."""
    wanted = {("RSA, spearman", "SciPy"), ("RSA, spearman", "rsatoolbox"), ("ridge, 6 folds", "himalaya")}
    wanted |= {("PLS", "scikit-learn"), ("CKA", "NumPy")}
    chosen = [reference for reference in REFERENCES if (reference.metric, reference.package) in wanted]
    assert len(chosen) == 5
    monkeypatch.setattr(verification, "REFERENCES", chosen)


def test_everything_agrees():
    steps = Counting("metrics")
    table = verify([simulated_sample()], steps)
    assert list(table.columns) == COLUMNS
    assert (table["agreement"] == OK).all(), table[table["agreement"] != OK].to_string()
    assert (table["difference"] <= table["tolerance"]).all()
    assert len(table) == len(REFERENCES) == steps.total == steps.done
    assert {"scikit-learn", "SciPy", "NumPy", "rsatoolbox", "himalaya"} == set(table["reference"])
    assert (table["version"] != "").all()


def test_everything_agrees_on_real_responses_and_matrices(shared_data):
    samples = [sample_of(load_responses(name, root=shared_data)) for name in ("allen-neuropixels", "allen-2p")]
    table = verify(samples)
    assert (table["agreement"] == OK).all(), table[table["agreement"] != OK].to_string()
    n_of_rdms = sum(reference.from_rdms for reference in REFERENCES)
    assert n_of_rdms == 9
    assert table["data"].value_counts().to_dict() == {"allen-neuropixels": len(REFERENCES), "allen-2p": n_of_rdms}


def broken(function):
    def slightly_wrong(*arguments, **options):
        found = function(*arguments, **options)
        if isinstance(found, tuple):
            return (1.001 * found[0], *found[1:])
        return 1.001 * found

    return slightly_wrong


def test_every_metric_that_is_slightly_wrong_is_found(monkeypatch):
    places = [
        *((rdm, name) for name in ("kernel_rdm", "cosine_rdm", "euclidean_rdm", "pearson_rdm")),
        *((crossnobis, name) for name in ("mahalanobis_rdm", "crossnobis_rdm")),
        *((kind, "score") for kind in (rsa.Pearson, rsa.Spearman, rsa.Cosine, rsa.KendallTauA)),
        *((kind, "score") for kind in (cka.LinearCKA, cka.DebiasedCKA, procrustes.Procrustes)),
        *((encoding, name) for name in ("ridge_loo", "ridge_correlations", "ridge_cv")),
        *((prediction, name) for name in ("correlations", "r2", "explained_variance")),
        (noise, "noise_covariance"),
        (pls, "pls_cv"),
        (ridge_metrics, "correlate_predictions"),
        (pls_metrics, "correlate_predictions"),
        (projection, "conwell2021_regression"),
        (reliability, "split_half"),
    ]
    sample = simulated_sample()
    for module, name in places:
        monkeypatch.setattr(module, name, broken(getattr(module, name)))
    # Its reference is a mean over random orders: more than slightly wrong.
    chance = ridge_metrics.null_correlations
    monkeypatch.setattr(ridge_metrics, "null_correlations", lambda operators: chance(operators) + 0.04)
    fit = reweighted.fit_reweighted_rsa

    def other_folds(layers, sites, folds):
        return fit(layers, sites, [np.roll(np.concatenate(folds), 3)[i::6] for i in range(6)])

    monkeypatch.setattr(reweighted, "fit_reweighted_rsa", other_folds)
    table = verify([sample])
    assert (table["agreement"] == MISMATCH).all(), table[table["agreement"] != MISMATCH].to_string()
    assert (table["difference"] > table["tolerance"]).all()


@pytest.mark.usefixtures("few")
def test_only_what_is_broken_does_not_agree(monkeypatch):
    monkeypatch.setattr(pls, "pls_cv", lambda *a, **k: np.full((1, 40, 48), np.nan))
    table = verify([simulated_sample()]).set_index("metric")
    assert table.loc["PLS", "agreement"] == MISMATCH
    assert table.loc["PLS", "difference"] == np.inf
    assert (table.drop("PLS")["agreement"] == OK).all()


@pytest.mark.usefixtures("few")
def test_what_raises_is_no_agreement(monkeypatch, caplog):
    def raising(*arguments, **options):
        raise RuntimeError("no such thing")

    monkeypatch.setattr("sklearn.cross_decomposition.PLSRegression", raising)
    with caplog.at_level(logging.WARNING, "murine"):
        table = verify([simulated_sample()]).set_index("metric")
    assert table.loc["PLS", "agreement"] == FAILED
    assert "PLS by scikit-learn failed: RuntimeError: no such thing" in caplog.text


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("absent", [["rsatoolbox"], ["himalaya"], ["rsatoolbox", "himalaya"]])
def test_what_is_not_installed_is_told(absent, monkeypatch):
    for name in absent:
        monkeypatch.setitem(sys.modules, name, None)
    table = verify([simulated_sample()])
    without = table["reference"].isin(absent)
    assert set(table.loc[without, "agreement"]) == {ABSENT}
    assert set(table.loc[without, "version"]) == {""}
    assert table.loc[without, "difference"].isna().all()
    assert set(table.loc[~without, "agreement"]) == {OK}


def recording(n_together=30, n_apart=20, n_repetitions=5, n_stimuli=14):
    rng = np.random.default_rng(0)
    n = n_together + n_apart
    trials = rng.normal(size=(n, n_stimuli, n_repetitions)) + 5 * rng.normal(size=(n, n_stimuli, 1)) + 100
    trials[:n_together, 3, 1] = trials[:n_together, 7, 0] = np.nan  # a session that missed two presentations
    trials[n_together:, ::2, -1] = np.nan
    ids = {"neuroid_id": [f"n{i}" for i in range(n)]}
    return Recording.from_arrays(trials, ids, {"stimulus_id": [f"s{i}" for i in range(n_stimuli)]}, name="lab")


def test_a_sample_has_neurons_of_the_same_trials():
    given = recording()
    sample = sample_of(given)
    assert sample.name == "lab"
    assert [x.shape[0] for x in sample.layers] == [14] * 4
    assert sum(x.shape[1] for x in sample.layers) == 15
    assert sample.trials.shape == (15, 14, 4)
    assert set(sample.recording["neuroid_id"]) < {f"n{i}" for i in range(30)}
    assert np.isfinite(sample.trials).all()
    np.testing.assert_allclose(sample.means.std(axis=1), 1, atol=1e-6)
    for own, neuron in zip(sample.trials, sample.recording["neuroid_id"], strict=True):
        original = given.responses[int(neuron[1:])]
        first = np.stack([row[np.isfinite(row)][:4] for row in original])
        assert np.corrcoef(own.ravel(), first.ravel())[0, 1] == pytest.approx(1, abs=1e-9)
    assert sample_of(given, 1).recording["neuroid_id"].tolist() != sample.recording["neuroid_id"].tolist()
    assert sample_of(given).recording.digest == sample.recording.digest


def test_a_sample_is_small_and_has_no_silent_neuron():
    given = recording(n_together=200, n_apart=0, n_repetitions=9, n_stimuli=150)
    responses = given.responses.copy()
    responses[:100] = np.where(np.isnan(responses[:100]), np.nan, responses[:100, :, 4:5])  # without noise
    quiet = Recording.from_arrays(responses, {"neuroid_id": given["neuroid_id"]}, {"stimulus_id": given.stimulus_ids})
    sample = sample_of(quiet)
    n_layered = sum(x.shape[1] for x in sample.layers)
    assert sample.trials.shape[1:] == (120, 6)
    assert 24 <= len(sample.trials) + n_layered < 120
    assert {int(n[1:]) for n in sample.recording["neuroid_id"]} <= set(range(100, 200))


def test_data_that_are_too_small_are_refused():
    with pytest.raises(MurineError, match=r"'lab' has 20 neurons .* at least 24 and 2 are needed"):
        sample_of(recording(n_together=20, n_apart=10))
    with pytest.raises(MurineError, match="in the same 1 trials"):
        sample_of(recording(n_repetitions=2))
    unknown = np.full(1, np.nan)
    with pytest.raises(MurineError, match="'one' has one matrix; comparisons need at least 2"):
        sample_of(NeuralRDMs(np.zeros((1, 5, 5)), (Site.of({"area": "V"}),), tuple("abcde"), unknown, unknown, "one"))
