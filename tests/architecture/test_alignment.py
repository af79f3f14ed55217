"""Alignment of layer sequences: against Biopython, a plain loop, all alignments there are, and the published scores."""

import itertools

import numpy as np
import pytest
from Bio.Align import PairwiseAligner

from murine.architecture.alignment import (
    SUBSEQUENCE,
    AlignmentScoring,
    align,
    align_all,
    alignment_scores,
    optimal_cells,
    score_matrix,
)
from murine.architecture.clustering import cluster_networks
from murine.architecture.sequence_similarity import similarity_index
from murine.errors import MurineError

VGG16 = "CCMCCMCCCMCCCMCCCMLLL"

VGG19 = "CCMCCMCCCCMCCCCMCCCCMLLL"

VGG11 = "CRMCRMCRCRMCRCRMCRCRMALRDLRDL"


def biopython(scoring):
    aligner = PairwiseAligner(mode="global")
    aligner.match_score, aligner.mismatch_score, aligner.gap_score = scoring.values
    return aligner


def random_sequence(rng, most=120, letters="CRMBLP"):
    """Random letters, or blocks repeated as networks have them."""
    if rng.random() < 0.5:
        return "".join(rng.choice(list(letters), rng.integers(1, most)))
    block = "".join(rng.choice(list(letters), rng.integers(1, 8)))
    return (block * most)[: rng.integers(1, most)]


def plain_matrix(first, second, match=1, mismatch=-2, gap=-2):
    """The published recursion, word for word (docs/reference/sources.md)."""
    m = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i in range(len(first) + 1):
        m[i][0] = gap * i
    for j in range(len(second) + 1):
        m[0][j] = gap * j
    for i in range(1, len(first) + 1):
        for j in range(1, len(second) + 1):
            same = match if first[i - 1] == second[j - 1] else mismatch
            m[i][j] = max(m[i - 1][j - 1] + same, m[i - 1][j] + gap, m[i][j - 1] + gap)
    return np.array(m)


def score_of(alignment, scoring):
    """What an alignment scores, counted column by column."""
    total = 0
    for a, b in zip(alignment.first, alignment.second, strict=True):
        assert not (a == b == "-")
        total += scoring.gap if "-" in (a, b) else scoring.match if a == b else scoring.mismatch
    return total


def test_published_scores():
    assert align(VGG16, VGG11).score == -10
    assert align(VGG16, VGG19).score == 15
    assert align(VGG19, VGG11).score == -10
    table = score_matrix(VGG16, VGG11)
    assert table[2, 2] == -1
    assert table[0].tolist() == [-2 * j for j in range(30)]
    assert table[:, 0].tolist() == [-2 * i for i in range(22)]


