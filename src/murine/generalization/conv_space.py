"""Small convolutional networks of a family with six options, which `murine.generalization.search` searches."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from torch import Tensor, nn

from murine.errors import MurineError


class ConvSpace(BaseModel):
    """The options of a small convolutional network: blocks of convolution, normalisation and activation.

    Every block halves the map until it is 4 x 4, and doubles the width up to four times the first width. With ``skip``
    a block adds its input, passed through a 1 x 1 convolution.

    Examples
    --------
    >>> ConvSpace.parse("conv(depth=2)").name
    'conv(depth=2,width=32,kernel=3,norm=batch,activation=relu,skip=False)'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    depth: int = Field(default=3, ge=1, le=8)
    width: int = Field(default=32, ge=4, le=256)
    kernel: int = Field(default=3, ge=1, le=7)  # odd
    norm: str = Field(default="batch", pattern="^(none|batch|instance|layer)$")
    activation: str = Field(default="relu", pattern="^(relu|gelu|elu)$")
    skip: bool = False

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError("a kernel has an odd size")
        return kernel

    @property
    def name(self) -> str:
        """The name of the network with all options: ``conv(depth=3,width=32,...)``."""
        return "conv(" + ",".join(f"{key}={value}" for key, value in self.model_dump(mode="json").items()) + ")"

    @classmethod
    def parse(cls, name: str) -> ConvSpace:
        """Return the options in a name; missing options have their defaults.

        Raises
        ------
        MurineError
            If the name does not have this form, or an option is unknown or out of range.
        """
        match = re.fullmatch(r"conv(?:\((.*)\))?", name)
        parts = [part for part in (match[1] or "").split(",") if part] if match else None
        if parts is None or not all("=" in part for part in parts):
            raise MurineError(f"the network {name!r} is not understood; expected conv(depth=3,width=32), for example.")
        try:
            return cls.model_validate({k.strip(): v.strip() for k, _, v in (part.partition("=") for part in parts)})
        except ValidationError as error:
            first = error.errors()[0]
            raise MurineError(
                f"the network {name!r} cannot be made: {'.'.join(map(str, first['loc']))}, {first['msg'].lower()}. "
                f"Options: {', '.join(cls.model_fields)}."
            ) from error


class _Block(nn.Module):
    def __init__(self, n_in: int, n_out: int, space: ConvSpace, halve: bool) -> None:
        super().__init__()
        norms: dict[str, Callable[[], nn.Module]] = {
            "none": nn.Identity,
            "batch": lambda: nn.BatchNorm2d(n_out),
            "instance": lambda: nn.InstanceNorm2d(n_out, affine=True),
            "layer": lambda: nn.GroupNorm(1, n_out),
        }
        self.conv = nn.Conv2d(n_in, n_out, space.kernel, padding=space.kernel // 2)
        self.norm = norms[space.norm]()
        self.act = {"relu": nn.ReLU, "gelu": nn.GELU, "elu": nn.ELU}[space.activation]()
        self.skip = nn.Conv2d(n_in, n_out, 1) if space.skip else None
        self.pool = nn.MaxPool2d(2) if halve else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        if self.skip is not None:
            y = y + self.skip(x)
        pooled: Tensor = self.pool(self.act(y))
        return pooled


class ConvNet(nn.Module):
    """The network with the options of a `ConvSpace`."""

    def __init__(self, space: ConvSpace, n_classes: int, side: int) -> None:
        super().__init__()
        widths = [3, *(min(space.width * 2**i, 4 * space.width) for i in range(space.depth))]
        n_halvings = round(math.log2(side / 4))
        self.blocks = nn.Sequential(
            *(_Block(a, b, space, i < n_halvings) for i, (a, b) in enumerate(itertools.pairwise(widths)))
        )
        self.head = nn.Linear(widths[-1], n_classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.blocks(x).mean(dim=(-2, -1)))
        return logits
