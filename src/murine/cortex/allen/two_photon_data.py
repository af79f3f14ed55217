"""Allen Brain Observatory, two-photon imaging, as a public data set."""

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
from murine.cortex.allen.transgenic import layer_schemes
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
from murine.literature import DE_VRIES, OBSERVATORY

if TYPE_CHECKING:
    from murine.cortex.allen.catalogue import Catalogue
    from murine.cortex.allen.holdings import TwoPhoton
    from murine.cortex.recording import Recording
    from murine.progress import AnyProgress
    from murine.stimuli import StimulusSet

#: Columns that describe an experiment in short.
_AT_A_GLANCE = (
    *("experiment_id", "container_id", "area", "depth_um", "layer", "cre_line", "cell_class", "indicator"),
    *("donor", "sex", "date", "failed", "tags"),
)


def _range(text: str) -> tuple[float, float]:
    """``175`` -> (175, 175), ``150:250`` -> (150, 250)"""
    low, _, high = text.partition(":")
    try:
        bounds = float(low), float(high or low)
    except ValueError:
        bounds = (1.0, 0.0)
    if not bounds[0] <= bounds[1]:
        raise MurineError(f"--depth {text!r} is not understood; expected um as 175, or a range as 150:250.")
    return bounds


class AllenTwoPhoton(PublicDataset):
    """Calcium responses of single cells to 118 natural scenes: six areas, four layers, 13 Cre lines."""

    name = "allen"
    about = "Allen Brain Observatory, two-photon: calcium responses of single cells to 118 natural scenes."
    citations = (DE_VRIES, OBSERVATORY)
    licence = TERMS
    options = (
        AREA,
        PublicOption(
            "cre",
            "Only this Cre line, or a unique part of its name; repeat for more.",
            ("list", "plan", "build"),
            many=True,
        ),
        PublicOption(
            "class", "Only excitatory or inhibitory lines; repeat for more.", ("list", "plan", "build"), many=True
        ),
        PublicOption(
            "depth",
            "Only this depth in um (175), or range (150:250); repeat for more.",
            ("list", "plan", "build"),
            many=True,
            parse=_range,
        ),
        PublicOption("layer", "Only this layer (2/3); repeat for more.", ("list", "plan", "build"), many=True),
        SESSIONS,
        LIMIT,
        PublicOption(
            "no-tagged",
            "Leave out containers with a tag, such as Epileptiform Events.",
            ("list", "plan", "build"),
            bool,
        ),
        PublicOption("failed", "Include containers that failed quality control.", ("list", "plan", "build"), bool),
        PublicOption(
            "layer-scheme",
            "Rule that derives the layer from depth and Cre line.",
            ("list", "plan", "build"),
            default="allen-cnn",
            choices=layer_schemes,
        ),
        PublicOption("by", "Columns to count by, joined by commas.", ("list",), default="area,cre_line,cell_class"),
        PublicOption("each", "List every session instead of counts.", ("list",), bool),
        PublicOption(
            "cells", "Also count the cells of all sessions of a container (reads a large table).", ("list",), bool
        ),
        PublicOption(
            "events", "Also fetch events and make recordings of them (like --signal events).", ("plan",), bool
        ),
        PublicOption(
            "signal",
            "corrected (fluorescence), dff or events; repeat for more. [default: corrected]",
            ("plan", "build"),
            many=True,
        ),
        PublicOption(
            "window",
            "Window after onset to average: allensdk, de-vries2020, 0-250ms, or frames: 2:12; repeat for more. "
            "[default: allensdk]",
            ("plan", "build"),
            many=True,
        ),
        KEEP_RAW,
        *IMAGES,
    )

    def list(self, access: DataAccess, settings: Settings, *, progress: AnyProgress | None = None) -> Listing:
        """Count the experiments that meet all conditions, or list them."""
        catalogue = self._archive(access).catalogue(
            layer_scheme=settings["layer-scheme"], cells=settings["cells"], refresh=access.refresh, progress=progress
        )
        chosen = _chosen(catalogue, settings)
        columns = [part.strip() for part in settings["by"].split(",") if part.strip()]
        table = chosen.experiments if settings["each"] else chosen.summary(columns)
        shown = table
        if settings["each"]:
            shown = table[[*_AT_A_GLANCE]].assign(date=table["date"].str[:10])
        if "depth_um" in shown:
            shown = shown.assign(depth_um=[f"{depth:g}" for depth in shown["depth_um"]])
        n, n_mice = len(chosen.experiments), chosen.experiments.donor.nunique()
        note = (
            f"{n:,} experiment{'s'[: n != 1]} with natural scenes, of {n_mice:,} {'mouse' if n_mice == 1 else 'mice'}"
        )
        note += "" if settings["failed"] else "; those of failed containers are left out (--failed)"
        return Listing(table, shown, note)

    def plan(self, access: DataAccess, settings: Settings, *, progress: AnyProgress | None = None) -> DownloadPlan:
        """Return the plan: which experiments are missing, and which files must be fetched."""
        from murine.cortex.allen.fetch_wording import download_plan
        from murine.cortex.allen.reduction import measures_of

        archive = self._archive(access)
        signals = settings["signal"] or ("corrected",)
        measures = measures_of([*signals, *(["events"] if settings["events"] else [])], settings["window"])
        catalogue = archive.catalogue(layer_scheme=settings["layer-scheme"], refresh=access.refresh, progress=progress)
        chosen = _chosen(catalogue, settings)
        sessions = archive.sessions(chosen.experiments.experiment_id.tolist(), measures)
        return download_plan(archive, sessions, access, settings["keep-raw"], measures)

    def fetch(self, plan: DownloadPlan, *, progress: AnyProgress | None = None) -> DownloadResult:
        """Fetch experiments, and make a recording of each by every measure."""
        from murine.cortex.allen.fetch_wording import download_result

        work, archive = plan.work, self._archive(plan.access)
        report = archive.fetch_sessions(
            work.plan, work.measures, keep_raw=work.keep_raw, workers=plan.access.workers, progress=progress
        )
        return download_result(report, work.plan, archive)

    def build(self, access: DataAccess, settings: Settings, *, progress: AnyProgress | None = None) -> Recording:
        """Join the recordings of the experiments that meet all conditions."""
        from murine.cortex.allen.reduction import measures_of

        signal = one_of(settings["signal"], "--signal", "corrected")
        (measure,) = measures_of([signal], [one_of(settings["window"], "--window", "allensdk")])
        archive = self._archive(access)
        catalogue = archive.catalogue(layer_scheme=settings["layer-scheme"], progress=progress)
        return archive.recording(_chosen(catalogue, settings), measure, progress=progress)

    def images(self, access: DataAccess, settings: Settings) -> StimulusSet:
        """Return the 118 natural scenes, from the first experiment that was fetched."""
        return scene_images(self._archive(access).templates, settings)

    def _archive(self, access: DataAccess) -> TwoPhoton:
        from murine.cortex.allen.holdings import TwoPhoton

        return opened(TwoPhoton, access)


def _chosen(catalogue: Catalogue, settings: Settings) -> Catalogue:
    """Keep the experiments that meet the conditions of options."""
    return catalogue.select(
        area=settings["area"],
        cre_line=settings["cre"],
        cell_class=settings["class"],
        depth=settings["depth"],
        layer=settings["layer"],
        experiments=settings["sessions"],
        tagged=not settings["no-tagged"],
        failed=settings["failed"],
        limit=settings.get("limit"),
    )


two_photon = AllenTwoPhoton()
