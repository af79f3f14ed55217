"""Arrays that are kept: the same as computed ones, and never those of something else."""

from __future__ import annotations

import os

import numpy as np
import pytest

import murine.io.array_cache
from murine.cortex.simulated import simulate
from murine.io.array_cache import ArrayCache
from murine.scenes import synthetic_scenes
from murine.scoring.settings import ScoreSettings
from murine.scoring.site_benchmark import SiteBenchmark
from murine.scoring.site_preparation import make_site_data


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(murine.io.array_cache, "WORTH", 0.0)
    return ArrayCache(tmp_path / "sites", {"data": "abc"})


class Counted:
    def __init__(self):
        self.n = 0

    def __call__(self):
        self.n += 1
        return {"a": np.arange(6.0).reshape(2, 3), "b": np.array("r")}


def test_what_was_computed_is_read(kept):
    compute = Counted()
    first, second = (kept.arrays({"x": 1}, compute) for _ in range(2))
    assert compute.n == 1
    np.testing.assert_array_equal(first["a"], second["a"])
    assert (str(second["b"]), set(second)) == ("r", {"a", "b"})
    kept.arrays({"x": 2}, compute)
    ArrayCache(kept.folder, {"data": "abd"}).arrays({"x": 1}, compute)
    assert compute.n == 3
    assert ArrayCache().arrays({}, compute)["a"].shape == (2, 3)
    assert compute.n == 4


def test_a_damaged_or_foreign_file_is_computed_again(kept, caplog):
    compute = Counted()
    kept.arrays({"x": 1}, compute)
    (file,) = kept.folder.iterdir()
    whole = file.read_bytes()
    kept.arrays({"x": 2}, compute)
    (other,) = set(kept.folder.iterdir()) - {file}
    for content in (whole[:-30], b"", whole.replace(whole[300:308], b"\1" * 8), other.read_bytes()):
        file.write_bytes(content)
        n = compute.n
        np.testing.assert_array_equal(kept.arrays({"x": 1}, compute)["a"], np.arange(6.0).reshape(2, 3))
        assert compute.n == n + 1
    assert "computed again" in caplog.text


def test_the_oldest_go_where_there_is_no_room(kept, monkeypatch):
    for x in range(4):
        kept.arrays({"x": x}, Counted())
        for file in kept.folder.iterdir():
            os.utime(file, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns - 10**9))
    files = sorted(kept.folder.iterdir(), key=lambda f: f.stat().st_mtime_ns)
    monkeypatch.setattr(murine.io.array_cache, "MOST_BYTES", 3 * files[0].stat().st_size)
    kept.arrays({"x": 4}, Counted())
    assert set(kept.folder.iterdir()) > set(files[2:])
    assert not files[0].exists()


def test_what_is_quick_or_cannot_be_kept_is_computed(tmp_path, monkeypatch):
    ArrayCache(tmp_path / "sites").arrays({}, Counted())
    assert not (tmp_path / "sites").exists()
    monkeypatch.setattr(murine.io.array_cache, "WORTH", 0.0)
    (tmp_path / "file").write_text("x")
    assert set(ArrayCache(tmp_path / "file" / "sites").arrays({}, Counted())) == {"a", "b"}


@pytest.mark.parametrize("metric", ["rsa-pearson", "cka-debiased", "ridge"])
def test_site_data_and_ceilings_are_those_computed_anew_to_the_last_bit(metric, kept, monkeypatch):
    cortex = simulate(synthetic_scenes(24, 40), n_neuroids=10, n_repetitions=6, reliability=0.9)
    recording, settings = cortex.recording, ScoreSettings(20, 9, 0)
    groups = ["a"] * 12 + ["b"] * 12
    plain = make_site_data(recording, n_splits=4)
    benchmark = SiteBenchmark(plain, metric, groups=groups, settings=settings)
    for _ in range(2):
        found = make_site_data(recording, n_splits=4, kept=kept)
        for name in ("rdms", "half_rdms", "kernels"):
            np.testing.assert_array_equal(getattr(found, name), getattr(plain, name), err_msg=name)
        again = SiteBenchmark(found, metric, groups=groups, settings=settings, kept=kept)
        for group, fixed in benchmark.groups.items():
            for mine, theirs in zip(
                (fixed.ceiling, fixed.ceiling_without_one),
                (again.groups[group].ceiling, again.groups[group].ceiling_without_one),
                strict=True,
            ):
                np.testing.assert_array_equal(mine.value, theirs.value)
                np.testing.assert_array_equal(mine.draws, theirs.draws)
                assert (mine.scale, mine.notes) == (theirs.scale, theirs.notes)
        n_files = len(list(kept.folder.iterdir()))
    assert n_files == len(list(kept.folder.iterdir())) >= 3
    other = make_site_data(recording, n_splits=4, seed=1, kept=kept)
    assert not np.array_equal(other.half_rdms, plain.half_rdms)
