"""The data of a report, read from an atlas: one leaderboard for every cortex, metric and setting."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from murine.atlas.comparability import distinctions
from murine.atlas.leaderboard import MIN_CEILING, leaderboards, only
from murine.atlas.store import Atlas
from murine.atlas.tables import DRAWS
from murine.errors import MurineError
from murine.report.short_names import without_files
from murine.scoring.score_sample import ScoreSample
from murine.scoring.treatments import Treatment

#: What makes rows belong to one network.
KEY = ("network", "weights", "role", "input_size", "network_digest")

#: Areas in the order of the mouse's visual hierarchy (Siegle et al. 2021); others follow by name.
AREAS = ("VISp", "VISl", "VISrl", "VISal", "VISpm", "VISam")

#: A value with the ends of its 95 % interval.
Interval = tuple[float, float, float]

_SITE = "site, area, cortical_layer, n_neuroids, n_repetitions"
_CEILING = "ceiling, ceiling_low, ceiling_high"
#: Intervals over new neurons or animals, too, where there are such.
_ENDS = ", ".join(
    f"CASE WHEN draws_both IS NULL THEN {end} ELSE {end}_both END AS {end}"
    for end in ("low", "high", "ceiled_low", "ceiled_high")
)
_NUMBERS = f"score, {_ENDS}, {_CEILING}, ceiled, above_ceiling, p_value"


@dataclass(frozen=True, eq=False)
class Twins:
    """A trained network and the same architecture with random weights.

    Attributes
    ----------
    trained, random
        Positions in ``Board.networks``.
    mean
        Trained minus random, of the unweighted mean of ceiled scores over the sites that count.
    sites
        The same, by site, for all sites that both have.
    """

    trained: int
    random: int
    mean: Interval
    sites: dict[str, Interval]


@dataclass(frozen=True, eq=False)
class Board:
    """Networks that can be compared with each other: one cortex, one metric, one way to compute scores.

    Attributes
    ----------
    settings
        What all tasks share: the fields of `CortexSettings`, with those of `ScoreTask` that rank together; ``over`` is
        ``stimuli`` where nothing else was resampled.
    variant
        What tells the board from others of the same cortex and metric; '' where there are none.
    networks
        One row per network: the ranked ones first, in the order and with the columns of `leaderboards`; then
        those without a score that counts (band 0, NaN). ``label`` is short and unique.
    sites
        In anatomical order: ``site, area, cortical_layer, label`` (within the area), ``n_neuroids,
        n_repetitions, ceiling, ceiling_low, ceiling_high, counted``.
    chosen
        Rows of chosen layers for all groups of stimuli; ``entry`` is the position in ``networks``.
    layers
        Rows of every layer on all stimuli and repetitions: ``entry, layer, layer_index, depth, site, score``.
    twins
        In the order of the leaderboard.
    flagged
        Layers that could not be compared: ``entry, layer, flag, stimuli, n_sites``.
    above
        Scores above their ceiling, the highest of each network, site, group and split: ``entry, site,
        stimuli, split, n_layers, layer, score, ceiling, ceiled, ceiled_low, ceiled_high``.
    tasks
        Digests, by position in ``networks``.
    """

    cortex: str
    metric: str
    settings: dict[str, Any]
    variant: str
    networks: pd.DataFrame
    sites: pd.DataFrame
    chosen: pd.DataFrame
    layers: pd.DataFrame
    twins: tuple[Twins, ...]
    flagged: pd.DataFrame
    above: pd.DataFrame
    tasks: dict[int, tuple[str, ...]]

    @property
    def name(self) -> str:
        return " · ".join(part for part in (self.cortex, self.metric, self.variant) if part)

    @property
    def treatment(self) -> Treatment:
        """Whether neurons and features were standardised."""
        return Treatment(self.settings["neurons"], self.settings["features"])

    def under(self, treatment: Treatment, boards: Sequence[Board]) -> Board | None:
        """Return the board that differs from this one in the treatment alone, if it is among ``boards``."""
        wanted = self.settings | {"neurons": treatment.neurons, "features": treatment.features}
        return next((board for board in boards if board.settings == wanted), None)

    @property
    def ranked(self) -> pd.DataFrame:
        """The networks that have a rank."""
        return self.networks[self.networks.band > 0]

    @property
    def selection(self) -> str:
        """How layers were chosen, ``nested`` or ``naive``; '' where nothing is ranked."""
        return str(self.ranked.selection.iloc[0]) if len(self.ranked) else ""

    @cached_property
    def has_ceiling(self) -> bool:
        """False where no site has a ceiling: what is called ceiled is the raw score then."""
        return bool(self.sites.ceiling.notna().any())

    @property
    def groups(self) -> list[str]:
        """Names of the groups of stimuli that were also scored by themselves."""
        return [str(c).removeprefix("within ") for c in self.networks if str(c).startswith("within ")]

    @property
    def counted(self) -> list[str]:
        """Sites whose scores make up the mean."""
        return [str(site) for site in self.sites.site[self.sites.counted]]

    @cached_property
    def official(self) -> pd.DataFrame:
        """The rows behind the leaderboard: chosen by the rule that ranks, on all stimuli."""
        rows = self.chosen
        return rows[(rows.chosen == (self.selection or "naive")) & (rows.stimuli == "all")]


def read_boards(atlas: Atlas, *, cortex: str | None = None, metric: str | None = None) -> list[Board]:
    """Read all that a report tells.

    Parameters
    ----------
    cortex, metric
        Only these.

    Raises
    ------
    MurineError
        No results, an unknown cortex or metric, or no network at all that can be ranked.
    """
    tasks = atlas.identities().sort_values("task")
    if tasks.empty:
        atlas.query("SELECT 1 FROM scores")  # refuses an atlas without results
    tasks = only(tasks, cortex=cortex, metric=metric)
    alike: dict[str, list[str]] = {}
    for task in tasks.task:
        alike.setdefault(json.dumps(_shared(atlas.about(task)["task"]), sort_keys=True), []).append(task)
    settings = sorted((json.loads(key) for key in alike), key=_order)
    boards = []
    for own, variant in zip(settings, _variants(settings), strict=True):
        comparable = alike[json.dumps(own, sort_keys=True)]
        with atlas.opened(comparable):  # for all questions about one board
            boards.append(_read_board(atlas, own, variant, comparable))
    if not any(len(board.ranked) for board in boards):
        raise MurineError(
            f"no network in {str(atlas.folder)!r} can be ranked: every layer is flagged, or no site has a "
            f"ceiling of at least {MIN_CEILING:g}. `murine results --view layers` tells which."
        )
    return boards


def _shared(task: Mapping[str, Any]) -> dict[str, Any]:
    """What networks must have in common to be ranked together."""
    ranking = ("metric", "method", "n_bootstraps", "n_permutations", "seed", "cortex_digest")
    own = {name: task[name] for name in ranking}
    own |= {"over": task.get("over", "stimuli"), "n_subject_draws": task.get("n_subject_draws", 0)}
    own["layer_choice"] = task.get("layer_choice", "held-out")
    own |= {"neurons": task["normalise_neurons"], "features": task["capture"].get("normalise", "none")}
    return {**task["cortex"], **own, "stimuli_digest": task["capture"]["stimuli_digest"]}


def _order(settings: Mapping[str, Any]) -> tuple[str, str, str]:
    return settings["cortex"], settings["metric"], json.dumps(settings, sort_keys=True)


def _variants(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """What tells each board from others of the same cortex and metric."""
    variants = {}
    for names in {(own["cortex"], own["metric"]) for own in settings}:
        same = [k for k, own in enumerate(settings) if (own["cortex"], own["metric"]) == names]
        treatments = [Treatment(settings[k]["neurons"], settings[k]["features"]).words for k in same]
        others = [
            {name: value for name, value in settings[k].items() if name not in ("neurons", "features")} for k in same
        ]
        for k, treatment, words in zip(same, treatments, distinctions(others), strict=True):
            variants[k] = ", ".join(filter(None, (treatment if len(set(treatments)) > 1 else "", words)))
    return [variants[k] for k in range(len(settings))]


def _read_board(atlas: Atlas, settings: dict[str, Any], variant: str, tasks: list[str]) -> Board:
    key = ", ".join(KEY)

    def read(columns: str, condition: str) -> pd.DataFrame:
        return atlas.query(f"SELECT {key}, {columns} FROM scores WHERE {condition}")  # of the files that are open

    owners = read("task, min(layer) AS layer", f"true GROUP BY {key}, task ORDER BY {key}, task")
    try:
        table = leaderboards(atlas, tasks=tasks)
    except MurineError:  # every layer of every network is flagged: the board tells that instead of ranks
        table = pd.DataFrame()
    networks = _networks(table, owners)
    place = _places(networks)
    selection = str(table.selection.iloc[0]) if len(table) else "naive"
    sites = _sites(read(f"{_SITE}, {_CEILING}", "split = 'all' AND stimuli = 'all'"))
    # A network may have been scored twice, as with another pattern of layers: the first result speaks for it.
    chosen = place(
        read(
            f"{_SITE}, layer, other_layer, depth, n_units, scale, stimuli, n_stimuli, split, chosen, {_NUMBERS}, task",
            "chosen <> '' ORDER BY task, layer_index, site, stimuli, chosen, split",
        )
    ).drop_duplicates(["entry", "site", "stimuli", "chosen"])
    layers = place(
        read(
            "layer, layer_index, depth, site, score",
            "split = 'all' AND stimuli = 'all' ORDER BY task, layer_index, site",
        )
    ).drop_duplicates(["entry", "site", "layer"])
    draws = place(
        read(
            f"site, score, ceiled, over, n_stimuli, n_neuroids, n_animals, {', '.join(DRAWS)}",
            f"stimuli = 'all' AND chosen = '{selection}' ORDER BY task, site",
        )
    ).drop_duplicates(["entry", "site"])
    flagged = place(
        read(
            "layer, flag, stimuli, min(layer_index) AS position, count(DISTINCT site) AS n_sites",
            f"flag <> '' GROUP BY {key}, layer, flag, stimuli ORDER BY ALL",
        )
    )
    best = ", ".join(
        f"arg_max({column}, ceiled) AS {column}"
        for column in ("layer", "score", "ceiling", "ceiled_low", "ceiled_high")
    )
    above = place(
        read(
            f"site, stimuli, split, count(*) AS n_layers, {best}, max(ceiled) AS ceiled",
            f"above_ceiling GROUP BY {key}, site, stimuli, split ORDER BY stimuli, split, {key}, site",
        )
    )
    return Board(
        cortex=settings["cortex"],
        metric=settings["metric"],
        settings=settings,
        variant=variant,
        networks=networks,
        sites=sites,
        chosen=_in_order(chosen, sites),
        layers=layers,
        twins=tuple(_twins(networks, draws, sites)),
        flagged=flagged.sort_values(["entry", "stimuli", "position"], kind="stable").reset_index(drop=True),
        above=_in_order(above, sites),
        tasks={i: tuple(mine.task) for i, (_, mine) in enumerate(place(owners).groupby("entry", sort=True))},
    )


def _places(networks: pd.DataFrame) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A function that puts the position in ``networks`` in place of the columns that name a network."""
    index = pd.MultiIndex.from_frame(networks[list(KEY)])

    def place(frame: pd.DataFrame) -> pd.DataFrame:
        entries = index.get_indexer(pd.MultiIndex.from_frame(frame[list(KEY)]))
        return frame.drop(columns=list(KEY)).assign(entry=entries)

    return place


