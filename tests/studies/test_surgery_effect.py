"""Effects of surgery: recomputed from the rows of an atlas, and on a cortex for which it is known what they are."""

from __future__ import annotations

from dataclasses import replace

import edge_cortex
import numpy as np
import pytest

from murine.atlas.identity import CortexSettings
from murine.atlas.leaderboard import leaderboards
from murine.atlas.store import Atlas
from murine.atlas.sweep import NetworkResult, SweepSettings, sweep
from murine.errors import MurineError
from murine.networks.zoo import NetworkSpec
from murine.report.surgery import effects_figure
from murine.scoring.settings import ScoreSettings
from murine.scoring.treatments import CHOICES
from murine.statistics.bootstrap import percentile_interval
from murine.statistics.variance_correction import correct_for_pairs
from murine.studies.surgery_effect import ALL_SITES, NetworkPair, effects, in_order, operations, pairs

NETWORKS = """
from torch import nn


class Net(nn.Sequential):
    default_cfg = {"input_size": (3, 32, 32), "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.1)}


def pool():
    return Net(nn.AvgPool2d(4), nn.Flatten())


def conv():
    return Net(nn.Conv2d(3, 6, 5, stride=2), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.Flatten())


def flat():
    return Net(nn.Flatten(), nn.Linear(3072, 9))
"""

