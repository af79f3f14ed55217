"""Servers that cut, lie and stall, full disks, interrupts and kills: never a bad file, never a good byte twice.

Bytes are counted where they go out, in a proxy between the fetch and a bucket on loopback.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from public_bucket import Fault, FaultProxy, PublicBucket, Request

from murine.download import Bucket, Remote, Transfer, TransferResult, fetch, verify

SIZE = 300_000
PART = 5 * 2**20
WHOLE = random.Random(0).randbytes(SIZE)
IN_PARTS = random.Random(1).randbytes(PART + SIZE)


@pytest.fixture(scope="module")
def objects(bucket: PublicBucket) -> PublicBucket:
    """A bucket with one object whose ETag is its MD5, and one that was uploaded in parts."""
    bucket.put("faults/whole", WHOLE)
    bucket.put_parts("faults/parts", IN_PARTS, PART)
    return bucket


class Line:
    """A bucket behind a proxy, and a place for its files."""

    def __init__(self, proxy: FaultProxy, bucket: PublicBucket, folder: Path) -> None:
        self.proxy, self.folder = proxy, folder
        remotes = Bucket(bucket.name, endpoint=proxy.url).objects("faults/")
        self.transfers = {Path(r.key).name: Transfer(r, folder / Path(r.key).name) for r in remotes}

    def fetch(self, *names: str, retries: int = 3, **options: object) -> list[TransferResult]:
        wanted = [self.transfers[name] for name in names or ("whole",)]
        return fetch(wanted, retries=retries, pause=0.001, **options)


@pytest.fixture
def line(objects: PublicBucket, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Line]:
    """Make a line that is spoilt for objects, not for listings."""

    def make(fault: Callable[[Request], Fault | None]) -> Line:
        proxy = FaultProxy(objects.endpoint, lambda r: fault(r) if "/faults/" in r.path else None)
        request.addfinalizer(lambda: proxy.__exit__())
        return Line(proxy, objects, tmp_path)

    return make


def check_fetched(line: Line, outcome: TransferResult, data: bytes = WHOLE) -> None:
    assert outcome.state == "fetched", outcome.reason
    file = outcome.transfer.file
    assert file.read_bytes() == data
    assert verify(file).sha256 == hashlib.sha256(data).hexdigest()
    assert not list(line.folder.glob(f".{file.name}.partial*"))


def check_failed(outcome: TransferResult, *reasons: str) -> None:
    assert outcome.state == "failed"
    for reason in reasons:
        assert reason in outcome.reason
    file = outcome.transfer.file
    assert not file.exists()
    assert not file.with_name(f".{file.name}.verified.json").exists()


BOTH = pytest.mark.parametrize(("name", "data"), [("whole", WHOLE), ("parts", IN_PARTS)], ids=["whole", "parts"])

# ------------------------------------------------------------------------------------------------- cut and short


@BOTH
@pytest.mark.parametrize("kind", ["cut", "short"])
@pytest.mark.parametrize("at", [0, 1, 100_000, SIZE - 1])
def test_once(line, name, data, kind, at):
    here = line(lambda r: Fault(**{kind: at}) if r.n == 1 else None)
    (outcome,) = here.fetch(name)
    check_fetched(here, outcome, data)
    assert outcome.received == here.proxy.sent(name) == len(data)
    first, second = (a for a in here.proxy.answers if a.path.endswith(name))
    assert (first.start, second.start) == (0, at)
    etag = outcome.transfer.remote.etag
    assert first.headers["if-match"] == second.headers["if-match"] == f'"{etag}"'
    assert ("range" in second.headers) == (at > 0)
    assert first.headers["accept-encoding"] == second.headers["accept-encoding"] == "identity"


@BOTH
@pytest.mark.parametrize("kind", ["cut", "short"])
def test_every_time_after_some_bytes(line, name, data, kind):
    step = 20_000 if name == "whole" else 600_000
    here = line(lambda r: Fault(**{kind: step}))
    (outcome,) = here.fetch(name, retries=1)  # attempts that bring something do not count
    check_fetched(here, outcome, data)
    assert outcome.received == here.proxy.sent(name) == len(data)
    starts = [a.start for a in here.proxy.answers if a.path.endswith(name)]
    assert starts == list(range(0, len(data), step))


@pytest.mark.parametrize(("kind", "reason"), [("cut", "the connection was cut"), ("short", "the answer ended after 0")])
def test_every_time_before_the_first_byte(line, kind, reason):
    here = line(lambda r: Fault(**{kind: 0}))
    (outcome,) = here.fetch()
    check_failed(outcome, reason, "(4 times, and no new byte)")
    assert here.proxy.counts[f"/{here.transfers['whole'].remote.url.split('/', 3)[3]}"] == 4


def test_cut_for_good_in_the_middle_and_resumed_by_the_next_fetch(line):
    state = {"broken": True}
    here = line(lambda r: Fault(cut=123_456 if r.start == 0 else 0) if state["broken"] else None)
    (outcome,) = here.fetch()
    check_failed(outcome, "the connection was cut", "and no new byte")
    assert outcome.received == 123_456
    assert (here.folder / ".whole.partial").read_bytes() == WHOLE[:123_456]
    state["broken"] = False
    (outcome,) = here.fetch()
    check_fetched(here, outcome)
    assert outcome.received == SIZE - 123_456
    assert here.proxy.sent("whole") == SIZE


@pytest.mark.parametrize("damage", ["json", "no json", "other object", "too long", "bytes"])
def test_leftovers_that_cannot_be_trusted(line, damage):
    state = {"broken": True}
    here = line(lambda r: Fault(cut=100_000 if r.start == 0 else 0) if state["broken"] else None)
    here.fetch()
    partial, about = here.folder / ".whole.partial", here.folder / ".whole.partial.json"
    if damage == "json":
        about.write_text('{"etag": ')
    elif damage == "no json":
        about.unlink()
    elif damage == "other object":
        about.write_text(about.read_text().replace(here.transfers["whole"].remote.etag, "0" * 32))
    elif damage == "too long":
        partial.write_bytes(WHOLE + b"more")
    else:
        partial.write_bytes(b"\0" * 100_000)  # as after a loss of power: only the digest can tell
    state["broken"] = False
    (outcome,) = here.fetch()
    check_fetched(here, outcome)
    assert outcome.received == (SIZE if damage != "bytes" else SIZE - 100_000 + SIZE)


def test_a_complete_leftover_needs_no_request(line):
    here = line(lambda r: Fault(cut=100_000 if r.start == 0 else 0))
    here.fetch()
    (here.folder / ".whole.partial").write_bytes(WHOLE)
    before = len(here.proxy.answers)
    (outcome,) = here.fetch()
    check_fetched(here, outcome)
    assert outcome.received == 0
    assert len(here.proxy.answers) == before


# ------------------------------------------------------------------------------------------------- wrong bytes


@BOTH
def test_one_byte_flipped_once(line, name, data):
    here = line(lambda r: Fault(flip=200_000) if r.n == 1 else None)
    (outcome,) = here.fetch(name)
    check_fetched(here, outcome, data)
    assert outcome.received == 2 * len(data)  # nobody can tell which byte it was


@BOTH
def test_one_byte_flipped_always(line, name, data):
    here = line(lambda r: Fault(flip=200_000))
    (outcome,) = here.fetch(name)
    check_failed(outcome, "as its ETag says", "the same bytes came twice")
    assert here.proxy.sent(name) == 2 * len(data)
    assert not (here.folder / f".{name}.partial").read_bytes()


def test_another_byte_flipped_every_time(line):
    here = line(lambda r: Fault(flip=1000 * r.n))
    (outcome,) = here.fetch(retries=2)
    check_failed(outcome, "its MD5 is", "as its ETag says (3 times, with other bytes each time)")
    assert here.proxy.sent("whole") == 3 * SIZE


def test_flipped_and_cut(line):
    here = line(lambda r: Fault(flip=150_000, cut=100_000) if r.n < 5 else Fault(cut=100_000))
    (outcome,) = here.fetch()
    check_fetched(here, outcome)
    assert outcome.received == 2 * SIZE


def test_more_bytes_than_listed(line):
    here = line(lambda r: Fault(body=WHOLE + b"more"))
    check_failed(here.fetch()[0], f"it has {SIZE + 4} bytes there, not {SIZE} as listed")
    chunked = {"content-length": None, "transfer-encoding": "chunked"}
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE + 4, WHOLE + b"more")
    here = line(lambda r: Fault(body=body, headers=chunked))
    check_failed(here.fetch()[0], f"more than {SIZE} bytes came", "(4 times, and no new byte)")


def test_an_answer_without_a_length(line):
    chunked = {"content-length": None, "transfer-encoding": "chunked"}
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, WHOLE)
    here = line(lambda r: Fault(body=body, headers=chunked))
    check_fetched(here, here.fetch()[0])
    unlisted = Transfer(Remote(here.transfers["whole"].remote.url), here.folder / "unlisted")
    (outcome,) = fetch([unlisted])
    assert outcome.state == "fetched"
    assert unlisted.file.read_bytes() == WHOLE
    here = line(lambda r: Fault(body=body[:-5], cut=len(body) - 5, headers=chunked))
    cut = Transfer(Remote(here.transfers["whole"].remote.url), here.folder / "cut")
    (outcome,) = fetch([cut], retries=1, pause=0.001)
    check_failed(outcome, "the connection was cut")


# ------------------------------------------------------------------------------------------------- statuses


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 429])
def test_busy_twice(line, status):
    here = line(lambda r: Fault(status=status) if r.n <= 2 else None)
    (outcome,) = here.fetch()
    check_fetched(here, outcome)
    assert outcome.received == here.proxy.sent("whole") == SIZE


def test_busy_always(line):
    here = line(lambda r: Fault(status=503))
    check_failed(here.fetch()[0], "the server answered HTTP 503 (4 times, and no new byte)")


def test_busy_in_the_middle(line):
    here = line(lambda r: Fault(cut=100_000) if r.n == 1 else Fault(status=503) if r.n <= 3 else None)
    (outcome,) = here.fetch()
    check_fetched(here, outcome)
    assert here.proxy.sent("whole") == SIZE


def test_the_wait_that_a_server_asks_for(line):
    begins = []

    def fault(request: Request) -> Fault | None:
        begins.append(time.monotonic())
        return Fault(status=503, headers={"retry-after": "1"}) if request.n == 1 else None

    here = line(fault)
    check_fetched(here, here.fetch()[0])
    assert begins[1] - begins[0] >= 0.9  # its own pause would have been 0.001 s


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, "it does not exist: HTTP 404"),
        (403, "it is not public, or does not exist: HTTP 403"),
        (401, "it is not public, or does not exist: HTTP 401"),
        (301, "it is elsewhere; check the region or the endpoint: HTTP 301"),
        (400, "the server does not give it: HTTP 400"),
    ],
)
def test_refused_at_once(line, status, reason):
    here = line(lambda r: Fault(status=status))
    outcomes = here.fetch()
    check_failed(outcomes[0], reason, here.proxy.url)
    assert len([a for a in here.proxy.answers if a.path.endswith("whole")]) == 1


def test_an_object_that_is_private(line, objects):
    objects.client.put_object(Bucket=objects.name, Key="faults/private", Body=b"mine", ACL="private")
    try:
        here = line(lambda r: None)
        check_failed(here.fetch("private")[0], "it is not public, or does not exist: HTTP 403")
    finally:
        objects.client.delete_object(Bucket=objects.name, Key="faults/private")


def test_redirected(line, objects):
    target = f"{objects.endpoint}/{objects.name}/faults/whole"
    here = line(lambda r: Fault(status=307, headers={"location": target}))
    check_fetched(here, here.fetch()[0])
    here = line(lambda r: Fault(status=307, headers={"location": r.path}))
    shutil.rmtree(here.folder)
    check_failed(here.fetch()[0], "its address cannot be used: ", "redirects")


def test_nobody_answers(tmp_path):
    with socket.socket() as taken:  # bound, but not listening
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/file"
        (outcome,) = fetch([Transfer(Remote(url, 5), tmp_path / "file")], retries=1, pause=0.001)
    check_failed(outcome, "no connection", "(2 times, and no new byte)", url)


# ------------------------------------------------------------------------------------------------- ranges and changes


def test_a_server_without_ranges(line):
    here = line(lambda r: Fault(whole=True, cut=100_000) if r.n == 1 else Fault(whole=True))
    (outcome,) = here.fetch()
    check_fetched(here, outcome)
    assert outcome.received == SIZE  # what came again was not written again
    assert here.proxy.sent("whole") == SIZE + 100_000


def test_a_server_without_ranges_that_always_cuts(line):
    here = line(lambda r: Fault(whole=True, cut=100_000))
    check_failed(here.fetch()[0], "the connection was cut", "(4 times, and no new byte)")
    here = line(lambda r: Fault(whole=True, cut=60_000 * r.n))  # it gets a little further each time
    check_fetched(here, here.fetch(retries=1)[0])


def test_a_server_that_gives_another_range(line):
    wrong = {"content-range": f"bytes 7-{SIZE - 1}/{SIZE}"}
    here = line(lambda r: Fault(cut=1000) if r.n == 1 else Fault(headers=wrong) if r.n == 2 else None)
    (outcome,) = here.fetch()
    check_fetched(here, outcome)
    assert outcome.received == SIZE
    here = line(lambda r: Fault(headers={"content-range": None}) if r.start else Fault(cut=1000))
    shutil.rmtree(here.folder)
    check_failed(here.fetch()[0], "asked for bytes from 1000, got 'others'")


def test_an_object_that_changes_after_it_was_listed(line, objects):
    objects.put("faults/changing", WHOLE)
    here = line(lambda r: Fault(cut=100_000) if r.n == 1 else None)
    objects.put("faults/changing", WHOLE[::-1])
    (outcome,) = here.fetch("changing")
    check_failed(outcome, "it changed on the server after it was listed; run the same command again")
    assert here.proxy.sent("changing") == 0  # the first request tells
    objects.put("faults/changing", WHOLE)
    here = line(lambda r: objects.put("faults/changing", WHOLE[::-1]) if r.n == 2 else Fault(cut=100_000))
    check_failed(here.fetch("changing")[0], "it changed on the server after it was listed")
    here = line(lambda r: None)
    check_fetched(here, here.fetch("changing")[0], WHOLE[::-1])


def test_a_server_that_does_not_understand_conditions(line):
    """It gives the other object, with the other tag."""
    here = line(lambda r: Fault(body=WHOLE[::-1], headers={"etag": '"other"'}))
    check_failed(here.fetch()[0], "it changed on the server after it was listed")


def test_an_unlisted_object_that_changes_in_the_middle(line, objects):
    objects.put("faults/moving", WHOLE)

    def fault(request: Request) -> Fault | None:
        if request.n == 2:
            objects.put("faults/moving", IN_PARTS[:SIZE])
        return Fault(cut=100_000) if request.n == 1 else None

    here = line(fault)
    unlisted = Transfer(Remote(here.transfers["moving"].remote.url), here.folder / "moving")
    (outcome,) = fetch([unlisted], pause=0.001)
    check_fetched(here, outcome, IN_PARTS[:SIZE])
    statuses = [a.status for a in here.proxy.answers if a.path.endswith("moving")]
    assert statuses == [200, 412, 200]


def test_a_listing_that_knows_more_bytes_than_there_are(line):
    here = line(lambda r: None)
    known = here.transfers["whole"].remote
    more = Transfer(Remote(known.url, SIZE + 10, known.etag), here.folder / "more")
    (outcome,) = fetch([more], retries=2, pause=0.001)
    check_failed(outcome, f"the server has no bytes after the first {SIZE}", "and no new byte")


def test_bytes_of_unknown_origin_are_not_continued(line):
    """Without listing, digest and tag nothing tells that the rest belongs to what is here."""
    here = line(lambda r: Fault(cut=100_000 if r.n == 1 else None, headers={"etag": None}))
    unlisted = Transfer(Remote(here.transfers["whole"].remote.url), here.folder / "unlisted")
    (outcome,) = fetch([unlisted], pause=0.001, retries=0)
    check_fetched(here, outcome)
    state = {"broken": True}
    here = line(lambda r: Fault(cut=100_000 * (r.n == 1) if state["broken"] else None, headers={"etag": None}))
    again = Transfer(Remote(here.transfers["whole"].remote.url), here.folder / "again")
    (outcome,) = fetch([again], pause=0.001, retries=0)
    check_failed(outcome, "the connection was cut")
    state["broken"] = False
    (outcome,) = fetch([again], pause=0.001)
    check_fetched(here, outcome)
    assert outcome.received == SIZE


# ------------------------------------------------------------------------------------------------- stalls, interrupts


@pytest.mark.parametrize("at", [0, 100_000])
def test_stalled_once(line, at):
    here = line(lambda r: Fault(stall=at) if r.n == 1 else None)
    (outcome,) = here.fetch(timeout=1.0, retries=20)
    check_fetched(here, outcome)
    assert outcome.received == SIZE


def test_stalled_always(line):
    here = line(lambda r: Fault(stall=100_000 if r.start == 0 else 0))
    (outcome,) = here.fetch(timeout=0.3, retries=1)
    check_failed(outcome, "no byte came for 0.3 s", "and no new byte")


def test_what_a_caller_raises_does_not_wait_for_a_stalled_line(line, objects):
    objects.put("faults/zero", b"0")
    here = line(lambda r: Fault(stall=1000) if r.path.endswith("whole") else None)

    def arrived(outcome: TransferResult) -> None:
        partial = here.folder / ".whole.partial"
        here.proxy.until(lambda _: partial.exists() and partial.stat().st_size == 1000)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        here.fetch("whole", "zero", timeout=500.0, arrived=arrived)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fetch-")]


SCRIPT = """
import json, logging, sys
from pathlib import Path

