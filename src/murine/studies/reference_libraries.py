"""References: the same numbers as others compute them, or as their definition says.

Each function takes a `TestData` and returns what murine computes and what the other does, as arrays of one shape. The
other library is imported inside, and used in the way its users would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from jaxtyping import Float

from murine.cortex import reliability
from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording, Site
from murine.encoding import conwell2021 as projection
from murine.encoding import pls
from murine.encoding import prediction_scores as prediction
from murine.encoding import ridge as encoding
from murine.encoding.ridge_spectrum import N_PROJECTED, projection_gains
from murine.interchange.rsatoolbox import from_rdms, rsatoolbox, to_dataset, to_rdms
from murine.networks.layer_kernel import LayerKernel
from murine.scoring.encoding_metrics import EncodingMetric, SiteNeurons
from murine.scoring.metric import metrics
from murine.scoring.site_data import SiteData
from murine.scoring.site_preparation import make_site_data
from murine.similarity import crossnobis, rdm, rdm_vectors, rsa
from murine.similarity import kernel_similarity as geometry
from murine.similarity import neural_noise as noise
from murine.similarity import reweighted_rsa as reweighted
from murine.statistics.folds import kfold

#: What murine computes, and what the other.
ArrayPair = tuple[np.ndarray, np.ndarray]

Features = Float[np.ndarray, "n_stimuli _"]


@dataclass(frozen=True, eq=False)
class TestData:
    """What is computed on.

    Attributes
    ----------
    name
        What it is called in tables.
    layer_rdms, site_rdms
        (n_layers, n_pairs), (n_sites, n_pairs): dissimilarities to compare.
    layers
        Features of each layer, (n_stimuli, n_units); none where there are only dissimilarities.
    recording
        Single trials of one site, none missing; None where there are only dissimilarities.
    """

    name: str
    layer_rdms: Float[np.ndarray, "n_layers n_pairs"]
    site_rdms: Float[np.ndarray, "n_sites n_pairs"]
    layers: tuple[Features, ...] = ()
    recording: Recording | None = None

    @cached_property
    def trials(self) -> Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"]:
        return self._neurons.responses.astype(np.float64)

    @cached_property
    def means(self) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
        return self.trials.mean(axis=2)

    @cached_property
    def features(self) -> Features:
        """Those of the first layer."""
        return self.layers[0]

    @cached_property
    def gram(self) -> Float[np.ndarray, "n_stimuli n_stimuli"]:
        """Products of the features of the first layer."""
        return self.features @ self.features.T

    @cached_property
    def grams(self) -> Float[np.ndarray, "n_layers n_stimuli n_stimuli"]:
        """Products of the features of every layer."""
        return np.stack([x @ x.T for x in self.layers])

    @cached_property
    def covariance(self) -> Float[np.ndarray, "n_neuroids n_neuroids"]:
        """Of the noise."""
        return noise.noise_covariance(self.trials)

    @cached_property
    def dataset(self) -> Any:
        """The trials as rsatoolbox has them."""
        return to_dataset(self._neurons)

    @cached_property
    def site_data(self) -> SiteData:
        """The recording as scoring sees it."""
        return make_site_data(self._neurons, n_splits=1)

    @property
    def _neurons(self) -> Recording:
        if self.recording is None:
            raise TypeError(f"{self.name} has no single trials")
        return self.recording


@dataclass(frozen=True)
class ReferenceMetric:
    """One way to compute a metric without murine.

    Attributes
    ----------
    metric
        What is computed.
    package, function
        Whose, and which function of it, or what of NumPy's.
    tolerance
        The largest absolute difference that counts as agreement.
    compute
        Both results.
    from_rdms
        Whether dissimilarities are enough; others need layers and single trials.
    """

    metric: str
    package: str
    function: str
    tolerance: float
    compute: Callable[[TestData], ArrayPair]
    from_rdms: bool = False


# ---------------------------------------------------------------------------------------------- dissimilarities


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
    order = [found.stimulus_ids.index(stimulus) for stimulus in sample._neurons.stimulus_ids]
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


# ----------------------------------------------------------------------------------- comparisons of dissimilarities

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


# ------------------------------------------------------------------------------------------------------- geometry


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


# ------------------------------------------------------------------------------------------------------- encoding


def _ridge_gcv(sample: TestData) -> ArrayPair:
    from sklearn.linear_model import RidgeCV

    fitted = RidgeCV([1.0], scoring="explained_variance", store_cv_results=True).fit(sample.features, sample.means.T)
    return encoding.ridge_loo(sample.gram, sample.means, 1.0, scale="none"), fitted.cv_results_[:, :, 0].T


def _refitted(features: Features, responses: np.ndarray) -> np.ndarray:
    """Predictions of models fitted without one stimulus, in turn."""
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import LeaveOneOut, cross_val_predict

    predictions: np.ndarray = cross_val_predict(Ridge(1.0), features, responses.T, cv=LeaveOneOut()).T
    return predictions


def _ridge_refitted(sample: TestData) -> ArrayPair:
    return encoding.ridge_loo(sample.gram, sample.means, 1.0, scale="none"), _refitted(sample.features, sample.means)


def _ridge_scores(sample: TestData) -> ArrayPair:
    from scipy.stats import pearsonr

    predictions = _refitted(sample.features, sample.means)
    theirs = [pearsonr(p, y).statistic for p, y in zip(predictions, sample.means, strict=True)]
    return encoding.ridge_correlations(sample.gram[None], sample.means, 1.0, scale="none")[0], np.array(theirs)


def _ridge_grid(sample: TestData) -> ArrayPair:
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold, cross_val_predict

    grid = np.logspace(-2, 4, 7)
    model = RidgeCV(grid, alpha_per_target=True)
    theirs = cross_val_predict(model, sample.features, sample.means.T, cv=KFold(6)).T
    return encoding.ridge_cv(sample.gram, sample.means, KFold(6), grid, scale="none")[0], theirs


def _ridge_himalaya(sample: TestData) -> ArrayPair:
    from himalaya.kernel_ridge import KernelRidgeCV
    from sklearn.model_selection import KFold, cross_val_predict

    model = KernelRidgeCV([10.0], cv=2, fit_intercept=True, warn=False)
    theirs = cross_val_predict(model, sample.features, sample.means.T, cv=KFold(6)).T
    return encoding.ridge_cv(sample.gram, sample.means, KFold(6), 10.0, scale="none")[0], np.asarray(theirs)


def _projection_sklearn(sample: TestData) -> ArrayPair:
    """As published, with fewer columns (Conwell et al. 2021)."""
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import scale
    from sklearn.random_projection import SparseRandomProjection

    n_columns = 256
    columns = scale(SparseRandomProjection(n_columns, random_state=1).fit_transform(sample.features))
    fitted = RidgeCV([1.0], scoring="explained_variance", store_cv_results=True).fit(columns, sample.means.T)
    found, _ = projection.conwell2021_regression(sample.features, sample.means, 1, n_features=n_columns)
    return found, fitted.cv_results_[:, :, 0].T


def _pls_sklearn(sample: TestData) -> ArrayPair:
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.model_selection import KFold, cross_val_predict

    n_components = min(10, sample.features.shape[1] // 2)
    model = PLSRegression(n_components, scale=False, tol=1e-20, max_iter=10_000)
    theirs = cross_val_predict(model, sample.features, sample.means.T, cv=KFold(4)).T
    return pls.pls_cv(sample.gram, sample.means, KFold(4), [n_components], scale=False)[0], theirs


def _projected(features: Features) -> Features:
    """Features scaled as random projections that are standardised, in the limit of many."""
    vectors, lengths, _ = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    gains = N_PROJECTED * len(features) * projection_gains(lengths**2)
    return np.asarray(vectors * lengths * np.sqrt(gains))


def _mean_correlation(predictions: np.ndarray, responses: np.ndarray) -> float:
    from scipy.stats import pearsonr

    return float(np.mean(pearsonr(predictions, responses, axis=1).statistic))


def _encoded(sample: TestData, name: str) -> tuple[EncodingMetric, np.ndarray, SiteNeurons]:
    """A metric, the layers as it sees them, and all neurons as one site."""
    metric = metrics[name]
    if not isinstance(metric, EncodingMetric):
        raise TypeError(f"{name} does not predict single neurons")
    kernels = [LayerKernel.of(x) for x in sample.layers]
    site = SiteNeurons(sample.means, (np.arange(len(sample.means)),))
    return metric, metric.of_layers(kernels, sample.site_data), site


def _plain_ridge(sample: TestData) -> ArrayPair:
    metric, layers, site = _encoded(sample, "ridge")
    theirs = [_mean_correlation(_refitted(_projected(x), sample.means), sample.means) for x in sample.layers]
    return metric.plain(layers, site)[:, 0], np.array(theirs)


def _chance_ridge(sample: TestData) -> ArrayPair:
    """The mean over responses to stimuli in random order."""
    metric, layers, site = _encoded(sample, "ridge")
    rng = np.random.default_rng(0)
    shuffled = np.concatenate([sample.means[:, rng.permutation(sample.means.shape[1])] for _ in range(200)])
    theirs = [_mean_correlation(_refitted(_projected(x), shuffled), shuffled) for x in sample.layers]
    return metric.chance(layers, site, np.empty((0, len(sample.gram)), int))[:, 0], np.array(theirs)


def _plain_pls(sample: TestData) -> ArrayPair:
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.preprocessing import StandardScaler

    metric, layers, site = _encoded(sample, "pls-10")
    inner = PLSRegression(10, scale=False, tol=1e-20, max_iter=10_000)
    model = TransformedTargetRegressor(inner, transformer=StandardScaler())
    cv = KFold(6, shuffle=True, random_state=0)
    usable = [x for x in sample.layers if x.shape[1] >= 10]
    theirs = [_mean_correlation(cross_val_predict(model, x, sample.means.T, cv=cv).T, sample.means) for x in usable]
    ours = metric.plain(layers, site)[:, 0]
    return ours[[x.shape[1] >= 10 for x in sample.layers]], np.array(theirs)


def _scores(sample: TestData, name: str) -> ArrayPair:
    from scipy.stats import pearsonr
    from sklearn.metrics import explained_variance_score, r2_score

    responses = sample.means
    predictions = encoding.ridge_loo(sample.gram, responses, 1.0)
    functions: dict[str, Callable[[], Any]] = {
        "correlations": lambda: [pearsonr(p, y).statistic for p, y in zip(predictions, responses, strict=True)],
        "r2": lambda: r2_score(responses.T, predictions.T, multioutput="raw_values"),
        "explained_variance": lambda: explained_variance_score(responses.T, predictions.T, multioutput="raw_values"),
    }
    return getattr(prediction, name)(predictions, responses), np.asarray(functions[name]())


# ---------------------------------------------------------------------------------------------------- reliability


def _split_half_loop(sample: TestData) -> ArrayPair:
    """The definition: every neuron, every split."""
    n_splits = 20
    halves = reliability.random_halves(sample.trials.shape[2], n_splits, 0)
    expected = []
    for trials in sample.trials:
        r = [np.corrcoef(trials[:, one].mean(axis=1), trials[:, ~one].mean(axis=1))[0, 1] for one in halves]
        expected.append(np.mean([2 * x / (1 + x) for x in r]))
    return reliability.split_half(sample.trials, n_splits, 0), np.array(expected)


SCIPY, SKLEARN, NUMPY, TOOLBOX, HIMALAYA = "SciPy", "scikit-learn", "NumPy", "rsatoolbox", "himalaya"

#: Every reference, in the order of the table.
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
    ReferenceMetric("ridge, leave-one-out", SKLEARN, "RidgeCV", 1e-8, _ridge_gcv),
    ReferenceMetric("ridge, leave-one-out", SKLEARN, "Ridge, refitted n times", 1e-8, _ridge_refitted),
    ReferenceMetric("ridge, r of neurons", SCIPY, "pearsonr", 1e-5, _ridge_scores),
    ReferenceMetric("ridge, penalty of each neuron", SKLEARN, "RidgeCV, 6 folds", 1e-8, _ridge_grid),
    ReferenceMetric("ridge, 6 folds", HIMALAYA, "KernelRidgeCV", 1e-5, _ridge_himalaya),
    ReferenceMetric(
        "ridge, Conwell et al. 2021", SKLEARN, "SparseRandomProjection, RidgeCV", 1e-8, _projection_sklearn
    ),
    ReferenceMetric("PLS", SKLEARN, "PLSRegression", 1e-6, _pls_sklearn),
    ReferenceMetric("plain score, ridge", SKLEARN, "Ridge, refitted n times", 1e-6, _plain_ridge),
    ReferenceMetric("plain score, pls-10", SKLEARN, "PLSRegression, 6 folds", 1e-6, _plain_pls),
    # The mean of 200 random orders is itself uncertain by about 0.005.
    ReferenceMetric("chance level, ridge", SKLEARN, "Ridge, 200 orders of the stimuli", 0.02, _chance_ridge),
    ReferenceMetric("score, Pearson", SCIPY, "pearsonr", 1e-10, partial(_scores, name="correlations")),
    ReferenceMetric("score, R2", SKLEARN, "r2_score", 1e-10, partial(_scores, name="r2")),
    ReferenceMetric(
        "score, explained variance",
        SKLEARN,
        "explained_variance_score",
        1e-10,
        partial(_scores, name="explained_variance"),
    ),
    ReferenceMetric("split-half reliability", NUMPY, "definition, split by split", 1e-10, _split_half_loop),
)
