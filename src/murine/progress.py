"""Progress of long work: bars on a terminal, plain lines elsewhere, or nothing.

Work that takes long accepts a `Progress` and opens a bar for each part of it::

    with (progress or Silent()).task("networks", len(networks)) as bar:
        for network in networks:
            score(network)  # may open bars of its own, which are shown below
            bar.advance(done=network.name)

Any number of bars may be open at once, in one thread or in several. A bar of steps disappears when its last step is
done; every bar disappears when it is closed, also by an exception. Commands choose once, with `progress_bars`, what
is shown.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

#: Seconds of silence after which a line tells that the work still goes on, where there is no terminal.
HEARTBEAT = 30.0


@runtime_checkable
class Bar(Protocol):
    """How far one piece of work has come. Usable as a context manager, which closes it."""

    def advance(self, n: int = 1, done: str = "") -> None:
        """Count ``n`` more steps or bytes; fewer where some bytes had to be thrown away.

        Parameters
        ----------
        done
            What these steps were, as ``resnet18: computed``. Where there is no terminal, it is printed in a line.
        """

    def close(self) -> None:
        """Take the bar away. A bar that is closed ignores further calls."""

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@runtime_checkable
class Progress(Protocol):
    """Something that can show how far pieces of work have come."""

    def task(self, description: str, total: int | None) -> Bar:
        """Announce a piece of work of ``total`` steps, or None where the number is unknown."""


@runtime_checkable
class TransferProgress(Protocol):
    """Something that can show several transfers of bytes at once."""

    def transfer(self, description: str, total: int | None) -> Bar:
        """Announce ``total`` bytes, or None where the number is unknown."""


class AnyProgress(Progress, TransferProgress, Protocol):
    """Shows both steps and bytes."""


class _NoBar(Bar):
    def advance(self, n: int = 1, done: str = "") -> None:
        pass

    def close(self) -> None:
        pass


class Silent:
    """Shows nothing."""

    def task(self, description: str, total: int | None) -> Bar:
        return _NoBar()

    def transfer(self, description: str, total: int | None) -> Bar:
        return _NoBar()


@contextmanager
def progress_bars(shown: bool, heartbeat: float | None = None) -> Iterator[AnyProgress]:
    """Show progress on standard error while the context lasts: bars on a terminal, else plain lines.

    Parameters
    ----------
    shown
        False: nothing is shown.
    heartbeat
        Seconds of silence after which a plain line is printed (default: `HEARTBEAT`).
    """
    if not shown:
        yield Silent()
    elif sys.stderr.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown"):
        with _rich_progress() as bars:
            yield _Bars(bars)
    else:
        with _Lines(HEARTBEAT if heartbeat is None else heartbeat) as lines:
            yield lines


def duration(seconds: float) -> str:
    """Seconds in words: 90 s, 12 min, 3.5 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _rich_progress() -> RichProgress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.table import Column

    console = Console(stderr=True)
    # Names are cut where they would leave no room for 46 characters of numbers and a bar of 10.
    column = Column(no_wrap=True, overflow="ellipsis", max_width=max(12, console.width - 56))
    description = TextColumn("{task.description}", markup=False, table_column=column)
    columns = (description, BarColumn(10), _amount_column(), TimeElapsedColumn(), TimeRemainingColumn())
    # Results on standard output must not pass through standard error, unless both are the terminal with the bars.
    redirected = sys.stdout.isatty()
    return Progress(*columns, console=console, transient=True, redirect_stdout=redirected)


def _amount_column() -> ProgressColumn:
    """Bytes and their speed for transfers, done of all for steps."""
    from rich.progress import DownloadColumn, MofNCompleteColumn, ProgressColumn, TransferSpeedColumn
    from rich.text import Text as Words

    steps, size, speed = MofNCompleteColumn(), DownloadColumn(), TransferSpeedColumn()

    class Amount(ProgressColumn):
        def render(self, task: Task) -> Text:
            if task.fields.get("bytes"):
                return size.render(task).append(" ").append_text(speed.render(task))
            return steps.render(task) if task.total is not None else Words("")

    return Amount()


