"""What is known of networks beside their scores: kind, training, size, accuracy, and the geometry of their layers."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd

from murine.atlas.identity import CaptureTask
from murine.atlas.store import Atlas
from murine.networks.catalogue import Entry, entry
from murine.networks.layer_geometry import effective_dimensionality, sparseness
from murine.networks.layer_kernel import LayerKernel

#: Families of networks that are no convolutions.
_TRANSFORMERS = frozenset(
    (
        *("beit", "cait", "coat", "convit", "crossvit", "davit", "deit", "eva", "gcvit", "hiera", "levit"),
        *("mvitv2", "naflexvit", "nest", "pit", "pvt_v2", "swin_transformer", "swin_transformer_v2"),
        *("swin_transformer_v2_cr", "tiny_vit", "tnt", "twins", "visformer", "vision_transformer"),
        *("vision_transformer_hybrid", "vision_transformer_relpos", "vision_transformer_sam", "volo", "xcit"),
    )
)
_MIXERS = frozenset({"mlp_mixer"})

#: Families that are several kinds at once, or neither.
_MIXED = frozenset(
    (
        *("byoanet", "cpubone", "csatv2", "deepseek_vit", "edgenext", "efficientformer", "efficientformer_v2"),
        *("efficientvim", "efficientvit_mit", "efficientvit_msra", "fastvit", "focalnet", "gemma4_vit"),
        *("hieradet_sam2", "iformer", "lowformer", "mambaout", "maxvit", "maxxvit", "metaformer", "mobilevit"),
        *("nextvit", "qwen3_vit", "sequencer", "shvit", "swiftformer", "vitamin"),
    )
)

#: Tasks of a training without labels.
_SELF_SUPERVISED = (
    "self-supervised",
    "contrastive",
    "autoencoding",
    "denoising",
    "jigsaw",
    "inpainting",
    "dino",
    "mae",
)

#: Columns of `network_predictors`, with their meaning.
COLUMNS = {
    "architecture": "Family and depth: the same of a network, its random twins, and other trainings of it.",
    "kind": "convolution, transformer or mixer, by the family of the network; empty where unknown or mixed.",
    "task": "Task of the training; empty where unknown, or where there was none.",
    "trained": "Whether the weights are trained: True or False; empty for controls.",
    "transformer": "Whether the network is a transformer, not a convolution; empty where unknown.",
    "mixer": "Whether the network is a mixer, not a convolution; empty where unknown.",
    "self_supervised": "Whether the training had no labels; empty where unknown. False for random weights.",
    "log_parameters": "Logarithm (base 10) of the number of parameters; empty where unknown.",
    "accuracy": "Top-1 accuracy on ImageNet in per cent, published with the weights; empty where unknown.",
    "log_dimensionality": "Logarithm (base 10) of the effective dimensionality of chosen layers, mean over sites.",
    "sparseness": "Population sparseness of chosen layers, mean over sites.",
}

#: The predictors of a regression, in order.
PREDICTORS = (
    *("trained", "self_supervised", "transformer", "mixer", "log_parameters", "accuracy"),
    *("log_dimensionality", "sparseness"),
)


def network_predictors(atlas: Atlas, board: pd.DataFrame, chosen: pd.DataFrame) -> pd.DataFrame:
    """Return a leaderboard with what is known of each network, as predictors of its score.

    Parameters
    ----------
    atlas
        The atlas that holds the kernels of the layers.
    board
        `murine.atlas.scores.Scores.leaderboard`.
    chosen
        `murine.atlas.scores.Scores.chosen`: the rows of chosen layers.

    Returns
    -------
    table
        The rows of the board without those of controls: ``metric, treatment, network, weights, value`` and the columns
        that `COLUMNS` describes. What is unknown is NaN. Accuracy is that of the weights that the catalogue knows.
    """
    rows = board[board.role != "control"]
    facts = [entry(name.partition("+")[0]) for name in rows.network]
    kinds = [_kind(fact.family) for fact in facts]
    trained = (rows.role == "trained").to_numpy()
    tasks = [fact.task if own else "" for fact, own in zip(facts, trained, strict=True)]
    geometry = [_geometry(atlas, chosen[chosen.task == task]) for task in rows.task]
    table = rows[["metric", "treatment", "network", "weights", "value"]].assign(
        architecture=[_architecture(*pair) for pair in zip(facts, rows.network, strict=True)],
        kind=kinds,
        task=tasks,
        trained=trained.astype(float),
        self_supervised=[_without_labels(task, own) for task, own in zip(tasks, trained, strict=True)],
        transformer=[_is(kind, "transformer") for kind in kinds],
        mixer=[_is(kind, "mixer") for kind in kinds],
        log_parameters=[np.log10(fact.parameters) if fact.parameters else np.nan for fact in facts],
        accuracy=[fact.top1 if own and fact.top1 else np.nan for fact, own in zip(facts, trained, strict=True)],
        log_dimensionality=[dimensionality for dimensionality, _ in geometry],
        sparseness=[sparse for _, sparse in geometry],
    )
    return table.reset_index(drop=True)


def _architecture(fact: Entry, network: str) -> str:
    return f"{fact.family}, {fact.depth} layers" if fact.family and fact.depth else network


def _kind(family: str) -> str:
    if not family or family in _MIXED:
        return ""
    return "transformer" if family in _TRANSFORMERS else "mixer" if family in _MIXERS else "convolution"


def _is(kind: str, wanted: str) -> float:
    return float(kind == wanted) if kind else np.nan


def _without_labels(task: str, trained: bool) -> float:
    if not trained:
        return 0.0
    return float(any(word in task.lower() for word in _SELF_SUPERVISED)) if task else np.nan


def _geometry(atlas: Atlas, chosen: pd.DataFrame) -> tuple[float, float]:
    """Log dimensionality and sparseness of the layers that were chosen for one network; NaN without kernels."""
    if chosen.empty:
        return np.nan, np.nan
    whole = chosen[chosen.stimuli == "all"]
    selection = "nested" if (whole.chosen == "nested").any() else "naive"
    capture = CaptureTask.model_validate(atlas.about(chosen.task.iloc[0])["task"]["capture"])
    layers = {layer.name: layer.kernel for layer in atlas.read_kernels(capture) or ()}

    @cache
    def numbers(layer: str) -> tuple[float, float]:
        kernel: LayerKernel | None = layers.get(layer)
        if kernel is None:
            return np.nan, np.nan
        return float(np.log10(effective_dimensionality(kernel))), sparseness(kernel)

    found = np.array([numbers(layer) for layer in whole[whole.chosen == selection].layer])
    known = np.isfinite(found).all(axis=1)
    dimensionality, sparse = found[known].mean(axis=0) if known.any() else (np.nan, np.nan)
    return float(dimensionality), float(sparse)
