"""Ceilings against the truth of the simulated cortex: do the intervals cover it?"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from murine.cortex.simulated import SimulatedCortex, simulate
from murine.io.array_cache import ArrayCache
from murine.io.files import cache_folder
from murine.scoring.site_data import SiteData
from murine.scoring.site_preparation import make_site_data
from murine.similarity.rdm import pearson_rdm
from murine.similarity.rdm_vectors import upper_triangle
from murine.similarity.rsa import comparisons
from murine.statistics.bootstrap import bootstrap_counts, percentile_interval
from murine.statistics.standardisation import zscore

N_SEEDS = 40
NOISE_LEVELS = (0.3, 0.6, 0.9)


def _experiment(base: SimulatedCortex, seed: int) -> SiteData:
    return make_site_data(base.redraw(seed).recording.select(area="SIMl"), normalise="zscore", n_splits=20, seed=seed)


@pytest.mark.parametrize("reliability", NOISE_LEVELS)
def test_ceiling_covers_the_truth_and_the_generating_model_reaches_it(reliability: float) -> None:
    base = simulate(reliability=reliability, kept=ArrayCache(cache_folder() / "simulated"))
    mine = base.recording["area"] == "SIMl"
    order = np.argsort(np.asarray(base.recording.stimulus_ids))
    true_rdm = upper_triangle(pearson_rdm(np.ascontiguousarray(zscore(base.true_responses[mine][:, order]).T)))
    metric = comparisons["rsa-pearson"]
    intervals, ratios, rdms = [], [], []
    for seed in range(N_SEEDS):
        site_data = _experiment(base, seed)
        rdm = upper_triangle(site_data.rdms)
        counts = bootstrap_counts(len(site_data.stimulus_ids), 200, seed)
        ceiling = site_data.ceiling("r", counts)
        low, high = ceiling.interval()
        intervals.append((low[0], high[0]))
        draws = ceiling.apply_draws(metric.resample(true_rdm[None], rdm, counts), "r")
        ratios.append([bound[0, 0] for bound in percentile_interval(draws)])
        rdms.append(rdm[0])
    # The true ceiling: what two independent experiments with these neurons and stimuli agree on.
    agreement = np.mean([np.corrcoef(rdms[i], rdms[j])[0, 1] for i, j in combinations(range(0, N_SEEDS, 4), 2)])
    truth = np.sqrt(agreement)
    covered = sum(low <= truth <= high for low, high in intervals)
    reached = sum(low <= 1 <= high for low, high in ratios if np.isfinite([low, high]).all())
    defined = sum(np.isfinite(bounds).all() for bounds in map(np.array, ratios))
    assert covered >= 0.9 * N_SEEDS, f"{covered} of {N_SEEDS} intervals cover {truth:.3f}"
    assert reached >= 0.9 * defined, f"{reached} of {defined} intervals of the generating model contain 1"
    assert defined >= 0.9 * N_SEEDS