class _Bars:
    """Bars on a terminal."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars

    def task(self, description: str, total: int | None) -> Bar:
        return _ScreenBar(self._bars, description, total, of_bytes=False)

    def transfer(self, description: str, total: int | None) -> Bar:
        return _ScreenBar(self._bars, description, total, of_bytes=True)


class _ScreenBar(Bar):
    def __init__(self, bars: RichProgress, description: str, total: int | None, of_bytes: bool) -> None:
        self._bars, self._total, self._of_bytes = bars, total, of_bytes
        self._lock = threading.RLock()
        self._count, self._open = 0, True
        self._bar = bars.add_task(description, total=total, bytes=of_bytes)
        if total == 0 and not of_bytes:
            self.close()

    def advance(self, n: int = 1, done: str = "") -> None:
        with self._lock:
            if not self._open:
                return
            self._count += n
            self._bars.advance(self._bar, n)
            if done:  # a step worth a name is worth being seen, however soon the next one ends
                self._bars.refresh()
            # Bytes may turn out to be wrong and be fetched again, so the last one is not the end.
            if not self._of_bytes and self._total is not None and self._count >= self._total:
                self.close()

    def close(self) -> None:
        with self._lock:
            if self._open:
                self._open = False
                self._bars.remove_task(self._bar)


class _Lines:
    """Plain lines, for a log file.

    A line is printed for each named step (``done``), for the last step of the outermost bar, and after ``heartbeat``
    seconds of silence, with all that is open.
    """

    def __init__(self, heartbeat: float) -> None:
        self._stream, self._heartbeat = sys.stderr, heartbeat
        self._lock = threading.RLock()
        self._open: list[_Line] = []
        self._start = self._last = time.monotonic()
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="progress", daemon=True)

    def task(self, description: str, total: int | None) -> Bar:
        return self._opened(_Line(self, description, total, of_bytes=False))

    def transfer(self, description: str, total: int | None) -> Bar:
        return self._opened(_Line(self, description, total, of_bytes=True))

    def __enter__(self) -> _Lines:
        self._beating.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._beating.join()

    def _opened(self, line: _Line) -> Bar:
        with self._lock:
            if line.total == 0:
                line.open = False
                return line
            self._open.append(line)
        return line

    def advance(self, line: _Line, n: int, done: str) -> None:
        with self._lock:
            if not line.open:
                return
            line.count += n
            if done:
                line.told = True
                self._say(f"{line.text()}, {done}")
            if line.complete and not line.of_bytes:
                self.close(line)

    def close(self, line: _Line) -> None:
        with self._lock:
            if not line.open:
                return
            line.open = False
            outermost = self._open[0] is line
            self._open.remove(line)
            ended = line.complete or (line.of_bytes and line.total is None)
            if outermost and ended and not line.told:
                self._say(line.text())

    def _beat(self) -> None:
        while not self._ended.wait(max(0.0, self._last + self._heartbeat - time.monotonic())):
            with self._lock:
                if time.monotonic() - self._last >= self._heartbeat:
                    transfers = [line for line in self._open if line.of_bytes][:1]  # the first is that of all files
                    steps = [line for line in self._open if not line.of_bytes]
                    self._say(", ".join(line.text() for line in (*steps, *transfers)) or "working")

    def _say(self, text: str) -> None:
        self._last = time.monotonic()
        with suppress(OSError, ValueError):  # a full disk or a closed log must not end the work
            self._stream.write(f"murine: {text} ({duration(self._last - self._start)})\n")
            self._stream.flush()


class _Line(Bar):
    def __init__(self, lines: _Lines, description: str, total: int | None, of_bytes: bool) -> None:
        self._lines, self.description, self.total, self.of_bytes = lines, description, total, of_bytes
        self.count, self.open, self.told = 0, True, False

    @property
    def complete(self) -> bool:
        return self.total is not None and self.count >= self.total

    def advance(self, n: int = 1, done: str = "") -> None:
        self._lines.advance(self, n, done)

    def close(self) -> None:
        self._lines.close(self)

    def text(self) -> str:
        """What is done, and how far."""
        from rich.filesize import decimal

        if not self.of_bytes:
            return self.description if self.total is None else f"{self.description} {self.count}/{self.total}"
        whole = "" if self.total is None else f" of {decimal(self.total)}"
        return f"{self.description}, {decimal(self.count)}{whole}"
