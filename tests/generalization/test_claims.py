"""What supports no conclusion claims nothing: one seed, and networks that have learned nothing."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
import toy_domains
from scipy import stats
from test_summary import MATRIX, rows

from murine.generalization.summary import UNSEEN, cells, differences, over_text, source_tests
from murine.report.generalization import board
from murine.studies import generalization_run

pytestmark = pytest.mark.usefixtures("unchecked")

#: Three runs of a variant that names one of the four classes of the source at random.
AT_CHANCE = {**MATRIX, ("neurn3", "mnist"): [0.26, 0.24, 0.25], ("neurn3", "svhn"): [0.2, 0.3, 0.3]}


def shuffled(name, part):
    """Toy domains whose labels have nothing to do with the images."""
    domain = toy_domains.load(name, None)
    labels = np.random.default_rng(5).permutation(domain.labels)
    mixed = dataclasses.replace(domain, labels=labels)
    return mixed if part is None else mixed.part(part)


@pytest.fixture
def generalize(murine, monkeypatch, tmp_path):
    """Run the command on toy domains with a tiny network; the page is the second of the two returned."""

    def run(load, *arguments, seeds):
        monkeypatch.setattr(generalization_run, "load_domain", lambda name, *, part, **_: load(name, part))
        page = tmp_path / "page.html"
        ran = murine(
            *("generalize", "--source", "dark", "--target", "grey,noisy", "--network", toy_domains.NETWORK),
            *("--variants", "plain,sobel,neurn3", "--set", "epochs=3", "--set", "batch_size=8"),
            *("--set", "learning_rate=0.01", "--seeds", seeds, "--atlas", tmp_path / "atlas", "--out", page),
            *arguments,
        )
        assert ran.code == 0, ran.err
        return ran, page.read_text("utf-8")

    return run


def headlines(page):
    return re.findall(r"<dd>(.*?)</dd>", page.split("<main")[0])


def filled(page):
    """Symbols of the differences' markers."""
    figure = page.split('data-figure="differences"')[1].split("</script>")[0]
    return set(re.findall(r'"(circle(?:-open)?)"', figure))


@pytest.mark.parametrize(
    ("load", "seeds", "why"), [(toy_domains.load, 1, "one seed"), (shuffled, 3, "not above chance on its source")]
)
def test_one_seed_and_shuffled_labels_claim_nothing(generalize, load, seeds, why):
    ran, page = generalize(load, seeds=seeds)
    assert not re.search(r"\d\*", ran.out)
    assert "Nothing can be concluded from sobel" in ran.out
    assert why in ran.out
    assert headlines(page) == [text for text in headlines(page) if text.startswith("Nothing can be concluded")]
    assert len(headlines(page)) == 1
    assert why in headlines(page)[0]
    assert filled(page) == {"circle-open"}
    assert not re.search(r"\d\*", page.split("<script>")[0])
    table, _ = generalize(load, "--format", "json", seeds=seeds)
    others = [row for row in table.rows if row["variant"] != "plain"]
    assert all(row["p_value"] is None and row["p_adjusted"] is None and why in row["no_claim"] for row in others)
    if seeds == 1:
        assert "over images only (1 seed)" in ran.out
        assert "new seeds and new images" not in page
        assert {row["interval_over"] for row in table.rows} == {"images"}
    else:
        assert "Not above chance on their own source" in ran.out
        assert "plain (at chance)" in ran.out
        assert "Not above chance on their own source: " in page


def test_networks_that_learned_are_compared_as_before(generalize):
    ran, page = generalize(toy_domains.load, "--format", "json", seeds=3)
    told = pd.DataFrame(ran.rows)
    assert (told.at_chance == 0).all()
    others = told[told.variant != "plain"]
    assert others.p_adjusted.notna().all()
    assert (others.no_claim == "").all()
    assert "over new seeds and new images" in page
    assert not headlines(page)[0].startswith("Nothing")


def test_a_network_at_chance_is_in_no_comparison():
    table = rows(AT_CHANCE)
    assert cells(table).set_index(["variant", "target"]).at_chance.loc["neurn3"].tolist() == [3] * 5
    told = differences(table)
    assert told[["p_value", "p_adjusted"]].isna().all(axis=None)
    assert set(told.no_claim) == {"not above chance on its source: neurn3"}
    figures = board(table.assign(task="t", n_train=9, n_validation=1), _curves(), "m")
    assert figures["finding"].startswith("Nothing can be concluded about the mean over unseen domains")
    assert figures["at_chance"] == "3 of 3 of neurn3"
    sound = differences(rows(MATRIX))
    assert sound[sound.target != UNSEEN].p_value.notna().all()


def test_the_test_against_chance_is_the_binomial_one():
    tests = source_tests(rows(AT_CHANCE)).set_index(["variant", "model_seed"])
    assert tests.index.tolist() == [(variant, seed) for variant in ("plain", "neurn3") for seed in range(3)]
    assert (tests.chance == 0.25).all()
    for key, accuracy in {("plain", 1): 0.95, ("neurn3", 0): 0.26}.items():
        expected = stats.binomtest(round(200 * accuracy), 200, 0.25, alternative="greater").pvalue
        assert tests.p_value[key] == pytest.approx(expected)
    assert tests.learned.tolist() == [True] * 3 + [False] * 3


def test_the_most_frequent_class_is_chance_and_images_of_a_group_are_one():
    table = rows({("plain", "mnist"): [0.5]}, n_images=200)
    labels = np.repeat([0, 1, 2, 3], [110, 30, 30, 30])
    table.at[0, "labels"], table.at[0, "predicted"] = labels, np.zeros(200, dtype=int)
    assert not source_tests(table).learned[0], "it always names one class"
    table.at[0, "predicted"] = np.where(np.arange(200) % 10 < 7, labels, (labels + 1) % 4)
    assert source_tests(table).learned[0]
    table.at[0, "groups"] = np.where(np.arange(200) % 10 < 7, 0, 1)
    assert not source_tests(table).learned[0], "two groups, one of them right"


def test_few_runs_at_chance_are_called_learned_by_chance():
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    one = rows({("plain", "mnist"): [0.5]}, n_images=300)
    table = pd.concat([one] * 1000, ignore_index=True)
    table["model_seed"] = np.arange(1000)
    table["labels"] = [labels] * 1000
    table["predicted"] = list(rng.integers(3, size=(1000, 300)))
    assert 0.02 < source_tests(table).learned.mean() < 0.07


def test_what_intervals_are_over():
    assert over_text([1, 1]) == "images only (1 seed)"
    assert over_text([3, 3]) == "3 seeds and images"
    assert over_text([2, 3, 1]) == "1 or 2 or 3 seeds and images (of 1 seed: over images only)"


def _curves():
    row = {"variant": "plain", "model_seed": 0, "epoch": 1, "loss": 1.0, "validation_accuracy": 0.5}
    return pd.DataFrame([{"source": "mnist", "network": "lenet", "pretrained": False, **row}])
