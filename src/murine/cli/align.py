"""The command that aligns the layer sequences of networks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from murine.cli.align_output import (
    compare_with_published,
    print_alignment,
    print_networks,
    tell_of_groups,
    tell_of_lengths,
)
from murine.cli.common import quieten
from murine.cli.options import FormatOption, QuietOption, SeedOption, VocabularyOption, limited
from murine.cli.pictures import check_pictures, tell_picture
from murine.cli.tables import Format, show
from murine.errors import MurineError
from murine.limits import COUNT

if TYPE_CHECKING:
    from murine.architecture.alignment import Alignment

log = logging.getLogger(__name__)

#: Alignments that a terminal is filled with unless told otherwise, and that a picture has room for.
_SHOWN, _DRAWN = 6, 36

app = typer.Typer()


SimilarityOption = Annotated[
    str,
    typer.Option(
        "--similarity",
        help="For heat map, clusters and short list: index (the paper's), shared (layers in common, 0 to 1) or motifs "
        "(counts of three layers in a row, 0 to 1).",
    ),
]


@app.command()
def align(
    networks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NETWORK...",
            help="As for `murine score`; members of suite:neurn44 as published, unless --vocabulary is another.",
        ),
    ] = None,
    suite: Annotated[
        list[str] | None, typer.Option("--suite", help="All networks of a published list: neurn44, conwell2021.")
    ] = None,
    vocabulary: VocabularyOption = "paper",
    similarity: SimilarityOption = "index",
    alignments: Annotated[
        bool | None,
        typer.Option("--alignments/--no-alignments", help=f"Print alignments (default: of up to {_SHOWN} pairs)."),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", help=f"Picture of the matrices with their paths, up to {_DRAWN} pairs (.png, .pdf)."),
    ] = None,
    heatmap: Annotated[
        Path | None, typer.Option("--heatmap", help="Picture of the correlations between networks' similarities.")
    ] = None,
    lengths: Annotated[
        Path | None, typer.Option("--lengths", help="Picture of similarities against the ratio of lengths.")
    ] = None,
    published: Annotated[
        Path | None,
        typer.Option(
            "--published", help="Picture of the heat map of suite:neurn44 as published, beside ours; no NETWORK needed."
        ),
    ] = None,
    shortlist: Annotated[
        int | None,
        typer.Option(
            "--shortlist",
            callback=limited("--shortlist", COUNT),
            help="Cluster networks and choose the member nearest each centre (13).",
        ),
    ] = None,
    seed: SeedOption = 0,
    format: FormatOption = Format.table,
    quiet: QuietOption = False,
) -> None:
    """Align the layer sequences of networks: the alignments, their scores, and how alike the networks are.

    Needleman and Wunsch, a match counts 1, a mismatch -2, a gap -2, at the ends too. ``index`` is the score over the
    geometric mean of the lengths (the paper's, dominated by the lengths); ``shared`` twice the number of common layers,
    in order, over the layers of both; ``motifs`` the cosine of the counts of three layers in a row.

    Examples:

    `murine align vgg11 vgg16 vgg19 --figure vgg.png`

    `murine align --suite neurn44 --heatmap heatmap.png --lengths lengths.png --shortlist 13`

    `murine align --published heatmaps.png`

    `murine align resnet50 convnext_tiny net.py:build --vocabulary fine --format csv`
    """
    from murine.architecture.clustering import heat_map
    from murine.architecture.named_sequences import find_sequences
    from murine.architecture.pair_table import align_pairs
    from murine.architecture.sequence_similarity import similarities
    from murine.progress import progress_bars

    quieten(quiet)
    check_pictures(figure, heatmap, lengths, published)
    if published is not None:
        compare_with_published(published, quiet)
        if not networks and not suite:
            return
    measure = similarities[similarity]
    asked = [*(networks or []), *(f"suite:{name.removeprefix('suite:')}" for name in suite or [])]
    with progress_bars(not quiet) as progress:
        found = find_sequences(asked, vocabulary, progress=progress)
        missing = [own.name for own in found if not own.letters]
        if missing:
            log.warning("%d of %d networks cannot be built: %s.", len(missing), len(found), ", ".join(missing))
        found = [own for own in found if own.letters]
        if len(found) < 2:
            raise MurineError(
                f"{len(found)} network{'' if len(found) == 1 else 's'} to align; give at least two, as in `murine "
                "align vgg11 vgg16`."
            )
        names, sequences = [own.name for own in found], [own.letters for own in found]
        with progress.task("aligning", None):
            table, drawn = align_pairs(found)
        if figure is not None:
            with progress.task("drawing alignments", None):
                _draw_alignments(drawn, figure)
    if figure is not None:
        tell_picture(figure, quiet)
    if format is not Format.table:
        show(table, format)
    else:
        print_networks(found, vocabulary)
        if alignments or (alignments is None and len(drawn) <= _SHOWN):
            for pair in drawn:
                print_alignment(*pair)
        columns = ["first", "second", "layers", "of second", "score", "matches", "mismatches", "gaps"]
        columns += ["index", "shared", "motifs"]
        show(table[columns], format, compact=False)
    if heatmap is not None or shortlist is not None:
        tell_of_groups(names, heat_map(measure(sequences)), similarity, heatmap, shortlist, quiet)
    if lengths is not None:
        with progress_bars(not quiet) as progress, progress.task("drawing lengths", None):
            said = tell_of_lengths(sequences, lengths, seed)
        print("\nWhat lengths alone give:\n" + "\n".join(said))
        tell_picture(lengths, quiet)


def _draw_alignments(drawn: Sequence[tuple[str, str, Alignment]], file: Path) -> None:
    from murine.report.architectures import alignments_figure, write

    if len(drawn) > _DRAWN:
        log.warning("%s shows the first %d of %d alignments.", file, _DRAWN, len(drawn))
    write(alignments_figure(drawn[:_DRAWN]), file)
