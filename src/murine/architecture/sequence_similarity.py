"""T."""

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
    """The paper's index: best score over the geometric mean of the lengths, 1 on the diagonal.

    It has no lower bound: with a gap of -2, every layer that one network has more costs 2, so the index falls with the
    ratio of lengths, whatever the layers are. `shared_layers` is bounded."""
    lengths = np.array([len(sequence) for sequence in sequences])
    return alignment_scores(sequences) / np.sqrt(np.outer(lengths, lengths))


@similarities.register("shared")
def shared_layers(sequences: Sequence[str]) -> NetworkMatrix:
    """Twice the number of layers that two networks have in common, in order, over the number of layers of both.

    Symmetric, between 0 (no letter in common) and 1 (equal). The longest common subsequence is the best alignment where
    a match counts 1 and all else 0. Of networks of different lengths it can still be no more than
    2 L_min / (L_1 + L_2)."""
    lengths = np.array([len(sequence) for sequence in sequences])
    return 2 * alignment_scores(sequences, SUBSEQUENCE) / (lengths[:, None] + lengths)


@similarities.register("motifs")
def shared_motifs(sequences: Sequence[str], size: int = 3) -> NetworkMatrix:
    """Cosine of the angle between the counts of ``size`` layers in a row: what the parts are, not how many.

    Symmetric, between 0 and 1. A network of the same blocks, repeated more often, is nearly the same. Sequences shorter
    than ``size`` are taken as one motif."""
    encode_sequences(sequences)  # for its errors
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

    def agreement(a: NetworkMatrix, b: NetworkMatrix, by: str = "rsa-pearson") -> float:
        return float(comparisons[by].score(upper_triangle(a)[None], upper_triangle(b)[None])[0, 0])

    return LengthEffect(
        agreement(length_ratios(sequences), own, "rsa-spearman"),
        agreement(own, others[0]),
        agreement(own, others[1]),
        agreement(heat_map(own), heat_map(others[1])),
    )


def length_ratios(sequences: Sequence[str]) -> NetworkMatrix:
    """By how many doublings the lengths of every two sequences differ: |log2(L_i / L_j)|."""
    lengths = np.log2([len(sequence) for sequence in sequences])
    return np.abs(lengths[:, None] - lengths)
