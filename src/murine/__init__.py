"""murine: how mouse-like is a deep network, and does making it more mouse-like make it more robust?

>>> import murine
>>> scores = murine.score("pixels", "simulated", n_bootstraps=20, n_permutations=20)
>>> scores.best().site.tolist()
['SIMam', 'SIMl', 'SIMp']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from murine import domains, networks, studies
    from murine.api import capture, compare, load_data, load_network, report, score
    from murine.atlas.scores import Scores
    from murine.atlas.store import Atlas
    from murine.cortex.dataset import Dataset
    from murine.cortex.dataset_registry import datasets
    from murine.cortex.rdms import NeuralRDMs
    from murine.cortex.recording import Recording
    from murine.errors import MurineError
    from murine.masquerade.question import is_it_a_mouse
    from murine.networks.network import Network
    from murine.networks.surgery.insertion import insert
    from murine.networks.surgery.neurn import NeuRN, NeuRNTransform, neurn
    from murine.scoring.metric_registry import metrics
    from murine.stimuli import StimulusSet
    from murine.sweeps.run import sweep

    __version__: str

# Imported when first asked for: `import murine` alone must not take the second that torch takes.
_PLACES = {
    **dict.fromkeys(("capture", "compare", "load_data", "load_network", "report", "score"), "murine.api"),
    "Atlas": "murine.atlas.store",
    "Scores": "murine.atlas.scores",
    "Dataset": "murine.cortex.dataset",
    "NeuralRDMs": "murine.cortex.rdms",
    "Recording": "murine.cortex.recording",
    "StimulusSet": "murine.stimuli",
    "Network": "murine.networks.network",
    "MurineError": "murine.errors",
    **dict.fromkeys(("NeuRN", "NeuRNTransform", "neurn"), "murine.networks.surgery.neurn"),
    "sweep": "murine.sweeps.run",
    "insert": "murine.networks.surgery.insertion",
    "is_it_a_mouse": "murine.masquerade.question",
    "metrics": "murine.scoring.metric_registry",
    "datasets": "murine.cortex.dataset_registry",
}

# Rooms that also tell what there is of their kind.
_ROOMS = ("domains", "networks", "studies")

__all__ = [
    "Atlas",
    "Dataset",
    "MurineError",
    "Network",
    "NeuRN",
    "NeuRNTransform",
    "NeuralRDMs",
    "Recording",
    "Scores",
    "StimulusSet",
    "__version__",
    "capture",
    "compare",
    "datasets",
    "domains",
    "insert",
    "is_it_a_mouse",
    "load_data",
    "load_network",
    "metrics",
    "networks",
    "neurn",
    "report",
    "score",
    "studies",
    "sweep",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("murine")
    if name in _ROOMS:
        return import_module(f"murine.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
