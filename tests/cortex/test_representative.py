"""Representative neurons: planted clusters come out evenly, and the nearest to the centres are chosen."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from murine.cortex.built_in_datasets import allen_neuropixels
from murine.cortex.neuron_embedding import embed, nearest_to_centres
from murine.cortex.neuron_vectors import map_vectors, response_vectors
from murine.cortex.recording import Recording
from murine.cortex.representative import compared, repeated, representative, stability
from murine.cortex.selection import selections
from murine.cortex.simulated import simulate
from murine.errors import MurineError
from murine.scenes import synthetic_scenes
from murine.stimuli import StimulusSet

N_PLANTED = 4
SMALL = {"n_clusters": N_PLANTED, "n_per_cluster": 6, "vectors": "responses"}


def planted(noise=0.1, blank=True):
    """Two classes of four kinds of neurons each, of unequal numbers: a kind shares its tuning, not its gain."""
    rng = np.random.default_rng(8)
    sizes = np.array([30, 22, 14, 9, 26, 18, 12, 8])
    kinds = rng.permutation(np.repeat(np.arange(8), sizes))
    tuning = rng.gamma(1.0, size=(8, 20))
    n = len(kinds)
    responses = tuning[kinds][:, :, None] + noise * rng.normal(size=(n, 20, 5))
    responses *= rng.lognormal(0, 1, (n, 1, 1))
    stimuli = [f"scene_{i:03d}" for i in range(20)]
    if blank:
        stimuli[7] = "blank"
        responses[:, 7] = 50 * rng.normal(size=(n, 5))  # would hide every kind, were it a part of the vectors
    neuroid = {
        "neuroid_id": [f"n{i}" for i in rng.permutation(n)],
        "cell_class": np.where(kinds < N_PLANTED, "excitatory", "inhibitory"),
        "area": np.where(rng.random(n) < 0.5, "VISp", "VISl"),
        "kind": kinds,
    }
    return Recording.from_arrays(responses, neuroid, {"stimulus_id": stimuli}, name="planted")


@pytest.fixture(scope="module")
def found():
    return representative(planted(), **SMALL)


def test_planted_clusters_are_found_and_equally_represented(found):
    embedded, chosen = found.embedded, found.chosen
    for group in ("excitatory", "inhibitory"):
        mine = embedded["cell_class"] == group
        assert adjusted_rand_score(embedded["kind"][mine], embedded["cluster"][mine]) == 1
    clusters, counts = np.unique(chosen["cluster"], return_counts=True)
    assert list(clusters) == [f"{group} {i}" for group in ("excitatory", "inhibitory") for i in range(N_PLANTED)]
    assert (counts == 6).all()
    assert (np.bincount(chosen["kind"]) == 6).all()
    for group in ("excitatory", "inhibitory"):  # the largest cluster comes first
        sizes = [(embedded["cluster"] == f"{group} {i}").sum() for i in range(N_PLANTED)]
        assert sizes == sorted(sizes, reverse=True)
    assert len(chosen.sites("cluster")) == 2 * N_PLANTED


def test_the_chosen_are_the_nearest_to_the_centres_recomputed_by_hand(found):
    embedded = found.embedded
    points = np.stack([embedded["umap_1"], embedded["umap_2"]], axis=1)
    expected = np.zeros(embedded.n_neuroids, dtype=bool)
    for group in ("excitatory", "inhibitory"):
        mine = np.flatnonzero(embedded["cell_class"] == group)
        mine = mine[np.argsort(embedded["neuroid_id"][mine])]
        means = KMeans(N_PLANTED, n_init=10, random_state=0).fit(points[mine])
        for k in range(N_PLANTED):
            members = mine[means.labels_ == k]
            centre = points[members].mean(axis=0)
            distance = [np.hypot(*(points[i] - centre)) for i in members]
            expected[members[np.argsort(distance)[:6]]] = True
    np.testing.assert_array_equal(embedded["chosen"], expected)
    np.testing.assert_array_equal(found.chosen["neuroid_id"], embedded["neuroid_id"][expected])
    assert set(found.chosen.dataset.coords) == {*planted().dataset.coords, "cluster", "umap_1", "umap_2"}


def test_the_embedding_is_that_of_umap_on_unit_vectors_without_the_blank(found):
    from umap import UMAP  # its import was let pass by the fixture

    recording = planted()
    means = np.delete(np.nanmean(recording.responses.astype(np.float64), axis=2), 7, axis=1)
    vectors = means / np.sqrt((means**2).sum(axis=1))[:, None]
    scenes = np.argsort([i for i in recording.stimulus_ids if i != "blank"])
    np.testing.assert_allclose(response_vectors(recording), vectors[:, scenes], atol=1e-14)
    assert response_vectors(recording, blank=True).shape[1] == 20
    mine = np.flatnonzero(recording["cell_class"] == "inhibitory")
    mine = mine[np.argsort(recording["neuroid_id"][mine])]
    points = UMAP(random_state=0, n_jobs=1, n_neighbors=15, min_dist=0.1).fit_transform(
        response_vectors(recording)[mine]
    )
    ours = np.stack([found.embedded["umap_1"], found.embedded["umap_2"]], axis=1)
    np.testing.assert_array_equal(ours[mine], points.astype(np.float64))


def test_the_order_of_neurons_and_stimuli_does_not_matter(found):
    recording = planted()
    rng = np.random.default_rng(1)
    order = {"neuroid": rng.permutation(recording.n_neuroids), "stimulus": rng.permutation(20)}
    other = representative(Recording(recording.dataset.isel(order)), **SMALL)
    np.testing.assert_array_equal(other.embedded["umap_1"], found.embedded["umap_1"][order["neuroid"]])
    assert other.embedded.digest == found.embedded.digest  # clusters and chosen are labels
    assert other.chosen.digest == found.chosen.digest


@pytest.fixture(scope="module")
def by_maps():
    return representative(planted(), stimuli=scenes(), **{**SMALL, "vectors": "maps"})


def scenes():
    """Images of the planted stimuli; the blank screen has none."""
    drawn = synthetic_scenes(19, 24, seed=4)
    return StimulusSet(drawn.images, tuple(f"scene_{i:03d}" for i in range(20) if i != 7))


def test_maps_are_those_of_the_paper_on_unit_length(by_maps):
    """N = T' F of every neuron by a plain loop, divided by its length; and UMAP on these."""
    from umap import UMAP

    recording = planted()
    names = [name for name in recording.stimulus_ids if name != "blank"]
    images = [
        np.asarray(Image.fromarray(x).convert("L").resize((11, 11), Image.Resampling.BILINEAR)) for x in scenes().images
    ]
    responses = recording.responses.astype(np.float64).mean(axis=2)
    found, centred = (map_vectors(recording, scenes(), centred=how) for how in (False, True))
    for i in range(0, recording.n_neuroids, 20):
        weights = np.array([responses[i, recording.stimulus_ids.index(name)] for name in names])
        for vector, shift in ((found[i], 0), (centred[i], weights.mean())):
            plain = sum((weight - shift) * image.ravel() for weight, image in zip(weights, images, strict=True))
            np.testing.assert_allclose(vector, plain / np.linalg.norm(plain), atol=0.02)
    mine = np.flatnonzero(recording["cell_class"] == "inhibitory")
    mine = mine[np.argsort(recording["neuroid_id"][mine])]
    points = UMAP(random_state=0, n_jobs=1, n_neighbors=15, min_dist=0.1).fit_transform(found[mine])
    ours = np.stack([by_maps.embedded["umap_1"], by_maps.embedded["umap_2"]], axis=1)
    np.testing.assert_array_equal(ours[mine], points.astype(np.float64))
    shuffled = Recording(recording.dataset.isel(stimulus=np.random.default_rng(2).permutation(20)))
    np.testing.assert_allclose(map_vectors(shuffled, scenes()), found, atol=1e-12)


