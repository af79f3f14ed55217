"""Summary of a matrix: means with intervals over seeds and images, and differences to one of the variants.

A difference supports a conclusion only where there are at least two seeds and where all networks that are compared have
learned their own source (`source_tests`). Elsewhere it has no p, and ``no_claim`` says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from numpy.typing import NDArray

from murine.statistics.multiple_testing import adjust_p_values

#: The variant that all others are compared with.
PLAIN = "plain"

#: Name of the row with the mean over unseen domains.
UNSEEN = "mean of unseen"

_LEVEL = 0.95

#: Largest p against chance on its own source for a network to count as trained successfully.
LEARNED = 0.05


@dataclass(frozen=True)
class Mean:
    """A mean over seeds and images, with the variance from each and its degrees of freedom."""

    value: float
    variance_seeds: float
    variance_images: float
    n_seeds: int
    n_groups: int

    def half_width(self, level: float = _LEVEL) -> float:
        """Return half of the interval over new seeds and new images; NaN if neither variance is known.

        Each standard error is multiplied by Student's quantile for its degrees of freedom, and the squares are added
        (Graybill and Wang 1980). With few seeds this interval covers as often as it should, whichever variance is
        larger; an interval with Satterthwaite's degrees of freedom does not if seeds differ much.
        """
        from scipy.stats import t

        if not math.isfinite(self.value) or self.n_groups < 2:
            return math.nan
        parts = [(self.variance_seeds, self.n_seeds - 1), (self.variance_images, self.n_groups - 1)]
        return math.sqrt(sum(t.isf((1 - level) / 2, df) ** 2 * variance for variance, df in parts if df and variance))

    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""
        half = self.half_width()
        return self.value - half, self.value + half

    def p_value(self) -> float:
        """Return the two-sided p for a mean of 0: one minus the level of the interval that just reaches 0."""
        from scipy.optimize import brentq

        if math.isnan(self.half_width()):
            return math.nan
        if self.value == 0 or self.half_width() == 0:
            return 1.0 if self.value == 0 else 0.0
        least = 1e-12
        if self.half_width(1 - least) < abs(self.value):
            return least
        return float(brentq(lambda p: self.half_width(1 - p) - abs(self.value), least, 1.0, xtol=1e-12))


def mean_of(
    values: Float[np.ndarray, "n_seeds n_images"], groups: Int[np.ndarray, " n_images"], *, floor: bool = True
) -> Mean:
    """Return the mean over seeds and images, both of which are samples; images are sampled in whole groups.

    The variance over seeds is the variance of the seeds' means divided by their number. The variance over images is
    that of resampling whole groups (the limit of a bootstrap over groups), for values averaged over seeds. Both contain
    the interaction of seeds and images, so their sum counts it twice, and the interval is slightly too wide.

    Parameters
    ----------
    values
        1 for right and 0 for wrong predictions, or differences of them; the same images for every seed.
    groups
        Numbers of the groups of images, from 0.
    floor
        Whether images with equal values (all right) get the variance that one different group would give.

    Returns
    -------
    mean
        With one seed, the variance over seeds is unknown and set to 0, so the interval covers images only.
    """
    n_seeds, n = values.shape
    seeds = values.mean(axis=1)
    of_seeds = float(seeds.var(ddof=1)) / n_seeds if n_seeds > 1 else 0.0
    image = values.mean(axis=0)
    value = float(image.mean())
    n_groups = int(groups.max()) + 1
    sums = np.bincount(groups, image - value, minlength=n_groups)
    of_images = float((sums**2).sum()) / n**2 * n_groups / max(n_groups - 1, 1)
    if floor and of_images == 0:
        share = 1 / (n_groups + 1)
        of_images = share * (1 - share) / n_groups
    return Mean(value, of_seeds, of_images, n_seeds, n_groups)


def mean_over(means: Sequence[Mean], seeds: Float[np.ndarray, "n_means n_seeds"]) -> Mean:
    """Return the mean of several means, of the same networks on different images.

    Parameters
    ----------
    seeds
        The means of each, seed by seed. Their correlation decides how much their average varies over seeds.
    """
    together = seeds.mean(axis=0)
    n_seeds = len(together)
    parts = [(mean.variance_images / len(means) ** 2, mean.n_groups - 1) for mean in means]
    of_images = sum(variance for variance, _ in parts)
    spread = sum(variance**2 / df for variance, df in parts if df)
    n_groups = round(of_images**2 / spread) + 1 if spread else min(mean.n_groups for mean in means)
    of_seeds = float(together.var(ddof=1)) / n_seeds if n_seeds > 1 else 0.0
    return Mean(float(together.mean()), of_seeds, of_images, n_seeds, n_groups)


#: What makes rows belong to one matrix: of its variants on its targets.
MATRIX = ["source", "network", "pretrained"]

_CELL = [*MATRIX, "variant"]

_SEEDS = ["model_seed", "data_seed"]


def of_matrix(table: pd.DataFrame, key: Sequence[Any]) -> pd.DataFrame:
    """Return the rows of one matrix, given its values of `MATRIX`, from a table with rows of several matrices."""
    return table[(table[MATRIX] == list(key)).all(axis=1)] if len(table) else table


def source_tests(rows: pd.DataFrame) -> pd.DataFrame:
    """Test every run against chance, on the test images of its own source.

    Chance is the share of the most frequent class among these images: a network that always names this class reaches
    it. It is at least one over the number of classes. The test is one-sided and binomial. Where images come in groups,
    they are not independent; then p is the larger of that one and of a t-test over groups.

    Parameters
    ----------
    rows
        As `murine.generalization.matrix.compute` returns them. Runs that diverged are left out.

    Returns
    -------
    tests
        One row per run: ``source, network, pretrained, variant, model_seed, data_seed, accuracy, chance, p_value`` and
        ``learned`` (p below `LEARNED`).
    """
    found = []
    for row in rows[~rows.unseen & (rows.state != "diverged")].to_dict("records"):
        labels, groups = np.asarray(row["labels"]), np.asarray(row["groups"], dtype=np.int64)
        right = (np.asarray(row["predicted"]) == labels).astype(np.float64)
        chance = float(np.unique(labels, return_counts=True)[1].max() / len(labels))
        p = _above_p(right, groups, chance)
        about = {name: row[name] for name in (*_CELL, *_SEEDS)}
        found.append({**about, "accuracy": right.mean(), "chance": chance, "p_value": p, "learned": p < LEARNED})
    return pd.DataFrame(found, columns=[*_CELL, *_SEEDS, "accuracy", "chance", "p_value", "learned"])


def _above_p(right: Float[np.ndarray, " n_images"], groups: Int[np.ndarray, " n_images"], chance: float) -> float:
    """Return the one-sided p for an accuracy above chance; 1 if it cannot be computed."""
    from scipy.stats import binom, t

    p = float(binom.sf(right.sum() - 1, len(right), chance))
    if len(np.unique(groups)) == len(groups):
        return p
    mean = mean_of(right[None] - chance, groups)
    if mean.n_groups < 2 or mean.variance_images == 0:
        return 1.0
    return max(p, float(t.sf(mean.value / math.sqrt(mean.variance_images), mean.n_groups - 1)))


def over_text(n_seeds: Iterable[int]) -> str:
    """Return what the intervals of cells are over, in words: "3 seeds and images", "images only (1 seed)"."""
    known = sorted({int(n) for n in n_seeds} - {0}) or [0]
    if known == [1]:
        return "images only (1 seed)"
    images = "images (of 1 seed: over images only)" if 1 in known else "images"
    return f"{' or '.join(map(str, known))} seeds and {images}"


def cells(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the matrix: accuracy and calibration of every network and variant on every target, over seeds.

    Parameters
    ----------
    rows
        As `murine.generalization.matrix.compute` returns them.

    Returns
    -------
    cells
        ``accuracy`` with ``accuracy_low``, ``accuracy_high`` (95 %, see `mean_of`), ``ece``; ``n_seeds`` and how many
        runs ``diverged``, which count in no mean; ``at_chance``, how many of the others are not above chance on their
        own source (`source_tests`); ``interval_over``, "seeds and images" or "images". One row more for the mean over
        unseen domains, corruptions not counted. In the order of ``rows``.
    """
    found = []
    unlearned = _unlearned(rows)
    for key, mine in rows.groupby(_CELL, sort=False):
        about = {**dict(zip(_CELL, key, strict=True)), "at_chance": len(unlearned.get(tuple(key), ()))}
        means: dict[str, Mean] = {}
        by_seed: dict[str, NDArray[np.float64]] = {}
        for target, there in mine.groupby("target", sort=False):
            name = str(target)
            good = there[there.state != "diverged"].sort_values(["model_seed", "data_seed"])
            counts = {"n_seeds": len(good), "diverged": len(there) - len(good)}
            first = there.iloc[0]
            kind = {"unseen": bool(first.unseen), "corruption": bool(first.corruption)}
            cell = {**about, "target": name, **kind, "n_images": int(first.n_images), **counts}
            if len(good):
                right = _right(good)
                means[name] = mean_of(right, np.asarray(first.groups, dtype=np.int64))
                by_seed[name] = right.mean(axis=1)
                cell |= {"ece": float(good.ece.mean()), **_told(means[name], "accuracy", 0.0, 1.0)}
            found.append(cell)
        of_domains = [n for n in _unseen_domains(mine) if n in means]
        if len(of_domains) > 1 and len({len(by_seed[n]) for n in of_domains}) == 1:
            mean = mean_over([means[n] for n in of_domains], np.array([by_seed[n] for n in of_domains]))
            n_images = sum(int(mine[mine.target == n].n_images.iloc[0]) for n in of_domains)
            found.append(
                {
                    **about,
                    "target": UNSEEN,
                    "unseen": True,
                    "corruption": False,
                    "n_images": n_images,
                    "n_seeds": mean.n_seeds,
                    "diverged": found[-1]["diverged"],
                    "ece": float(mine[mine.target.isin(of_domains)].ece.mean()),
                    **_told(mean, "accuracy", 0.0, 1.0),
                }
            )
    counts_of = ["n_images", "n_seeds", "diverged", "at_chance"]
    columns = ["accuracy", "accuracy_low", "accuracy_high", "interval_over", "ece"]
    table = pd.DataFrame(found)
    over = np.where(table.n_seeds > 1, "seeds and images", np.where(table.n_seeds == 1, "images", ""))
    return table.assign(interval_over=over).reindex(
        columns=[*_CELL, "target", "unseen", "corruption", *counts_of, *columns]
    )