from murine.download import Bucket, Transfer, fetch

logging.basicConfig(level=logging.INFO, stream=sys.stderr)
endpoint, bucket, prefix, folder = sys.argv[1:5]
remotes = Bucket(bucket, endpoint=endpoint).objects(prefix)
transfers = [Transfer(remote, Path(folder) / Path(remote.key).name) for remote in remotes]
"""

INTERRUPTED = (
    SCRIPT
    + """
try:
    fetch(transfers, timeout=500.0)
except KeyboardInterrupt:
    print("interrupted")
"""
)

FETCHED = (
    SCRIPT
    + """
outcomes = fetch(transfers, pause=0.001)
print(json.dumps([(outcome.state, outcome.received, outcome.reason) for outcome in outcomes]))
"""
)


def start(script: str, line: Line, bucket: PublicBucket, prefix: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, line.proxy.url, bucket.name, prefix, str(line.folder), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_interrupted_at_a_terminal(line, objects):
    state = {"stalled": True}
    here = line(lambda r: Fault(stall=100_000) if state["stalled"] else None)
    partials = [here.folder / f".{name}.partial" for name in ("whole", "parts")]
    with start(INTERRUPTED, here, objects, "faults/") as process:
        here.proxy.until(lambda _: all(p.exists() and p.stat().st_size == 100_000 for p in partials))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)  # far less than the line's 500 s
    assert out == "interrupted\n", err
    assert process.returncode == 0
    state["stalled"] = False
    whole, parts = here.fetch("whole", "parts")
    check_fetched(here, whole)
    check_fetched(here, parts, IN_PARTS)
    assert (whole.received, parts.received) == (SIZE - 100_000, len(IN_PARTS) - 100_000)


# ------------------------------------------------------------------------------------------------- two at once, kills


def test_two_processes_share_the_work(line, objects):
    for i in range(12):
        objects.put(f"faults/shared/{i}", random.Random(i).randbytes(20_000))
    here = line(lambda r: Fault(pace=0.01) if "shared" in r.path else None)
    with start(FETCHED, here, objects, "faults/shared/") as one, start(FETCHED, here, objects, "faults/shared/") as two:
        ends = [process.communicate(timeout=120) for process in (one, two)]
    assert (one.returncode, two.returncode) == (0, 0), ends
    first, second = (json.loads(out) for out, _ in ends)
    for a, b in zip(first, second, strict=True):
        assert sorted((a[0], b[0])) == ["fetched", "present"]
    assert here.proxy.sent() - sum(a.sent for a in here.proxy.answers if "shared" not in a.path) == 12 * 20_000
    for i in range(12):
        assert (here.folder / str(i)).read_bytes() == random.Random(i).randbytes(20_000)


def test_a_second_process_waits_for_the_first(line, objects):
    gate = threading.Event()

    def fault(request: Request) -> None:
        gate.wait(120)

    objects.put("faults/single/file", WHOLE)
    here = line(fault)
    with start(FETCHED, here, objects, "faults/single/") as one:
        here.proxy.until(lambda p: any("single" in path for path in p.counts))
        with start(FETCHED, here, objects, "faults/single/") as two:
            assert two.stderr is not None
            waited = any("waiting for another process" in text for text in iter(two.stderr.readline, ""))
            gate.set()
            assert waited
            second = json.loads(two.communicate(timeout=120)[0])
        first = json.loads(one.communicate(timeout=120)[0])
    assert (first, second) == ([["fetched", SIZE, ""]], [["present", 0, ""]])


def test_who_waits_is_asked_whether_the_file_is_still_needed(line, objects):
    """One reduces and deletes a file while another wants it: the other must not fetch it again."""
    here = line(lambda r: None)
    reduced, asked = here.folder / "reduced", threading.Event()
    transfer = here.transfers["whole"]
    others: list[TransferResult] = []

    def settled(transfer: Transfer) -> bool:
        asked.set()
        return reduced.exists()

    def other() -> None:
        others.extend(fetch([transfer], settled=settled))

    thread = threading.Thread(target=other)

    def arrived(outcome: TransferResult) -> None:
        thread.start()
        assert not asked.wait(0.5)  # not while the file is made use of
        reduced.write_bytes(outcome.transfer.file.read_bytes()[:10])
        outcome.transfer.file.unlink()

    (outcome,) = fetch([transfer], arrived=arrived)
    thread.join(60)
    assert outcome.state == "fetched"
    assert [o.state for o in others] == ["settled"]
    assert here.proxy.sent("whole") == SIZE
    assert not transfer.file.exists()


# A process that has imported everything forks one that fetches, so that a kill hits the fetch and not the start of
# Python. The disk is made slow: some kills fall between the last byte and the name, or between the name and the record.
FORKS = (
    SCRIPT
    + """
