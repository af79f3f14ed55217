"""Progress of long work, shown or not: the caller decides once, the work only counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


@runtime_checkable
class Progress(Protocol):
    """Something that can show how far a piece of work has come."""

    def task(self, description: str, total: int) -> Callable[[], None]:
        """Announce a piece of work of ``total`` steps; the returned function is called after each."""


class Silent:
    """Shows nothing."""

    def task(self, description: str, total: int) -> Callable[[], None]:
        return lambda: None


class _Bars:
    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars

    def task(self, description: str, total: int) -> Callable[[], None]:
        for old in self._bars.task_ids:
            self._bars.remove_task(old)
        bar = self._bars.add_task(description, total=total)
        return lambda: self._bars.advance(bar)


@contextmanager
def progress_bars(shown: bool) -> Iterator[Progress]:
    """Bars on standard error while the context lasts, if ``shown`` and it is a terminal; nothing else."""
    import sys

    if not (shown and sys.stderr.isatty()):
        yield Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _Bars(bars)
