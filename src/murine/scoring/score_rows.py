"""The rows of the table of scores, for one group of stimuli."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from murine.cortex.recording import Site
from murine.errors import MurineError
from murine.scoring.group_scores import GroupScores
from murine.scoring.held_out import Choices
from murine.scoring.score_sample import samples
from murine.scoring.site_data import SiteData
from murine.scoring.subject_bootstrap import SubjectDraws, Subjects
from murine.statistics.bootstrap import percentile_interval
from murine.statistics.multiple_testing import adjust_p_values, max_statistic_p_values
from murine.statistics.noise_ceiling import Ceiling
from murine.statistics.permutation import permutation_p_values
from murine.statistics.variance_correction import correct_for_pairs

#: The flag of a row whose interval is below zero, for metrics whose mean is below zero where nothing is shared.
BELOW_ZERO = "below zero as where nothing is shared"


class ScoreRows:
    """Make table rows from the scores of one group of stimuli."""

    def __init__(self, found: GroupScores) -> None:
        self.found, self.metric, self.benchmark = found, found.metric, found.benchmark

    def layer_rows(
        self, best: Int[np.ndarray, " n_sites"], everywhere: bool = True, drawn: SubjectDraws | None = None
    ) -> pd.DataFrame:
        """Return one row per layer and site; intervals and p-values for all, or for the best layers only."""
        scores = self.found.scores
        n_layers = len(scores)
        marks = np.full(scores.shape, "", dtype=object)
        # A metric that combines layers mostly fits them to other stimuli than it scores.
        rule = "nested" if self.metric.combines_layers and not self.metric.chooses_naively else "naive"
        marks[best[best >= 0], np.flatnonzero(best >= 0)] = rule
        chosen = marks != ""
        which = np.arange(n_layers) if everywhere else np.unique(best[best >= 0])
        draws, without = self.found.draws if everywhere else self.found.resampled(which)
        layer, site = (x.ravel() for x in np.indices(scores.shape))
        frame = self._frame(scores.ravel(), layer, site)
        frame["chosen"], frame["plain"], frame["chance"] = marks.ravel(), self.found.plain.ravel(), np.nan
        mine = np.flatnonzero(chosen.ravel())
        frame.loc[mine, "chance"] = self.found.chance(layer[mine], site[mine])
        undefined = "not defined by this metric" if everywhere else "not defined within this group of stimuli"
        reasons = np.array(
            [note or undefined for note in self.benchmark.site_data.notes] or [undefined] * scores.shape[1]
        )
        frame["flag"] = np.where(np.isnan(frame.score), reasons[site], "")
        detailed = np.flatnonzero(np.isin(layer, which))
        self._detail(frame, detailed, _flat(draws), None if without is None else _flat(without), chosen.ravel(), drawn)
        p, best_p = (np.full(scores.shape, np.nan) for _ in range(2))
        if len(self.benchmark.relabellings) and len(which):
            if self.metric.costly_permutations:
                for i, s in np.argwhere(chosen).tolist():
                    p[i, s] = permutation_p_values(scores[[i]][:, [s]], self.found.of_pair(self.metric.permute, i, s))[
                        0, 0
                    ]
            else:
                null = self.found.null if everywhere else self.found.permuted(which)
                p[which] = permutation_p_values(scores[which], null)
                if everywhere:
                    best_p = max_statistic_p_values(scores, null)
        frame["p_value"], frame["p_best"] = p.ravel(), best_p.ravel()
        frame["p_adjusted"] = np.nan
        family = frame.p_best[mine] if frame.p_best[mine].notna().any() else frame.p_value[mine]
        frame.loc[mine, "p_adjusted"] = adjust_p_values(family.to_numpy())
        return frame

    def held_out_rows(
        self, choices: Choices, best: Int[np.ndarray, " n_sites"], drawn: SubjectDraws | None
    ) -> pd.DataFrame:
        """Return one row per site: the score of layers chosen on other stimuli."""
        splits = self.benchmark.splits
        if splits is None:
            raise MurineError("layers were chosen on halves of the stimuli, but there are no halves.")
        scores = choices.scores(self.found.scores)
        of_layers, without_each = self.found.draws
        draws = choices.mixed(of_layers, splits.drawn)
        without = None if without_each is None else choices.mixed(without_each, splits.left_out)
        frame = self._chosen(choices, scores, draws, without, drawn)
        p = np.full(len(scores), np.nan)
        if len(self.benchmark.relabellings):
            p = permutation_p_values(scores[None], self.found.held_out_null(choices)[:, None])[0]
        naive = np.where(best >= 0, self.found.scores[np.maximum(best, 0), np.arange(len(scores))], np.nan)
        return _scored(frame.assign(p_value=p, p_best=np.nan, p_adjusted=adjust_p_values(p), optimism=naive - scores))

    @staticmethod
    def without_held_out(frame: pd.DataFrame, held_out: pd.DataFrame) -> pd.DataFrame:
        """Flag the sites that have scores but no held-out score."""
        lost = frame.score.notna() & ~frame.site.isin(held_out.site)
        note = "no held-out score: not defined on half of the stimuli"
        flags = [
            "; ".join(filter(None, (flag, note if own else "")))
            for own, flag in zip(lost, frame.site_flag, strict=True)
        ]
        return frame.assign(site_flag=flags)

    def chosen_rows(self, choices: Choices) -> pd.DataFrame:
        """Return one row per site: the mean score, for this group, of the layers chosen on halves of all stimuli."""
        which = choices.every
        of_layers, without_each = self.found.resampled(which)
        draws = choices.averaged(of_layers, which)
        without = None if without_each is None else choices.averaged(without_each, which)
        scores = choices.averaged(self.found.scores[None, which], which)[0]
        return _scored(self._chosen(choices, scores, draws, without))

    def _chosen(
        self,
        choices: Choices,
        scores: Float[np.ndarray, " n_sites"],
        draws: np.ndarray,
        without: np.ndarray | None,
        drawn: SubjectDraws | None = None,
    ) -> pd.DataFrame:
        """Return one row per site, with the layers that were chosen most often."""
        pair, share = choices.ranked
        everything = np.arange(len(scores))
        frame = self._frame(scores, pair[0], everything)
        frame["chosen"], frame["split"] = "nested", "held out"
        frame["other_index"], frame["layer_share"] = pair[1], share
        frame["plain"], frame["chance"] = (
            choices.averaged(self.found.plain[None])[0],
            self.found.chance(pair[0], everything),
        )
        self._detail(frame, everything, draws, without, np.isfinite(scores), drawn)
        return frame

    def _frame(
        self, scores: Float[np.ndarray, " n_rows"], layer: Int[np.ndarray, " n_rows"], site: Int[np.ndarray, " n_rows"]
    ) -> pd.DataFrame:
        """Return rows with sites and ceilings, still without intervals."""
        ceiling = self.benchmark.ceiling
        frame = pd.DataFrame({"score": scores, "layer_index": layer, "split": "all", "flag": ""})
        ends = ceiling.interval()
        for name, values in zip(("ceiling", "ceiling_low", "ceiling_high"), (ceiling.value, *ends), strict=True):
            frame[name] = np.where(ceiling.value > 0, values, np.nan)[site]
        frame["ceiled"] = _of_sites(ceiling, site).apply(scores[None], self.metric.scale)[0]
        frame["above_ceiling"] = ceiling.exceeds(frame.ceiled.to_numpy())
        about = pd.DataFrame(about_sites(self.benchmark.site_data)).assign(site_flag=self.benchmark.site_flags)
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
        benchmark, scale = self.benchmark, self.metric.scale
        site = frame.pop("site_index").to_numpy()[which]
        ceiled = _of_sites(benchmark.ceiling, site).apply_draws(draws[:, None], scale)[:, 0]
        raw, shared = draws, ceiled
        left = None
        if without is not None:
            left = _of_sites(benchmark.ceiling_without_one, site).apply_draws(without[:, None], scale)[:, 0]
            raw, shared = correct_for_pairs(draws, without), correct_for_pairs(ceiled, left)
        for names, sample in ((("low", "high"), raw), (("ceiled_low", "ceiled_high"), shared)):
            for name, values in zip(names, percentile_interval(sample), strict=True):
                frame[name] = np.nan
                frame.loc[which, name] = values
        if self.metric.below_zero_by_chance:
            below = frame.high.to_numpy() < 0
            frame["site_flag"] = [
                "; ".join(filter(None, (flag, BELOW_ZERO if x else "")))
                for flag, x in zip(frame.site_flag, below, strict=True)
            ]
        known = benchmark.ceiling.value[site] > 0
        shown = {"draws": np.where(known, ceiled, draws)}
        if without is not None and left is not None:
            shown["without_one"] = np.where(known, left, without)
        for name in ("draws", "without_one"):
            column = np.full(len(frame), None, dtype=object)
            for k in np.flatnonzero(chosen[which]) if name in shown else ():
                column[which[k]] = shown[name][:, k].astype(np.float32)
            frame[name] = column
        if drawn is not None and benchmark.subjects is not None:
            mine = np.flatnonzero(chosen[which])
            stimuli = [None if x is None else x[:, mine] for x in (draws, without, ceiled, left)]
            self._subjects(frame, which[mine], site[mine], benchmark.subjects.subjects, drawn, stimuli)

    def _subjects(
        self,
        frame: pd.DataFrame,
        rows: Int[np.ndarray, " n_chosen"],
        site: Int[np.ndarray, " n_chosen"],
        subjects: Subjects,
        drawn: SubjectDraws,
        over_stimuli: Sequence[np.ndarray | None],
    ) -> None:
        """Fill in the columns of chosen rows that come from resampled neurons or animals."""
        draws, without, ceiled_draws, left = over_stimuli
        scale, ceiling = self.metric.scale, self.benchmark.ceiling.value
        sizes = [subjects.sizes(len(self.benchmark.members), s) for s in site.tolist()]
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


def about_sites(site_data: SiteData) -> list[dict[str, Any]]:
    """Return the columns that describe each site."""
    return [
        about_site(site, n, site_data.n_repetitions)
        for site, n in zip(site_data.sites, site_data.n_neuroids, strict=True)
    ]


def about_site(site: Site, n_neuroids: int, n_repetitions: int) -> dict[str, Any]:
    """Return the columns that describe a site."""
    return {
        "site": site.name,
        "area": site.labels.get("area", ""),
        "cortical_layer": site.labels.get("layer", ""),
        "n_neuroids": n_neuroids,
        "n_repetitions": n_repetitions,
    }


def _scored(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with a score. A site without one still has its rows among those of layers."""
    return frame[np.isfinite(frame.score)].reset_index(drop=True)


def _ends(low: str, high: str, intervals: Sequence[tuple[float, float]]) -> dict[str, list[float]]:
    return {low: [pair[0] for pair in intervals], high: [pair[1] for pair in intervals]}


def _flat(draws: Float[np.ndarray, "n_draws n_layers n_sites"]) -> Float[np.ndarray, "n_draws n_rows"]:
    return draws.reshape(len(draws), -1)


def _of_sites(ceiling: Ceiling, site: Int[np.ndarray, " n_rows"]) -> Ceiling:
    """Return the ceiling of each row."""
    return Ceiling(ceiling.value[site], ceiling.draws[:, site], ceiling.scale)
