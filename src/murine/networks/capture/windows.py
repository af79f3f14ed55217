"""Windows of a map: parts of the visual field, because a probe in cortex sees one place and a layer sees the whole."""

from __future__ import annotations

from dataclasses import dataclass

#: Sides of windows as shares of the side of the map: names and denominators.
_SHARES = {"half": 2, "third": 3}

_ROWS, _COLUMNS = ("top", "middle", "bottom"), ("left", "middle", "right")


@dataclass(frozen=True)
class MapWindow:
    """A part of a map.

    Attributes
    ----------
    name
        For example ``half, top left``.
    rows, columns
        First place and the place after the last.
    """

    name: str
    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def n_places(self) -> int:
        """Number of places of the window."""
        return (self.rows[1] - self.rows[0]) * (self.columns[1] - self.columns[0])


def map_windows(height: int, width: int) -> list[MapWindow]:
    """Return windows of a half and of a third of both sides (rounded up), each at 3 x 3 places.

    In a small map, several windows can cover the same part; each part is returned once. The whole map is not a window,
    so a map with one place has no windows.

    Examples
    --------
    >>> [len(map_windows(side, side)) for side in (1, 2, 3, 13)]
    [0, 4, 13, 18]
    >>> map_windows(13, 13)[0]
    MapWindow(name='half, top left', rows=(0, 7), columns=(0, 7))
    """
    found: dict[tuple[tuple[int, int], tuple[int, int]], MapWindow] = {}
    for share, denominator in _SHARES.items():
        for row, rows in zip(_ROWS, _spans(height, denominator), strict=True):
            for column, columns in zip(_COLUMNS, _spans(width, denominator), strict=True):
                if (rows, columns) != ((0, height), (0, width)):
                    name = "middle" if row == column == "middle" else f"{row} {column}"
                    found.setdefault((rows, columns), MapWindow(f"{share}, {name}", rows, columns))
    return list(found.values())


def _spans(side: int, denominator: int) -> list[tuple[int, int]]:
    length = -(-side // denominator)
    return [(start, start + length) for start in (0, (side - length) // 2, side - length)]
