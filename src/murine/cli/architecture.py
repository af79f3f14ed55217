"""Commands that compare architectures."""

from __future__ import annotations

import itertools
import logging
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from murine.cli.common import quieten
from murine.cli.options import AtlasOption, FormatOption, QuietOption, SeedOption, limited
from murine.cli.tables import Format, show
from murine.errors import MurineError
from murine.limits import BOOTSTRAPS, COUNT, PERMUTATIONS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from murine.architecture.alignment import Alignment
    from murine.architecture.named_sequences import NamedSequence

log = logging.getLogger(__name__)

#: Alignments that a terminal is filled with unless told otherwise, and that a picture has room for.
_SHOWN, _DRAWN = 6, 36

#: Letters of an alignment in a line.
_WIDTH = 80

app = typer.Typer()


class Role(StrEnum):
    """Whose architecture is to explain something."""

    trained = "trained"
    as_built = "as built"
    random = "random"


class Method(StrEnum):
    """Correlations over pairs."""

    spearman = "spearman"
    pearson = "pearson"


VocabularyOption = Annotated[
    str,
    typer.Option(
        "--vocabulary",
        help="Which layers get which letter: paper (modules, as published), keras (as Keras lists layers), fine "
        "(everything), or a .json file.",
    ),
]
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
    from murine.architecture.alignment import align_all
    from murine.architecture.clustering import heat_map
    from murine.architecture.named_sequences import find_sequences
    from murine.architecture.sequence_similarity import similarities
    from murine.progress import progress_bars

    quieten(quiet)
    _check_endings(figure, heatmap, lengths, published)
    if published is not None:
        _compare_with_published(published, quiet)
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
            every = list(zip(itertools.combinations(names, 2), align_all(sequences), strict=True))
            table = _pairs(found, every)
        drawn = [(*pair, one) for pair, one in every]
        if figure is not None:
            with progress.task("drawing alignments", None):
                _draw_alignments(drawn, figure)
    if figure is not None:
        _wrote(figure, quiet)
    if format is not Format.table:
        show(table, format)
    else:
        _print_networks(found, vocabulary)
        if alignments or (alignments is None and len(drawn) <= _SHOWN):
            for pair in drawn:
                _print_alignment(*pair)
        columns = ["first", "second", "layers", "of second", "score", "matches", "mismatches", "gaps"]
        columns += ["index", "shared", "motifs"]
        show(table[columns], format, compact=False)
    if heatmap is not None or shortlist is not None:
        _tell_of_groups(names, heat_map(measure(sequences)), similarity, heatmap, shortlist, quiet)
    if lengths is not None:
        with progress_bars(not quiet) as progress, progress.task("drawing lengths", None):
            said = _tell_of_lengths(sequences, lengths, seed)
        print("\nWhat lengths alone give:\n" + "\n".join(said))
        _wrote(lengths, quiet)


