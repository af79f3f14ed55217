"""What is fetched, what becomes of it, and what happens when it cannot: a real bucket, real processes, small files."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import allen_files
import odd_reductions
import pytest
from allen_bucket import filled
from public_bucket import Fault, FaultProxy, PublicBucket

from murine.cortex.allen.archive import Archive, default_folder
from murine.cortex.allen.fetch_plan import Session
from murine.cortex.allen.holdings import TwoPhoton
from murine.cortex.allen.reduction import Measure
from murine.download import Bucket
from murine.errors import MurineError

NOWHERE = "http://127.0.0.1:9"  # nobody listens there
HERE = Path(__file__).parents[1] / "helpers"


class Small(Archive):
    """Sessions of a main file and perhaps another; their recordings are what both hold."""

    prefix = "archive"

    def sessions(self, *numbers: int, made: str = "whole") -> list[Session]:
        return [
            Session(
                number,
                (f"main/{number}.raw", f"more/{number}.raw"),
                (self.recordings(made) / f"{number}.nc",),
                optional=(f"more/{number}.raw",),
            )
            for number in numbers
        ]

    def raw(self, number: int) -> Path:
        return self.place / "main" / f"{number}.raw"

    def done(self, *numbers: int, made: str = "whole") -> bool:
        return all((self.recordings(made) / f"{n}.nc").read_bytes() == content(n) for n in numbers)


def content(number: int) -> bytes:
    main = bytes([number]) * 40_000
    return main + b"+" + bytes([100 + number]) * 100 if number % 2 else main


@pytest.fixture(scope="module")
def objects(bucket: PublicBucket) -> PublicBucket:
    """Sessions 1 to 6; the odd ones have a second file."""
    for number in range(1, 7):
        main, *more = content(number).split(b"+")
        bucket.put(f"archive/main/{number}.raw", main)
        for other in more:
            bucket.put(f"archive/more/{number}.raw", other)
    bucket.put("archive/table.csv", b"a,b\n")
    return bucket


@pytest.fixture
def archive(objects: PublicBucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Small:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]))
    return at(objects.endpoint, objects, tmp_path / "cache")


def at(endpoint: str, objects: PublicBucket, folder: Path, retries: int = 0) -> Small:
    return Small(folder, bucket=Bucket(objects.name, endpoint=endpoint), retries=retries, timeout=10)


def hidden(archive: Small) -> list[str]:
    """Names of hidden files, without locks and records."""
    names = (file.name for file in archive.folder.rglob(".*") if file.is_file())
    return sorted(name for name in names if not name.endswith((".lock", ".verified.json")))


# ------------------------------------------------------------------------------------------------------- plans


def test_a_plan_tells_what_has_to_come_and_what_the_bucket_lacks(archive):
    plan = archive.plan(archive.sessions(1, 2, 99))
    assert [session.id for session, _ in plan.sessions] == [1, 2]
    assert plan.absent == (99,)
    assert plan.without == ("more/2.raw",)
    assert (plan.n_files, plan.n_bytes, plan.done) == (3, 80_100, 0)
    assert plan.free == pytest.approx(shutil.disk_usage(archive.folder.parent).free, rel=0.1)
    assert not archive.folder.exists()  # nothing is written by asking
    report = archive.fetch(plan, odd_reductions.joined)
    assert sorted(report.made) == [1, 2]
    assert archive.done(1, 2)
    assert report.failed == {99: "the bucket does not have it"}
    with pytest.raises(MurineError, match="1 session could not be had:\n  99: the bucket does not have it"):
        report.require_all()


def test_what_is_done_needs_no_network_and_can_be_moved(archive, objects, tmp_path):
    archive.fetch(archive.plan(archive.sessions(1, 2)), odd_reductions.joined)
    archive.ensure(["table.csv"])
    archive.folder.rename(tmp_path / "moved")
    moved = at(NOWHERE, objects, tmp_path / "moved")
    plan = moved.plan(moved.sessions(1, 2))
    assert (plan.sessions, plan.done, plan.n_files) == ((), 2, 0)
    assert moved.fetch(plan, odd_reductions.joined).made == []
    assert moved.ensure(["table.csv"])[0].read_bytes() == b"a,b\n"
    with pytest.raises(MurineError, match="cannot be listed"):
        moved.plan(moved.sessions(1, 2, 3))
    with pytest.raises(MurineError, match=r"cannot be listed: no connection.*Not here yet, in '.*archive': other\.csv"):
        moved.ensure(["table.csv", "other.csv"])
    with pytest.raises(MurineError, match="cannot be listed"):
        moved.ensure(["table.csv"], refresh=True)
    with pytest.raises(MurineError, match=r"has no other\.csv under 'archive'; is it the right bucket"):
        at(objects.endpoint, objects, moved.folder).ensure(["other.csv"])


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("MURINE_CACHE", str(tmp_path / "a"))
    assert default_folder() == Archive().folder == tmp_path / "a" / "allen-brain-observatory"
    assert default_folder(tmp_path / "b") == tmp_path / "b" / "allen-brain-observatory"
    monkeypatch.delenv("MURINE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert default_folder().name == "allen-brain-observatory"


# ------------------------------------------------------------------------------------------------------- raw files


def test_raw_files_that_were_only_fetched_to_be_reduced_are_deleted(archive):
    archive.fetch(archive.plan(archive.sessions(1, 2)), odd_reductions.joined)
    assert archive.done(1, 2)
    assert not list(archive.place.rglob("*.raw"))
    assert hidden(archive) == []


def test_raw_files_that_were_kept_or_put_there_stay_until_told(archive, objects):
    archive.fetch(archive.plan(archive.sessions(1), keep_raw=True), odd_reductions.joined, keep_raw=True)
    archive.raw(2).write_bytes(content(2))  # from elsewhere
    archive.fetch(archive.plan(archive.sessions(1, 2, 3, made="other")), odd_reductions.joined)
    assert archive.done(1, 2, 3, made="other")
    assert {file.name for file in archive.place.rglob("*.raw") if "main" in str(file)} == {"1.raw", "2.raw"}
    offline = at(NOWHERE, objects, archive.folder)  # what is here is enough for another recording
    report = offline.fetch(offline.plan(offline.sessions(1, made="third")), odd_reductions.joined)
    assert report.made == [1]
    assert offline.done(1, made="third")
    plan = archive.plan(archive.sessions(1, 2, made="other"), keep_raw=False)
    assert set(plan.leftovers) == {archive.raw(1), archive.place / "more" / "1.raw", archive.raw(2)}
    archive.fetch(plan, odd_reductions.joined, keep_raw=False)
    assert not list(archive.place.rglob("*.raw"))


def test_keeping_fetches_raw_files_of_sessions_that_are_done(archive):
    archive.fetch(archive.plan(archive.sessions(1)), odd_reductions.joined)
    plan = archive.plan(archive.sessions(1), keep_raw=True)
    assert plan.n_files == 2
    archive.fetch(plan, odd_reductions.joined, keep_raw=True)
    assert archive.raw(1).exists()
    assert archive.plan(archive.sessions(1), keep_raw=True).n_files == 0


def test_what_a_killed_process_has_left_is_tidied_by_the_next(archive):
    archive.fetch(archive.plan(archive.sessions(1, 3), keep_raw=True), odd_reductions.joined, keep_raw=True)
    # killed after the recording of 1 was made, and in the middle of that of 3
    (archive.place / "main" / ".1.raw.passing").touch()
    (archive.recordings("whole") / "3.nc").rename(archive.recordings("whole") / ".3.nc.12345.partial")
    report = archive.fetch(archive.plan(archive.sessions(1, 3)), odd_reductions.joined)
    assert report.made == [3]
    assert archive.done(1, 3)
    assert not archive.raw(1).exists()
    assert archive.raw(3).exists()  # was kept
    assert hidden(archive) == []


def test_a_leftover_that_another_process_uses_is_left_to_it(archive):
    from filelock import FileLock

    archive.fetch(archive.plan(archive.sessions(2), keep_raw=True), odd_reductions.joined, keep_raw=True)
    plan = archive.plan(archive.sessions(2), keep_raw=False)
    with FileLock(archive.place / "main" / ".2.raw.lock"):
        archive.fetch(plan, odd_reductions.joined, keep_raw=False)
        assert archive.raw(2).exists()
    archive.fetch(plan, odd_reductions.joined, keep_raw=False)
    assert not archive.raw(2).exists()


# ------------------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("refuse", "2.raw' is odd."),
        ("crash", "2.raw' could not be read: the process ended with SIGKILL"),
        ("mistake", "2.raw' could not be read, by a mistake of murine: KeyError: 'no such key'"),
    ],
)
def test_a_session_that_fails_does_not_stop_the_others_and_is_not_fetched_again(archive, objects, how, reason):
    with FaultProxy(objects.endpoint, lambda r: None) as proxy:
        there = at(proxy.url, objects, archive.folder)
        report = there.fetch(there.plan(there.sessions(1, 2, 3)), partial(odd_reductions.odd, how, 2), workers=1)
        assert sorted(report.made) == [1, 3]
        assert there.done(1, 3)
        assert list(report.failed) == [2]
        assert reason in report.failed[2]
        with pytest.raises(MurineError, match=r"1 session could not be had:\n  2: .*\nThe others are complete"):
            report.require_all()
        report = there.fetch(there.plan(there.sessions(1, 2, 3)), odd_reductions.joined)
        assert report.made == [2]
        assert proxy.sent("2.raw") == 40_000
    assert there.done(2)
    assert not list(there.place.rglob("*.raw"))  # the mark outlived the failure
    assert hidden(there) == []


def test_a_file_that_cannot_be_had_fails_its_session_and_is_resumed(archive, objects):
    state = {"broken": True}

    def fault(request):
        if not state["broken"] or not request.path.endswith("3.raw") or "main" not in request.path:
            return None
        return Fault(cut=25_000 if request.start == 0 else 0)

    with FaultProxy(objects.endpoint, fault) as proxy:
        there = at(proxy.url, objects, archive.folder)
        report = there.fetch(there.plan(there.sessions(2, 3, 4)), odd_reductions.joined)
        assert sorted(report.made) == [2, 4]
        assert "3.raw: the connection was cut" in report.failed[3]
        state["broken"] = False
        plan = there.plan(there.sessions(2, 3, 4))
        assert (plan.done, plan.n_bytes) == (2, 15_000)  # the second file of the session is here
        assert there.fetch(plan, odd_reductions.joined).made == [3]
        assert proxy.sent("main/3.raw") == 40_000
    assert there.done(2, 3, 4)


def test_what_cannot_be_made_is_noted_and_tried_again_only_when_told(archive, caplog):
    sessions = archive.sessions(2, 3)
    report = archive.fetch(archive.plan(sessions), partial(odd_reductions.odd, "scenes", 2))
    (target,) = sessions[0].recordings
    assert report.impossible == {target: "2.raw lacks scenes"}  # without the folder, which may be moved
    assert sorted(report.made) == [2, 3]
    report.require_all()
    assert target.with_name("2.impossible.txt").read_text() == "2.raw lacks scenes\n"
    assert not archive.raw(2).exists()
    assert archive.plan(sessions).done == 2
    with pytest.raises(
        MurineError, match=r"none of these 1 sessions .* as whole.*there is whole\. `murine data fetch`"
    ):
        archive.read([target])
    assert "session 2 left out: 2.raw lacks scenes" in caplog.text
    archive.forget_verdicts(sessions)
    plan = archive.plan(sessions)
    assert [session.id for session, _ in plan.sessions] == [2]
    archive.fetch(plan, odd_reductions.joined)
    assert archive.done(2, 3)


def test_warnings_of_the_other_process_come_back_once(archive, caplog, capfd):
    report = archive.fetch(archive.plan(archive.sessions(1, 2)), partial(odd_reductions.odd, "warn", 2))
    assert report.notes == ["session 2: 2.raw is strange"]
    assert "strange" not in capfd.readouterr().err


# ------------------------------------------------------------------------------------------------------- two at once

SESSIONS = """
import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
import odd_reductions
from murine.cortex.allen.archive import Archive, Session
from murine.download import Bucket


