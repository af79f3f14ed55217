"""Commands that find, fetch and show cortical data."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from murine.cli.common import (
    CacheOption,
    DataOption,
    FormatOption,
    QuietOption,
    limited,
    quieten,
    whole_number,
)
from murine.cli.tables import Format, show
from murine.errors import MurineError, nearest
from murine.limits import COUNT, INPUT_SIZE, SECONDS, Limits

if TYPE_CHECKING:
    from murine.cortex.allen.archive import Archive
    from murine.cortex.allen.catalogue import Catalogue
    from murine.cortex.allen.fetch_plan import FetchPlan
    from murine.cortex.allen.fetch_plan import FetchReport as Report
    from murine.cortex.allen.holdings import Neuropixels, SpikeCounts, TwoPhoton
    from murine.cortex.allen.reduction import Measure
    from murine.cortex.recording import Recording
    from murine.stimuli import StimulusSet

app = typer.Typer(no_args_is_help=True, help="Cortical data: what there is, fetching, choosing neurons.")

#: Data sets of the public bucket, by the names these commands give them.
ALLEN, NEUROPIXELS = "allen", "allen-neuropixels"

#: The selection whose embedding can be drawn.
_BY_CLUSTERS = "mice-to-machines"


class Check(StrEnum):
    """What a fetched file is held against."""

    etag = "etag"
    size = "size"


class Scheme(StrEnum):
    """Rules that make layers of depth and line."""

    allen_cnn = "allen-cnn"
    de_vries2020 = "de-vries2020"


AreaOption = Annotated[list[str] | None, typer.Option("--area", help="Only this area (VISp); repeat for more.")]
CreOption = Annotated[
    list[str] | None, typer.Option("--cre", help="Only this Cre line, or a unique part of its name; repeat for more.")
]
ClassOption = Annotated[
    list[str] | None, typer.Option("--class", help="Only excitatory or inhibitory lines; repeat for more.")
]
DepthOption = Annotated[
    list[str] | None, typer.Option("--depth", help="Only this depth in um (175), or range (150:250); repeat for more.")
]
LayerOption = Annotated[list[str] | None, typer.Option("--layer", help="Only this layer (2/3); repeat for more.")]
SchemeOption = Annotated[Scheme, typer.Option("--layer-scheme", help="Rule that makes layers of depth and line.")]
SessionsOption = Annotated[
    list[int] | None,
    typer.Option("--experiments", "--sessions", help="Only this experiment (session) id; repeat for more."),
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", callback=limited("--limit", COUNT), help="At most so many sessions.")
]
NoTaggedOption = Annotated[
    bool, typer.Option("--no-tagged", help="Leave out containers with a tag, as Epileptiform Events.")
]
FailedOption = Annotated[bool, typer.Option("--failed", help="With containers that failed quality control.")]
SignalOption = Annotated[
    list[str] | None,
    typer.Option("--signal", help="corrected (fluorescence), dff or events; repeat for more. [default: corrected]"),
]
WindowOption = Annotated[
    list[str] | None,
    typer.Option(
        "--window",
        help="What is averaged after onset: allensdk, de-vries2020, 0-250ms, or frames as 2:12; for allen-neuropixels "
        "milliseconds as 0:250, the default; repeat for more. [default: allensdk]",
    ),
]
EndpointOption = Annotated[
    str, typer.Option("--endpoint", help="Another server with the bucket, as http://localhost:9000.")
]
RefreshOption = Annotated[
    bool, typer.Option("--refresh", help="Ask for newer tables, and try again what could not be made.")
]

#: What there is to see of an experiment at a glance.
_AT_A_GLANCE = (
    *("experiment_id", "container_id", "area", "depth_um", "layer", "cre_line", "cell_class", "indicator"),
    *("donor", "sex", "date", "failed", "tags"),
)


@app.command("list")
def data_list(
    name: Annotated[
        str, typer.Argument(help="Nothing: the names --against knows. allen, allen-neuropixels: what can be fetched.")
    ] = "",
    area: AreaOption = None,
    cre: CreOption = None,
    cell_class: ClassOption = None,
    depth: DepthOption = None,
    layer: LayerOption = None,
    experiments: SessionsOption = None,
    no_tagged: NoTaggedOption = False,
    failed: FailedOption = False,
    layer_scheme: SchemeOption = Scheme.allen_cnn,
    by: Annotated[
        str,
        typer.Option("--by", help="What to count by; columns with commas. [default: area,cre_line,cell_class]"),
    ] = "",
    each: Annotated[bool, typer.Option("--each", help="List every session instead of counts.")] = False,
    cells: Annotated[
        bool, typer.Option("--cells", help="Count cells too, of all sessions of a container (reads a large table).")
    ] = False,
    cache: CacheOption = None,
    endpoint: EndpointOption = "",
    refresh: RefreshOption = False,
    format: FormatOption = Format.table,
) -> None:
    """List data sets, or filter and count what a public one holds.

    Examples:

    `murine data list`

    `murine data list allen --area VISp --class inhibitory`

    `murine data list allen --cre sst --by area,layer,depth_um --cells`

    `murine data list allen --each --format csv`
    """
    import pandas as pd

    from murine.cortex.datasets import datasets
    from murine.progress import progress_bars

    if not name:
        about = [(name, _first_sentences(datasets[name].__doc__ or "")) for name in sorted(datasets)]
        show(pd.DataFrame(about, columns=["name", "about"]), format)
        if format is Format.table:
            print(
                f"These are for --against. `murine data list {ALLEN}` and `murine data list {NEUROPIXELS}` list what "
                "can be fetched from the public bucket.",
                file=sys.stderr,
            )
        return
    archive = _archive(name, cache, endpoint)
    if name == NEUROPIXELS:
        _refuse_two_photon_only(cre, cell_class, depth, layer, no_tagged, failed, layer_scheme, by=by, cells=cells)
        with progress_bars(True) as progress:
            tables = archive.tables(refresh=refresh, progress=progress)
        show(_unit_counts(tables, area, _session_numbers(tables, area, experiments, None)), format, compact=False)
        return
    with progress_bars(True) as progress:
        catalogue = archive.catalogue(layer_scheme=layer_scheme.value, cells=cells, refresh=refresh, progress=progress)
    chosen = _chosen(catalogue, area, cre, cell_class, depth, layer, experiments, no_tagged, failed, None)
    table = chosen.experiments if each else chosen.summary(_names(by or "area,cre_line,cell_class"))
    if format is not Format.table:
        show(table, format)
        return
    if each:
        table = table[list(_AT_A_GLANCE)].assign(date=table["date"].str[:10])
    if "depth_um" in table:
        table = table.assign(depth_um=[f"{depth:g}" for depth in table["depth_um"]])
    show(table, format, compact=False)
    total = chosen.experiments
    print(
        f"{_number(len(total), 'experiment')} with natural scenes, of {_number(total.donor.nunique(), 'mouse', 'mice')}"
        + ("" if failed else "; those of failed containers are left out (--failed)"),
        file=sys.stderr,
    )


@app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="allen (two-photon) or allen-neuropixels.")],
    area: AreaOption = None,
    cre: CreOption = None,
    cell_class: ClassOption = None,
    depth: DepthOption = None,
    layer: LayerOption = None,
    experiments: SessionsOption = None,
    limit: LimitOption = None,
    no_tagged: NoTaggedOption = False,
    failed: FailedOption = False,
    events: Annotated[
        bool, typer.Option("--events", help="Fetch events too, and make recordings of them (as --signal events).")
    ] = False,
    signal: SignalOption = None,
    window: WindowOption = None,
    layer_scheme: SchemeOption = Scheme.allen_cnn,
    keep_raw: Annotated[
        bool | None,
        typer.Option(
            "--keep-raw/--reduce",
            help="Keep raw files, or delete each when its recordings are made, also those that were kept before. "
            "[default: delete those that this command fetches]",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and stop.")] = False,
    cache: CacheOption = None,
    endpoint: EndpointOption = "",
    workers: Annotated[
        int, typer.Option("--workers", callback=limited("--workers", Limits(1, 32)), help="Files at a time.")
    ] = 4,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", callback=limited("--timeout", SECONDS), help="Seconds without a byte before a retry."
        ),
    ] = 30.0,
    retries: Annotated[
        int,
        typer.Option("--retries", callback=limited("--retries", Limits(0, 1000)), help="Attempts without progress."),
    ] = 5,
    check: Annotated[
        Check, typer.Option("--check", help="Compare with the ETag, or only the size where ETags are no digests.")
    ] = Check.etag,
    refresh: RefreshOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fetch sessions from the public bucket and make recordings of them; never a movie file.

    First it tells how many files and bytes will come and how much disk is free. Files come several at a time, are
    verified, and go on where they stopped after Ctrl-C, a crash or a cut. Each becomes its recordings (a few MB) and
    is deleted, unless it is to be kept: ask for all signals and windows at once, or keep raw files.

    Examples:

    `murine data fetch allen --area VISp --cre cux2 --limit 4`

    `murine data fetch allen --events --yes`

    `murine data fetch allen --class inhibitory --signal dff --window de-vries2020 --keep-raw`

    `murine data fetch allen-neuropixels --area VISp --limit 2 --window 50:250`
    """
    from murine.progress import progress_bars

    quieten(quiet)
    archive = _archive(name, cache, endpoint, check=check.value, timeout=timeout, retries=retries)
    with progress_bars(not quiet) as progress:
        if name == NEUROPIXELS:
            _refuse_two_photon_only(
                cre, cell_class, depth, layer, no_tagged, failed, layer_scheme, signal=signal, events=events
            )
            windows = _spike_windows(window)
            tables = archive.tables(refresh=refresh, progress=progress)
            numbers = _session_numbers(tables, area, experiments, limit)
            sessions = archive.sessions(numbers, windows)
        else:
            measures = _measures([*(signal or ["corrected"]), *(["events"] if events else [])], window)
            catalogue = archive.catalogue(layer_scheme=layer_scheme.value, refresh=refresh, progress=progress)
            chosen = _chosen(catalogue, area, cre, cell_class, depth, layer, experiments, no_tagged, failed, limit)
            sessions = archive.sessions(chosen.experiments.experiment_id.tolist(), measures)
        if refresh and not dry_run:
            archive.forget_verdicts(sessions)
        plan = archive.plan(sessions, keep_raw=keep_raw)
    with_images = name == NEUROPIXELS and not archive.templates.file.exists()
    if not quiet:
        _tell(plan, archive, keep_raw, with_images)
    if dry_run:
        return
    if (plan.n_files or (keep_raw is False and plan.leftovers)) and not yes:
        if not sys.stdin.isatty():
            raise MurineError("there is nobody to ask whether to do that; give --yes, or --dry-run to see the plan.")
        typer.confirm("Go on?", default=True, abort=True, err=True)
    with progress_bars(not quiet) as progress:
        report: Report
        if name == NEUROPIXELS:
            archive.fetch_templates(progress=progress)
            report = archive.fetch_sessions(plan, windows, keep_raw=keep_raw, workers=workers, progress=progress)
        else:
            report = archive.fetch_sessions(plan, measures, keep_raw=keep_raw, workers=workers, progress=progress)
    if not quiet:
        _tell_result(report, plan, archive, name)
    report.require_all()


