"""Does a variant that makes a network more like mouse cortex also make it hold up on domains it never saw?

Both sides are differences to the plain network of the same seeds: of the brain score, as surgery's effects are told
(`murine.studies.surgery_effect`), and of the accuracy on unseen domains (`murine.generalization.summary`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from murine.atlas.sweep import NetworkResult
from murine.generalization import summary
from murine.generalization.matrix import Run, network_name
from murine.generalization.results import Results
from murine.generalization.summary import MATRIX, PLAIN, Mean
from murine.networks.zoo import NetworkSpec
from murine.studies.surgery_effect import ALL_SITES, Operation, effects, pairs

_SEEDS = ["model_seed", "data_seed"]


def trained_choices(runs: Sequence[Run], results: Results) -> dict[str, NetworkSpec]:
    """Networks of runs as the zoo takes them, by the digest of their task; none of runs that diverged.

    Raises
    ------
    MurineError
        For networks that the zoo cannot build, whether they are trained yet or not.
    """
    found = {}
    for run in runs:
        known = results.trained(run.task)
        if known is None or known.history.state != "diverged":
            found[run.task.digest] = NetworkSpec.parse(network_name(run, results))
    return found


def shifts(
    rows: pd.DataFrame, choices: Mapping[str, NetworkSpec], outcomes: Sequence[NetworkResult], results: Results
) -> pd.DataFrame:
    """Return the change in brain score and the change in accuracy of every variant.

    Parameters
    ----------
    rows
        The table that `murine.generalization.matrix.compute` returns.
    choices
        Networks of the runs, from `trained_choices`.
    outcomes
        Results of a sweep over all ``choices`` with one metric, for example ``murine.compare(choices.values(),
        ...).results``.

    Returns
    -------
    table
        For each source, network and variant, one row for every pair of seeds and one for their mean (``model_seed`` is
        -1). ``brain_before, brain_after``: brain scores (share of the noise ceiling, mean over sites) of the plain
        network and of the variant, and ``brain_difference``; ``accuracy_difference``: difference of the accuracy on
        unseen domains (their mean if there are several). Differences have 95 % intervals, ``_low`` and ``_high``: over
        images for single seeds, over seeds and images for means. ``no_claim`` says why nothing can be concluded from a
        row, as in `murine.generalization.summary.differences`. The table is empty without a plain network.

    Raises
    ------
    MurineError
        If no pair has a score.

    Examples
    --------
    >>> import murine
    >>> from murine.atlas import Atlas
    >>> from murine.domains import load_domain
    >>> from murine.generalization import Recipe, compute, plan, settings
    >>> def load(name, part):
    ...     return load_domain(name, part=part)
    >>> chosen = settings("full", ["rendered-fonts"], ["rendered-fonts+noise:3"], load, n_test=20)
    >>> runs = plan(chosen, ["lenet-small"], ["plain", "neurn3"], Recipe(epochs=1), seeds=[(0, 0)])
    >>> results = Results(Atlas("results"))
    >>> rows = compute(runs, results)
    >>> choices = trained_choices(runs, results)
    >>> scores = murine.compare(choices.values(), controls=False, n_bootstraps=20, n_permutations=20, atlas="results")
    >>> table = shifts(rows, choices, scores.results, results)
    >>> table[["variant", "model_seed"]].values.tolist()
    [['neurn3', 0], ['neurn3', -1]]
    """
    tables = [_of_network(mine, choices, outcomes, results) for _, mine in rows.groupby(MATRIX, sort=False)]
    there = [table for table in tables if len(table)]
    return pd.concat(there, ignore_index=True) if there else pd.DataFrame()


def association(table: pd.DataFrame) -> pd.DataFrame:
    """Return Spearman's correlation, over variants, of the changes in brain score and in accuracy.

    It shows whether variants with a higher brain score have a higher accuracy. Variants are few, and some are similar
    to each other (three sizes of NeuRN). The p-value treats them as independent, so it is a lower limit. Variants from
    which nothing can be concluded (``no_claim``) are left out.

    Returns
    -------
    correlations
        ``source, network, pretrained, n_variants, rho, p_value``; NaN with fewer than three variants.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"brain_difference": [0.1, 0.2, 0.3], "accuracy_difference": [0.0, 0.2, 0.1]})
    >>> table = table.assign(source="mnist", network="lenet-small", pretrained=False, model_seed=-1, no_claim="")
    >>> association(table)[["n_variants", "rho"]].round(2).values.tolist()
    [[3.0, 0.5]]
    """
    from scipy.stats import spearmanr

    found = []
    for key, mine in table[table.model_seed == -1].groupby(MATRIX, sort=False):
        sound = mine[mine.no_claim == ""]
        told = len(sound) > 2
        rho, p = spearmanr(sound.brain_difference, sound.accuracy_difference) if told else (np.nan, np.nan)
        found.append({**dict(zip(MATRIX, key, strict=True)), "n_variants": len(sound), "rho": rho, "p_value": p})
    return pd.DataFrame(found)


def _of_network(
    rows: pd.DataFrame, choices: Mapping[str, NetworkSpec], outcomes: Sequence[NetworkResult], results: Results
) -> pd.DataFrame:
    """Of one source and network."""
    tasks = rows.drop_duplicates("task").set_index(["variant", *_SEEDS]).task
    seeds = {key[1:]: task for key, task in tasks.items() if key[0] == PLAIN and task in choices}
    asked = [
        (key, Operation(choices[seeds[key[1:]]], choices[task], key[0]))
        for key, task in tasks.items()
        if key[0] != PLAIN and key[1:] in seeds and task in choices
    ]
    if not asked:
        return pd.DataFrame()
    found = {key: pair for key, operation in asked for pair in pairs([operation], outcomes)}
    table = effects(results.atlas, list(found.values()))
    whole = table[table.site == ALL_SITES]
    single = whole[whole.n_networks == 1].set_index(["task_before", "task_after"])
    about = rows.iloc[0][MATRIX].to_dict()
    shifted: list[dict[str, Any]] = []
    for variant in dict.fromkeys(variant for variant, *_ in found):
        mine = {key[1:]: single.loc[(pair.before, pair.after)] for key, pair in found.items() if key[0] == variant}
        of_all = whole[(whole.variant == variant) & (whole.n_networks == len(mine))].iloc[0]
        of_pair = rows[rows.variant.isin([PLAIN, variant])].set_index(_SEEDS, drop=False).rename_axis([None, None])
        accuracies = {seed: _unseen(of_pair.loc[[seed]]) for seed in mine}
        accuracies[-1, -1] = _unseen(of_pair.loc[list(mine)])
        for seed, effect in [*mine.items(), ((-1, -1), of_all)]:
            values = [each.difference for each in mine.values()] if seed == (-1, -1) else [effect.difference]
            shifted.append(
                {
                    **about,
                    "variant": variant,
                    **dict(zip(_SEEDS, seed, strict=True)),
                    "n_seeds": len(values),
                    **{name: effect[name] for name in ("cortex", "metric")},
                    **{f"brain_{name}": effect[name] for name in ("before", "after")},
                    **_told("brain_difference", effect.difference, _interval(effect, values)),
                    **accuracies[seed],
                }
            )
    return pd.DataFrame(shifted)


def _interval(effect: pd.Series, by_seed: Sequence[float]) -> tuple[float, float]:
    """Over new images, as it is; with several seeds over new seeds, too: see `summary.Mean`."""
    if len(by_seed) == 1:
        return effect.difference_low, effect.difference_high
    of_images = (effect.difference_high - effect.difference_low) / (2 * NormalDist().inv_cdf(0.975))
    of_seeds = float(np.var(by_seed, ddof=1)) / len(by_seed)
    return Mean(effect.difference, of_seeds, of_images**2, len(by_seed), int(effect.n_stimuli)).interval()


def _unseen(rows: pd.DataFrame) -> dict[str, Any]:
    """Change of the accuracy on unseen domains, of one variant."""
    found = summary.over_unseen(summary.differences(rows)).iloc[0]
    told = _told("accuracy_difference", found.difference, (found.difference_low, found.difference_high))
    return {**told, "no_claim": str(found.no_claim)}


def _told(name: str, value: float, interval: tuple[float, float]) -> dict[str, float]:
    return {name: value, f"{name}_low": interval[0], f"{name}_high": interval[1]}
