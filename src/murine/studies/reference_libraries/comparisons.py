"""References for comparisons of dissimilarity matrices (RSA) and of kernels (CKA, Procrustes)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Site
from murine.interchange.rsatoolbox import rsatoolbox, to_rdms
from murine.similarity import kernel_similarity as geometry
from murine.similarity import rdm_vectors, rsa
from murine.similarity import reweighted_rsa as reweighted
from murine.statistics.folds import kfold
from murine.studies.reference_libraries.definitions import (
    NUMPY,
    SCIPY,
    SKLEARN,
    TOOLBOX,
    ArrayPair,
    ReferenceMetric,
    TestData,
)

_COMPARISONS: dict[str, Callable[[], rsa.Comparison]] = {
    "pearson": rsa.Pearson,
    "spearman": rsa.Spearman,
    "cosine": rsa.Cosine,
    "tau-a": rsa.KendallTauA,
}


def _compared(sample: TestData, name: str) -> np.ndarray:
    return _COMPARISONS[name]().score(sample.layer_rdms, sample.site_rdms)


def _one_by_one(sample: TestData, name: str) -> ArrayPair:
    from scipy.spatial.distance import cosine
    from scipy.stats import pearsonr, spearmanr

    functions = {
        "pearson": lambda a, b: pearsonr(a, b).statistic,
        "spearman": lambda a, b: spearmanr(a, b).statistic,
        "cosine": lambda a, b: 1 - cosine(a, b),
        "tau-a": _tau_a,
    }
    theirs = [[functions[name](layer, site) for site in sample.site_rdms] for layer in sample.layer_rdms]
    return _compared(sample, name), np.array(theirs)


def _tau_a(a: np.ndarray, b: np.ndarray) -> float:
    """SciPy's tau-b without its correction for ties."""
    from scipy.stats import kendalltau

    n_pairs = len(a) * (len(a) - 1) / 2
    untied = [n_pairs - (n * (n - 1) / 2).sum() for n in (np.unique(v, return_counts=True)[1] for v in (a, b))]
    return float(kendalltau(a, b).statistic * np.sqrt(untied[0] * untied[1]) / n_pairs)


def _compared_toolbox(sample: TestData, name: str) -> ArrayPair:
    method = {"pearson": "corr"}.get(name, name)
    exported = [_as_toolbox(vectors) for vectors in (sample.layer_rdms, sample.site_rdms)]
    return _compared(sample, name), rsatoolbox().rdm.compare(*exported, method=method)


def _as_toolbox(vectors: np.ndarray) -> Any:
    """RDM vectors through murine's export."""
    n_stimuli = rdm_vectors.n_stimuli_of_pairs(vectors.shape[1])
    rows, columns = np.triu_indices(n_stimuli, 1)
    matrices = np.zeros((len(vectors), n_stimuli, n_stimuli))
    matrices[:, rows, columns] = matrices[:, columns, rows] = vectors
    ids = tuple(f"{i:06d}" for i in range(n_stimuli))
    sites = tuple(Site.of({"area": str(i)}) for i in range(len(vectors)))
    unknown = np.full(len(sites), np.nan)
    return to_rdms(NeuralRDMs(matrices, sites, ids, unknown, unknown))


def _reweighted_sklearn(sample: TestData) -> ArrayPair:
    """As published: one regression for each fold and site on pairs of training stimuli (Conwell et al. 2021)."""
    from sklearn.linear_model import LinearRegression

    layers, sites = sample.layer_rdms, sample.site_rdms
    n_stimuli = rdm_vectors.n_stimuli_of_pairs(layers.shape[1])
    rows, columns = np.triu_indices(n_stimuli, 1)
    parts = kfold(n_stimuli, 6, 0)
    total, times = np.zeros(sites.shape), np.zeros(sites.shape[1])
    for part in parts:
        out = np.isin(rows, part) | np.isin(columns, part)
        times += out
        for s, site in enumerate(sites):
            model = LinearRegression(positive=True).fit(layers[:, ~out].T, site[~out])
            total[s, out] += model.predict(layers[:, out].T)
    return reweighted.fit_reweighted_rsa(layers, sites, parts).predictions, total / times


