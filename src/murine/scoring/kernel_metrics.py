"""Metrics of geometry: the kernels of layers (products of patterns of every two stimuli) against those of sites.

`KernelMetric` prepares layers and sites. A comparison of `murine.similarity.kernel_similarity` computes scores and
draws. It is a separate class for speed: it resamples and relabels all layers and sites at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from murine.encoding.kernels import centre_layer_grams
from murine.literature import KORNBLITH, SONG, WILLIAMS
from murine.networks.layer_kernel import LayerKernel
from murine.scoring.metric import Bias, Draws, Metric, Relabellings, Scores, Stack
from murine.scoring.site_data import SiteData
from murine.similarity import cka as cka_comparison
from murine.similarity import kernel_similarity
from murine.similarity import procrustes as procrustes_comparison
from murine.statistics.bootstrap import Counts, leave_one_out_counts
from murine.statistics.noise_ceiling import Ceiling


def layer_grams(layers: Sequence[LayerKernel], site_data: SiteData) -> Stack:
    """Return the kernels of layers, centred over stimuli: (n_layers, n_stimuli, n_stimuli); NaN for a constant one."""
    return centre_layer_grams(layers) if layers else np.empty((0, site_data.n_stimuli, site_data.n_stimuli))


class KernelMetric(Metric):
    """Compare the centred kernels of layers with those of sites.

    Each metric names the comparison of `murine.similarity.kernel_similarity` that computes its scores. Noise lowers
    them in a way that a reliability cannot correct, so there is no ceiling.
    """

    comparison: ClassVar[kernel_similarity.KernelComparison]
    bias: Bias = "higher with few stimuli"
    resampling = "an image and its own copy are not compared; draws vary about the score of all images"

    def of_layers(self, layers: Sequence[LayerKernel], site_data: SiteData) -> Stack:
        return layer_grams(layers, site_data)

    def of_sites(self, site_data: SiteData) -> Any:
        return site_data.kernels

    def placeholder(self, stack: Stack) -> np.ndarray:
        return np.eye(stack.shape[-1])

    def score(self, layers: Stack, sites: Any) -> Scores:
        return self.comparison.score(layers, sites)

    def resample(self, layers: Stack, sites: Any, counts: Counts) -> Draws:
        draws = self.resample_independently(layers, sites, counts)
        # A sample has fewer different stimuli, which raises scores: they are moved to vary about the score of all.
        return draws - draws.mean(axis=0) + self.comparison.score(layers, sites).astype(np.float32)

    def resample_independently(self, layers: Stack, sites: Any, counts: Counts) -> Draws:
        return self.comparison.resample(layers, sites, counts)

    def permute(self, layers: Stack, sites: Any, relabellings: Relabellings) -> Draws:
        return self.comparison.permute(layers, sites, relabellings)


class CKAMetric(KernelMetric):
    """Linear centred kernel alignment."""

    name = "cka"
    summary = "Linear centred kernel alignment: the cosine between the centred kernels of a layer and of a site."
    formula = (
        "A kernel holds the products of the patterns of every two images, centred over images. The score is the cosine "
        "of the angle between two kernels as lists of numbers (Kornblith et al. 2019)."
    )
    use = "Use it to compare with published values of CKA; cka-debiased is the better estimate."
    sizes = (
        "With few images, and with more units or neurons than images, it is high for layers that share nothing; "
        "relabelled images show how high."
    )
    citations = (KORNBLITH,)
    scale = "cka"
    comparison = cka_comparison.LinearCKA()


class DebiasedCKAMetric(KernelMetric):
    """Linear centred kernel alignment from unbiased estimates.

    It has a ceiling, because the expected kernel does not contain the noise, so the reliability follows from the
    similarity of two halves of the trials. Given matrices have no ceiling: their reliability is that of
    dissimilarities, not of kernels.
    """

    name = "cka-debiased"
    summary = "Linear centred kernel alignment from unbiased estimates, zero on average where nothing is shared."
    formula = (
        "As cka, but the products of kernels and their norms are unbiased estimates: means over quadruples of "
        "different images (Song et al. 2012)."
    )
    use = "Use it instead of cka wherever values are to be read as they are, above all with few images."
    sizes = (
        "Its mean depends neither on the number of images nor on that of units; few neurons add noise, which lowers it."
    )
    bias: Bias = "none"
    citations = (SONG, KORNBLITH)
    scale = "r"
    ceiling_words = "the square root of the reliability of its kernels"
    resampling = "quadruples with two copies of an image are left out"
    over_pairs = True
    comparison = cka_comparison.DebiasedCKA()

    def resample(self, layers: Stack, sites: Any, counts: Counts) -> Draws:
        return self.resample_independently(layers, sites, counts)

    def leave_one_out(self, layers: Stack, sites: Any, n_stimuli: int) -> Draws:
        return self.resample(layers, sites, leave_one_out_counts(n_stimuli))

    def ceiling(self, site_data: SiteData, counts: Counts, seed: int) -> Ceiling:
        if site_data.population is not None and site_data.n_repetitions > 1:
            return site_data.kernel_ceiling(counts)
        return super().ceiling(site_data, counts, seed)


class ProcrustesMetric(KernelMetric):
    """How well one set of patterns can be rotated and scaled onto the other."""

    name = "procrustes"
    summary = "Procrustes similarity: how well the patterns of a layer can be rotated and scaled onto those of a site."
    formula = (
        "Both sets of patterns are centred over images and scaled to length 1. The score is the sum of the singular "
        "values of their product; its arc cosine is the angular Procrustes distance (Williams et al. 2021)."
    )
    use = "Use it if a true distance between representations is needed, as for clustering networks."
    sizes = "With few images it is high for layers that share nothing; relabelled images show how high."
    citations = (WILLIAMS,)
    scale = "procrustes"
    resampling = "draws are those of the influence of each image on the score (Efron & Tibshirani 1993)"
    costly_permutations = True
    comparison = procrustes_comparison.Procrustes()


cka = CKAMetric()
cka_debiased = DebiasedCKAMetric()
procrustes = ProcrustesMetric()
