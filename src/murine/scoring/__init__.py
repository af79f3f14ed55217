"""Compare the layers of a network with the sites of a cortex.

A `Metric` scores every layer at every site, and `metrics` finds each by its name. `make_site_data` prepares a
recording, `SiteBenchmark` adds ceilings and resampled stimuli, and `score_layers` returns the table of scores with
their intervals, p-values and held-out layers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from murine.scoring.layer_scores import score_layers
    from murine.scoring.metric import Metric, MetricDescription, ReferenceScores, metric_of
    from murine.scoring.metric_registry import metrics
    from murine.scoring.settings import ScoreSettings
    from murine.scoring.site_benchmark import SiteBenchmark
    from murine.scoring.site_data import SiteData
    from murine.scoring.site_preparation import make_site_data
    from murine.scoring.treatments import Treatment

# Imported when first asked for: help texts need the names of metrics alone.
_HOMES = {
    **dict.fromkeys(("Metric", "MetricDescription", "ReferenceScores", "metric_of"), "metric"),
    "SiteData": "site_data",
    "make_site_data": "site_preparation",
    "ScoreSettings": "settings",
    "SiteBenchmark": "site_benchmark",
    "Treatment": "treatments",
    "metrics": "metric_registry",
    "score_layers": "layer_scores",
}

__all__ = [
    "Metric",
    "MetricDescription",
    "ReferenceScores",
    "ScoreSettings",
    "SiteBenchmark",
    "SiteData",
    "Treatment",
    "make_site_data",
    "metric_of",
    "metrics",
    "score_layers",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