@app.command("build")
def data_build(
    name: Annotated[str, typer.Argument(help="allen (two-photon) or allen-neuropixels.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Recording to write (.nc).")],
    scenes: Annotated[
        Path | None, typer.Option("--scenes", help="Also write the images that were shown (.npz), for --stimuli.")
    ] = None,
    warp: Annotated[
        bool, typer.Option("--warp", help="Images as the screen showed them: warped for its angle.")
    ] = False,
    mask: Annotated[bool, typer.Option("--mask", help="Images with grey where the screen ended.")] = False,
    scene_size: Annotated[
        str, typer.Option("--scene-size", help="Reduce images to HEIGHTxWIDTH, as 231x295; default: as stored.")
    ] = "",
    selection: Annotated[
        str, typer.Option("--selection", help="Choice of neurons: conwell2021, mice-to-machines; default: all.")
    ] = "",
    setting: Annotated[
        list[str] | None,
        typer.Option("--set", help="Setting of the selection, as min_reliability=0.6 or run_alpha=none; repeat."),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option("--picture", help="For mice-to-machines: folder for a picture of the embedding.")
    ] = None,
    n_choices: Annotated[
        int,
        typer.Option(
            "--choices",
            callback=limited("--choices", Limits(1, 1000)),
            help="For mice-to-machines: choose so many times, with seeds SEED, SEED + 1 ..., and write OUT-SEED.nc for "
            "each, so that results can be repeated over choices.",
        ),
    ] = 1,
    area: AreaOption = None,
    cre: CreOption = None,
    cell_class: ClassOption = None,
    depth: DepthOption = None,
    layer: LayerOption = None,
    experiments: SessionsOption = None,
    limit: LimitOption = None,
    no_tagged: NoTaggedOption = False,
    failed: FailedOption = False,
    signal: Annotated[str, typer.Option("--signal", help="corrected, dff or events.")] = "corrected",
    window: Annotated[str, typer.Option("--window", help="As fetched; default: that of the data set.")] = "",
    layer_scheme: SchemeOption = Scheme.allen_cnn,
    cache: CacheOption = None,
    quiet: QuietOption = False,
) -> None:
    """Make one recording of what was fetched: choose sessions and neurons, join cells by id, write a file.

    No network is needed. The file is what `murine score --against` and `Recording.read` take.

    Choices of `mice-to-machines` depend much on the seed. The command says how many neurons the choices of several
    seeds share, beside two lotteries; `--choices 5` writes five, for results to be computed with each. It describes
    neurons by their maps, as published; `--set vectors=responses` (or `centred-maps`) by something else.

    Examples:

    `murine data build allen --out mouse.nc --scenes scenes.npz`

    `murine data build allen --selection conwell2021 --set min_reliability=0.6 --out reliable.nc`

    `murine data build allen --selection mice-to-machines --picture figures --out thousand.nc`

    `murine data build allen --selection mice-to-machines --choices 5 --out thousand.nc --scenes scenes.npz`

    `murine data build allen-neuropixels --area VISp --window 50:250 --out spikes.nc`
    """
    from murine.progress import progress_bars

    quieten(quiet)
    archive = _archive(name, cache, "")
    settings = _settings(setting or [])
    size = _height_width(scene_size)
    if out.suffix != ".nc" or (scenes is not None and scenes.suffix != ".npz"):
        raise MurineError(f"--out {str(out)!r} has to end with .nc, and --scenes with .npz.")
    if scenes is None and (warp or mask or size):
        raise MurineError("--warp, --mask and --scene-size are about the images; give --scenes FILE.npz to write them.")
    _check_selection(selection, settings, picture, n_choices)
    with progress_bars(not quiet) as progress:
        recording: Recording
        if name == NEUROPIXELS:
            _refuse_two_photon_only(
                cre, cell_class, depth, layer, no_tagged, failed, layer_scheme, signal=signal != "corrected"
            )
            numbers = _session_numbers(archive.tables(progress=progress), area, experiments, limit)
            recording = archive.recording(numbers, _spike_windows([window] if window else None)[0], progress=progress)
            if area:
                recording = recording.select(area=area)
        else:
            (measure,) = _measures([signal], [window] if window else None)
            catalogue = archive.catalogue(layer_scheme=layer_scheme.value, progress=progress)
            chosen = _chosen(catalogue, area, cre, cell_class, depth, layer, experiments, no_tagged, failed, limit)
            recording = archive.recording(chosen, measure, progress=progress)
        with progress.task("reading images", None):
            images = None if scenes is None else archive.templates.stimuli(warp=warp, mask=mask, size=size)
        with progress.task("choosing neurons", None):
            shown = archive.templates.stimuli
            recordings = _select(recording, selection, settings, picture, n_choices, shown, quiet)
        files = [out] if n_choices == 1 else [out.with_stem(f"{out.stem}-{seed}") for seed in recordings]
        with progress.task("writing the recording", None):
            for file, each in zip(files, recordings.values(), strict=True):
                each.write(file)
            if images is not None:
                images.write(scenes)
    if quiet:
        return
    for file, each in zip(files, recordings.values(), strict=True):
        print(f"{file}: {each}", file=sys.stderr)
    if story := each.dataset.attrs.get("selection", ""):
        print(story, file=sys.stderr)
    print(
        f"`murine score NETWORK --against {files[0]} --stimuli {scenes or 'IMAGES'}` scores against it.",
        file=sys.stderr,
    )