def test_shared_neurons_are_counted():
    """Against sets in Python, and against lotteries drawn."""
    settings = {"by": "area", "groups": ["SIMp", "SIMl"], "n_clusters": 3, "n_per_cluster": 5, "vectors": "responses"}
    choices = repeated(simulate(n_neuroids=40, n_repetitions=4).recording, 3, seed=1, **settings)
    found = stability(choices)
    sets = [set(each.chosen["neuroid_id"]) for each in choices]
    shared = [len(sets[i] & sets[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert (found.shared, found.least, found.most) == (pytest.approx(np.mean(shared)), min(shared), max(shared))
    assert (found.n_choices, found.n_chosen) == (3, 30)
    rng = np.random.default_rng(0)
    drawn = [sum((rng.permutation(40)[:15] < 15).sum() for _ in range(2)) for _ in range(4000)]
    assert found.by_lottery == pytest.approx(2 * 15**2 / 40)
    assert np.mean(drawn) == pytest.approx(found.by_lottery, rel=0.02)
    again = representative(simulate(n_neuroids=40, n_repetitions=4).recording, seed=2, **settings)
    assert again.chosen.digest == choices[1].chosen.digest
    same = stability([choices[0], choices[0]])
    assert (same.shared, same.least) == (30, 30)
    with pytest.raises(MurineError, match="expected at least 2"):
        stability(choices[:1])
    with pytest.raises(MurineError, match="from different neurons"):
        stability([choices[0], representative(planted(), **SMALL)])


def test_a_seed_to_compare_with_that_gives_no_choice_is_left_out(monkeypatch, caplog):
    import murine.cortex.representative as module

    def choose(points, n_clusters, n_per_cluster, *, seed, **options):
        if seed > 0:
            raise MurineError("a cluster is too small")
        return nearest_to_centres(points, n_clusters, n_per_cluster, seed=seed, **options)

    monkeypatch.setattr(module, "nearest_to_centres", choose)
    monkeypatch.setattr(module, "embed", lambda vectors, seed, **options: vectors[:, :2])
    found, (chosen,) = compared(planted(), **SMALL)
    assert len(found) == 1
    assert "no other seed gives a choice" in chosen.dataset.attrs["selection"]
    assert "seed 2 gives no choice to compare with: a cluster is too small" in caplog.text
    with pytest.raises(MurineError, match="too small"):
        compared(planted(), 2, **SMALL)


def test_same_seed_same_answer_other_seed_another():
    recording = simulate(n_neuroids=40, n_repetitions=4).recording
    settings = {"by": "area", "groups": ["SIMp"], "n_clusters": 3, "n_per_cluster": 5, "vectors": "responses"}
    first, again, other = (representative(recording, seed=seed, **settings) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.embedded["umap_1"], again.embedded["umap_1"])
    assert first.chosen.digest == again.chosen.digest
    assert (first.embedded["umap_1"] != other.embedded["umap_1"]).all()


def test_neurons_that_cannot_be_described_are_left_out_and_told(found, caplog):
    recording = planted()
    whole = recording.dataset.isel(neuroid=[0] * 4).copy(deep=True)
    whole["neuroid_id"] = ("neuroid", ["silent", "constant", "missing", "blind"])
    whole["responses"][0] = 0
    whole["responses"][1] = 2.5
    whole["responses"][2, 3] = np.nan
    whole["responses"][3, 7] = np.nan  # the blank only: no part of the vectors
    import xarray as xr

    more = Recording(xr.concat([recording.dataset, whole], dim="neuroid"), "more")
    left_out = np.isnan(response_vectors(more)).all(axis=1)
    np.testing.assert_array_equal(more["neuroid_id"][left_out], ["silent", "constant", "missing"])
    with caplog.at_level(logging.WARNING, "murine"):
        result = representative(more, **SMALL)
    group = str(recording["cell_class"][0])
    told = f"more: 3 {group} neurons left out for missing or constant responses: silent, constant, missing"
    assert caplog.messages == [told]
    assert set(result.embedded["neuroid_id"]) == {*recording["neuroid_id"], "blind"}


def test_too_few_neurons_are_counted():
    recording = planted()
    excitatory = int((recording["cell_class"] == "excitatory").sum())
    message = (
        f"'planted' has only {excitatory} excitatory neurons; 10 clusters with 50 neurons each .* at least 500. Give"
    )
    with pytest.raises(MurineError, match=message):
        representative(recording, vectors="responses")
    with pytest.raises(MurineError, match=r"n_neighbors 80 need at least 81"):
        representative(recording, n_neighbors=80, **SMALL)
    recording.responses[:, 2] = np.nan
    with pytest.raises(MurineError, match=r"only 0 excitatory neurons with a response to every .* \(and 75 without\)"):
        representative(recording, **SMALL)


def test_a_cluster_with_too_few_members_is_an_error():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(size=(7, 2)), rng.normal([100, 0], 1, (30, 2))])
    with pytest.raises(
        MurineError, match=r"1 of the 2 clusters of 37 cells have fewer than 10 members: 7\. .*at most 7"
    ):
        nearest_to_centres(points, 2, 10, what="cells")
    cluster, chosen = nearest_to_centres(points, 2, 7)
    np.testing.assert_array_equal(cluster, np.repeat([1, 0], [7, 30]))
    assert chosen[:7].all()
    assert chosen.sum() == 14


def test_wrong_settings_and_groups_are_explained():
    recording = planted()
    with pytest.raises(MurineError, match=r"expected at least 1 neuron, cluster and restart"):
        representative(recording, n_clusters=0)
    with pytest.raises(MurineError, match=r"maps of neurons need the images .* or vectors=responses"):
        representative(recording)
    with pytest.raises(MurineError, match="'kernels'; expected one of maps, centred-maps, responses"):
        representative(recording, vectors="kernels")
    with pytest.raises(MurineError, match="blank needs vectors=responses"):
        representative(recording, blank=True, stimuli=scenes())
    with pytest.raises(MurineError, match="19 of 19 stimuli have no image"):
        representative(recording, stimuli=synthetic_scenes(4, 16))
    with pytest.raises(MurineError, match="0 choices were asked for"):
        repeated(recording, 0, **SMALL)
    with pytest.raises(MurineError, match="has no coordinate 'clas'"):
        representative(recording, by="clas", **SMALL)
    with pytest.raises(MurineError, match="'stimulus_id' is no coordinate of the neurons"):
        representative(recording, by="stimulus_id")
    with pytest.raises(MurineError, match=r"has area 'VISam'; values: VISl, VISp\.$"):
        representative(recording, by="area", groups=["VISp", "VISam"])
    empty = Recording(recording.dataset.assign_coords(line=("neuroid", np.full(recording.n_neuroids, ""))), "empty")
    with pytest.raises(MurineError, match=r"has line \(all are empty\); values: none"):
        representative(empty, by="line", **SMALL)


def test_groups_of_another_coordinate_and_neurons_of_no_group(caplog):
    recording = planted()
    area = recording["area"].copy()
    area[:5] = ""
    some_unknown = Recording(recording.dataset.assign_coords(area=("neuroid", area)), "some")
    with caplog.at_level(logging.INFO, "murine"):
        result = representative(some_unknown, by="area", n_clusters=2, n_per_cluster=4, vectors="responses")
    assert "some: 5 neurons of no group (area) are left out" in caplog.messages
    assert result.by == "area"
    assert set(result.embedded["area"]) == {"VISp", "VISl"}
    assert set(result.embedded["neuroid_id"]) == set(recording["neuroid_id"][5:])
    assert result.chosen.n_neuroids == 16


def test_it_is_a_named_selection_and_survives_a_file(tmp_path, found):
    chosen = selections["mice-to-machines"](planted(), **SMALL)
    assert chosen.digest == found.chosen.digest
    assert re.fullmatch(
        r"mice-to-machines: choices with 3 seeds share \d+ \(\d+ to \d+\) of 48 neurons, two lotteries \d+; repeat .*",
        chosen.dataset.attrs["selection"],
    )
    found.embedded.write(tmp_path / "embedded.nc")
    again = Recording.read(tmp_path / "embedded.nc")
    for coordinate in ("umap_1", "umap_2", "cluster", "chosen"):
        np.testing.assert_array_equal(again[coordinate], found.embedded[coordinate])


def test_umap_is_imported_only_when_needed():
    code = "import sys, murine.cortex.representative as r; print({'umap', 'numba', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"


def test_threads_of_torch_stay_as_they_are():
    """Numba starts its threads once a process, and sums of torch depend on how many it has.

    A parallel loop stands for UMAP, which takes 20 s to compile.
    """
    code = (
        "import sys, types, numba, numpy as np, torch\n"
        "@numba.njit(parallel=True)\n"
        "def loop(x):\n"
        "    for i in numba.prange(len(x)): x[i] += 1\n"
        "class UMAP:\n"
        "    def __init__(self, **options): pass\n"
        "    def fit_transform(self, x): loop(x); return x[:, :2]\n"
        "sys.modules['umap'] = types.SimpleNamespace(UMAP=UMAP)\n"
        "from murine.cortex.neuron_embedding import embed\n"
        "torch.set_num_threads(1); torch.get_num_threads()\n"
        "embed(np.random.default_rng(0).normal(size=(60, 9))); print(torch.get_num_threads())"
    )
    environment = {**os.environ, "NUMBA_NUM_THREADS": "3"}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout == "1\n"


def test_embedding_warns_of_nothing_and_separates_far_groups():
    rng = np.random.default_rng(3)
    vectors = np.repeat(np.eye(3, 30), 20, axis=0) + 1e-3 * rng.normal(size=(60, 30))  # a graph in three parts
    points = embed(vectors)
    groups = points.reshape(3, 20, 2)
    spread = np.linalg.norm(groups - groups.mean(axis=1, keepdims=True), axis=2).max()
    centres = groups.mean(axis=1)
    apart = min(np.linalg.norm(centres[i] - centres[j]) for i in range(3) for j in range(i))
    assert apart > 2 * spread


def test_the_real_recording_passes(shared_data):
    data = allen_neuropixels(shared_data)
    images, recording = data.stimuli, data.responses
    with pytest.raises(MurineError, match=r"'excitatory' or 'inhibitory'; values: unknown. .* by=\"area\""):
        representative(recording, stimuli=images)
    result = representative(recording, stimuli=images, by="area", n_clusters=4, n_per_cluster=25)
    areas, counts = np.unique(result.chosen["area"], return_counts=True)
    assert list(areas) == ["VISal", "VISam", "VISl", "VISp", "VISpm", "VISrl"]
    assert (counts == 100).all()
    assert np.isfinite(result.embedded["umap_1"]).all()
    # Near to its centre means like other neurons: the chosen lie closer together than neurons of the area do.
    points = np.stack([result.embedded["umap_1"], result.embedded["umap_2"]], axis=1)
    for cluster in set(result.embedded["cluster"]):
        mine = result.embedded["cluster"] == cluster
        centre = points[mine].mean(axis=0)
        distance = np.linalg.norm(points - centre, axis=1)
        near = mine & result.embedded["chosen"]
        if not (mine & ~near).any():
            continue
        # k-means stops before its centres are the exact means, so a few neurons at the edge may change places.
        assert np.mean(distance[mine & ~near] < distance[near].max()) < 0.1
        assert distance[near].mean() < distance[mine & ~near].mean()
