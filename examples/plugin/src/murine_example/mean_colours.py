"""A control network: the mean colour of every patch of an image."""

from __future__ import annotations

from torch import Tensor, nn

from murine.networks.control_modules import Control


class MeanColours(Control):
    """Mean colours of 8 x 8 patches at the submodule ``patches``: (n, 3, height, width) to (n, 3, 8, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.AdaptiveAvgPool2d(8)

    def forward(self, images: Tensor) -> Tensor:
        means: Tensor = self.patches(images)
        return means
