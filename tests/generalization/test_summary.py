"""Means, intervals and differences, against plain transcriptions, simulations and torchmetrics."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from murine.generalization import summary
from murine.generalization.predictions import calibration_error
from murine.generalization.summary import UNSEEN, cells, confusion, differences, mean_of
from murine.statistics.multiple_testing import adjust_p_values


def simulated(rng, n_seeds, n_images, spread_seeds, spread_images, n_groups=None):
    """Right or wrong: a chance that depends on the seed and on the image's group, around 0.7."""
    groups = np.arange(n_images) % (n_groups or n_images)
    of_group = rng.normal(0, spread_images, groups.max() + 1)[groups]
    of_seed = rng.normal(0, spread_seeds, (n_seeds, 1))
    chance = (0.7 + of_seed + of_group).clip(0, 1)
    return (rng.random((n_seeds, n_images)) < chance).astype(float), groups


@pytest.mark.parametrize(
    ("seeds", "images", "n_groups"), [(0.0, 0.2, None), (0.02, 0.2, None), (0.1, 0.05, None), (0.03, 0.2, 20)]
)
def test_intervals_hold_what_they_promise(seeds, images, n_groups):
    """Over new seeds and new images, at least 95 % of intervals hold the truth; not all of them, where all is noise."""
    rng = np.random.default_rng(0)
    covered, n = 0, 400
    for _ in range(n):
        low, high = mean_of(*simulated(rng, 3, 300, seeds, images, n_groups)).interval()
        covered += low <= 0.7 <= high
    assert covered / n >= 0.93, "400 draws"
    assert n_groups or seeds or covered / n <= 0.995


def test_variance_of_images_is_that_of_a_bootstrap_of_groups():
    rng = np.random.default_rng(1)
    values, groups = simulated(rng, 3, 400, 0, 0.2, 40)
    image = values.mean(axis=0)
    draws = []
    for _ in range(4000):
        drawn = rng.integers(40, size=40)
        picked = np.concatenate([np.flatnonzero(groups == g) for g in drawn])
        draws.append(image[picked].mean())
    assert mean_of(values, groups).variance_images == pytest.approx(np.var(draws) * 40 / 39, rel=0.1)


def test_one_seed_and_single_images_give_the_textbook_interval():
    values = (np.random.default_rng(2).random((1, 500)) < 0.4).astype(float)
    low, high = mean_of(values, np.arange(500)).interval()
    error = values.std(ddof=1) / np.sqrt(500)
    expected = stats.t.interval(0.95, 499, values.mean(), error)
    assert (low, high) == pytest.approx(expected)


def test_p_is_where_the_interval_reaches_0():
    rng = np.random.default_rng(3)
    values = rng.normal(0.03, 1, (4, 300)) + rng.normal(0, 0.05, (4, 1))
    mean = mean_of(values, np.arange(300), floor=False)
    p = mean.p_value()
    assert abs(mean.value) == pytest.approx(mean.half_width(1 - p), abs=1e-6)
    alone = mean_of(values[:1], np.arange(300), floor=False)
    assert alone.p_value() == pytest.approx(stats.ttest_1samp(values[0], 0).pvalue)
    assert mean_of(np.zeros((3, 10)), np.arange(10), floor=False).p_value() == 1


def test_all_right_is_not_certain():
    low, high = mean_of(np.ones((3, 50)), np.arange(50)).interval()
    assert low < 0.99
    assert high > 1


def rows(accuracies, n_images=200):
    """Rows of runs: {(variant, target): share right, by seed}."""
    found = []
    for (variant, target), by_seed in accuracies.items():
        for seed, share in enumerate(by_seed):
            rng = np.random.default_rng([seed, *variant.encode(), *target.encode()])
            labels = np.arange(n_images) % 4
            wrong = rng.permutation(n_images) >= round((share or 0) * n_images)
            predicted = np.where(wrong, (labels + 1) % 4, labels)
            found.append(
                {
                    "source": "mnist",
                    "network": "lenet",
                    "pretrained": False,
                    "variant": variant,
                    "target": target,
                    "unseen": target != "mnist",
                    "corruption": "+" in target,
                    "model_seed": seed,
                    "data_seed": 0,
                    "state": "diverged" if share is None else "finished",
                    "n_images": n_images,
                    "accuracy": share,
                    "ece": 0.1,
                    "labels": labels,
                    "predicted": None if share is None else predicted,
                    "groups": np.arange(n_images),
                }
            )
    return pd.DataFrame(found)


