"""Groups of similar networks: heat map, clusters and representative networks."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int64

from murine.errors import MurineError
from murine.similarity.rsa import standardise_vectors

NetworkMatrix = Float[np.ndarray, "n_networks n_networks"]


def heat_map(similarity: NetworkMatrix) -> NetworkMatrix:
    """Return the heat map of the paper: Pearson's r between every two rows of a similarity matrix.

    It says whether two networks are similar to the same other networks, so it depends on which others there are.

    Parameters
    ----------
    similarity
        (n_networks, n_networks), for example from `murine.architecture.sequence_similarity.similarity_index`.

    Returns
    -------
    correlation
        (n_networks, n_networks); NaN where a row is constant.

    Raises
    ------
    MurineError
        If there are fewer than three networks: every correlation would be 1 or -1.

    Examples
    --------
    >>> import numpy as np
    >>> heat_map(np.array([[1.0, 0.8, 0.1], [0.8, 1.0, 0.1], [0.1, 0.1, 1.0]])).round(2)
    array([[ 1.  ,  0.91, -0.98],
           [ 0.91,  1.  , -0.98],
           [-0.98, -0.98,  1.  ]])
    """
    if len(similarity) < 3:
        raise MurineError(f"{len(similarity)} networks are too few for a heat map; at least 3 are needed.")
    rows = standardise_vectors(similarity)
    return np.clip(rows @ rows.T, -1, 1)


def cluster_networks(correlation: NetworkMatrix, n_clusters: int) -> Int64[np.ndarray, " n_networks"]:
    """Cluster networks by average linkage of the distances 1 - correlation.

    Parameters
    ----------
    correlation
        (n_networks, n_networks), for example from `heat_map`.
    n_clusters
        Number of clusters at which the tree is cut.

    Returns
    -------
    labels
        (n_networks,): from 0, in the order of the first network of each cluster. Equal distances are merged in SciPy's
        order, so there can be fewer clusters than asked for where networks cannot be told apart.

    Raises
    ------
    MurineError
        If there are fewer networks than clusters, fewer than 1 cluster, or the matrix has NaN.

    Examples
    --------
    >>> import numpy as np
    >>> cluster_networks(np.array([[1.0, 0.9, -0.5], [0.9, 1.0, -0.5], [-0.5, -0.5, 1.0]]), n_clusters=2)
    array([0, 0, 1])
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
    """Choose one representative network for each cluster, by the rule of the paper: the member nearest to the centre.

    The centre is the mean of the rows of ``correlation`` of the members, the distance is Euclidean, and the first of
    equally near members is taken. The paper chose 13 of 44 networks; it does not give its linkage and distance.

    Parameters
    ----------
    correlation, n_clusters
        As in `cluster_networks`.

    Returns
    -------
    chosen
        Positions of the networks, in the order of the clusters.

    Raises
    ------
    MurineError
        As in `cluster_networks`.

    Examples
    --------
    >>> import numpy as np
    >>> choose_representatives(np.array([[1.0, 0.9, -0.5], [0.9, 1.0, -0.5], [-0.5, -0.5, 1.0]]), n_clusters=2)
    [0, 2]
    """
    labels = cluster_networks(correlation, n_clusters)
    chosen = []
    for label in range(int(labels.max()) + 1):
        members = np.flatnonzero(labels == label)
        rows = correlation[members]
        distances = np.linalg.norm(rows - rows.mean(axis=0), axis=1)
        chosen.append(int(members[np.argmin(np.round(distances, 12))]))
    return chosen
