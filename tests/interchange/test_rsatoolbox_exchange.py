"""rsatoolbox's objects and files: labels survive, and it computes from them what murine does."""

from __future__ import annotations

import sys
import warnings

import h5py
import numpy as np
import pytest

from murine.cortex.loading import load_responses
from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording, Site
from murine.cortex.simulated import simulate
from murine.errors import MurineError
from murine.interchange.rsatoolbox import (
    from_dataset,
    from_rdms,
    layer_rdms,
    matched,
    to_dataset,
    to_rdms,
)
from murine.interchange.rsatoolbox_files import read, write
from murine.networks.layer_kernel import LayerKernel
from murine.scenes import synthetic_scenes
from murine.similarity.crossnobis import crossnobis_rdm
from murine.similarity.rdm import euclidean_rdm, pearson_rdm
from murine.similarity.rdm_vectors import upper_triangle
from murine.similarity.rsa import Cosine, comparisons
from murine.statistics.standardisation import zscore

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the packages it imports
    rsatoolbox = pytest.importorskip("rsatoolbox")

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:invalid value encountered in cast"
)

METHODS = {"rsa-pearson": "corr", "rsa-spearman": "spearman", "rsa-tau-a": "tau-a"}
IDS = ("zebra", "ant", "mole", "cat", "yak", "bee")


@pytest.fixture(scope="module")
def cortex():
    return simulate(synthetic_scenes(20, 40), n_neuroids=12, n_repetitions=4, reliability=0.9)


def neural_rdms():
    rng = np.random.default_rng(0)
    sites = (
        Site.of({"area": "VISp", "layer": "2/3"}),
        Site.of({"area": "VISp", "layer": "4"}),
        Site("all", {"area": "VISl"}),
    )
    matrices = np.stack([pearson_rdm(rng.normal(size=(6, 30))) for _ in sites])
    return NeuralRDMs(matrices, sites, IDS, np.array([0.9, np.nan, 0.5]), np.array([0.1, np.nan, 0.2]), "lab")


def assert_same_rdms(found, expected):
    assert found.digest == expected.digest  # of matrices, ids, sites and reliabilities
    assert found.sites == expected.sites
    assert found.name == expected.name


# ------------------------------------------------------------------------------------------------------- Dataset


def test_dataset_has_a_row_for_each_presentation(cortex):
    recording = cortex.recording
    dataset = to_dataset(recording)
    assert dataset.measurements.shape == (80, 36)
    for row in (0, 17, 79):
        stimulus = recording.stimulus_ids.index(dataset.obs_descriptors["stimulus"][row])
        repetition = dataset.obs_descriptors["repetition"][row]
        np.testing.assert_array_equal(dataset.measurements[row], recording.responses[:, stimulus, repetition])
        assert dataset.obs_descriptors["group"][row] == recording["group"][stimulus]
    assert set(dataset.channel_descriptors) == {"neuroid_id", "area", "layer", "cell_class", "true_reliability"}


def test_dataset_comes_back(cortex, tmp_path):
    found = from_dataset(to_dataset(cortex.recording))
    assert found.digest == cortex.recording.digest
    assert found.name == cortex.recording.name
    for key, values in cortex.recording.dataset.coords.items():
        np.testing.assert_array_equal(found[str(key)], values.values)
    mixed = to_dataset(cortex.recording)
    mixed.sort_by("repetition")
    assert from_dataset(mixed).digest == cortex.recording.digest
    write(cortex.recording, tmp_path / "mouse.h5")
    assert read(tmp_path / "mouse.h5").digest == cortex.recording.digest
    loaded = rsatoolbox.data.load_dataset(str(tmp_path / "mouse.h5"))
    assert from_dataset(loaded).digest == cortex.recording.digest
    assert not list(tmp_path.glob("*.partial"))


def test_what_rsatoolbox_computes_of_the_dataset_is_what_murine_computes(cortex):
    recording = cortex.recording
    dataset = to_dataset(recording)
    means = recording.mean().T
    for method, cv, ours in (
        ("correlation", None, pearson_rdm(means)),
        ("euclidean", None, euclidean_rdm(LayerKernel.of(means))),
        ("crossnobis", "repetition", crossnobis_rdm(recording.responses.astype(np.float64))),
    ):
        theirs = rsatoolbox.rdm.calc_rdm(dataset, method, descriptor="stimulus", cv_descriptor=cv)
        theirs.rdm_descriptors["site"] = ["all"]
        found = from_rdms(theirs)
        order = [found.stimulus_ids.index(stimulus) for stimulus in recording.stimulus_ids]
        np.testing.assert_allclose(found.matrices[0][np.ix_(order, order)], ours, rtol=0, atol=1e-10)


