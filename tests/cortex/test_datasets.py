"""The data sets against the tables of their READMEs, and against each other; damaged copies are refused."""

from __future__ import annotations

import html
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import spearmanr

from murine.cortex.built_in_datasets import allen_2p, allen_neuropixels
from murine.cortex.dataset import Dataset
from murine.cortex.dataset_registry import datasets
from murine.cortex.dataset_sources import DatasetSource, dataset_source, known_source, known_sources
from murine.cortex.loading import load_dataset
from murine.cortex.recording import Recording
from murine.cortex.shared_arrays import natural_scenes
from murine.cortex.simulated import simulate
from murine.errors import MurineError
from murine.io.data_folder import data_folder
from murine.networks.preprocessing import Preprocessing
from murine.scoring.site_preparation import make_site_data
from murine.similarity.rdm import pearson_rdm
from murine.similarity.rdm_vectors import upper_triangle
from murine.statistics.bootstrap import bootstrap_counts
from murine.statistics.standardisation import zscore

# The README of allen_neuropixels_natural_scenes, arrays with n_bins >= 6: units, mice, RDM reliability over
# trials, Spearman correlation with the two-photon RDM (mean over layers), and with that of pixels (32 x 41).
README = {
    "VISp": (1214, 15, 0.98, 0.306, 0.20),
    "VISl": (531, 11, 0.94, 0.377, 0.28),
    "VISrl": (683, 10, 0.94, 0.107, 0.47),
    "VISal": (925, 10, 0.96, 0.350, 0.29),
    "VISpm": (561, 9, 0.96, 0.379, 0.28),
    "VISam": (540, 8, 0.93, 0.304, 0.25),
}


@pytest.fixture(scope="module")
def scenes(shared_data):
    return natural_scenes(shared_data)


@pytest.fixture(scope="module")
def neuropixels(shared_data):
    return allen_neuropixels(shared_data).responses


@pytest.fixture(scope="module")
def two_photon(shared_data):
    return allen_2p(shared_data).responses


@pytest.fixture(scope="module")
def population_rdms(neuropixels):
    """Units z-scored over scenes, 1 - Pearson, as upper triangles."""
    means = {area: neuropixels.select(area=area).mean() for area in README}
    return {area: upper_triangle(pearson_rdm(np.ascontiguousarray(zscore(m).T))) for area, m in means.items()}


def two_photon_rdm(two_photon, area, shift=0):
    in_area = [site.labels["area"] == area for site in two_photon.sites]
    order = np.roll(np.arange(118), shift)
    return upper_triangle(two_photon.matrices[in_area].mean(axis=0)[np.ix_(order, order)])


def test_scenes_come_in_their_order_and_groups(shared_data, scenes):
    assert scenes.ids == tuple(f"scene_{i:03d}" for i in range(118))
    assert scenes.images.shape == (118, 231, 295)
    groups = ("enlarged fourfold",) * 59 + ("full resolution",) * 43 + ("enlarged",) * 16
    assert scenes.groups == groups
    earlier = np.load(shared_data / "allen_natural_scenes" / "scenes_31x31_earlier_copy.npz")["scenes"]
    for i in range(118):  # an independent copy of the set: no scene is elsewhere, mirrored or turned
        small = Image.fromarray(scenes.images[i]).resize((31, 31), Image.Resampling.BOX)
        correlation = [np.corrcoef(np.asarray(small).ravel(), other.ravel())[0, 1] for other in earlier]
        assert np.argmax(correlation) == i
        assert correlation[i] > 0.95


def test_numbers_of_units_and_mice(neuropixels):
    table = pd.DataFrame({key: neuropixels[key] for key in ("area", "donor")})
    counted = {area: (len(rows), rows.donor.nunique()) for area, rows in table.groupby("area")}
    assert counted == {area: numbers[:2] for area, numbers in README.items()}
    assert (neuropixels.n_stimuli, neuropixels.n_repetitions) == (118, 50)
    assert neuropixels["n_bins"].min() == 6


