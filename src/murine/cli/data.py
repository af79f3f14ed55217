"""Commands that find, fetch and show cortical data."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from murine.cli.common import DataOption, Format, FormatOption, QuietOption, quieten, show
from murine.errors import MurineError, nearest

if TYPE_CHECKING:
    from murine.cortex.allen.archive import Archive, FetchPlan, Report
    from murine.cortex.allen.catalogue import Catalogue
    from murine.cortex.allen.holdings import Neuropixels, SpikeCounts, TwoPhoton
    from murine.cortex.allen.reduction import Measure
    from murine.cortex.recording import Recording

app = typer.Typer(no_args_is_help=True, help="Cortical data: what there is, fetching, choosing neurons.")

#: Data sets of the public bucket, by the names these commands give them.
ALLEN, NEUROPIXELS = "allen", "allen-neuropixels"


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
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many sessions.")]
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
CacheOption = Annotated[
    Path | None, typer.Option("--cache", help="Folder of fetched data (default: $MURINE_CACHE, then the system's).")
]
EndpointOption = Annotated[
    str, typer.Option("--endpoint", help="Another server with the bucket, as http://localhost:9000.")
]
RefreshOption = Annotated[
    bool, typer.Option("--refresh", help="Ask for newer tables, and try again what could not be made.")
]


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
        str, typer.Option("--by", help="What to count by; columns with commas.")
    ] = "area,cre_line,cell_class",
    each: Annotated[bool, typer.Option("--each", help="List every session instead of counts.")] = False,
    cells: Annotated[bool, typer.Option("--cells", help="Count cells too (reads a large table).")] = False,
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

    if not name:
        about = [(name, (datasets[name].__doc__ or "").strip().splitlines()[0]) for name in sorted(datasets)]
        show(pd.DataFrame(about, columns=["name", "about"]), format)
        return
    quieten(False)
    archive = _archive(name, cache, endpoint)
    if name == NEUROPIXELS:
        show(_list_neuropixels(archive, area, experiments, refresh), format)
        return
    catalogue = archive.catalogue(layer_scheme=layer_scheme.value, cells=cells, refresh=refresh)
    chosen = _chosen(catalogue, area, cre, cell_class, depth, layer, experiments, no_tagged, failed, None)
    table = chosen.experiments if each else chosen.summary(_names(by))
    show(table, format, compact=False)
    if format is Format.table and not each:
        total = chosen.experiments
        print(f"{len(total)} experiments with natural scenes, {total.donor.nunique()} mice", file=sys.stderr)


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
        bool,
        typer.Option("--keep-raw/--reduce", help="Keep raw files, or delete each when its recordings are made."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and stop.")] = False,
    cache: CacheOption = None,
    endpoint: EndpointOption = "",
    workers: Annotated[int, typer.Option("--workers", min=1, max=32, help="Files at a time.")] = 4,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds without a byte before a retry.")] = 30.0,
    retries: Annotated[int, typer.Option("--retries", min=0, help="Attempts without progress.")] = 5,
    check: Annotated[
        Check, typer.Option("--check", help="Compare with the ETag, or only the size where ETags are no digests.")
    ] = Check.etag,
    refresh: RefreshOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fetch sessions from the public bucket and make recordings of them; never a movie file.

    First it tells how many files and bytes will come and how much disk is free. Files come several at a time, are
    verified, and go on where they stopped after Ctrl-C, a crash or a cut. Each becomes its recordings (a few MB) and
    is deleted, unless it is to be kept.

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
            windows = _spike_windows(window)
            tables = archive.tables(refresh=refresh, progress=progress)
            numbers = _session_numbers(tables, area, experiments, limit)
            sessions = archive.sessions(numbers, windows)
        else:
            measures = _measures([*(signal or ["corrected"]), *(["events"] if events else [])], window)
            catalogue = archive.catalogue(layer_scheme=layer_scheme.value, refresh=refresh, progress=progress)
            chosen = _chosen(catalogue, area, cre, cell_class, depth, layer, experiments, no_tagged, failed, limit)
            sessions = archive.sessions(chosen.experiments.experiment_id.tolist(), measures)
        if refresh:
            archive.forget_verdicts(sessions)
        plan = archive.plan(sessions, keep_raw=keep_raw)
    _tell(plan, archive, keep_raw, quiet)
    if dry_run:
        return
    if plan.n_files and not yes:
        if not sys.stdin.isatty():
            raise MurineError("there is nobody to ask whether to fetch that; give --yes, or --dry-run to see the plan.")
        typer.confirm("Fetch?", default=True, abort=True)
    with progress_bars(not quiet) as progress:
        report: Report
        if name == NEUROPIXELS:
            archive.fetch_templates(progress=progress)
            report = archive.fetch_sessions(plan, windows, keep_raw=keep_raw, workers=workers, progress=progress)
        else:
            report = archive.fetch_sessions(plan, measures, keep_raw=keep_raw, workers=workers, progress=progress)
    for note in report.notes:
        print(f"murine: {note}", file=sys.stderr)
    if not quiet:
        print(
            f"{len(report.made)} sessions fetched, {plan.done} here before, {len(report.failed)} failed; they are in "
            f"{archive.place / 'recordings'}\n`murine data build {name} --out FILE.nc` makes one recording of them.",
            file=sys.stderr,
        )
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
    """Make one recording of what has been fetched: choose sessions and neurons, join cells by id, write a file.

    No network is needed. The file is what `murine score --against` and `Recording.read` take.

    Examples:

    `murine data build allen --out mouse.nc --scenes scenes.npz`

    `murine data build allen --selection conwell2021 --set min_reliability=0.6 --out reliable.nc`

    `murine data build allen --selection mice-to-machines --picture figures --out thousand.nc`

    `murine data build allen-neuropixels --area VISp --window 50:250 --out spikes.nc`
    """
    from murine.progress import progress_bars

    quieten(quiet)
    archive = _archive(name, cache, "")
    settings = _settings(setting or [])
    with progress_bars(not quiet) as progress:
        recording: Recording
        if name == NEUROPIXELS:
            numbers = _session_numbers(archive.tables(progress=progress), area, experiments, limit)
            recording = archive.recording(numbers, _spike_windows([window] if window else None)[0], progress=progress)
            if area:
                recording = recording.select(area=area)
        else:
            (measure,) = _measures([signal], [window] if window else None)
            catalogue = archive.catalogue(layer_scheme=layer_scheme.value, progress=progress)
            chosen = _chosen(catalogue, area, cre, cell_class, depth, layer, experiments, no_tagged, failed, limit)
            recording = archive.recording(chosen, measure, progress=progress)
    before = recording.n_neuroids
    recording = _select(recording, selection, settings, picture, quiet)
    recording.write(out)
    if scenes is not None:
        archive.templates.stimuli(warp=warp, mask=mask, size=_height_width(scene_size)).write(scenes)
    if not quiet:
        print(f"{out}: {recording}, of {before} neurons", file=sys.stderr)
        print(
            f"`murine score NETWORK --against {out} --stimuli {scenes or 'IMAGES'}` scores against it.", file=sys.stderr
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
    from murine.cortex.allen.responses import window_of
    from murine.progress import progress_bars

    quieten(quiet)
    frames = window_of(window)
    failures = []
    with progress_bars(not quiet) as progress:
        step = progress.task("making recordings", len(files))
        for file in files:
            beside = None if events is None else events / f"{file.stem}_events.npz"
            try:
                recording = read_recording(file, events=beside, signal=signal, window=frames, isolated=True)
                recording.write(out / f"{file.stem}.nc")
            except MurineError as error:
                failures.append(str(error))
            step()
    if not quiet:
        print(f"{len(files) - len(failures)} recordings are in {out}", file=sys.stderr)
    if failures:
        raise MurineError(f"{len(failures)} of {len(files)} files could not be read:\n" + "\n".join(failures))


@app.command("show")
def datashow(
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

    from murine.comparison.inference import bootstrap_counts
    from murine.comparison.targets import targets_of
    from murine.cortex.datasets import load_cortex
    from murine.cortex.recording import Recording
    from murine.cortex.reliability import split_half

    quieten(False)
    _, cortex = load_cortex(name, root=data, stimuli=stimuli)
    coordinates = tuple(part.strip() for part in by.split(","))
    targets = targets_of(cortex, coordinates)
    ceiling = targets.ceiling("r", bootstrap_counts(len(targets.stimulus_ids), 1000, 0))
    low, high = ceiling.interval()
    table = pd.DataFrame(
        {
            "site": [site.name for site in targets.sites],
            "n_neuroids": targets.n_neuroids,
            "n_repetitions": targets.n_repetitions,
            "n_stimuli": len(targets.stimulus_ids),
            "ceiling": ceiling.value,
            "ceiling_low": low,
            "ceiling_high": high,
        }
    )
    if isinstance(cortex, Recording):
        usable = cortex.usable()[0]
        reliability = split_half(usable.responses)
        members = usable.sites(*coordinates).values()
        table["neuron_reliability_median"] = [float(np.nanmedian(reliability[m])) for m in members]
    show(table, format)


# ---------------------------------------------------------------------------------------------------- helpers


def _archive(name: str, cache: Path | None, endpoint: str, **settings: Any) -> Any:
    from murine.cortex.allen.archive import BUCKET
    from murine.cortex.allen.holdings import Neuropixels, TwoPhoton
    from murine.download import Bucket

    kinds: dict[str, type[Neuropixels] | type[TwoPhoton]] = {ALLEN: TwoPhoton, NEUROPIXELS: Neuropixels}
    if name not in kinds:
        raise MurineError(
            f"there is no public data set {name!r}{nearest(name, kinds) or '.'} Known: {', '.join(kinds)}."
        )
    return kinds[name](cache, bucket=Bucket(BUCKET, endpoint=endpoint), **settings)


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
    numbers: list[int] = tables.natural_scene_sessions(area)
    unknown = [number for number in wanted or () if number not in numbers]
    if unknown or not numbers:
        raise MurineError(
            f"no session {unknown or ''} with natural scenes{f' and channels in {area}' if area else ''}; there are "
            f"{', '.join(map(str, tables.natural_scene_sessions()))}."
        )
    chosen = [number for number in numbers if not wanted or number in wanted]
    return chosen[:limit]


def _list_neuropixels(archive: Any, area: list[str] | None, wanted: list[int] | None, refresh: bool) -> Any:
    tables = archive.tables(refresh=refresh)
    numbers = _session_numbers(tables, area, wanted, None)
    return tables.sessions.loc[numbers].reset_index()


def _tell(plan: FetchPlan, archive: Archive, keep_raw: bool, quiet: bool) -> None:
    if quiet:
        return
    transfers = plan.transfers
    lines = [
        f"{len(plan.sessions)} sessions to do, {plan.done} done before",
        f"{plan.n_files} files to fetch, {plan.n_bytes / 1e9:.2f} GB"
        + (f"; {len(transfers.unchecked)} here to be checked" if transfers.unchecked else ""),
        f"{transfers.free / 1e9:.1f} GB free in {archive.place}",
        "raw files are kept" if keep_raw else "each raw file is deleted when its recordings are made",
    ]
    if plan.absent:
        lines.append(f"the bucket does not have {', '.join(map(str, plan.absent))}")
    if plan.without:
        lines.append(f"the bucket does not have {', '.join(plan.without)}: no recordings of those events")
    print("\n".join(lines), file=sys.stderr)


def _settings(texts: Sequence[str]) -> dict[str, Any]:
    """``["a=0.5", "b=none"]`` -> {"a": 0.5, "b": None}; what is no number, none, true or false stays a text."""
    words: dict[str, Any] = {"none": None, "true": True, "false": False}
    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise MurineError(f"--set {text!r} is not understood; expected KEY=VALUE, as min_reliability=0.6.")
        number: Any = words.get(value.lower(), value)
        if isinstance(number, str):
            for kind in (int, float):
                try:
                    number = kind(value)
                    break
                except ValueError:
                    continue
        settings[key.strip()] = number
    return settings


def _select(
    recording: Recording, selection: str, settings: dict[str, Any], picture: Path | None, quiet: bool
) -> Recording:
    import inspect

    from murine.cortex.selection import selections

    if not selection:
        if settings or picture is not None:
            raise MurineError("--set and --picture need a --selection.")
        return recording
    if picture is not None:
        from murine.cortex.representative import representative
        from murine.report.embedding import write_embedding

        if selection != "mice-to-machines":
            raise MurineError("--picture shows the embedding that --selection mice-to-machines chooses in.")
        representatives = representative(recording, **settings)
        files = write_embedding(representatives, picture)
        if not quiet:
            print(f"{len(files)} pictures are in {picture}", file=sys.stderr)
        return representatives.chosen
    choose = selections[selection]
    try:
        inspect.signature(choose).bind(recording, **settings)
    except TypeError as error:
        raise MurineError(f"the selection {selection!r} does not take these settings ({error}).") from None
    return choose(recording, **settings)


def _height_width(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    height, _, width = text.lower().partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise MurineError(f"--scene-size {text!r} is not understood; expected HEIGHTxWIDTH, as 231x295.")
    return int(height), int(width)
