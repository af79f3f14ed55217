"""Windows of maps: a half and a third of the side, rounded up, at 3 x 3 places, each part of a map once."""

from __future__ import annotations

import pytest

from murine.networks.capture.windows import map_windows


@pytest.mark.parametrize("side", [4, 5, 6, 7, 8, 13, 31, 64])
def test_sides_are_a_half_and_a_third_rounded_up(side):
    windows = map_windows(side, side)
    for share, length in (("half", (side + 1) // 2), ("third", (side + 2) // 3)):
        mine = [w for w in windows if w.name.startswith(share)]
        assert {(w.rows[1] - w.rows[0], w.columns[1] - w.columns[0]) for w in mine} <= {(length, length)}
        assert {w.rows[0] for w in mine} <= {0, (side - length) // 2, side - length}
    corners = {w.name: (w.rows, w.columns) for w in windows if w.name.startswith("half")}
    assert corners["half, top left"] == ((0, (side + 1) // 2), (0, (side + 1) // 2))
    assert corners["half, bottom right"][0][1] == side


def test_places_lie_within_the_map_and_are_different():
    for height, width in ((1, 1), (1, 9), (2, 2), (2, 7), (3, 3), (5, 11), (12, 16)):
        windows = map_windows(height, width)
        parts = [(w.rows, w.columns) for w in windows]
        assert len(set(parts)) == len(parts) == len({w.name for w in windows})
        for (top, bottom), (left, right) in parts:
            assert 0 <= top < bottom <= height
            assert 0 <= left < right <= width
        assert ((0, height), (0, width)) not in parts


def test_a_large_map_has_eighteen_windows_and_a_point_none():
    assert len(map_windows(13, 13)) == len(map_windows(12, 16)) == 18
    assert map_windows(1, 1) == []
    assert [w.n_places for w in map_windows(2, 2)] == [1, 1, 1, 1]