def test_a_thousand_random_pairs_score_as_with_biopython_and_each_alignment_is_a_best_one():
    rng = np.random.default_rng(0)
    odd = [
        AlignmentScoring(1, -1, -2),
        SUBSEQUENCE,
        AlignmentScoring(2, -3, -1),
        AlignmentScoring(0, -1, -1),
        AlignmentScoring(5, -4, 0),
    ]
    for k in range(1000):
        scoring = AlignmentScoring() if k % 2 else odd[k // 2 % len(odd)]
        first, second = random_sequence(rng), random_sequence(rng)
        found = align(first, second, scoring)
        assert found.score == biopython(scoring).score(first, second)
        assert score_of(found, scoring) == found.score
        assert found.first.replace("-", "") == first
        assert found.second.replace("-", "") == second
        assert alignment_scores([first, second], scoring)[0, 1] == found.score


def test_long_sequences():
    rng = np.random.default_rng(1)
    sequences = ["".join(rng.choice(list("CBR"), n)) for n in (1100, 1, 900)]
    for (a, b), found in zip(itertools.combinations(sequences, 2), align_all(sequences), strict=True):
        assert found.score == biopython(AlignmentScoring()).score(a, b) == score_of(found, AlignmentScoring())


def every_alignment(first, second):
    if not first and not second:
        yield "", ""
    if first and second:
        yield from ((first[0] + a, second[0] + b) for a, b in every_alignment(first[1:], second[1:]))
    if first:
        yield from ((first[0] + a, "-" + b) for a, b in every_alignment(first[1:], second))
    if second:
        yield from (("-" + a, second[0] + b) for a, b in every_alignment(first, second[1:]))


def test_ties_are_broken_as_promised_and_all_best_paths_are_known():
    """Of all best alignments there are, the one that from the end pairs letters, else takes one of the first."""
    rng = np.random.default_rng(2)
    several = 0
    for _ in range(30):
        first, second = (random_sequence(rng, 6, "AB") for _ in range(2))
        scored = {}
        for a, b in every_alignment(first, second):
            columns = zip(a, b, strict=True)
            value = sum(-2 if "-" in column else 1 if column[0] == column[1] else -2 for column in columns)
            scored.setdefault(value, []).append((a, b))
        best = scored[max(scored)]
        several += len(best) > 1

        def rank(pair):
            return [0 if "-" not in column else 1 if column[1] == "-" else 2 for column in zip(*pair, strict=True)][
                ::-1
            ]

        found = align(first, second)
        assert (found.first, found.second) == min(best, key=rank)
        passed = np.zeros((len(first) + 1, len(second) + 1), bool)
        for a, b in best:
            i = np.concatenate([[0], np.cumsum([x != "-" for x in a])])
            j = np.concatenate([[0], np.cumsum([x != "-" for x in b])])
            passed[i, j] = True
        np.testing.assert_array_equal(optimal_cells(first, second), passed)
    assert several > 10


def test_the_table_is_the_plain_one():
    rng = np.random.default_rng(3)
    for _ in range(20):
        first, second = random_sequence(rng, 40), random_sequence(rng, 40)
        np.testing.assert_array_equal(score_matrix(first, second), plain_matrix(first, second))
        np.testing.assert_array_equal(score_matrix(first, second, SUBSEQUENCE), plain_matrix(first, second, 1, 0, 0))


def test_path_and_counts():
    found = align("CCMLL", "CRML")
    assert (found.first, found.marks, found.second) == ("CCMLL", "|.| |", "CRM-L")
    assert (found.n_matches, found.n_mismatches, found.n_gaps) == (3, 1, 1)
    assert found.path.tolist() == [[0, 0], [1, 1], [2, 2], [3, 3], [4, 3], [5, 4]]
    assert found.index == pytest.approx((3 - 2 - 2) / np.sqrt(20))


def test_index_is_the_score_over_the_geometric_mean_of_lengths():
    found = similarity_index([VGG16, VGG19, VGG11])
    expected = [[1, 15 / np.sqrt(21 * 24), -10 / np.sqrt(21 * 29)], [0, 1, -10 / np.sqrt(24 * 29)], [0, 0, 1]]
    np.testing.assert_allclose(np.triu(found), expected, rtol=1e-14)
    np.testing.assert_array_equal(found, found.T)


def test_wrong_input():
    with pytest.raises(MurineError, match=r"sequences 1 \(from 0\) are empty"):
        align("CC", "")
    with pytest.raises(MurineError, match="letters '-'"):
        align("C-C", "C")
    with pytest.raises(MurineError, match="Latin-1"):
        align("C", "Ω")
    with pytest.raises(MurineError, match="too long"):
        alignment_scores(["C" * 40_000, "C"])
    with pytest.raises(MurineError, match="a mismatch must not count more"):
        AlignmentScoring(1, 2, -1)
    with pytest.raises(MurineError, match="a gap must not count more than 0"):
        AlignmentScoring(1, -1, 1)
    with pytest.raises(MurineError, match="5 clusters of 3 networks"):
        cluster_networks(np.eye(3), 5)
    with pytest.raises(MurineError, match="not finite"):
        cluster_networks(np.full((3, 3), np.nan), 2)
    assert align_all(["C"]) == []