def test_observations_of_others():
    """Without repetition numbers, with ids under other names, as a lab may have them."""
    rng = np.random.default_rng(0)
    runs = [1, 1, 2, 2, 3, 3]
    dataset = rsatoolbox.data.Dataset(
        rng.normal(size=(6, 3)),
        obs_descriptors={"conds": ["b", "a"] * 3, "run": runs},
        channel_descriptors={"cell": [5, 6, 7]},
    )
    found = from_dataset(dataset, stimulus="conds", repetition="run", neuroid="cell", name="lab")
    counted = from_dataset(dataset, stimulus="conds", neuroid="cell", name="lab")
    expected = dataset.measurements.reshape(3, 2, 3).transpose(2, 1, 0).astype(np.float32)
    np.testing.assert_array_equal(found.responses, expected)
    np.testing.assert_array_equal(counted.responses, expected)
    for options, message in (
        ({}, "have no 'stimulus'. They have conds, run; say with stimulus="),
        ({"stimulus": "cond"}, "did you mean conds"),
        ({"stimulus": "conds"}, "have no 'neuroid_id'. They have cell"),
        ({"stimulus": "run", "neuroid": "cell", "repetition": "run"}, "several rows for the same repetition of 1, 2"),
    ):
        with pytest.raises(MurineError, match=message):
            from_dataset(dataset, **options)
    dataset.channel_descriptors["cell"] = [5, 6, 5]
    with pytest.raises(MurineError, match="neuroid_id must be unique"):
        from_dataset(dataset, stimulus="conds", neuroid="cell")
    dataset.obs_descriptors["run"] = runs[:5]
    with pytest.raises(MurineError, match=r"one label per presentation, \(6,\); found run \(5,\)"):
        from_dataset(dataset, stimulus="conds", neuroid="cell")
    dataset.obs_descriptors["run"] = [[1], [2, 3], 1, 1, 1, 1]
    with pytest.raises(MurineError, match="'run' of 'dataset' are no plain labels"):
        from_dataset(dataset, stimulus="conds", neuroid="cell")


@pytest.mark.usefixtures("unchecked")
def test_time_courses_are_refused():
    dataset = rsatoolbox.data.TemporalDataset(
        np.zeros((4, 2, 5)),
        obs_descriptors={"stimulus": list("abab")},
        channel_descriptors={"neuroid_id": [0, 1]},
        time_descriptors={"time": np.arange(5)},
    )
    with pytest.raises(MurineError, match=r"shape \(4, 2, 5\).*Average over time"):
        from_dataset(dataset)


# ---------------------------------------------------------------------------------------------------------- RDMs


def test_matrices_come_back(tmp_path):
    ours = neural_rdms()
    theirs = to_rdms(ours, measure="correlation")
    assert theirs.dissimilarity_measure == "correlation"
    assert theirs.pattern_descriptors["stimulus"] == sorted(IDS)
    assert theirs.rdm_descriptors["layer"] == ["2/3", "4", ""]
    assert_same_rdms(from_rdms(theirs), ours)
    write(ours, tmp_path / "lab.h5")
    assert_same_rdms(read(tmp_path / "lab.h5"), ours)
    assert_same_rdms(from_rdms(rsatoolbox.rdm.load_rdm(str(tmp_path / "lab.h5"))), ours)
    ours.write(tmp_path / "lab.npz")
    assert_same_rdms(load_responses(str(tmp_path / "lab.npz")), ours)
    one = from_rdms(theirs.subset("site", "all").subset_pattern("stimulus", ["ant", "yak", "cat", "bee"]))
    assert one.sites == ours.sites[2:]
    assert one.stimulus_ids == ("ant", "bee", "cat", "yak")
    assert one.matrices[0, 1, 3] == ours.matrices[2, 5, 4]


def test_real_matrices_come_back(shared_data, tmp_path):
    ours = load_responses("allen-2p", root=shared_data)
    assert_same_rdms(from_rdms(to_rdms(ours)), ours)
    write(ours, tmp_path / "allen-2p.h5")
    assert_same_rdms(read(tmp_path / "allen-2p.h5"), ours)


