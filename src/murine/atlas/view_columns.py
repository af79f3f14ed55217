"""The columns of the tables that ``murine results`` prints: what each one means, its unit, and when it is empty.

Names in capitals stand for several columns: ``METRIC`` for one column for each metric, for example.
"""

from __future__ import annotations

from murine.atlas.column import CEILED, NUMBER, Column, P, R
from murine.atlas.columns import PARQUET
from murine.atlas.tables import DRAWS

_SCORES = PARQUET["scores"]

_SETTING = Column(
    "How results of this data set were computed, for example `by area`. Different settings are not ranked together.",
    empty="if there is only one kind of results",
)
_TREATMENT = Column(
    "Treatment of neurons and units: `both as they are`, `both z-scored`, `neurons z-scored` or `features z-scored`.",
    empty="in rows from versions that did not record it",
)

_OF_VALUE = "the unit of `value`"
_NO_CEILING = "unless every site that counts has a noise ceiling"
_HAS_CEILING = "if every site that counts has a noise ceiling: the interval is then that of `ceiled`"

_LEADERBOARD = {
    "band": Column(
        "Rank band: networks whose paired difference to the best of the band has an interval that includes zero.",
        "rank",
    ),
    **{name: _SCORES[name] for name in ("cortex", "metric", "network", "weights", "role", "input_size")},
    "network_digest": _SCORES["network_digest"],
    "treatment": _TREATMENT,
    "setting": _SETTING,
    "value": Column(
        "The number that ranks networks: the mean over sites of the share of the ceiling, or of the raw score. Sites "
        "with "
        "a ceiling below 0.5 are left out.",
        _OF_VALUE,
    ),
    "value_low": Column("Lower end of the 95 % interval of `value`.", _OF_VALUE, "with no bootstraps"),
    "value_high": Column("Upper end of the 95 % interval of `value`.", _OF_VALUE, "with no bootstraps"),
    "unit": Column("The unit of `value`: `share of the ceiling`, or `raw score`."),
    "ceiled": Column("Mean over sites of the share of the noise ceiling.", CEILED, _NO_CEILING),
    "ceiled_low": Column("Lower end of the 95 % interval of `ceiled`.", CEILED, _NO_CEILING),
    "ceiled_high": Column("Upper end of the 95 % interval of `ceiled`.", CEILED, _NO_CEILING),
    "score": Column("Mean over sites of the raw score.", "the metric's scale"),
    "score_low": Column("Lower end of the 95 % interval of `score`.", "the metric's scale", _HAS_CEILING),
    "score_high": Column("Upper end of the 95 % interval of `score`.", "the metric's scale", _HAS_CEILING),
    "naive": Column(
        "`ceiled` of the naive best layers, chosen and scored on the same images.",
        CEILED,
        f"{_NO_CEILING}, and for metrics that fit layers to other images than they are scored on",
    ),
    "naive_score": Column(
        "`score` of the naive best layers.",
        "the metric's scale",
        "for metrics that fit layers to other images than they are scored on",
    ),
    "optimism": Column(
        "Mean over sites of what choosing and scoring on the same images adds to the raw score.",
        "the metric's scale",
        "without held-out rows",
    ),
    "plain": Column("Mean over sites of `scores.plain`.", R, "for metrics that do not predict neurons"),
    "chance": Column(
        "Mean over sites of `scores.chance`.",
        R,
        "for metrics that do not predict neurons; for `pls-*` and per-neuron ridge also with no permutations",
    ),
    "within GROUP": Column(
        "Mean over sites of the raw score of the same layers within one group of images.",
        "the metric's scale",
        "if the layers have no score within the group; no such column without groups of images",
    ),
    "p_max": Column("The largest p over sites.", P, "with no permutations"),
    "n_sites": Column("Sites that are used in the means.", NUMBER),
    "n_sites_all": Column("Sites of the data, also those whose ceiling is too low.", NUMBER),
    "selection": Column("How layers were chosen: `nested` (on other images than they are scored on) or `naive`."),
    "top_probability": Column(
        "How often the network is the best of this board in paired bootstrap draws.", P, "with no bootstraps"
    ),
    "layers": Column("The chosen layer of each site, and the second after `|`."),
    "over": _SCORES["over"],
    "task": _SCORES["task"],
}