import os, time

sync, rename = os.fsync, os.replace


def slow_sync(descriptor):
    time.sleep(0.003)
    sync(descriptor)


def slow_rename(old, new):
    rename(old, new)
    time.sleep(0.003)


import filelock, httpx2

for folder in sys.stdin:
    pid = os.fork()
    if pid == 0:
        os.fsync, os.replace = slow_sync, slow_rename
        there = [Transfer(transfer.remote, Path(folder.strip()) / transfer.file.name) for transfer in transfers]
        fetch(there, pause=0.001)
        os._exit(0)
    print(pid, flush=True)
    print("ended", os.WTERMSIG(os.waitpid(pid, 0)[1]), flush=True)
"""
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_killed_twenty_times(line, objects):
    files, size = 20, 16_000
    data = [random.Random(100 + i).randbytes(size) for i in range(files)]
    for i in range(files):
        objects.put(f"faults/kill/{i:02d}", data[i])
    killed = threading.Event()

    def fault(request: Request) -> Fault | None:
        if "kill" not in request.path or killed.is_set():
            return None
        if request.path.endswith("19"):  # so that no fetch is over before it is killed
            killed.wait(60)
        return Fault(pace=0.004)

    here = line(fault)
    remotes = Bucket(objects.name, endpoint=here.proxy.url).objects("faults/kill/")
    moments = random.Random(0)
    left_behind = saved = 0
    with subprocess.Popen(
        [sys.executable, "-c", FORKS, here.proxy.url, objects.name, "faults/kill/", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as forks:
        assert forks.stdin is not None
        assert forks.stdout is not None
        for kill in range(20):
            folder = here.folder / str(kill)
            folder.mkdir()
            forks.stdin.write(f"{folder}\n")
            forks.stdin.flush()
            pid = int(forks.stdout.readline())
            enough = (kill + moments.random()) / 20 * (files - 1) * size
            here.proxy.until(lambda _, f=folder, n=enough: _bytes_in(f) >= n)
            time.sleep(moments.uniform(0, 0.01))
            os.kill(pid, signal.SIGKILL)
            assert forks.stdout.readline() == "ended 9\n"
            killed.set()

            there = {file.name for file in folder.iterdir()}
            for i in range(files):
                name = f"{i:02d}"
                if name in there:  # whatever has its name is whole, with or without its record
                    assert (folder / name).read_bytes() == data[i]
            left_behind += any(name.endswith(".partial") for name in there)
            here_already = _bytes_in(folder)
            saved += here_already

            transfers = [Transfer(remote, folder / Path(remote.key).name) for remote in remotes]
            outcomes = fetch(transfers, pause=0.001)
            killed.clear()
            assert {outcome.state for outcome in outcomes} <= {"fetched", "present"}
            assert sum(outcome.received for outcome in outcomes) == files * size - here_already
            for i, transfer in enumerate(transfers):
                assert transfer.file.read_bytes() == data[i]
                assert verify(transfer.file).size == size
            assert not list(folder.glob("*partial*"))
        forks.stdin.close()
    assert left_behind >= 10
    assert saved > 20 * files * size / 4


def _bytes_in(folder: Path) -> int:
    """Bytes of whole files and of those that can be continued."""
    total = 0
    for file in list(folder.iterdir()):
        known = file.with_name(f"{file.name}.json")
        if not file.name.startswith(".") or (file.name.endswith(".partial") and known.exists()):
            try:
                total += file.stat().st_size
            except FileNotFoundError:  # it has just got its name
                total += 0
    return total


# ------------------------------------------------------------------------------------------------- disks


def _may_mount() -> bool:
    command = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return bool(shutil.which("unshare")) and subprocess.run(command, capture_output=True, check=False).returncode == 0


MOUNTED = """
import subprocess
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", sys.argv[4]], check=True)
report = {}


