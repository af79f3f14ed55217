"""Scores: every layer of a network against every site, as rows that carry their ceiling and uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from murine.comparison.ceiling import Ceiling
from murine.comparison.inference import Counts, bootstrap_counts, interval, permutation_p, permutations
from murine.comparison.metrics import Metric, metrics
from murine.comparison.targets import Targets
from murine.errors import MurineError, some
from murine.networks.capture import CapturedLayer
from murine.stimuli import StimulusSet

#: A group of stimuli smaller than this is not scored by itself.
MIN_GROUP = 20

#: Groups scored beside the whole set, in the order of their first stimulus.
MAX_GROUPS = 2


@dataclass(frozen=True)
class Settings:
    """How scores are computed: number of bootstrap samples and permutations, and their seed."""

    n_bootstraps: int = 1000
    n_permutations: int = 1000
    seed: int = 0


def matched(stimuli: StimulusSet, stimulus_ids: Sequence[str]) -> StimulusSet:
    """Return the images that responses refer to, in the order of their ids; sets that differ are refused."""
    extra = sorted(set(stimuli.ids) - set(stimulus_ids))
    if extra:
        raise MurineError(
            f"{len(extra)} of the {stimuli.n_stimuli} images of {stimuli.name!r} have no responses: {some(extra)}. "
            f"Images and responses are matched by id; the responses are to {some(sorted(stimulus_ids), 3)}."
        )
    return stimuli.select(sorted(stimulus_ids))


@dataclass(frozen=True, eq=False)
class _Fixed:
    """One group of stimuli: what does not depend on the network."""

    targets: Targets
    members: Int[np.ndarray, " n_members"]
    counts: Counts
    relabellings: Int[np.ndarray, "n_permutations n_members"]
    sites: dict[str, Any]
    ceilings: dict[str, Ceiling]


class Yardstick:
    """What every network is held against: sites, resampled stimuli and ceilings, for one metric.

    Made once and used for many networks, so that their scores are paired.

    Parameters
    ----------
    targets
        The sites.
    metric
        A name in `murine.comparison.metrics.metrics`.
    groups
        Label of each stimulus, in the order of the targets: scores within the first two groups of at least 20 stimuli
        are added to those over all.
    settings
        Numbers of samples and the seed.
    """

    def __init__(
        self,
        targets: Targets,
        metric: str = "rsa-pearson",
        *,
        groups: Sequence[str] = (),
        settings: Settings | None = None,
    ) -> None:
        self.targets = targets
        self.metric_name, self.metric = metric, metrics[metric]
        self.settings = settings or Settings()
        everything = np.arange(len(targets.stimulus_ids))
        self.parts = {
            group: self._fix(targets.select(members), members)
            for group, members in {"all": everything, **_subsets(groups)}.items()
        }

    def _fix(self, targets: Targets, members: Int[np.ndarray, " n_members"]) -> _Fixed:
        settings = self.settings
        counts = bootstrap_counts(len(members), settings.n_bootstraps, settings.seed)
        ceilings = {
            split: self.metric.ceiling(targets, counts, split, settings.seed)
            for split in targets.splits
            if split != "odd"
        }
        if "odd" in targets.splits:
            ceilings["odd"] = ceilings["even"]
        return _Fixed(
            targets,
            members,
            counts,
            permutations(len(members), settings.n_permutations, settings.seed),
            {split: self.metric.of_sites(targets, split) for split in targets.splits},
            ceilings,
        )


def score_layers(layers: Sequence[CapturedLayer], yardstick: Yardstick) -> pd.DataFrame:
    """Compare layers with sites.

    Parameters
    ----------
    layers
        Captured from images in the order of ``yardstick.targets.stimulus_ids`` (see `matched`).

    Returns
    -------
    rows
        One row per layer x site x split (``all``, ``odd``, ``even`` repetitions) x group of stimuli. Columns:

        * ``layer, layer_index, depth, n_units, same_as, flag``: the layer; one with identical output to an earlier
          one has no rows of
          its own and is named in ``same_as`` of that one; a flagged one has no score.
        * ``site, area, cortical_layer, n_neuroids, n_repetitions``
        * ``metric, scale, stimuli`` (``all`` or a group), ``n_stimuli, split``
        * ``score, low, high``: with the 95 % interval by bootstrap over stimuli
        * ``ceiling, ceiling_low, ceiling_high; ceiled, ceiled_low, ceiled_high, above_ceiling``: score / ceiling,
          both resampled together; values
          above 1 are kept and flagged
        * ``p_value``: one-sided, by relabelling the stimuli
        * ``chosen``: ``naive`` marks the best layer of a site on all repetitions; ``nested`` the score on even
          repetitions of the layer
          that is best on odd ones, which is free of the optimism of having been chosen
        * ``draws``: bootstrap draws of ``ceiled`` (of ``score`` where there is no ceiling) for chosen rows, paired
          between networks; null
          elsewhere
    """
    targets = yardstick.targets
    scored = [layer for layer in layers if not layer.same_as]
    usable = [i for i, layer in enumerate(scored) if not layer.flag and layer.kernel is not None]
    chosen: dict[str, Int[np.ndarray, " n_sites"]] = {}
    frames = []
    for group, fixed in yardstick.parts.items():
        part = _Part(yardstick.metric, [scored[i] for i in usable], fixed)
        if group == "all":
            chosen = part.choose()
        for split in targets.splits:
            rows = part.rows(split, chosen, everywhere=group == "all")
            if group != "all" and split != "all":
                rows = rows[rows.chosen != ""]
            frames.append(rows.assign(stimuli=group, n_stimuli=len(fixed.members)))
    rows = pd.concat(frames, ignore_index=True)
    if yardstick.metric.combines_layers:
        n_units = sum(scored[i].n_units for i in usable)
        scored = [CapturedLayer("all layers together", 1.0, (n_units,), None)]
    else:
        rows["layer_index"] = np.asarray(usable)[rows.layer_index] if usable else rows.layer_index
        rows = pd.concat([rows, _flagged(scored, targets)], ignore_index=True)
    about = pd.DataFrame(
        {
            "layer_index": range(len(scored)),
            "layer": [layer.name for layer in scored],
            "depth": [layer.depth for layer in scored],
            "n_units": [layer.n_units for layer in scored],
            "same_as": [", ".join(o.name for o in layers if o.same_as == layer.name) for layer in scored],
        }
    )
    rows = rows.merge(about, on="layer_index", how="left")
    rows["metric"], rows["scale"] = yardstick.metric_name, yardstick.metric.scale
    return rows.sort_values(["stimuli", "split", "site", "layer_index"], kind="stable").reset_index(drop=True)


def _subsets(groups: Sequence[str]) -> dict[str, Int[np.ndarray, " n_members"]]:
    labels = np.asarray(groups, dtype=str)
    sets = {str(label): np.flatnonzero(labels == label) for label in dict.fromkeys(groups)}
    large = {label: members for label, members in sets.items() if label and len(members) >= MIN_GROUP}
    return dict(list(large.items())[:MAX_GROUPS]) if len(sets) > 1 else {}


def _flagged(scored: Sequence[CapturedLayer], targets: Targets) -> pd.DataFrame:
    """Rows without scores for layers that cannot be compared: reported, not dropped."""
    rows: list[dict[str, Any]] = [
        {"layer_index": i, "flag": layer.flag, "split": "all", "stimuli": "all", "chosen": "", **about}
        for i, layer in enumerate(scored)
        if layer.flag
        for about in _about_sites(targets)
    ]
    return pd.DataFrame(rows).assign(n_stimuli=len(targets.stimulus_ids)) if rows else pd.DataFrame()


def _about_sites(targets: Targets) -> list[dict[str, Any]]:
    return [
        {
            "site": site.name,
            "area": site.labels.get("area", ""),
            "cortical_layer": site.labels.get("layer", ""),
            "n_neuroids": n,
            "n_repetitions": targets.n_repetitions,
        }
        for site, n in zip(targets.sites, targets.n_neuroids, strict=True)
    ]


class _Part:
    """All layers against all sites for one group of stimuli."""

    def __init__(self, metric: Metric, layers: Sequence[CapturedLayer], fixed: _Fixed) -> None:
        self.metric, self.fixed = metric, fixed
        kernels = [layer.kernel.select(fixed.members) for layer in layers if layer.kernel is not None]
        stack = metric.of_layers(kernels, len(fixed.members))
        # A layer may be well for all stimuli and constant within a group: its scores there are NaN.
        self.defined: Bool[np.ndarray, " n_layers"] = np.isfinite(stack).all(axis=tuple(range(1, stack.ndim)))
        shape = (-1, *(1,) * (stack.ndim - 1))
        self.layers = np.where(self.defined.reshape(shape), stack, metric.stand_in(stack))
        self.scores = {split: self._score(sites) for split, sites in fixed.sites.items()}

    def _score(self, sites: Any) -> Float[np.ndarray, "n_layers n_sites"]:
        return np.where(self.defined[:, None], self.metric.score(self.layers, sites), np.nan)

    def choose(self) -> dict[str, Int[np.ndarray, " n_sites"]]:
        """The best layer of each site, on all repetitions and on odd ones; -1 where none has a score."""
        chosen = {}
        for rule, split in (("naive", "all"), ("nested", "odd")):
            if split in self.scores:
                scores = np.where(np.isnan(self.scores[split]), -np.inf, self.scores[split])
                best = scores.argmax(axis=0) if len(scores) else np.zeros(scores.shape[1], int)
                chosen[rule] = np.where(np.isfinite(scores.max(axis=0, initial=-np.inf)), best, -1)
        return chosen

    def rows(self, split: str, chosen: dict[str, Int[np.ndarray, " n_sites"]], everywhere: bool) -> pd.DataFrame:
        """One row per layer and site; intervals and p-values for all, or for chosen layers only.

        Odd repetitions serve to choose a layer: their rows have scores alone. So do layers on even repetitions that
        were not chosen."""
        scores = self.scores[split]
        n_layers, n_sites = scores.shape
        rule = {"all": "naive", "even": "nested"}.get(split, "")
        marks = np.full(scores.shape, "", dtype=object)
        best = chosen.get(rule, np.full(n_sites, -1))
        marks[best[best >= 0], np.flatnonzero(best >= 0)] = rule
        detailed = np.arange(n_layers) if everywhere and split == "all" else np.unique(best[best >= 0])
        columns: dict[str, Any] = {
            "score": scores,
            "chosen": marks,
            "flag": np.full(scores.shape, "", dtype=object),
        }
        columns["flag"][~self.defined] = "not defined within this group of stimuli"
        for name in ("low", "high", "ceiled", "ceiled_low", "ceiled_high", "p_value"):
            columns[name] = np.full(scores.shape, np.nan)
        columns["draws"] = np.full(scores.shape, None, dtype=object)
        ceiling = self.fixed.ceilings[split]
        columns["ceiled"] = ceiling.apply(scores, self.metric.scale)
        if rule and len(detailed):
            self._detail(columns, split, detailed, marks[detailed] != "", ceiling)
        frame = pd.DataFrame({name: values.ravel() for name, values in columns.items()})
        frame["layer_index"] = np.repeat(np.arange(n_layers), n_sites)
        low, high = ceiling.interval()
        for name, values in (("ceiling", ceiling.value), ("ceiling_low", low), ("ceiling_high", high)):
            frame[name] = np.tile(np.where(ceiling.value > 0, values, np.nan), n_layers)
        about = pd.DataFrame(_about_sites(self.fixed.targets))
        for name in about:
            frame[name] = np.tile(about[name].to_numpy(), n_layers)
        frame["above_ceiling"] = frame.ceiled > 1
        return frame.assign(split=split)

    def _detail(
        self,
        columns: dict[str, Any],
        split: str,
        which: Int[np.ndarray, " n_detailed"],
        marked: np.ndarray,
        ceiling: Ceiling,
    ) -> None:
        """Fill in intervals, p-values and draws of some layers."""
        sites, scores = self.fixed.sites[split], self.scores[split][which]
        draws = self.metric.resample(self.layers[which], sites, self.fixed.counts)
        draws = np.where(self.defined[which][:, None], draws, np.float32("nan"))
        ceiled_draws = ceiling.apply_draws(draws, self.metric.scale)
        columns["low"][which], columns["high"][which] = interval(draws)
        columns["ceiled_low"][which], columns["ceiled_high"][which] = interval(ceiled_draws)
        kept = np.where(ceiling.value > 0, ceiled_draws, draws).astype(np.float32)
        for i, s in zip(*np.nonzero(marked), strict=True):
            columns["draws"][which[i], s] = kept[:, i, s]
        if not len(self.fixed.relabellings):
            return
        if self.metric.costly_permutations:
            for i, s in zip(*np.nonzero(marked), strict=True):
                null = self.metric.permute(self.layers[which[[i]]], sites[[s]], self.fixed.relabellings)
                columns["p_value"][which[i], s] = permutation_p(scores[[i]][:, [s]], null)[0, 0]
        else:
            null = self.metric.permute(self.layers[which], sites, self.fixed.relabellings)
            columns["p_value"][which] = permutation_p(scores, null)
