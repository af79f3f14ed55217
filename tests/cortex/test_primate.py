"""The primate matrices against the numbers in their README and their papers."""

import numpy as np
import pytest

import murine
from murine.cortex.primate import read_primate_matrices, reliability_of_mean
from murine.errors import MurineError


@pytest.fixture(scope="module")
def primate(shared_data):
    return read_primate_matrices(shared_data)


def test_it_is_known_by_name(shared_data):
    data = murine.load_data("primate-92", data=shared_data)
    assert repr(data).startswith("<Dataset primate-92: 92 images, 3 matrices")
    assert data.species == "monkey and human"


def _upper(matrix):
    return matrix[np.triu_indices(92, 1)]


def test_monkey_and_human_agree_as_published(primate):
    monkey, human, _ = map(_upper, primate.responses.matrices)
    assert np.corrcoef(monkey, human)[0, 1] == pytest.approx(0.491, abs=0.0005)


@pytest.mark.parametrize(("site", "r"), [(0, 0.44), (1, 0.58)])
def test_animate_and_inanimate_are_apart_as_published(primate, shared_data, site, r):
    animal = np.load(shared_data / "primate_92images" / "stimuli_92.npz")["animal"]
    differs = _upper((animal[:, None] != animal).astype(float))
    assert np.corrcoef(differs, _upper(primate.responses.matrices[site]))[0, 1] == pytest.approx(r, abs=0.005)


def test_reliabilities_are_those_of_the_readme(primate):
    monkey, human, judged = primate.responses.reliability
    assert np.isnan(monkey)
    assert human == pytest.approx(0.61, abs=0.01)
    assert judged == pytest.approx(0.90, abs=0.01)
    assert (primate.responses.reliability_sem[1:] > 0).all()


def test_the_reliability_of_a_mean_is_the_correlation_of_two_means():
    rng = np.random.default_rng(3)
    shared = rng.normal(size=20_000)
    first, second = (shared + 1.5 * rng.normal(size=(5, 20_000)) for _ in range(2))
    expected = np.corrcoef(first.mean(axis=0), second.mean(axis=0))[0, 1]
    assert reliability_of_mean(first)[0] == pytest.approx(expected, abs=0.02)


def test_subjects_without_anything_in_common_have_no_reliability():
    reliability, _ = reliability_of_mean(np.random.default_rng(0).normal(size=(4, 50)))
    assert 0 <= reliability < 0.6
    assert reliability_of_mean(np.array([[0.0, 1, 2], [2, 1, 0], [0, 2, 1]]))[0] == 0


def test_files_that_are_cut_off_are_refused(shared_data, tmp_path):
    (tmp_path / "allen_natural_scenes").mkdir()
    folder = tmp_path / "primate_92images"
    folder.mkdir()
    with pytest.raises(MurineError, match=r"stimuli_92\.npz"):
        read_primate_matrices(tmp_path)
    stimuli = dict(np.load(shared_data / "primate_92images" / "stimuli_92.npz"))
    rdms = dict(np.load(shared_data / "primate_92images" / "rdms_92.npz"))
    np.savez(folder / "stimuli_92.npz", **stimuli | {"images": stimuli["images"][:90]})
    np.savez(folder / "rdms_92.npz", **rdms | {"human_IT_subject_session": rdms["human_IT_subject_session"][..., :99]})
    with pytest.raises(MurineError, match="should hold 92 images, not 90"):
        read_primate_matrices(tmp_path)
    np.savez(folder / "stimuli_92.npz", **stimuli)
    with pytest.raises(MurineError, match="should hold 4186 dissimilarities for each matrix, not 99"):
        read_primate_matrices(tmp_path)
