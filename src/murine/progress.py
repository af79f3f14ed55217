"""Progress of long work, shown or not: the caller decides once, the work only counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import ProgressColumn, Task, TaskID
    from rich.text import Text


@runtime_checkable
class Progress(Protocol):
    """Something that can show how far a piece of work has come."""

    def task(self, description: str, total: int) -> Callable[[], None]:
        """Announce a piece of work of ``total`` steps; the returned function is called after each."""


@runtime_checkable
class Bar(Protocol):
    """How many bytes of something there are."""

    def advance(self, n: int) -> None:
        """Count ``n`` more bytes; fewer where some had to be thrown away."""

    def close(self) -> None:
        """Take the bar away."""


@runtime_checkable
class TransferProgress(Protocol):
    """Something that can show several transfers of bytes at once."""

    def transfer(self, description: str, total: int | None) -> Bar:
        """Announce ``total`` bytes, or None where nobody knows how many there are."""


class AnyProgress(Progress, TransferProgress, Protocol):
    """Shows both steps and bytes."""


class _NoBar:
    def advance(self, n: int) -> None:
        pass

    def close(self) -> None:
        pass


class Silent:
    """Shows nothing."""

    def task(self, description: str, total: int) -> Callable[[], None]:
        return lambda: None

    def transfer(self, description: str, total: int | None) -> Bar:
        return _NoBar()


class _Bar:
    def __init__(self, bars: RichProgress, bar: TaskID) -> None:
        self._bars, self._bar = bars, bar

    def advance(self, n: int) -> None:
        self._bars.advance(self._bar, n)

    def close(self) -> None:
        self._bars.remove_task(self._bar)


class _Bars:
    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._steps: TaskID | None = None

    def task(self, description: str, total: int) -> Callable[[], None]:
        if self._steps is not None:
            self._bars.remove_task(self._steps)
        bar = self._steps = self._bars.add_task(description, total=total)
        return lambda: self._bars.advance(bar)

    def transfer(self, description: str, total: int | None) -> Bar:
        return _Bar(self._bars, self._bars.add_task(description, total=total, bytes=True))


@contextmanager
def progress_bars(shown: bool) -> Iterator[AnyProgress]:
    """Bars on standard error while the context lasts, if ``shown`` and it is a terminal; nothing else."""
    import sys

    if not (shown and sys.stderr.isatty()):
        yield Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), _amount_column(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _Bars(bars)


def _amount_column() -> ProgressColumn:
    """Bytes and their speed for transfers, done of all for steps."""
    from rich.progress import DownloadColumn, MofNCompleteColumn, ProgressColumn, TransferSpeedColumn

    steps, size, speed = MofNCompleteColumn(), DownloadColumn(), TransferSpeedColumn()

    class Amount(ProgressColumn):
        def render(self, task: Task) -> Text:
            if task.fields.get("bytes"):
                return size.render(task).append(" ").append_text(speed.render(task))
            return steps.render(task)

    return Amount()