@app.command("reduce")
def data_reduce(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="NWB files of two-photon experiments.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the recordings, <experiment id>.nc.")],
    events: Annotated[
        Path | None, typer.Option("--events", help="Folder of <experiment id>_events.npz, for --signal events.")
    ] = None,
    signal: Annotated[str, typer.Option("--signal", help="corrected, dff or events.")] = "corrected",
    window: Annotated[
        str, typer.Option("--window", help="allensdk, de-vries2020, 0-250ms, or frames as 2:12.")
    ] = "allensdk",
    quiet: QuietOption = False,
) -> None:
    """Make recordings of two-photon files you have already, as those of an AllenSDK cache.

    Each file is read in a process of its own: a damaged one is reported and the others go on.

    Example: `murine data reduce ophys_experiment_data/*.nwb --out recordings --signal dff`
    """
    from murine.cortex.allen.reduction import read_recording
    from murine.progress import progress_bars

    quieten(quiet)
    (measure,) = _measures([signal], [window])
    if signal == "events" and events is None:
        raise MurineError("--signal events needs --events FOLDER, where <experiment id>_events.npz are.")
    failures = []
    with progress_bars(not quiet) as progress, progress.task("making recordings", len(files)) as bar:
        for file in files:
            beside = None if events is None else events / f"{file.stem}_events.npz"
            try:
                recording = read_recording(
                    file, events=beside, signal=measure.signal, window=measure.window, isolated=True
                )
                recording.write(out / f"{file.stem}.nc")
            except MurineError as error:
                failures.append(str(error))
            bar.advance(done=file.name)
    if not quiet:
        print(f"{_number(len(files) - len(failures), 'recording')} written to {out}", file=sys.stderr)
    if failures:
        raise MurineError(
            f"no recording of {len(failures)} of {_number(len(files), 'file')}:\n  " + "\n  ".join(failures)
        )


