"""Metrics of representational similarity: the dissimilarities of a layer against those of a site.

`RDMMetric` prepares layers and sites and computes the ceiling. A comparison of `murine.similarity.rsa` computes scores
and draws. It is a separate class for speed: it resamples and relabels all layers and sites at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Int

from murine.literature import CONWELL, EFRON, KRIEGESKORTE, NILI, WALTHER, Citation
from murine.networks.layer_kernel import LayerKernel
from murine.scoring.metric import Draws, Metric, Relabellings, Scores, Stack, Stimuli
from murine.scoring.site_data import SiteData
from murine.similarity import rsa
from murine.similarity.rdm import dissimilarities
from murine.similarity.rdm_vectors import n_stimuli_of_pairs, pair_positions, upper_triangle
from murine.similarity.reweighted_rsa import Reweighting, fit_reweighted_rsa
from murine.statistics.bootstrap import Counts, leave_one_out_counts
from murine.statistics.folds import kfold
from murine.statistics.noise_ceiling import SCALES, Ceiling

#: Folds over stimuli: the weights of each are fitted to the others.
N_FOLDS = 6

_RDMS = (
    "For every two images, 1 - Pearson's r (or another dissimilarity, where the settings say so) between the responses "
    "of all units of a layer, or of all neurons of a site, tells how differently they are represented. "
)
_SIZES = (
    "Few neurons make the dissimilarities of a site noisy, which lowers the score; the number of images does not "
    "change its mean."
)


class RDMMetric(Metric):
    """Compare the RDM vectors of layers with those of sites.

    Both are made of the dissimilarity that the sites come with. Each metric names the comparison of
    `murine.similarity.rsa` that computes its scores.
    """

    comparison: ClassVar[rsa.Comparison]
    over_pairs = True
    scale = "r"
    sizes = _SIZES
    ceiling_words = "the square root of the reliability of its dissimilarities"
    resampling = "pairs of an image with its own copy are left out"
    citations: tuple[Citation, ...] = (KRIEGESKORTE,)

    def of_layers(self, layers: Sequence[LayerKernel], site_data: SiteData) -> Stack:
        if not layers:
            return np.empty((0, site_data.n_stimuli * (site_data.n_stimuli - 1) // 2))
        dissimilarity = dissimilarities[site_data.dissimilarity]
        return upper_triangle(np.stack([dissimilarity(layer) for layer in layers]))

    def of_sites(self, site_data: SiteData) -> Any:
        return upper_triangle(site_data.rdms)

    def select(self, compared: Any, stimuli: Stimuli) -> Any:
        return compared[:, pair_positions(stimuli, n_stimuli_of_pairs(compared.shape[1]))]

    def score_within(
        self,
        layers: Sequence[LayerKernel],
        stack: Stack,
        members: Int[np.ndarray, " n_members"],
        site_data: SiteData,
        sites: Any,
    ) -> Scores:
        # The dissimilarity of two stimuli does not depend on the other stimuli.
        return self.score(self.select(stack, members), sites)

    def placeholder(self, stack: Stack) -> np.ndarray:
        return np.arange(stack.shape[-1], dtype=np.float64)

    def score(self, layers: Stack, sites: Any) -> Scores:
        return self.comparison.score(layers, sites)

    def resample(self, layers: Stack, sites: Any, counts: Counts) -> Draws:
        return self.comparison.resample(layers, sites, counts)

    def leave_one_out(self, layers: Stack, sites: Any, n_stimuli: int) -> Draws:
        return self.comparison.leave_one_out(layers, sites)

    def permute(self, layers: Stack, sites: Any, relabellings: Relabellings) -> Draws:
        return self.comparison.permute(layers, sites, relabellings)

    def ceiling(self, site_data: SiteData, counts: Counts, seed: int) -> Ceiling:
        if self.scale not in SCALES:
            return super().ceiling(site_data, counts, seed)
        # A rank correlation is limited by how well noise lets ranks be known, tau-a by Greiner's relation to ranks.
        return site_data.ceiling(self.scale, counts, ranks=self.comparison.on_ranks, seed=seed)


class PearsonRSA(RDMMetric):
    """Pearson's r between the dissimilarities."""

    name = "rsa-pearson"
    summary = "Representational similarity analysis: Pearson's r between the dissimilarities of a layer and of a site."
    formula = _RDMS + "The score of a layer at a site is Pearson's r between the two lists of dissimilarities."
    use = "The default, and the form that most studies report."
    citations = (KRIEGESKORTE, CONWELL)
    comparison = rsa.Pearson()


