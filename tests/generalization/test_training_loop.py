"""Training is what a bare PyTorch loop does: the same weights, for networks that know whether they learn."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import toy_domains
from torch.nn import functional

from murine.generalization.architectures import architectures
from murine.generalization.batches import Batches, combined_seed
from murine.generalization.network_builder import build
from murine.generalization.predictions import predict
from murine.generalization.recipe import Recipe
from murine.generalization.splits import split
from murine.generalization.training import train

CPU = torch.device("cpu")


def network():
    """Batch normalisation and dropout do one thing in training and another after it."""
    module = build(toy_domains.NETWORK, 3, seed=1).module
    module.head = torch.nn.Sequential(torch.nn.Dropout(0.3), module.head)
    return module.eval()


def bare(module, training, validation, recipe, seed):
    """Losses, validation accuracies and weights, epoch by epoch; dropout drawn as `train` says it is."""
    optimiser = torch.optim.SGD(module.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum)
    batches = Batches(training, recipe.batch_size, CPU, seed=seed)
    n_steps, step = recipe.epochs * len(batches), 0
    losses, accuracies, states = [], [], []
    for epoch in range(recipe.epochs):
        batches.epoch = epoch
        torch.manual_seed(combined_seed(seed, 4, epoch))
        module.train()
        found = []
        for images, labels in batches:
            optimiser.param_groups[0]["lr"] = recipe.learning_rate * (1 + np.cos(np.pi * step / n_steps)) / 2
            optimiser.zero_grad()
            loss = functional.cross_entropy(module(images), labels)
            loss.backward()
            optimiser.step()
            found.append(loss.item())
            step += 1
        losses.append(np.mean(found))
        accuracies.append((predict(module, validation).predicted == validation.labels).mean())
        states.append(copy.deepcopy(module.state_dict()))
    return losses, accuracies, states


def test_weights_are_those_of_a_bare_loop():
    training, validation = split(toy_domains.bars("grey", ground=0.3), Recipe(), 7)
    recipe = Recipe(epochs=3, batch_size=32, optimiser="sgd", learning_rate=0.05, schedule="cosine")
    ours, theirs = network(), network()
    history = train(ours, training, validation, recipe, model_seed=7, data_seed=7)
    losses, accuracies, states = bare(theirs, training, validation, recipe, 7)
    assert [epoch.loss for epoch in history.epochs] == pytest.approx(losses, rel=1e-5)
    assert [epoch.validation_accuracy for epoch in history.epochs] == pytest.approx(accuracies)
    assert history.best == int(np.argmax(accuracies))
    for name, expected in states[history.best].items():
        torch.testing.assert_close(ours.state_dict()[name], expected, rtol=1e-4, atol=1e-6, msg=name)
    steps = (history.best + 1) * (training.n_images // recipe.batch_size)
    assert ours.get_buffer("blocks.0.norm.num_batches_tracked").item() == steps
    assert not ours.training


@pytest.mark.parametrize("name", architectures)
def test_every_architecture_learns(name):
    """A few steps on digit-sized images: losses are numbers, and most weights move."""
    training, validation = split(toy_domains.bars("dark", n=36), Recipe(), 0)
    module = build(name, 3, seed=0).module
    before = copy.deepcopy(module.state_dict())
    history = train(module, training, validation, Recipe(epochs=1, batch_size=8))
    assert history.state == "finished"
    assert np.isfinite(history.epochs[0].loss)
    moved = [key for key, _ in module.named_parameters() if not torch.equal(before[key], module.state_dict()[key])]
    assert len(moved) > 0.9 * len(list(module.parameters()))
