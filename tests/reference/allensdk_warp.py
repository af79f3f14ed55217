"""Ask AllenSDK what the screen showed, and keep enough of its answers to test against without it.

    /path/to/python-with-allensdk-2.16.2 tests/reference/allensdk_warp.py ../shared/data/allen_natural_scenes

writes ``allensdk_warp.npz`` beside this script. A second argument, another npz file, receives the whole pictures.
AllenSDK is only run here; it is no dependency of murine or its tests.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROWS = (0, 150, 600, 1199)
COLUMNS = (0, 700, 960)
STEP = 80


def noise():
    """A template of noise that is the same everywhere: a hash of row and column."""
    rows, columns = np.mgrid[:918, :1174].astype(np.uint32)
    mixed = (rows * np.uint32(73856093)) ^ (columns * np.uint32(19349663))
    mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(1274126177)
    return (mixed >> np.uint32(24)).astype(np.uint8)


def scene(folder):
    """Natural scene 1 as it was displayed, bit for bit, from its native pixels."""
    from PIL import Image

    native = np.asarray(Image.open(Path(folder) / "scenes" / "scene_001.png"))
    index = np.load(Path(folder) / "fullres_index_scenes_0_58.npz")
    return native[index["rows"]][:, index["cols"]]


def main(folder, whole=None):
    from allensdk.brain_observatory.stimulus_info import BrainObservatoryMonitor

    monitor = BrainObservatoryMonitor()
    pictures, answers = {}, {}
    for name, template in (("noise", noise()), ("scene", scene(folder))):
        canvas = monitor.natural_scene_image_to_screen(template.astype(np.float64), origin="upper")
        shown = pictures[name] = monitor.warp_image(canvas)
        answers[f"{name}_rows"] = shown[list(ROWS)]
        answers[f"{name}_columns"] = shown[:, list(COLUMNS)]
        answers[f"{name}_row_sums"] = shown.sum(axis=1, dtype=np.uint32)
        answers[f"{name}_column_sums"] = shown.sum(axis=0, dtype=np.uint32)
    mask = pictures["mask"] = monitor.get_mask() > 0
    # first and last visible column of each visible row: there are no holes
    seen = np.flatnonzero(mask.any(axis=1))
    first, last = mask[seen].argmax(axis=1), mask.shape[1] - 1 - mask[seen, ::-1].argmax(axis=1)
    assert mask.sum() == (last - first + 1).sum(), "the mask has holes"
    answers["mask"] = np.stack([seen, first, last]).astype(np.int16)
    ramps = np.mgrid[:1200, :1920].astype(np.float64)
    answers["origins"] = np.stack([monitor.warp_image(ramp)[::STEP, ::STEP] for ramp in ramps])
    np.savez_compressed(Path(__file__).with_suffix(".npz"), **answers)
    if whole:
        np.savez_compressed(whole, **pictures)


if __name__ == "__main__":
    main(*sys.argv[1:])
