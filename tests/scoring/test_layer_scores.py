"""Scores of layers against a simulated cortex, recomputed from the numbers that went in."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import false_discovery_control, kendalltau, kstest, pearsonr, spearmanr

from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording, Site
from murine.cortex.simulated import simulate
from murine.errors import MurineError
from murine.networks.capture import CapturedLayer
from murine.networks.layer_kernel import LayerKernel
from murine.scenes import synthetic_scenes
from murine.scoring.held_out import N_SPLITS
from murine.scoring.layer_scores import score_layers
from murine.scoring.metric import metrics
from murine.scoring.settings import ScoreSettings
from murine.scoring.site_benchmark import SiteBenchmark
from murine.scoring.site_preparation import make_site_data
from murine.similarity.rdm_vectors import upper_triangle
from murine.similarity.rsa import comparisons
from murine.statistics.bootstrap import bootstrap_counts, leave_one_out_counts, percentile_interval
from murine.statistics.permutation import permutations
from murine.statistics.standardisation import zscore
from murine.statistics.variance_correction import correct_for_pairs
from murine.stimuli import StimulusSet, matched

SETTINGS = ScoreSettings(n_bootstraps=60, n_permutations=39, seed=2)
N = 48


@pytest.fixture(scope="module")
def cortex():
    return simulate(synthetic_scenes(N, 40), n_neuroids=24, n_repetitions=8, reliability=0.8)


@pytest.fixture(scope="module")
def stimuli(cortex):
    """The images in the order of the targets."""
    return matched(cortex.stimuli, cortex.recording.stimulus_ids)


@pytest.fixture(scope="module")
def site_data(cortex):
    return make_site_data(cortex.recording, normalise="zscore", n_splits=10)


@pytest.fixture(scope="module")
def features(cortex, stimuli):
    """By layer: the truth of each area, more or less noisy, pixels, and noise."""
    order = [cortex.recording.stimulus_ids.index(i) for i in stimuli.ids]
    rng = np.random.default_rng(0)
    found = {}
    for area in ("SIMp", "SIMl", "SIMam"):
        truth = cortex.true_responses[cortex.recording["area"] == area][:, order]
        found[f"true {area}"] = ((truth - truth.mean(axis=1, keepdims=True)) / truth.std(axis=1, keepdims=True)).T
        found[f"noisy {area}"] = found[f"true {area}"] + 2 * rng.normal(size=found[f"true {area}"].shape)
    found["pixels"] = stimuli.images.reshape(N, -1) / 255
    found["noise"] = rng.normal(size=(N, 300))
    return found


def layer(name, x, **about):
    kernel = LayerKernel.of(np.ascontiguousarray(x, dtype=np.float64))
    return CapturedLayer(name, 0.5, (x.shape[1],), kernel, **{"flag": kernel.flag, **about})


@pytest.fixture(scope="module")
def layers(features):
    return [layer(name, x) for name, x in features.items()]


@pytest.fixture(scope="module")
def benchmark(site_data, stimuli):
    return SiteBenchmark(site_data, groups=stimuli.groups, settings=SETTINGS)


@pytest.fixture(scope="module")
def rows(layers, benchmark):
    return score_layers(layers, benchmark)


def pick(rows, **wanted):
    for key, value in wanted.items():
        rows = rows[rows[key] == value]
    return rows


def test_every_layer_site_and_split_has_a_row(rows, features, site_data):
    whole = pick(rows, stimuli="all")
    assert whole.split.value_counts().to_dict() == {"all": len(features) * 3, "held out": 3}
    assert not whole.duplicated(["layer", "site", "split"]).any()
    assert set(whole.site) == {site.name for site in site_data.sites} == {"SIMp", "SIMl", "SIMam"}
    assert set(whole.n_neuroids) == {24}
    assert set(whole.n_repetitions) == {8}
    assert set(whole.n_stimuli) == {N}
    assert set(rows.metric) == {"rsa-pearson"}
    assert set(rows["scale"]) == {"r"}
    for name, x in features.items():
        assert set(pick(rows, layer=name).n_units) == {x.shape[1]}
    assert set(pick(rows, split="held out").chosen) == {"nested"}


@pytest.mark.parametrize(
    ("metric", "reference"),
    [("rsa-pearson", pearsonr), ("rsa-spearman", spearmanr), ("rsa-tau-a", kendalltau)],
)
def test_scores_are_those_of_scipy(metric, reference, layers, site_data, features):
    settings = ScoreSettings(n_bootstraps=20, n_permutations=3)
    found = score_layers(layers, SiteBenchmark(site_data, metric, settings=settings))
    for s, site in enumerate(site_data.sites):
        for name, x in features.items():
            expected = reference(upper_triangle(1 - np.corrcoef(x)), upper_triangle(site_data.rdms[s])).statistic
            row = pick(found, layer=name, site=site.name, split="all").iloc[0]
            assert row.score == pytest.approx(expected, abs=1e-10)
            assert row["scale"] == metrics[metric].scale


def test_ceiled_scores_are_scores_by_ceilings(rows):
    known = rows[rows.ceiling.notna()]
    assert len(known) == len(rows)
    np.testing.assert_allclose(known.ceiled, known.score / known.ceiling)
    np.testing.assert_array_equal(known.above_ceiling, known.ceiled > 1)
    best = pick(rows, stimuli="all", split="all", site="SIMl", layer="true SIMl").iloc[0]
    assert best.ceiled_low < 1 < best.ceiled_high + 0.02
    assert best.ceiling_low < best.ceiling < best.ceiling_high + 1e-3


def test_the_generating_areas_are_found(rows):
    naive = pick(rows, stimuli="all", chosen="naive").set_index("site").layer
    assert naive.to_dict() == {area: f"true {area}" for area in ("SIMp", "SIMl", "SIMam")}
    assert (pick(rows, stimuli="all", chosen="naive").p_value == 1 / 40).all()
    assert pick(rows, stimuli="all", split="all", layer="noise").p_value.min() > 1 / 40


def halves(benchmark):
    """Members of both halves of every split."""
    return [[half.members for half in pair] for pair in benchmark.groups["all"].splits.halves]


def test_held_out_scores_can_be_recomputed(rows, features, site_data, benchmark):
    """Chosen on one half of the stimuli, scored on the other one, both ways, over many splits."""
    assert len(halves(benchmark)) == N_SPLITS >= 50
    for pair in halves(benchmark):
        assert sorted(np.concatenate(pair)) == list(range(N))
    for s, site in enumerate(site_data.sites):
        mine = pick(rows, stimuli="all", site=site.name)
        naive = pick(mine, chosen="naive").iloc[0]
        whole = pick(mine, split="all").set_index("layer").score
        assert naive.layer == whole.idxmax()

        def score(name, members, s=s):
            own = upper_triangle(site_data.rdms[s][np.ix_(members, members)])
            return pearsonr(upper_triangle(1 - np.corrcoef(features[name][members])), own).statistic

        scores = [[{name: score(name, members) for name in features} for members in p] for p in halves(benchmark)]
        mean = {name: np.mean([[own[name] for own in pair] for pair in scores]) for name in features}
        chosen, found = [], []
        for pair in scores:
            for here, other in (pair, pair[::-1]):
                best = max(features, key=here.get)
                chosen.append(best)
                found.append(whole[best] + other[best] - mean[best])
        held_out = pick(mine, chosen="nested").iloc[0]
        assert held_out.score == pytest.approx(np.mean(found), abs=1e-10)
        assert held_out.optimism == pytest.approx(naive.score - held_out.score, abs=1e-10)
        counts = Counter(chosen).most_common()
        assert held_out.layer == counts[0][0]
        assert held_out.layer_share == pytest.approx(counts[0][1] / len(chosen))
        assert (held_out.other_layer == "") == (len(counts) == 1)


@pytest.mark.parametrize("metric", ["rsa-pearson", "rsa-spearman", "cka", "cka-debiased", "ridge", "pls-10"])
@pytest.mark.parametrize("seed", [0, 7])
def test_one_layer_scores_as_on_all_stimuli_to_the_last_bit(metric, seed, features, site_data):
    one = [layer("noisy SIMl", features["noisy SIMl"])]
    found = score_layers(one, SiteBenchmark(site_data, metric, settings=ScoreSettings(20, 9, seed)))
    naive, held_out = (pick(found, chosen=chosen).set_index("site") for chosen in ("naive", "nested"))
    for column in ("score", "low", "high", "ceiled", "ceiled_low", "ceiled_high", "p_value"):
        np.testing.assert_array_equal(naive[column], held_out[column], column)
    for site in naive.index:
        np.testing.assert_array_equal(naive.draws[site], held_out.draws[site])
    assert (held_out.optimism == 0).all()
    assert (held_out.layer_share == 1).all()


def test_a_layer_is_not_scored_on_the_stimuli_it_was_chosen_on(cortex, stimuli, site_data):
    """Layers that each know another half of the stimuli: whichever is chosen, it scores low on the others."""
    here = [cortex.recording.stimulus_ids.index(i) for i in stimuli.ids]
    truth = zscore(cortex.true_responses[cortex.recording["area"] == "SIMp"])[:, here].T
    rng = np.random.default_rng(1)
    for metric in ("rsa-pearson", "ridge"):
        benchmark = SiteBenchmark(site_data, metric, settings=ScoreSettings(20, 9, 0))
        half_known = []
        for k, pair in enumerate(halves(benchmark)):
            for d, other in enumerate(pair):
                x = truth.copy()
                x[other] = x[rng.permutation(other)]
                half_known.append(layer(f"knows {k} {d}", x))
        found = score_layers(half_known, benchmark)
        held_out = pick(found, site="SIMp", chosen="nested").iloc[0]
        assert held_out.layer != held_out.other_layer
        assert held_out.score < 0.25
        assert pick(found, site="SIMp", chosen="naive").score.item() > held_out.score + 0.1


@pytest.mark.parametrize("metric", ["cka", "procrustes", "cka-debiased"])
def test_held_out_scores_are_those_of_as_many_stimuli(metric, layers, site_data):
    """A metric that is higher for fewer stimuli is not higher held out: halves are compared with halves."""
    found = score_layers(layers, SiteBenchmark(site_data, metric, settings=SETTINGS))
    naive, held_out = (pick(found, stimuli="all", chosen=c).set_index("site") for c in ("naive", "nested"))
    assert (held_out.score <= naive.score + 1e-3).all()
    assert (held_out.score > naive.score - 0.1).all()


def test_intervals_and_draws_come_from_the_shared_samples(rows, layers, site_data):
    counts = bootstrap_counts(N, SETTINGS.n_bootstraps, SETTINGS.seed)
    metric = metrics["rsa-pearson"]
    ceiling = site_data.ceiling("r", counts, seed=SETTINGS.seed)
    jackknife = site_data.ceiling("r", leave_one_out_counts(N), seed=SETTINGS.seed)
    for s, site in enumerate(site_data.sites):
        row = pick(rows, stimuli="all", site=site.name, chosen="naive").iloc[0]
        mine = next(x for x in layers if x.name == row.layer)
        vector, own = upper_triangle(pearson_rdm_of(mine))[None], upper_triangle(site_data.rdms[[s]])
        draws, left = (metric.resample(vector, own, c)[:, 0, 0] for c in (counts, leave_one_out_counts(N)))
        np.testing.assert_allclose(row.draws, draws / ceiling.draws[:, s], rtol=1e-4)
        np.testing.assert_allclose(row.without_one, left / jackknife.draws[:, s], rtol=1e-4)
        corrected = correct_for_pairs(draws[:, None], left[:, None])
        np.testing.assert_allclose([row.low, row.high], np.ravel(percentile_interval(corrected)), atol=1e-5)
        both = correct_for_pairs(draws / ceiling.draws[:, s], left / jackknife.draws[:, s])
        expected = np.ravel(percentile_interval(both[:, None]))
        np.testing.assert_allclose([row.ceiled_low, row.ceiled_high], expected, atol=1e-5)


def pearson_rdm_of(captured):
    c = captured.kernel.covariance
    return 1 - c / np.sqrt(np.outer(np.diag(c), np.diag(c)))


def test_only_chosen_rows_carry_draws(rows):
    assert (rows.draws.notna() == (rows.chosen != "")).all()
    assert (rows.without_one.notna() == (rows.chosen != "")).all()
    assert pick(rows, stimuli="all").low.notna().all()
    details = ["low", "high", "ceiled_low", "ceiled_high"]
    assert (rows[rows.low.notna()].low <= rows[rows.low.notna()].high).all()
    assert not rows[rows.low.notna()][details].isna().any(axis=None)


def test_p_values_for_many_layers_and_sites(rows, layers, site_data):
    whole = pick(rows, stimuli="all", split="all")
    assert (whole.p_best >= whole.p_value).all()
    metric = metrics["rsa-pearson"]
    vectors = np.stack([upper_triangle(pearson_rdm_of(x)) for x in layers])
    null = metric.permute(
        vectors, upper_triangle(site_data.rdms), permutations(N, SETTINGS.n_permutations, SETTINGS.seed)
    )
    for s, site in enumerate(site_data.sites):
        for x in layers:
            row = pick(whole, site=site.name, layer=x.name).iloc[0]
            reached = (null[:, :, s].max(axis=1) >= np.float32(row.score)).sum()
            assert row.p_best == pytest.approx((1 + reached) / 40)
    for chosen, column in (("naive", "p_best"), ("nested", "p_value")):
        mine = pick(rows, stimuli="all", chosen=chosen)
        np.testing.assert_allclose(mine.p_adjusted, false_discovery_control(mine[column]))


def test_draws_are_paired_over_networks(features, benchmark, rows):
    """A layer has the same draws whatever it is shown together with: differences of networks are paired."""
    alone = score_layers([layer("true SIMl", features["true SIMl"])], benchmark)
    for site in ("SIMl",):
        for chosen in ("naive", "nested"):
            first = pick(alone, stimuli="all", site=site, chosen=chosen).iloc[0]
            second = pick(rows, stimuli="all", site=site, chosen=chosen).iloc[0]
            assert second.layer == "true SIMl"
            np.testing.assert_allclose(first.draws, second.draws, rtol=1e-5)
            assert first.p_value == second.p_value


def test_groups_are_scored_by_themselves(rows, stimuli, site_data, features):
    assert set(rows.stimuli) == {"all", "photographs", "dead leaves"}
    for group in ("photographs", "dead leaves"):
        members = np.flatnonzero(np.array(stimuli.groups) == group)
        assert len(members) == N // 2
        within = pick(rows, stimuli=group, split="all")
        assert len(within) == len(features) * 3
        for _, row in within.iterrows():
            s = [site.name for site in site_data.sites].index(row.site)
            own = upper_triangle(site_data.rdms[s][np.ix_(members, members)])
            expected = pearsonr(upper_triangle(1 - np.corrcoef(features[row.layer][members])), own).statistic
            assert row.score == pytest.approx(expected, abs=1e-10)
            assert row.n_stimuli == N // 2
        # Layers are those chosen on all stimuli, each as often as it was chosen.
        for chosen in ("naive", "nested"):
            inside = pick(rows, stimuli=group, chosen=chosen).set_index("site").layer.to_dict()
            assert inside == pick(rows, stimuli="all", chosen=chosen).set_index("site").layer.to_dict()
        for _, row in pick(rows, stimuli=group, chosen="nested").iterrows():
            own = within[within.site == row.site].set_index("layer").score
            if row.layer_share == 1:
                assert row.score == pytest.approx(own[row.layer])
            else:
                assert own.min() < row.score < own.max()


def test_small_groups_and_a_third_one_are_not_scored(site_data, layers):
    def groups_of(labels):
        settings = ScoreSettings(n_bootstraps=5, n_permutations=0)
        return set(score_layers(layers[:1], SiteBenchmark(site_data, groups=labels, settings=settings)).stimuli)

    assert groups_of(()) == {"all"}
    assert groups_of(["a"] * N) == {"all"}
    assert groups_of(["a"] * 19 + ["b"] * (N - 19)) == {"all", "b"}
    assert groups_of(["b"] * 20 + ["a"] * (N - 20)) == {"all", "a", "b"}
    assert groups_of([""] * 20 + ["a"] * (N - 20)) == {"all", "a"}


def test_permuted_stimuli_and_neurons_change_nothing(cortex, benchmark, rows):
    rng = np.random.default_rng(4)
    shown, neurons = rng.permutation(N), rng.permutation(cortex.recording.n_neuroids)
    mixed = Recording(cortex.recording.dataset.isel(neuroid=neurons, stimulus=shown), "mixed")
    shuffled = cortex.stimuli.select(rng.permutation(cortex.stimuli.ids).tolist())
    images = matched(shuffled, mixed.stimulus_ids)
    again = SiteBenchmark(
        make_site_data(mixed, normalise="zscore", n_splits=10), groups=images.groups, settings=SETTINGS
    )
    pixels = layer("pixels", images.images.reshape(N, -1) / 255)
    first, second = (pick(r, layer="pixels") for r in (rows, score_layers([pixels], again)))
    first, second = (pick(r, split="all") for r in (first, second))  # alone, pixels are chosen; beside others, not
    assert len(first) == len(second) == 3 * 3
    for column in ("stimuli", "split", "site", "n_neuroids", "n_stimuli"):
        assert first[column].tolist() == second[column].tolist()
    for column, tolerance in (("score", 1e-12), ("ceiling", 1e-6), ("ceiled", 1e-6)):
        np.testing.assert_allclose(first[column], second[column], atol=tolerance, rtol=0)
    # Resampled and relabelled stimuli are the same ones, by their ids.
    detailed = ((first.split == "all") & (first.stimuli == "all")).to_numpy()
    for column in ("low", "high", "ceiled_low", "ceiled_high", "p_value"):
        np.testing.assert_allclose(first[column][detailed], second[column][detailed], atol=1e-5)


def test_responses_matched_with_the_wrong_images_score_nothing(cortex, layers, stimuli):
    """The test above means something only if labels matter."""
    turned = Recording.from_arrays(
        cortex.recording.responses,
        {"neuroid_id": cortex.recording["neuroid_id"], "area": cortex.recording["area"]},
        {"stimulus_id": np.roll(cortex.recording.stimulus_ids, 1)},
    )
    found = score_layers(
        layers, SiteBenchmark(make_site_data(turned, normalise="zscore", n_splits=2), settings=ScoreSettings(5, 0))
    )
    assert found.score.max() < 0.4


def test_images_and_responses_that_do_not_match_are_refused(cortex):
    stimuli, ids = cortex.stimuli, cortex.recording.stimulus_ids
    assert matched(stimuli, ids).ids == tuple(sorted(ids))
    with pytest.raises(MurineError, match=r"1 of 48 stimuli have no image in 'synthetic scenes': photo_003"):
        matched(stimuli.select([i for i in stimuli.ids if i != "photo_003"]), ids)
    with pytest.raises(MurineError, match=r"2 of the 48 images .* have no responses: leaves_000, leaves_001"):
        matched(stimuli, [i for i in ids if i not in ("leaves_000", "leaves_001")])
    renamed = StimulusSet(stimuli.images, tuple(f"x{i}" for i in stimuli.ids))
    with pytest.raises(MurineError, match="Images and responses are matched by id"):
        matched(renamed, ids)


def test_unusable_neurons_are_left_out_and_change_nothing_else(cortex, layers, site_data):
    values = np.concatenate([cortex.recording.responses, cortex.recording.responses[:3]])
    values[-3], values[-2, 5] = 1.0, np.nan
    values[-1, 0, 0] = np.inf  # one lost trial is no reason
    labels = {
        "neuroid_id": [*cortex.recording["neuroid_id"], "flat", "hole", "fine"],
        "area": [*cortex.recording["area"], *["SIMp"] * 3],
    }
    noisy = Recording.from_arrays(values, labels, {"stimulus_id": cortex.recording.stimulus_ids})
    more = make_site_data(noisy, normalise="zscore", n_splits=10)
    assert more.left_out == {"missing responses": ("hole",), "constant responses": ("flat",)}
    found = score_layers(layers, SiteBenchmark(more, settings=ScoreSettings(5, 0)))
    assert set(pick(found, site="SIMp").n_neuroids) == {25}
    assert set(pick(found, site="SIMl").n_neuroids) == {24}
    alike = score_layers(layers, SiteBenchmark(site_data, settings=ScoreSettings(5, 0)))
    same = [pick(r, site="SIMl").score.to_numpy() for r in (found, alike)]
    np.testing.assert_allclose(*same, atol=1e-12)


def test_flagged_layers_are_rows_without_scores(features, benchmark, rows):
    broken = features["noise"].copy()
    broken[3, 4] = np.nan
    flagged = [
        layer("nan", broken),
        layer("constant", np.ones((N, 5))),
        CapturedLayer("complex", 0.1, (2, 3), None, "complex"),
        layer("copy", features["pixels"], same_as="pixels"),
    ]
    layers = [flagged[0], layer("pixels", features["pixels"]), *flagged[1:], layer("noise", features["noise"])]
    found = score_layers(layers, benchmark)
    for name, flag in (("nan", "not finite"), ("constant", "constant within images"), ("complex", "complex")):
        mine = pick(found, layer=name)
        assert set(mine.flag) == {flag}
        assert sorted(mine.site) == ["SIMam", "SIMl", "SIMp"]
        assert mine.score.isna().all()
        assert (mine.chosen == "").all()
    assert "copy" not in set(found.layer)
    assert set(pick(found, layer="pixels").same_as) == {"copy"}
    assert set(pick(found, layer="noise").same_as) == {""}
    assert pick(found, layer="complex").n_units.iloc[0] == 6
    # Those that can be compared are, as if the others were not there.
    for name in ("pixels", "noise"):
        mine, alone = (pick(r, layer=name, stimuli="all", split="all").score.to_numpy() for r in (found, rows))
        np.testing.assert_allclose(mine, alone, rtol=0, atol=1e-12)
    positions = found.drop_duplicates("layer").set_index("layer").layer_index
    assert positions[["nan", "pixels", "constant", "complex", "noise"]].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("metric", [name for name in metrics if not metrics[name].combines_layers])
def test_a_network_of_flagged_layers_alone_has_rows_without_scores(metric, site_data):
    found = score_layers(
        [layer("one", np.ones((N, 5)))], SiteBenchmark(site_data, metric, settings=ScoreSettings(5, 3))
    )
    assert set(found.flag) == {"constant within images"}
    assert len(found) == 3
    assert found.score.isna().all()


# Kernels and neurons do not mind, nor does a cosine.
@pytest.mark.parametrize("metric", [name for name in comparisons if name != "rsa-cosine"])
def test_a_layer_to_which_all_images_are_equally_far_has_no_score(metric, features, site_data):
    apart = LayerKernel(np.eye(N), np.zeros(N), N)  # orthogonal patterns: every distance is 1
    assert apart.flag == ""
    layers = [CapturedLayer("apart", 0.5, (N,), apart), layer("pixels", features["pixels"])]
    found = score_layers(layers, SiteBenchmark(site_data, metric, settings=ScoreSettings(20, 5)))
    assert pick(found, layer="apart")[["score", "low", "p_value"]].isna().all(axis=None)
    assert (found[found.chosen != ""].layer == "pixels").all()


def test_a_layer_that_is_constant_within_a_group_is_flagged_there(features, benchmark, stimuli):
    x = features["pixels"] + 0
    x[np.array(stimuli.groups) == "photographs"] = 0
    kernel = LayerKernel.of(x)
    captured = CapturedLayer("half", 0.5, (x.shape[1],), kernel)
    found = score_layers([captured, layer("noise", features["noise"])], benchmark)
    assert pick(found, layer="half", stimuli="photographs").score.isna().all()
    assert set(pick(found, layer="half", stimuli="photographs").flag) == {"not defined within this group of stimuli"}
    leaves = pick(found, layer="half", stimuli="dead leaves", split="all")
    assert leaves.score.notna().all()
    assert set(leaves.flag) == {""}


def test_matrices_are_scored_as_recordings_are(site_data, layers, features):
    given = NeuralRDMs(
        site_data.rdms.round(12),
        tuple(Site.of({"area": site.name, "layer": "4"}) for site in site_data.sites),
        site_data.stimulus_ids,
        np.array([0.81, 0.64, np.nan]),
        np.array([0.01, 0.02, np.nan]),
        "given",
    )
    found = score_layers(layers, SiteBenchmark(make_site_data(given), settings=SETTINGS))
    assert set(found.split) == {"all", "held out"}
    assert set(found.chosen) == {"", "naive", "nested"}  # choosing on halves of the stimuli needs no repetitions
    assert set(found.cortical_layer) == {"4"}
    ceilings = found.groupby("area").ceiling.first()
    assert ceilings[[s.name for s in site_data.sites[:2]]].tolist() == pytest.approx([0.9, 0.8])
    unknown = pick(found, area=site_data.sites[2].name)
    assert unknown[["ceiling", "ceiled", "ceiled_low"]].isna().all(axis=None)
    assert not unknown.above_ceiling.any()
    chosen = pick(unknown, chosen="naive").iloc[0]
    assert np.isfinite(chosen.draws).all()  # of the score itself
    corrected = correct_for_pairs(chosen.draws[:, None], chosen.without_one[:, None])
    np.testing.assert_allclose([chosen.low, chosen.high], np.ravel(percentile_interval(corrected)), atol=1e-5)


def test_p_values_of_networks_that_share_nothing_are_uniform(site_data):
    rng = np.random.default_rng(5)
    noise = [layer(f"noise {i}", rng.normal(size=(N, 8))) for i in range(150)]
    found = score_layers(noise, SiteBenchmark(site_data, settings=ScoreSettings(2, 199, 0)))
    for site in ("SIMp", "SIMl", "SIMam"):
        p = pick(found, site=site, split="all").p_value
        assert len(p) == 150
        assert kstest(p, "uniform").pvalue > 0.001
        assert p.min() >= 0.005
        assert p.max() <= 1


def test_costly_permutations_are_for_chosen_layers_alone(layers, site_data):
    found = score_layers(layers[:3], SiteBenchmark(site_data, "rsa-tau-a", settings=ScoreSettings(5, 4)))
    assert (found.p_value.notna() == (found.chosen != "")).all()
    without = score_layers(layers[:3], SiteBenchmark(site_data, settings=ScoreSettings(5, 0)))
    assert without.p_value.isna().all()


def test_two_runs_agree_to_the_last_bit(layers, site_data, stimuli, rows):
    again = score_layers(layers, SiteBenchmark(site_data, groups=stimuli.groups, settings=SETTINGS))
    numbers = rows.select_dtypes("number").columns
    np.testing.assert_array_equal(again[numbers], rows[numbers])
    for a, b in zip(again.draws, rows.draws, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_array_equal(a, b)
