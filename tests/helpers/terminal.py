"""Commands in a terminal: what the screen shows, what passes over it, and what Ctrl-C does."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from typing import NamedTuple

#: Rows and columns of windows.
SMALL, LARGE = (24, 80), (50, 200)

CTRL_C = b"\x03"

#: What no command prints.
_END = b"\x00"

#: Whatever a terminal is told that is no text: CSI sequences, and others of one letter.
_CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b[=>()][A-Z0-9]?")


class Shown(NamedTuple):
    """How a command in a terminal ended.

    Attributes
    ----------
    code
        Its exit code; minus the signal that ended it.
    screen
        Lines that stay when it has ended, without blanks at their ends, of the whole scroll-back.
    passed
        All text that was ever shown, without control sequences.
    seconds
        From Ctrl-C to the end, or from the start.
    """

    code: int
    screen: list[str]
    passed: str
    seconds: float

    @property
    def text(self) -> str:
        return "\n".join(self.screen)


#: What commands import costs seconds: it is imported once, and each command runs in a fork of that process.
_HEAVY = (
    "murine.cli.application murine.atlas.sweep murine.atlas.leaderboard murine.studies.demonstration "
    "murine.atlas.unit_sweep murine.studies.surgery_effect murine.studies.verification murine.studies.architectures "
    "murine.report.page murine.report.surgery murine.report.generalization murine.generalization.search "
    "murine.cortex.allen.holdings murine.networks.costs murine.architecture.named_sequences pytorch_lightning timm"
)

_FORKS = f"""
import atexit, importlib, json, os, sys, threading

for name in {_HEAVY!r}.split():
    importlib.import_module(name)
print("ready", flush=True)


def run(asked):
    os.setsid()
    terminal = os.open(asked["terminal"], os.O_RDWR)  # the one that Ctrl-C comes from, as that of a shell
    for descriptor in range(3):
        os.dup2(terminal, descriptor)
    os.close(terminal)
    sys.stdin = open(0, closefd=False)
    sys.stdout, sys.stderr = (open(n, "w", encoding="utf-8", buffering=1, closefd=False) for n in (1, 2))
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    exec(asked["setup"], {{}})
    sys.argv = ["murine", *asked["arguments"]]
    from murine.cli import main

    try:
        main()
    except SystemExit as end:
        # All that an end does, but for taking apart what was imported, which takes seconds in a fork.
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(end.code)


for line in sys.stdin:
    pid = os.fork()
    if not pid:
        run(json.loads(line))
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Terminals:
    """Runs commands of `murine`, each in a process and a pseudo-terminal of its own, one at a time."""

    def __init__(self) -> None:
        self._forks = subprocess.Popen(
            [sys.executable, "-c", _FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        if self._answer() != "ready":
            self.close()
            raise RuntimeError("the process that runs commands did not start; its error is above")

    def close(self) -> None:
        self._forks.kill()
        self._forks.wait()
        for stream in (self._forks.stdin, self._forks.stdout):
            assert stream is not None
            stream.close()

    @property
    def _answers(self) -> int:
        assert self._forks.stdout is not None
        return self._forks.stdout.fileno()

    def _answer(self) -> str:
        """The next line; no more is read, so that `select` tells of one that follows."""
        line = b""
        while (letter := os.read(self._answers, 1)) not in (b"", b"\n"):
            line += letter
        return line.decode()

    def run(
        self,
        *arguments: object,
        size: tuple[int, int] = SMALL,
        setup: str = "",
        interrupt_at: str = "",
        presses: int = 1,
        timeout: float = 240,
        **environment: str,
    ) -> Shown:
        """Run a command in the working folder.

        Parameters
        ----------
        size
            Rows and columns.
        setup
            Python that runs first in the process, as to make a data set smaller.
        interrupt_at
            A pattern; as soon as it is shown, Ctrl-C is pressed ``presses`` times at once.
        environment
            Variables beside those of this process.
        """
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, size)
        surroundings = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")}
        asked = {
            "terminal": os.ttyname(theirs),
            "arguments": [*map(str, arguments)],
            "cwd": os.getcwd(),
            "env": {**surroundings, "TERM": "xterm-256color", **environment},
            "setup": setup,
        }
        assert self._forks.stdin is not None
        self._forks.stdin.write(json.dumps(asked).encode() + b"\n")
        pid = int(self._answer())
        start = time.monotonic()
        end, received, pressed, ended = start + timeout, b"", False, False
        try:
            while not received.endswith(_END):
                waited_for = [ours] if ended else [ours, self._answers]
                ready = select.select(waited_for, [], [], max(0.0, end - time.monotonic()))[0]
                if not ready:
                    os.kill(pid, signal.SIGKILL)
                if self._answers in ready:  # a terminal may show what was printed last only after that
                    os.write(theirs, _END)
                    ended = True
                received += os.read(ours, 65536) if ours in ready else b""
                if interrupt_at and not pressed and re.search(interrupt_at, _plain(received.decode(errors="replace"))):
                    os.write(ours, CTRL_C * presses)
                    start, pressed = time.monotonic(), True
            code = int(self._answer())
            seconds = time.monotonic() - start
        finally:
            os.close(theirs)
            os.close(ours)
        text = received.removesuffix(_END).decode(errors="replace")
        assert pressed or not interrupt_at, f"{interrupt_at!r} was never shown:\n{_plain(text)[-2000:]}"
        return Shown(code, _screen(text, size[1]), _plain(text), seconds)


def _plain(text: str) -> str:
    return _CONTROL.sub("", text)


def _screen(text: str, width: int) -> list[str]:
    """What stays: text with carriage returns, cursor up and erased lines carried out; long lines are wrapped."""
    lines, row, column = [""], 0, 0
    at = 0
    while at < len(text):
        control = _CONTROL.match(text, at)
        if control:
            at = control.end()
            if control[2] == "A":
                row = max(0, row - int(control[1] or 1))
            elif control[2] == "K":
                lines[row] = "" if control[1] == "2" else lines[row][:column]
            continue
        letter = text[at]
        at += 1
        if letter == "\r":
            column = 0
        elif letter == "\n":
            row += 1
        elif letter.isprintable():
            if column == width:
                row, column = row + 1, 0
            while row >= len(lines):
                lines.append("")
            lines[row] = lines[row].ljust(column)[:column] + letter + lines[row][column + 1 :]
            column += 1
        while row >= len(lines):
            lines.append("")
    return [line.rstrip() for line in lines]