def tell(name, outcomes):
    report[name] = [(outcome.state, outcome.received, outcome.reason) for outcome in outcomes]

"""

FULL = (
    SCRIPT
    + MOUNTED
    + """
filler = Path(folder) / "filler"


def fill(outcome):
    if not filler.exists():  # in small parts: the next file is coming already
        with filler.open("wb", buffering=0) as file:
            while (free := __import__("shutil").disk_usage(folder).free) > 200_000:
                file.write(bytes(min(free - 200_000, 20_000)))


tell("full", fetch(transfers, workers=1, arrived=fill))
report["left"] = {file.name: file.stat().st_size for file in Path(folder).iterdir()}
filler.unlink()
tell("again", fetch(transfers))
report["digests"] = [__import__("hashlib").md5(t.file.read_bytes()).hexdigest() == t.remote.etag for t in transfers]
print(json.dumps(report))
"""
)

READ_ONLY = (
    SCRIPT
    + MOUNTED
    + """
tell("first", fetch(transfers[:3]))
(Path(folder) / ".1.verified.json").unlink()
subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
tell("again", fetch(transfers))
print(json.dumps(report))
"""
)

NOT_ALLOWED = (
    SCRIPT
    + """
import os

import filelock, httpx2

report = {}
os.chdir(folder)  # which nobody could find from the root
there = [Transfer(transfer.remote, Path(transfer.file.name)) for transfer in transfers]
fetch(there[:3])
os.unlink(".1.verified.json")
os.chmod(".", 0o555)
if os.geteuid() == 0:
    os.setuid(65534)
