"""ResNet-20 for CIFAR-10, whose shortcuts have no weights (option A of He et al. 2016)."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from murine.networks.layer_tables import Add


class OptionA(nn.Module):
    """The shortcut without weights: every second pixel, and zeros on both sides for the missing channels."""

    def forward(self, input: Tensor) -> Tensor:
        half = input.shape[1] // 2
        return F.pad(input[:, :, ::2, ::2], (0, 0, 0, 0, half, half))


class BasicBlock(nn.Module):
    """Two convolutions and the shortcut around them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, outputs // inputs, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity() if inputs == outputs else OptionA()
        self.add = Add()
        self.relu2 = nn.ReLU()

    def forward(self, input: Tensor) -> Tensor:
        branch = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(input)))))
        output: Tensor = self.relu2(self.add(branch, self.shortcut(input)))
        return output


class CifarResNet(nn.Sequential):
    """ResNet-20 for CIFAR-10, with the names of the stored weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        for stage, widths in enumerate([(16, 16, 16, 16), (16, 32, 32, 32), (32, 64, 64, 64)], start=1):
            self.add_module(f"layer{stage}", nn.Sequential(*(BasicBlock(*pair) for pair in pairwise(widths))))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(64, 10)