class Small(Archive):
    prefix = "archive"


bucket = Bucket(sys.argv[3], endpoint=sys.argv[2])
archive = Small(Path(sys.argv[4]), bucket=bucket)
sessions = [Session(n, (f"main/{n}.raw",), (archive.recordings("whole") / f"{n}.nc",)) for n in range(1, 7)]
"""

FETCH = f"""{SESSIONS}
report = archive.fetch(archive.plan(sessions), odd_reductions.joined, workers=2)
report.require_all()
print(len(report.made))
"""


def test_two_processes_share_the_work(archive, objects):
    def fault(request):
        return Fault(pace=0.02) if request.path.endswith(".raw") else None

    with FaultProxy(objects.endpoint, fault) as proxy:
        command = [sys.executable, "-c", FETCH, str(HERE), proxy.url, objects.name, str(archive.folder)]
        processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
        outputs = [process.communicate(timeout=120) for process in processes]
        assert [process.returncode for process in processes] == [0, 0], outputs
        assert proxy.sent(".raw") == 6 * 40_000  # nothing twice
    for number in range(1, 7):
        main, *_ = content(number).split(b"+")
        assert (archive.recordings("whole") / f"{number}.nc").read_bytes() == main
    assert not list(archive.place.rglob("*.raw"))
    assert hidden(archive) == []


# ------------------------------------------------------------------------------------------------------- killed

KILLED = f"""{SESSIONS}
import json
import os
import signal
import traceback
from functools import partial


