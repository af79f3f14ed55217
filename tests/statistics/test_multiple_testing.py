"""Best of many layers and many sites: plain counts, error rates, and definitions step by step."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import false_discovery_control, kstest

from murine.errors import MurineError
from murine.statistics.multiple_testing import ADJUSTMENTS, adjust_p_values, max_statistic_p_values
from murine.statistics.permutation import permutation_p_values


def test_the_largest_of_all_layers_is_counted():
    null = np.zeros((4, 3, 1))
    null[:, :, 0] = [[0.1, 0.5, 0.2], [0.3, 0.2, 0.9], [0.4, 0.1, 0.1], [0.0, np.nan, 0.05]]
    p = max_statistic_p_values(np.array([[0.45], [0.5], [np.nan]]), null)
    # The third layer has no score, so the largest are 0.5, 0.3, 0.4 and 0.
    np.testing.assert_allclose(p[:2, 0], [2 / 5, 2 / 5])
    assert np.isnan(p[2, 0])
    assert np.isnan(max_statistic_p_values(np.full((3, 1), np.nan), null)).all()


def test_one_layer_is_not_corrected():
    rng = np.random.default_rng(0)
    scores, null = rng.normal(size=(1, 20)), rng.normal(size=(99, 1, 20))
    np.testing.assert_allclose(max_statistic_p_values(scores, null), permutation_p_values(scores, null))


def test_a_score_in_double_and_a_null_in_single_precision():
    value = np.float64(0.1)
    assert max_statistic_p_values(np.array([[value]]), np.full((9, 1, 1), value, np.float32))[0, 0] == 1


def test_the_p_of_the_best_layer_is_uniform_where_nothing_is_shared():
    """60 layers that depend on each other, 800 sites: single p-values of the best are far too small, these are not."""
    rng = np.random.default_rng(0)
    common = rng.normal(size=(200, 1, 800))
    draws = common + rng.normal(size=(200, 60, 800))
    scores, null = draws[0], draws[1:]
    best = np.arange(800), scores.argmax(axis=0)
    p = max_statistic_p_values(scores, null)[best[1], best[0]]
    assert 0.03 <= (p <= 0.05).mean() <= 0.07
    assert kstest(p, "uniform").pvalue > 0.01
    assert (permutation_p_values(scores, null)[best[1], best[0]] <= 0.05).mean() > 0.4
    np.testing.assert_array_equal(max_statistic_p_values(scores, null).min(axis=0), p)


@pytest.fixture
def p_values():
    rng = np.random.default_rng(0)
    p = np.concatenate([rng.random(40), rng.random(20) ** 6, [0, 1, 0.3, 0.3]])
    return rng.permutation(p)


@pytest.mark.parametrize("method", ["bh", "by"])
def test_false_discovery_rate_is_that_of_scipy(p_values, method):
    np.testing.assert_allclose(adjust_p_values(p_values, method), false_discovery_control(p_values, method=method))
    gaps = np.insert(p_values, [3, 10], np.nan).reshape(6, 11)
    ours = adjust_p_values(gaps, method)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(gaps))
    np.testing.assert_allclose(ours[~np.isnan(gaps)], false_discovery_control(p_values, method=method))


@pytest.mark.parametrize("level", [0.001, 0.01, 0.05, 0.3])
def test_holm_rejects_step_by_step(p_values, level):
    rejected = np.zeros(len(p_values), bool)
    for step, i in enumerate(np.argsort(p_values)):
        if p_values[i] > level / (len(p_values) - step):
            break
        rejected[i] = True
    np.testing.assert_array_equal(adjust_p_values(p_values, "holm") <= level, rejected)
    assert rejected.any()


def test_error_rates():
    rng = np.random.default_rng(0)
    false_share, any_false = [], []
    for _ in range(1500):
        p = rng.random(40)
        p[:10] *= 0.004  # ten sites with an effect
        found = adjust_p_values(p, "bh") <= 0.1
        false_share.append(found[10:].sum() / max(1, found.sum()))
        any_false.append((adjust_p_values(p, "holm") <= 0.1)[10:].any())
    assert np.mean(false_share) == pytest.approx(0.1 * 30 / 40, abs=0.01)
    assert np.mean(any_false) <= 0.1


def test_nothing_to_adjust_and_what_is_refused():
    for method in ADJUSTMENTS:
        assert adjust_p_values(np.empty(0), method).shape == (0,)
        assert np.isnan(adjust_p_values(np.full((2, 2), np.nan), method)).all()
        assert adjust_p_values(np.array([0.03]), method)[0] == 0.03
    with pytest.raises(MurineError, match="unknown adjustment of p-values 'bonferroni'; expected one of bh, by"):
        adjust_p_values(np.array([0.1]), "bonferroni")
    with pytest.raises(MurineError, match=r"lie between 0 and 1; given were 0.1 to 1.5"):
        adjust_p_values(np.array([0.1, 1.5]))
