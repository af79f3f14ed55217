"""Scores: every layer of a network against every site, as rows that carry their ceiling and uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from murine.cortex.recording import Site
from murine.errors import MurineError
from murine.io.array_cache import ArrayCache
from murine.networks.capture import CapturedLayer
from murine.scoring.encoding_metrics import EncodingMetric
from murine.scoring.held_out import Choices, Splits, choose, random_splits
from murine.scoring.metric import Metric, metric_of
from murine.scoring.score_sample import samples
from murine.scoring.settings import ScoreSettings as ScoreSettings
from murine.scoring.site_data import SiteData
from murine.scoring.subject_bootstrap import SubjectBootstrap, SubjectDraws, Subjects, draw_subjects
from murine.statistics.bootstrap import Counts, bootstrap_counts, interval, pair_corrected, without_each
from murine.statistics.ceilings import Ceiling
from murine.statistics.layer_selection import best_layer
from murine.statistics.multiple_testing import adjusted_p, best_of_layers_p
from murine.statistics.permutation import permutation_p, permutations

#: Said of a row with an interval below zero, of a metric whose scores lie there where nothing is shared.
BELOW_ZERO = "below zero as where nothing is shared"

#: A group of stimuli smaller than this is not scored by itself.
MIN_GROUP = 20

#: Groups scored beside the whole set, in the order of their first stimulus.
MAX_GROUPS = 2


@dataclass(frozen=True, eq=False)
class _Fixed:
    """One group of stimuli: what does not depend on the network."""

    site_data: SiteData
    members: Int[np.ndarray, " n_members"]
    counts: Counts
    relabellings: Int[np.ndarray, "n_permutations n_members"]
    sites: Any
    ceiling: Ceiling
    ceiling_without_one: Ceiling
    splits: Splits | None
    subjects: SubjectBootstrap | None

    @property
    def site_flags(self) -> tuple[str, ...]:
        return self.site_data.site_notes(self.ceiling)


class SiteBenchmark:
    """What every network is held against: sites, resampled stimuli and ceilings, for one metric.

    Made once and used for many networks, so that their scores are paired.

    Parameters
    ----------
    targets
        The sites.
    metric
        A name in `murine.scoring.metric.metrics`.
    groups
        Label of each stimulus, in the order of the targets: scores within the first two groups of at least 20 stimuli
        are added to those over all.
    settings
        Numbers of samples and the seed.
    kept
        Where ceilings are kept between runs; its ``about`` has to tell all that the targets are made from.
    """

    def __init__(
        self,
        site_data: SiteData,
        metric: str = "rsa-pearson",
        *,
        groups: Sequence[str] = (),
        settings: ScoreSettings | None = None,
        kept: ArrayCache | None = None,
    ) -> None:
        self.site_data = site_data
        self._kept = kept or ArrayCache()
        self.metric_name, self.metric = metric, metric_of(metric)
        self.settings = settings or ScoreSettings()
        if site_data.n_stimuli < self.metric.min_stimuli:
            raise MurineError(
                f"{site_data.n_stimuli} stimuli are too few for {metric!r}; expected at least "
                f"{self.metric.min_stimuli}."
            )
        over, seed, n = self.settings.over, self.settings.seed, self.settings.subject_draws
        self.subjects = draw_subjects(site_data, over, n, seed) if over else None
        everything = np.arange(site_data.n_stimuli)
        self.parts = {
            group: self._fix(site_data.select(members), members, whole=group == "all")
            for group, members in {"all": everything, **_subsets(groups)}.items()
            if len(members) >= self.metric.min_stimuli
        }

    def _fix(self, site_data: SiteData, members: Int[np.ndarray, " n_members"], whole: bool) -> _Fixed:
        settings, metric, n = self.settings, self.metric, len(members)
        counts = bootstrap_counts(n, settings.n_bootstraps, settings.seed)
        ceiling = self._ceiling(site_data, members, counts)
        # Reliabilities that came with the data do not depend on the stimuli.
        left = metric.over_pairs and site_data.parts is not None
        constant = Ceiling(ceiling.value, np.tile(ceiling.value, (n, 1)), ceiling.scale)
        held_out = whole and settings.layer_choice == "held-out"
        splits = random_splits(metric, site_data, settings.n_bootstraps, settings.seed) if held_out else None
        subjects = self.subjects if whole else None
        return _Fixed(
            site_data.without_parts(),
            members,
            counts,
            permutations(n, settings.n_permutations, settings.seed),
            metric.of_sites(site_data),
            ceiling,
            self._ceiling(site_data, members, without_each(n)) if left else constant,
            splits,
            None if subjects is None else SubjectBootstrap(metric, site_data, subjects, counts, ceiling),
        )

    def _ceiling(self, site_data: SiteData, members: Int[np.ndarray, " n_members"], counts: Counts) -> Ceiling:
        def compute() -> dict[str, np.ndarray]:
            ceiling = self.metric.ceiling(site_data, counts, self.settings.seed)
            notes = np.array(ceiling.notes, dtype=str)
            return {"value": ceiling.value, "draws": ceiling.draws, "scale": np.array(ceiling.scale), "notes": notes}

        about = {"ceiling": self.metric_name, "members": members.tolist(), "seed": self.settings.seed}
        found = self._kept.arrays(about | {"counts": sha256(counts.tobytes()).hexdigest()}, compute)
        return Ceiling(found["value"], found["draws"], str(found["scale"]), tuple(map(str, found["notes"])))


def score_layers(layers: Sequence[CapturedLayer], benchmark: SiteBenchmark) -> pd.DataFrame:
    """Compare layers with sites.

    Parameters
    ----------
    layers
        Captured from images in the order of ``benchmark.site_data.stimulus_ids`` (see `matched`).

    Returns
    -------
    rows
        One row per layer x site x group of stimuli, and one per site for the layer that was chosen on other stimuli
        (``split`` is ``held out``, else ``all``). Columns:

        * ``layer, layer_index, depth, n_units, same_as, flag``: the layer; one with identical output to an earlier
          one has no rows of its own and is named in ``same_as`` of that one; a flagged one has no score.
        * ``site, area, cortical_layer, n_neuroids, n_repetitions``; ``site_flag``: what is to be known of the site and
          its ceiling, '' for nothing (`murine.scoring.site_data.SiteData.site_notes`). A site that cannot be compared
          at all (`murine.scoring.site_data.LostSite`) has a row per layer, without a score, whose ``flag`` says why
        * ``metric, scale, stimuli`` (``all`` or a group), ``n_stimuli, split``
        * ``score, low, high``: with the 95 % interval by bootstrap over stimuli; of scores over pairs of stimuli by
          `murine.statistics.bootstrap.pair_corrected`
        * ``plain, chance``: of ``ridge`` and ``pls-*``, and NaN for other metrics: Pearson's r of responses and
          predictions as they are, the number that a script with scikit-learn gives; and the mean of that number where
          layer and site share nothing (chosen rows only). ``score`` is made of predictions less the mean of the
          responses that each was fitted to; that of ``ridge`` is then put on a scale on which chance is 0 and 1 stays
          1. Of ``nested`` rows, ``plain`` is the mean over the chosen layers, ``chance`` that of ``layer``
        * ``ceiling, ceiling_low, ceiling_high; ceiled, ceiled_low, ceiled_high, above_ceiling``: score / ceiling,
          both resampled together; values above 1 are kept and flagged
        * ``p_value``: one-sided, by relabelling the stimuli; ``p_best``: of having found a layer so good among all,
          from the largest of each relabelling (`murine.statistics.multiple_testing.best_of_layers_p`);
          ``p_adjusted``: of chosen layers, for the number of sites of the network (false discovery rate,
          Benjamini & Hochberg; of ``p_best`` where the choice is naive)
        * ``chosen``: ``naive`` marks the best layer of a site, chosen and scored on the same stimuli; ``nested`` marks
          the score of layers chosen on one half of the stimuli and scored on the other half, which is free of the
          optimism of the choice (`murine.scoring.held_out`). Many halves choose: ``layer`` is the layer they choose
          most often, ``layer_share`` the share of the halves that choose it, and ``other_layer`` the second. A metric
          that combines layers has ``nested`` scores only, because it fits them to other stimuli.
        * ``optimism``: of ``nested`` rows, the score of the naive best layer less the held-out score
        * ``draws``: bootstrap draws of ``ceiled`` (of ``score`` where there is no ceiling) for chosen rows, paired
          between networks; ``without_one`` the same without each of the stimuli, where scores are over pairs; null
          elsewhere
        * ``over``: what was resampled beside stimuli (`ScoreSettings`); '' for nothing
        * for chosen rows on all stimuli, where something was: ``n_animals``; ``low_subjects, high_subjects``: the
          interval of ``score`` over new neurons or animals; ``low_both, high_both`` and ``ceiled_low_both,
          ceiled_high_both``: over new stimuli and these (`murine.scoring.subject_bootstrap`); ``draws_both,
          draws_subjects``: draws as ``draws``, over both and over subjects alone, from which
          `murine.scoring.subject_bootstrap.ScoreSample` makes intervals of means and differences
    """
    site_data = benchmark.site_data
    scored = [layer for layer in layers if not layer.same_as]
    usable = [i for i, layer in enumerate(scored) if not layer.flag and layer.kernel is not None]
    frames: list[pd.DataFrame] = []
    naive, choices = np.empty(0, int), None
    for group, fixed in benchmark.parts.items():
        part = _Part(benchmark.metric, [scored[i] for i in usable], fixed)
        if group == "all":
            naive = best_layer(part.scores)
            choices = part.choose()
            drawn, drawn_held_out = part.over_subjects(naive, choices)
            found = [part.layer_rows(naive, drawn=drawn)]
            if choices is not None:
                held_out = part.held_out_rows(choices, naive, drawn_held_out)
                found = [part.without_held_out(found[0], held_out), held_out]
        else:
            found = [part.layer_rows(naive, everywhere=False)]
            found += [] if choices is None else [part.chosen_rows(choices)]
        frames += [rows.assign(stimuli=group, n_stimuli=len(fixed.members)) for rows in found]
    rows = pd.concat(frames, ignore_index=True)
    if benchmark.metric.combines_layers:
        n_units = sum(scored[i].n_units for i in usable)
        scored = [CapturedLayer("all layers together", 1.0, (n_units,), None)]
        flagged: list[dict[str, Any]] = []
    else:
        names = np.array([scored[i].name for i in usable] + [""], dtype=object)
        if "other_index" in rows:
            rows["other_layer"] = names[rows.pop("other_index").fillna(-1).astype(int)]
        rows["layer_index"] = np.asarray(usable)[rows.layer_index] if usable else rows.layer_index
        flagged = _flagged_layers(scored, site_data, benchmark.parts["all"].site_flags)
    flagged += _lost_sites(len(scored), site_data)
    if flagged:
        more = pd.DataFrame(flagged).assign(n_stimuli=site_data.n_stimuli, split="all", stimuli="all", chosen="")
        rows = pd.concat([rows, more], ignore_index=True)
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
    rows["metric"], rows["scale"] = benchmark.metric_name, benchmark.metric.scale
    rows["over"], rows["layer_choice"] = benchmark.settings.over, benchmark.settings.layer_choice
    return rows.sort_values(["stimuli", "split", "site", "layer_index"], kind="stable").reset_index(drop=True)


def _subsets(groups: Sequence[str]) -> dict[str, Int[np.ndarray, " n_members"]]:
    labels = np.asarray(groups, dtype=str)
    sets = {str(label): np.flatnonzero(labels == label) for label in dict.fromkeys(groups)}
    large = {label: members for label, members in sets.items() if label and len(members) >= MIN_GROUP}
    return dict(list(large.items())[:MAX_GROUPS]) if len(sets) > 1 else {}


def _flagged_layers(
    scored: Sequence[CapturedLayer], site_data: SiteData, site_flags: Sequence[str]
) -> list[dict[str, Any]]:
    """Rows without scores for layers that cannot be compared: reported, not dropped."""
    return [
        {"layer_index": i, "flag": layer.flag, "site_flag": site_flag, **about}
        for i, layer in enumerate(scored)
        if layer.flag
        for about, site_flag in zip(_about_sites(site_data), site_flags, strict=True)
    ]


def _lost_sites(n_layers: int, site_data: SiteData) -> list[dict[str, Any]]:
    """The same for sites that cannot be compared."""
    return [
        {
            "layer_index": i,
            "flag": lost.reason,
            "site_flag": lost.reason,
            **_about_site(lost.site, lost.n_neuroids, site_data.n_repetitions),
        }
        for lost in site_data.lost
        for i in range(n_layers)
    ]


def _about_sites(site_data: SiteData) -> list[dict[str, Any]]:
    return [
        _about_site(site, n, site_data.n_repetitions)
        for site, n in zip(site_data.sites, site_data.n_neuroids, strict=True)
    ]


def _about_site(site: Site, n_neuroids: int, n_repetitions: int) -> dict[str, Any]:
    return {
        "site": site.name,
        "area": site.labels.get("area", ""),
        "cortical_layer": site.labels.get("layer", ""),
        "n_neuroids": n_neuroids,
        "n_repetitions": n_repetitions,
    }


class _Part:
    """All layers against all sites for one group of stimuli."""

    def __init__(self, metric: Metric, layers: Sequence[CapturedLayer], fixed: _Fixed) -> None:
        self.metric, self.fixed = metric, fixed
        self._pairs: dict[tuple[str, int, int], np.ndarray] = {}
        self.kernels = [layer.kernel.select(fixed.members) for layer in layers if layer.kernel is not None]
        self.layers, self.defined = metric.prepare(self.kernels, fixed.site_data)
        self.scores = np.where(self.defined[:, None], metric.score(self.layers, fixed.sites), np.nan)

    def choose(self) -> Choices | None:
        """Layers chosen on halves of the stimuli, where there are enough stimuli and a layer."""
        if self.fixed.splits is None or not len(self.layers):
            return None
        return choose(self.metric, self.kernels, self.layers, self.defined, self.scores, self.fixed.splits)

    def over_subjects(
        self, best: Int[np.ndarray, " n_sites"], choices: Choices | None
    ) -> tuple[SubjectDraws | None, SubjectDraws | None]:
        """Draws of the scores of chosen layers under resampled subjects, where these are asked for."""
        subjects = self.fixed.subjects
        return (None, None) if subjects is None else subjects.run(self.layers, best, choices)

    @cached_property
    def draws(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Draws of every layer, and its scores without each stimulus."""
        return self._resampled(np.arange(len(self.layers)))

    @cached_property
    def null(self) -> np.ndarray:
        """Scores of every layer with the stimuli of the sites relabelled; for metrics of which that is not costly."""
        return self._null(np.arange(len(self.layers)), self.fixed.sites)

    @cached_property
    def plain(self) -> np.ndarray:
        """Scores of every layer as they are, without a correction for chance; NaN for metrics without one."""
        found = np.full(self.scores.shape, np.nan)
        if isinstance(self.metric, EncodingMetric) and self.defined.any():
            found[self.defined] = self.metric.plain(self.layers[self.defined], self.fixed.sites)
        return found

    def chance(self, layers: Int[np.ndarray, " n_rows"], sites: Int[np.ndarray, " n_rows"]) -> np.ndarray:
        """The mean plain score of a layer at a site where they share nothing."""
        found = np.full(len(layers), np.nan)
        if isinstance(self.metric, EncodingMetric):
            for k in np.flatnonzero((layers >= 0) & self.defined[layers]):
                found[k] = self._of_pair(self.metric.chance, int(layers[k]), int(sites[k]))[0, 0]
        return found

    def layer_rows(
        self, best: Int[np.ndarray, " n_sites"], everywhere: bool = True, drawn: SubjectDraws | None = None
    ) -> pd.DataFrame:
        """One row per layer and site; intervals and p-values for all, or for the best layers only."""
        scores = self.scores
        n_layers = len(scores)
        marks = np.full(scores.shape, "", dtype=object)
        # What combines layers mostly fits them to other stimuli than it is scored on.
        rule = "nested" if self.metric.combines_layers and not self.metric.chooses_naively else "naive"
        marks[best[best >= 0], np.flatnonzero(best >= 0)] = rule
        chosen = marks != ""
        which = np.arange(n_layers) if everywhere else np.unique(best[best >= 0])
        draws, without = self.draws if everywhere else self._resampled(which)
        layer, site = (x.ravel() for x in np.indices(scores.shape))
        frame = self._frame(scores.ravel(), layer, site)
        frame["chosen"], frame["plain"], frame["chance"] = marks.ravel(), self.plain.ravel(), np.nan
        mine = np.flatnonzero(chosen.ravel())
        frame.loc[mine, "chance"] = self.chance(layer[mine], site[mine])
        undefined = "not defined by this metric" if everywhere else "not defined within this group of stimuli"
        reasons = np.array([note or undefined for note in self.fixed.site_data.notes] or [undefined] * scores.shape[1])
        frame["flag"] = np.where(np.isnan(frame.score), reasons[site], "")
        detailed = np.flatnonzero(np.isin(layer, which))
        self._detail(frame, detailed, _flat(draws), None if without is None else _flat(without), chosen.ravel(), drawn)
        p, best_p = (np.full(scores.shape, np.nan) for _ in range(2))
        if len(self.fixed.relabellings) and len(which):
            if self.metric.costly_permutations:
                for i, s in np.argwhere(chosen).tolist():
                    p[i, s] = permutation_p(scores[[i]][:, [s]], self._of_pair(self.metric.permute, i, s))[0, 0]
            else:
                null = self.null if everywhere else self._null(which, self.fixed.sites)
                p[which] = permutation_p(scores[which], null)
                if everywhere:
                    best_p = best_of_layers_p(scores, null)
        frame["p_value"], frame["p_best"] = p.ravel(), best_p.ravel()
        frame["p_adjusted"] = np.nan
        family = frame.p_best[mine] if frame.p_best[mine].notna().any() else frame.p_value[mine]
        frame.loc[mine, "p_adjusted"] = adjusted_p(family.to_numpy())
        return frame

    def held_out_rows(
        self, choices: Choices, best: Int[np.ndarray, " n_sites"], drawn: SubjectDraws | None
    ) -> pd.DataFrame:
        """One row per site: the score of layers chosen on other stimuli."""
        splits = self.fixed.splits
        if splits is None:
            raise MurineError("layers were chosen on halves of the stimuli, but there are no halves.")
        scores = choices.scores(self.scores)
        of_layers, without_each = self.draws
        draws = choices.mixed(of_layers, splits.drawn)
        without = None if without_each is None else choices.mixed(without_each, splits.left_out)
        frame = self._chosen(choices, scores, draws, without, drawn)
        p = np.full(len(scores), np.nan)
        if len(self.fixed.relabellings):
            p = permutation_p(scores[None], self._held_out_null(choices)[:, None])[0]
        naive = np.where(best >= 0, self.scores[np.maximum(best, 0), np.arange(len(scores))], np.nan)
        return _scored(frame.assign(p_value=p, p_best=np.nan, p_adjusted=adjusted_p(p), optimism=naive - scores))

    @staticmethod
    def without_held_out(frame: pd.DataFrame, held_out: pd.DataFrame) -> pd.DataFrame:
        """Flag the sites that have scores, but none of layers chosen on other stimuli."""
        lost = frame.score.notna() & ~frame.site.isin(held_out.site)
        note = "no held-out score: not defined on half of the stimuli"
        flags = [
            "; ".join(filter(None, (flag, note if own else "")))
            for own, flag in zip(lost, frame.site_flag, strict=True)
        ]
        return frame.assign(site_flag=flags)

    def _held_out_null(self, choices: Choices) -> np.ndarray:
        """Scores of the chosen layers with the stimuli relabelled; of the most frequent one where that is costly."""
        if not self.metric.costly_permutations:
            return choices.averaged(self.null)
        (first, _), _ = choices.ranked
        pairs = zip(first.tolist(), range(len(first)), strict=True)
        return np.stack([self._of_pair(self.metric.permute, max(i, 0), s)[:, 0, 0] for i, s in pairs], axis=1)

    def _of_pair(self, compute: Callable[..., np.ndarray], layer: int, site: int) -> np.ndarray:
        """What relabelled stimuli say of one layer at one site, computed once: a site's naive best layer is mostly the
        one that halves choose, too, and some metrics are fitted anew for each relabelling."""
        key = compute.__name__, layer, site
        if key not in self._pairs:
            self._pairs[key] = compute(self.layers[[layer]], self.fixed.sites[[site]], self.fixed.relabellings)
        return self._pairs[key]

    def chosen_rows(self, choices: Choices) -> pd.DataFrame:
        """One row per site: the mean score of the layers that were chosen on halves of all stimuli, for this group."""
        which = choices.every
        of_layers, without_each = self._resampled(which)
        draws = choices.averaged(of_layers, which)
        without = None if without_each is None else choices.averaged(without_each, which)
        scores = choices.averaged(self.scores[None, which], which)[0]
        return _scored(self._chosen(choices, scores, draws, without))

    def _chosen(
        self,
        choices: Choices,
        scores: Float[np.ndarray, " n_sites"],
        draws: np.ndarray,
        without: np.ndarray | None,
        drawn: SubjectDraws | None = None,
    ) -> pd.DataFrame:
        """One row per site, with the layers that were chosen most often."""
        pair, share = choices.ranked
        everything = np.arange(len(scores))
        frame = self._frame(scores, pair[0], everything)
        frame["chosen"], frame["split"] = "nested", "held out"
        frame["other_index"], frame["layer_share"] = pair[1], share
        frame["plain"], frame["chance"] = choices.averaged(self.plain[None])[0], self.chance(pair[0], everything)
        self._detail(frame, everything, draws, without, np.isfinite(scores), drawn)
        return frame

    def _resampled(self, which: Int[np.ndarray, " _"]) -> tuple[np.ndarray, np.ndarray | None]:
        """Draws of some layers, and their scores without each stimulus."""
        metric, fixed, layers = self.metric, self.fixed, self.layers[which]
        lost = ~self.defined[which, None]
        draws = np.where(lost, np.float32("nan"), metric.resample(layers, fixed.sites, fixed.counts))
        if not metric.over_pairs:
            return draws, None
        without = metric.leave_one_out(layers, fixed.sites, len(fixed.members))
        return draws, np.where(lost, np.float32("nan"), without)

    def _null(self, which: Int[np.ndarray, " _"], sites: Any) -> np.ndarray:
        return self.metric.permute(self.layers[which], sites, self.fixed.relabellings)

    def _frame(
        self, scores: Float[np.ndarray, " n_rows"], layer: Int[np.ndarray, " n_rows"], site: Int[np.ndarray, " n_rows"]
    ) -> pd.DataFrame:
        """Rows with what is known of sites and their ceilings, not yet with intervals."""
        ceiling = self.fixed.ceiling
        frame = pd.DataFrame({"score": scores, "layer_index": layer, "split": "all", "flag": ""})
        ends = ceiling.interval()
        for name, values in zip(("ceiling", "ceiling_low", "ceiling_high"), (ceiling.value, *ends), strict=True):
            frame[name] = np.where(ceiling.value > 0, values, np.nan)[site]
        frame["ceiled"] = _of_sites(ceiling, site).apply(scores[None], self.metric.scale)[0]
        frame["above_ceiling"] = ceiling.beyond(frame.ceiled.to_numpy())
        about = pd.DataFrame(_about_sites(self.fixed.site_data)).assign(site_flag=self.fixed.site_flags)
        for name in about:
            frame[name] = about[name].to_numpy()[site]
        frame["site_index"] = site
        return frame

    def _detail(
        self,
        frame: pd.DataFrame,
        which: Int[np.ndarray, " n_detailed"],
        draws: Float[np.ndarray, "n_draws n_detailed"],
        without: Float[np.ndarray, "n_stimuli n_detailed"] | None,
        chosen: Bool[np.ndarray, " n_rows"],
        drawn: SubjectDraws | None,
    ) -> None:
        """Fill in intervals of some rows, and draws of the chosen ones."""
        fixed, scale = self.fixed, self.metric.scale
        site = frame.pop("site_index").to_numpy()[which]
        ceiled = _of_sites(fixed.ceiling, site).apply_draws(draws[:, None], scale)[:, 0]
        raw, shared = draws, ceiled
        left = None
        if without is not None:
            left = _of_sites(fixed.ceiling_without_one, site).apply_draws(without[:, None], scale)[:, 0]
            raw, shared = pair_corrected(draws, without), pair_corrected(ceiled, left)
        for names, sample in ((("low", "high"), raw), (("ceiled_low", "ceiled_high"), shared)):
            for name, values in zip(names, interval(sample), strict=True):
                frame[name] = np.nan
                frame.loc[which, name] = values
        if self.metric.below_zero_by_chance:
            below = frame.high.to_numpy() < 0
            frame["site_flag"] = [
                "; ".join(filter(None, (flag, BELOW_ZERO if x else "")))
                for flag, x in zip(frame.site_flag, below, strict=True)
            ]
        known = fixed.ceiling.value[site] > 0
        shown = {"draws": np.where(known, ceiled, draws)}
        if without is not None and left is not None:
            shown["without_one"] = np.where(known, left, without)
        for name in ("draws", "without_one"):
            column = np.full(len(frame), None, dtype=object)
            for k in np.flatnonzero(chosen[which]) if name in shown else ():
                column[which[k]] = shown[name][:, k].astype(np.float32)
            frame[name] = column
        if drawn is not None and fixed.subjects is not None:
            mine = np.flatnonzero(chosen[which])
            stimuli = [None if x is None else x[:, mine] for x in (draws, without, ceiled, left)]
            self._subjects(frame, which[mine], site[mine], fixed.subjects.subjects, drawn, stimuli)

    def _subjects(
        self,
        frame: pd.DataFrame,
        rows: Int[np.ndarray, " n_chosen"],
        site: Int[np.ndarray, " n_chosen"],
        subjects: Subjects,
        drawn: SubjectDraws,
        over_stimuli: Sequence[np.ndarray | None],
    ) -> None:
        """Fill in what resampled neurons or animals tell of chosen rows."""
        draws, without, ceiled_draws, left = over_stimuli
        scale, ceiling = self.metric.scale, self.fixed.ceiling.value
        sizes = [subjects.sizes(len(self.fixed.members), s) for s in site.tolist()]
        both, alone = drawn.both, drawn.subjects
        raw = samples(frame.score[rows], draws, without, both[:, site], alone[:, site], sizes)
        both, alone = (
            Ceiling(ceiling, own, scale).apply_draws(found[:, None], scale)[:, 0]
            for own, found in ((drawn.ceilings_both, both), (drawn.ceilings_subjects, alone))
        )
        shared = samples(frame.ceiled[rows], ceiled_draws, left, both[:, site], alone[:, site], sizes)
        known = ceiling[site] > 0
        n_animals = np.array(subjects.n_animals, np.float64)[site]
        values = {
            "n_animals": np.where(n_animals > 0, n_animals, np.nan),
            **_ends("low_subjects", "high_subjects", [sample.subjects_interval() for sample in raw]),
            **_ends("low_both", "high_both", [sample.interval() for sample in raw]),
            **_ends("ceiled_low_both", "ceiled_high_both", [sample.interval() for sample in shared]),
        }
        for name, column in values.items():
            frame[name] = np.nan
            frame.loc[rows, name] = column
        for name in ("both", "subjects"):
            cells = np.full(len(frame), None, dtype=object)
            for row, told, a, b in zip(rows, known, shared, raw, strict=True):
                cells[row] = getattr(a if told else b, name).astype(np.float32)
            frame[f"draws_{name}"] = cells


def _scored(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with a score: a site without one has its rows among those of layers."""
    return frame[np.isfinite(frame.score)].reset_index(drop=True)


def _ends(low: str, high: str, intervals: Sequence[tuple[float, float]]) -> dict[str, list[float]]:
    return {low: [pair[0] for pair in intervals], high: [pair[1] for pair in intervals]}


def _flat(draws: Float[np.ndarray, "n_draws n_layers n_sites"]) -> Float[np.ndarray, "n_draws n_rows"]:
    return draws.reshape(len(draws), -1)


def _of_sites(ceiling: Ceiling, site: Int[np.ndarray, " n_rows"]) -> Ceiling:
    """The ceiling of each row."""
    return Ceiling(ceiling.value[site], ceiling.draws[:, site], ceiling.scale)
