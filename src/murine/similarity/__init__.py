"""Representational similarity: how similar are the responses of a layer and of a site to the same stimuli?

This room computes dissimilarity matrices (RDMs) and kernels, and compares them by RSA, Kendall's tau-a, CKA, Procrustes
and reweighted RSA, also under resampled and relabelled stimuli.
It computes the noise ceilings of RDMs; those of single neurons are in `murine.encoding`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from murine.similarity.cka import DebiasedCKA as DebiasedCKA
    from murine.similarity.cka import LinearCKA as LinearCKA
    from murine.similarity.crossnobis import crossnobis_rdm as crossnobis_rdm
    from murine.similarity.crossnobis import mahalanobis_rdm as mahalanobis_rdm
    from murine.similarity.kernel_similarity import KernelComparison as KernelComparison
    from murine.similarity.kernel_similarity import centre_kernels as centre_kernels
    from murine.similarity.kernel_similarity import kernel_metrics as kernel_metrics
    from murine.similarity.kernel_similarity import u_centre_kernels as u_centre_kernels
    from murine.similarity.neural_noise import noise_covariance as noise_covariance
    from murine.similarity.nonnegative_least_squares import fit_nonnegative as fit_nonnegative
    from murine.similarity.population_kernels import PopulationKernel as PopulationKernel
    from murine.similarity.population_kernels import distinct_units as distinct_units
    from murine.similarity.population_kernels import noiseless_kernel as noiseless_kernel
    from murine.similarity.population_kernels import noisy_kernel as noisy_kernel
    from murine.similarity.population_kernels import unbiased_cka as unbiased_cka
    from murine.similarity.population_kernels import unbiased_cka_matrix as unbiased_cka_matrix
    from murine.similarity.procrustes import Procrustes as Procrustes
    from murine.similarity.procrustes import angular_procrustes_distances as angular_procrustes_distances
    from murine.similarity.procrustes import procrustes_distances as procrustes_distances
    from murine.similarity.rdm import cosine_rdm as cosine_rdm
    from murine.similarity.rdm import dissimilarities as dissimilarities
    from murine.similarity.rdm import euclidean_rdm as euclidean_rdm
    from murine.similarity.rdm import kernel_rdm as kernel_rdm
    from murine.similarity.rdm import pearson_rdm as pearson_rdm
    from murine.similarity.rdm_ceilings import SplitHalfRDM as SplitHalfRDM
    from murine.similarity.rdm_ceilings import cosine_reliability as cosine_reliability
    from murine.similarity.rdm_ceilings import split_half_correlation as split_half_correlation
    from murine.similarity.rdm_vectors import n_stimuli_of_pairs as n_stimuli_of_pairs
    from murine.similarity.rdm_vectors import pair_positions as pair_positions
    from murine.similarity.rdm_vectors import upper_triangle as upper_triangle
    from murine.similarity.reweighted_rsa import Reweighting as Reweighting
    from murine.similarity.reweighted_rsa import fit_reweighted_rsa as fit_reweighted_rsa
    from murine.similarity.rsa import Comparison as Comparison
    from murine.similarity.rsa import Cosine as Cosine
    from murine.similarity.rsa import KendallTauA as KendallTauA
    from murine.similarity.rsa import Pearson as Pearson
    from murine.similarity.rsa import Spearman as Spearman
    from murine.similarity.rsa import comparisons as comparisons

__getattr__, __dir__, __all__ = lazy_exports(__name__)
