"""A small part of `fuzz_readers.py`: damaged files of every kind are read or refused, nothing else."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import fuzz_readers
import numpy as np
import pytest
from fuzz_readers import Attempt, attempt, fuzz, judge, targets

from murine.errors import MurineError
from murine.io.isolation import Isolated

N = 150


@pytest.fixture(scope="module")
def tally(tmp_path_factory):
    work = tmp_path_factory.mktemp("fuzz")
    return fuzz(N, 5, work, work / "kept", seconds=20)


def test_damaged_files_are_read_or_refused(tally):
    assert not tally.defects, "\n".join(tally.defects)
    assert tally.n == N
    assert {name for name, _ in tally.counts} > {"two-photon NWB", "Neuropixels NWB", "catalogue", "npz", "recording"}
    states = {state: sum(n for (_, s), n in tally.counts.items() if s == state) for _, state in tally.counts}
    assert states["refused"] > N // 4  # the damage matters
    assert states["read"] > N // 10
    assert tally.peak < fuzz_readers.MOST_RESIDENT


def test_the_same_number_makes_the_same_damage(tmp_path):
    kinds = targets(tmp_path)
    for target in kinds:
        source, path = target.files[0], tmp_path / "damaged"
        for index in range(8):
            made = []
            for _ in range(2):
                how = target.damage(np.random.default_rng([5, index]), path, source)
                made.append((how, path.read_bytes()))
            assert made[0] == made[1], (target.name, made[0][0])


# What the fuzzer must call a defect: each of these stands for a bad reader.


def harmless(path: Path) -> None:
    path.read_bytes()


def vague(path: Path) -> None:
    raise MurineError("something is wrong")


def raw(path: Path) -> None:
    raise KeyError("data")


def greedy(path: Path) -> None:
    np.ones(600_000_000, np.uint8)


def trusting(path: Path) -> None:
    import pickle

    pickle.loads(pickle.dumps(Path()))


@pytest.mark.parametrize(
    ("read", "reason"),
    [
        (harmless, ""),
        (vague, "does not tell the file"),
        (raw, "KeyError: 'data'"),
        (greedy, r"took 6.* bytes of memory"),
        (trusting, "unpickled"),
    ],
)
def test_bad_readers_are_found(read, reason, tmp_path, monkeypatch):
    import test_fuzz  # under the name that the other process knows it by

    monkeypatch.setattr(fuzz_readers, "MOST_RESIDENT", 500_000_000)
    (tmp_path / "a.nwb").write_bytes(b"content")
    with Isolated(fuzz_readers.MEMORY) as process:
        result = process.call(60, attempt, getattr(test_fuzz, read.__name__), tmp_path / "a.nwb")
    target = fuzz_readers.Target("kind", read, [], 1)
    assert isinstance(result, Attempt)
    found = judge(target, tmp_path / "a.nwb", result)
    assert (found == "") if not reason else re.search(reason, found)


def test_the_script_tells_its_counts_and_keeps_nothing_where_all_is_well(tmp_path):
    script = Path(fuzz_readers.__file__)
    done = subprocess.run(
        [sys.executable, script, "--n", "6", "--seed", "3", "--keep", tmp_path / "kept"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 damaged files, 0 defects, at most" in done.stdout
    assert not (tmp_path / "kept").exists()
