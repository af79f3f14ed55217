"""Work that crashes, hangs, swallows memory or talks: one clear error each, and the next call is as good as ever."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import isolated_functions as functions
import numpy as np
import pytest

from murine.errors import MurineError
from murine.io.isolation import Crashed, Isolated, OutOfMemory, read_apart, reading_memory

LONG = 120.0


@pytest.fixture
def process():
    with Isolated() as process:
        yield process


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pid: int, seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not alive(pid)


def test_calls_share_one_process_that_is_not_this_one(process):
    first = process.call(LONG, functions.echo, 1, "two", key=[3.0])
    second = process.call(LONG, functions.echo)
    assert first[1:] == (1, (1, "two"), {"key": [3.0]})
    assert second == (first[0], 2, (), {})
    assert first[0] != os.getpid()
    process.close()
    assert gone(first[0])
    assert process.call(LONG, functions.echo)[1] == 1


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ((functions.crash, signal.SIGSEGV), "ended with SIGSEGV"),
        ((functions.crash, signal.SIGABRT), "ended with SIGABRT"),
        ((functions.crash, signal.SIGKILL), "ended with SIGKILL"),
        ((functions.overrun,), "ended with SIG(SEGV|BUS)"),
        ((functions.leave, 0), "ended with exit code 0"),
        ((functions.leave, 7), "ended with exit code 7"),
        ((functions.exit_politely,), "ended with exit code 3"),
    ],
)
def test_a_process_that_dies_is_one_error_and_made_anew(process, call, reason):
    before = process.call(LONG, functions.echo)
    with pytest.raises(Crashed, match=f"^the process {reason}$"):
        process.call(LONG, *call)
    after = process.call(LONG, functions.echo, "again")
    assert after[1:3] == (1, ("again",))
    assert after[0] != before[0]


@pytest.mark.parametrize("hang", [functions.hang, functions.hang_in_c])
def test_a_process_that_hangs_is_ended(process, hang):
    pid = process.call(LONG, functions.echo)[0]
    with pytest.raises(Crashed, match="took longer than 1 s"):
        process.call(1.0, hang)
    assert gone(pid)
    assert process.call(LONG, functions.echo)[1] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory needs Linux")
@pytest.mark.parametrize("call", [(functions.eat, 400 << 20), (functions.eat_slowly,), (functions.large, 40 << 20)])
def test_memory_is_limited(call):
    with Isolated(memory=256 << 20) as process:
        assert process.call(LONG, functions.eat, 100 << 20) == 100 << 20
        with pytest.raises(
            Crashed, match=r"^the process took more than 268,435,456 bytes of memory( \(Unable to allocate .*\))?$"
        ):
            process.call(LONG, *call)
        assert process.call(LONG, functions.eat, 100 << 20) == 100 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory needs Linux")
def test_what_loading_takes_does_not_count():
    """Modules take more address space than this; files of the usual size are still read."""
    with Isolated(memory=64 << 20) as process:
        assert process.call(LONG, functions.eat, 30 << 20) == 30 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory needs Linux")
def test_address_space_that_is_only_reserved_does_not_count():
    with Isolated(memory=64 << 20) as process:
        assert process.call(LONG, functions.reserve, 8 << 30) == 8 << 30
        with pytest.raises(OutOfMemory):
            process.call(LONG, functions.eat, 100 << 20)


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory needs Linux")
def test_arrow_takes_no_more_than_it_needs():
    """Its own allocator alone takes 1 GiB: a recording with text labels would end every small limit."""
    with Isolated(memory=128 << 20) as process:
        assert process.call(LONG, functions.arrow, 1000) == "system"


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory needs Linux")
@pytest.mark.parametrize(
    ("call", "told"),
    [
        ((functions.eat, 400 << 20), "Unable to allocate 400. MiB"),
        ((functions.eat_and_wrap, 400 << 20), "Unable to allocate 400. MiB"),
        ((functions.wrapped, MemoryError("Unable to allocate 3 GiB")), "Unable to allocate 3 GiB"),
        ((functions.wrapped, OSError(errno.ENOMEM, "Cannot allocate memory")), "[Errno 12] Cannot allocate memory"),
        (
            (functions.wrapped, OSError("Can't read data (memory allocation failed for chunk)")),
            "Can't read data (memory",
        ),
    ],
)
def test_a_limit_that_was_hit_is_told_as_that_and_not_as_damage(tmp_path, monkeypatch, call, told):
    """Whatever the reader made of it; with the variable that raises the limit, which does raise it."""
    monkeypatch.setenv("MURINE_READING_MEMORY", "0.25")
    file = tmp_path / "some.nwb"
    with pytest.raises(MurineError) as refused:
        read_apart(file, *call)
    text = str(refused.value)
    assert text.startswith(f"{str(file)!r} could not be read: the process took more than 268,435,456 bytes of memory")
    assert f"bytes of memory ({told}" in text
    assert "no readable file" not in text  # the reader's guess, which does not apply
    assert "MURINE_READING_MEMORY, in GiB (now 0.25)" in text
    assert "is damaged" not in text
    monkeypatch.setenv("MURINE_READING_MEMORY", "1")
    assert read_apart(file, functions.eat, 400 << 20) == 400 << 20


@pytest.mark.parametrize("call", [(functions.crash, signal.SIGSEGV), (functions.crash, signal.SIGKILL)])
def test_a_crash_is_told_without_one_cause_for_all(tmp_path, call):
    with pytest.raises(MurineError, match=r"could not be read: the process ended with SIG.* may be damaged.*memory"):
        read_apart(tmp_path / "some.nwb", *call)


@pytest.mark.parametrize("given", ["much", "-1", "0", "nan", "inf", "4GiB"])
def test_a_limit_that_is_no_number_is_refused(monkeypatch, given):
    monkeypatch.setenv("MURINE_READING_MEMORY", given)
    with pytest.raises(MurineError, match=f"MURINE_READING_MEMORY is '{given}'; expected a positive number.*GiB"):
        reading_memory()


def test_what_is_printed_does_not_get_among_the_answers(capfd, process):
    assert process.call(LONG, functions.chatter) == "answer"
    assert process.call(LONG, functions.chatter) == "answer"
    process.close()
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.count("from C") == 2


def test_errors_meant_for_users_pass_and_others_are_mistakes(process):
    with pytest.raises(MurineError, match=r"^'some.nwb', data: found nothing; expected something.$") as refused:
        process.call(LONG, functions.refuse)
    assert not isinstance(refused.value, Crashed)
    with pytest.raises(RuntimeError, match=r"(?s)in stumble.*ZeroDivisionError: a mistake in the program"):
        process.call(LONG, functions.stumble)
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*pickle"):
        process.call(LONG, functions.unpicklable)


@pytest.mark.parametrize("call", [functions.refuse, functions.stumble])
def test_a_process_that_met_damage_is_not_used_again(process, call):
    before = process.call(LONG, functions.echo)
    with pytest.raises((MurineError, RuntimeError)):
        process.call(LONG, call)
    assert gone(before[0])
    assert process.call(LONG, functions.echo)[1] == 1


def test_arguments_that_cannot_be_sent_leave_no_process_in_between(process):
    before = process.call(LONG, functions.echo)[0]
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        process.call(LONG, functions.echo, np.arange(10**6), lambda: None)
    assert process.call(LONG, functions.echo, "next")[1:3] == (1, ("next",))
    assert gone(before)


def test_large_arguments_and_results_pass(process):
    values = np.random.default_rng(0).normal(size=5_000_000)  # far more than a pipe holds
    _, _, (returned,), _ = process.call(LONG, functions.echo, values)
    assert returned.tobytes() == values.tobytes()
    assert np.array_equal(process.call(LONG, functions.large, 10**7), np.arange(10**7))


def test_a_process_that_died_between_calls_is_replaced(process):
    pid = process.call(LONG, functions.echo)[0]
    os.kill(pid, signal.SIGKILL)
    assert gone(pid)
    assert process.call(LONG, functions.echo)[1] == 1


def test_modules_in_the_current_folder_are_not_imported(tmp_path, monkeypatch):
    """Who stands in a folder of downloads runs none of it."""
    for name in ("h5py", "numpy", "pickle", "murine"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    with Isolated() as process:
        assert process.call(LONG, functions.search_path) == sys.path
    assert not (tmp_path / "sprung").exists()


SCRIPT = """
import sys
sys.path[:] = {path!r}
import isolated_functions as functions
from murine.io.isolation import Isolated
try:
    with Isolated() as process:
        assert process.call(60, functions.disposition)
        process.call({seconds}, functions.block_forever, {started!r})
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def started(tmp_path: Path, seconds: float) -> tuple[subprocess.Popen[str], int]:
    """Another Python that waits for an isolated process, and the id of that one."""
    note = tmp_path / "started"
    code = SCRIPT.format(path=sys.path, started=str(note), seconds=seconds)
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
    end = time.monotonic() + 120
    while not (note.exists() and note.read_text()) and time.monotonic() < end:
        time.sleep(0.05)
    return parent, int(note.read_text())


@pytest.mark.parametrize("group", [False, True])
def test_ctrl_c_leaves_no_process(tmp_path, group):
    """Sent to the parent alone, and as a terminal does to both."""
    parent, child = started(tmp_path, 600)
    assert alive(child)
    (os.killpg if group else os.kill)(parent.pid, signal.SIGINT)
    out, _ = parent.communicate(timeout=120)
    assert out == "interrupted\n"
    assert parent.returncode == 0
    assert gone(child)


def test_a_process_ends_itself_when_its_parent_was_killed(tmp_path):
    """Not even a loop in a library outlives it for long: a timer of the system's ends it."""
    parent, child = started(tmp_path, 1.0)
    parent.kill()
    parent.communicate()
    assert gone(child)


def test_an_idle_process_ends_when_its_parent_was_killed():
    code = "import isolated_functions as f; from murine.io.isolation import Isolated; import os; p = Isolated(); "
    code += "print(p.call(60, f.echo)[0], flush=True); os.kill(os.getpid(), 9)"
    code = f"import sys; sys.path[:] = {sys.path!r}; {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert gone(int(done.stdout))
