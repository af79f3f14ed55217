"""Scores: every layer of a network against every site, as rows that carry their ceiling and uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from murine.networks.capture import CapturedLayer
from murine.scoring.group_scores import GroupScores
from murine.scoring.score_rows import ScoreRows, about_site, about_sites
from murine.scoring.site_benchmark import SiteBenchmark
from murine.scoring.site_data import SiteData
from murine.statistics.layer_selection import best_layer


def score_layers(layers: Sequence[CapturedLayer], benchmark: SiteBenchmark) -> pd.DataFrame:
    """Compare the layers of a network with the sites of a cortex.

    Parameters
    ----------
    layers
        Captured from images in the order of ``benchmark.site_data.stimulus_ids`` (see `murine.stimuli.matched`).
    benchmark
        The sites, a metric and the settings.

    Returns
    -------
    rows
        One row per layer x site x group of stimuli, and one per site for the layer that was chosen on other stimuli
        (``split`` is ``held out``, else ``all``). Columns:

        * ``layer, layer_index, depth, n_units, same_as, flag``: the layer; one with identical output to an earlier
          one has no rows of its own and is named in ``same_as`` of that one; a flagged one has no score.
        * ``site, area, cortical_layer, n_neuroids, n_repetitions``; ``site_flag``: what a reader has to know of the
          site and its ceiling, '' for nothing (`murine.scoring.site_data.SiteData.site_notes`). A site that cannot be
          compared at all (`murine.scoring.site_data.LostSite`) has rows without a score, whose ``flag`` says why
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
        * ``over``: what was resampled besides stimuli (`murine.scoring.settings.ScoreSettings`); '' for nothing
        * for chosen rows on all stimuli, where ``over`` is not '': ``n_animals``; ``low_subjects, high_subjects``: the
          interval of ``score`` over new neurons or animals; ``low_both, high_both`` and ``ceiled_low_both,
          ceiled_high_both``: over new stimuli and these (`murine.scoring.subject_bootstrap`); ``draws_both,
          draws_subjects``: draws as ``draws``, over both and over subjects alone, from which
          `murine.scoring.score_sample.ScoreSample` makes intervals of means and differences

    Examples
    --------
    >>> from murine.cortex.simulated import simulate
    >>> from murine.networks.layer_kernel import LayerKernel
    >>> from murine.scenes import synthetic_scenes
    >>> from murine.scoring import ScoreSettings, make_site_data
    >>> cortex = simulate(synthetic_scenes(24, 32), n_neuroids=10, n_repetitions=4)
    >>> sites = make_site_data(cortex.recording, n_splits=2)
    >>> pixels = cortex.stimuli.images.reshape(24, -1).astype(float)
    >>> layer = CapturedLayer("pixels", 1.0, (pixels.shape[1],), LayerKernel.of(pixels))
    >>> rows = score_layers([layer], SiteBenchmark(sites, "cka", settings=ScoreSettings(20, 19)))
    >>> rows[["site", "layer", "metric", "split"]].iloc[0].tolist()
    ['SIMam', 'pixels', 'cka', 'all']
    """
    site_data = benchmark.site_data
    scored = [layer for layer in layers if not layer.same_as]
    usable = [i for i, layer in enumerate(scored) if not layer.flag and layer.kernel is not None]
    frames: list[pd.DataFrame] = []
    naive, choices = np.empty(0, int), None
    for group, own in benchmark.groups.items():
        scores = GroupScores(benchmark.metric, [scored[i] for i in usable], own)
        table = ScoreRows(scores)
        if group == "all":
            naive = best_layer(scores.scores)
            choices = scores.choose()
            drawn, drawn_held_out = scores.over_subjects(naive, choices)
            found = [table.layer_rows(naive, drawn=drawn)]
            if choices is not None:
                held_out = table.held_out_rows(choices, naive, drawn_held_out)
                found = [table.without_held_out(found[0], held_out), held_out]
        else:
            found = [table.layer_rows(naive, everywhere=False)]
            found += [] if choices is None else [table.chosen_rows(choices)]
        frames += [rows.assign(stimuli=group, n_stimuli=len(own.members)) for rows in found]
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
        flagged = _flagged_layers(scored, site_data, benchmark.groups["all"].site_flags)
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


def _flagged_layers(
    scored: Sequence[CapturedLayer], site_data: SiteData, site_flags: Sequence[str]
) -> list[dict[str, Any]]:
    """Return rows without scores for layers that cannot be compared: they are reported, not dropped."""
    return [
        {"layer_index": i, "flag": layer.flag, "site_flag": site_flag, **about}
        for i, layer in enumerate(scored)
        if layer.flag
        for about, site_flag in zip(about_sites(site_data), site_flags, strict=True)
    ]


def _lost_sites(n_layers: int, site_data: SiteData) -> list[dict[str, Any]]:
    """Return rows without scores for sites that cannot be compared."""
    return [
        {
            "layer_index": i,
            "flag": lost.reason,
            "site_flag": lost.reason,
            **about_site(lost.site, lost.n_neuroids, site_data.n_repetitions),
        }
        for lost in site_data.lost
        for i in range(n_layers)
    ]