def test_real_matrices_compare_as_with_murine(shared_data):
    ours = load_responses("allen-2p", root=shared_data)
    theirs = to_rdms(ours)
    vectors = upper_triangle(ours.matrices)
    for metric, method in METHODS.items():
        n = 4 if method == "tau-a" else 21  # rsatoolbox takes 10 ms for each tau-a
        found = rsatoolbox.rdm.compare(theirs[range(n)], theirs, method=method)
        np.testing.assert_allclose(comparisons[metric].score(vectors[:n], vectors), found, rtol=0, atol=1e-12)
    found = rsatoolbox.rdm.compare(theirs, theirs, method="cosine")
    np.testing.assert_allclose(Cosine().score(vectors, vectors), found, rtol=0, atol=1e-12)


def test_layers_and_simulated_sites_compare_as_with_murine(cortex):
    """Layers in the order of the images, sites in that of a recording: what goes out is in one order."""
    images = cortex.stimuli
    mixed = images.select([images.ids[i] for i in np.random.default_rng(0).permutation(images.n_stimuli)])
    features = {
        f"blur{size}": mixed.images[:, ::size, ::size].reshape(mixed.n_stimuli, -1).astype(np.float64)
        for size in (1, 3, 8)
    }
    layers = {name: LayerKernel.of(x) for name, x in features.items()}
    responses, area = zscore(cortex.recording.mean()), cortex.recording["area"]
    names = tuple(dict.fromkeys(area))
    matrices = np.stack([pearson_rdm(responses[area == name].T) for name in names])
    unknown = np.full(3, np.nan)
    sites = NeuralRDMs(
        matrices, tuple(Site.of({"area": n}) for n in names), cortex.recording.stimulus_ids, unknown, unknown
    )
    exported = layer_rdms(layers, mixed.ids), to_rdms(sites)
    assert exported[0].rdm_descriptors["layer"] == list(layers)
    order = [mixed.ids.index(i) for i in cortex.recording.stimulus_ids]
    vectors = upper_triangle(np.stack([pearson_rdm(x[order]) for x in features.values()]))
    for metric, method in METHODS.items():
        found = rsatoolbox.rdm.compare(*exported, method=method)
        expected = comparisons[metric].score(vectors, upper_triangle(matrices))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
        assert np.ptp(found) > 0.01
    # The same from rsatoolbox's own distances between the features.
    for dissimilarity, method in (("pearson", "correlation"), ("euclidean", "euclidean")):
        ours = layer_rdms(layers, mixed.ids, dissimilarity=dissimilarity)
        assert ours.dissimilarity_measure == method
        for i, x in enumerate(features.values()):
            dataset = rsatoolbox.data.Dataset(x, obs_descriptors={"stimulus": list(mixed.ids)})
            (theirs,) = matched(rsatoolbox.rdm.calc_rdm(dataset, method, descriptor="stimulus"))
            np.testing.assert_allclose(ours.dissimilarities[i], theirs.dissimilarities[0], rtol=1e-9, atol=1e-9)


def test_rdms_of_others_are_put_in_one_order():
    ours = to_rdms(neural_rdms())
    order = [3, 0, 5, 1, 4, 2]
    other = ours.copy()
    other.reorder(order)
    assert not np.allclose(rsatoolbox.rdm.compare(ours, other, method="corr").diagonal(), 1)
    again = matched(other, ours)
    assert other.pattern_descriptors["stimulus"] == [ours.pattern_descriptors["stimulus"][i] for i in order]
    np.testing.assert_allclose(rsatoolbox.rdm.compare(*again, method="corr").diagonal(), 1)
    fewer = ours.subset_pattern("stimulus", ["ant", "bee", "cat", "yak"])
    with pytest.raises(MurineError, match="only some of them have mole, zebra"):
        matched(ours, fewer)
    del fewer.pattern_descriptors["stimulus"]
    with pytest.raises(MurineError, match=r"have no 'stimulus'\. They have index"):
        matched(fewer)


