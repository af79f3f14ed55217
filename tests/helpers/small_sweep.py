"""A sweep that takes seconds, and comparisons of its rows."""

from __future__ import annotations

import glob
from pathlib import Path

import pandas as pd
import small_cortex
import yaml


def write(folder: Path) -> Path:
    """Write ``sweep.yaml``, and the networks, images and responses that it names; return the file."""
    small_cortex.write(folder)
    return write_sweep(folder / "sweep.yaml", folder)


def write_sweep(file: Path, folder: Path, **changes: object) -> Path:
    """Write a sweep of three networks and the controls at two input sizes, by two metrics and both treatments."""
    content = {
        "networks": [f"{folder}/nets.py:{name}@random:0" for name in ("conv", "pool", "square")],
        "data": [{"name": str(folder / "mouse.nc"), "stimuli": str(folder / "images.npz")}],
        "input_sizes": [16, 24],
        "metrics": ["rsa-pearson", "cka"],
        "normalise": "both",
        "bootstraps": 20,
        "permutations": 20,
        "splits": 5,
    }
    file.write_text(yaml.safe_dump({**content, **changes}))
    return file


def rows(atlas: Path) -> pd.DataFrame:
    """All rows of an atlas, in the order of their files."""
    files = sorted(glob.glob(f"{atlas}/scores/*.parquet"))
    return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)


def assert_same_rows(atlas: Path, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(rows(atlas), expected, check_exact=True)
