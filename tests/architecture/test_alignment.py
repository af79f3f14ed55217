"""Alignment of layer sequences: against Biopython, a plain loop, all alignments there are, and the published scores."""

import itertools

import numpy as np
import pytest
from Bio.Align import PairwiseAligner
from scipy.cluster.hierarchy import fcluster, linkage

from murine.architecture.alignment import (
    COMMON,
    AlignmentScoring,
    align,
    align_all,
    clusters,
    heat_map,
    length_effect,
    length_ratios,
    motifs,
    on_a_best_path,
    score_matrix,
    scores,
    short_list,
    similarities,
    similarity_index,
)
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
        COMMON,
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
        assert scores([first, second], scoring)[0, 1] == found.score


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
        np.testing.assert_array_equal(on_a_best_path(first, second), passed)
    assert several > 10


def test_the_table_is_the_plain_one():
    rng = np.random.default_rng(3)
    for _ in range(20):
        first, second = random_sequence(rng, 40), random_sequence(rng, 40)
        np.testing.assert_array_equal(score_matrix(first, second), plain_matrix(first, second))
        np.testing.assert_array_equal(score_matrix(first, second, COMMON), plain_matrix(first, second, 1, 0, 0))


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


@pytest.mark.parametrize("name", ["shared", "motifs"])
def test_bounded_similarities(name):
    rng = np.random.default_rng(4)
    sequences = [random_sequence(rng) for _ in range(20)]
    found = similarities[name](sequences)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(np.diag(found), 1, rtol=1e-14)
    assert found.min() >= 0
    assert found.max() <= 1
    order = rng.permutation(20)
    np.testing.assert_allclose(
        similarities[name]([sequences[i] for i in order]), found[np.ix_(order, order)], rtol=1e-13
    )
    assert similarities[name](["CCC", "LLL"])[0, 1] == 0


def test_shared_counts_the_longest_common_subsequence():
    assert similarities["shared"](["CBRCBR", "CRCR"])[0, 1] == pytest.approx(2 * 4 / 10)
    assert similarities["shared"](["ABC", "CBA"])[0, 1] == pytest.approx(2 / 6)


def test_motifs_do_not_count_how_often_a_block_is_repeated():
    found = motifs(["CBR" * 5, "CBR" * 50])
    assert found[0, 1] > 0.995  # but for where it ends
    # CBR, BRC, RCB against CBR, BRB: one in common.
    assert motifs(["CBRCB", "CBRB"])[0, 1] == pytest.approx(1 / np.sqrt(3 * 2))
    assert motifs(["CB", "CBR"])[0, 1] == 0


def test_what_is_left_of_a_similarity_without_its_layers():
    """Letters say nothing in the first list, and everything in the second, where all lengths are equal."""
    rng = np.random.default_rng(7)
    noise = ["".join(rng.choice(list("CBR"), n)) for n in np.geomspace(10, 500, 12).astype(int)]
    found = length_effect(noise)
    assert found.rank_correlation < -0.95
    assert found.random > 0.99
    assert found.shuffled > 0.99
    assert found.heat_map_random > 0.99
    blocks = ["".join(rng.permutation(list("CBRLMA"))[:3]) * 20 for _ in range(12)]
    found = length_effect(blocks, "motifs")
    assert np.isnan(found.rank_correlation)
    assert abs(found.random) < 0.4
    np.testing.assert_allclose(length_ratios(["C", "CC", "C" * 8]), [[0, 1, 3], [1, 0, 2], [3, 2, 0]])


def test_heat_map_is_the_correlation_of_rows():
    rng = np.random.default_rng(5)
    matrix = rng.standard_normal((6, 6))
    matrix += matrix.T
    np.testing.assert_allclose(heat_map(matrix), np.corrcoef(matrix), atol=1e-14)
    assert np.isnan(heat_map(np.ones((3, 3)))).all()
    with pytest.raises(MurineError, match="at least 3"):
        heat_map(np.eye(2))


def test_clusters_and_short_list():
    rng = np.random.default_rng(6)
    centres = rng.standard_normal((4, 30))
    membership = rng.permutation(np.repeat(np.arange(4), 6))
    rows = centres[membership] + 0.2 * rng.standard_normal((24, 30))
    correlation = np.corrcoef(rows)
    labels = clusters(correlation, 4)
    np.testing.assert_array_equal(labels[:, None] == labels, membership[:, None] == membership)
    assert labels[0] == 0
    assert list(dict.fromkeys(labels)) == [0, 1, 2, 3]
    for n in (2, 7, 24):  # SciPy on the condensed distances
        theirs = fcluster(linkage(1 - correlation[np.triu_indices(24, 1)], "average"), n, "maxclust")
        ours = clusters(correlation, n)
        np.testing.assert_array_equal(ours[:, None] == ours, theirs[:, None] == theirs)
    chosen = short_list(correlation, 4)
    for label, position in enumerate(chosen):
        members = np.flatnonzero(labels == label)
        centre = correlation[members].mean(axis=0)
        assert position == members[np.argmin([np.linalg.norm(correlation[m] - centre) for m in members])]
    assert short_list(np.ones((3, 3)), 1) == [0]


def test_wrong_input():
    with pytest.raises(MurineError, match=r"sequences 1 \(from 0\) are empty"):
        align("CC", "")
    with pytest.raises(MurineError, match="letters '-'"):
        align("C-C", "C")
    with pytest.raises(MurineError, match="Latin-1"):
        align("C", "Ω")
    with pytest.raises(MurineError, match="too long"):
        scores(["C" * 40_000, "C"])
    with pytest.raises(MurineError, match="a mismatch may not count more"):
        AlignmentScoring(1, 2, -1)
    with pytest.raises(MurineError, match="a gap not more than 0"):
        AlignmentScoring(1, -1, 1)
    with pytest.raises(MurineError, match="5 clusters of 3 networks"):
        clusters(np.eye(3), 5)
    with pytest.raises(MurineError, match="not finite"):
        clusters(np.full((3, 3), np.nan), 2)
    assert align_all(["C"]) == []
