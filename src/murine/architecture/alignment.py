"""Architectures aligned: layer sequences by Needleman and Wunsch, and how alike networks are by them.

The sequences come from `murine.architecture.layer_sequences`; the scores and the similarity index are those of Jalil,
Qazi & Iqbal 2025 (arXiv 2505.06881), as decoded from their figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int32, Int64, UInt8

from murine.errors import MurineError, some

#: What is written for a letter that has no partner.
GAP = "-"

#: Bytes that the table of directions of one pair may take.
_MAX_BYTES = 2 << 30


@dataclass(frozen=True)
class AlignmentScoring:
    """What pairs of letters count. The default is the paper's; a gap costs the same at the ends as inside."""

    match: int = 1
    mismatch: int = -2
    gap: int = -2

    def __post_init__(self) -> None:
        if self.mismatch > self.match or self.gap > 0:
            raise MurineError(
                f"a mismatch counts {self.mismatch}, a match {self.match}, a gap {self.gap}: a mismatch may not count "
                "more than a match, and a gap not more than 0."
            )

    @property
    def values(self) -> tuple[int, int, int]:
        return self.match, self.mismatch, self.gap


#: Counts the letters that two sequences have in common, in order.
SUBSEQUENCE = AlignmentScoring(1, 0, 0)


@dataclass(frozen=True)
class Alignment:
    """One best alignment of two sequences.

    Attributes
    ----------
    first, second
        The sequences, with `GAP` where a letter has no partner: of the same length.
    score
        Its score, the best there is.
    """

    first: str
    second: str
    score: int

    @property
    def marks(self) -> str:
        """``|`` where letters match, ``.`` where they do not, a blank at gaps."""
        pairs = zip(self.first, self.second, strict=True)
        return "".join(" " if GAP in pair else "|" if pair[0] == pair[1] else "." for pair in pairs)

    @property
    def n_matches(self) -> int:
        return self.marks.count("|")

    @property
    def n_mismatches(self) -> int:
        return self.marks.count(".")

    @property
    def n_gaps(self) -> int:
        return self.marks.count(" ")

    @cached_property
    def path(self) -> Int64[np.ndarray, "n_steps 2"]:
        """How many letters of each are used up after every step, from (0, 0)."""
        used = [[letter != GAP for letter in side] for side in (self.first, self.second)]
        return np.concatenate([np.zeros((1, 2), np.int64), np.cumsum(np.array(used, np.int64).T, axis=0)])

    @property
    def index(self) -> float:
        """The paper's similarity index: the score over the geometric mean of the lengths, 1 for equal sequences."""
        lengths = [sum(letter != GAP for letter in side) for side in (self.first, self.second)]
        return float(self.score / np.sqrt(lengths[0] * lengths[1]))


def align(first: str, second: str, scoring: AlignmentScoring | None = None) -> Alignment:
    """Align two sequences from end to end.

    Where several alignments are best, the one is taken that, read from the end, pairs letters where it can, and else
    puts the letter of the first against a gap.

    Raises
    ------
    MurineError
        If a sequence is empty or too long, or has a letter that is no single byte or `GAP`.
    """
    return align_all([first, second], scoring)[0]


def align_all(sequences: Sequence[str], scoring: AlignmentScoring | None = None) -> list[Alignment]:
    """Align every two sequences, in the order of ``itertools.combinations``; as `align`."""
    from murine.architecture.needleman_wunsch import FIRST, SECOND, best_alignments

    codes, bounds = encode_sequences(sequences)
    pairs = np.stack(np.triu_indices(len(sequences), 1), axis=1).astype(np.int64)
    if not len(pairs):
        return []
    scores, steps = best_alignments(codes, bounds, pairs, (scoring or AlignmentScoring()).values)
    found = []
    for (i, j), score, taken in zip(pairs.tolist(), scores.tolist(), steps, strict=True):
        sides = []
        for which, missing in ((i, SECOND), (j, FIRST)):
            side = np.full(len(taken), ord(GAP), np.uint8)
            side[taken != missing] = codes[bounds[which] : bounds[which + 1]]
            sides.append(side.tobytes().decode("latin-1"))
        found.append(Alignment(sides[0], sides[1], score))
    return found


def alignment_scores(
    sequences: Sequence[str], scoring: AlignmentScoring | None = None
) -> Int64[np.ndarray, "n_networks n_networks"]:
    """The best score of every two sequences, and of each with itself; symmetric. Raises as `align`."""
    from murine.architecture.needleman_wunsch import best_scores

    codes, bounds = encode_sequences(sequences)
    n = len(sequences)
    rows, columns = np.triu_indices(n)
    found = np.empty((n, n), np.int64)
    pairs = np.stack([rows, columns], axis=1).astype(np.int64)
    found[rows, columns] = found[columns, rows] = best_scores(
        codes, bounds, pairs, (scoring or AlignmentScoring()).values
    )
    return found


def score_matrix(
    first: str, second: str, scoring: AlignmentScoring | None = None
) -> Int32[np.ndarray, "n_first_and_one n_second_and_one"]:
    """The table that an alignment is read from: the best score of every two beginnings of the sequences."""
    from murine.architecture.needleman_wunsch import score_table

    codes, bounds = encode_sequences([first, second])
    return score_table(codes[: bounds[1]], codes[bounds[1] :], (scoring or AlignmentScoring()).values)


def optimal_cells(first: str, second: str, scoring: AlignmentScoring | None = None) -> np.ndarray:
    """Which cells of `score_matrix` some best alignment passes: there are often many."""
    forward = score_matrix(first, second, scoring)
    backward = score_matrix(first[::-1], second[::-1], scoring)[::-1, ::-1]
    found: np.ndarray = forward + backward == forward[-1, -1]
    return found


def encode_sequences(
    sequences: Sequence[str],
) -> tuple[UInt8[np.ndarray, " n_letters"], Int64[np.ndarray, " n_bounds"]]:
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    if not lengths.all():
        raise MurineError(
            f"sequences {some(np.flatnonzero(lengths == 0))} (from 0) are empty: there is nothing to align."
        )
    if (longest := int(lengths.max(initial=0))) ** 2 * 2 > _MAX_BYTES:
        raise MurineError(
            f"a sequence of {longest:,} letters is too long to align; at most {int((_MAX_BYTES / 2) ** 0.5):,}."
        )
    joined = "".join(sequences)
    strange = sorted({letter for letter in joined if ord(letter) > 255 or letter == GAP})
    if strange:
        raise MurineError(
            f"sequences have letters {some(map(repr, strange))}; a letter is a byte of Latin-1, not {GAP!r}."
        )
    return np.frombuffer(bytearray(joined, "latin-1"), np.uint8), np.concatenate([[0], np.cumsum(lengths)])
