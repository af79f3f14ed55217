"""Networks that crash, leave, hang or swallow memory: each is a failure with a reason, and the others are scored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import small_cortex

from murine.atlas.store import Atlas
from murine.atlas.sweep import each, sweep
from murine.networks.spec import NetworkSpec

BAD = """
import ctypes, os, sys, threading, time
import torch
from torch import nn


def segfault():
    ctypes.string_at(0)


def leaves():
    sys.exit(0)


def leaves_at_once():
    os._exit(0)


def changes_dtype():
    torch.set_default_dtype(torch.float64)
    return conv()


def changes_folder():
    os.chdir("/")
    return conv()


class UnreadableError(BaseException):
    def __str__(self):
        raise ValueError("no text")


def unreadable():
    raise UnreadableError


class While(Net):
    def __init__(self, act):
        super().__init__(nn.AvgPool2d(4), nn.Flatten())
        self.act = act

    def forward(self, x):
        self.act()
        return super().forward(x)


def crashes_when_shown_images():
    return While(lambda: os.kill(os.getpid(), 11))


def leaves_when_shown_images():
    return While(lambda: sys.exit("bye"))


def interrupts():
    return While(lambda: (_ for _ in ()).throw(KeyboardInterrupt()))


def killed():
    return While(lambda: os.kill(os.getpid(), 9))


def no_memory():
    return While(lambda: (_ for _ in ()).throw(MemoryError()))


def hangs():
    if os.fork() == 0:
        time.sleep(600)  # a child that keeps the pipes open
    print("about to hang", flush=True)
    while True:
        pass


def holds_the_interpreter():
    ctypes.PyDLL(None).sleep(600)


class Slow(Net):
    def __init__(self):
        super().__init__(*(nn.Identity() for _ in range(30)), nn.AvgPool2d(4), nn.Flatten())

    def forward(self, x):
        for module in self:
            time.sleep(0.15)
            x = module(x)
        return x


def slow():
    return Slow()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    small_cortex.write(folder)
    (folder / "bad.py").write_text(small_cortex.NETWORKS + BAD)
    return folder


@pytest.fixture(scope="module")
def plan(folder):
    return small_cortex.write(folder)


def bad(folder, *names):
    return [NetworkSpec.parse(f"{folder / 'bad.py'}:{name}") for name in names]


@pytest.fixture(scope="module")
def alone(folder, plan, tmp_path_factory):
    """Rows of the two good networks without any bad one, computed in this process."""
    atlas = Atlas(tmp_path_factory.mktemp("alone"))
    sweep(small_cortex.choices(folder, "conv@random:0", "pool"), plan, atlas)
    return rows(atlas)


def rows(atlas):
    order = ["network", "layer_index", "site", "split", "stimuli"]
    return atlas.query("SELECT * FROM scores").sort_values(order, kind="stable").reset_index(drop=True)


def command(*arguments):
    return [sys.executable, "-W", "ignore", "-m", "murine", *map(str, arguments)]


def score(folder, atlas, *networks):
    against = ("--against", folder / "mouse.nc", "--stimuli", folder / "images.npz", "--input-size", 32)
    sizes = ("--splits", 4, "--bootstraps", 20, "--permutations", 9, "--no-controls", "--atlas", atlas)
    return command("score", *networks, *against, *sizes)


