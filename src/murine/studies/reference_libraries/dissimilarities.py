"""References for dissimilarity matrices and the covariance of noise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from murine.interchange.rsatoolbox import from_rdms, rsatoolbox
from murine.networks.layer_kernel import LayerKernel
from murine.similarity import crossnobis, rdm, rdm_vectors
from murine.similarity import neural_noise as noise
from murine.studies.reference_libraries.definitions import (
    NUMPY,
    SCIPY,
    SKLEARN,
    TOOLBOX,
    ArrayPair,
    ReferenceMetric,
    TestData,
)


def _distances(sample: TestData, ours: str, theirs: str, *, mean: bool = False) -> ArrayPair:
    from scipy.spatial.distance import pdist

    compute = getattr(rdm, ours)
    found = [rdm_vectors.upper_triangle(compute(LayerKernel.of(x))) for x in sample.layers]
    expected = [pdist(x, theirs) / (x.shape[1] if mean else 1) for x in sample.layers]
    return np.stack(found), np.stack(expected)


def _toolbox_distances(sample: TestData, method: str, **options: Any) -> np.ndarray:
    """rsatoolbox's RDM of the trials, stimuli in the order of the recording."""
    theirs = rsatoolbox().rdm.calc_rdm(sample.dataset, method, descriptor="stimulus", **options)
    theirs.rdm_descriptors["site"] = ["all"]
    found = from_rdms(theirs)
    order = [found.stimulus_ids.index(stimulus) for stimulus in sample.neurons.stimulus_ids]
    matrix: np.ndarray = found.matrices[0][np.ix_(order, order)]
    return matrix


def _correlation_toolbox(sample: TestData) -> ArrayPair:
    return rdm.pearson_rdm(sample.means.T), _toolbox_distances(sample, "correlation")


def _euclidean_toolbox(sample: TestData) -> ArrayPair:
    return rdm.euclidean_rdm(LayerKernel.of(sample.means.T)), _toolbox_distances(sample, "euclidean")


def _mahalanobis_scipy(sample: TestData) -> ArrayPair:
    from scipy.spatial.distance import pdist, squareform

    precision = np.linalg.inv(sample.covariance)
    theirs = squareform(pdist(sample.means.T, "mahalanobis", VI=precision) ** 2 / len(sample.means))
    return crossnobis.mahalanobis_rdm(sample.means.T, sample.covariance), theirs


def _mahalanobis_toolbox(sample: TestData) -> ArrayPair:
    precision = np.linalg.inv(sample.covariance)
    theirs = _toolbox_distances(sample, "mahalanobis", noise=precision)
    return crossnobis.mahalanobis_rdm(sample.means.T, sample.covariance), theirs


def _crossnobis_loop(sample: TestData) -> ArrayPair:
    """Differences of all pairs in one repetition times those in the mean of the others (Walther et al. 2016)."""
    n_neuroids, n_stimuli, n_repetitions = sample.trials.shape
    rows, columns = np.triu_indices(n_stimuli, 1)
    precision = np.linalg.inv(sample.covariance)
    products = []
    for r in range(n_repetitions):
        parts = sample.trials[:, :, r].T, np.delete(sample.trials, r, axis=2).mean(axis=2).T
        one, other = (part[rows] - part[columns] for part in parts)
        products.append(((one @ precision) * other).sum(axis=1) / n_neuroids)
    return rdm_vectors.upper_triangle(crossnobis.crossnobis_rdm(sample.trials, sample.covariance)), np.mean(
        products, axis=0
    )


def _crossnobis_toolbox(sample: TestData) -> ArrayPair:
    precision = np.linalg.inv(sample.covariance)
    theirs = _toolbox_distances(sample, "crossnobis", noise=precision, cv_descriptor="repetition")
    return crossnobis.crossnobis_rdm(sample.trials, sample.covariance), theirs


def _noise_toolbox(sample: TestData) -> ArrayPair:
    theirs = rsatoolbox().data.noise.cov_from_unbalanced(sample.dataset, "stimulus", method="shrinkage_diag")
    return noise.noise_covariance(sample.trials), theirs


def _noise_sklearn(sample: TestData) -> ArrayPair:
    from sklearn.covariance import ledoit_wolf

    n_neuroids, _, n_repetitions = sample.trials.shape
    residuals = (sample.trials - sample.means[:, :, None]).reshape(n_neuroids, -1).T
    theirs, _ = ledoit_wolf(residuals, assume_centered=True)
    return noise.noise_covariance(sample.trials, "identity"), theirs * n_repetitions / (n_repetitions - 1)


#: References for dissimilarity matrices, in the order of the table.
REFERENCES: Sequence[ReferenceMetric] = (
    ReferenceMetric(
        "RDM, 1 - Pearson", SCIPY, "pdist", 1e-10, partial(_distances, ours="kernel_rdm", theirs="correlation")
    ),
    ReferenceMetric("RDM, 1 - Pearson", TOOLBOX, "calc_rdm", 1e-10, _correlation_toolbox),
    ReferenceMetric("RDM, 1 - cosine", SCIPY, "pdist", 1e-10, partial(_distances, ours="cosine_rdm", theirs="cosine")),
    ReferenceMetric(
        "RDM, Euclidean",
        SCIPY,
        "pdist",
        1e-10,
        partial(_distances, ours="euclidean_rdm", theirs="sqeuclidean", mean=True),
    ),
    ReferenceMetric("RDM, Euclidean", TOOLBOX, "calc_rdm", 1e-10, _euclidean_toolbox),
    ReferenceMetric("RDM, Mahalanobis", SCIPY, "pdist", 1e-8, _mahalanobis_scipy),
    ReferenceMetric("RDM, Mahalanobis", TOOLBOX, "calc_rdm", 1e-8, _mahalanobis_toolbox),
    ReferenceMetric("RDM, crossnobis", NUMPY, "definition, fold by fold", 1e-8, _crossnobis_loop),
    ReferenceMetric("RDM, crossnobis", TOOLBOX, "calc_rdm", 1e-8, _crossnobis_toolbox),
    ReferenceMetric("noise covariance, shrunk to identity", SKLEARN, "ledoit_wolf", 1e-8, _noise_sklearn),
    ReferenceMetric("noise covariance, shrunk to diagonal", TOOLBOX, "cov_from_unbalanced", 1e-8, _noise_toolbox),
)
