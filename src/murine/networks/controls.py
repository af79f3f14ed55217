"""Control networks: what pixels, local contrast and a Gabor bank explain without any learning."""

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
    """A fixed network on grey images: the mean of the channels.

    ``default_cfg`` describes its input as timm does: values between 0 and 1, not normalised, not cropped.
    Images of another size are taken too.
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
    """The grey image itself, at the submodule ``pixels``: (n, 3, height, width) to (n, 1, height, width)."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels = nn.Identity()

    def forward(self, images: Images) -> Float[Tensor, "n_images 1 height width"]:
        grey: Tensor = self.pixels(images.mean(dim=1, keepdim=True))
        return grey


class NeuRNPixels(Control):
    """The local contrast of the grey image (`murine.networks.surgery.neurn`), at the submodule ``neurn``."""

    def __init__(self, kernel_size: int = 3) -> None:
        super().__init__()
        self.neurn = NeuRN(kernel_size)

    def forward(self, images: Images) -> Float[Tensor, "n_images 1 height width"]:
        contrast: Tensor = self.neurn(images.mean(dim=1, keepdim=True))
        return contrast


class EnergyMaps(nn.Module):
    """Complex cells of one wavelength: sqrt(even^2 + odd^2) by orientation, sampled 4 times a wavelength."""

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
    """Maps of several sizes as one row of units per image."""

    def forward(self, maps: list[Tensor]) -> Float[Tensor, "n_images n_units"]:
        return torch.cat([each.flatten(1) for each in maps], dim=1)


class GaborEnergy(Control):
    """Energies of a Gabor bank.

    At the submodules ``energy_4``, ``energy_8``, ``energy_16``, ``energy_32``, named by the wavelength in
    pixels, are maps (n, n_orientations, height / stride, width / stride); at ``all`` all of them as rows
    (n, n_units). A wavelength of more than half the height or width of an image is left out: its
    submodule is not called then.
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
