"""Heat maps, clusters and representative networks, against SciPy and scikit-learn."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from murine.architecture.clustering import choose_representatives, cluster_networks, heat_map
from murine.errors import MurineError


def test_heat_map_is_the_correlation_of_rows():
    rng = np.random.default_rng(5)
    matrix = rng.standard_normal((6, 6))
    matrix += matrix.T
    np.testing.assert_allclose(heat_map(matrix), np.corrcoef(matrix), atol=1e-14)
    assert np.isnan(heat_map(np.ones((3, 3)))).all()
    with pytest.raises(MurineError, match="at least 3"):
        heat_map(np.eye(2))


def test_clusters_and_short_list():
    rng = np.random.default_rng(6)
    centres = rng.standard_normal((4, 30))
    membership = rng.permutation(np.repeat(np.arange(4), 6))
    rows = centres[membership] + 0.2 * rng.standard_normal((24, 30))
    correlation = np.corrcoef(rows)
    labels = cluster_networks(correlation, 4)
    np.testing.assert_array_equal(labels[:, None] == labels, membership[:, None] == membership)
    assert labels[0] == 0
    assert list(dict.fromkeys(labels)) == [0, 1, 2, 3]
    for n in (2, 7, 24):  # SciPy on the condensed distances
        theirs = fcluster(linkage(1 - correlation[np.triu_indices(24, 1)], "average"), n, "maxclust")
        ours = cluster_networks(correlation, n)
        np.testing.assert_array_equal(ours[:, None] == ours, theirs[:, None] == theirs)
    chosen = choose_representatives(correlation, 4)
    for label, position in enumerate(chosen):
        members = np.flatnonzero(labels == label)
        centre = correlation[members].mean(axis=0)
        assert position == members[np.argmin([np.linalg.norm(correlation[m] - centre) for m in members])]
    assert choose_representatives(np.ones((3, 3)), 1) == [0]