def differences(rows: pd.DataFrame, reference: str = PLAIN) -> pd.DataFrame:
    """Return the accuracy of every variant minus that of a reference variant, paired by seed and image.

    Parameters
    ----------
    rows
        As `murine.generalization.matrix.compute` returns them.
    reference
        The variant that the others are compared with.

    Returns
    -------
    differences
        ``difference`` with ``difference_low``, ``difference_high`` (95 %), ``p_value`` (two-sided, Student's t with the
        same error) and ``p_adjusted``. The adjustment is Holm's: single targets are adjusted over all variants and
        targets of a source and network, the mean over unseen domains over all variants. ``no_claim`` says why nothing
        can be concluded, otherwise ''. One seed allows no conclusion about other seeds, and a run that is not above
        chance on its own source has learned nothing (`source_tests`). Then both p are NaN and are not part of the
        adjustment. The table is empty if there is no such variant, or no other variant.
    """
    found = []
    unlearned = _unlearned(rows)
    for key, mine in rows[rows.state != "diverged"].groupby(MATRIX, sort=False):
        about = dict(zip(MATRIX, key, strict=True))
        tables = {str(variant): table for variant, table in mine.groupby("variant", sort=False)}
        base = tables.pop(reference, None)
        for variant, table in tables.items() if base is not None else ():
            at_chance = {name: unlearned.get((*key, name), set()) for name in (reference, variant)}
            means: dict[str, Mean] = {}
            by_seed: dict[str, NDArray[np.float64]] = {}
            reasons: dict[str, str] = {}
            for target, there in table.groupby("target", sort=False):
                values, groups, paired = _paired(there, base[base.target == target])
                if not len(values):
                    continue
                means[str(target)] = mean = mean_of(values, groups, floor=False)
                by_seed[str(target)] = values.mean(axis=1)
                kind = {name: bool(there[name].iloc[0]) for name in ("unseen", "corruption")}
                reasons[str(target)] = _no_claim(paired, at_chance)
                told = {**kind, **_compared(mean), "no_claim": reasons[str(target)]}
                found.append({**about, "variant": variant, "target": target, **told})
            of_domains = [n for n in _unseen_domains(table) if n in means]
            if len(of_domains) > 1 and len({len(by_seed[n]) for n in of_domains}) == 1:
                mean = mean_over([means[n] for n in of_domains], np.array([by_seed[n] for n in of_domains]))
                reason = max((reasons[name] for name in of_domains), key=len)
                told = {"unseen": True, "corruption": False, **_compared(mean), "no_claim": reason}
                found.append({**about, "variant": variant, "target": UNSEEN, **told})
    numbers = ["n_seeds", "difference", "difference_low", "difference_high", "p_value", "no_claim"]
    table = pd.DataFrame(found).reindex(columns=[*_CELL, "target", "unseen", "corruption", *numbers])
    table.loc[table.no_claim != "", "p_value"] = np.nan
    table["p_adjusted"] = np.nan
    together = table.target == UNSEEN
    for _, mine in table.groupby([*MATRIX, together], sort=False):
        table.loc[mine.index, "p_adjusted"] = adjust_p_values(mine.p_value.to_numpy(dtype=float), "holm")
    return table