def _in_order(frame: pd.DataFrame, sites: pd.DataFrame) -> pd.DataFrame:
    """Rows by network and then by site, otherwise as they were."""
    at = frame.site.map({site: i for i, site in enumerate(sites.site)}).to_numpy()
    return frame.iloc[np.lexsort((at, frame.entry.to_numpy()))].reset_index(drop=True)


def _networks(table: pd.DataFrame, owners: pd.DataFrame) -> pd.DataFrame:
    """The leaderboard, then the networks that are not on it."""
    everyone = owners[list(KEY)].drop_duplicates().reset_index(drop=True)
    if table.empty:
        networks = everyone.assign(band=0)
    else:
        on_board = set(table[list(KEY)].itertuples(index=False, name=None))
        absent = [names not in on_board for names in everyone.itertuples(index=False, name=None)]
        missing = everyone[absent]
        networks = table.reset_index(drop=True).reindex(range(len(table) + len(missing)))
        for column in KEY:
            networks[column] = [*table[column], *missing[column]]
        networks["band"] = networks.band.fillna(0).astype(int)
    return networks.assign(label=_labels(networks))


def _labels(networks: pd.DataFrame) -> list[str]:
    """Short names, made longer only as far as they would be ambiguous."""
    records = networks[list(KEY)].astype(str).to_dict("records")
    called = without_files(row["network"] for row in records)
    trained: dict[str, set[str]] = {}
    for row in records:
        if row["role"] == "trained":
            trained.setdefault(row["network"], set()).add(row["weights"])
    labels = []
    for row in records:
        name = called[row["network"]]
        alone = row["role"] == "trained" and len(trained[row["network"]]) == 1
        labels.append(name if alone or row["role"] == "control" else f"{name} · {row['weights']}")
    for extra in ([row["input_size"] for row in records], [row["network_digest"][:8] for row in records]):
        different: dict[str, set[str]] = {}
        for label, more in zip(labels, extra, strict=True):
            different.setdefault(label, set()).add(more)
        labels = [f"{x} · {y}" if len(different[x]) > 1 else x for x, y in zip(labels, extra, strict=True)]
    return labels


