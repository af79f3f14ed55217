"""Alignment of layer sequences with the Needleman-Wunsch algorithm.

The sequences come from `murine.architecture.layer_sequences`. The scoring is that of Jalil, Qazi & Iqbal 2025 (arXiv
2505.06881), as decoded from their figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int32, Int64, UInt8

from murine.errors import MurineError, some

#: Written where a letter has no partner.
GAP = "-"

#: Largest size of the table of directions of one pair, in bytes.
_MAX_BYTES = 2 << 30


@dataclass(frozen=True)
class AlignmentScoring:
    """Values of a match, a mismatch and a gap.

    The defaults are those of the paper. Gaps at the ends cost as much as others.

    Raises
    ------
    MurineError
        If a mismatch counts more than a match, or a gap more than 0.

    Examples
    --------
    >>> AlignmentScoring().values
    (1, -2, -2)
    """

    match: int = 1
    mismatch: int = -2
    gap: int = -2

    def __post_init__(self) -> None:
        if self.mismatch > self.match or self.gap > 0:
            raise MurineError(
                f"a mismatch counts {self.mismatch}, a match {self.match}, a gap {self.gap}: a mismatch must not count "
                "more than a match, and a gap must not count more than 0."
            )

    @property
    def values(self) -> tuple[int, int, int]:
        """The values as a tuple: match, mismatch, gap."""
        return self.match, self.mismatch, self.gap


#: With these values the score is the length of the longest common subsequence.
SUBSEQUENCE = AlignmentScoring(1, 0, 0)


@dataclass(frozen=True)
class Alignment:
    """One best alignment of two sequences.

    Attributes
    ----------
    first, second
        The sequences, of equal length, with `GAP` where a letter has no partner.
    score
        The score, which is the best possible.

    Examples
    --------
    >>> found = align("CBRCBR", "CRCR")
    >>> found.second, found.marks, found.score
    ('C-RC-R', '| || |', 0)
    """

    first: str
    second: str
    score: int

    @property
    def marks(self) -> str:
        """``|`` where letters match, ``.`` where they differ, and a blank at gaps."""
        pairs = zip(self.first, self.second, strict=True)
        return "".join(" " if GAP in pair else "|" if pair[0] == pair[1] else "." for pair in pairs)

    @property
    def n_matches(self) -> int:
        """Number of matching letters."""
        return self.marks.count("|")

    @property
    def n_mismatches(self) -> int:
        """Number of differing letters."""
        return self.marks.count(".")

    @property
    def n_gaps(self) -> int:
        """Number of letters without a partner."""
        return self.marks.count(" ")

    @cached_property
    def path(self) -> Int64[np.ndarray, "n_steps 2"]:
        """Number of letters of each sequence that are used up after every step, from (0, 0)."""
        used = [[letter != GAP for letter in side] for side in (self.first, self.second)]
        return np.concatenate([np.zeros((1, 2), np.int64), np.cumsum(np.array(used, np.int64).T, axis=0)])

    @property
    def index(self) -> float:
        """The similarity index of the paper: the score over the geometric mean of the lengths. It is 1 for equal
        sequences.
        """
        lengths = [sum(letter != GAP for letter in side) for side in (self.first, self.second)]
        return float(self.score / np.sqrt(lengths[0] * lengths[1]))


def align(first: str, second: str, scoring: AlignmentScoring | None = None) -> Alignment:
    """Align two sequences from end to end.

    Of several best alignments, it returns the one that, read from the end, pairs letters where possible, and otherwise
    puts the letter of the first sequence against a gap.

    Parameters
    ----------
    first, second
        Layer sequences: single-byte letters, not `GAP`.
    scoring
        Values of matches, mismatches and gaps; None for those of the paper.

    Raises
    ------
    MurineError
        If a sequence is empty or too long, or has a letter that is not allowed.

    Examples
    --------
    >>> align("CRCR", "CRMCR").first
    'CR-CR'
    """
    return align_all([first, second], scoring)[0]


def align_all(sequences: Sequence[str], scoring: AlignmentScoring | None = None) -> list[Alignment]:
    """Align every two sequences, in the order of ``itertools.combinations``. Errors are as in `align`.

    Examples
    --------
    >>> [found.score for found in align_all(["CRCR", "CRMCR", "CRL"])]
    [2, -2, -4]
    """
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
    """Return the best alignment score of every two sequences, and of each with itself.

    Errors are as in `align`.

    Returns
    -------
    scores
        (n_networks, n_networks), symmetric.

    Examples
    --------
    >>> alignment_scores(["CRCR", "CRMCR"])
    array([[4, 2],
           [2, 5]])
    """
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
    """Return the table from which an alignment is read: the best score of every two prefixes of the sequences.

    Returns
    -------
    table
        (len(first) + 1, len(second) + 1).

    Examples
    --------
    >>> score_matrix("CR", "CR")
    array([[ 0, -2, -4],
           [-2,  1, -1],
           [-4, -1,  2]], dtype=int32)
    """
    from murine.architecture.needleman_wunsch import score_table

    codes, bounds = encode_sequences([first, second])
    return score_table(codes[: bounds[1]], codes[bounds[1] :], (scoring or AlignmentScoring()).values)


def optimal_cells(first: str, second: str, scoring: AlignmentScoring | None = None) -> np.ndarray:
    """Return which cells of `score_matrix` lie on some best alignment; there are often many such alignments.

    Examples
    --------
    >>> optimal_cells("CR", "CR").astype(int)
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 0, 1]])
    """
    forward = score_matrix(first, second, scoring)
    backward = score_matrix(first[::-1], second[::-1], scoring)[::-1, ::-1]
    found: np.ndarray = forward + backward == forward[-1, -1]
    return found


def encode_sequences(
    sequences: Sequence[str],
) -> tuple[UInt8[np.ndarray, " n_letters"], Int64[np.ndarray, " n_bounds"]]:
    """Return all letters as bytes, and where each sequence starts; refuse sequences that cannot be aligned."""
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
            f"sequences have letters {some(map(repr, strange))}; expected Latin-1 characters other than {GAP!r}."
        )
    return np.frombuffer(bytearray(joined, "latin-1"), np.uint8), np.concatenate([[0], np.cumsum(lengths)])
