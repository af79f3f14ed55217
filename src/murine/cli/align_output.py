"""What `murine align` prints and draws of networks: their letters, alignments, groups and lengths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from murine.cli.pictures import tell_picture

if TYPE_CHECKING:
    import numpy as np

    from murine.architecture.alignment import Alignment
    from murine.architecture.named_sequences import NamedSequence

#: Letters of an alignment in a line.
_WIDTH = 80


def print_networks(found: Sequence[NamedSequence], vocabulary: str) -> None:
    """Print what letters mean, and how many layers each network has."""
    from murine.architecture.vocabulary import load_vocabulary

    legend = load_vocabulary(vocabulary).legend
    used = sorted(set("".join(own.letters for own in found)))
    print("; ".join(f"{letter} {legend.get(letter, '')}" for letter in used) + "\n")
    width = max(len(own.name) for own in found)
    for own in found:
        print(f"{own.name:<{width}}  {len(own.letters):>5} layers  {own.source}")
    print()


def print_alignment(first: str, second: str, alignment: Alignment) -> None:
    """Print an alignment in lines, with how many letters of each network stand before."""
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


def tell_of_groups(
    names: Sequence[str],
    correlation: np.ndarray,
    similarity: str,
    file: Path | None,
    n_clusters: int | None,
    quiet: bool,
) -> None:
    """Print clusters with their representative networks, and draw the heat map, where asked to."""
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
        tell_picture(write(heat_map_figure(names, title, "correlation"), file), quiet)


def tell_of_lengths(sequences: Sequence[str], file: Path, seed: int) -> list[str]:
    """Draw similarities against lengths; return what is to be said of each."""
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


def compare_with_published(file: Path, quiet: bool) -> None:
    """Draw the heat map of suite:neurn44 beside the published one, and tell how well they agree."""
    from murine.architecture.pair_table import least_agreeing_row
    from murine.report.architectures import heat_map_figure, write
    from murine.similarity.rdm_vectors import upper_triangle
    from murine.studies.architectures import published_agreement

    names, panels, r, difference = published_agreement()
    ours, theirs = panels.values()
    print(
        f"heat map of {len(names)} of suite:neurn44 and the published one, "
        f"{len(upper_triangle(ours))} pairs: r {r:.3f}, ",
        end="",
    )
    print(f"mean difference {difference:.3f}")
    row, least = least_agreeing_row(ours, theirs)
    worst = names[row]
    names_left, _, r, difference = published_agreement([worst])
    print(f"without {worst}, whose row agrees least (r {least:.2f}): {len(names_left)} networks, r {r:.3f}, ", end="")
    print(f"mean difference {difference:.3f}")
    tell_picture(write(heat_map_figure(names, panels, "correlation of rows of the index"), file), quiet)
