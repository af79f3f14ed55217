"""T."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int64

from murine.errors import MurineError
from murine.similarity.rsa import standardise_vectors

NetworkMatrix = Float[np.ndarray, "n_networks n_networks"]


def heat_map(similarity: NetworkMatrix) -> NetworkMatrix:
    """The paper's heat map: Pearson's r between every two rows of a matrix of similarities.

    It tells whether two networks are alike to the same others, and depends on which others there are. NaN where a row
    is constant.

    Raises
    ------
    MurineError
        For fewer than three networks, where every correlation is 1 or -1.
    """
    if len(similarity) < 3:
        raise MurineError(f"a heat map of {len(similarity)} networks says nothing; give at least 3.")
    rows = standardise_vectors(similarity)
    return np.clip(rows @ rows.T, -1, 1)


def cluster_networks(correlation: NetworkMatrix, n_clusters: int) -> Int64[np.ndarray, " n_networks"]:
    """Cluster networks by average linkage of 1 - correlation, cut where ``n_clusters`` are left.

    Returns
    -------
    labels
        From 0, in the order of each cluster's first network. Equal distances are merged in SciPy's order, so fewer
        clusters than asked for can come out where networks cannot be told apart.

    Raises
    ------
    MurineError
        For fewer than 1 or more clusters than networks, or a matrix with NaN.
    """
    from scipy.cluster.hierarchy import average, fcluster
    from scipy.spatial.distance import squareform

    n = len(correlation)
    if not 1 <= n_clusters <= n:
        raise MurineError(f"{n_clusters} clusters of {n} networks were asked for; expected 1 to {n}.")
    if not np.isfinite(correlation).all():
        raise MurineError("networks cannot be clustered: the matrix has values that are not finite.")
    if n == 1:
        return np.zeros(1, np.int64)
    distances = np.maximum(1 - (correlation + correlation.T) / 2, 0)
    np.fill_diagonal(distances, 0)
    found = fcluster(average(squareform(distances, checks=False)), n_clusters, criterion="maxclust")
    order: dict[int, int] = {}
    return np.array([order.setdefault(int(label), len(order)) for label in found])


def choose_representatives(correlation: NetworkMatrix, n_clusters: int = 13) -> list[int]:
    """The paper's rule for choosing networks: of every cluster the member nearest its centre.

    The centre is the mean of the members' rows of ``correlation``, the distance Euclidean; of equally near members the
    first. (13 networks were chosen from 44; the linkage and the distance are not published.)

    Returns
    -------
    chosen
        Positions, in the order of the clusters.
    """
    labels = cluster_networks(correlation, n_clusters)
    chosen = []
    for label in range(int(labels.max()) + 1):
        members = np.flatnonzero(labels == label)
        rows = correlation[members]
        distances = np.linalg.norm(rows - rows.mean(axis=0), axis=1)
        chosen.append(int(members[np.argmin(np.round(distances, 12))]))
    return chosen