def _sites(rows: pd.DataFrame) -> pd.DataFrame:
    """Sites in anatomical order with their ceilings; which of them count follows `leaderboards`."""
    # Rows of flagged layers have no ceiling: sorting puts them last, so that the first row of a site has one.
    rows = rows.sort_values(["site", "ceiling"], kind="stable", na_position="last")
    sites = rows.drop_duplicates("site").drop(columns=list(KEY))
    sites["ceiling"] = sites.ceiling.astype(float)
    sites["counted"] = sites.ceiling >= MIN_CEILING if sites.ceiling.notna().any() else True
    names = list(zip(sites.site.astype(str), sites.area.astype(str), strict=True))
    sites["label"] = [site.removeprefix(area).strip() or area for site, area in names]
    sites["area"] = [area or site for site, area in names]
    rank = {area: i for i, area in enumerate(AREAS)}
    keys = list(zip(sites.area, sites.label, strict=True))
    order = sorted(range(len(sites)), key=lambda i: (rank.get(str(keys[i][0]), len(AREAS)), *map(str, keys[i])))
    return sites.iloc[order].reset_index(drop=True)


def _twins(networks: pd.DataFrame, draws: pd.DataFrame, sites: pd.DataFrame) -> list[Twins]:
    found = []
    ranked = networks[networks.band > 0]
    names = [str(site) for site in sites.site]
    counted = set(sites.site[sites.counted])
    own = {(row["entry"], row["site"]): ScoreSample.of_row(row) for row in draws.to_dict("records")}
    for t in ranked.index[ranked.role == "trained"].tolist():
        same = (ranked.network == ranked.network[t]) & (ranked.input_size == ranked.input_size[t])
        for r in ranked.index[same & (ranked.role == "random")].tolist():
            differences = {s: own[t, s] - own[r, s] for s in names if (t, s) in own and (r, s) in own}
            over = [difference for s, difference in differences.items() if s in counted]
            if over:
                found.append(Twins(t, r, _told(ScoreSample.mean(over)), {s: _told(d) for s, d in differences.items()}))
    return found


def _told(sample: ScoreSample) -> Interval:
    return sample.value, *sample.interval()
