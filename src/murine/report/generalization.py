"""The page on domains: matrices, differences, corruptions, pictures, confusions, calibration and training curves."""

# ruff: noqa: RUF001 (dashes and signs are meant)

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from murine.domains.domain import Domain
from murine.generalization import summary
from murine.generalization.summary import PLAIN, UNSEEN
from murine.report.domain_pictures import examples
from murine.report.generalization_figures import (
    brain_scatter,
    calibration,
    confusions,
    difference_dots,
    heat,
    percent_text,
    strengths,
    target_names,
    training_curves,
)
from murine.report.page_shell import filled, json_text, save
from murine.studies.brain_vs_robustness import association


def write_page(
    rows: pd.DataFrame,
    curves: pd.DataFrame,
    domains: Sequence[Domain],
    file: str | Path,
    *,
    reference: str = PLAIN,
    brains: pd.DataFrame | None = None,
    recipes: Sequence[str] = (),
    title: str = "What becomes of accuracy on domains never seen?",
) -> Path:
    """Write a page on a matrix, as one HTML file that works offline.

    Parameters
    ----------
    rows
        As `murine.generalization.matrix.compute` returns them.
    curves
        Of `murine.generalization.matrix.curves`: one row per run and epoch.
    domains
        Of which examples are shown, before and after NeuRN.
    reference
        The variant that the others are compared with.
    brains
        Of `murine.studies.brain_vs_robustness.shifts`: changes in brain score beside those in accuracy.
    recipes
        How networks were trained, as JSON: told at the end.

    Returns
    -------
    file
        The path that was written.

    Raises
    ------
    MurineError
        The file cannot be written.
    """
    page = filled(
        "generalization.html.j2",
        title,
        boards=[
            board(
                mine,
                summary.of_matrix(curves, key),
                f"m{i}",
                summary.of_matrix(brains, key) if brains is not None else None,
                reference,
            )
            for i, (key, mine) in enumerate(_matrices(rows))
        ],
        examples=[{"name": domain.name, "picture": examples(domain)} for domain in domains],
        recipes=[json.dumps(json.loads(text), indent=1) for text in recipes],
    )
    return save(page, file)


def _matrices(rows: pd.DataFrame) -> list[tuple[tuple[Any, ...], pd.DataFrame]]:
    return [(tuple(key), mine) for key, mine in rows.groupby(summary.MATRIX, sort=False)]


def board(
    rows: pd.DataFrame,
    curves: pd.DataFrame,
    name: str,
    brains: pd.DataFrame | None = None,
    reference: str = PLAIN,
) -> dict[str, Any]:
    """All that the page tells of one source and network."""
    cells, differences = summary.cells(rows), summary.differences(rows, reference)
    first = rows.iloc[0]
    figures = {
        "heat": heat(cells),
        "differences": difference_dots(differences) if len(differences) else None,
        "brain": brain_scatter(brains) if brains is not None and len(brains) else None,
        "strength": strengths(cells),
        "confusion": confusions(rows, cells),
        "calibration": calibration(cells),
        "curves": training_curves(curves),
    }
    for figure in figures.values():
        if figure is not None and "coloured" in figure:
            figure["coloured"] = [str(name) for name in cells.variant.unique()]  # a variant's colour is one everywhere
    n_seeds, n_networks = int(cells.n_seeds.max()), int(rows.task.nunique())
    diverged = cells[cells.diverged > 0].drop_duplicates("variant")
    return {
        "id": name,
        "name": f"{first.network}{' (pretrained)' if first.pretrained else ''} trained on {first.source}",
        "finding": _finding(differences, reference),
        "reference": reference,
        "brain": _brain_finding(brains) if brains is not None and len(brains) else "",
        "about": f"{n_networks} network{'s' if n_networks != 1 else ''}, {n_seeds} "
        f"seed{'s' if n_seeds != 1 else ''} per variant, {int(first.n_train):,} training and "
        f"{int(first.n_validation):,} validation images",
        "targets": list(target_names(cells)),
        "table": _table(cells, "accuracy"),
        "differences": _table(differences, "difference"),
        "over": "new seeds and new images" if n_seeds > 1 else "new images only: one seed says nothing of other seeds",
        "at_chance": summary.at_chance_text(cells),
        "no_claim": _no_claim(differences),
        "diverged": ", ".join(f"{row.diverged} of {row.variant}" for row in diverged.itertuples()),
        "figures": {key: json_text(figure) for key, figure in figures.items() if figure is not None},
    }


def _finding(differences: pd.DataFrame, reference: str) -> str:
    """The largest change of the mean over unseen domains that is told from chance, or that there is none."""
    mean = summary.over_unseen(differences) if len(differences) else differences
    if mean.empty:
        return f"There is nothing to compare with {reference}."
    on = "the mean over unseen domains" if mean.target.iloc[0] == UNSEEN else f"accuracy on {mean.target.iloc[0]}"
    mean = mean[mean.no_claim == ""]
    if mean.empty:
        return f"Nothing can be concluded about {on}: {_no_claim(differences)}."
    sure = mean[mean.p_adjusted < 0.05]
    among = mean if sure.empty else sure
    best = among.loc[among.difference.abs().idxmax()]
    size = f"{100 * best.difference:+.1f} points [{100 * best.difference_low:.1f}, {100 * best.difference_high:.1f}]"
    p = f"p {best.p_adjusted:.2g}" + (f" after Holm's adjustment over {len(mean)} variants" if len(mean) > 1 else "")
    if sure.empty:
        return f"No variant is told from {reference} by {on}; the largest change, {best.variant}: {size}, {p}."
    others = f" Told from {reference}: {', '.join(sure.variant)}." if len(sure) > 1 else ""
    return f"{best.variant} changes {on} by {size}, {p}.{others}"


def _no_claim(differences: pd.DataFrame) -> str:
    """Why nothing can be concluded from some comparisons; '' where all support a conclusion."""
    return "; ".join(dict.fromkeys(part for text in differences.no_claim if text for part in text.split("; ")))


def _brain_finding(brains: pd.DataFrame) -> str:
    """What cortex and metric, and whether what gains the one gains the other."""
    found, first = association(brains).iloc[0], brains[brains.model_seed == -1].iloc[0]
    reached = f"{100 * first.brain_before:.1f} % of the noise ceiling"
    about = f"Against {first.cortex}, {first.metric}: plain networks reach {reached}."
    without = brains[(brains.model_seed == -1) & (brains.no_claim != "")]
    if len(without):
        about += f" Nothing is concluded from {', '.join(without.variant)}: {_no_claim(without)}."
    if found.n_variants < 3:
        return about
    rho = f"{found.rho:+.2f}".replace("-", "−")
    return (
        f"{about} Spearman's correlation of the two changes over {found.n_variants} variants is {rho}, "
        f"p {found.p_value:.2g} if variants were independent, which relatives are not."
    )


def _table(cells: pd.DataFrame, value: str) -> list[dict[str, Any]]:
    """Rows of variants with a text for each target."""
    found = []
    for variant, mine in cells.groupby("variant", sort=False):
        by_target = mine.set_index("target")
        texts = [
            percent_text(by_target.loc[name], value) if name in by_target.index else ("–", "")
            for name in target_names(cells)
        ]
        mark = " (at chance on its source)" if "at_chance" in mine and mine.at_chance.any() else ""
        found.append({"variant": f"{variant}{mark}", "cells": texts})
    return found
