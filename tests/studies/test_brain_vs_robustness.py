"""Changes in brain score beside changes in accuracy: on a cortex that sees edges, and recomputed from the atlas."""

from __future__ import annotations

import dataclasses

import edge_cortex
import numpy as np
import pytest
import toy_domains
from scipy import stats

from murine.atlas.identity import CortexSettings
from murine.atlas.leaderboard import leaderboards
from murine.atlas.store import Atlas
from murine.atlas.sweep import SweepSettings, sweep
from murine.generalization import matrix, summary
from murine.generalization.protocol import settings
from murine.generalization.recipe import Recipe
from murine.generalization.results import Results
from murine.scoring.settings import ScoreSettings
from murine.studies.brain_vs_robustness import association, shifts, trained_choices

VARIANTS = ["plain", "neurn3", "standardise", "randconv"]


def digits(name, part):
    """Ten classes, as the zoo wants them; three of them occur."""
    return dataclasses.replace(toy_domains.load(name, part), classes=tuple("0123456789"))


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Networks trained on one domain, scored against neurons that see NeuRN of the image."""
    folder = tmp_path_factory.mktemp("likeness")
    labels = {"area": np.repeat(["VISp", "VISl"], 20)}
    mouse, seen = edge_cortex.write(folder, labels)

    results = Results(Atlas(folder / "atlas"))
    found = settings("full", ["dark"], ["grey", "noisy"], digits)
    recipe = Recipe(epochs=4, batch_size=8)
    runs = matrix.plan(found, ["lenet-small"], VARIANTS, recipe, matrix.seed_pairs(2))
    rows = matrix.compute(runs, results)
    choices = trained_choices(runs, results)
    plan = SweepSettings(
        CortexSettings(cortex=str(mouse), n_splits=4),
        layers="own",
        scoring=ScoreSettings(n_bootstraps=60, n_permutations=0, seed=0),
        stimuli=seen,
    )
    outcomes = sweep(list(choices.values()), plan, results.atlas)
    assert {outcome.state for outcome in outcomes} == {"computed"}, outcomes
    return runs, rows, choices, outcomes, results, shifts(rows, choices, outcomes, results)


def test_neurons_that_see_edges_favour_networks_behind_neurn(told):
    table = told[-1]
    mean = table[table.model_seed == -1].set_index("variant")
    assert mean.index.tolist() == VARIANTS[1:]
    assert mean.brain_difference_low["neurn3"] > 0
    assert mean.brain_difference.idxmax() == "neurn3"
    assert (mean.n_seeds == 2).all()


def test_brain_scores_are_those_of_the_leaderboard(told):
    runs, _, choices, outcomes, results, table = told
    tasks = {str(outcome.spec): outcome.tasks[0] for outcome in outcomes}
    board = leaderboards(results.atlas, tasks=list(tasks.values())).set_index("task")
    score = {(run.variant, run.task.model_seed): board.ceiled[tasks[str(choices[run.task.digest])]] for run in runs}
    for row in table[table.model_seed >= 0].itertuples():
        assert row.brain_before == pytest.approx(score["plain", row.model_seed])
        assert row.brain_after == pytest.approx(score[row.variant, row.model_seed])
    of_seeds = table[table.model_seed >= 0].groupby("variant").brain_difference
    mean = table[table.model_seed == -1].set_index("variant")
    assert mean.brain_difference.to_dict() == pytest.approx(of_seeds.mean().to_dict())
    # At least as wide as Student's interval over seeds alone.
    width = (mean.brain_difference_high - mean.brain_difference_low) / 2
    least = stats.t.isf(0.025, 1) * of_seeds.std() / np.sqrt(2)
    assert (width >= least[width.index]).all()


def test_accuracies_are_those_of_the_matrix(told):
    _, rows, _, _, _, table = told
    unseen = rows[rows.unseen].groupby(["variant", "model_seed"]).accuracy.mean()
    for row in table[table.model_seed >= 0].itertuples():
        expected = unseen[row.variant, row.model_seed] - unseen["plain", row.model_seed]
        assert row.accuracy_difference == pytest.approx(expected)
    mean = table[table.model_seed == -1].set_index("variant").accuracy_difference
    overall = summary.over_unseen(summary.differences(rows)).set_index("variant").difference
    assert mean.to_dict() == pytest.approx(overall.to_dict())


def test_association_is_over_variants(told):
    table = told[-1]
    found = association(table)
    mean = table[table.model_seed == -1]
    assert (mean.no_claim == "").all()
    assert (table[table.model_seed >= 0].no_claim == "one seed").all()
    assert association(table.assign(no_claim="one seed"))[["rho", "p_value"]].isna().all(axis=None)
    rho, p = stats.spearmanr(mean.brain_difference, mean.accuracy_difference)
    assert found.n_variants.tolist() == [3]
    assert found[["rho", "p_value"]].to_numpy()[0] == pytest.approx([rho, p])
    assert association(table[table.variant == "neurn3"]).rho.isna().all()


def test_without_a_plain_network_there_is_nothing_to_tell(told):
    _, rows, choices, outcomes, results, _ = told
    assert shifts(rows[rows.variant != "plain"], choices, outcomes, results).empty
    only = shifts(rows[rows.model_seed == 0], choices, outcomes, results)
    assert only[only.model_seed == -1].n_seeds.tolist() == [1, 1, 1]