def over_unseen(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `cells` or `differences` for unseen domains: their mean, or the only unseen domain."""
    mean = table[table.target == UNSEEN]
    if len(mean):
        return mean
    return table[table.target.isin(_unseen_domains(table))]


def at_chance_text(cells: pd.DataFrame) -> str:
    """Return in words which runs of `cells` are not above chance on their source: "3 of 3 of plain"; '' if none."""
    first = cells[cells.at_chance > 0].drop_duplicates("variant")
    n_runs = cells.groupby("variant").n_seeds.max()
    return ", ".join(f"{row.at_chance} of {n_runs[row.variant]} of {row.variant}" for row in first.itertuples())


def confusion(rows: pd.DataFrame, n_classes: int) -> NDArray[np.int64]:
    """Return the counts (true class, predicted class) of all rows together."""
    total = np.zeros((n_classes, n_classes), dtype=np.int64)
    for row in rows[rows.state != "diverged"].itertuples():
        np.add.at(total, (np.asarray(row.labels, dtype=int), np.asarray(row.predicted, dtype=int)), 1)
    return total


def _unlearned(rows: pd.DataFrame) -> dict[tuple[Any, ...], set[tuple[int, int]]]:
    """Return the pairs of seeds whose runs are not above chance on their own source, by source, network and variant."""
    tests = source_tests(rows)
    found: dict[tuple[Any, ...], set[tuple[int, int]]] = {}
    for row in tests[~tests.learned.astype(bool)].to_dict("records"):
        key = tuple(row[name] for name in _CELL)
        found.setdefault(key, set()).add((row["model_seed"], row["data_seed"]))
    return found


def _no_claim(seeds: set[tuple[int, int]], at_chance: Mapping[str, set[tuple[int, int]]]) -> str:
    """Why nothing can be concluded from a comparison of these pairs of seeds; '' where something can."""
    reasons = ["one seed"] if len(seeds) < 2 else []
    names = [name for name, those in at_chance.items() if those & seeds]
    if names:
        reasons.append(f"not above chance on its source: {', '.join(names)}")
    return "; ".join(reasons)


def _right(rows: pd.DataFrame) -> NDArray[np.float64]:
    """(n_seeds, n_images): 1 where the class was told."""
    pairs = zip(rows.predicted, rows.labels, strict=True)
    return np.array([np.asarray(predicted) == np.asarray(labels) for predicted, labels in pairs], dtype=np.float64)


def _paired(
    rows: pd.DataFrame, base: pd.DataFrame
) -> tuple[NDArray[np.float64], NDArray[np.int64], set[tuple[int, int]]]:
    """Differences (n_seeds, n_images) of the seeds that both have, the images' groups, and these pairs of seeds."""
    both = rows.merge(base[[*_SEEDS, "predicted"]], on=_SEEDS, suffixes=("", "_before")).sort_values(_SEEDS)
    if both.empty:
        return np.empty((0, 0)), np.empty(0, dtype=np.int64), set()
    before = _right(both.assign(predicted=both.predicted_before))
    paired = set(zip(both.model_seed, both.data_seed, strict=True))
    return _right(both) - before, np.asarray(both.groups.iloc[0], dtype=np.int64), paired


def _unseen_domains(rows: pd.DataFrame) -> list[str]:
    """Targets that are domains of their own: no corruptions of another."""
    return [str(name) for name in rows[rows.unseen & ~rows.corruption].target.unique()]


def _told(mean: Mean, name: str, least: float, most: float) -> dict[str, float]:
    low, high = mean.interval()
    return {name: mean.value, f"{name}_low": max(low, least), f"{name}_high": min(high, most)}


def _compared(mean: Mean) -> dict[str, float]:
    return {"n_seeds": mean.n_seeds, **_told(mean, "difference", -1.0, 1.0), "p_value": mean.p_value()}