@pytest.mark.parametrize("jobs", [1, 2])
def test_six_bad_networks_among_two_good_ones(jobs, folder, alone, tmp_path):
    names = ("segfault", "leaves", "leaves_at_once", "changes_dtype", "changes_folder", "unreadable")
    six = [f"{folder / 'bad.py'}:{name}" for name in names]
    good = [f"{folder / 'nets.py'}:conv@random:0", f"{folder / 'nets.py'}:pool"]
    atlas = tmp_path / "atlas"
    given = [*six[:3], good[0], *six[3:], good[1]]
    done = subprocess.run(
        [*score(folder, atlas, *given), "--jobs", str(jobs), "--format", "csv"], capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "6 of 8 networks could not be scored" in done.stderr
    assert len(done.stdout.splitlines()) == 3  # a heading and two networks: nothing that a network printed
    pd.testing.assert_frame_equal(rows(Atlas(atlas)), alone, check_exact=True)

    failures = Atlas(atlas).failures().set_index("network")
    assert sorted(failures.index) == sorted(six)
    for name, reason in (
        ("segfault", "it crashed (SIGSEGV)"),
        ("leaves", "SystemExit: 0"),
        ("leaves_at_once", "exit code 0"),
        ("changes_dtype", "sets torch's default dtype to float64"),
        ("changes_folder", "changes the working directory"),
        ("unreadable", "its text cannot be read"),
    ):
        assert reason in failures.reason[f"{folder / 'bad.py'}:{name}"]
        assert f"bad.py:{name}: " in done.stderr


def test_what_networks_do_when_shown_images(folder, plan, alone, tmp_path, capfd):
    """In one process after the other, of which the last is that of the good network."""
    atlas = Atlas(tmp_path / "atlas")
    names = ("crashes_when_shown_images", "leaves_when_shown_images", "interrupts", "killed", "no_memory")
    chosen = [*bad(folder, *names), *small_cortex.choices(folder, "conv@random:0", "pool")]
    outcomes = sweep(chosen, plan, atlas, isolated=True)
    assert [outcome.state for outcome in outcomes] == ["failed"] * 5 + ["computed"] * 2
    reasons = [outcome.reason for outcome in outcomes[:5]]
    assert "it crashed (SIGSEGV)" in reasons[0]
    assert "bye" in reasons[1] or "sys.exit" in reasons[1]
    assert "KeyboardInterrupt" in reasons[2]
    assert "SIGKILL" in reasons[3]
    assert "memory" in reasons[3]
    assert "memory" in reasons[4]
    pd.testing.assert_frame_equal(rows(atlas), alone, check_exact=True)
    assert capfd.readouterr().out == ""


def test_a_network_that_hangs_is_given_up_and_a_slow_one_is_not(folder, plan, tmp_path, capfd):
    """The limit is longer than what a busy machine needs to import libraries."""
    atlas = Atlas(tmp_path / "atlas")
    begin = time.monotonic()
    (hanging,) = each_in_time(folder, plan, atlas, "hangs", 4)
    assert hanging.state == "failed"
    assert "it did nothing for 4 s" in hanging.reason
    assert "about to hang" in capfd.readouterr().err  # what networks print is no result
    (stuck, slow) = each_in_time(folder, plan, atlas, ["holds_the_interpreter", "slow"], 4)
    assert "it did nothing" in stuck.reason
    assert slow.state == "computed"  # it took more than that for every pass
    assert time.monotonic() - begin < 200
    assert list(atlas.failures().network.str.rpartition(":")[2]) in (
        ["holds_the_interpreter", "hangs"],
        ["hangs", "holds_the_interpreter"],
    )


def each_in_time(folder, plan, atlas, names, time_limit):
    chosen = bad(folder, *([names] if isinstance(names, str) else names))
    return sweep(chosen, plan, atlas, isolated=True, time_limit=time_limit)


def test_a_failure_is_forgotten_with_the_next_success(folder, plan, tmp_path):
    atlas = Atlas(tmp_path / "atlas")
    file = tmp_path / "mine.py"
    chosen = [NetworkSpec.parse(f"{file}:build")]
    for text, state in ((None, "failed"), ("def build(:", "failed"), (small_cortex.NETWORKS, "computed")):
        if text is not None:
            file.write_text(text.replace("def conv", "def build"))
        (outcome,) = sweep(chosen, plan, atlas)
        assert outcome.state == state
        failures = atlas.failures()
        assert len(failures) == (state == "failed")
        if state == "failed":
            assert failures.reason.item() == outcome.reason
            assert (failures.work.item(), failures.input_size.item()) == ("score", "32x32")


class Unprepared:
    """A runner whose data cannot be had."""

    def asked(self, choice):
        return {}

    def known(self, choice, atlas):
        return None

    def prepare(self):
        os._exit(3)

    def run(self, choice, atlas, progress=None):
        raise NotImplementedError


def test_data_that_end_the_process_fail_the_sweep_and_no_network(folder, tmp_path):
    from murine.errors import MurineError

    with pytest.raises(MurineError, match="ended while it loaded the data: it ended its process with exit code 3"):
        list(each(Unprepared(), bad(folder, "segfault"), Atlas(tmp_path), isolated=True))


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="counts processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill"])
def test_the_end_of_the_command_is_the_end_of_its_processes(how, folder, tmp_path):
    mark = f"{folder / 'bad.py'}:hangs"
    process = subprocess.Popen(
        [*score(folder, tmp_path / "atlas", mark), "--jobs", "2"], stderr=subprocess.PIPE, text=True
    )
    try:
        for line in process.stderr:
            if "about to hang" in line:
                break
        children = family(process.pid)
        assert len(children) >= 2  # the worker, and what its network started
        begin = time.monotonic()
        process.send_signal(how)
        said = process.stderr.read()  # to its end: no process holds it open any more
        assert process.wait(10) == (130 if how == signal.SIGINT else -9)
        while any(Path(f"/proc/{pid}").exists() and not is_zombie(pid) for pid in children):
            assert time.monotonic() - begin < 5
            time.sleep(0.05)
        assert "Traceback" not in said
        assert how != signal.SIGINT or "murine: stopped." in said
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def is_zombie(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def family(pid):
    """All processes that a process has started, and they."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {pid}
    while new := {child for child, parent in parents.items() if parent in found} - found:
        found |= new
    return found - {pid}
