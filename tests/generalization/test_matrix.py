"""Matrices: what is asked for is refused before training, or told as rows; nothing finished is repeated."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest
import torch
import toy_domains

from murine.atlas.store import Atlas
from murine.errors import MurineError
from murine.generalization import matrix
from murine.generalization.network_builder import build
from murine.generalization.protocol import adapted, settings
from murine.generalization.recipe import Recipe, recipes
from murine.generalization.results import Results
from murine.generalization.splits import split
from murine.generalization.summary import UNSEEN, cells
from murine.generalization.training import train

RECIPE = Recipe(epochs=2, batch_size=16)


def plan(found, variants=("plain",), network=toy_domains.NETWORK, recipe=RECIPE, n_seeds=1):
    return matrix.plan(found, [network], list(variants), recipe, matrix.seed_pairs(n_seeds))


def test_diverged_runs_are_rows_and_the_matrix_goes_on(tmp_path, caplog):
    """A layer without bound at the input, and steps too long: the plain network's loss is soon no number."""
    found = settings("full", ["dark"], ["grey"], toy_domains.load)
    wild = Recipe(epochs=3, batch_size=16, optimiser="sgd", learning_rate=1e6)
    results = Results(Atlas(tmp_path))
    with caplog.at_level(logging.WARNING):
        rows = matrix.compute(plan(found, ["plain", "neurn3"], "conv(depth=2,width=4,norm=none)", wild), results)
    assert set(rows.state) == {"diverged"}
    assert rows.accuracy.isna().all()
    assert "diverged in epoch" in caplog.text
    assert not list((tmp_path / "trained").glob("*.checkpoint"))
    table = cells(rows)
    assert (table.diverged == 1).all()
    tame = matrix.compute(plan(found), results)
    assert tame.accuracy.notna().all()
    assert Atlas(tmp_path).query("SELECT count(*) AS n FROM generalization").n[0] == 6


def test_new_targets_are_met_without_training_again(tmp_path):
    results = Results(Atlas(tmp_path))
    one = settings("full", ["dark"], ["grey"], toy_domains.load)
    two = settings("full", ["dark"], ["grey", "noisy"], toy_domains.load, [("blur", 2), ("blur", 5)])
    first = matrix.compute(plan(one), results)
    written = {file: file.stat().st_mtime_ns for file in (tmp_path / "trained").iterdir()}
    both = matrix.compute(plan(two), results)
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "trained").iterdir()} == written
    assert both.target.tolist() == ["dark", "grey", "noisy", "dark+blur:2", "dark+blur:5"]
    assert both.accuracy[:2].tolist() == first.accuracy.tolist()
    again = matrix.compute(plan(one, ["neurn(k=3)@input", "neurn3"]), results)
    assert again.task.nunique() == 1, "two names of the same"
    assert again.variant.unique().tolist() == ["neurn(k=3)@input", "neurn3"]


def test_changed_weights_are_refused(tmp_path):
    results = Results(Atlas(tmp_path))
    found = settings("full", ["dark"], [], toy_domains.load)
    rows = matrix.compute(plan(found), results)
    file = tmp_path / "trained" / f"{rows.task[0]}.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(MurineError, match="other weights than were trained"):
        matrix.compute(plan(settings("full", ["dark"], ["grey"], toy_domains.load)), results)
    file.unlink()
    with pytest.raises(MurineError, match="are gone"):
        matrix.compute(plan(settings("full", ["dark"], ["grey"], toy_domains.load)), results)


def test_rows_of_weights_that_are_gone_are_made_again(tmp_path):
    """As when a network is trained anew on another machine, where sums differ in the last bits."""
    results = Results(Atlas(tmp_path))
    found = settings("full", ["dark"], ["grey"], toy_domains.load)
    first = matrix.compute(plan(found), results)
    run = plan(found)[0]
    other = build(toy_domains.NETWORK, 3, seed=9).module
    known = results.trained(run.task)
    results.write_trained(run.task, other, known.history, known.n_train, known.n_validation)
    again = matrix.compute(plan(settings("full", ["dark"], ["grey", "noisy"], toy_domains.load)), results)
    assert again.weights_digest.nunique() == 1
    assert again.weights_digest[0] != first.weights_digest[0]
    assert len(again) == 3


def test_the_same_images_under_two_names_are_met_once(tmp_path):
    """A corruption that is repeated counts once; a domain with a plus in its name is a domain."""

    def load(name, part):
        domain = toy_domains.load("grey" if name == "a+b" else name, part)
        return dataclasses.replace(domain, name=name)

    found = settings("full", ["dark"], ["grey", "a+b"], load, [("blur", 2), ("blur", 2)])
    rows = matrix.compute(plan(found, ["plain", "neurn3"]), Results(Atlas(tmp_path)))
    assert rows.target.tolist() == ["dark", "grey", "a+b", "dark+blur:2"] * 2
    assert rows.corruption.tolist() == [False, False, False, True] * 2
    table = cells(rows).set_index(["variant", "target"]).accuracy
    assert table["plain", "grey"] == table["plain", "a+b"] == table["plain", UNSEEN]


