"""Compare the layers of a network with the sites of a cortex.

A `Metric` scores every layer at every site, and `metrics` finds each by its name. `make_site_data` prepares a
recording, `SiteBenchmark` adds ceilings and resampled stimuli, and `score_layers` returns the table of scores with
their intervals, p-values and held-out layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from murine.scoring.layer_scores import score_layers as score_layers
    from murine.scoring.metric import Metric as Metric
    from murine.scoring.metric import MetricDescription as MetricDescription
    from murine.scoring.metric import ReferenceScores as ReferenceScores
    from murine.scoring.metric import metric_of as metric_of
    from murine.scoring.metric_registry import metrics as metrics
    from murine.scoring.settings import ScoreSettings as ScoreSettings
    from murine.scoring.site_benchmark import SiteBenchmark as SiteBenchmark
    from murine.scoring.site_data import SiteData as SiteData
    from murine.scoring.site_preparation import make_site_data as make_site_data
    from murine.scoring.treatments import Treatment as Treatment

__getattr__, __dir__, __all__ = lazy_exports(__name__)
