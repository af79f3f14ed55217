"""Given matrices: labels must fit, and what is no dissimilarity matrix is refused."""

from __future__ import annotations

import numpy as np
import pytest

from murine.cortex.loading import load_responses
from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Site
from murine.errors import MurineError

IDS = tuple("abcdef")
SITES = (Site.of({"area": "V1", "layer": "4"}), Site.of({"area": "V1", "layer": "5"}))


def matrices():
    rng = np.random.default_rng(0)
    return np.stack([1 - np.corrcoef(rng.normal(size=(6, 20))) for _ in SITES])


def rdms(**change):
    arguments = {
        "matrices": matrices(),
        "sites": SITES,
        "stimulus_ids": IDS,
        "reliability": np.array([0.9, 0.5]),
        "reliability_sem": np.array([0.01, 0.02]),
    }
    return NeuralRDMs(**(arguments | change))


def test_digest_does_not_depend_on_the_order_of_stimuli():
    order = np.array([4, 0, 5, 2, 1, 3])
    mixed = rdms(matrices=matrices()[:, order][:, :, order], stimulus_ids=tuple(np.array(IDS)[order]), name="other")
    assert mixed.digest == rdms().digest


def test_digest_depends_on_everything_else():
    changed = matrices()
    changed[1, 2, 3] = changed[1, 3, 2] = changed[1, 2, 3] + 1e-12
    digests = {
        rdms().digest,
        rdms(matrices=changed).digest,
        rdms(matrices=matrices()[::-1]).digest,
        rdms(stimulus_ids=tuple("bacdef")).digest,
        rdms(sites=SITES[::-1]).digest,
        rdms(reliability=np.array([0.9, 0.6])).digest,
        rdms(reliability_sem=np.array([0.01, 0.03])).digest,
    }
    assert len(digests) == 7


def edited(site, row, column, value):
    changed = matrices()
    changed[site, row, column] = value
    return changed


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"matrices": matrices()[:1]}, r"shape \(1, 6, 6\); 2 sites and 6 stimulus ids ask for \(2, 6, 6\)"),
        ({"stimulus_ids": IDS[:5]}, r"ask for \(2, 5, 5\)"),
        ({"stimulus_ids": tuple("abcdea")}, "stimulus ids of 'rdms' must differ"),
        ({"sites": (SITES[0], SITES[0])}, "sites of 'rdms' must differ"),
        ({"matrices": edited(1, 2, 3, np.nan)}, "'V1 5' has NaN or infinite entries, or masked ones, at c"),
        ({"matrices": edited(0, 2, 3, np.inf)}, "'V1 4' has NaN"),
        ({"matrices": edited(0, 2, 3, 0.0)}, "'V1 4' is no dissimilarity matrix: it must be symmetric"),
        ({"matrices": edited(1, 2, 2, 0.1)}, "zero diagonal"),
        ({"matrices": 1 - matrices()}, "For a similarity matrix give 1 - similarity"),
        ({"matrices": np.ma.masked_array(matrices(), np.arange(72).reshape(2, 6, 6) == 8)}, "masked ones, at b"),
        ({"matrices": np.ma.masked_equal(1 - np.eye(6, dtype=int) + np.zeros((2, 1, 1), int), 0)}, "masked ones, at a"),
        ({"stimulus_ids": ("a", "b", "c", "d", "e", None)}, "stimulus ids of 'rdms' have a missing value"),
        ({"reliability": np.array([85.0, 50.0])}, "reliability of 'V1 4' is 85; expected .* 0 to 1. Divide percent by"),
        ({"reliability": np.array([0.5, -0.2])}, "reliability of 'V1 5' is -0.2; .* give 0"),
        ({"reliability": np.array([0.5, np.inf])}, "reliability of 'V1 5' is inf"),
        ({"reliability": np.array([0.5])}, r"reliability of 'rdms' has shape \(1,\); expected \(2,\)"),
        ({"reliability_sem": np.array([2.0, 0.1])}, "reliability_sem of 'V1 4' is 2; .* Divide percent by 100"),
        ({"reliability_sem": np.array([0.1, -0.1])}, "reliability_sem of 'V1 5' is -0.1; .* Give NaN"),
    ],
)
def test_what_is_no_dissimilarity_matrix_is_refused(change, message):
    with pytest.raises(MurineError, match=message):
        rdms(**change)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_matrices_computed_in_float32_are_made_symmetric(dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 6, 500)).astype(np.float32)
    x -= x.mean(axis=2, keepdims=True)
    x /= np.sqrt((x**2).sum(axis=2, keepdims=True))
    given = (1 - x @ x.transpose(0, 2, 1)).astype(dtype)
    given[:, 0, 1] *= 1 + 2e-7
    assert max(np.abs(given - given.transpose(0, 2, 1)).max(), np.abs(np.einsum("sii->si", given)).max()) > 1e-8
    found = rdms(matrices=given).matrices
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, found.transpose(0, 2, 1))
    assert (np.einsum("sii->si", found) == 0).all()
    np.testing.assert_allclose(found, given, atol=1e-6)


def test_what_is_exact_stays_as_it_is():
    given = matrices()
    given[0, 0, 1] += 2e-16
    np.testing.assert_array_equal(rdms(matrices=given).matrices, given)


def test_masks_and_bytes_keep_their_meaning():
    masked = np.ma.masked_array(np.array([0.9, 0.5]), [False, True])
    found = rdms(reliability=masked, reliability_sem=np.ma.masked_array(np.array([0.01, 7.0]), [False, True]))
    np.testing.assert_array_equal(found.reliability, [0.9, np.nan])
    np.testing.assert_array_equal(found.reliability_sem, [0.01, np.nan])
    assert not np.ma.isMaskedArray(found.reliability)


@pytest.mark.usefixtures("unchecked")
def test_ids_are_text_whatever_type_they_came_in(tmp_path):
    assert rdms(stimulus_ids=np.array([b"a", b"b", b"c", b"d", b"e", b"f"])).stimulus_ids == IDS
    assert rdms(stimulus_ids=np.arange(6.0)).stimulus_ids == tuple("012345")
    np.savez(
        tmp_path / "m.npz",
        matrices=matrices().astype(np.float32),
        sites=np.array([b"V1", "LMé".encode()]),
        stimulus_ids=np.array([b"a", b"b", b"c", b"d", b"e", b"f"]),
        label_area=np.array([b"V1", b""]),
    )
    read = load_responses(str(tmp_path / "m.npz"))
    assert read.stimulus_ids == IDS
    assert [(site.name, dict(site.labels)) for site in read.sites] == [
        ("V1", {"area": "V1"}),
        ("LMé", {"area": "LMé"}),
    ]


def test_all_labels_of_sites_come_back_from_a_file(tmp_path):
    sites = (SITES[0], Site("whole", {"area": "V1"}))
    given = rdms(sites=sites, reliability=np.array([0.9, np.nan]), name="mine")
    given.write(tmp_path / "mine.npz")
    found = load_responses(str(tmp_path / "mine.npz"))
    assert found.digest == given.digest
    assert (found.sites, found.name) == (sites, "mine")
    with np.load(tmp_path / "mine.npz") as arrays:
        np.savez(tmp_path / "odd.npz", **{**arrays, "label_layer": np.array(["4", "5", "6"])})
    with pytest.raises(MurineError, match=r"label_layer of .*odd.npz' has shape \(3,\); expected one for each site"):
        load_responses(str(tmp_path / "odd.npz"))