def test_identity_is_all_that_changes_a_result():
    found = settings("full", ["dark"], [], toy_domains.load)
    base = plan(found)[0].task
    assert base.digest == plan(found)[0].task.digest
    others = [
        plan(found, recipe=RECIPE.changed({"learning_rate": 0.1}))[0],
        plan(found, ["neurn3"])[0],
        plan(found, ["randconv"])[0],
        plan(found, n_seeds=2)[1],
        plan(settings("full", ["grey"], [], toy_domains.load))[0],
        matrix.plan(found, [toy_domains.NETWORK], ["plain"], RECIPE, [(0, 1)])[0],
    ]
    assert len({base.digest, *(run.task.digest for run in others)}) == 1 + len(others)


def other_classes(name, part):
    domain = toy_domains.load(name, part)
    return dataclasses.replace(domain, classes=("lying", "standing", "round")) if name == "grey" else domain


def one_class(name, part):
    domain = toy_domains.load(name, part)
    return dataclasses.replace(domain, labels=np.where(domain.parts == "train", 1, domain.labels))


def with_blurred(name, part):
    """The second domain is called like a corruption of the first."""
    domain = toy_domains.load(name, part)
    return dataclasses.replace(domain, name="dark+blur:2") if name == "grey" else domain


def train_in(precision):
    source = toy_domains.bars("dark")
    recipe = RECIPE.changed({"precision": precision})
    return train(build(toy_domains.NETWORK, 3, 0).module, *split(source, recipe, 0), recipe)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: settings("full", ["dark"], ["grey"], other_classes), "'grey' lacks slanted.*'dark' lacks round"),
        (lambda: split(one_class("dark", None), RECIPE, 0), "are 'standing': nothing to learn"),
        (lambda: settings("fulll", ["dark"], [], toy_domains.load), "unknown protocol 'fulll'; did you mean full"),
        (lambda: settings("mnist10k", ["dark"], [], toy_domains.load), "is for the source mnist"),
        (lambda: plan(settings("full", ["dark"], [], toy_domains.load), ["nern3"]), "did you mean neurn3"),
        (lambda: plan(settings("full", ["dark"], [], toy_domains.load), network="lenett"), "did you mean lenet"),
        (lambda: plan(settings("full", ["dark"], [], toy_domains.load), network="inception_v3"), "32 x 32 px"),
        (lambda: split(toy_domains.bars("dark"), Recipe(n_train=500), 0), "160 training images; the recipe wants"),
        (lambda: split(toy_domains.bars("dark", n_groups=1), RECIPE, 0), "too few groups"),
        (lambda: settings("leave-one-out", ["dark"], [], toy_domains.load), "needs other domains"),
        (lambda: RECIPE.changed({"epoch": 3}), "has no 'epoch'; did you mean epochs"),
        (lambda: RECIPE.changed({"epochs": "many"}), "epochs is 'many'"),
        (lambda: RECIPE.changed({"learning_rate": -1}), "learning_rate is -1"),
        (lambda: RECIPE.changed({"momentum": 0.5}), "its optimiser is adam; momentum is of sgd alone"),
        (lambda: matrix.seed_pairs(0), "at least 1"),
        (lambda: adapted("mnist10k", RECIPE, {"n_train": 500}), "fixes n_train=10000"),
        (
            lambda: settings("full", ["dark"], ["grey"], with_blurred, [("blur", 2), ("blur", 2)]),
            "the target 'dark.blur:2' is also among the corruptions",
        ),
        (
            lambda: train_in("fp16"),
            "precision fp16 needs a GPU",
        ),
    ],
)
def test_bad_input_is_told_before_anything_is_trained(call, message):
    with pytest.raises(MurineError, match=message):
        call()


def test_named_recipes_and_protocols():
    assert adapted("mnist10k", recipes["quick"]).n_train == 10_000
    assert adapted("full", recipes["paper"]) == recipes["paper"]
    assert recipes["paper"].changed({"epochs": "3", "patience": None}).epochs == 3
    assert matrix.seed_pairs(2, 7) == [(0, 7), (1, 7)]


@pytest.mark.parametrize(
    ("network", "n_classes", "variants"),
    [
        ("lenet-small", 10, ["neurn3", "neurn5-inner", "standardise"]),
        ("lenet-small", 3, ["neurn3"]),
        ("conv", 3, ["plain"]),
        ("conv(depth=2,width=8,skip=True)", 10, ["neurn3-inner"]),
        ("resnet10t", 3, ["neurn3", "sobel@after:layer1"]),
    ],
)
def test_trained_networks_are_loaded_by_the_zoo(network, n_classes, variants, tmp_path):
    """The same numbers as the run's own network gives, with NeuRN where it was."""
    from murine.networks import weights, zoo

    names = tuple("0123456789"[:n_classes])

    def load(name, part):
        return dataclasses.replace(toy_domains.load(name, part), classes=names)

    found, results = settings("full", ["dark"], [], load), Results(Atlas(tmp_path))
    runs = plan(found, variants, network, RECIPE.changed({"epochs": 1}))
    rows = matrix.compute(runs, results)
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for run, digest in zip(runs, rows.weights_digest, strict=True):
        seen = zoo.load(matrix.network_name(run, results))
        assert weights.digest(seen.module) == digest
        own = matrix.trained_run(run, results).eval()
        assert own(x).shape == (4, n_classes)
        torch.testing.assert_close(seen.module(x), own(x))
        assert seen.preprocessing.input_size == (32, 32)
        assert seen.preprocessing.std == (1.0, 1.0, 1.0)