@app.command("show")
def data_show(
    name: Annotated[str, typer.Argument(help="A name of `murine data list`, or a file.")],
    by: Annotated[str, typer.Option("--by", help="What makes a site.")] = "area",
    stimuli: Annotated[Path | None, typer.Option("--stimuli", help="Images of your own data.")] = None,
    data: DataOption = None,
    format: FormatOption = Format.table,
) -> None:
    """Show the sites of a data set: neurons, repetitions, reliability of neurons and of RDMs.

    Example: `murine data show allen-neuropixels --by area,layer`
    """
    import numpy as np
    import pandas as pd

    from murine.cortex.datasets import load_cortex
    from murine.cortex.recording import Recording
    from murine.cortex.reliability import split_half
    from murine.scoring.site_preparation import make_site_data
    from murine.statistics.bootstrap import bootstrap_counts

    _, cortex = load_cortex(name, root=data, stimuli=stimuli)
    if isinstance(cortex, Recording):
        cortex = cortex.usable()[0]
    coordinates = tuple(part.strip() for part in by.split(","))
    site_data = make_site_data(cortex, coordinates)
    ceiling = site_data.ceiling("r", bootstrap_counts(len(site_data.stimulus_ids), 1000, 0))
    low, high = ceiling.interval()
    table = pd.DataFrame(
        {
            "site": [site.name for site in site_data.sites],
            "n_neuroids": site_data.n_neuroids,
            "n_repetitions": site_data.n_repetitions,
            "n_stimuli": len(site_data.stimulus_ids),
            "ceiling": ceiling.value,
            "ceiling_low": low,
            "ceiling_high": high,
        }
    )
    if isinstance(cortex, Recording):
        reliability = split_half(cortex.responses)
        members = cortex.sites(*coordinates).values()
        table["neuron_reliability_median"] = [float(np.nanmedian(reliability[m])) for m in members]
    show(table, format)