_ROWS = {name: column for name, column in _SCORES.items() if name not in DRAWS}
_ROWS |= {"setting": _SETTING, "treatment": _TREATMENT}

_NOT_SCORED = "if the network was not scored by this metric"
_SHARE = "share of the ceiling; raw score in `METRIC (raw)`"

_METRICS = {
    **{name: _SCORES[name] for name in ("cortex", "network", "weights", "input_size")},
    "treatment": _TREATMENT,
    "setting": _SETTING,
    "METRIC": Column(
        "`leaderboard.value` for this metric. The column is called `METRIC (raw)` if the metric has no ceiling.",
        _SHARE,
        _NOT_SCORED,
    ),
    "METRIC_low": Column("Lower end of its 95 % interval.", _SHARE, _NOT_SCORED),
    "METRIC_high": Column("Upper end of its 95 % interval.", _SHARE, _NOT_SCORED),
}

_CONSTANT = "if all networks have the same score by one of the metrics"

_AGREEMENT = {
    "cortex": _SCORES["cortex"],
    "treatment": _TREATMENT,
    "setting": _SETTING,
    "metric": Column("The first metric of the pair."),
    "other_metric": Column("The second metric of the pair."),
    "n_networks": Column("Networks that both metrics have scored: at least 4.", NUMBER),
    "r": Column("Pearson's r of the two metrics' scores over networks.", R, _CONSTANT),
    "r_low": Column("Lower end of its 95 % interval over networks and images.", R, _CONSTANT),
    "r_high": Column("Upper end of its 95 % interval over networks and images.", R, _CONSTANT),
    "rho": Column("Spearman's rank correlation of the two metrics' scores over networks.", "rho, -1 to 1", _CONSTANT),
    "rho_low": Column("Lower end of its 95 % interval over networks and images.", "rho, -1 to 1", _CONSTANT),
    "rho_high": Column("Upper end of its 95 % interval over networks and images.", "rho, -1 to 1", _CONSTANT),
}

_NOT_TREATED = "if the pair was not scored under this treatment"
_DIFFERENCE = "share of the ceiling; the metric's scale without a ceiling"

_TREATMENTS = {
    **{name: _SCORES[name] for name in ("cortex", "metric", "input_size")},
    "setting": _SETTING,
    "network": Column("The network, or `all networks` for the mean over networks."),
    "site": Column("The site, or `all sites` for the mean over sites."),
    "TREATMENT": Column(
        "Score of the trained network minus the mean score of its random twins, under the treatment that the column is "
        "named after.",
        _DIFFERENCE,
        _NOT_TREATED,
    ),
    "TREATMENT_low": Column("Lower end of its 95 % interval over new images.", _DIFFERENCE, _NOT_TREATED),
    "TREATMENT_high": Column("Upper end of its 95 % interval over new images.", _DIFFERENCE, _NOT_TREATED),
    "note": Column(
        "`the sign depends on the treatment`.",
        empty="unless two treatments differ in sign and the interval of one of them excludes zero",
    ),
}

_FAILURES = {
    "work": Column("The task that failed: `score`, `match` or `maps`."),
    "network": _SCORES["network"],
    "weights": Column("The requested weights.", empty="if the default weights were requested"),
    "input_size": Column("The requested size, as `HEIGHTxWIDTH`, or `native`.", "pixels"),
    "cortex": Column("The requested data set."),
    "layers": _SCORES["layers"],
    "reason": Column("Why the network could not be scored, in words."),
    "time": Column("When it failed, in UTC.", "date and time, ISO 8601"),
    "host": Column("Name of the machine."),
    "murine": Column("Version of murine."),
    "cortex_settings": _SCORES["cortex_settings"],
}

#: The columns of the tables that ``murine results`` prints, by view.
VIEWS: dict[str, dict[str, Column]] = {
    "leaderboard": _LEADERBOARD,
    "sites": _ROWS,
    "layers": _ROWS,
    "metrics": _METRICS,
    "agreement": _AGREEMENT,
    "treatments": _TREATMENTS,
    "failures": _FAILURES,
}
