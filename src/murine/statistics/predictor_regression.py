"""One regression of an outcome on several predictors, with what makes it doubtful: collinearity and too few cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import t as student

from murine.errors import MurineError

#: A predictor is used if it is known of at least this share of the cases.
_KNOWN = 0.8

#: Fewest groups of cases that have, and that lack, a property.
MIN_GROUPS = 3

#: Groups for each coefficient: with fewer, nothing is estimated; with fewer, coefficients carry a flag.
_REFUSED, _FEW = 3, 10

#: Variance inflation above which a coefficient carries a flag.
_COLLINEAR = 5.0

#: Columns of the table of `regress_predictors`, with their meaning.
COLUMNS = {
    "predictor": "What the score is regressed on.",
    "coefficient": "Change of the score, in its standard deviations, for one standard deviation of the predictor; for "
    "a property that a network has or lacks, for having it. Empty where it is not estimated.",
    "coefficient_low": "Lower end of the 95 % interval, over new architectures.",
    "coefficient_high": "Upper end of the 95 % interval, over new architectures.",
    "inflation": "Variance inflation: how much of the variance of the coefficient is due to the other predictors.",
    "n_known": "Number of networks of which the predictor is known.",
    "n_used": "Number of networks in the regression.",
    "n_architectures": "Number of architectures in the regression: networks of one architecture are left out together.",
    "r2": "Share of the variance of scores that all predictors explain.",
    "r2_held_out": "The same for architectures that the regression has not seen; below zero: worse than their mean.",
    "flag": "Why a coefficient is missing, or what makes it doubtful; empty where nothing does.",
}


def regress_predictors(
    table: pd.DataFrame, outcome: str, predictors: Sequence[str], *, group: str = "network"
) -> pd.DataFrame:
    """Regress an outcome on several predictors together, by ordinary least squares.

    Cases of one group, as a network and its random twins, are not independent: intervals come from leaving out one
    group at a time (jackknife), with Student's t for the number of groups. All predictors are in one model; none is
    chosen by its result. A predictor that is known of fewer than four fifths of the cases, does not vary, or is a
    property of fewer than three groups is left out, and a row says so. Cases that lack one of the others are left out.

    Parameters
    ----------
    table
        A row for each case. Predictors are numbers, or properties (False and True); NaN where unknown.
    outcome, group
        Names of columns.
    predictors
        Names of columns, in the order of the rows.

    Returns
    -------
    table
        A row for each predictor with the columns that `COLUMNS` describes. With fewer than three groups for each
        coefficient (the intercept is one), nothing is estimated, and ``flag`` says so.

    Raises
    ------
    MurineError
        If a column is missing.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> size = rng.normal(size=60)
    >>> cases = pd.DataFrame({"network": range(60), "size": size, "score": size + rng.normal(size=60)})
    >>> found = regress_predictors(cases, "score", ["size"])
    >>> found[["coefficient", "coefficient_low", "flag"]].round(1).values.tolist()
    [[0.6, 0.4, '']]
    """
    if missing := [name for name in (outcome, group, *predictors) if name not in table]:
        raise MurineError(f"the table has no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}.")
    cases = table[table[outcome].notna()]
    reasons = {name: _unusable(cases, name, group) for name in predictors}
    used = [name for name in predictors if not reasons[name]]
    whole = cases[cases[used].notna().all(axis=1)]
    groups = whole[group].to_numpy()
    n_groups = len(set(groups))
    counts: dict[str, Any] = {"n_used": len(whole), "n_architectures": n_groups}
    if used and n_groups < _REFUSED * (len(used) + 1):
        refusal = f"too few networks: {n_groups} architectures for {len(used) + 1} coefficients"
        reasons |= {name: reasons[name] or refusal for name in used}
        used = []
    found = _fit(whole, outcome, used, groups) if used else {}
    few = n_groups < _FEW * (len(used) + 1)
    rows = []
    for name in predictors:
        row: dict[str, Any] = {"predictor": name, "n_known": int(cases[name].notna().sum()), **counts}
        flags = [reasons[name]] if reasons[name] else []
        if name in found:
            row |= found[name]
            flags += ["few networks"] if few else []
            flags += ["collinear with the others"] if row["inflation"] > _COLLINEAR else []
        rows.append({**row, "flag": "; ".join(flags)})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _unusable(cases: pd.DataFrame, name: str, group: str) -> str:
    """Why a predictor is left out; '' where it is not."""
    known = cases[cases[name].notna()]
    if len(known) < _KNOWN * len(cases) or known.empty:
        return f"missing: known of {len(known)} of {len(cases)} networks"
    values = known[name].astype(float)
    if values.nunique() < 2:
        return "the same of all networks"
    if _is_property(values):
        n_groups = min(known[values == value][group].nunique() for value in (0, 1))
        if n_groups < MIN_GROUPS:
            return f"only {n_groups} architectures have, or lack, it"
    return ""


def _is_property(values: pd.Series) -> bool:
    return set(values.unique()) <= {0.0, 1.0}


def _fit(cases: pd.DataFrame, outcome: str, used: list[str], groups: np.ndarray) -> dict[str, dict[str, float]]:
    raw = cases[used].astype(float)
    scaled = raw.apply(lambda x: x if _is_property(x) else (x - x.mean()) / x.std())
    x = np.column_stack([np.ones(len(raw)), scaled.to_numpy()])
    y = ((cases[outcome] - cases[outcome].mean()) / cases[outcome].std()).to_numpy(np.float64)
    coefficients = _solve(x, y)
    names = list(dict.fromkeys(groups.tolist()))
    left_out = np.stack([_solve(x[groups != name], y[groups != name]) for name in names])
    n = len(names)
    errors = np.sqrt((n - 1) / n * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    reach = float(student.ppf(0.975, n - 1)) * errors
    unseen = np.concatenate(
        [y[groups == name] - x[groups == name] @ b for name, b in zip(names, left_out, strict=True)]
    )
    means = np.concatenate([y[groups == name] - y[groups != name].mean() for name in names])
    fits = {
        "r2": 1 - float(((y - x @ coefficients) ** 2).sum() / (y**2).sum()),
        "r2_held_out": 1 - float((unseen**2).sum() / (means**2).sum()),
    }
    return {
        name: {
            "coefficient": float(coefficients[i]),
            "coefficient_low": float(coefficients[i] - reach[i]),
            "coefficient_high": float(coefficients[i] + reach[i]),
            "inflation": _inflation(x, i),
            **fits,
        }
        for i, name in enumerate(used, start=1)
    }


def _solve(x: Float[np.ndarray, "n k"], y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " k"]:
    """Coefficients; NaN where the predictors determine each other."""
    if np.linalg.matrix_rank(x) < x.shape[1]:
        return np.full(x.shape[1], np.nan)
    return np.linalg.lstsq(x, y, rcond=None)[0]


def _inflation(x: Float[np.ndarray, "n k"], i: int) -> float:
    """1 / (1 - R^2) of one predictor on the others; infinite where they determine it."""
    own, others = x[:, i], np.delete(x, i, axis=1)
    rest = own - others @ np.linalg.lstsq(others, own, rcond=None)[0]
    unexplained = float((rest**2).sum() / ((own - own.mean()) ** 2).sum())
    return 1 / unexplained if unexplained > 1e-12 else float("inf")
