"""An embedding of neurons in two dimensions by UMAP, and the points nearest to the centres of its clusters."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Bool, Float, Int

from murine.errors import MurineError, some


def embed(
    vectors: Float[np.ndarray, "n_neuroids n_features"],
    *,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    seed: int = 0,
) -> Float[np.ndarray, "n_neuroids 2"]:
    """Embed finite vectors in two dimensions by UMAP (McInnes, Healy & Melville 2018), Euclidean, on one thread.

    The order of the vectors matters, as does everything that rounds.
    """
    from threadpoolctl import threadpool_limits

    with warnings.catch_warnings():
        # It says at its import that TensorFlow is missing, which only its parametric variant needs.
        warnings.filterwarnings("ignore", message="Tensorflow not installed", category=ImportWarning)
        import umap

    # One job is what a seed allows; left to its default, it warns of that.
    reducer = umap.UMAP(
        n_neighbors=n_neighbors, min_dist=min_dist, n_components=2, metric="euclidean", random_state=seed, n_jobs=1
    )
    # Where torch is loaded, the threads that Numba starts for UMAP would set those of torch: so they are put back.
    with threadpool_limits(1, user_api="openmp"):
        return np.asarray(reducer.fit_transform(vectors), dtype=np.float64)


def nearest_to_centres(
    points: Float[np.ndarray, "n_points n_dimensions"],
    n_clusters: int,
    n_per_cluster: int,
    *,
    n_restarts: int = 10,
    seed: int = 0,
    what: str = "points",
) -> tuple[Int[np.ndarray, " n_points"], Bool[np.ndarray, " n_points"]]:
    """Divide points by k-means, and choose the members of each cluster that are nearest to its centre.

    Parameters
    ----------
    what
        What the points are, for messages.

    Returns
    -------
    cluster, chosen
        Number of each point's cluster, largest cluster first; whether it is one of the ``n_per_cluster`` nearest. Of
        points at the same distance the first are chosen.

    Raises
    ------
    MurineError
        If a cluster has fewer than ``n_per_cluster`` members.
    """
    from sklearn.cluster import KMeans

    means = KMeans(n_clusters, n_init=n_restarts, random_state=seed).fit(points)
    sizes = np.bincount(means.labels_, minlength=n_clusters)
    if sizes.min() < n_per_cluster:
        small = sizes[sizes < n_per_cluster]
        raise MurineError(
            f"{len(small)} of the {n_clusters} clusters of {len(points)} {what} have fewer than {n_per_cluster} "
            f"members: {some(sorted(small))}. Give a smaller n_per_cluster (at most {sizes.min()}) or n_clusters."
        )
    distance = np.linalg.norm(points - means.cluster_centers_[means.labels_], axis=1)
    order = np.argsort(-sizes, kind="stable")
    cluster = np.argsort(order)[means.labels_]
    chosen = np.zeros(len(points), dtype=bool)
    for k in range(n_clusters):
        members = np.flatnonzero(cluster == k)
        chosen[members[np.argsort(distance[members], kind="stable")[:n_per_cluster]]] = True
    return cluster, chosen
