"""Similarity of networks by their layer sequences, and how much of it only reflects the number of layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from murine.architecture.alignment import SUBSEQUENCE, alignment_scores, encode_sequences
from murine.architecture.clustering import NetworkMatrix, heat_map
from murine.registry import Registry
from murine.similarity.rdm_vectors import upper_triangle

similarities: Registry[Callable[[Sequence[str]], NetworkMatrix]] = Registry("architecture_similarity")


@similarities.register("index")
def similarity_index(sequences: Sequence[str]) -> NetworkMatrix:
    """Return the similarity index of the paper: the alignment score over the geometric mean of the lengths.

    It has no lower bound. With a gap value of -2, every additional layer of one network costs 2, so the index falls
    with the ratio of lengths, whatever the layers are. `shared_layers` is bounded.

    Parameters
    ----------
    sequences
        Layer sequences.

    Returns
    -------
    similarity
        (n_networks, n_networks), symmetric, 1 on the diagonal.

    Raises
    ------
    MurineError
        As in `murine.architecture.alignment.align`.

    References
    ----------
    Jalil, Qazi & Iqbal 2025, arXiv 2505.06881.

    Examples
    --------
    >>> similarity_index(["CRCR", "CRMCR"]).round(2)
    array([[1.  , 0.45],
           [0.45, 1.  ]])
    """
    lengths = np.array([len(sequence) for sequence in sequences])
    return alignment_scores(sequences) / np.sqrt(np.outer(lengths, lengths))


@similarities.register("shared")
def shared_layers(sequences: Sequence[str]) -> NetworkMatrix:
    """Return twice the number of layers that two networks share in order, over the number of layers of both.

    The shared layers are the longest common subsequence. For networks of different lengths the value is at most
    2 L_min / (L_1 + L_2).

    Parameters
    ----------
    sequences
        Layer sequences.

    Returns
    -------
    similarity
        (n_networks, n_networks), symmetric, from 0 (no letter in common) to 1 (equal).

    Raises
    ------
    MurineError
        As in `murine.architecture.alignment.align`.

    Examples
    --------
    >>> shared_layers(["CRCR", "CRMCR"]).round(2)
    array([[1.  , 0.89],
           [0.89, 1.  ]])
    """
    lengths = np.array([len(sequence) for sequence in sequences])
    return 2 * alignment_scores(sequences, SUBSEQUENCE) / (lengths[:, None] + lengths)


@similarities.register("motifs")
def shared_motifs(sequences: Sequence[str], size: int = 3) -> NetworkMatrix:
    """Return the cosine between the counts of motifs (``size`` layers in a row): which parts occur, not how many.

    A network that repeats the same blocks more often is almost the same. A sequence shorter than ``size`` is one motif.

    Parameters
    ----------
    sequences
        Layer sequences.
    size
        Layers in a motif.

    Returns
    -------
    similarity
        (n_networks, n_networks), symmetric, 0 to 1.

    Raises
    ------
    MurineError
        As in `murine.architecture.alignment.align`.

    Examples
    --------
    >>> shared_motifs(["CBRCBR", "CBRCBRCBRCBR", "LGLG"]).round(2)
    array([[1.  , 0.98, 0.  ],
           [0.98, 1.  , 0.  ],
           [0.  , 0.  , 1.  ]])
    """
    encode_sequences(sequences)  # refuses sequences that cannot be aligned
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
    """How much of a similarity of architectures only reflects the number of layers.

    Attributes
    ----------
    rank_correlation
        Spearman's r, over pairs, of the similarity with the absolute logarithm of the ratio of lengths. It is -1 where
        nothing else counts, and NaN where all lengths are equal.
    shuffled
        Pearson's r, over pairs, with the similarities of the same sequences with their letters shuffled.
    random
        The same with random letters, as frequent as in all sequences: only the lengths are kept.
    heat_map_random
        As ``random``, for the correlations of rows (`murine.architecture.clustering.heat_map`).

    Examples
    --------
    See `length_effect`.

    >>> LengthEffect(-1.0, 1.0, 1.0, 1.0).rank_correlation
    -1.0
    """

    rank_correlation: float
    shuffled: float
    random: float
    heat_map_random: float


def length_effect(sequences: Sequence[str], similarity: str = "index", seed: int = 0) -> LengthEffect:
    """Compare a similarity of architectures with that of sequences of the same lengths but without order, or without
    content.

    Parameters
    ----------
    sequences
        Layer sequences of at least three networks.
    similarity
        A name in `similarities`.
    seed
        Seed of the shuffling.

    Returns
    -------
    effect
        `LengthEffect`.

    Raises
    ------
    MurineError
        If there are fewer than three sequences.

    Examples
    --------
    >>> effect = length_effect(["CR" * n for n in (2, 4, 8, 16, 32)])
    >>> effect.rank_correlation < -0.9  # equal parts, so that only lengths matter
    True
    """
    from murine.similarity.rsa import comparisons

    rng = np.random.default_rng(seed)
    measure = similarities[similarity]
    letters = list("".join(sequences))
    shuffled = ["".join(rng.permutation(list(sequence))) for sequence in sequences]
    drawn = ["".join(rng.choice(letters, len(sequence))) for sequence in sequences]
    own, *others = (measure(given) for given in (sequences, shuffled, drawn))

    def agreement(a: NetworkMatrix, b: NetworkMatrix, by: str = "rsa-pearson") -> float:
        return float(comparisons[by].score(upper_triangle(a)[None], upper_triangle(b)[None])[0, 0])

    return LengthEffect(
        agreement(length_ratios(sequences), own, "rsa-spearman"),
        agreement(own, others[0]),
        agreement(own, others[1]),
        agreement(heat_map(own), heat_map(others[1])),
    )


def length_ratios(sequences: Sequence[str]) -> NetworkMatrix:
    """Return by how many doublings the lengths of every two sequences differ: |log2(L_i / L_j)|.

    Examples
    --------
    >>> length_ratios(["CR", "CRCRCRCR"])
    array([[0., 2.],
           [2., 0.]])
    """
    lengths = np.log2([len(sequence) for sequence in sequences])
    return np.abs(lengths[:, None] - lengths)