MATRIX = {
    ("plain", "mnist"): [0.9, 0.95, 0.92],
    ("plain", "usps"): [0.5, 0.6, 0.55],
    ("plain", "svhn"): [0.2, 0.25, 0.3],
    ("plain", "mnist+blur:1"): [0.8, 0.8, 0.8],
    ("neurn3", "mnist"): [0.9, 0.9, 0.9],
    ("neurn3", "usps"): [0.7, 0.8, 0.75],
    ("neurn3", "svhn"): [0.2, 0.3, None],  # never so: a run diverges for all targets
    ("neurn3", "mnist+blur:1"): [0.6, 0.7, 0.65],
}


def test_matrix_and_differences_are_the_plain_ones():
    table = cells(rows(MATRIX)).set_index(["variant", "target"])
    for key, by_seed in MATRIX.items():
        known = [share for share in by_seed if share is not None]
        assert table.accuracy[key] == pytest.approx(np.mean(known))
        assert table.n_seeds[key] == len(known)
        assert table.diverged[key] == 3 - len(known)
        assert 0 <= table.accuracy_low[key] < table.accuracy[key] < table.accuracy_high[key] <= 1
    assert table.accuracy["plain", UNSEEN] == pytest.approx(0.4), "corruptions are no domains"

    told = differences(rows(MATRIX)).set_index("target")
    assert set(told.variant) == {"neurn3"}
    assert told.difference["usps"] == pytest.approx(0.2)
    assert told.difference["svhn"] == pytest.approx(0.025), "of the two seeds that both have"
    assert told.n_seeds["svhn"] == 2
    single = told.drop(index=UNSEEN, errors="ignore")
    assert single.p_adjusted.to_numpy() == pytest.approx(adjust_p_values(single.p_value.to_numpy(), "holm"))


def test_nothing_to_compare_with_is_no_error():
    alone = {key: value for key, value in MATRIX.items() if key[0] == "neurn3"}
    assert differences(rows(alone)).empty
    assert "diverged" in cells(rows({("plain", "usps"): [None, None]})).columns


def test_confusion_counts_every_image():
    table = rows({("plain", "usps"): [0.9, 0.8]})
    counts = confusion(table, 4)
    expected = np.zeros((4, 4), dtype=int)
    for _, row in table.iterrows():
        for true, given in zip(row.labels, row.predicted, strict=True):
            expected[true, given] += 1
    assert (counts == expected).all()


def test_calibration_error_is_torchmetrics():
    from torchmetrics.functional.classification import multiclass_calibration_error

    rng = np.random.default_rng(0)
    for scale in (0.5, 2, 5):
        logits = torch.from_numpy(rng.normal(0, scale, (2000, 10))).float()
        labels = torch.from_numpy(rng.integers(10, size=2000))
        chance = logits.softmax(dim=1)
        confidence, predicted = chance.max(dim=1)
        ours = calibration_error(confidence.numpy(), (predicted == labels).numpy())
        theirs = multiclass_calibration_error(chance, labels, num_classes=10, n_bins=15, norm="l1")
        assert ours == pytest.approx(float(theirs), abs=1e-5)


def test_holm_is_within_a_source_and_a_network():
    both = [rows(MATRIX).assign(source=source) for source in ("mnist", "usps")]
    one, two = differences(both[0]), differences(pd.concat(both))
    assert two[two.source == "mnist"].p_adjusted.to_numpy() == pytest.approx(one.p_adjusted.to_numpy(), nan_ok=True)
    assert len(list(itertools.chain(two.source))) == 2 * len(one)
    assert summary.PLAIN not in set(one.variant)