@app.command()
def explain(
    atlas: AtlasOption = Path("atlas"),
    cortex: Annotated[str | None, typer.Option("--cortex", help="Results against this cortex.")] = None,
    metric: Annotated[str | None, typer.Option("--metric", help="Results by this metric.")] = None,
    role: Annotated[
        Role,
        typer.Option(
            "--role", help="Networks that are trained, as their functions built them, or with random weights."
        ),
    ] = Role.trained,
    input_size: Annotated[str | None, typer.Option("--input-size", help="Results at this size, as 64x64.")] = None,
    file: Annotated[
        list[Path] | None,
        typer.Option("--file", help="Python file that networks of the atlas were built by; repeat for several."),
    ] = None,
    one_per_family: Annotated[
        bool, typer.Option("--one-per-family", help="Of each family (EfficientNets, VGGs ...) only the first network.")
    ] = False,
    vocabulary: VocabularyOption = "fine",
    method: Annotated[Method, typer.Option("--method", help="Correlation over pairs of networks.")] = Method.spearman,
    permutations: Annotated[
        int,
        typer.Option(
            "--permutations",
            callback=limited("--permutations", PERMUTATIONS._replace(least=99)),
            help="Relabellings of networks.",
        ),
    ] = 9999,
    bootstraps: Annotated[
        int,
        typer.Option(
            "--bootstraps",
            callback=limited("--bootstraps", BOOTSTRAPS._replace(least=0)),
            help="Samples of networks for intervals.",
        ),
    ] = 1000,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="Picture of all pairs of networks (.png, .pdf, .svg).")
    ] = None,
    seed: SeedOption = 0,
    format: FormatOption = Format.table,
    quiet: QuietOption = False,
) -> None:
    """Ask whether architecture explains representation and brain score, over the networks of an atlas.

    Networks that are alike in architecture: are their layers alike (CKA, RSA, at the same relative depths), and are
    their brain scores? Mantel tests over pairs of networks, plain and with the lengths of the layer sequences held
    constant; then whether representation explains brain score. ``score`` is the difference of the means over sites,
    ``profile`` the difference over sites, one by one. q is p adjusted for the whole table (false discovery rate).

    p is by relabelling networks. The interval of r is over networks drawn anew, and wide enough never to exclude 0
    where p is above 0.05. Fewer than 20 networks tell little, which is said.

    Examples:

    `murine explain --atlas atlas --role random --one-per-family --figure explained.png`

    `murine explain --cortex allen-neuropixels --metric rsa-pearson --file examples/trained_networks.py`
    """
    from murine.atlas.store import Atlas
    from murine.progress import progress_bars
    from murine.studies import architectures

    quieten(quiet)
    _check_endings(figure)
    with progress_bars(not quiet) as progress:
        found = architectures.explain(
            Atlas(atlas),
            cortex=cortex,
            metric=metric,
            role=role.value,
            input_size=input_size,
            files=file or [],
            one_per_family=one_per_family,
            vocabulary=vocabulary,
            method=method.value,
            n_permutations=permutations,
            n_bootstraps=bootstraps,
            seed=seed,
            progress=progress,
        )
        if figure is not None:
            from murine.report.architectures import relations_figure, write

            with progress.task("drawing", None):
                write(relations_figure(found.distances, found.relations), figure)
    table = found.relations
    headings = None
    if format in (Format.table, Format.markdown):
        # Of p, the least is 1 / (permutations + 1): three digits would make it zero.
        table = table.assign(p=table.p.map("{:.2g}".format), q=table.q.map("{:.2g}".format))
        table = table.rename(columns={"low": "r_low", "high": "r_high"})
        headings = {name: name for name in ("first", "second", "given", "r", "p", "q")}
    if format is Format.table:
        networks = found.networks
        n = architectures.ENOUGH
        few = f"; fewer than {n} networks are too few for a conclusion" if len(networks) < n else ""
        print(
            f"{len(networks)} {role.value} networks of {networks.layers.min()} to {networks.layers.max()} layers, "
            f"{found.cortex}, {found.metric}; {method.value}, {table.n_permutations.iloc[0]} permutations"
            f"{few}\n"
        )
    show(table, format, compact=False, headings=headings)
    open_ones = found.relations[(found.relations.p <= 0.05) & (found.relations.low <= 0) & (found.relations.high >= 0)]
    if format is Format.table and len(open_ones):
        print(
            f"\n{len(open_ones)} rows have p up to 0.05 and an interval that holds 0: p asks whether networks go "
            "together at all, the interval what r other networks would have."
        )
    if figure is not None:
        _wrote(figure, quiet)


def _compare_with_published(file: Path, quiet: bool) -> None:
    import numpy as np

    from murine.report.architectures import heat_map_figure, write
    from murine.similarity.rdm_vectors import upper_triangle
    from murine.studies.architectures import published_agreement

    names, panels, r, difference = published_agreement()
    ours, theirs = panels.values()
    others = ~np.eye(len(names), dtype=bool)
    print(
        f"heat map of {len(names)} of suite:neurn44 and the published one, "
        f"{len(upper_triangle(ours))} pairs: r {r:.3f}, ",
        end="",
    )
    print(f"mean difference {difference:.3f}")
    rows = [float(np.corrcoef(a[own], b[own])[0, 1]) for a, b, own in zip(ours, theirs, others, strict=True)]
    worst = names[int(np.argmin(rows))]
    names_left, _, r, difference = published_agreement([worst])
    print(
        f"without {worst}, whose row agrees least (r {min(rows):.2f}): {len(names_left)} networks, r {r:.3f}, ", end=""
    )
    print(f"mean difference {difference:.3f}")
    _wrote(write(heat_map_figure(names, panels, "correlation of rows of the index"), file), quiet)


