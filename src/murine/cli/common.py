"""Functions that commands share: parsing of options, notes on standard error, and counts of results."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from murine.errors import MurineError
from murine.limits import INPUT_SIZE

if TYPE_CHECKING:
    from pathlib import Path

    from murine.atlas.sweep import NetworkResult
    from murine.networks.spec import NetworkSpec


def quieten(quiet: bool) -> None:
    """Print notes on standard error, or errors only."""
    log = logging.getLogger("murine")
    log.handlers = [_Notes()]
    log.setLevel(logging.ERROR if quiet else logging.WARNING)


class _Notes(logging.Handler):
    """Prints on what standard error is at the moment: while bars are shown, notes must pass above them."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"murine: {self.format(record)}", file=sys.stderr)


def asked(networks: Sequence[str], weights: str, twins: int) -> list[NetworkSpec]:
    """The networks that were named, each once, and random twins of those that are trained."""
    from murine.networks.spec import expand, twin

    choices = expand(networks, weights)
    with_twins = [*choices, *(twin(choice, seed) for choice in choices for seed in range(twins))]
    return list(dict.fromkeys(choice for choice in with_twins if choice is not None))


def names(text: str) -> tuple[str, ...]:
    """``area, layer`` -> (area, layer)"""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def pairs(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """``area=VISp`` -> (area, VISp), in order."""
    from murine.networks.option_parser import key_value_pairs

    return tuple(sorted(key_value_pairs(texts, "--select", "area=VISp")))


def sizes(texts: Sequence[str] | None) -> list[int | tuple[int, int] | None]:
    """Each once: ``native`` -> None, ``64`` -> 64, ``64x80`` -> (64, 80)."""
    return [_size(text) for text in dict.fromkeys(texts or ["native"])]


def _size(text: str) -> int | tuple[int, int] | None:
    if text == "native":
        return None
    parts = [whole_number(part) for part in text.lower().split("x")]
    height, width = parts[0], parts[-1]
    if len(parts) > 2 or height is None or width is None:
        raise MurineError(f"--input-size {text!r} is not understood; expected 64, 64x80 (height x width) or native.")
    for part in (height, width):
        INPUT_SIZE.check("--input-size", part)
    return height if len(parts) == 1 else (height, width)


def whole_number(text: str) -> int | None:
    """``64`` -> 64; None for what is no number in the digits 0 to 9, of at most 18."""
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def isolated() -> bool:
    """Whether networks run in processes of their own. MURINE_IN_PROCESS=1 runs them in that of the command: for a
    debugger, and for tests."""
    return os.environ.get("MURINE_IN_PROCESS", "") in ("", "0")


def selected(texts: Sequence[str]) -> dict[str, list[str]]:
    """``area=VISp, area=VISl`` -> {area: [VISp, VISl]}"""
    found: dict[str, list[str]] = {}
    for key, value in pairs(texts):
        found.setdefault(key, []).append(value)
    return found


def report_outcomes(results: Sequence[NetworkResult], folder: Path, quiet: bool) -> None:
    """Print how many results there are and why networks failed; end with exit code 1 if one failed."""
    from murine.atlas.scoring_run import failures_in_words

    count_results(results, folder, quiet)
    if any(result.state == "failed" for result in results):
        print(f"murine: {failures_in_words(results)}", file=sys.stderr)
        raise typer.Exit(1)


def count_results(results: Sequence[NetworkResult], folder: Path, quiet: bool) -> None:
    """Print how many results there are."""
    if quiet:
        return
    counts = {state: sum(result.state == state for result in results) for state in ("computed", "done", "failed")}
    stored = sum(result.state == "computed" and not result.ran for result in results)
    from_kernels = f" ({stored} from stored kernels, without running the network)" if stored else ""
    print(
        f"{counts['computed']} computed{from_kernels}, {counts['done']} done before, {counts['failed']} failed; "
        f"results are in {folder}",
        file=sys.stderr,
    )
