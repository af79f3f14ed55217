"""The words of a report on what was found: findings, treatments, counts, and numbers as text."""

# ruff: noqa: RUF001 (dashes, minus signs and apostrophes are meant)

from __future__ import annotations

import math
from collections.abc import Sequence

from murine.atlas.leaderboard import MIN_CEILING
from murine.atlas.treatment_differences import sign_depends
from murine.report.leaderboard_view import Board, Twins
from murine.report.palette import ROLES
from murine.scoring.treatments import RAW, ZSCORED, Treatment


def number(value: float, digits: int = 3) -> str:
    """Fixed digits with a true minus sign; a dash where there is no number."""
    if not math.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def share(value: float, board: Board, digits: int = 1) -> str:
    """A ceiled score as per cent of the ceiling, without the sign; a raw one where there is no ceiling."""
    return number(100 * value, digits) if board.has_ceiling else number(value)


def between(low: float, high: float, board: Board, digits: int = 1) -> str:
    """An interval of ceiled scores in brackets."""
    return f"[{share(low, board, digits)},\N{NO-BREAK SPACE}{share(high, board, digits)}]"


def p_value(value: float) -> str:
    """A p-value with two digits that count."""
    if not math.isfinite(value):
        return "–"
    return "< 0.001" if value < 0.001 else number(value, 3 if value < 0.1 else 2)


def count(n: int, one: str, many: str = "") -> str:
    """``1 network``, ``2 networks``."""
    return f"{n} {one if n == 1 else many or one + 's'}"


def finding(board: Board) -> str:
    """What the data say, in two or three plain sentences; weaknesses of the evidence included."""
    ranked = board.ranked
    if ranked.empty:
        reason = (
            f"no site has a ceiling of at least {MIN_CEILING:g}"
            if board.has_ceiling and not board.counted
            else "no layer has a score that counts"
        )
        return f"None of {count(len(board.networks), 'network')} can be ranked: {reason}."
    best = ranked.iloc[0]
    unit = (
        "\N{NO-BREAK SPACE}% of the noise ceiling" if board.has_ceiling else " (raw score; no site has a noise ceiling)"
    )
    reaches = f"{share(best.value, board, 0 if board.has_ceiling else 3)}{unit}"
    if math.isfinite(best.value_low):
        reaches += f" {between(best.value_low, best.value_high, board, 0)}"
    which = f"The best of {len(ranked)} networks" if len(ranked) > 1 else "The only network"
    sentences = [
        f"{which}, {best.label} ({_role(best.role)}), reaches {reaches} on average over "
        f"{count(int(best.n_sites), 'site')}"
    ]
    if len(ranked) > 1:
        alike = int((ranked.band == 1).sum()) - 1
        sentences[0] += (
            f"; {count(alike, 'other')} cannot be told apart from it."
            if alike
            else "; it can be told apart from all others."
        )
    else:
        sentences[0] += "."
    sentences += _against_twins(board)
    controls = ranked[ranked.role == "control"]
    if len(controls) and best.role != "control":
        control = controls.iloc[0]
        reached = share(control.value, board, 0) + ("\N{NO-BREAK SPACE}%" if board.has_ceiling else "")
        sentences.append(f"The best control that never learned, {control.label}, reaches {reached}.")
    if board.selection == "naive":
        sentences.append("Layers were chosen and scored on the same data, so all scores are optimistic.")
    if len(board.above):
        sentences.append(
            f"Scores above their ceiling occur at {count(board.above.site.nunique(), 'site')}; they are listed."
        )
    return " ".join(sentences)


_TREATMENTS = {
    RAW: "Neurons and features are compared as they are, the published convention.",
    ZSCORED: "Every neuron and every unit is standardised over images first.",
    Treatment("zscore", "none"): "Neurons are standardised over images and features are not: unlike things are "
    "compared, which can reverse a conclusion.",
    Treatment("none", "zscore"): "Features are standardised over images and neurons are not: unlike things are "
    "compared, which can reverse a conclusion.",
}


def treatment(board: Board, boards: Sequence[Board]) -> str:
    """How both sides were treated, and whether conclusions depend on it, as far as ``boards`` tell."""
    sentences = [_TREATMENTS[board.treatment]]
    has_neurons = (board.sites.n_repetitions > 0).any()
    others = {own: board.under(own, boards) for own in _TREATMENTS if own != board.treatment}
    alternative = ZSCORED if board.treatment == RAW else RAW
    if has_neurons and others.get(alternative) is None:
        sentences.append(f"The same with {alternative.words} was not computed (--normalise both).")
    for own, other in others.items():
        if other is None:
            continue
        if names := sorted(set(_reversed(board, other))):
            sentences.append(
                f"Trained minus random has the opposite sign with {own.words}: {', '.join(names)}. No conclusion "
                "should be drawn from one of the two alone."
            )
    return " ".join(sentences)


def _reversed(board: Board, other: Board) -> list[str]:
    """Networks whose difference to their random twins has another sign on the other board."""
    theirs = {_names(other, pair): pair.mean for pair in other.twins}
    mine = {_names(board, pair): pair.mean for pair in board.twins}
    return [names[0] for names, mean in mine.items() if names in theirs and sign_depends([mean, theirs[names]])]


def _names(board: Board, pair: Twins) -> tuple[str, str]:
    return str(board.networks.label[pair.trained]), str(board.networks.label[pair.random])


def _role(role: str) -> str:
    return {"random": "random weights", "control": "a control"}.get(role, role)


def _against_twins(board: Board) -> list[str]:
    n = len(board.twins)
    if not n:
        return []
    higher = sum(pair.mean[0] > 0 for pair in board.twins)
    above = sum(pair.mean[1] > 0 for pair in board.twins)
    below = sum(pair.mean[2] < 0 for pair in board.twins)
    if n == 1:
        which = "above" if above else "below" if below else "on both sides of"
        than = "higher" if higher else "lower"
        return [
            f"The trained network scores {than} than its random twin (95\N{NO-BREAK SPACE}% interval {which} zero)."
        ]
    text = f"Trained networks score above their random twins in {higher} of {n} pairs"
    if above == n:
        return [f"{text}, always with a 95\N{NO-BREAK SPACE}% interval of the difference above zero."]
    text += f"; the 95\N{NO-BREAK SPACE}% interval of the difference is above zero in {above or 'none'}"
    return [f"{text} and below zero in {below}." if below else f"{text}."]


def counts(board: Board) -> str:
    """How much went in: networks by role, sites, images."""
    roles = [(role, int((board.networks.role == role).sum())) for role in ROLES]
    names = {"trained": "trained", "as built": "as built", "random": "with random weights", "control": "control"}
    networks = ", ".join(f"{n} {names[r]}" + ("s" if r == "control" and n > 1 else "") for r, n in roles if n)
    whole = board.chosen[board.chosen.stimuli == "all"]
    images = f" · {count(int(whole.n_stimuli.iloc[0]), 'image')}" if len(whole) else ""
    sites = count(len(board.sites), "site")
    left_out = len(board.sites) - len(board.counted)
    return (
        f"{count(len(board.networks), 'network')} ({networks}) · {sites}"
        + (f", {left_out} not counted" if left_out else "")
        + images
    )
