"""Targets against RDMs computed one by one."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from scipy.stats import zscore as scipy_zscore

from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording, Site
from murine.errors import MurineError
from murine.scoring import site_preparation
from murine.similarity.rdm_vectors import upper_triangle
from murine.statistics.bootstrap import bootstrap_counts
from murine.statistics.random_halves import half_means

#: Expected values below are of standardised neurons, unless a test says otherwise.
make_site_data = partial(site_preparation.make_site_data, normalise="zscore")

N, S, R = 24, 9, 10
IDS = [f"s{i}" for i in np.random.default_rng(3).permutation(S)]
LABELS = {
    "neuroid_id": [f"n{i}" for i in range(N)],
    "area": ["V1"] * 14 + ["LM"] * 10,
    "layer": ["4"] * 6 + ["5"] * 8 + ["4"] * 10,
}


def responses(n_repetitions=R):
    rng = np.random.default_rng(0)
    return 5 + rng.normal(size=(N, S, 1)) + rng.normal(size=(N, S, n_repetitions))


def recording(values=None, ids=None):
    values = responses() if values is None else values
    return Recording.from_arrays(values, LABELS, {"stimulus_id": IDS if ids is None else ids}, name="mouse")


def rdm(trials, zscored=True):
    """By the definition, with stimuli in the order of their sorted ids."""
    means = np.nanmean(trials.astype(np.float32).astype(np.float64), axis=2)[:, np.argsort(IDS)]
    return 1 - np.corrcoef((scipy_zscore(means, axis=1) if zscored else means).T)


def test_rdms_of_sites():
    site_data = make_site_data(recording(), n_splits=3)
    assert site_data.stimulus_ids == tuple(sorted(IDS))
    assert [site.name for site in site_data.sites] == ["LM", "V1"]
    assert site_data.n_neuroids == (10, 14)
    assert site_data.n_repetitions == R
    for s, members in enumerate((slice(14, None), slice(0, 14))):
        trials = responses()[members]
        np.testing.assert_allclose(site_data.rdms[s], rdm(trials), atol=1e-10)


def test_without_normalisation():
    site_data = make_site_data(recording(), normalise="none", n_splits=2)
    np.testing.assert_allclose(site_data.rdms[1], rdm(responses()[:14], zscored=False), atol=1e-10)
    with pytest.raises(MurineError, match="normalise is 'rank'; expected 'zscore' or 'none'"):
        make_site_data(recording(), normalise="rank")


def test_sites_by_area_and_layer():
    site_data = make_site_data(recording(), ("area", "layer"), n_splits=2)
    assert [site.name for site in site_data.sites] == ["LM 4", "V1 4", "V1 5"]
    np.testing.assert_allclose(site_data.rdms[2], rdm(responses()[6:14]), atol=1e-10)


@pytest.mark.parametrize("normalise", ["zscore", "none"])
def test_parts_are_rdms_of_halves_on_the_scale_of_the_whole(normalise):
    values = responses(5)
    site_data = make_site_data(recording(values), n_splits=6, seed=1, normalise=normalise)
    order = np.argsort(IDS)
    trials = values[:14][:, order].astype(np.float32).astype(np.float64)
    whole = trials.mean(axis=2)
    mean, sd = (
        (whole.mean(axis=1, keepdims=True), whole.std(axis=1, keepdims=True)) if normalise == "zscore" else (0, 1)
    )
    agreement = np.zeros(S)
    for k, halves in enumerate(half_means(trials, site_data.population.keys)):
        patterns = [((half - mean) / sd).T for half in halves]
        for part, pattern in zip(site_data.half_rdms[1, :, k], patterns, strict=True):
            np.testing.assert_allclose(part, upper_triangle(1 - np.corrcoef(pattern)), atol=1e-6)
        agreement += [np.corrcoef(*both)[0, 1] / 6 for both in zip(*patterns, strict=True)]
    patterns = ((whole - mean) / sd).T
    power = patterns.var(axis=1) * 14
    np.testing.assert_allclose(site_data.half_patterns[1], [agreement, power, np.full(S, 5.0)], rtol=1e-6)


def test_missing_trials_are_left_out_of_means():
    values = responses()
    values[2, 3, 4:] = np.nan
    values[5, :, 1] = np.nan
    site_data = make_site_data(recording(values), n_splits=5)
    assert site_data.left_out == {}
    np.testing.assert_allclose(site_data.rdms[1], rdm(values[:14]), atol=1e-10)
    # One trial is left of a stimulus: where a half has none, the mean over all stands in.
    values[2, 3] = np.nan
    values[2, 3, 0] = 7.0
    site_data = make_site_data(recording(values), n_splits=5)
    np.testing.assert_allclose(site_data.rdms[1], rdm(values[:14]), atol=1e-10)
    assert np.isfinite(site_data.half_rdms).all()


def test_neurons_that_cannot_be_used_are_reported():
    values = responses()
    values[1, 2] = np.nan
    values[20] = 3.0
    site_data = make_site_data(recording(values), n_splits=2)
    assert site_data.left_out == {"missing responses": ("n1",), "constant responses": ("n20",)}
    assert site_data.n_neuroids == (9, 13)
    np.testing.assert_allclose(site_data.rdms[1], rdm(np.delete(values[:14], 1, axis=0)), atol=1e-10)


def test_selected_stimuli_are_those_computed_alone():
    site_data = make_site_data(recording(), normalise="none", n_splits=4)
    chosen = np.array([1, 2, 4, 7, 8])
    part = site_data.select(chosen)
    ids = tuple(np.array(sorted(IDS))[chosen])
    assert part.stimulus_ids == ids
    alone = make_site_data(recording().select(stimuli=ids), normalise="none", n_splits=4)
    np.testing.assert_allclose(part.rdms, alone.rdms, atol=1e-12)
    np.testing.assert_allclose(part.half_rdms, alone.half_rdms, atol=1e-6)


@pytest.mark.parametrize("ranks", [False, True])
def test_ceilings_follow_from_the_parts(ranks):
    site_data = make_site_data(recording(), n_splits=8)
    counts = bootstrap_counts(S, 5, 0)
    ceiling = site_data.ceiling("tau-a", counts, ranks=ranks)
    for s in range(2):
        value, draws = site_data.halved(s).reliability(counts, ranks=ranks)
        np.testing.assert_allclose(ceiling.value[s], 2 / np.pi * np.arcsin(np.sqrt(value)))
        np.testing.assert_allclose(ceiling.draws[:, s], 2 / np.pi * np.arcsin(np.sqrt(draws)))


def test_given_matrices_bring_their_reliability():
    order = np.argsort(IDS)
    matrices = np.stack([rdm(responses()[:14]), rdm(responses()[14:])])
    back = np.argsort(order)  # in the order of the ids as given
    given = NeuralRDMs(
        matrices[:, back][:, :, back],
        (Site.of({"area": "V1"}), Site.of({"area": "LM"})),
        tuple(IDS),
        np.array([0.81, 0.25]),
        np.array([0.01, 0.0]),
        "given",
    )
    site_data = site_preparation.make_site_data(given)
    assert (site_data.half_rdms, site_data.n_neuroids) == (None, (0, 0))
    assert site_data.stimulus_ids == tuple(sorted(IDS))
    np.testing.assert_array_equal(site_data.rdms, matrices)
    ceiling = site_data.ceiling("r", bootstrap_counts(S, 4000, 0))
    np.testing.assert_allclose(ceiling.value, [0.9, 0.5])
    # sd(sqrt(x)) = sd(x) / (2 sqrt(x)); without a standard error there is no spread.
    assert ceiling.draws[:, 0].std() == pytest.approx(0.01 / (2 * 0.9), rel=0.05)
    assert (ceiling.draws[:, 1] == 0.5).all()


def test_the_order_of_stimuli_and_neurons_does_not_matter():
    rng = np.random.default_rng(1)
    right = make_site_data(recording(), n_splits=3)
    mixed = Recording(recording().dataset.isel(neuroid=rng.permutation(N), stimulus=rng.permutation(S)), "mixed")
    site_data = make_site_data(mixed, n_splits=3)
    assert (site_data.stimulus_ids, site_data.digest) == (right.stimulus_ids, right.digest)
    np.testing.assert_allclose(site_data.rdms, right.rdms, atol=1e-12)
    np.testing.assert_allclose(site_data.half_rdms, right.half_rdms, atol=1e-6)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(MurineError, match="no neuron of 'mouse' can be used"):
        make_site_data(recording(np.ones((N, S, 2))))
    with pytest.raises(MurineError, match="no coordinate 'lobe'"):
        make_site_data(recording(), ("lobe",))
    alike = responses()
    alike[:, 4] = 2.0
    with pytest.raises(MurineError, match=r"no site of 'mouse' has an RDM: LM \(all neurons respond alike to some"):
        make_site_data(recording(alike), normalise="none")


def test_a_site_that_cannot_be_compared_is_told_and_leaves_the_others_as_they_are(caplog):
    right = make_site_data(recording(), n_splits=3)
    (only,) = [s for s, site in enumerate(right.sites) if site.name == "V1"]
    counts = bootstrap_counts(S, 20, 0)
    alike, silent, single = (responses() for _ in range(3))
    alike[14:, 4] = 2.0
    silent[14:] = 0.0
    single[15:] = 0.0
    for given, reason, normalise in (
        (silent, "no usable neuron", "zscore"),
        (single, "one usable neuron", "zscore"),
        (alike, "all neurons respond alike to some stimulus", "none"),
    ):
        caplog.clear()
        site_data = make_site_data(recording(given), n_splits=3, normalise=normalise)
        assert [(lost.site.name, lost.reason) for lost in site_data.lost] == [("LM", reason)]
        assert f"mouse: sites without scores: LM ({reason})." in caplog.text
        assert [site.name for site in site_data.sites] == ["V1"]
        assert len(site_data.half_rdms) == len(site_data.rdms) == len(site_data.kernels) == 1
        if normalise == "zscore":
            np.testing.assert_array_equal(site_data.rdms[0], right.rdms[only])
            found, expected = site_data.ceiling("r", counts), right.ceiling("r", counts)
            np.testing.assert_array_equal(found.draws[:, 0], expected.draws[:, only])


def test_one_repetition_has_rdms_and_no_ceiling(caplog):
    site_data = make_site_data(recording(responses(1)))
    assert "mouse: one repetition of each stimulus gives no noise ceiling" in caplog.text
    assert site_data.half_rdms is None
    one = make_site_data(recording(np.repeat(responses(1), 2, axis=2)), n_splits=2)
    np.testing.assert_allclose(site_data.rdms, one.rdms, atol=1e-12)
    ceiling = site_data.ceiling("r", bootstrap_counts(S, 5, 0))
    assert np.isnan(ceiling.value).all()
    assert site_data.site_notes(ceiling) == ("ceiling not known",) * 2


@pytest.mark.parametrize("share", [0.0, 0.05, 1.0])
def test_single_trials_among_missing_ones_give_no_ceiling(share):
    """Halves of a single trial agree without saying anything: they must not pass for reliable data."""
    rng = np.random.default_rng(0)
    given = rng.normal(size=(N, S, 4))
    lost = rng.random((N, S)) < share
    kept = rng.integers(4, size=(N, S))
    given[lost[:, :, None] & (np.arange(4) != kept[:, :, None])] = np.nan
    site_data = make_site_data(recording(given), n_splits=20)
    counts = bootstrap_counts(S, 5, 0)
    for ceiling in (site_data.ceiling("r", counts), site_data.kernel_ceiling(counts)):
        if share == 1:
            assert np.isnan(ceiling.value).all()
            assert all("too few trials for a ceiling: 100%" in note for note in site_data.site_notes(ceiling))
        else:
            assert (ceiling.value < 0.8).all()  # of nothing but noise
    assert all("ceiling too high" in note for note in site_data.notes) == (share == 0.05)


def test_matrices_that_are_constant_or_lack_an_error_are_told_once(caplog):
    varied = np.stack([rdm(responses()[:14]), 1 - np.eye(S)])
    sites = (Site.of({"area": "V1"}), Site.of({"area": "LM"}))
    sem = np.array([np.nan, 0.1])
    site_data = site_preparation.make_site_data(
        NeuralRDMs(varied, sites, tuple(IDS), np.array([0.81, 0.5]), sem, "given")
    )
    assert site_data.notes == ("", "the same dissimilarity for every pair")
    assert [record.getMessage().count("reliability_sem") for record in caplog.records] == [0, 1]
    assert "given: the reliability of V1 has no standard error" in caplog.text
    ceiling = site_data.ceiling("r", bootstrap_counts(S, 5, 0))
    np.testing.assert_allclose(ceiling.value, [0.9, np.sqrt(0.5)])
    assert site_data.site_notes(ceiling) == ("ceiling without an error", "the same dissimilarity for every pair")


@pytest.mark.parametrize("name", ["cosine", "euclidean"])
def test_other_dissimilarities(name):
    site_data = make_site_data(recording(), dissimilarity=name, n_splits=2)
    means = scipy_zscore(responses()[:14].astype(np.float32).astype(float).mean(axis=2)[:, np.argsort(IDS)], axis=1).T
    expected = squareform(pdist(means, "sqeuclidean" if name == "euclidean" else name))
    np.testing.assert_allclose(site_data.rdms[1], expected / (14 if name == "euclidean" else 1), atol=1e-9)
    with pytest.raises(MurineError, match="unknown dissimilarity 'cosin'; did you mean cosine"):
        make_site_data(recording(), dissimilarity="cosin")
