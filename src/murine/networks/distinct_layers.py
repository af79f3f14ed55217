"""How many layers of a network have an output of their own."""

from __future__ import annotations

import numpy as np

from murine.networks.capture import capture
from murine.networks.network import Network
from murine.stimuli import StimulusSet

#: Images that tell outputs apart.
_N_IMAGES = 4


def count_distinct_layers(network: Network, *, seed: int = 0) -> int:
    """Return the number of modules whose output differs from that of every module before, on a few random images.

    A dropout at rest, or a container, gives the output of the module before or inside it, so it does not count.

    Parameters
    ----------
    network
        With the size of images that it is asked about.
    seed
        Draws the images.

    Examples
    --------
    >>> from murine.networks import zoo
    >>> count_distinct_layers(zoo.load("torchvision:resnet18@random:0", input_size=64))
    60
    """
    shape = (_N_IMAGES, *network.preprocessing.input_size, 3)
    images = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    stimuli = StimulusSet(images, tuple(map(str, range(_N_IMAGES))), (), "noise")
    layers = capture(network.module, network.preprocessing.apply(stimuli))
    return sum(not layer.same_as for layer in layers)
