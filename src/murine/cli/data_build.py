"""The command that makes one recording of what was fetched."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from murine.cli.common import quieten
from murine.cli.data_options import BuildCommand, given_options, settings_of
from murine.cli.options import CacheOption, PublicDatasetArgument, QuietOption, limited
from murine.errors import MurineError
from murine.limits import Limits

if TYPE_CHECKING:
    from murine.cortex.public_data import PublicDataset

app = typer.Typer()


@app.command("build", cls=BuildCommand)
def data_build(
    ctx: typer.Context,
    name: PublicDatasetArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="Recording to write (.nc).")],
    scenes: Annotated[
        Path | None, typer.Option("--scenes", help="Also write the images that were shown (.npz), for --stimuli.")
    ] = None,
    selection: Annotated[str, typer.Option("--selection", help="Choice of neurons: {selections}; default: all.")] = "",
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
    from murine.cortex.public_data import DataAccess, find_public_dataset
    from murine.cortex.selection_settings import check_selection, choose_neurons
    from murine.progress import progress_bars

    quieten(quiet)
    data_set, access = find_public_dataset(name), DataAccess(cache)
    settings, of_selection = settings_of(data_set, "build", ctx, apart=("images",)), _settings(setting or [])
    of_images = data_set.read_options("images", given_options(data_set, "images", ctx))
    _check_files(data_set, out, scenes, with_image_options=bool(given_options(data_set, "images", ctx)))
    check_selection(selection, of_selection, n_choices=n_choices, with_picture=picture is not None)
    with progress_bars(not quiet) as progress:
        recording = data_set.build(access, settings, progress=progress)
        with progress.task("reading images", None):
            images = None if scenes is None else data_set.images(access, of_images)
        with progress.task("choosing neurons", None):
            chosen = choose_neurons(
                recording,
                selection,
                of_selection,
                lambda: data_set.images(access, data_set.read_options("images", {})),
                n_choices=n_choices,
            )
        if picture is not None and chosen.representatives is not None:
            from murine.report.embedding import write_embedding

            pictures = write_embedding(chosen.representatives, picture)
            if not quiet:
                print(f"{len(pictures)} picture{'s'[: len(pictures) != 1]} in {picture}", file=sys.stderr)
        recordings = chosen.recordings
        files = [out] if n_choices == 1 else [out.with_stem(f"{out.stem}-{seed}") for seed in recordings]
        with progress.task("writing the recording", None):
            for file, each in zip(files, recordings.values(), strict=True):
                each.write(file)
            if images is not None and scenes is not None:
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


def _check_files(data_set: PublicDataset, out: Path, scenes: Path | None, *, with_image_options: bool) -> None:
    """Refuse names of files that cannot be meant, and options of images that are not written."""
    if out.suffix != ".nc" or (scenes is not None and scenes.suffix != ".npz"):
        raise MurineError(f"--out {str(out)!r} has to end with .nc, and --scenes with .npz.")
    if scenes is None and with_image_options:
        *others, last = [f"--{option.name}" for option in data_set.options if "images" in option.uses]
        named = f"{', '.join(others)} and {last} are" if others else f"{last} is"
        raise MurineError(f"{named} about the images; give --scenes FILE.npz to write them.")


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