report["again"] = [(outcome.state, outcome.received, outcome.reason) for outcome in fetch(there)]
print(json.dumps(report))
"""
)


@pytest.fixture
def four(objects: PublicBucket) -> str:
    for i in range(4):
        objects.put(f"faults/four/{i}", random.Random(i).randbytes(500_000))
    return "faults/four/"


def report_of(
    script: str, line: Line, bucket: PublicBucket, prefix: str, *before: str
) -> dict[str, list[list[object]]]:
    command = [*before, sys.executable, "-c", script, line.proxy.url, bucket.name, prefix, str(line.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    report: dict[str, list[object]] = json.loads(done.stdout)
    return report


ELSEWHERE = ("unshare", "--user", "--map-root-user", "--mount")
needs_mount = pytest.mark.skipif(not _may_mount(), reason="may not mount a disk of its own")


@needs_mount
def test_a_full_disk_keeps_what_came_and_the_next_fetch_goes_on(line, objects, four):
    here = line(lambda r: Fault(pace=0.02) if r.path.endswith("/1") else None)
    report = report_of(FULL, here, objects, four, *ELSEWHERE)
    first, second, *others = report["full"]
    assert first == ["fetched", 500_000, ""]
    assert second[0] == "failed"
    assert second[2] == "it could not be written: the disk is full"
    assert all(other == ["failed", 0, "not tried, since the disk is full"] for other in others)
    left = report["left"]
    assert isinstance(left, dict)
    kept = left[".1.partial"]
    assert 0 < kept < 500_000
    assert not {"1", "2", "3"} & set(left)
    assert [o[:2] for o in report["again"]] == [
        ["present", 0],
        ["fetched", 500_000 - kept],
        ["fetched", 500_000],
        ["fetched", 500_000],
    ]
    assert report["digests"] == [True] * 4


@needs_mount
def test_a_read_only_disk(line, objects, four):
    here = line(lambda r: None)
    report = report_of(READ_ONLY, here, objects, four, *ELSEWHERE)
    assert [o[0] for o in report["first"]] == ["fetched"] * 3
    assert report["again"][:3] == [["present", 0, ""]] * 3  # one of them was read to find out
    assert report["again"][3] == ["failed", 0, "it could not be written: the file system is read-only"]


def test_a_folder_where_writing_is_not_allowed(line, objects, four):
    here = line(lambda r: None)
    report = report_of(NOT_ALLOWED, here, objects, four)
    assert report["again"][:3] == [["present", 0, ""]] * 3
    assert report["again"][3] == ["failed", 0, "it could not be written: writing is not allowed"]
    here.folder.chmod(0o755)


def test_a_path_that_cannot_be_a_folder(line):
    here = line(lambda r: None)
    (here.folder / "file").write_text("precious")
    transfer = Transfer(here.transfers["whole"].remote, here.folder / "file" / "whole")
    (outcome,) = fetch([transfer])
    assert outcome.state == "failed"
    assert outcome.reason == "it could not be written: a part of its path is a file, not a folder"
    (here.folder / "taken").mkdir()
    (outcome,) = fetch([Transfer(here.transfers["whole"].remote, here.folder / "taken")])
    assert (outcome.state, outcome.reason) == ("failed", "it could not be written: there is a folder of that name")
    assert (here.folder / "file").read_text() == "precious"
