"""Predictions: counts against PyTorch's own counter, by hand, and against what `capture` then does."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch
from threadpoolctl import threadpool_limits
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from murine.errors import MurineError
from murine.networks import costs, zoo
from murine.networks.capture import capture
from murine.networks.costs import Machine, Work
from murine.networks.operation_counter import KINDS

SMALL = ("resnet18", "mobilenetv3_small_050", "vit_tiny_patch16_224", "torchvision:squeezenet1_1", "hub:unet")

MACHINE = Machine(10, dict.fromkeys(KINDS[:-1], 1e9), 1e9, 1e-6, 1e-8, 1e-4)


def _work(name: str, size: int = 64) -> Work:
    module, preprocessing = zoo.skeleton(name, input_size=size)
    return costs.work_of(module, preprocessing.input_size)


# --------------------------------------------------------------------------------------- counts


@pytest.mark.parametrize("name", [*SMALL, "torchvision:swin_t", "convnext_atto", "skresnet18", "convit_tiny"])
def test_operations_are_as_many_as_pytorch_counts(name):
    module, preprocessing = zoo.skeleton(name, input_size=64)
    images = torch.empty(2, 3, *preprocessing.input_size, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(images)
    assert 2e9 * _work(name).gflops == pytest.approx(counter.get_total_flops(), rel=1e-12)


@pytest.mark.parametrize("name", SMALL)
def test_outputs_are_those_that_capture_finds(name):
    network = zoo.load(f"{name}@random:0", input_size=64)
    layers = capture(network.module, torch.randn(3, 3, 64, 64))
    work = _work(name)
    assert work.n_outputs == len(layers)
    assert work.parameters == sum(parameter.numel() for parameter in network.module.parameters())
    # What is the same by chance (a ReLU of features above zero) shapes do not tell.
    units = sum(layer.n_units for layer in layers if not layer.same_as)
    assert units <= work.n_units <= sum(layer.n_units for layer in layers)
    assert work.n_units < 1.25 * units
    # On a real device the counts are the same, but for what operations return beside their result.
    real = costs.work_of(network.module, (64, 64))
    assert replace(real, peak=0, moved=work.moved, n_operations=work.n_operations) == replace(work, peak=0)
    assert real.peak == pytest.approx(work.peak, rel=0.05)


def test_layers_are_chosen_as_for_capture():
    module, preprocessing = zoo.skeleton("resnet18", input_size=64)
    work = costs.work_of(module, preprocessing.input_size, "layer?,fc")
    assert (work.n_outputs, work.n_units) == (5, 64 * 256 + 128 * 64 + 256 * 16 + 512 * 4 + 1000)
    with pytest.raises(MurineError, match="no module matches 'nothing'"):
        costs.work_of(module, preprocessing.input_size, "nothing")


class _Chain(nn.Module):
    """30 kB of features, then 60 kB; then 15 kB while the 60 kB are still there, which then are not; views and sums in
    place take nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 10, 1)  # 10 x 25 x 30 floats
        self.second = nn.Conv2d(10, 20, 1)
        self.third = nn.Conv2d(20, 5, 1)

    def forward(self, images):
        features = self.second(self.first(images)).add_(1)
        features = features.flatten(1).view(len(images), 20, 25, 30)
        return self.third(features).relu_()


def test_memory_is_what_is_alive_together():
    with torch.device("meta"):
        work = costs.work_of(_Chain(), (25, 30))
    assert work.peak == 4 * 25 * 30 * (10 + 20)
    assert work.image == 2 * 4 * 3 * 25 * 30
    assert work.weights == 4 * (2 * (30 + 200 + 100) + 10 + 20 + 5)  # convolutions twice
    assert work.n_units == 25 * 30 * (10 + 20 + 5 + 5)  # what changes in place is captured before and after
    assert work.flops["pointwise convolution"] == 2 * 25 * 30 * (30 + 200 + 100)


def test_kinds_of_convolution():
    with torch.device("meta"):
        network = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1, bias=False),
            nn.Conv2d(16, 16, 3, padding=1, groups=16),
            nn.ConvTranspose2d(16, 8, 2, stride=2),
            nn.Flatten(),
            nn.Linear(8 * 64, 7),
        )
        work = costs.work_of(network, (4, 4))
    assert dict(work.flops) == {
        "convolution": 2 * 16 * 16 * 27 + 2 * 16 * 16 * 8 * 4,
        "depthwise convolution": 2 * 16 * 16 * 9,
        "matrix product": 2 * 512 * 7,
    }


def test_images_that_do_not_fit_are_refused():
    module, _ = zoo.skeleton("torchvision:inception_v3", input_size=64)
    with pytest.raises(
        MurineError, match="the network cannot be run without numbers on images of 3 x 64 x 64: RuntimeError"
    ):
        costs.work_of(module, (64, 64))


# ----------------------------------------------------------------------------------- prediction


def test_time_is_that_of_the_parts():
    work = Work({"convolution": 3e6}, {"convolution": 1e3, "elementwise": 2e6}, 7, 5, 1000, 10, 10, 1, 100, 20)
    cost = costs.predict(work, MACHINE)
    assert cost.n_passes == 1
    assert cost.forward == pytest.approx((10 + 5) * (3e-3 + 2e-3) + 3 * 7e-6)  # five images to learn the shapes
    assert cost.kernels == pytest.approx(1000 * 1e-8 + 5 * 1e-4)
    assert cost.seconds == cost.forward + cost.kernels
    slow_memory = replace(work, moved={"convolution": 1e8})
    assert costs.predict(slow_memory, MACHINE).forward == pytest.approx(15 * 0.1 + 3 * 7e-6)


def test_little_memory_means_more_passes_or_none():
    network = zoo.load("resnet18@random:0", input_size=64)
    work, images = _work("resnet18"), torch.randn(10, 3, 64, 64)
    passes = []
    network.module.register_forward_hook(lambda _m, args, _o: passes.append(len(args[0])))
    for size in (10, 4, 2):
        passes.clear()
        capture(network.module, images, batch_size=size)
        measured = passes[2:]  # without probes
        cost = costs.predict(work, MACHINE, batch_size=size)
        assert cost.n_passes == len(measured)
        alone = costs.predict(work, replace(MACHINE, per_call=0.0), batch_size=size)
        whole = costs.predict(work, replace(MACHINE, per_call=0.0))
        assert alone.forward == pytest.approx(whole.forward * (sum(measured) + 5) / (10 + 5))
        assert cost.memory < whole.memory or size == 10
    tight = costs.predict(work, MACHINE, memory=work.weights + 6 * work.working)
    assert tight.n_passes > 1
    assert tight.fits
    assert not costs.predict(work, MACHINE, memory=work.weights // 2).fits


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_predictions_come_true_within_a_factor(name):
    """Time of the processor with one thread: others on the machine hardly count."""
    network = zoo.load(f"{name}@random:0", input_size=96)
    images = torch.randn(30, 3, 96, 96)
    with threadpool_limits(1):
        predicted = costs.predict(_work(name, 96), costs.calibrate(30, time.process_time)).seconds
        start = time.process_time()
        capture(network.module, images)
        measured = time.process_time() - start
    assert predicted / 4 < measured < 4 * predicted


def test_calibration_measures_every_kind():
    machine = costs.calibrate(20)
    assert set(machine.flops) == set(KINDS) - {"elementwise"}
    assert min(*machine.flops.values(), machine.bandwidth, machine.per_call, machine.per_unit, machine.per_output) > 0
    assert machine.n_stimuli == 20
