"""One file, from attempt to attempt and from place to place, until it is whole."""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from murine.download.digests import mismatch, require_digest
from murine.download.line import Client, Refusal, Setback, Stopped, seconds_until, times, unwelcome
from murine.download.partial import Partial
from murine.download.records import compared_with
from murine.download.remote import Check, bare, places, weak

if TYPE_CHECKING:
    import httpx2

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Manner:
    """How patient and how strict to be; see `fetch`."""

    timeout: float
    retries: int
    pause: float
    check: Check


def obtain(partial: Partial, client: Client, manner: Manner, stop: threading.Event) -> None:
    """Fetch the rest of a file from the first place that has it, and give it its name.

    Raises
    ------
    Refusal
        If no place has it; told for each.
    Stopped
        If told to stop.
    OSError
        If it cannot be written.
    """
    require_digest(partial.remote, manner.check)
    reasons = []
    for url in places(partial.remote):
        try:
            _obtain_from(url, partial, client, manner, stop)
            return
        except Refusal as refusal:
            reasons.append(f"{refusal} ({url})")
    raise Refusal("; ".join(reasons))


def _obtain_from(url: str, partial: Partial, client: Client, manner: Manner, stop: threading.Event) -> None:
    failures = furthest = 0
    wrong: set[str] = set()
    partial.open(url, stop)
    furthest = partial.size
    while True:
        try:
            if partial.size != partial.expected:
                _receive(url, partial, client, stop)
            if partial.size != partial.expected:
                raise Setback(f"the answer ended after {partial.size} bytes of {partial.expected}")
            problem = mismatch(partial.path, partial.digests, partial.remote, manner.check, stop)
            if not problem:
                partial.finish(url, compared_with(partial.remote, manner.check))
                return
            _log.warning("%s: %s; fetching it again from the start", partial.file, problem)
            digest = partial.digests.sha256
            partial.restart()
            if digest in wrong:
                raise Refusal(f"{problem}, and the same bytes came twice: what the server has is not what was expected")
            wrong.add(digest)
            if len(wrong) > manner.retries:
                raise Refusal(f"{problem} ({times(len(wrong))}, with other bytes each time)")
            furthest = 0
            raise Setback(problem)
        except Setback as setback:
            if stop.is_set():
                raise Stopped from None
            # Only what was never reached before is progress, or a server that begins anew each time is asked for ever.
            failures = 0 if partial.size > furthest else failures + 1
            furthest = max(furthest, partial.size)
            if failures > manner.retries:
                raise Refusal(f"{setback} ({times(failures)}, and no new byte)") from None
            _log.info("%s: %s; trying again from byte %d", partial.file, setback, partial.size)
            if stop.wait(seconds_until(failures, manner.pause, setback.wait)):
                raise Stopped from None


def _receive(url: str, partial: Partial, client: Client, stop: threading.Event) -> None:
    """Write one answer of a server behind what is there."""
    position, remote = partial.size, partial.remote
    listed = remote.etag if url == remote.url and not weak(remote.etag) else ""
    tag = listed or partial.tag(url)
    headers = {"Range": f"bytes={position}-"} if position else {}
    headers |= {"If-Match": f'"{tag}"'} if tag else {}
    with client.get(url, headers, stop) as answer:
        code, told = answer.status_code, bare(answer.headers.get("etag", ""))
        if code == 412 or (code in (200, 206) and tag and told and told != tag):
            if listed:
                raise Refusal("it has changed on the server since it was listed; the same command lists it anew")
            partial.restart()
            raise Setback("it has changed on the server")
        if code == 416:
            partial.restart()
            raise Setback(f"the server has no bytes after the first {position}")
        if code not in (200, 206):
            raise unwelcome(answer)
        size = _size_of(answer, position)
        if remote.size is not None and size is not None and size > remote.size:
            raise Refusal(f"it has {size} bytes there, not {remote.size} as listed")
        strong = "" if weak(told) else told
        partial.begin(url, strong, size if remote.size is None else remote.size)
        skip = position if code == 200 else 0  # a server without ranges begins at the start
        for chunk in client.body(answer, stop):
            part = chunk[skip:]
            skip -= len(chunk) - len(part)
            if partial.expected is not None and partial.size + len(part) > partial.expected:
                problem = f"more than {partial.expected} bytes came"
                partial.restart()
                raise Setback(problem)
            partial.write(part)
        if partial.expected is None:  # not told before, but the answer has come to a proper end
            partial.begin(url, strong, partial.size)


def _size_of(answer: httpx2.Response, position: int) -> int | None:
    """Bytes of the whole file, as an answer tells it."""
    if answer.status_code == 200:
        length = answer.headers.get("content-length", "")
        return int(length) if length.isdecimal() else None
    given = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("content-range", ""))
    if not given or int(given[1]) != position:
        raise Setback(f"asked for bytes from {position}, got {answer.headers.get('content-range', 'others')!r}")
    return int(given[2]) if given[2] != "*" else None