# ---------------------------------------------------------------------------------------------------- helpers


def _archive(name: str, cache: Path | None, endpoint: str, **settings: Any) -> Any:
    from murine.cortex.allen.archive import BUCKET, default_folder
    from murine.cortex.allen.holdings import Neuropixels, TwoPhoton
    from murine.download import Bucket

    kinds: dict[str, type[Neuropixels] | type[TwoPhoton]] = {ALLEN: TwoPhoton, NEUROPIXELS: Neuropixels}
    if name not in kinds:
        raise MurineError(
            f"there is no public data set {name!r}{nearest(name, kinds) or '.'} Known: {', '.join(kinds)}."
        )
    if endpoint and not re.fullmatch(r"https?://[^/]+.*", endpoint):
        raise MurineError(f"--endpoint {endpoint!r} is no address; expected one as http://localhost:9000.")
    return kinds[name](default_folder(cache), bucket=Bucket(BUCKET, endpoint=endpoint), **settings)


def _refuse_two_photon_only(
    cre: object,
    cell_class: object,
    depth: object,
    layer: object,
    no_tagged: bool,
    failed: bool,
    layer_scheme: Scheme,
    **others: object,
) -> None:
    given = {"cre": cre, "class": cell_class, "depth": depth, "layer": layer, "no-tagged": no_tagged, "failed": failed}
    given |= {"layer-scheme": layer_scheme is not Scheme.allen_cnn, **others}
    names = [f"--{name}" for name, value in given.items() if value]
    if names:
        raise MurineError(
            f"{', '.join(names)}: only for {ALLEN} (two-photon). {NEUROPIXELS} goes by --area and --sessions."
        )