NOTHING = "lrn(size=5,alpha=0.0)"  # x / k^beta with k = 1: what comes goes


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Networks with NeuRN and other layers put in, against neurons that see NeuRN of the image."""
    folder = tmp_path_factory.mktemp("surgery")
    (folder / "nets.py").write_text(NETWORKS)
    labels = {"area": np.repeat(["VISp", "VISl"], 30), "cell_class": np.tile(["excitatory", "inhibitory"], 30)}
    mouse, seen = edge_cortex.write(folder, labels)
    plan = SweepSettings(
        CortexSettings(cortex=str(mouse), by=("area", "cell_class"), n_splits=4),
        ("rsa-pearson", "ridge"),
        "own",
        input_size=32,
        scoring=ScoreSettings(n_bootstraps=60, n_permutations=0, seed=0),
        stimuli=seen,
    )
    choices = [NetworkSpec.parse(f"{folder / 'nets.py'}:{name}@random:0") for name in ("pool", "conv")]
    return folder, plan, operations(choices, ["neurn", NOTHING, "instance-norm"], ["image"])


@pytest.fixture(scope="module")
def swept(asked):
    folder, plan, found = asked
    atlas = Atlas(folder / "atlas")
    outcomes = sweep(in_order(found), plan, atlas)
    assert {outcome.state for outcome in outcomes} == {"computed"}, outcomes
    return atlas, found, outcomes, effects(atlas, pairs(found, outcomes))


def test_operations_are_spelt_once_and_given_in_whole_pairs():
    first, second = NetworkSpec("resnet18", "random:0", "sobel(relative=True)@input"), NetworkSpec("vgg11", "random:0")
    found = operations([first, second], ["neurn", "neurn(k=3)", "lrn"], ["input", "layer1"])
    assert [operation.variant for operation in found[:4]] == [
        "neurn(k=3)@input",
        "neurn(k=3)@after:layer1",
        "lrn(size=5)@input",
        "lrn(size=5)@after:layer1",
    ]
    assert len(found) == 8
    assert str(found[0].after) == "resnet18+sobel(relative=True)@input+neurn(k=3)@input@random:0"
    order = in_order(found)
    assert len(order) == 10
    assert order[4] == first  # behind its variants
    assert order[9] == second
    assert NetworkSpec.parse(str(order[5])) == order[5]
    done = [NetworkResult(choice, "done", (f"{choice.full_name} by a", f"{choice.full_name} by b")) for choice in order]
    done[0] = replace(done[0], state="failed", tasks=())
    both = pairs(found, done)
    assert len(both) == 14
    assert both[-1] == NetworkPair("vgg11 by b", "vgg11+lrn(size=5)@after:layer1 by b", "lrn(size=5)@after:layer1")


@pytest.mark.parametrize(
    ("layers", "places", "message"),
    [
        (["nern"], ["input"], "unknown layer 'nern'; did you mean neurn"),
        (["neurn(q=3)"], ["input"], "the option 'q=3' of the layer 'neurn' is not understood"),
        (["neurn"], ["around:x"], "the place 'around:x' is not understood; expected input, image, after:PATTERN"),
    ],
)
def test_what_is_not_understood_is_told_before_anything_runs(layers, places, message):
    with pytest.raises(MurineError, match=message):
        operations([NetworkSpec("resnet18")], layers, places)


def test_a_layer_that_changes_nothing_has_no_effect(swept):
    table = swept[3]
    none = table[table.variant == f"{NOTHING}@image"]
    assert len(none) == 3 * 2 * 5  # two networks and their mean, two metrics, four sites and their mean
    # The picture is taken out of its normalisation and put back: rounding of float32.
    assert np.abs(none[["difference", "difference_low", "difference_high"]]).to_numpy().max() < 1e-5
    changed = none[none.layer_before != none.layer_after]
    assert (changed.difference.abs() < 1e-6).all()  # another layer only where two have the same score but for rounding


def test_neurons_that_see_edges_are_better_explained_through_neurn(swept):
    table = swept[3].query("variant == 'neurn(k=3)@image'")
    pool = table[table.network.str.endswith("pool")]
    assert set(pool.site) == {"VISl excitatory", "VISl inhibitory", "VISp excitatory", "VISp inhibitory", ALL_SITES}
    assert (pool.difference_low > 0.1).all()
    assert (pool.higher == 1).all()
    assert (pool.lower == 0).all()
    # What makes the responses, before noise: the average of NeuRN over 4 x 4 pixels.
    ridge = pool[(pool.metric == "ridge") & (pool.site == ALL_SITES)]
    assert ridge.after.item() > 0.6 > ridge.before.item() + 0.2


def test_rows_are_those_of_the_leaderboard(swept):
    atlas, _, outcomes, table = swept
    board = leaderboards(atlas, tasks=[task for outcome in outcomes for task in outcome.tasks])
    board = board.set_index(["metric", "network"])
    for row in table[(table.site == ALL_SITES) & (table.n_networks == 1)].to_dict("records"):
        for side, name in (("before", row["network"]), ("after", f"{row['network']}+{row['variant']}")):
            same = board.loc[(row["metric"], name)]
            own = [row[side], row[f"{side}_low"], row[f"{side}_high"]]
            np.testing.assert_allclose(own, same[["ceiled", "ceiled_low", "ceiled_high"]].astype(float))
            assert row["n_sites"] == same.n_sites


def test_differences_are_paired_draw_by_draw(swept):
    atlas, _, _, table = swept
    rows = atlas.query("SELECT * FROM scores WHERE chosen = 'nested' AND stimuli = 'all'")

    def sample(metric, network, column):
        mine = rows[(rows.metric == metric) & (rows.network == network)].sort_values("site")
        return np.stack(mine[column].tolist()).astype(np.float64)

    for metric in ("rsa-pearson", "ridge"):
        for variant in ("neurn(k=3)@image", "instance-norm(eps=1e-05)@image"):
            mine = table[(table.metric == metric) & (table.variant == variant)]
            both = {}
            for name in ("nets.py:pool", "nets.py:conv"):
                draws = sample(metric, f"{name}+{variant}", "draws") - sample(metric, name, "draws")
                left = None
                if metric == "rsa-pearson":
                    left = sample(metric, f"{name}+{variant}", "without_one") - sample(metric, name, "without_one")
                both[name] = draws, left
            both["mean of 2"] = tuple(
                None if parts[0] is None else np.mean(parts, axis=0) for parts in zip(*both.values(), strict=True)
            )
            for name, (draws, left) in both.items():
                own = mine[mine.network == name].set_index("site")
                sites = sorted(set(own.index) - {ALL_SITES})
                for s, site in enumerate([*sites, ALL_SITES]):
                    d = draws[s] if site != ALL_SITES else draws.mean(axis=0)
                    if left is not None:
                        d = correct_for_pairs(d, left[s] if site != ALL_SITES else left.mean(axis=0))
                    low, high = percentile_interval(d[:, None])
                    expected = [low[0], high[0], own.after[site] - own.before[site]]
                    told = own.loc[site, ["difference_low", "difference_high", "difference"]].astype(float)
                    np.testing.assert_allclose(told, expected, atol=1e-12)
                assert own.difference[ALL_SITES] == pytest.approx(own.difference[sites].mean())


def test_sites_with_a_low_ceiling_have_rows_but_no_part_in_the_mean(swept):
    atlas, found, outcomes, table = swept
    ceilings = table[(table.metric == "ridge") & (table.n_networks == 1) & (table.site != ALL_SITES)].ceiling
    least = float(ceilings.min()) + 1e-9
    strict = effects(atlas, pairs(found, outcomes), min_ceiling=least)
    mean = strict[(strict.metric == "ridge") & (strict.site == ALL_SITES)]
    assert (mean.n_sites == 3).all()
    assert (strict.metric == "ridge").sum() == (table.metric == "ridge").sum()
    assert effects(atlas, pairs(found, outcomes), min_ceiling=2.0).site.ne(ALL_SITES).all()


def test_means_are_of_one_treatment(asked, tmp_path):
    """With several treatments in one pass, nothing is averaged over them, and the picture has panels of each."""
    _, plan, found = asked
    found = [operation for operation in found if operation.variant.startswith("neurn")]
    plan = replace(plan, metrics=("rsa-pearson",), treatments=CHOICES["both"])
    atlas = Atlas(tmp_path / "atlas")
    table = effects(atlas, pairs(found, sweep(in_order(found), plan, atlas)))
    means = table[(table.n_networks > 1) & (table.site == ALL_SITES)]
    assert list(means.network) == ["mean of 2", "mean of 2"]
    for treatment, mean in means.set_index("treatment").iterrows():
        alone = table[(table.n_networks == 1) & (table.site == ALL_SITES) & (table.treatment == treatment)]
        assert len(alone) == 2
        assert mean.difference == pytest.approx(alone.difference.mean())
    titles = [axes.get_title(loc="left") for axes in effects_figure(table).axes]
    assert [title.partition(", ")[2] for title in titles] == ["both as they are", "both z-scored"]


def test_scores_that_do_not_belong_together_are_refused(swept):
    atlas, _, outcomes, _ = swept
    rsa, ridge = outcomes[0].tasks
    with pytest.raises(MurineError, match="cannot be paired: they differ in metric"):
        effects(atlas, [NetworkPair(rsa, ridge, "x")])
    with pytest.raises(MurineError, match="no network that could be scored both before and after"):
        effects(atlas, [])
    with pytest.raises(MurineError, match="no layer has a score"):
        effects(atlas, [NetworkPair("nothing", "nothing either", "x")])
