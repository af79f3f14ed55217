"""What NeuRN makes of real digits: pictures from four sources, under each the layer with windows of 3 and 4 px.

Run: python examples/neurn_picture.py docs/pictures/neurn_digits.png

MNIST (28 x 28, grey), MNIST-M (32 x 32, colour), USPS (16 x 16, grey) and digits cut out of street photographs (32 x
32, colour), the first of every second class of each; read from ``digits`` in ``../shared/data`` beside the repository,
or where MURINE_SHARED says. Colours become colours: every channel has its own contrast, over one maximum per picture.
Printed is how alike the layer and Sobel's filters are: the mean over pictures of the correlation over pixels.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

from murine import NeuRN, NeuRNTransform
from murine.networks.surgery.rival_layers import Sobel

CLASSES = (0, 2, 4, 6, 8)
WINDOWS = (3, 4)
Pictures = list[np.ndarray]  # (height, width) or (height, width, 3), uint8


def folder() -> Path:
    given = os.environ.get("MURINE_SHARED")
    shared = Path(given) if given else Path(__file__).resolve().parents[2] / "shared"
    places = [shared / "data" / "digits", shared / "digits"]
    if found := [place for place in places if place.is_dir()]:
        return found[0]
    raise FileNotFoundError(
        f"The digits are neither in {places[0]} nor in {places[1]}. Set the environment variable MURINE_SHARED to the "
        "folder that holds data/digits."
    )


def arrays(name: str) -> tuple[Pictures, list[int]]:
    with np.load(folder() / f"{name}.npz") as stored:
        images, labels = stored["x_train"][:2000], stored["y_train"][:2000]
    return list((images * (255 / images.max())).astype(np.uint8)), labels.tolist()


def tiles(name: str, columns: int) -> tuple[Pictures, list[int]]:
    """Tiles of 32 x 32 in rows of ``columns``, without those of bad quality, where that is told."""
    with (folder() / f"{name}.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("quality", "good") == "good"]
    sheet = np.asarray(Image.open(folder() / f"{name}.png").convert("RGB"))
    corners = [divmod(int(row["tile"]), columns) for row in rows]
    pictures = [sheet[32 * i : 32 * i + 32, 32 * j : 32 * j + 32] for i, j in corners]
    return pictures, [int(row["label"]) for row in rows]


def correlation(pictures: Pictures) -> float:
    images = torch.stack([torch.from_numpy(np.atleast_3d(p).transpose(2, 0, 1) / 255) for p in pictures])
    both = [layer(images).flatten(1) for layer in (NeuRN(3), Sobel())]
    centred = [nn.functional.normalize(x - x.mean(dim=1, keepdim=True), dim=1) for x in both]
    return float((centred[0] * centred[1]).sum(dim=1).mean())


def main(target: Path) -> None:
    sources = {
        "MNIST": arrays("mnist"),
        "MNIST-M": tiles("mnist_m_subset", 25),
        "USPS": arrays("usps"),
        "street": tiles("street_chars", 15),
    }
    figure = Figure(figsize=(10, 6.6), layout="constrained")
    panels = np.asarray(figure.subfigures(2, 2, wspace=0.03, hspace=0.03)).flat
    for panel, (name, (every, labels)) in zip(panels, sources.items(), strict=True):
        print(f"{name}: {len(every)} pictures, correlation with Sobel's {correlation(every):.3f}")
        pictures = [every[labels.index(digit)] for digit in CLASSES]
        height, width = pictures[0].shape[:2]
        panel.suptitle(f"{name}, {height} x {width}", fontsize=9)
        axes = panel.subplots(1 + len(WINDOWS), len(CLASSES))
        for column, picture in enumerate(pictures):
            shown = [torch.from_numpy(np.atleast_3d(picture).transpose(2, 0, 1) / 255)]
            shown += [NeuRNTransform(k)(picture) for k in WINDOWS]
            for row, image in enumerate(shown):
                axis = axes[row, column]
                pixels = image.permute(1, 2, 0).squeeze(-1).numpy()
                axis.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="none")
                axis.set(xticks=[], yticks=[])
                if column == 0:
                    axis.set_ylabel(f"k = {WINDOWS[row - 1]}" if row else "image", fontsize=8)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=80, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/neurn_picture.py TARGET.png")
    main(Path(sys.argv[1]))
