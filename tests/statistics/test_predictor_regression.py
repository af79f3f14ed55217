"""The regression on several predictors: against closed forms, on planted effects, and what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from murine.errors import MurineError
from murine.statistics.predictor_regression import COLUMNS, regress_predictors


def cases(n=60, seed=0, effect=1.0, twins=1):
    rng = np.random.default_rng(seed)
    size, trained = rng.normal(3, 2, n), np.arange(n) % 2.0
    table = pd.DataFrame({"network": np.arange(n) // twins, "size": size, "trained": trained})
    return table.assign(score=5 + effect * trained + rng.normal(0, 1, n))


def test_coefficients_are_those_of_least_squares_on_standardised_columns():
    table = cases()
    found = regress_predictors(table, "score", ["size", "trained"]).set_index("predictor")
    scaled = table.assign(size=(table["size"] - table["size"].mean()) / table["size"].std())
    outcome = (table.score - table.score.mean()) / table.score.std()
    x = np.column_stack([np.ones(len(table)), scaled["size"], scaled.trained])
    expected = np.linalg.solve(x.T @ x, x.T @ outcome)
    np.testing.assert_allclose(found.coefficient, expected[1:])
    residual = outcome - x @ expected
    assert found.r2.iloc[0] == pytest.approx(1 - (residual**2).sum() / (outcome**2).sum())
    hat = np.einsum("ij,jk,ik->i", x, np.linalg.inv(x.T @ x), x)
    mean_errors = outcome / (1 - 1 / len(outcome))  # of the mean of the others
    expected_r2 = 1 - ((residual / (1 - hat)) ** 2).sum() / (mean_errors**2).sum()
    assert found.r2_held_out.iloc[0] == pytest.approx(expected_r2)
    assert list(found.reset_index().columns) == list(COLUMNS)


def test_inflation_is_that_of_the_correlation_of_two_predictors():
    rng = np.random.default_rng(1)
    one = rng.normal(size=80)
    two = one + 0.3 * rng.normal(size=80)
    table = pd.DataFrame({"network": range(80), "one": one, "two": two, "score": one + rng.normal(size=80)})
    found = regress_predictors(table, "score", ["one", "two"])
    np.testing.assert_allclose(found.inflation, 1 / (1 - np.corrcoef(one, two)[0, 1] ** 2))
    assert found.flag.str.contains("collinear").all()


@pytest.mark.parametrize(("effect", "low", "high"), [(0.0, 0.0, 0.11), (1.5, 0.95, 1.0)])
def test_what_is_planted_is_found_and_nothing_at_the_nominal_rate(effect, low, high):
    excluded = []
    for seed in range(120):
        found = regress_predictors(cases(seed=seed, effect=effect), "score", ["size", "trained"]).iloc[1]
        excluded.append(found.coefficient_low > 0 or found.coefficient_high < 0)
    assert low <= np.mean(excluded) <= high


def test_copies_of_a_network_do_not_count_as_new_ones():
    table = cases(n=40)
    copies = pd.concat([table] * 5)
    one = regress_predictors(table, "score", ["size"]).iloc[0]
    five = regress_predictors(copies, "score", ["size"]).iloc[0]
    assert five.n_used == 200
    assert five.n_architectures == 40
    width, copied = (row.coefficient_high - row.coefficient_low for row in (one, five))
    assert copied == pytest.approx(width, rel=0.02)


def test_what_cannot_be_used_is_named():
    table = cases(n=60, twins=2).assign(accuracy=np.nan, equal=1.0, mixer=[1.0] * 2 + [0.0] * 58)
    found = regress_predictors(table, "score", ["accuracy", "equal", "mixer", "size"]).set_index("predictor")
    assert found.flag["accuracy"] == "missing: known of 0 of 60 networks"
    assert found.flag["equal"] == "the same of all networks"
    assert found.flag["mixer"] == "only 1 architectures have, or lack, it"
    assert found.coefficient.notna().tolist() == [False, False, False, True]


def test_too_few_networks_are_refused_and_few_are_flagged():
    few = regress_predictors(cases(n=8), "score", ["size", "trained"])
    assert few.coefficient.isna().all()
    assert few.flag.tolist() == ["too few networks: 8 architectures for 3 coefficients"] * 2
    assert set(regress_predictors(cases(n=20), "score", ["size", "trained"]).flag) == {"few networks"}


def test_predictors_that_determine_each_other_have_no_coefficient():
    table = cases().assign(again=lambda x: 2 * x["size"])
    found = regress_predictors(table, "score", ["size", "again"])
    assert found.coefficient.isna().all()
    assert found.flag.str.contains("collinear").all()


def test_unknown_columns_are_refused():
    with pytest.raises(MurineError, match="no column depth"):
        regress_predictors(cases(), "score", ["depth"])