def _pairs(found: Sequence[NamedSequence], every: Sequence[tuple[tuple[str, str], Alignment]]) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    from murine.architecture.sequence_similarity import similarities

    own = {one.name: one for one in found}
    rows = []
    for (first, second), one in every:
        rows.append(
            {
                "first": first,
                "second": second,
                "layers": len(own[first].letters),
                "of second": len(own[second].letters),
                "score": one.score,
                "matches": one.n_matches,
                "mismatches": one.n_mismatches,
                "gaps": one.n_gaps,
                "source": own[first].source,
                "source of second": own[second].source,
                "aligned": one.first,
                "aligned second": one.second,
            }
        )
    table = pd.DataFrame(rows)
    pairs = np.triu_indices(len(found), 1)
    for name in similarities:
        table[name] = similarities[name]([one.letters for one in found])[pairs]
    return table


def _print_networks(found: Sequence[NamedSequence], vocabulary: str) -> None:
    from murine.architecture.vocabulary import load_vocabulary

    legend = load_vocabulary(vocabulary).legend
    used = sorted(set("".join(own.letters for own in found)))
    print("; ".join(f"{letter} {legend.get(letter, '')}" for letter in used) + "\n")
    width = max(len(own.name) for own in found)
    for own in found:
        print(f"{own.name:<{width}}  {len(own.letters):>5} layers  {own.source}")
    print()


def _print_alignment(first: str, second: str, alignment: Alignment) -> None:
    """In lines, with how many letters of each were told before."""
    width = max(len(first), len(second))
    print(f"{first} and {second}: score {alignment.score}, {alignment.n_matches} matches")
    before = [0, 0]
    for start in range(0, len(alignment.marks), _WIDTH):
        part = slice(start, start + _WIDTH)
        for side, (name, letters) in enumerate(((first, alignment.first[part]), (second, alignment.second[part]))):
            if side:
                print(" " * (width + 7) + alignment.marks[part])
            print(f"{name:<{width}}{before[side] + 1:>6} {letters}")
            before[side] += sum(letter != "-" for letter in letters)
        print()


def _tell_of_groups(
    names: Sequence[str],
    correlation: np.ndarray,
    similarity: str,
    file: Path | None,
    n_clusters: int | None,
    quiet: bool,
) -> None:
    from murine.architecture.clustering import choose_representatives, cluster_networks

    if n_clusters is not None:
        labels, chosen = cluster_networks(correlation, n_clusters), choose_representatives(correlation, n_clusters)
        print(f"\n{labels.max() + 1} clusters by {similarity}, the member nearest the centre first:")
        for label, centre in enumerate(chosen):
            others = [name for k, name in enumerate(names) if labels[k] == label and k != centre]
            print(f"  {names[centre]}" + (f": {', '.join(others)}" if others else ""))
    if file is not None:
        from murine.report.architectures import heat_map_figure, write

        title = {f"rows of {similarity}": correlation}
        _wrote(write(heat_map_figure(names, title, "correlation"), file), quiet)


def _tell_of_lengths(sequences: Sequence[str], file: Path, seed: int) -> list[str]:
    """Draw similarities against lengths; what is to be said of each."""
    from murine.architecture.sequence_similarity import length_effect, similarities
    from murine.report.architectures import length_figure, write

    short, lines = {}, []
    for name in similarities:
        effect = length_effect(sequences, name, seed)
        short[name] = f"rho {effect.rank_correlation:.2f}; random letters: r {effect.random:.2f}"
        lines.append(
            f"  {name}: Spearman's rho with the ratio of lengths {effect.rank_correlation:.2f}; r with the same for "
            f"layers in random order {effect.shuffled:.3f}, for random layers {effect.random:.3f}, of the heat maps "
            f"{effect.heat_map_random:.3f}"
        )
    write(length_figure(sequences, short), file)
    return lines


def _check_endings(*files: Path | None) -> None:
    """Refuse names of pictures that cannot be written, before anything is computed."""
    given = [file for file in files if file is not None]
    if given:  # or Matplotlib is imported for nothing
        from murine.report.architectures import check_ending

        for file in given:
            check_ending(file)


def _draw_alignments(drawn: Sequence[tuple[str, str, Alignment]], file: Path) -> None:
    from murine.report.architectures import alignments_figure, write

    if len(drawn) > _DRAWN:
        log.warning("%s shows the first %d of %d alignments.", file, _DRAWN, len(drawn))
    write(alignments_figure(drawn[:_DRAWN]), file)


def _wrote(file: Path, quiet: bool) -> None:
    if not quiet:
        print(f"the picture is in {file}", file=sys.stderr)
