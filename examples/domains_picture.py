"""All domains that need no download, a digit of each class, and what corruptions make of two of them.

Run: python examples/domains_picture.py docs/pictures/domains.png

Images are those a network is given by default (32 x 32, resized bilinearly, polarity of the source), each the first of
its class in the test part; read from ``../shared/data`` or where MURINE_SHARED says.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from murine.domains.catalogue import load_domain
from murine.domains.corruptions import STRENGTHS, corrupted, corruptions
from murine.domains.domain import Domain

DOMAINS = ("mnist", "usps", "semeion", "mnist-m", "mnist-m-made", "street", "fonts", "rendered-fonts")

#: Domain and class of the digits that are corrupted.
CORRUPTED = (("mnist", 5), ("street", 8))


def first_of(domain: Domain, label: int) -> Domain:
    return domain.subset([int(np.flatnonzero(domain.labels == label)[0])])


def sheet(rows: list[list[np.ndarray]]) -> np.ndarray:
    """Images in rows, with a line of 2 px between them."""
    framed = [[np.pad(image, ((0, 2), (0, 2), (0, 0)), constant_values=128) for image in row] for row in rows]
    return np.concatenate([np.concatenate(row, axis=1) for row in framed])


def main(target: Path) -> None:
    loaded = {name: load_domain(name, part="test") for name in DOMAINS}
    digits = [[first_of(loaded[name], label).images[0] for label in range(10)] for name in DOMAINS]
    spoilt = []
    for name in corruptions:
        originals = [first_of(loaded[domain], label) for domain, label in CORRUPTED]
        spoilt.append([corrupted(one, name, strength).images[0] for one in originals for strength in STRENGTHS])

    figure = Figure(figsize=(10.4, 3.1), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(len(digits[0]) / len(digits), len(spoilt[0]) / len(spoilt)))
    side = digits[0][0].shape[0] + 2
    for axis, rows, names in ((left, digits, DOMAINS), (right, spoilt, tuple(corruptions))):
        axis.imshow(sheet(rows), interpolation="none")
        axis.set_yticks([side * (i + 0.5) for i in range(len(rows))], names, fontsize=8)
        axis.set_xticks([])
        axis.tick_params(length=0)
        for spine in axis.spines.values():
            spine.set_visible(False)
    ticks = [side * (i + 0.5) for i in range(len(spoilt[0]))]
    right.set_xticks(ticks, [str(strength) for _ in CORRUPTED for strength in STRENGTHS], fontsize=8)
    right.set_xlabel("strength", fontsize=8)
    target.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100)
    Image.open(drawn).convert("RGB").quantize(200).save(target, optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/domains_picture.py TARGET.png")
    main(Path(sys.argv[1]))
