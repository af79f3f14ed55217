"""A small network, written with modules and again with calls of functions."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class Modules(nn.Module):
    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)  # defined first, runs last and twice
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(2)
        self.last = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.shift = nn.Parameter(torch.zeros(1, 8, 1, 1))

    def forward(self, x):
        x = self.pool(self.relu(self.norm(self.first(x))))
        x = x + self.shift + 1  # no layers
        return self.relu(self.last(x) + x)


class Functions(Modules):
    def forward(self, x):
        x = F.conv2d(x, self.first.weight, self.first.bias, padding=1)
        norm = self.norm
        x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        x = F.max_pool2d(torch.relu_(x), 2) + self.shift + 1
        y = torch.conv2d(x, self.last.weight, self.last.bias, padding=1, groups=8)
        y += x
        return y.relu()
