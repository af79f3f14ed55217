"""Progress for tests: counts steps, and calls back."""

from __future__ import annotations

from collections.abc import Callable

from murine.progress import Bar


class _Counted(Bar):
    def __init__(self, step: Callable[[int], None]) -> None:
        self._step = step

    def advance(self, n: int = 1, done: str = "") -> None:
        self._step(n)

    def close(self) -> None:
        pass


class Counting:
    """Counts the steps of all tasks whose description contains a text.

    Attributes
    ----------
    total, done
        Steps that were announced, and that were done.
    """

    def __init__(self, of: str = "", then: Callable[[int], None] = lambda done: None) -> None:
        self._of, self._then = of, then
        self.total = self.done = 0

    def task(self, description: str, total: int | None) -> Bar:
        if self._of not in description:
            return _Counted(lambda n: None)
        self.total += total or 0
        return _Counted(self._count)

    def _count(self, n: int) -> None:
        self.done += n
        self._then(self.done)
