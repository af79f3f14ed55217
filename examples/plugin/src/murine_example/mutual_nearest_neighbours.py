"""Mutual nearest neighbours: how many of an image's nearest neighbours a layer and a site have in common."""

from collections.abc import Sequence

import numpy as np

from murine.literature import Citation
from murine.networks.layer_kernel import LayerKernel
from murine.scoring import Metric, ReferenceScores, SiteData

K = 10  # neighbours of each image


class MutualNearestNeighbours(Metric):
    name = "mutual-nearest-neighbours"
    summary = f"The share of the {K} nearest neighbours of an image that a layer and a site have in common."
    formula = "Near images have a high cosine of their patterns; the score is the mean share of neighbours in common."
    use = "Use it if only the nearest images matter, not how far all others are."
    sizes = f"With n images it is {K} / (n - 1) in the mean where nothing is shared; few neurons lower it."
    bias = "higher with few stimuli"
    title = "Huh M, Cheung B, Wang T, Isola P (2024). The platonic representation hypothesis. arXiv:2405.07987."
    citations = (Citation("Huh et al. 2024", title, "https://arxiv.org/abs/2405.07987"),)
    min_stimuli = K + 2  # one image can be left out

    def of_layers(self, layers: Sequence[LayerKernel], site_data: SiteData) -> np.ndarray:
        return cosines(np.array([layer.gram for layer in layers]).reshape(-1, *site_data.kernels.shape[1:]))

    def of_sites(self, site_data: SiteData) -> np.ndarray:
        return cosines(site_data.kernels)

    def score(self, layers: np.ndarray, sites: np.ndarray) -> np.ndarray:
        shared = np.einsum("lij,sij->ls", nearest(layers), nearest(sites), optimize=True) / K / layers.shape[-1]
        return np.where(np.isfinite(sites).all(axis=(1, 2)), shared, np.nan)

    def verify(self) -> Sequence[ReferenceScores]:
        return [ReferenceScores("NumPy", "definition, image by image", by_definition, 1e-12)]


def cosines(kernels: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):  # NaN for an image without a response
        lengths = np.sqrt(np.diagonal(kernels, axis1=1, axis2=2))
        return np.asarray(kernels / (lengths[:, :, None] * lengths[:, None]))


def nearest(similarities: np.ndarray) -> np.ndarray:
    distances, chosen = np.where(np.eye(similarities.shape[-1]), np.inf, -similarities), np.zeros(similarities.shape)
    np.put_along_axis(chosen, np.argpartition(distances, K - 1, axis=2)[:, :, :K], 1, axis=2)
    return chosen


def by_definition(layers: Sequence[np.ndarray], responses: np.ndarray) -> list[float]:
    def neighbours(patterns: np.ndarray) -> list[set[int]]:
        unit = patterns / np.linalg.norm(patterns, axis=1, keepdims=True)
        return [set([int(j) for j in np.argsort(-unit @ one) if j != i][:K]) for i, one in enumerate(unit)]

    pairs = [zip(neighbours(x), neighbours(responses.T), strict=True) for x in layers]
    return [float(np.mean([len(a & b) / K for a, b in pair])) for pair in pairs]


mutual_nearest_neighbours = MutualNearestNeighbours()
