"""Allen Brain Observatory, Neuropixels, as a public data set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.cortex.allen.public_options import (
    AREA,
    IMAGES,
    KEEP_RAW,
    LIMIT,
    SESSIONS,
    TERMS,
    one_of,
    opened,
    scene_images,
)
from murine.cortex.public_data import (
    DataAccess,
    DownloadPlan,
    DownloadResult,
    Listing,
    PublicDataset,
    PublicOption,
    Settings,
)
from murine.errors import MurineError
from murine.literature import OBSERVATORY, SIEGLE

if TYPE_CHECKING:
    from murine.cortex.allen.holdings import Neuropixels, SpikeCounts
    from murine.cortex.recording import Recording
    from murine.progress import AnyProgress
    from murine.stimuli import StimulusSet


def _window(text: str) -> SpikeCounts:
    """``50:250`` -> spikes from 0.05 s to 0.25 s"""
    from murine.cortex.allen.holdings import SpikeCounts

    start, _, stop = text.partition(":")
    try:
        return SpikeCounts(float(start) / 1000, float(stop) / 1000)
    except MurineError:
        raise
    except ValueError:
        raise MurineError(f"--window {text!r} is not understood; expected milliseconds after onset as 0:250.") from None


class AllenNeuropixels(PublicDataset):
    """Spikes of single units in six visual areas, in answer to 118 natural scenes."""

    name = "allen-neuropixels"
    about = "Allen Brain Observatory, Neuropixels: spikes of single units to 118 natural scenes."
    citations = (SIEGLE, OBSERVATORY)
    licence = TERMS
    options = (
        AREA,
        SESSIONS,
        LIMIT,
        PublicOption(
            "window",
            "What is counted: milliseconds after onset as 50:250; repeat for more. [default: 0:250]",
            ("plan", "build"),
            many=True,
            parse=_window,
        ),
        KEEP_RAW,
        *IMAGES,
    )

    def list(self, access: DataAccess, settings: Settings, *, progress: AnyProgress | None = None) -> Listing:
        """List sessions with the number of units in each area."""
        tables = self._archive(access).tables(refresh=access.refresh, progress=progress)
        areas = settings["area"]
        return Listing(tables.unit_counts(tables.chosen_sessions(areas, settings["sessions"]), areas))

    def plan(self, access: DataAccess, settings: Settings, *, progress: AnyProgress | None = None) -> DownloadPlan:
        """Tell which sessions are not here yet, and what has to come."""
        from murine.cortex.allen.fetch_wording import download_plan

        archive = self._archive(access)
        windows = settings["window"] or (_window("0:250"),)
        tables = archive.tables(refresh=access.refresh, progress=progress)
        numbers = tables.chosen_sessions(settings["area"], settings["sessions"], settings["limit"])
        with_images = not archive.templates.file.exists()
        sessions = archive.sessions(numbers, windows)
        return download_plan(archive, sessions, access, settings["keep-raw"], windows, with_images=with_images)

    def fetch(self, plan: DownloadPlan, *, progress: AnyProgress | None = None) -> DownloadResult:
        """Fetch the images and the sessions, and count the spikes of each session in every window."""
        from murine.cortex.allen.fetch_wording import download_result

        work, archive = plan.work, self._archive(plan.access)
        archive.fetch_templates(progress=progress)
        report = archive.fetch_sessions(
            work.plan, work.measures, keep_raw=work.keep_raw, workers=plan.access.workers, progress=progress
        )
        return download_result(report, work.plan, archive)

    def build(self, access: DataAccess, settings: Settings, *, progress: AnyProgress | None = None) -> Recording:
        """Join the recordings of sessions; with areas, only their units."""
        archive = self._archive(access)
        tables, areas = archive.tables(progress=progress), settings["area"]
        numbers = tables.chosen_sessions(areas, settings["sessions"], settings["limit"])
        window = one_of(settings["window"], "--window", _window("0:250"))
        recording = archive.recording(numbers, window, progress=progress)
        return recording.select(area=[*areas]) if areas else recording

    def images(self, access: DataAccess, settings: Settings) -> StimulusSet:
        """Return the 118 natural scenes."""
        return scene_images(self._archive(access).templates, settings)

    def _archive(self, access: DataAccess) -> Neuropixels:
        from murine.cortex.allen.holdings import Neuropixels

        return opened(Neuropixels, access)


neuropixels = AllenNeuropixels()
