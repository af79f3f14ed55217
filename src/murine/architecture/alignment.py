"""Architectures aligned: layer sequences by Needleman and Wunsch, and how alike networks are by them.

The sequences come from `murine.architecture.layer_sequences`; the scores and the similarity index are those of Jalil,
Qazi & Iqbal 2025 (arXiv 2505.06881), as decoded from their figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int32, Int64, UInt8

from murine.errors import MurineError, some
from murine.registry import Registry
from murine.similarity.rdm import upper

Matrix = Float[np.ndarray, "n_networks n_networks"]

#: What is written for a letter that has no partner.
GAP = "-"

#: Bytes that the table of directions of one pair may take.
_ROOM = 2 << 30


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
COMMON = AlignmentScoring(1, 0, 0)


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

    codes, bounds = _encoded(sequences)
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


def scores(
    sequences: Sequence[str], scoring: AlignmentScoring | None = None
) -> Int64[np.ndarray, "n_networks n_networks"]:
    """The best score of every two sequences, and of each with itself; symmetric. Raises as `align`."""
    from murine.architecture.needleman_wunsch import best_scores

    codes, bounds = _encoded(sequences)
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
    from murine.architecture.needleman_wunsch import matrix

    codes, bounds = _encoded([first, second])
    return matrix(codes[: bounds[1]], codes[bounds[1] :], (scoring or AlignmentScoring()).values)


def on_a_best_path(first: str, second: str, scoring: AlignmentScoring | None = None) -> np.ndarray:
    """Which cells of `score_matrix` some best alignment passes: there are often many."""
    forward = score_matrix(first, second, scoring)
    backward = score_matrix(first[::-1], second[::-1], scoring)[::-1, ::-1]
    found: np.ndarray = forward + backward == forward[-1, -1]
    return found


def _encoded(sequences: Sequence[str]) -> tuple[UInt8[np.ndarray, " n_letters"], Int64[np.ndarray, " n_bounds"]]:
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    if not lengths.all():
        raise MurineError(
            f"sequences {some(np.flatnonzero(lengths == 0))} (from 0) are empty: there is nothing to align."
        )
    if (longest := int(lengths.max(initial=0))) ** 2 * 2 > _ROOM:
        raise MurineError(
            f"a sequence of {longest:,} letters is too long to align; at most {int((_ROOM / 2) ** 0.5):,}."
        )
    joined = "".join(sequences)
    strange = sorted({letter for letter in joined if ord(letter) > 255 or letter == GAP})
    if strange:
        raise MurineError(
            f"sequences have letters {some(map(repr, strange))}; a letter is a byte of Latin-1, not {GAP!r}."
        )
    return np.frombuffer(bytearray(joined, "latin-1"), np.uint8), np.concatenate([[0], np.cumsum(lengths)])


similarities: Registry[Callable[[Sequence[str]], Matrix]] = Registry("architecture_similarity")


@similarities.register("index")
def similarity_index(sequences: Sequence[str]) -> Matrix:
    """The paper's index: best score over the geometric mean of the lengths, 1 on the diagonal.

    It has no lower bound: with a gap of -2, every layer that one network has more costs 2, so the index falls with the
    ratio of lengths, whatever the layers are. `shared` is bounded."""
    lengths = np.array([len(sequence) for sequence in sequences])
    return scores(sequences) / np.sqrt(np.outer(lengths, lengths))


@similarities.register("shared")
def shared(sequences: Sequence[str]) -> Matrix:
    """Twice the number of layers that two networks have in common, in order, over the number of layers of both.

    Symmetric, between 0 (no letter in common) and 1 (equal). The longest common subsequence is the best alignment where
    a match counts 1 and all else 0. Of networks of different lengths it can still be no more than
    2 L_min / (L_1 + L_2)."""
    lengths = np.array([len(sequence) for sequence in sequences])
    return 2 * scores(sequences, COMMON) / (lengths[:, None] + lengths)


@similarities.register("motifs")
def motifs(sequences: Sequence[str], size: int = 3) -> Matrix:
    """Cosine of the angle between the counts of ``size`` layers in a row: what the parts are, not how many.

    Symmetric, between 0 and 1. A network of the same blocks, repeated more often, is nearly the same. Sequences shorter
    than ``size`` are taken as one motif."""
    _encoded(sequences)  # for its errors
    counts: list[dict[str, int]] = []
    for sequence in sequences:
        own: dict[str, int] = {}
        for start in range(max(len(sequence) - size, 0) + 1):
            part = sequence[start : start + size]
            own[part] = own.get(part, 0) + 1
        counts.append(own)
    every = sorted(set().union(*counts))
    table = np.array([[own.get(part, 0) for part in every] for own in counts], np.float64)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    return np.clip(table @ table.T, 0, 1)


@dataclass(frozen=True)
class LengthEffect:
    """How much of a similarity of architectures is the number of layers.

    Attributes
    ----------
    rank_correlation
        Spearman's, over pairs, of the similarity with the absolute logarithm of the ratio of lengths: -1 where nothing
        else counts, NaN where all lengths are equal.
    shuffled
        Pearson's r, over pairs, with the similarities of the same sequences with their letters in random order.
    random
        The same with random letters, as frequent as they are in all sequences: only the lengths are left.
    heat_map_random
        As ``random``, for the correlations of rows.
    """

    rank_correlation: float
    shuffled: float
    random: float
    heat_map_random: float


def length_effect(sequences: Sequence[str], similarity: str = "index", seed: int = 0) -> LengthEffect:
    """Hold a similarity of architectures against sequences of the same lengths without any order, or without anything.

    Raises
    ------
    MurineError
        For fewer than three sequences.
    """
    from murine.similarity.rsa import comparisons

    rng = np.random.default_rng(seed)
    measure = similarities[similarity]
    letters = list("".join(sequences))
    shuffled = ["".join(rng.permutation(list(sequence))) for sequence in sequences]
    drawn = ["".join(rng.choice(letters, len(sequence))) for sequence in sequences]
    own, *others = (measure(given) for given in (sequences, shuffled, drawn))

    def agreement(a: Matrix, b: Matrix, by: str = "rsa-pearson") -> float:
        return float(comparisons[by].score(upper(a)[None], upper(b)[None])[0, 0])

    return LengthEffect(
        agreement(length_ratios(sequences), own, "rsa-spearman"),
        agreement(own, others[0]),
        agreement(own, others[1]),
        agreement(heat_map(own), heat_map(others[1])),
    )


def length_ratios(sequences: Sequence[str]) -> Matrix:
    """By how many doublings the lengths of every two sequences differ: |log2(L_i / L_j)|."""
    lengths = np.log2([len(sequence) for sequence in sequences])
    return np.abs(lengths[:, None] - lengths)


def heat_map(similarity: Matrix) -> Matrix:
    """The paper's heat map: Pearson's r between every two rows of a matrix of similarities.

    It tells whether two networks are alike to the same others, and depends on which others there are. NaN where a row
    is constant.

    Raises
    ------
    MurineError
        For fewer than three networks, where every correlation is 1 or -1.
    """
    if len(similarity) < 3:
        raise MurineError(f"a heat map of {len(similarity)} networks says nothing; give at least 3.")
    rows = similarity - similarity.mean(axis=1, keepdims=True)
    length = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    rows = np.divide(rows, length, out=np.full_like(rows, np.nan), where=length > 1e-12 * np.abs(similarity).max())
    return np.clip(rows @ rows.T, -1, 1)


def clusters(correlation: Matrix, n_clusters: int) -> Int64[np.ndarray, " n_networks"]:
    """Cluster networks by average linkage of 1 - correlation, cut where ``n_clusters`` are left.

    Returns
    -------
    labels
        From 0, in the order of each cluster's first network. Equal distances are merged in SciPy's order, so fewer
        clusters than asked for can come out where networks cannot be told apart.

    Raises
    ------
    MurineError
        For fewer than 1 or more clusters than networks, or a matrix with NaN.
    """
    from scipy.cluster.hierarchy import average, fcluster
    from scipy.spatial.distance import squareform

    n = len(correlation)
    if not 1 <= n_clusters <= n:
        raise MurineError(f"{n_clusters} clusters of {n} networks were asked for; expected 1 to {n}.")
    if not np.isfinite(correlation).all():
        raise MurineError("networks cannot be clustered: the matrix has values that are not finite.")
    if n == 1:
        return np.zeros(1, np.int64)
    distances = np.maximum(1 - (correlation + correlation.T) / 2, 0)
    np.fill_diagonal(distances, 0)
    found = fcluster(average(squareform(distances, checks=False)), n_clusters, criterion="maxclust")
    order: dict[int, int] = {}
    return np.array([order.setdefault(int(label), len(order)) for label in found])


def short_list(correlation: Matrix, n_clusters: int = 13) -> list[int]:
    """The paper's rule for choosing networks: of every cluster the member nearest its centre.

    The centre is the mean of the members' rows of ``correlation``, the distance Euclidean; of equally near members the
    first. (13 networks were chosen from 44; the linkage and the distance are not published.)

    Returns
    -------
    chosen
        Positions, in the order of the clusters.
    """
    labels = clusters(correlation, n_clusters)
    chosen = []
    for label in range(int(labels.max()) + 1):
        members = np.flatnonzero(labels == label)
        rows = correlation[members]
        distances = np.linalg.norm(rows - rows.mean(axis=0), axis=1)
        chosen.append(int(members[np.argmin(np.round(distances, 12))]))
    return chosen
