"""A network with all that identifies it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from murine.networks.preprocessing import Preprocessing


@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """A network with its weights and preprocessing.

    Attributes
    ----------
    name
        A timm name, a name with its source (``torchvision:alexnet``), ``file.py:factory`` or a control; with
        ``+VARIANT`` where there is one.
    weights
        ``pretrained:TAG``, ``random:SEED``, ``file:NAME``, ``as built`` (a user's function made them and does not state
        their origin) or ``none`` (controls).
    role
        ``trained``, ``random``, ``as built`` or ``control``.
    digest
        sha256 of the name, the modules, the weights, the variant and, for a user's function, its source file.
    variant
        Layers that were inserted, for example ``neurn(k=3)@input``, joined by ``+``; '' if there are none.

    Examples
    --------
    >>> import murine
    >>> network = murine.load_network("resnet18@random:0", input_size=64)
    >>> network
    <Network resnet18 (random:0): 11,689,512 parameters, images of 64 x 64 px>
    >>> network.role, network.preprocessing.input_size
    ('random', (64, 64))
    """

    name: str
    weights: str
    role: str
    module: nn.Module
    preprocessing: Preprocessing
    digest: str
    variant: str = ""

    @property
    def n_parameters(self) -> int:
        """Number of trained numbers; those that modules share count once."""
        return sum(parameter.numel() for parameter in self.module.parameters())

    def __repr__(self) -> str:
        height, width = self.preprocessing.input_size
        return (
            f"<Network {self.name} ({self.weights}): {self.n_parameters:,} parameters, images of {height} x {width} px>"
        )
