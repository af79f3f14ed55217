"""Leaderboards that are stored, and files that are known to be intact: quicker, and never another answer."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pandas as pd
import pytest
import small_cortex

import murine.atlas.leaderboard as leaderboard_module
import murine.atlas.trusted_files as trusted_files
from murine.atlas.leaderboard import leaderboards
from murine.atlas.seal_memory import SETTLED, SealMemory
from murine.atlas.store import Atlas
from murine.atlas.stored_boards import _file, read_boards
from murine.atlas.sweep import sweep
from murine.scoring.treatments import chosen_treatments


@pytest.fixture(scope="module")
def mouse(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mouse")
    return folder, small_cortex.write(folder)


@pytest.fixture
def atlas(mouse, tmp_path, monkeypatch):
    """Two networks under two treatments: two sets of comparable results."""
    monkeypatch.setenv("MURINE_CACHE", str(tmp_path / "cache"))
    atlas = Atlas(tmp_path / "atlas")
    add(atlas, mouse, "pixels", "gabor")
    return atlas


def add(atlas: Atlas, mouse, *networks: str, treatments: str = "both") -> None:
    folder, plan = mouse
    from dataclasses import replace

    chosen = replace(plan, treatments=chosen_treatments(treatments, None, None))
    sweep(small_cortex.choices(folder, *networks), chosen, atlas)


def settle(atlas: Atlas) -> None:
    """As if the files were written a while ago."""
    then = time.time() - 60
    for file in atlas.folder.rglob("*.parquet"):
        os.utime(file, (then, then))


@pytest.fixture
def ranked_sets(monkeypatch):
    """How many sets of results were ranked anew."""
    counted = []
    real = leaderboard_module._read_board

    def count(files: list[Path], min_ceiling: float) -> pd.DataFrame | None:
        counted.append(len(files))
        return real(files, min_ceiling)

    monkeypatch.setattr(leaderboard_module, "_read_board", count)
    return counted


def test_what_is_stored_is_what_was_ranked(atlas, ranked_sets):
    first = leaderboards(atlas)
    assert len(ranked_sets) == 2
    again = leaderboards(Atlas(atlas.folder))
    assert len(ranked_sets) == 2
    pd.testing.assert_frame_equal(again, first, check_exact=True)


def test_only_the_set_that_changed_is_ranked_again(atlas, mouse, ranked_sets):
    leaderboards(atlas)
    add(atlas, mouse, "neurn", treatments="none")
    ranked_sets.clear()
    board = leaderboards(Atlas(atlas.folder))
    assert ranked_sets == [3]
    _file(atlas.folder).unlink()
    pd.testing.assert_frame_equal(board, leaderboards(Atlas(atlas.folder)), check_exact=True)
    assert len(read_boards(atlas.folder)) == 2  # the board of the old set is gone


def test_parts_are_not_stored_over_the_whole(atlas, ranked_sets):
    whole = leaderboards(atlas)
    one = leaderboards(atlas, tasks=[whole.task[0]])
    assert one.network.tolist() == [whole.network[0]]
    assert one.top_probability.tolist() == [1.0]
    ranked_sets.clear()
    pd.testing.assert_frame_equal(leaderboards(atlas, metric=whole.metric[0]), whole, check_exact=True)
    pd.testing.assert_frame_equal(leaderboards(atlas), whole, check_exact=True)
    assert ranked_sets == []


def test_a_damaged_store_is_no_obstacle(atlas):
    board = leaderboards(atlas)
    file = _file(atlas.folder)
    file.write_bytes(file.read_bytes()[:-20])
    pd.testing.assert_frame_equal(leaderboards(Atlas(atlas.folder)), board, check_exact=True)
    file.unlink()
    file.mkdir()
    pd.testing.assert_frame_equal(leaderboards(Atlas(atlas.folder)), board, check_exact=True)


def test_another_smallest_ceiling_is_another_board(atlas):
    assert not leaderboards(atlas).equals(leaderboards(atlas, min_ceiling=0.99))


@pytest.fixture
def reads(monkeypatch):
    """Files whose checksum was computed."""
    read = []
    real = trusted_files.defect

    def defect(file: Path) -> str:
        read.append(file)
        return real(file)

    monkeypatch.setattr(trusted_files, "defect", defect)
    return read


def test_an_intact_file_is_read_once(atlas, reads, monkeypatch):
    monkeypatch.setattr("murine.atlas.seal_memory.SETTLED", -1.0)
    leaderboards(Atlas(atlas.folder))
    assert len(reads) == 4
    leaderboards(Atlas(atlas.folder))
    assert len(reads) == 4


def test_a_file_of_just_now_is_read_again(atlas, reads):
    for _ in range(2):
        Atlas(atlas.folder).files()
    assert len(reads) == 8
    assert SETTLED > 1


def test_a_changed_file_is_read_again_though_its_time_is_set_back(atlas, monkeypatch):
    monkeypatch.setattr("murine.atlas.seal_memory.SETTLED", -1.0)
    settle(atlas)
    leaderboards(Atlas(atlas.folder))
    file = sorted((atlas.folder / "scores").iterdir())[0]
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    with file.open("r+b") as opened:  # the same size and inode
        opened.write(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(Atlas(atlas.folder).files()["scores"]) == 3


def test_what_is_gone_is_forgotten(atlas, monkeypatch):
    monkeypatch.setattr("murine.atlas.seal_memory.SETTLED", -1.0)
    leaderboards(Atlas(atlas.folder))
    names = set(SealMemory(atlas.folder)._entries)
    assert len(names) == 4
    gone = sorted((atlas.folder / "scores").iterdir())[0]
    gone.unlink()
    add_one = sorted((atlas.folder / "scores").iterdir())[0]
    os.utime(add_one)  # something is new, so the memory is written
    Atlas(atlas.folder).files()
    assert set(SealMemory(atlas.folder)._entries) == names - {f"scores/{gone.name}"}
