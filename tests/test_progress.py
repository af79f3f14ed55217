"""Progress as it is seen: bars on a terminal, lines in a log file."""

from __future__ import annotations

import io
import re
import threading
import time
from contextlib import contextmanager, redirect_stderr

import pytest

from murine.progress import Bar, Progress, Silent, TransferProgress, duration, progress_bars


class Terminal(io.StringIO):
    """A screen that is never wiped."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch):
    """A terminal of 80 columns."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal()


@pytest.fixture
def log():
    """A file that standard error goes to."""
    return io.StringIO()


@contextmanager
def progress_on(stream, **options):
    """Progress where standard error is ``stream``."""
    with redirect_stderr(stream), progress_bars(True, **options) as progress:
        yield progress


def seen(screen, bars):
    """What the screen shows now, without control sequences."""
    screen.seek(0)
    screen.truncate()
    bars._bars.refresh()
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue())


def lines(log):
    """What was printed, without the times at the ends of lines."""
    return [re.fullmatch(r"murine: (.*) \(\d+ s\)", line)[1] for line in log.getvalue().splitlines()]


def test_bars_nest_and_end_by_themselves(screen):
    with progress_on(screen) as progress:
        assert isinstance(progress, Progress)
        assert isinstance(progress, TransferProgress)
        with progress.task("networks", 2) as networks:
            assert isinstance(networks, Bar)
            for done in range(2):
                layers = progress.task("capturing layers", 3)
                transfer = progress.transfer("weights", 2_000_000)
                layers.advance(2)
                transfer.advance(1_000_000)
                shown = seen(screen, progress)
                assert re.search(rf"networks .* {done}/2", shown)
                assert re.search(r"capturing layers .* 2/3", shown)
                assert "1.0/2.0 MB" in shown
                layers.advance()
                transfer.close()
                assert "layers" not in seen(screen, progress)
                networks.advance(done="a network")
        assert "networks" not in seen(screen, progress)
        layers.advance()  # after its end
        networks.close()
        assert progress._bars.task_ids == []


def test_an_exception_takes_its_bars_away(screen):
    with progress_on(screen) as progress:
        outer = progress.task("outer", 5)
        with pytest.raises(RuntimeError), progress.task("inner", 5), progress.transfer("file", None):
            raise RuntimeError
        assert [task.description for task in progress._bars.tasks] == ["outer"]
        outer.close()


def test_brackets_in_names_are_no_markup(screen):
    with progress_on(screen) as progress, progress.task("net.py:build[bold]", 5), progress.task("unknown", None):
        shown = seen(screen, progress)
        assert "net.py:build[bold]" in shown
        assert "unknown" in shown


def test_long_names_leave_room_for_the_numbers(screen):
    with progress_on(screen) as progress, progress.task("x" * 100, 5) as bar:
        bar.advance(3)
        transfer = progress.transfer("y" * 100, 1_234_500_000)
        transfer.advance(1_000_000_000)
        shown = seen(screen, progress)
        assert "3/5" in shown
        assert "1.0/1.2 GB" in shown
        assert max(map(len, shown.split("\n"))) <= 81


@pytest.mark.parametrize("terminal", [True, False])
def test_bars_are_safe_from_several_threads(terminal, monkeypatch, request):
    stream = request.getfixturevalue("screen" if terminal else "log")
    failures = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    with progress_on(stream, heartbeat=0.001) as progress:
        all_files = progress.task("all", 4 * 10)

        def work():
            for i in range(10):
                with progress.transfer(f"file {i}", 10) as bar, progress.task("parts", 5) as parts:
                    for _ in range(7):  # two more than there are
                        bar.advance(1)
                        parts.advance()
                all_files.advance()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if terminal:
            assert progress._bars.task_ids == []
    assert not failures


def test_a_log_file_gets_a_line_for_each_named_step(log):
    with progress_on(log) as progress, progress.task("networks", 2) as networks:
        for name in ("first", "second"):
            with progress.task("capturing layers", 3) as layers:
                layers.advance(3)
            networks.advance(done=name)
    assert lines(log) == ["networks 1/2, first", "networks 2/2, second"]
    assert "\x1b" not in log.getvalue()


def test_a_log_file_tells_the_ends_of_steps_without_names(log):
    with progress_on(log) as progress:
        with progress.task("metrics", 3) as bar:
            for _ in range(3):
                bar.advance()
        with progress.transfer("all files", 3_000_000) as bar:
            bar.advance(3_000_000)
        progress.task("nothing", 0).advance()
        with pytest.raises(RuntimeError), progress.task("broken", 2) as bar:
            raise RuntimeError
    assert lines(log) == ["metrics 3/3", "all files, 3.0 MB of 3.0 MB"]


def test_silence_is_broken_by_a_heartbeat(log):
    def wait_for(text):
        end = time.monotonic() + 10
        while time.monotonic() < end and not any(text == line for line in lines(log)):
            time.sleep(0.005)
        assert text in lines(log)

    with progress_on(log, heartbeat=0.02) as progress:
        wait_for("working")
        with progress.task("networks", 3) as networks:
            networks.advance()
            wait_for("networks 1/3")
            with progress.task("capturing layers", 40) as layers, progress.transfer("weights", None) as bytes_:
                layers.advance(12)
                bytes_.advance(1500)
                wait_for("networks 1/3, capturing layers 12/40, weights, 1.5 kB")
    ended = log.getvalue()
    time.sleep(0.06)
    assert log.getvalue() == ended


def test_work_that_tells_often_has_no_heartbeat(log):
    with progress_on(log, heartbeat=60) as progress, progress.task("networks", 1) as bar:
        bar.advance(done="one")
    assert lines(log) == ["networks 1/1, one"]


def test_a_dumb_terminal_gets_lines(screen, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    with progress_on(screen) as progress, progress.task("networks", 1) as bar:
        bar.advance(done="one")
    assert lines(screen) == ["networks 1/1, one"]


def test_no_color_is_respected(screen, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    with progress_on(screen) as progress, progress.task("networks", 2) as bar:
        bar.advance()
        progress._bars.refresh()
    assert "networks" in screen.getvalue()
    assert not re.search(r"\x1b\[(3|4|9)\d|\x1b\[[34]8;", screen.getvalue())


@pytest.mark.parametrize("broken", [OSError, ValueError])
def test_a_log_that_cannot_be_written_does_not_end_the_work(broken):
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise broken

    with progress_on(Full()) as progress, progress.task("networks", 1) as bar:
        bar.advance(done="one")


def test_quiet_is_quiet(screen):
    with (
        redirect_stderr(screen),
        progress_bars(False) as progress,
        progress.task("networks", 2) as bar,
        progress.transfer("file", 5),
    ):
        assert isinstance(progress, Silent)
        bar.advance(done="one")
    assert screen.getvalue() == ""


def test_durations():
    assert [duration(x) for x in (0.2, 119, 120, 7199, 12_600)] == ["0 s", "119 s", "2 min", "120 min", "3.5 h"]