def _chosen(
    catalogue: Catalogue,
    area: list[str] | None,
    cre: list[str] | None,
    cell_class: list[str] | None,
    depth: list[str] | None,
    layer: list[str] | None,
    experiments: list[int] | None,
    no_tagged: bool,
    failed: bool,
    limit: int | None,
) -> Catalogue:
    return catalogue.select(
        area=area or (),
        cre_line=cre or (),
        cell_class=cell_class or (),
        depth=[_range(text) for text in depth or ()],
        layer=layer or (),
        experiments=experiments or (),
        tagged=not no_tagged,
        failed=failed,
        limit=limit,
    )


def _range(text: str) -> tuple[float, float]:
    low, _, high = text.partition(":")
    try:
        bounds = float(low), float(high or low)
    except ValueError:
        bounds = (1.0, 0.0)
    if not bounds[0] <= bounds[1]:
        raise MurineError(f"--depth {text!r} is not understood; expected um as 175, or a range as 150:250.")
    return bounds


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _measures(signals: Sequence[str], windows: Sequence[str] | None) -> list[Measure]:
    from murine.cortex.allen.ophys import SIGNALS
    from murine.cortex.allen.reduction import Measure
    from murine.cortex.allen.responses import window_of

    for signal in signals:
        if signal not in SIGNALS:
            raise MurineError(
                f"there is no signal {signal!r}{nearest(signal, SIGNALS) or '.'} Known: {', '.join(SIGNALS)}."
            )
    chosen = [window_of(text) for text in dict.fromkeys(windows or ["allensdk"])]
    return [Measure(signal, window) for signal in dict.fromkeys(signals) for window in chosen]


def _spike_windows(texts: Sequence[str] | None) -> list[SpikeCounts]:
    from murine.cortex.allen.holdings import SpikeCounts

    windows = []
    for text in texts or ["0:250"]:
        start, _, stop = text.partition(":")
        try:
            windows.append(SpikeCounts(float(start) / 1000, float(stop) / 1000))
        except ValueError:
            raise MurineError(
                f"--window {text!r} is not understood; expected milliseconds after onset as 0:250."
            ) from None
    return windows


