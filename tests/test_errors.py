"""Words for exceptions of any kind: one printable line, whatever the exception does."""

from __future__ import annotations

import pytest

from murine.errors import LONGEST_REASON, MurineError, reason_of


def raising(error):
    class Broken(Exception):
        def __str__(self):
            raise error

    return Broken()


class NoTextError(Exception):
    def __str__(self):
        return 3  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("three were given"), "ValueError: three were given"),
        (KeyError(3), "KeyError: 3"),
        (RuntimeError(), "RuntimeError"),
        (SystemExit(0), "SystemExit: 0"),
        (RuntimeError("in loading:\n\tkey: a\n\n\tand b"), "RuntimeError: in loading: key: a and b"),
        (OSError(2, "No such file", "x"), "FileNotFoundError: [Errno 2] No such file: 'x'"),
        (ValueError("\x1b[31mred\x00 \udcff"), "ValueError: ?[31mred? ?"),
        (MurineError("two lines\nof ours"), "two lines of ours"),
        (MurineError(), "MurineError"),
        (raising(ZeroDivisionError("1 / 0")), "Broken (its text cannot be read: ZeroDivisionError)"),
        (raising(SystemExit(0)), "Broken (its text cannot be read: SystemExit)"),
        (NoTextError(), "NoTextError (its text cannot be read: TypeError)"),
    ],
)
def test_one_line_of_any_exception(error, line):
    assert reason_of(error) == line


def test_pages_are_cut_and_our_own_words_are_not():
    pages = "word " * 1000
    cut = reason_of(ValueError(pages))
    assert cut.startswith("ValueError: word word")
    assert cut.endswith("word ...")
    assert len(cut) < LONGEST_REASON + 20
    assert reason_of(MurineError(pages)) == pages.strip()


def test_an_interruption_is_not_swallowed():
    with pytest.raises(KeyboardInterrupt):
        reason_of(raising(KeyboardInterrupt()))
