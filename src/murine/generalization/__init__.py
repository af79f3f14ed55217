"""Generalisation to unseen domains: networks in variants are trained on one source and evaluated on other domains.

`settings` chooses sources and targets, `plan` lists all runs of networks, variants and seeds, and `compute` trains and
evaluates those that are not in the atlas. `train` and `predict` do one training and one evaluation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from murine.generalization.history import History as History
    from murine.generalization.matrix import Run as Run
    from murine.generalization.matrix import compute as compute
    from murine.generalization.matrix import plan as plan
    from murine.generalization.network_builder import build as build
    from murine.generalization.predictions import accuracy as accuracy
    from murine.generalization.predictions import calibration_error as calibration_error
    from murine.generalization.predictions import predict as predict
    from murine.generalization.protocol import protocols as protocols
    from murine.generalization.protocol import settings as settings
    from murine.generalization.recipe import Recipe as Recipe
    from murine.generalization.recipe import recipes as recipes
    from murine.generalization.results import Results as Results
    from murine.generalization.splits import split as split
    from murine.generalization.training import train as train
    from murine.generalization.variants import TrainingVariant as TrainingVariant

__getattr__, __dir__, __all__ = lazy_exports(__name__)