def _geometry(sample: TestData, name: str) -> np.ndarray:
    """The first layer with the others, and with the site."""
    products = np.concatenate([sample.grams, (sample.means.T @ sample.means)[None]])
    return geometry.kernel_metrics[name].score(products[:1], products[1:])[0]


def _patterns(sample: TestData) -> list[np.ndarray]:
    """Centred patterns of all layers and the site."""
    return [x - x.mean(axis=0) for x in (*sample.layers, sample.means.T)]


def _cka_formula(sample: TestData) -> ArrayPair:
    """Kornblith et al. 2019, with features."""
    x, *others = _patterns(sample)
    norm = np.linalg.norm
    theirs = [norm(y.T @ x) ** 2 / norm(x.T @ x) / norm(y.T @ y) for y in others]
    return _geometry(sample, "cka"), np.array(theirs)


def _debiased_formula(sample: TestData) -> ArrayPair:
    """Song et al. 2012, equation 5, as printed."""

    def hsic(k: np.ndarray, m: np.ndarray) -> float:
        n, one = len(k), np.ones(len(k))
        k, m = (x - np.diag(np.diag(x)) for x in (k, m))
        sums = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ m @ one)
        return float((np.trace(k @ m) + sums) / (n * (n - 3)))

    k, *others = (x @ x.T for x in _patterns(sample))
    theirs = [hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m)) for m in others]
    return _geometry(sample, "cka-debiased"), np.array(theirs)


def _procrustes_scipy(sample: TestData) -> ArrayPair:
    from scipy.linalg import orthogonal_procrustes

    patterns = _patterns(sample)
    width = max(x.shape[1] for x in patterns)
    x, *others = (np.pad(x / np.linalg.norm(x), ((0, 0), (0, width - x.shape[1]))) for x in patterns)
    theirs = [orthogonal_procrustes(y, x)[1] for y in others]  # its scale is the sum of singular values
    return _geometry(sample, "procrustes"), np.array(theirs)


def _geometry_toolbox(sample: TestData, name: str, method: str) -> ArrayPair:
    """CKA is the whitened cosine of squared distances (Diedrichsen et al. 2021), Procrustes their Bures similarity.

    rsatoolbox takes the roots of kernels: what rounding leaves of zero, 1e-16, becomes 1e-8 for each dimension that a
    layer does not have."""
    from scipy.spatial.distance import pdist

    patterns = _patterns(sample)
    squared = _as_toolbox(np.stack([pdist(x / np.linalg.norm(x), "sqeuclidean") for x in patterns]))
    return _geometry(sample, name), rsatoolbox().rdm.compare(squared[0], squared[range(1, len(patterns))], method)[0]


#: References for comparisons, in the order of the table.
REFERENCES: Sequence[ReferenceMetric] = (
    *(
        ReferenceMetric(f"RSA, {name}", package, function, 1e-10, partial(compute, name=name), from_rdms=True)
        for name, scipy_function in (
            ("pearson", "pearsonr"),
            ("spearman", "spearmanr"),
            ("cosine", "distance.cosine"),
            ("tau-a", "kendalltau"),
        )
        for package, function, compute in (
            (SCIPY, scipy_function, _one_by_one),
            (TOOLBOX, "compare", _compared_toolbox),
        )
    ),
    ReferenceMetric(
        "RSA, reweighted", SKLEARN, "LinearRegression(positive=True)", 1e-6, _reweighted_sklearn, from_rdms=True
    ),
    ReferenceMetric("CKA", NUMPY, "definition, with features", 1e-8, _cka_formula),
    ReferenceMetric(
        "CKA", TOOLBOX, "compare, cosine_cov", 1e-8, partial(_geometry_toolbox, name="cka", method="cosine_cov")
    ),
    ReferenceMetric("CKA, debiased", NUMPY, "definition (Song 2012)", 1e-8, _debiased_formula),
    ReferenceMetric("Procrustes", SCIPY, "orthogonal_procrustes", 1e-8, _procrustes_scipy),
    ReferenceMetric(
        "Procrustes", TOOLBOX, "compare, bures", 1e-6, partial(_geometry_toolbox, name="procrustes", method="bures")
    ),
)
