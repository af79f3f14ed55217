"""The registry of metrics: names only, so that help texts can list them without importing a metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.registry import Registry

if TYPE_CHECKING:
    from murine.scoring.metric import Metric

#: All metrics by name. Other packages add theirs through the entry-point group ``murine.metric``.
metrics: Registry[Metric] = Registry("metric")

# A metric is imported when it is first asked for.
for _name, _place in {
    "rsa-pearson": "rdm_metrics:rsa_pearson",
    "rsa-spearman": "rdm_metrics:rsa_spearman",
    "rsa-tau-a": "rdm_metrics:rsa_tau_a",
    "rsa-cosine": "rdm_metrics:rsa_cosine",
    "rsa-reweighted": "rdm_metrics:rsa_reweighted",
    "cka": "kernel_metrics:cka",
    "cka-debiased": "kernel_metrics:cka_debiased",
    "procrustes": "kernel_metrics:procrustes",
    "ridge": "ridge_metrics:ridge",
    "ridge-conwell2021": "ridge_metrics:ridge_conwell2021",
    "ridge-conwell2021-per-neuron": "ridge_metrics:ridge_conwell2021_per_neuron",
    "pls-10": "pls_metrics:pls_10",
    "pls-25": "pls_metrics:pls_25",
}.items():
    metrics.refer(_name, f"murine.scoring.{_place}")
