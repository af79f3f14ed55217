"""SIGKILL, or Ctrl-C, at any stage of `murine data fetch`: the next run completes, and the recordings are the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from allen_bucket import SmallBucket, filled
from public_bucket import Fault, FaultProxy

from murine.cortex.recording import Recording

CHOICE = ("--class", "inhibitory", "--signal", "dff", "--signal", "events", "--window", "0-250ms", "--workers", "2")
SESSIONS = ("501889084", "503019786", "503019999", "507691476")


@pytest.fixture(scope="module")
def allen(server_of_buckets, tmp_path_factory) -> SmallBucket:
    return filled(server_of_buckets, tmp_path_factory)


def start(endpoint: str, cache: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "ignore", "-m", "murine", "data", "fetch", "allen", "--yes", *CHOICE]
    return subprocess.Popen(
        [*command, "--endpoint", endpoint, "--cache", str(cache)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONWARNINGS": ""},
    )


def sizes(cache: Path, pattern: str) -> list[int]:
    found = []
    for file in cache.rglob(pattern):
        try:
            found.append(file.stat().st_size)
        except FileNotFoundError:  # it has just got its name, or was deleted
            continue
    return found


#: Stages of a fetch that begins anew, each reached before it is killed; later ones begin where the one before ended.
STAGES: dict[str, Callable[[Path], bool]] = {
    "a table is here": lambda cache: bool(sizes(cache, "ophys_experiments.json")),
    "half of a raw file is here": lambda cache: max(sizes(cache, ".*.nwb.partial"), default=0) > 800_000,
    "a raw file is whole": lambda cache: bool(sizes(cache, "[0-9]*.nwb")),
    "a recording is made": lambda cache: len(sizes(cache, "[0-9]*.nc")) >= 1,
    "two sessions are done": lambda cache: len({f.stem for f in cache.rglob("dff*/[0-9]*.nc")}) >= 2,
    "the last one is on its way": lambda cache: (
        len({f.stem for f in cache.rglob("dff*/[0-9]*.nc")}) >= 3 and bool(sizes(cache, ".*.nwb.partial"))
    ),
}

#: The stage at which Ctrl-C comes instead.
INTERRUPTED = "half of a raw file is here"


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_fetch_is_completed_by_the_next_and_gives_the_same_recordings(allen, tmp_path):
    calm, disturbed = tmp_path / "calm", tmp_path / "disturbed"
    undisturbed = start(allen.public.endpoint, calm)
    text, _ = undisturbed.communicate(timeout=120)
    assert undisturbed.returncode == 0, text

    paced = lambda r: Fault(pace=0.004) if r.path.endswith(".nwb") else None  # noqa: E731
    with FaultProxy(allen.public.endpoint, paced) as proxy:
        killed = 0
        for stage, reached in STAGES.items():
            process = start(proxy.url, disturbed)
            end = time.monotonic() + 100
            while process.poll() is None and not reached(disturbed) and time.monotonic() < end:
                time.sleep(0.005)
            if stage == INTERRUPTED:
                process.send_signal(signal.SIGINT)
                text, _ = process.communicate(timeout=60)
                assert process.returncode == 130, text
                assert text.endswith(
                    "murine: stopped. What was finished is kept; the same command goes on from there.\n"
                )
            else:
                process.kill()
                process.communicate()
                killed += process.returncode == -9
            for file in disturbed.rglob("[0-9]*.nc"):  # what has its name is whole
                with Recording.read(file).dataset as dataset:
                    assert dataset["responses"].load().shape[1] == 119
        assert killed >= 4
        last = start(proxy.url, disturbed)
        text, _ = last.communicate(timeout=120)
        assert last.returncode == 0, text
        # Of what came, only what was on its way between the processes can have been lost.
        total = sum(allen.tree.nwb(int(number)).stat().st_size for number in SESSIONS)
        assert total <= proxy.sent(".nwb") < total + len(STAGES) * 2 * 100_000
        assert all(answer.start == 0 or "if-match" in answer.headers for answer in proxy.answers)

    def files(cache: Path) -> set[str]:
        names = {str(file.relative_to(cache)) for file in cache.rglob("*") if file.is_file()}
        return {name for name in names if not name.endswith(".lock")}

    # Only a picture file that was being written when its process was killed may be left, under a name nobody reads.
    left = {name for name in files(disturbed) - files(calm) if "/.natural_scenes.npz." not in name}
    assert left == set()
    assert files(calm) <= files(disturbed)
    assert not list(disturbed.rglob("*.nwb"))
    recordings = sorted(calm.rglob("[0-9]*.nc"))
    assert [file.stem for file in recordings if "dff" in str(file)] == list(SESSIONS)
    assert len(recordings) == 7  # one session has no events
    for file in recordings:
        with (
            Recording.read(file).dataset as expected,
            Recording.read(disturbed / file.relative_to(calm)).dataset as found,
        ):
            assert expected.load().identical(found.load())
    with (
        np.load(next(calm.rglob("natural_scenes.npz"))) as expected,
        np.load(next(disturbed.rglob("natural_scenes.npz"))) as found,
    ):
        np.testing.assert_array_equal(expected["images"], found["images"])
