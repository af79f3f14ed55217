"""Control networks without learning: pixels, local contrast, and a bank of Gabor filters."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from murine.errors import MurineError
from murine.filters import convolve, gabor_bank
from murine.networks.surgery.neurn import NeuRN

Images = Float[Tensor, "n_images channels height width"]


class Control(nn.Module):
    """A fixed network that sees grey images: the mean of the colour channels.

    ``default_cfg`` states its input with timm's keys: values between 0 and 1, not normalised, not cropped. It accepts
    images of any size.
    """

    default_cfg: ClassVar[dict[str, Any]] = {
        "input_size": (3, 64, 64),
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
        "interpolation": "bilinear",
        "crop_pct": 1.0,
    }
    pretrained_cfg = default_cfg  # the name by which timm.data.resolve_model_data_config looks for it


class Pixels(Control):
    """The grey image itself, as the output of the submodule ``pixels``: (n, 1, height, width)."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels = nn.Identity()

    def forward(self, images: Images) -> Float[Tensor, "n_images 1 height width"]:
        grey: Tensor = self.pixels(images.mean(dim=1, keepdim=True))
        return grey


class NeuRNPixels(Control):
    """The local contrast (`murine.networks.surgery.neurn`) of the grey image, the output of the submodule ``neurn``."""

    def __init__(self, kernel_size: int = 3) -> None:
        super().__init__()
        self.neurn = NeuRN(kernel_size)

    def forward(self, images: Images) -> Float[Tensor, "n_images 1 height width"]:
        contrast: Tensor = self.neurn(images.mean(dim=1, keepdim=True))
        return contrast


class EnergyMaps(nn.Module):
    """Complex cells of one wavelength: sqrt(even^2 + odd^2) for each orientation, 4 samples per wavelength."""

    bank: Tensor

    def __init__(self, wavelength: int, n_orientations: int = 8) -> None:
        super().__init__()
        self.wavelength = wavelength
        self.stride = max(1, wavelength // 4)
        self.register_buffer("bank", gabor_bank([float(wavelength)], n_orientations))

    def forward(
        self, grey: Float[Tensor, "n_images 1 height width"]
    ) -> Float[Tensor, "n_images n_orientations out_height out_width"]:
        filtered = convolve(grey, self.bank, stride=self.stride)
        return torch.hypot(filtered[:, 0::2], filtered[:, 1::2])

    def extra_repr(self) -> str:
        return f"wavelength={self.wavelength}, n_orientations={len(self.bank) // 2}, stride={self.stride}"


class Concatenate(nn.Module):
    """Joins maps of several sizes into one row of units for each image."""

    def forward(self, maps: list[Tensor]) -> Float[Tensor, "n_images n_units"]:
        return torch.cat([each.flatten(1) for each in maps], dim=1)


class GaborEnergy(Control):
    """The energies of a bank of Gabor filters.

    The submodules ``energy_4``, ``energy_8``, ``energy_16`` and ``energy_32``, named by the wavelength in pixels,
    return maps (n, n_orientations, height / stride, width / stride). The submodule ``all`` returns all maps as rows (n,
    n_units). The submodule of a wavelength longer than half the height or width of the images is not called.
    """

    def __init__(self, wavelengths: tuple[int, ...] = (4, 8, 16, 32), n_orientations: int = 8) -> None:
        super().__init__()
        self.wavelengths = wavelengths
        for wavelength in wavelengths:
            self.add_module(f"energy_{wavelength}", EnergyMaps(wavelength, n_orientations))
        self.all = Concatenate()

    def forward(self, images: Images) -> Float[Tensor, "n_images n_units"]:
        fitting = [w for w in self.wavelengths if 2 * w <= min(images.shape[-2:])]
        if not fitting:
            raise MurineError(
                f"images of {images.shape[-2]} x {images.shape[-1]} px are too small for a Gabor bank with "
                f"wavelengths {self.wavelengths} px; expected at least {2 * min(self.wavelengths)} px."
            )
        grey = images.mean(dim=1, keepdim=True)
        units: Tensor = self.all([getattr(self, f"energy_{w}")(grey) for w in fitting])
        return units
