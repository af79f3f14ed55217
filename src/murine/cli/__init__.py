"""The command line: how a command starts and ends.

The commands themselves are in `murine.cli.application`, which is imported late: Ctrl-C is answered in words from the
first moment.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import NoReturn

#: Seconds that work has after Ctrl-C to end by itself.
GRACE = 3.0

_STOPPED = "murine: stopped. What was finished is kept; the same command goes on from there."
#: Takes the line of a bar away, and shows the cursor that bars hide.
_CLEAN = "\r\x1b[K\x1b[?25h"

#: Seconds after which Ctrl-C is passed on once more where it had no effect.
_AGAIN = 0.1


def main() -> NoReturn:
    """Run the command line, and end the process in words.

    Exit codes: 0; 1 if something that was asked for could not be done, or murine itself failed; 2 for a `MurineError`
    or wrong options; 130 after Ctrl-C.
    """
    ctrl_c = _CtrlC()
    try:
        ctrl_c.watch()
        if sys.stderr is None:  # closed by whoever started it: `print` would write to standard output instead
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (as long as the process)
        code = _run(ctrl_c)
    except KeyboardInterrupt:
        ctrl_c.tell()
        code = 130
    finally:
        ctrl_c.close()
    sys.exit(code)


def _run(ctrl_c: _CtrlC) -> int:
    """Run one command; return its exit code."""
    try:
        from murine.cli.application import app
        from murine.errors import MurineError

        try:
            app()
            code: object = 0
        except MurineError as error:
            ctrl_c.forward()
            _tell(f"murine: {error}")
            return 2
        except SystemExit as end:
            if end.code == 130:  # what Typer makes of Ctrl-C
                raise KeyboardInterrupt from None
            code = end.code
        if isinstance(code, str):
            _tell(code)
        if sys.stdout is not None:
            sys.stdout.flush()  # now, where an error can still be told
        ctrl_c.forward()
        return code if isinstance(code, int) else int(code is not None)
    except BrokenPipeError:
        return _without_reader()
    except Exception as error:
        ctrl_c.forward()
        return _unforeseen(error)


def _without_reader() -> int:
    """End quietly where nobody reads on, as in ``murine results | head``."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())  # or Python tells of what it could not write when it ends
    os.close(nowhere)
    return 1


def _unforeseen(error: Exception) -> int:
    """Tell of an exception that no code foresaw, in a sentence, and keep its traceback."""
    from murine.errors import reason_of

    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        _tell(
            f"murine: {os.strerror(error.errno)}{f': {error.filename}' if error.filename else ''}. Free some room; "
            "what was finished is kept, and the same command goes on from there."
        )
        return 1
    if isinstance(error, MemoryError):
        reason = "memory does not suffice. A smaller --batch-size or --input-size, or fewer --jobs, may help."
    else:
        reason = f"an error that should not occur: {reason_of(error)}"
    if os.environ.get("MURINE_DEBUG", "") not in ("", "0"):
        import traceback

        traceback.print_exception(error)
        _tell(f"murine: {reason}")
        return 1
    file = _written(error)
    where = f"The traceback is in {file}; " if file else "For the traceback, "
    _tell(f"murine: {reason}\n{where}MURINE_DEBUG=1 prints it. Please report it.")
    return 1


def _written(error: Exception) -> str:
    """The file with the traceback; '' where none can be written."""
    import tempfile
    import traceback

    try:
        with tempfile.NamedTemporaryFile("w", prefix="murine-", suffix=".txt", delete=False, encoding="utf-8") as file:
            file.write(f"{' '.join(sys.argv)}\n\n")
            traceback.print_exception(error, file=file)
        return file.name
    except OSError:
        return ""


def _tell(text: str) -> None:
    with suppress(OSError):  # a full disk, or nobody reads
        print(text, file=sys.stderr, flush=True)


class _CtrlC:
    """Ends the process in words after Ctrl-C, however often it is pressed and whatever runs.

    The first raises `KeyboardInterrupt`, further ones are ignored. Code that does not end within `GRACE` seconds (a
    long call into a library, or a thread that is waited for) is ended by a thread of its own.
    """

    def __init__(self) -> None:
        self.pressed = self._told = self._watched = False

    def watch(self) -> None:
        """Begin, unless Ctrl-C is ignored, as for what a shell starts in the background."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        if not in_main_thread or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            return
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self._before = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        self._watched = True
        signal.signal(signal.SIGINT, self._interrupt)
        threading.Thread(target=self._wait, name="ctrl-c", daemon=True).start()

    def forward(self) -> None:
        """Raise `KeyboardInterrupt` where somebody else's code made another exception of it, or went on."""
        if self.pressed:
            raise KeyboardInterrupt

    def tell(self) -> None:
        """Tell, once, that the command was stopped."""
        if self._watched:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        if not self._told:
            self._told = True
            _tell(_STOPPED)

    def close(self) -> None:
        """Leave Ctrl-C as it was; not after it was pressed, when the process ends."""
        if self._watched and not self.pressed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.set_wakeup_fd(self._before)
            os.close(self._writing)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if not self.pressed:
            self.pressed = True
            raise KeyboardInterrupt

    def _wait(self) -> None:
        # The number of every signal arrives here at once, also while the main thread is in a long call.
        while (signals := os.read(self._reading, 64)) and signal.SIGINT not in signals:
            pass
        if not signals:
            os.close(self._reading)
            return
        end = time.monotonic() + GRACE
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(_AGAIN, left))
            if not self.pressed and hasattr(signal, "pthread_kill"):
                # It came just before a call began to wait, and did not end the waiting: another one does.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        if not self._told:
            terminal = sys.__stderr__  # not what bars make of it: they would be drawn once more below
            clean = _CLEAN if terminal is not None and terminal.isatty() else ""
            with suppress(OSError, ValueError):
                print(clean + _STOPPED, file=terminal, flush=True)
        os._exit(130)