def run(folder, last):
    \"\"\"Fetch in a fork of this process, which has imported everything: its exit code and its number of changes.

    A change is a file that gets another name or is deleted. The fork is killed just before the change ``last``.\"\"\"
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            fetch(folder, last, writing)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(writing)
    with open(reading) as pipe:
        changes = len(pipe.read())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), changes


def fetch(folder, last, pipe):
    changes = 0

    def count(event, arguments):
        nonlocal changes
        if event not in ("os.remove", "os.rename") or not os.path.exists(arguments[0]):
            return
        if str(arguments[0]).startswith(folder):
            if changes == last:
                os.kill(os.getpid(), signal.SIGKILL)
            changes += 1
            os.write(pipe, b".")

    sys.addaudithook(count)
    archive = Small(Path(folder), bucket=bucket)
    sessions = [Session(n, (f"main/{{n}}.raw",), (archive.recordings("whole") / f"{{n}}.nc",)) for n in (1, 2)]
    archive.ensure(["table.csv"])
    archive.fetch(archive.plan(sessions), partial(odd_reductions.odd, "scenes", 2), workers=1).require_all()


calm, n_changes = run(sys.argv[4], -1)
pairs = [[run(os.path.join(sys.argv[5], str(last)), k)[0] for k in (last, -1)] for last in range(n_changes)]
print(json.dumps([calm, pairs]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_wherever_a_fetch_is_killed_the_next_completes_it_and_leaves_nothing(archive, objects, tmp_path):
    def names(folder: Path) -> set[str]:
        found = (str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
        return {name for name in found if not name.endswith(".lock")}

    places = [str(HERE), objects.endpoint, objects.name, str(archive.folder), str(tmp_path / "killed")]
    done = subprocess.run([sys.executable, "-c", KILLED, *places], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    calm, pairs = json.loads(done.stdout)
    assert calm == 0, done.stderr
    assert (archive.recordings("whole") / "2.impossible.txt").exists()
    assert len(pairs) > 10
    for last, (killed, again) in enumerate(pairs):
        assert killed == -signal.SIGKILL
        assert again == 0, done.stderr
        assert names(tmp_path / "killed" / str(last)) == names(archive.folder), f"killed before change {last}"


# ------------------------------------------------------------------------------------------------------- real files


def test_other_pictures_in_one_file_fail_its_session_with_both_names(server_of_buckets, tmp_path):
    options = allen_files.Options(cells=2, repetitions=2, fewer=(), gratings=False)
    other = replace(options, experiment=501559088, template_seed=8)
    tree = allen_files.write_tree(tmp_path / "tree", [options, other], [allen_files.Container(options.container)])
    public = server_of_buckets.bucket("other-templates")
    for file in tree.prefix.rglob("*.*"):
        public.put(file.relative_to(tree.root).as_posix(), file.read_bytes())
    archive = TwoPhoton(tmp_path / "cache", bucket=Bucket(public.name, endpoint=public.endpoint))
    sessions = archive.sessions([501559087, 501559088], [Measure()])
    report = archive.fetch_sessions(archive.plan(sessions), [Measure()], workers=1)
    (first,), (failed,) = report.made, report.failed
    assert {first, failed} == {501559087, 501559088}
    reason = report.failed[failed]
    assert "118 of 118 differ" in reason
    assert f"{first}.nwb" in reason
    assert f"{failed}.nwb" in reason
    assert (archive.place / "ophys_experiment_data" / f"{failed}.nwb").exists()


def _may_mount() -> bool:
    command = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return bool(shutil.which("unshare")) and subprocess.run(command, capture_output=True, check=False).returncode == 0


FULL = """
import json, shutil, subprocess, sys
from pathlib import Path

subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", sys.argv[2]], check=True)
from murine.cortex.allen.holdings import TwoPhoton
from murine.cortex.allen.reduction import Measure
from murine.cortex.recording import Recording
from murine.download import Bucket

archive = TwoPhoton(Path(sys.argv[2]), bucket=Bucket("allen-brain-observatory", endpoint=sys.argv[1]))
report = {}


def fetch(name, signal, keep=None):
    sessions = archive.sessions([503019786, 503019999], [Measure(signal)])
    done = archive.fetch_sessions(archive.plan(sessions, keep_raw=keep), [Measure(signal)], keep_raw=keep)
    report[name] = [sorted(done.made), done.failed, done.impossible]
    report[name + " files"] = sorted(file.name for file in archive.recordings(Measure(signal).name).glob("*"))


fetch("kept", "corrected", True)
filler = archive.folder / "filler"
for left in (0, 60_000):  # room for none, and for one
    filler.write_bytes(bytes(shutil.disk_usage(archive.folder).free - left))
    fetch(f"full {left}", "dff")
    filler.unlink()
fetch("again", "dff")
for file in archive.recordings("dff-allensdk").glob("*.nc"):
    assert Recording.read(file).responses.shape[1:] == (119, 12)
subprocess.run(["mount", "-o", "remount,ro", sys.argv[2]], check=True)
fetch("read-only", "events")
report["done"] = archive.plan(archive.sessions([503019786, 503019999], [Measure("dff")])).done
print(json.dumps(report))
"""


@pytest.mark.skipif(not _may_mount(), reason="may not mount a disk of its own")
def test_a_disk_that_gets_full_while_reducing_and_one_that_is_read_only(server_of_buckets, tmp_path_factory, tmp_path):
    allen = filled(server_of_buckets, tmp_path_factory)
    elsewhere = ["unshare", "--user", "--map-root-user", "--mount"]
    command = [*elsewhere, sys.executable, "-c", FULL, allen.public.endpoint, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["kept"] == [[503019786, 503019999], {}, {}]
    made, failed, impossible = report["full 0"]
    assert (made, impossible, report["full 0 files"]) == ([], {}, [])
    assert len(failed) == 2
    assert all("could not be written: the disk is full" in reason for reason in failed.values())
    made, failed, impossible = report["full 60000"]
    assert len(made) + len(failed) == 2
    assert report["full 60000 files"] == [f"{number}.nc" for number in made]  # whole, or not there
    assert len(failed) >= 1
    assert impossible == {}
    assert report["again files"] == ["503019786.nc", "503019999.nc"]
    assert not report["again"][1]
    made, failed, _ = report["read-only"]
    assert made == []
    assert all("read-only" in reason for reason in failed.values())
    assert report["done"] == 2


def test_a_refresh_of_a_folder_that_cannot_be_written_says_so(archive, monkeypatch):
    sessions = archive.sessions(2)
    archive.fetch(archive.plan(sessions), partial(odd_reductions.odd, "scenes", 2))

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(MurineError, match=r"2\.impossible\.txt' could not be deleted: the file system is read-only"):
        archive.forget_verdicts(sessions)


def test_missing_sessions_are_told_in_the_log(archive, caplog, allen_recording):
    files = [session.recordings[0] for session in archive.sessions(1, 2, 3)]
    allen_recording.write(files[1])
    with caplog.at_level(logging.WARNING):
        (opened,) = archive.read(files)
    assert opened.name == "2"
    assert "2 of 3 sessions are not fetched yet" in caplog.text
    opened.dataset.close()


@pytest.fixture
def allen_recording():
    import numpy as np

    from murine.cortex.recording import Recording

    return Recording.from_arrays(np.ones((1, 2, 3)), {"neuroid_id": ["a"]}, {"stimulus_id": ["x", "y"]})
