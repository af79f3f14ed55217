"""Example images of a domain, before and after NeuRN, as pictures of a page."""

from __future__ import annotations

import base64
import io

import numpy as np
from jaxtyping import UInt8

from murine.domains.domain import Domain

#: How many times an image is enlarged in each direction.
_ZOOM = 2


def example_grid(domain: Domain, kernel_size: int = 3) -> UInt8[np.ndarray, "height width 3"]:
    """The first image of every class, and below it the image after NeuRN."""
    import torch

    from murine.networks.surgery.neurn import neurn

    first = [int(np.flatnonzero(domain.labels == label)[0]) for label in np.unique(domain.labels)]
    images = domain.images[first]
    pixels = torch.from_numpy(images.copy()).permute(0, 3, 1, 2).float() / 255
    contrast = np.rint(255 * neurn(pixels, kernel_size).permute(0, 2, 3, 1).numpy()).astype(np.uint8)
    return np.concatenate([np.concatenate(list(row), axis=1) for row in (images, contrast)], axis=0)


def examples(domain: Domain) -> str:
    """`example_grid` as the address of a PNG that is in the page itself."""
    from PIL import Image

    grid = example_grid(domain)
    picture = Image.fromarray(grid).resize((grid.shape[1] * _ZOOM, grid.shape[0] * _ZOOM), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