def test_labels_of_rdms_that_do_not_fit_are_refused():
    def changed(patterns=None, about=None, vectors=None):
        found = to_rdms(neural_rdms())
        found.pattern_descriptors |= patterns or {}
        found.rdm_descriptors |= about or {}
        if vectors is not None:
            found.dissimilarities[1, 3] = vectors
        return found

    for wrong, message in (
        (changed({"stimulus": list("abcdea")}), "need different 'stimulus'; found 0 empty and repeated a"),
        (changed({"stimulus": ["a", "b", None, "", "e", "f"]}), "found 2 empty"),
        (changed({"stimulus": list("abcde")}), r"shape \(3, 15\) for 5 stimulus ids"),
        (changed(about={"site": ["x", "y", "x"]}), "need different 'site'; found 0 empty and repeated x"),
        (
            changed(about={"reliability": ["high", "low", "low"]}),
            "'reliability' of 'lab' .*expected one number for each",
        ),
        (changed(about={"layer": ["4", "5"]}), r"'layer' of 'lab' has shape \(2,\)"),
        (changed(vectors=np.nan), "'VISp 4' has NaN or infinite entries, or masked ones, at ant, yak"),
        (changed(vectors=np.inf), "'VISp 4' has NaN"),
    ):
        with pytest.raises(MurineError, match=message):
            from_rdms(wrong)
    with pytest.raises(MurineError, match=r"have no 'subject'. They have site, area, .*say with site="):
        from_rdms(changed(), site="subject")
    subjects = rsatoolbox.rdm.RDMs(upper_triangle(neural_rdms().matrices), pattern_descriptors={"img": list(IDS)})
    subjects.rdm_descriptors["subject"] = [1, 2, 3]
    assert [s.labels for s in from_rdms(subjects, stimulus="img", site="subject").sites] == [
        {"area": "1"},
        {"area": "2"},
        {"area": "3"},
    ]


def test_layers_without_an_rdm_are_refused():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(6, 20))
    constant = features.copy()
    constant[2] = 3.0
    broken = features.copy()
    broken[4, 1] = np.nan
    lopsided = LayerKernel.of(features)
    lopsided.covariance[0, 1] += 1
    kernel = LayerKernel.of(features)
    for layers, ids, message in (
        ({"fc": kernel}, IDS[:5], r"'fc' has a kernel of shape \(6, 6\); 5 stimulus ids"),
        ({"fc": kernel}, (*IDS[:5], "ant"), "need different 'stimulus'; found 0 empty and repeated ant"),
        ({"fc": LayerKernel.of(constant)}, IDS, "'fc' has no pearson RDM: constant within images"),
        ({"conv": kernel, "fc": LayerKernel.of(broken)}, IDS, "'fc' has no pearson RDM: not finite"),
        ({"fc": lopsided}, IDS, "'fc' has no pearson RDM: its kernel is not symmetric"),
        ({}, IDS, "no layers were given"),
    ):
        with pytest.raises(MurineError, match=message):
            layer_rdms(layers, ids)
    with pytest.raises(MurineError, match="unknown dissimilarity 'corr'"):
        layer_rdms({"fc": kernel}, IDS, dissimilarity="corr")
    euclidean = layer_rdms({"fc": LayerKernel.of(constant)}, IDS, dissimilarity="euclidean")
    assert np.isfinite(euclidean.dissimilarities).all()


# --------------------------------------------------------------------------------------------------------- files


def test_files_that_are_no_interchange(tmp_path, cortex):
    (tmp_path / "old.pkl").write_bytes(b"anything")
    with pytest.raises(MurineError, match="is a pickle, which may run anything"):
        read(tmp_path / "old.pkl")
    with pytest.raises(MurineError, match="there is no file"):
        read(tmp_path / "none.h5")
    write(cortex.recording, tmp_path / "mouse.h5")
    content = (tmp_path / "mouse.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(MurineError, match="truncated"):
        read(tmp_path / "cut.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(MurineError, match="measurements: found nothing there"):
        read(tmp_path / "other.h5")
    with h5py.File(tmp_path / "mouse.h5", "a") as file:
        file["obs_descriptors/elsewhere"] = h5py.ExternalLink("other.h5", "/x")
    with pytest.raises(MurineError, match="a link to another file"):
        read(tmp_path / "mouse.h5")


def test_names_that_their_files_cannot_hold(tmp_path):
    given = neural_rdms()
    named = NeuralRDMs(
        given.matrices, given.sites, ("zébra", *IDS[1:]), given.reliability, given.reliability_sem, "lab"
    )
    with pytest.raises(MurineError, match="labels with 'é'; files of rsatoolbox hold ASCII only"):
        write(named, tmp_path / "lab.h5")
    assert list(tmp_path.iterdir()) == []
    assert "zébra" in to_rdms(named).pattern_descriptors["stimulus"]


def test_without_rsatoolbox(tmp_path, monkeypatch, cortex):
    write(cortex.recording, tmp_path / "mouse.h5")
    monkeypatch.setitem(sys.modules, "rsatoolbox", None)
    for work in (
        lambda: to_dataset(cortex.recording),
        lambda: to_rdms(neural_rdms()),
        lambda: layer_rdms({"fc": LayerKernel.of(np.eye(6))}, IDS),
    ):
        with pytest.raises(MurineError, match="`pip install rsatoolbox` adds it"):
            work()
    assert isinstance(read(tmp_path / "mouse.h5"), Recording)
