"""What was killed goes on as if it had not been."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import toy_domains
from counting import Counting

from murine.errors import MurineError
from murine.generalization.network_builder import build
from murine.generalization.recipe import Recipe
from murine.generalization.splits import split
from murine.generalization.training import train
from murine.networks import weights

ROWS = ["task", "target_digest", "accuracy", "ece", "best_epoch", "validation_accuracy", "weights_digest"]


def test_killed_matrix_goes_on_exactly(tmp_path):
    marker = tmp_path / "reached"
    script = Path(toy_domains.__file__)
    process = subprocess.Popen([sys.executable, script, tmp_path / "killed", marker])
    try:
        while not marker.exists():
            assert process.poll() is None, "the script ended by itself"
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()

    trained = tmp_path / "killed" / "trained"
    first = next(iter(trained.glob("*.safetensors")))
    written = first.stat().st_mtime_ns
    assert len(list(trained.glob("*.json"))) == 1, "one network was finished"
    assert len(list(trained.glob("*.checkpoint"))) == 1, "one was under way"

    counts = Counting("epochs")
    resumed = toy_domains.small_matrix(tmp_path / "killed", counts)
    whole = toy_domains.small_matrix(tmp_path / "whole")
    assert counts.total == 4, "only the network that was under way is trained"
    assert first.stat().st_mtime_ns == written
    assert not list(trained.glob("*.checkpoint"))
    assert resumed[ROWS].equals(whole[ROWS])
    assert all((a == b).all() for a, b in zip(resumed.predicted, whole.predicted, strict=True))
    assert all((a == b).all() for a, b in zip(resumed.confidence, whole.confidence, strict=True))
    assert len(whole) == 6
    assert whole.accuracy[0] > 0.8


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_stopped_training_ends_with_the_same_weights(tmp_path, stop):
    """With dropout, momentum and a schedule: all that has a state."""
    training, validation = split(toy_domains.bars("dark"), Recipe(), 0)
    recipe = Recipe(epochs=3, batch_size=32, optimiser="sgd", learning_rate=0.02, schedule="cosine")

    def network():
        module = build(toy_domains.NETWORK, 3, seed=1).module
        module.head = torch.nn.Sequential(torch.nn.Dropout(0.3), module.head)
        return module

    left = [stop]

    def power_cut():
        left[0] -= 1
        if left[0] == 0:
            raise RuntimeError("power cut")

    whole, cut = network(), network()
    history = train(whole, training, validation, recipe, model_seed=5)
    file = tmp_path / "a.checkpoint"
    with pytest.raises(RuntimeError, match="power cut"):
        train(cut, training, validation, recipe, model_seed=5, checkpoint=file, tick=power_cut)
    torch.manual_seed(99)  # what the process drew meanwhile does not matter
    resumed = network()
    assert train(resumed, training, validation, recipe, model_seed=5, checkpoint=file) == history
    assert weights.digest(resumed) == weights.digest(whole)
    other = network()
    train(other, training, validation, recipe, model_seed=6)
    assert weights.digest(other) != weights.digest(whole), "dropout is drawn from the model's seed"


def test_damaged_checkpoint_is_told(tmp_path):
    training, validation = split(toy_domains.bars("dark"), Recipe(), 0)
    file = tmp_path / "a.checkpoint"
    file.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(MurineError, match="it is damaged"):
        train(build(toy_domains.NETWORK, 3, seed=1).module, training, validation, Recipe(epochs=1), checkpoint=file)