def test_short_windows_can_be_had(shared_data, neuropixels):
    everything = allen_neuropixels(shared_data, min_bins=1).responses
    assert everything.n_neuroids == 4697
    again = everything.select(neuroid_id=neuropixels["neuroid_id"])
    assert again.digest == neuropixels.digest
    with pytest.raises(MurineError, match="window of at least 99 bins"):
        allen_neuropixels(shared_data, min_bins=99)


def test_rates_are_counts_per_second_with_the_labels_of_their_unit(shared_data, neuropixels):
    folder = shared_data / "allen_neuropixels_natural_scenes"
    arrays, units = pd.read_csv(folder / "arrays.csv"), pd.read_csv(folder / "units.csv")
    position = {name: i for i, name in enumerate(neuropixels["neuroid_id"])}
    checked = 0
    for array in arrays[arrays.n_bins >= 6].itertuples():
        with np.load(folder / f"counts_{array.area}.npz") as archive:
            counts = archive[f"counts_{array.specimen_id}"]
        mine = units[(units.area == array.area) & (units.specimen_id == array.specimen_id)]
        for unit in mine.iloc[:: max(1, len(mine) // 3)].itertuples():
            named = unit.unit_id > 0
            name = str(int(unit.unit_id)) if named else f"{unit.specimen_id}-{unit.area}-{unit.unit_row}"
            i = position[name]
            expected = counts[unit.unit_row].astype(float) * 100 / array.n_bins
            trials = neuropixels.responses[i, :, : counts.shape[2]]
            np.testing.assert_allclose(trials, expected, rtol=1e-6)
            assert np.isnan(neuropixels.responses[i, :, counts.shape[2] :]).all()
            assert neuropixels["area"][i] == array.area
            assert neuropixels["donor"][i] == str(array.specimen_id)
            number = 0 if np.isnan(unit.cortical_layer) else int(unit.cortical_layer)
            layer = {0: "", 2: "2/3"}.get(number, str(number))
            assert neuropixels["layer"][i] == layer
            assert np.isnan(neuropixels["depth"][i]) == (layer == "")
            checked += 1
    assert checked > 150


def test_only_the_array_of_47_trials_is_padded(neuropixels):
    padded = np.isnan(neuropixels.responses).any(axis=(1, 2))
    assert set(neuropixels["donor"][padded]) == {"718643567"}
    assert set(neuropixels["area"][padded]) == {"VISrl"}
    missing = np.isnan(neuropixels.responses[padded])
    assert missing[:, :, 47:].all()
    assert not missing[:, :, :47].any()
    assert neuropixels.usable()[1] == {}


def test_no_label_is_the_text_nan(neuropixels):
    for key in neuropixels.dataset.coords:
        values = neuropixels[str(key)]
        if values.dtype.kind == "U":
            assert not set(values) & {"nan", "None", "NaN"}
    assert set(neuropixels["sex"]) == {"M", "F", ""}
    assert set(neuropixels["group"]) == {"enlarged fourfold", "full resolution", "enlarged"}


@pytest.mark.parametrize("area", README)
def test_population_rdms_have_the_correlations_of_the_readme(area, population_rdms, two_photon, scenes):
    rdm = population_rdms[area]
    other = two_photon_rdm(two_photon, area)
    assert spearmanr(rdm, other).statistic == pytest.approx(README[area][3], abs=6e-4)
    pixels = Preprocessing(input_size=(32, 41)).apply(scenes)[:, 0].flatten(1).numpy()
    assert spearmanr(rdm, upper_triangle(pearson_rdm(pixels))).statistic == pytest.approx(README[area][4], abs=0.01)


@pytest.mark.parametrize("shift", [-2, -1, 1, 2])
def test_scenes_shifted_by_one_destroy_the_correlation(shift, population_rdms, two_photon):
    for area in README:
        assert abs(spearmanr(population_rdms[area], two_photon_rdm(two_photon, area, shift)).statistic) < 0.04


def test_reliability_over_trials_is_that_of_the_readme(neuropixels):
    site_data = make_site_data(neuropixels, normalise="zscore", n_splits=4)
    counts = bootstrap_counts(118, 20, 0)
    reliability = site_data.ceiling("r2", counts).value
    for site, value in zip(site_data.sites, reliability, strict=True):
        assert value == pytest.approx(README[site.name][2], abs=0.01)


def test_two_photon_matrices_are_one_less_similarity_without_the_blank(shared_data, two_photon):
    folder = shared_data / "allen_2p_rdms"
    ceilings = pd.read_csv(folder / "noise_ceiling.csv").set_index(["area", "layer"])
    assert len(two_photon.sites) == 21
    rows, columns = np.triu_indices(119, 1)
    with np.load(folder / "similarity_upper.npz") as archive:
        for i, site in enumerate(two_photon.sites):
            layer = "layer" + site.labels["layer"].replace("/", "")
            similarity = np.eye(119)
            similarity[rows, columns] = similarity[columns, rows] = archive[f"{site.labels['area']}_{layer}"]
            np.testing.assert_array_equal(two_photon.matrices[i], (1 - similarity)[:118, :118])
            row = ceilings.loc[(site.labels["area"], layer)]
            assert (two_photon.reliability[i], two_photon.reliability_sem[i]) == (row["mean"], row["sem"])


# -------------------------------------------------------------------------------------- damaged copies


@pytest.fixture
def copy(shared_data, tmp_path):
    """The folder of data with links to what is not changed."""

    def make(name: str) -> Path:
        for folder in ("allen_natural_scenes", "allen_neuropixels_natural_scenes", "allen_2p_rdms"):
            for file in (shared_data / folder).rglob("*"):
                if file.is_file():
                    link = tmp_path / folder / file.relative_to(shared_data / folder)
                    link.parent.mkdir(parents=True, exist_ok=True)
                    link.symlink_to(file)
        changed = tmp_path / name
        original = changed.resolve()
        changed.unlink()
        shutil.copy(original, changed)
        return changed

    return make


FILES = [
    *("arrays.csv", "units.csv", "sessions.csv", "counts_VISal.npz", "counts_VISp.npz"),
    *("similarity_upper.npz", "noise_ceiling.csv", "scenes/scene_042.png"),
]


def path_and_reader(name):
    if name.startswith("scenes"):
        return f"allen_natural_scenes/{name}", natural_scenes
    if name in ("similarity_upper.npz", "noise_ceiling.csv"):
        return f"allen_2p_rdms/{name}", allen_2p
    return f"allen_neuropixels_natural_scenes/{name}", allen_neuropixels


@pytest.mark.parametrize("name", FILES)
def test_missing_empty_and_truncated_files_are_one_clear_error(name, copy, tmp_path):
    path, read = path_and_reader(name)
    file = copy(path)
    whole = file.read_bytes()
    file.unlink()
    with pytest.raises(MurineError, match=r"no file|not complete; missing: scene_042"):
        read(tmp_path)
    sizes = [0, len(whole) // 3, len(whole) - 200]
    if name.endswith(".csv"):  # whole lines are missing, or the end of the last
        sizes += [whole[: len(whole) // 3].rindex(b"\n") + 1, len(whole) - 2]
    for size in sizes:
        file.write_bytes(whole[:size])
        with pytest.raises(MurineError):
            read(tmp_path)


@pytest.mark.parametrize("name", [n for n in FILES if not n.endswith(".csv")])
def test_corrupted_files_are_one_clear_error(name, copy, tmp_path):
    path, read = path_and_reader(name)
    file = copy(path)
    whole = file.read_bytes()
    for at in (3, len(whole) // 2):
        file.write_bytes(whole[:at] + bytes(b ^ 0xFF for b in whole[at : at + 20]) + whole[at + 20 :])
        with pytest.raises(MurineError):
            read(tmp_path)


def test_tables_that_do_not_fit_are_one_clear_error(copy, tmp_path):
    file = copy("allen_neuropixels_natural_scenes/units.csv")
    table = pd.read_csv(file)
    table.drop(columns="cortical_layer").to_csv(file, index=False)
    with pytest.raises(MurineError, match="has no column cortical_layer; it has area"):
        allen_neuropixels(tmp_path)
    table.drop(index=7).to_csv(file, index=False)
    with pytest.raises(MurineError, match=r"holds \(110, 118, 50\) for mouse 717038288; .* ask for \(109,"):
        allen_neuropixels(tmp_path)
    file.write_bytes(b"\xff\xfe\x00binary\n" * 9)
    with pytest.raises(MurineError, match="is no readable csv"):
        allen_neuropixels(tmp_path)


def test_a_folder_without_data_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("MURINE_SHARED", str(tmp_path / "nowhere"))
    with pytest.raises(MurineError, match=r"found no data in '.*nowhere'.*--data FOLDER"):
        data_folder()
    with pytest.raises(MurineError, match="--against simulated"):
        datasets["allen-2p"](tmp_path)


def test_the_folder_is_found_from_its_parent_and_the_environment(shared_data, tmp_path, monkeypatch):
    (tmp_path / "data").symlink_to(shared_data)
    assert data_folder(tmp_path) == tmp_path / "data"
    monkeypatch.setenv("MURINE_SHARED", str(tmp_path))
    assert data_folder() == tmp_path / "data"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shared").symlink_to(shared_data)
    (tmp_path / "inside").mkdir()
    monkeypatch.chdir(tmp_path / "inside")
    monkeypatch.delenv("MURINE_SHARED")
    assert data_folder().resolve() == shared_data.resolve()


# ----------------------------------------------------------------------------------- a user's own data


def test_a_recording_of_ones_own(tmp_path):
    cortex = simulate(n_neuroids=6, n_repetitions=4)
    cortex.recording.write(tmp_path / "mine.nc")
    np.savez(tmp_path / "images.npz", images=cortex.stimuli.images, ids=cortex.stimuli.ids)
    data = load_dataset(str(tmp_path / "mine.nc"), stimuli=tmp_path / "images.npz")
    stimuli, recording = data.stimuli, data.responses
    assert (stimuli.digest, recording.digest) == (cortex.stimuli.digest, cortex.recording.digest)
    assert isinstance(recording, Recording)
    with pytest.raises(MurineError, match="came without images; give them with --stimuli"):
        load_dataset(str(tmp_path / "mine.nc"))
    with pytest.raises(MurineError, match="unknown dataset 'mine'"):
        load_dataset("mine")


@pytest.fixture
def own(tmp_path):
    """Write a recording of one's own, with images for ids 0 to 5, and load both."""

    def load(ids, change=lambda responses: responses):
        rng = np.random.default_rng(0)
        responses = change(rng.normal(size=(4, len(ids), 3)))
        neuroid = {"neuroid_id": range(4), "area": ["V1"] * 4}
        Recording.from_arrays(responses, neuroid, {"stimulus_id": ids}).write(tmp_path / "mine.nc")
        np.savez(tmp_path / "images.npz", images=rng.integers(0, 256, (6, 8, 8), dtype=np.uint8), ids=np.arange(6))
        return load_dataset(str(tmp_path / "mine.nc"), stimuli=tmp_path / "images.npz")

    return load


def test_the_blank_screen_of_ones_own(own, caplog):
    """Left out under the name that murine knows; under another name, the message says what to call it."""
    recording = own(["blank", *range(6)]).responses
    assert recording.stimulus_ids == tuple("012345")
    for blank in (-1, "Blank", "grey screen", 118):
        with pytest.raises(MurineError, match=rf"have no image in 'images': {blank}\..*blank screen, call it 'blank'"):
            own([blank, *range(6)])
    with pytest.raises(MurineError, match=r"have no image in 'images': -1\..*blank screen, call it 'blank'"):
        own(np.arange(-1.0, 6.0))  # as AllenSDK has them
    assert not caplog.records


def test_a_scene_without_a_trial_is_left_out_and_named(own, caplog):
    def never_shown(responses):
        responses[:, 2] = np.nan
        responses[0, 4] = np.nan
        return responses

    data = own(range(6), never_shown)
    recording = data.responses
    assert data.stimuli.n_stimuli == 6
    assert recording.stimulus_ids == tuple("01345")
    assert "1 of 6 stimuli are left out, since no neuron has a valid trial of them: 2" in caplog.text
    with pytest.raises(MurineError, match=r"no neuron of 'mine' can be used: 4 with missing responses"):
        own(range(6), lambda responses: responses * np.nan).responses.usable()


def test_matrices_of_ones_own(tmp_path):
    rng = np.random.default_rng(0)
    matrices = np.stack([1 - np.corrcoef(rng.normal(size=(5, 9))) for _ in range(2)])
    matrices[:, range(5), range(5)] = 0
    images = tmp_path / "images"
    images.mkdir()
    for name in "abcde":
        Image.fromarray(rng.integers(0, 255, (8, 8), dtype=np.uint8)).save(images / f"{name}.png")
    file = tmp_path / "mine.npz"
    labels = {"sites": ["V1", "LM"], "stimulus_ids": list("edcba")}
    np.savez(file, matrices=matrices, **labels)
    data = load_dataset(str(file), stimuli=images)
    stimuli, rdms = data.stimuli, data.responses
    assert stimuli.ids == tuple("abcde")
    np.testing.assert_array_equal(rdms.matrices, matrices)
    assert ([s.name for s in rdms.sites], rdms.stimulus_ids) == (["V1", "LM"], tuple("edcba"))
    assert np.isnan(rdms.reliability).all()
    np.savez(file, matrices=matrices, **labels, reliability=[0.9, 0.8], reliability_sem=[0.1, 0.2])
    rdms = load_dataset(str(file), stimuli=images).responses
    assert (rdms.reliability.tolist(), rdms.reliability_sem.tolist()) == ([0.9, 0.8], [0.1, 0.2])
    np.savez(file, matrices=matrices, sites=["V1", "LM"])
    with pytest.raises(MurineError, match="has no array stimulus_ids; it has matrices, sites"):
        load_dataset(str(file), stimuli=images)
    np.savez(file, matrices=1 - matrices, **labels)
    with pytest.raises(MurineError, match="no dissimilarity matrix"):
        load_dataset(str(file), stimuli=images)


# --------------------------------------------------------------------------- words about data sets


def test_every_built_in_data_set_tells_what_it_is_before_it_is_loaded():
    sources = known_sources()
    assert {"allen", "allen-2p", "allen-neuropixels", "simulated"} <= set(sources)
    for name in ("allen", "allen-2p", "allen-neuropixels"):
        source = sources[name]
        assert source.species == "mouse"
        assert source.citations
        assert "Allen Institute" in source.licence
        assert len(source.caveats) >= 2
    assert any("split-half reliability" in caveat for caveat in sources["allen-2p"].caveats)
    assert any("Single trials" in caveat for caveat in sources["allen-2p"].caveats)


def test_a_loaded_data_set_has_the_words_and_its_identity_has_not(two_photon, scenes, shared_data):
    data, source = allen_2p(shared_data), known_source("allen-2p")
    assert (data.species, data.licence, data.caveats) == (source.species, source.licence, source.caveats)
    assert len(data.citation.splitlines()) == len(source.citations)
    assert data.digest == Dataset(scenes, two_photon).digest
    assert "licence Allen Institute terms of use" in repr(data)
    assert "cite Conwell C" in repr(data)
    assert "\n" not in repr(data)
    page = data._repr_html_()
    for words in (data.licence, *data.citation.splitlines(), *data.caveats):
        assert html.escape(words) in page
        assert words in data.describe()


def test_a_function_may_state_words_of_its_own_and_a_plain_one_is_a_data_set():
    cortex = simulate(n_neuroids=6, n_repetitions=2)

    @dataset_source(species="mouse", licence="CC0", caveats=("One animal.",))
    def tiny(root=None):
        """Responses of a few neurons.

        More about them.
        """
        return Dataset(cortex.stimuli, cortex.recording, licence="CC BY 4.0")

    def plain(root=None):
        """Responses without words."""
        return Dataset(cortex.stimuli, cortex.recording)

    data = tiny()
    assert (data.species, data.licence, data.caveats, data.citation) == ("mouse", "CC BY 4.0", ("One animal.",), "")
    assert tiny.about == "Responses of a few neurons."
    assert isinstance(tiny, DatasetSource)
    datasets.register("test-plain")(plain)
    try:
        assert known_source("test-plain").about == "Responses without words."
        assert load_dataset("test-plain").digest == data.digest
    finally:
        datasets._entries.pop("test-plain")
