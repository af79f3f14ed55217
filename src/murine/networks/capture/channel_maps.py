"""Maps of a layer: its features as channels with places, whatever the order of their axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from murine.networks.capture.layers import Features

if TYPE_CHECKING:
    from torch import Tensor

#: Numbers of tokens before those of the patches of an image: class token, distillation token, registers.
N_EXTRA_TOKENS = (0, 1, 2, 5)

#: Largest ratio between the aspect ratios of the maps of a layer and of the images.
MAX_DISTORTION = 1.5


def channel_maps(features: Features) -> Tensor | None:
    """View a layer as (n_stimuli, n_channels, rows, columns); None where it has no channels.

    Of three axes, two are places: the last two (channels first), or the first two if these fit the shape of the images
    better. Of two axes, the last holds channels and the first tokens. The tokens are a square, after none, 1, 2 or 5
    other tokens that are left out; otherwise they are rows of a single column. A single axis holds channels with one
    place.

    Parameters
    ----------
    features
        The features of a layer, inside a reducer of `murine.networks.capture.capture`.

    Examples
    --------
    >>> import torch
    >>> from murine.networks.capture import Features
    >>> channel_maps(Features("tokens", torch.zeros(2, 197, 768))).shape  # a class token and 14 x 14 patches
    torch.Size([2, 768, 14, 14])
    """
    tensor = features.tensor
    shape = features.shape
    if len(shape) == 3:
        height, width = features.image_size if len(features.image_size) == 2 else (1, 1)
        first, last = (abs(np.log(r * width / (c * height))) for r, c in (shape[1:], shape[:2]))
        if min(first, last) > np.log(MAX_DISTORTION):
            return None
        return tensor if first <= last else tensor.permute(0, 3, 1, 2)
    if len(shape) == 2:
        channels = tensor.transpose(1, 2)
        for prefix in N_EXTRA_TOKENS:
            side = round(max(shape[0] - prefix, 0) ** 0.5)
            if side > 1 and side**2 == shape[0] - prefix:
                return channels[:, :, prefix:].reshape(*channels.shape[:2], side, side)
        return channels[..., None]
    return tensor[:, :, None, None] if len(shape) == 1 else None