def _session_numbers(tables: Any, area: list[str] | None, wanted: list[int] | None, limit: int | None) -> list[int]:
    from murine.cortex.allen.neuropixels_tables import VISUAL_AREAS

    unknown = [name for name in area or () if name not in VISUAL_AREAS]
    if unknown:
        raise MurineError(
            f"there is no area {', '.join(unknown)}{nearest(unknown[0], VISUAL_AREAS) or '.'} Areas that are read: "
            f"{', '.join(VISUAL_AREAS)}."
        )
    numbers: list[int] = tables.natural_scene_sessions(area)
    lacking = [number for number in wanted or () if number not in numbers]
    if lacking or not numbers:
        there = ", ".join(map(str, tables.natural_scene_sessions())) or "none"
        raise MurineError(
            f"no session {', '.join(map(str, lacking)) or 'at all'} with natural scenes"
            f"{' and channels in ' + ', '.join(area) if area else ''}. Sessions with natural scenes: {there}."
        )
    chosen = [number for number in numbers if not wanted or number in wanted]
    return chosen[:limit]


def _unit_counts(tables: Any, area: list[str] | None, numbers: list[int]) -> Any:
    """Sessions, with the number of units in each visual area that pass the usual limits."""
    import pandas as pd

    from murine.cortex.allen.neuropixels_tables import VISUAL_AREAS

    units = tables.units
    passing = (units.isi_violations < 0.5) & (units.amplitude_cutoff < 0.1) & (units.presence_ratio > 0.9)
    channels = tables.channels.reindex(units.ecephys_channel_id[passing])
    sessions = tables.probes.ecephys_session_id.reindex(channels.ecephys_probe_id).to_numpy()
    counts = pd.crosstab(sessions, channels.ecephys_structure_acronym.to_numpy())
    counts = counts.reindex(index=numbers, columns=area or list(VISUAL_AREAS), fill_value=0)
    about = tables.sessions.loc[numbers, ["specimen_id", "sex", "genotype"]]
    return about.join(counts.add_prefix("units_")).rename_axis("session_id").reset_index()


def _tell(plan: FetchPlan, archive: Archive, keep_raw: bool | None, with_images: bool) -> None:
    transfers, n_sessions = plan.transfers, len(plan.sessions)
    lines = [f"{_number(n_sessions + plan.done, 'session')}: {plan.done} done, {n_sessions} to do"]
    if plan.n_files or transfers.unchecked:
        lines.append(f"{_number(plan.n_files, 'file')} to fetch, {_bytes(plan.n_bytes)}")
        lines[-1] += f"; {len(transfers.unchecked)} here to be checked" if transfers.unchecked else ""
    if with_images:
        lines.append("the 118 images that were shown, some 0.13 GB")
    if plan.n_files or with_images:
        lines.append(f"{_bytes(plan.free)} free in {archive.place}")
    if n_sessions or plan.leftovers:
        what = {True: "raw files are kept", False: "raw files are deleted, also those that were kept before"}
        default = "raw files that are fetched are deleted when their recordings are made (--keep-raw keeps them)"
        lines.append(what[keep_raw] if keep_raw is not None else default)
    if plan.absent:
        lines.append(f"the bucket does not have {', '.join(map(str, plan.absent))}")
    if plan.without:
        lines.append(f"the bucket does not have {', '.join(plan.without)}: no recordings of those events")
    print("\n".join(lines), file=sys.stderr)


def _tell_result(report: Report, plan: FetchPlan, archive: Archive, name: str) -> None:
    for note in report.notes:
        print(f"murine: {note}", file=sys.stderr)
    for file, reason in report.impossible.items():
        print(f"murine: no recording of session {file.with_suffix('').stem}: {reason}", file=sys.stderr)
    parts = [f"{_number(len(report.made), 'session')} done now, {plan.done} before"]
    if report.impossible:
        parts.append(f"{_number(len(report.impossible), 'recording')} impossible (--refresh tries again)")
    if report.failed:
        parts.append(f"{len(report.failed)} failed")
    print(f"{', '.join(parts)}; recordings are in {archive.place / 'recordings'}", file=sys.stderr)
    if report.made or plan.done:
        print(f"`murine data build {name} --out FILE.nc` makes one recording of them.", file=sys.stderr)