class SpearmanRSA(RDMMetric):
    """Spearman's rank correlation between the dissimilarities."""

    name = "rsa-spearman"
    summary = (
        "Representational similarity analysis: Spearman's rank correlation between the dissimilarities of a layer and "
        "of a site."
    )
    formula = (
        _RDMS + "The score of a layer at a site is Spearman's rank correlation between the two lists of "
        "dissimilarities: only their order counts."
    )
    use = "Use it if dissimilarities of layers and sites need not be proportional, or if a few of them are very large."
    ceiling_words = (
        "6/pi times the arcsine of half the square root of the reliability of its dissimilarities (exact for normal "
        "variables and an approximation otherwise)"
    )
    comparison = rsa.Spearman()


class KendallRSA(RDMMetric):
    """Kendall's tau-a between the dissimilarities."""

    name = "rsa-tau-a"
    summary = (
        "Representational similarity analysis: Kendall's tau-a between the dissimilarities of a layer and of a site."
    )
    formula = (
        _RDMS + "The score of a layer at a site is Kendall's tau-a between the two lists of dissimilarities "
        "(Nili et al. 2014): concordant minus discordant pairs of dissimilarities, over all pairs; ties count as "
        "neither."
    )
    use = "Use it instead of rsa-spearman if models predict many equal dissimilarities."
    citations = (KRIEGESKORTE, NILI, EFRON)
    scale = "tau-a"
    ceiling_words = (
        "2/pi times the arcsine of the square root of the reliability of its dissimilarities (Greiner's relation, "
        "exact for normal variables and an approximation otherwise)"
    )
    resampling = Metric.resampling
    costly_permutations = True
    comparison = rsa.KendallTauA()


class CosineRSA(RDMMetric):
    """The cosine of the angle between the dissimilarities, which are not centred.

    It has no ceiling: noise raises all dissimilarities alike, which a cosine sees and no reliability undoes.
    """

    name = "rsa-cosine"
    summary = (
        "Representational similarity analysis: the cosine of the angle between the dissimilarities of a layer and of a "
        "site."
    )
    formula = (
        _RDMS + "The score of a layer at a site is the cosine of the angle between the two lists of "
        "dissimilarities, which are not centred."
    )
    use = (
        'Use it if zero means "not different", as for cross-validated distances. Dissimilarities that are all positive '
        "have a high cosine whatever they are: compare it with relabelled images only."
    )
    sizes = (
        "It is high where nothing is shared, whatever the number of images; few neurons change it as they add noise."
    )
    citations = (KRIEGESKORTE, WALTHER)
    scale = "cosine"
    ceiling_words = ""
    comparison = rsa.Cosine()


class ReweightedRSA(RDMMetric):
    """A non-negative mixture of all layers' dissimilarities (`murine.similarity.reweighted_rsa`)."""

    name = "rsa-reweighted"
    summary = (
        "Reweighted representational similarity analysis: a non-negative mixture of all layers' dissimilarities, "
        "judged on held-out images."
    )
    formula = (
        _RDMS + "The dissimilarities of a site are fitted by a non-negative mixture of those of all layers "
        "(Conwell et al. 2021), in 6 folds over images; the score is Pearson's r of fitted and true dissimilarities of "
        "pairs with an image that was left out."
    )
    use = "Use it to ask what all layers explain together, without choosing one."
    sizes = (
        "Few images make the weights uncertain, which lowers the score. Where nothing is shared its mean is below zero."
    )
    bias = "lower with few stimuli"
    citations = (KRIEGESKORTE, CONWELL)
    combines_layers = True
    below_zero_by_chance = True
    max_permutations = 200
    comparison = rsa.Pearson()

    def of_layers(self, layers: Sequence[LayerKernel], site_data: SiteData) -> Stack:
        vectors = super().of_layers(layers, site_data)
        usable = vectors[np.isfinite(vectors).all(axis=1)]
        return usable[None] if len(usable) else np.full((1, 1, vectors.shape[1]), np.nan)

    def score(self, layers: Stack, sites: Any) -> Scores:
        return self._fit(layers, sites).scores[None]

    def resample(self, layers: Stack, sites: Any, counts: Counts) -> Draws:
        return self._fit(layers, sites).resample(sites, counts)[:, None]

    def leave_one_out(self, layers: Stack, sites: Any, n_stimuli: int) -> Draws:
        return self.resample(layers, sites, leave_one_out_counts(n_stimuli))  # the weights are not fitted anew

    def permute(self, layers: Stack, sites: Any, relabellings: Relabellings) -> Draws:
        return Metric.permute(self, layers, sites, relabellings)

    def _fit(self, layers: Stack, sites: Any) -> Reweighting:
        n_stimuli = n_stimuli_of_pairs(sites.shape[1])
        return fit_reweighted_rsa(layers[0], sites, kfold(n_stimuli, N_FOLDS, 0))


rsa_pearson = PearsonRSA()
rsa_spearman = SpearmanRSA()
rsa_tau_a = KendallRSA()
rsa_cosine = CosineRSA()
rsa_reweighted = ReweightedRSA()
