"""Given matrices: labels must fit, and what is no dissimilarity matrix is refused."""

from __future__ import annotations

import numpy as np
import pytest

from murine.cortex.datasets import load_responses
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
        ({"matrices": edited(1, 2, 3, np.nan)}, "'V1 5' has NaN or infinite entries at c"),
        ({"matrices": edited(0, 2, 3, np.inf)}, "'V1 4' has NaN"),
        ({"matrices": edited(0, 2, 3, 0.0)}, "'V1 4' is no dissimilarity matrix: it must be symmetric"),
        ({"matrices": edited(1, 2, 2, 0.1)}, "zero diagonal"),
        ({"matrices": 1 - matrices()}, "For a similarity matrix give 1 - similarity"),
    ],
)
def test_what_is_no_dissimilarity_matrix_is_refused(change, message):
    with pytest.raises(MurineError, match=message):
        rdms(**change)


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