def _number(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def _bytes(n: int) -> str:
    return f"{n / 1e9:.2f} GB" if n >= 1e8 else f"{n / 1e6:.1f} MB"


def _first_sentences(docstring: str) -> str:
    """The first paragraph of a docstring, on one line."""
    return " ".join(docstring.strip().split("\n\n")[0].split())


def _settings(texts: Sequence[str]) -> dict[str, Any]:
    """``["a=0.5", "b=none"]`` -> {"a": 0.5, "b": None}; what is no number, none, true or false stays a text."""
    from murine.networks.option_parser import key_value_pairs

    words: dict[str, Any] = {"none": None, "true": True, "false": False}
    settings: dict[str, Any] = {}
    for key, value in key_value_pairs(texts, "--set", "min_reliability=0.6"):
        number: Any = words.get(value.lower(), value)
        if isinstance(number, str):
            for kind in (int, float):
                try:
                    number = kind(value)
                    break
                except ValueError:
                    continue
        settings[key] = number
    return settings


def _check_selection(selection: str, settings: dict[str, Any], picture: Path | None, n_choices: int) -> None:
    """Refuse settings that a selection does not take, before anything is read."""
    import inspect

    from murine.cortex.selection import selections

    if selection != _BY_CLUSTERS and n_choices > 1:
        raise MurineError(f"--choices repeats --selection {_BY_CLUSTERS}, which depends on its seed.")
    if not selection:
        if settings or picture is not None:
            raise MurineError("--set and --picture need a --selection.")
        return
    choose: Any = selections[selection]
    if selection == _BY_CLUSTERS:
        from murine.cortex.representative import representative as choose
    elif picture is not None:
        raise MurineError(f"--picture shows the embedding that --selection {_BY_CLUSTERS} chooses in.")
    known = {k: p.default for k, p in inspect.signature(choose).parameters.items() if p.kind is p.KEYWORD_ONLY}
    known.pop("stimuli", None)
    for key, value in settings.items():
        if key not in known:
            raise MurineError(
                f"--selection {selection} has no setting {key!r}{nearest(key, known) or '.'} It has {', '.join(known)}."
            )
        if isinstance(known[key], (int, float)) and isinstance(value, str):
            raise MurineError(f"--set {key}={value} is not understood; expected a number, as {known[key]}.")


def _select(
    recording: Recording,
    selection: str,
    settings: dict[str, Any],
    picture: Path | None,
    n_choices: int,
    images: Callable[[], StimulusSet],
    quiet: bool,
) -> dict[int, Recording]:
    """The chosen neurons, by the seed of the choice; of all selections but one there is one choice."""
    from murine.cortex.selection import selections

    if not selection:
        return {0: recording}
    if selection != _BY_CLUSTERS:
        return {0: selections[selection](recording, **settings)}
    from murine.cortex.representative import VECTORS, compared
    from murine.report.embedding import write_embedding

    stimuli = None if settings.get("vectors", VECTORS[0]) == "responses" else images()
    found, chosen = compared(recording, n_choices, stimuli=stimuli, **settings)
    if picture is not None:
        files = write_embedding(found[0], picture)
        if not quiet:
            print(f"{_number(len(files), 'picture')} in {picture}", file=sys.stderr)
    return dict(enumerate(chosen, settings.get("seed", 0)))


def _height_width(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    parts = text.lower().partition("x")
    height, width = whole_number(parts[0]), whole_number(parts[2])
    if height is None or width is None:
        raise MurineError(f"--scene-size {text!r} is not understood; expected HEIGHTxWIDTH, as 231x295.")
    for part in (height, width):
        INPUT_SIZE.check("--scene-size", part)
    return height, width
