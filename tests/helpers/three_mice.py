"""A public data set as a stranger writes it: three mice whose files any web server can have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from murine import download
from murine.cortex.joining import join
from murine.cortex.public_data import (
    DataAccess,
    DownloadPlan,
    DownloadResult,
    Listing,
    PublicDataset,
    PublicOption,
    Settings,
)
from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.io.files import cache_folder, read_npz
from murine.literature import Citation
from murine.stimuli import StimulusSet

MICE = {"anna": "VISp", "bert": "VISp", "carl": "VISl"}
N_NEURONS, N_IMAGES, N_REPETITIONS = 4, 12, 3


class ThreeMice(PublicDataset):
    """Three mice that saw twelve gratings."""

    name = "three-mice"
    about = "Three mice that saw twelve gratings."
    citations = (Citation("Mus et al. 2020", "Mus M (2020). Gratings.", "https://doi.org/10.1/mus"),)
    licence = "CC0."
    options = (
        PublicOption("area", "Only this area (VISp); repeat for more.", ("list", "plan", "build"), many=True),
        PublicOption("whiskers", "How many whiskers a mouse has.", ("list",), int, default=24),
        PublicOption("grey", "Images as their mean.", ("images",), bool),
    )

    def list(self, access: DataAccess, settings: Settings, *, progress: object = None) -> Listing:
        chosen = _chosen(settings)
        table = pd.DataFrame({"mouse": chosen, "area": [MICE[m] for m in chosen], "whiskers": settings["whiskers"]})
        return Listing(table, table[["mouse", "area"]], f"{len(chosen)} mice")

    def plan(self, access: DataAccess, settings: Settings, *, progress: object = None) -> DownloadPlan:
        names = ["gratings", *_chosen(settings)]
        folder = _folder(access)
        transfers = [
            download.Transfer(download.Remote(f"{access.endpoint}/{n}.npz"), folder / f"{n}.npz") for n in names
        ]
        missing = [transfer for transfer in transfers if not transfer.file.exists()]
        return DownloadPlan((f"{len(missing)} of {len(names)} files to fetch",), bool(missing), access, missing)

    def fetch(self, plan: DownloadPlan, *, progress: object = None) -> DownloadResult:
        done = download.fetch(plan.work, check=plan.access.check, retries=plan.access.retries)
        failed = [f"{one.transfer.file.name}: {one.reason}" for one in done if one.state == "failed"]
        return DownloadResult(f"{len(done) - len(failed)} files fetched", failure="; ".join(failed))

    def build(self, access: DataAccess, settings: Settings, *, progress: object = None) -> Recording:
        here = [name for name in _chosen(settings) if (_folder(access) / f"{name}.npz").exists()]
        if not here:
            raise MurineError("no mouse is here; `murine data fetch three-mice` fetches them.")
        return join([self._mouse(_folder(access) / f"{name}.npz") for name in here], self.name)

    def images(self, access: DataAccess, settings: Settings) -> StimulusSet:
        images = read_npz(_folder(access) / "gratings.npz")["images"]
        if settings["grey"]:
            images = np.broadcast_to(images.mean(axis=(1, 2), keepdims=True).astype(np.uint8), images.shape)
        return StimulusSet(images, ids(), (), "gratings")

    def _mouse(self, file: Path) -> Recording:
        rates = read_npz(file)["rates"]
        labels = {"neuroid_id": [f"{file.stem}-{i}" for i in range(N_NEURONS)], "area": [MICE[file.stem]] * N_NEURONS}
        return Recording.from_arrays(rates, labels, {"stimulus_id": [*ids()]}, name=file.stem)


def ids() -> tuple[str, ...]:
    return tuple(f"g{i:02d}" for i in range(N_IMAGES))


def write_files(folder: Path) -> None:
    """Write what the server has."""
    random = np.random.default_rng(0)
    np.savez(folder / "gratings.npz", images=random.integers(0, 256, (N_IMAGES, 16, 16), dtype=np.uint8))
    for mouse in MICE:
        np.savez(folder / f"{mouse}.npz", rates=random.gamma(2.0, 1.0, (N_NEURONS, N_IMAGES, N_REPETITIONS)))


def _chosen(settings: Settings) -> list[str]:
    return [mouse for mouse, area in MICE.items() if not settings["area"] or area in settings["area"]]


def _folder(access: DataAccess) -> Path:
    return cache_folder(access.cache) / "three-mice"


three_mice = ThreeMice()
