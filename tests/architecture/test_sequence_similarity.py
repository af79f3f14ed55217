"""Similarities of layer sequences: bounds, symmetry, and what only lengths explain."""

import numpy as np
import pytest

from murine.architecture.sequence_similarity import length_effect, length_ratios, shared_motifs, similarities


def random_sequence(rng, most=120, letters="CRMBLP"):
    """Random letters, or blocks repeated as networks have them."""
    if rng.random() < 0.5:
        return "".join(rng.choice(list(letters), rng.integers(1, most)))
    block = "".join(rng.choice(list(letters), rng.integers(1, 8)))
    return (block * most)[: rng.integers(1, most)]


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
    found = shared_motifs(["CBR" * 5, "CBR" * 50])
    assert found[0, 1] > 0.995  # but for where it ends
    # CBR, BRC, RCB against CBR, BRB: one in common.
    assert shared_motifs(["CBRCB", "CBRB"])[0, 1] == pytest.approx(1 / np.sqrt(3 * 2))
    assert shared_motifs(["CB", "CBR"])[0, 1] == 0


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
