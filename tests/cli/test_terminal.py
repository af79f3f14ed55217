"""Every command that takes long, as people use it: on terminals, into a log file, and stopped by Ctrl-C."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from allen_bucket import SmallBucket, filled
from commands import run_here
from PIL import Image
from terminal import LARGE, SMALL, Terminals

from murine.cortex.simulated import simulate
from murine.scenes import synthetic_scenes

pytestmark = pytest.mark.usefixtures("unchecked")

STOPPED = "murine: stopped. What was finished is kept; the same command goes on from there."

NETWORKS = """
import time

from torch import nn


class Net(nn.Sequential):
    default_cfg = {"input_size": (3, 32, 32), "mean": (0, 0, 0), "std": (1, 1, 1)}


class Slow(nn.Module):
    def forward(self, images):
        time.sleep(300)


def chain(*widths, kernel=3):
    layers = []
    for inputs, outputs in zip((3, *widths), widths):
        layers += [nn.Conv2d(inputs, outputs, kernel), nn.ReLU()]
    return Net(*layers, nn.AdaptiveAvgPool2d(4), nn.Flatten())


def short():
    return chain(5)


def middle():
    return chain(5, 6)


def long():
    return chain(4, 5, 6, 4)


def pooled():
    return Net(nn.AvgPool2d(2), *chain(5, 5), nn.Linear(80, 7))


def wide():
    return chain(12, 8, kernel=5)


def slow():
    return Net(nn.Conv2d(3, 4, 3), Slow())
"""


@dataclass(frozen=True)
class Command:
    """A command at small size.

    Attributes
    ----------
    arguments
        With places for the folder (``{desk}``), the addresses of servers (``{allen}``, ``{mirror}``) and a digest.
    shown
        A pattern of its progress on a terminal.
    line
        A pattern of one of its lines in a log file.
    result
        What it says in the end.
    setup
        Python that makes it small.
    """

    arguments: str
    shown: str
    line: str
    result: str
    setup: str = ""


MINE = "--against {desk}/mouse.nc --stimuli {desk}/images.npz --input-size 32"
FEW = "--bootstraps 20 --permutations 0 --splits 2"
TWO = "{desk}/nets.py:short@random:0 {desk}/nets.py:middle@random:0"
FEW_REFERENCES = (
    "from murine.studies import reference_libraries, verification\n"
    "verification.REFERENCES = [r for r in reference_libraries.REFERENCES if r.metric in ('CKA', 'RSA, pearson')]"
)
ONE_CONTRAST = (
    "import murine.studies.contrasts as study\nfrom murine.atlas.contrasts import Contrast, Side\n"
    "study.read_contrasts = lambda scale: iter([Contrast('filters', 'gabor - pixels', Side(('gabor',), '32x32'), "
    "Side(('pixels',), '32x32'))])"
)
ONE_FILE = (
    "from murine.domains.archives import FILES, ArchiveFile\n"
    "FILES['svhn'] = (ArchiveFile('f.bin', ('http://127.0.0.1:9/f.bin',), md5='{md5}'),)"
)

COMMANDS = {
    "demo": Command(
        "demo --out out",
        r"networks .* 0/4",
        r"networks 4/4, neurn: \w+",
        "the report is in out/report.html",
        "import functools\nimport murine.api as api\nimport murine.studies.demonstration as demonstration\n"
        "demonstration.ARCHITECTURES = ()\n"
        "api.compare = functools.partial(api.compare, n_bootstraps=20, n_permutations=0)",
    ),
    "score": Command(
        f"score {TWO} pixels --no-controls {MINE} {FEW}",
        r"networks .* 2/3",
        r"networks 3/3, pixels: \w+",
        "3 computed, 0 done before, 0 failed",
    ),
    "sweep": Command(
        "sweep {desk}/sweep.yaml",
        r"networks .* 2/3",
        r"networks 3/3, pixels: \w+",
        "3 computed, 0 done before, 0 failed",
    ),
    "match": Command(
        f"match {TWO} {MINE} --bootstraps 20",
        r"capturing layers .* \d+/\d+",
        r"networks 2/2, \S+nets.py:middle@random:0: \w+",
        "2 computed, 0 done before, 0 failed",
    ),
    "maps": Command(
        f"maps {TWO} {MINE} --bootstraps 20 --centred",
        r"networks .* 1/2",
        r"networks 1/2, \S+nets.py:short@random:0: \w+",
        "2 computed, 0 done before, 0 failed",
    ),
    "neurn": Command(
        f"neurn {TWO} {MINE} {FEW} --figure neurn.png",
        r"networks .* 3/4",
        r"networks 4/4, ",
        "the picture is in neurn.png",
    ),
    "masquerade": Command(
        "masquerade {desk}/nets.py:short@random:0 --against {desk}/mice.nc --stimuli {desk}/images.npz --input-size 32 "
        "--windows none",
        r"capturing layers .* \d+/\d+",
        r"capturing layers (\d+)/\1",
        "among the mice of",
    ),
    "study": Command(
        "study contrasts --scale tiny --against {desk}/mice.nc --stimuli {desk}/images.npz --bootstraps 20 "
        "--permutations 0 --out contrasts",
        r"networks .* 1/2",
        r"networks 2/2, pixels: \w+",
        "the page is contrasts/index.html",
        ONE_CONTRAST,
    ),
    "models plan": Command(
        "models plan pixels resnet18 --metric none " + MINE,
        r"reading shapes .* 1/2",
        r"reading shapes 2/2, resnet18",
        "at most",
    ),
    "align": Command(
        "align vgg11 vgg13 --vocabulary fine --figure vgg.png",
        r"layer sequences .* 1/2",
        r"layer sequences 2/2, vgg13",
        "the picture is in vgg.png",
    ),
    "explain": Command(
        "explain --role random --file {desk}/nets.py --permutations 99 --bootstraps 20 --atlas {desk}/atlas",
        r"permuting networks .* \d+/\d+",
        r"layer sequences 5/5, nets.py:wide",
        "5 random networks",
    ),
    "generalize": Command(
        "generalize --source folder:{desk}/light --target folder:{desk}/dark --network lenet-small --variants plain "
        "--seeds 2 --set epochs=1 --set batch_size=4 --prepare size=32 --out page.html",
        r"training 2 of 2 netwo.* 1/2",
        r"networks 2/2, lenet-small plain",
        "the page is in page.html",
    ),
    "data fetch": Command(
        "data fetch allen --area VISp --limit 2 --yes --endpoint {allen}",
        r"making recordings .* 1/2",
        r"making recordings 2/2, session \d+",
        "2 sessions done now, 0 before",
    ),
    "data build": Command(
        "data build allen --area VISp --limit 2 --out mouse.nc --cache {desk}/cache",
        r"opening recordings .* \d/2",
        r"opening recordings 2/2",
        "mouse.nc: <Recording",
    ),
    "domains fetch": Command(
        "domains fetch svhn --mirror {mirror}",
        r"all files .* (bytes|MB)",
        r"all files, 4\.0 MB",
        "svhn: 1 files in",
        ONE_FILE,
    ),
    "verify": Command("verify", r"metrics .* \d/\d", r"metrics (\d+)/\1", "agree", FEW_REFERENCES),
    "data reduce": Command(
        "data reduce {nwb} --out made --signal dff",
        r"making recordings .* 0/1",
        r"making recordings 1/1, \d+\.nwb",
        "1 recording written to made",
    ),
    "report": Command(
        "report --atlas {desk}/atlas --out page.html", r"writing the report", "", "the report is in page.html"
    ),
}


#: Commands that answer at once.
QUICK = {
    "results": "results --view sites --sort -ceiled --atlas {desk}/atlas",
    "status": "status {desk}/sweep.yaml --atlas {desk}/atlas",
    "models": "models vgg1?",
    "data list": "data list allen --area VISp --endpoint {allen}",
    "data show": "data show {desk}/mouse.nc --stimuli {desk}/images.npz",
    "data export": "data export {desk}/mouse.nc --out assembly.nc",
    "domains list": "domains list",
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """What a person works with: a recording, its images, networks, two folders of images, and scores."""
    desk = tmp_path_factory.mktemp("desk")
    (desk / "nets.py").write_text(NETWORKS)
    cortex = simulate(synthetic_scenes(24, 40), n_neuroids=10, n_repetitions=6, reliability=0.9)
    cortex.recording.write(desk / "mouse.nc")
    mice = simulate(synthetic_scenes(24, 40), n_neuroids=200, n_repetitions=6, reliability=0.9).recording
    mice.labelled({"donor": [f"mouse {i % 5}" for i in range(mice.n_neuroids)]}).write(desk / "mice.nc")
    np.savez(desk / "images.npz", images=cortex.stimuli.images, ids=cortex.stimuli.ids)
    generator = np.random.default_rng(0)
    for name, ground in (("light", 200), ("dark", 20)):
        for label in ("cat", "dog"):
            (desk / name / label).mkdir(parents=True)
            for i in range(24):
                picture = np.full((32, 32), ground) + generator.integers(-20, 20, (32, 32))
                picture[:, :16] += 30 * (label == "cat")
                Image.fromarray(picture.astype(np.uint8)).save(desk / name / label / f"{i}.png")
    networks = [f"{desk}/nets.py:{name}@random:0" for name in ("short", "middle", "long", "pooled", "wide")]
    (desk / "sweep.yaml").write_text(
        f"networks: [{networks[0]}, {networks[1]}, pixels]\n"
        f"data: {{name: {desk}/mouse.nc, stimuli: {desk}/images.npz}}\n"
        "input_sizes: 32\ncontrols: false\nbootstraps: 20\npermutations: 0\nsplits: 2\n"
    )
    run = ["score", *networks, "--no-controls", *filled_in(f"{MINE} {FEW}", desk=desk), "--atlas", f"{desk}/atlas"]
    assert run_here(*run, "-q") == 0
    return desk


@pytest.fixture(scope="module")
def allen(server_of_buckets, tmp_path_factory) -> SmallBucket:
    return filled(server_of_buckets, tmp_path_factory)


@pytest.fixture(scope="module")
def fetched(desk, allen) -> Path:
    """Two sessions in a cache."""
    run = ["data", "fetch", "allen", "--area", "VISp", "--limit", "2", "--yes", "--cache", f"{desk}/cache"]
    assert run_here(*run, "--endpoint", allen.public.endpoint, "-q") == 0
    return desk / "cache"


@pytest.fixture
def places(desk, fetched, allen, bucket, monkeypatch, tmp_path) -> dict[str, str]:
    """What stands for the names in braces; commands run in an empty folder, with a cache in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MURINE_CACHE", str(tmp_path / "cache"))
    content = np.arange(1_000_000, dtype="<u4").tobytes()
    bucket.put("terminal/f.bin", content)
    return {
        "desk": str(desk),
        "allen": allen.public.endpoint,
        "nwb": str(allen.tree.nwb(allen.tree.scene_experiments[0])),
        "mirror": f"{bucket.endpoint}/{bucket.name}/terminal",
        "md5": hashlib.md5(content).hexdigest(),
    }


@pytest.fixture(scope="module")
def terminals() -> Iterator[Terminals]:
    found = Terminals()
    yield found
    found.close()


def filled_in(arguments: str, **places: object) -> list[str]:
    return [part.format(**places) for part in arguments.split()]


SIZES = [(name, (SMALL, LARGE)[i % 2]) for i, name in enumerate(COMMANDS)] + [("score", SMALL)]


@pytest.mark.parametrize(("name", "size"), SIZES, ids=lambda value: value if isinstance(value, str) else f"{value[1]}")
def test_on_a_terminal(terminals, places, name, size):
    command = COMMANDS[name]
    ran = terminals.run(
        *filled_in(command.arguments, **places), size=size, setup=command.setup.replace("{md5}", places["md5"])
    )
    assert ran.code == 0, ran.text
    assert "Traceback" not in ran.passed
    assert re.search(command.shown, ran.passed), ran.passed[-1000:]
    assert re.search(re.escape(command.result), ran.text.replace("\n", "")), ran.text
    assert "━" not in ran.text, "bars that are left behind"
    if name in ("demo", "score", "match", "maps", "neurn"):
        rows = [line for line in ran.screen if re.search(r"0\.\d", line)]
        assert len(rows) >= 2
        assert all(len(line) <= size[1] for line in ran.screen)


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=lambda size: f"{size[1]}")
def test_what_answers_at_once(terminals, places, size):
    for name, arguments in QUICK.items():
        ran = terminals.run(*filled_in(arguments, **places), size=size)
        assert ran.code == 0, f"{name}: {ran.text}"
        assert "Traceback" not in ran.passed
        assert any(ran.screen)
        assert "━" not in ran.text


@pytest.mark.parametrize("name", COMMANDS)
def test_into_a_log_file(murine, places, name, monkeypatch):
    """Not a terminal: plain lines, none of them a bar, and a heartbeat in between."""
    command = COMMANDS[name]
    for line in command.setup.replace("{md5}", places["md5"]).splitlines():
        if " = " in line:  # undone after the test
            patch_as(monkeypatch, line, command.setup.replace("{md5}", places["md5"]))
    monkeypatch.setattr("murine.progress.HEARTBEAT", 0.05)
    ran = murine(*filled_in(command.arguments, **places))
    assert ran.code == 0, ran.err
    assert re.search(rf"^murine: {command.line}.*\(\d+ s\)$", ran.err, re.MULTILINE), ran.err
    assert "\x1b" not in ran.err + ran.out
    assert "━" not in ran.err
    assert command.result in ran.err + ran.out


def patch_as(monkeypatch, line, setup):
    """Do what a line of a setup does, so that it is undone."""
    names: dict[str, object] = {}
    exec("\n".join(own for own in setup.splitlines() if "import" in own), names)
    target, _, value = line.partition(" = ")
    if target.endswith("]"):
        monkeypatch.setitem(names[target.partition("[")[0]], target.split("'")[1], eval(value, names))
    else:
        owner, _, attribute = target.partition(".")
        monkeypatch.setattr(names[owner], attribute, eval(value, names))


SLEEP = "__import__('time').sleep(300)"
LONG = {
    "score": (f"score {{desk}}/nets.py:slow {MINE}", "", r"networks .* 0/4"),
    "match": (f"match {{desk}}/nets.py:slow {MINE}", "", r"networks .* 0/1"),
    "maps": (f"maps {{desk}}/nets.py:slow {MINE}", "", r"networks .* 0/1"),
    "neurn": (f"neurn {{desk}}/nets.py:slow {MINE}", "", r"networks .* 0/2"),
    "demo": ("demo", "", r"networks .* 0/\d+"),
    "models plan": ("models plan suite:neurn44 " + MINE, "", r"reading shapes .* 0/\d+"),
    "align": ("align vgg11 resnet50 --suite neurn44 --vocabulary fine", "", r"layer sequences .* 0/\d+"),
    "explain": (
        COMMANDS["explain"].arguments,
        f"import murine.studies.architectures as a\na.mantel = lambda *x, **y: {SLEEP}",
        r"permuting networks .* 0/\d+",
    ),
    "generalize": (
        COMMANDS["generalize"].arguments.replace("epochs=1", "epochs=5000"),
        "",
        r"training 2 of 2 netwo.* [1-9]\d*/10000",
    ),
    "data fetch": (
        COMMANDS["data fetch"].arguments,
        f"from murine.cortex.allen.archive import Archive\nArchive._reduce = lambda *x: {SLEEP}",
        r"making recordings .* 0/2",
    ),
    "verify": (
        "verify",
        f"from murine.studies import verification as v\nv._agreement = lambda *x: {SLEEP}",
        r"metrics .* 0/\d+",
    ),
    "report": (
        COMMANDS["report"].arguments,
        f"import murine.report.page as page\npage.read_boards = lambda *x, **y: {SLEEP}",
        r"writing the report",
    ),
}


@pytest.mark.parametrize(
    ("name", "presses"), [*((name, 1 + i % 2) for i, name in enumerate(LONG)), ("score", 2), ("generalize", 2)]
)
def test_ctrl_c_ends_it_in_words(terminals, places, name, presses):
    arguments, setup, shown = LONG[name]
    ran = terminals.run(*filled_in(arguments, **places), setup=setup, interrupt_at=shown, presses=presses)
    assert ran.code == 130, ran.text
    assert ran.seconds < 5
    assert "Traceback" not in ran.passed
    assert ran.text.replace("\n", "").count(STOPPED) == 1
    assert ran.text.replace("\n", "").endswith(STOPPED)


@pytest.mark.parametrize("module", ["murine.cli.application", "typer", "murine.atlas.sweep"])
def test_ctrl_c_while_modules_are_imported(tmp_path, module):
    """From the first line of murine on; before that it is Python that is stopped."""
    code = f"""
import importlib.abc, os, signal, sys

class Interrupts(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupts())
sys.argv = ["murine", "score", "resnet50@random:0"]
from murine.cli import main

main()
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert ran.returncode == 130, ran.stderr
    assert ran.stderr == STOPPED + "\n"


def test_ctrl_c_in_a_call_that_does_not_return(tmp_path):
    """A library that keeps the main thread, and code that swallows the interruption."""
    code = (
        "import ctypes, sys, time\n"
        "import murine.atlas.store as store\n"
        "def stuck(*given):\n"
        "    print('stuck', flush=True)\n"
        "    try: ctypes.CDLL(None).usleep(2_000_000)\n"
        "    except KeyboardInterrupt: pass\n"
        "    try: time.sleep(100)\n"
        "    finally: time.sleep(100)\n"
        "store.Atlas.__init__ = stuck\n"
        "from murine.cli import main\n"
        "sys.argv = ['murine', 'results']\n"
        "main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "stuck\n"
    os.kill(process.pid, signal.SIGINT)
    start = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - start < 5
    assert err == STOPPED + "\n"


# ------------------------------------------------------------------------------------------------- other ends


def shell(command: str, desk: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line of bash, in which ``murine`` is this one."""
    line = f'set -o pipefail; murine() {{ {sys.executable} -m murine "$@"; }}; {command}'
    surroundings = {**os.environ, **environment}
    return subprocess.run(["bash", "-c", line], cwd=desk, env=surroundings, capture_output=True, text=True, timeout=200)


def test_a_reader_that_leaves(desk):
    ran = shell("murine results --view layers --format csv | head -1", desk)
    assert ran.stdout.startswith("task,")
    assert ran.stderr == ""


def test_a_full_disk_for_the_result(desk):
    ran = shell("murine results > /dev/full", desk)
    assert ran.returncode == 1
    assert ran.stderr.startswith("murine: No space left on device. Free some room;")
    assert ran.stderr.count("\n") == 1


def test_closed_standard_error(desk):
    ran = shell("murine results --format csv 2>&-", desk)
    assert ran.returncode == 0
    assert ran.stdout.startswith("band,")


@pytest.fixture
def broken(monkeypatch):
    """An atlas whose every use is a bug."""

    def bug(*given):
        raise KeyError("an odd thing")

    monkeypatch.setattr("murine.atlas.store.Atlas.__init__", bug)


def test_an_unforeseen_error_is_a_sentence_and_a_file(murine, broken):
    ran = murine("results")
    assert ran.code == 1
    assert ran.out == ""
    sentence, where = ran.err.splitlines()
    assert sentence == "murine: an error that should not occur: KeyError: 'an odd thing'"
    file = Path(re.fullmatch(r"The traceback is in (.*); MURINE_DEBUG=1 prints it. Please report it.", where)[1])
    try:
        assert "murine results" in file.read_text("utf-8")
        assert "in bug" in file.read_text("utf-8")
    finally:
        file.unlink()


def test_an_unforeseen_error_is_printed_where_asked(murine, broken, monkeypatch):
    monkeypatch.setenv("MURINE_DEBUG", "1")
    ran = murine("results")
    assert ran.code == 1
    assert "Traceback (most recent call last)" in ran.err
    assert ran.err.endswith("murine: an error that should not occur: KeyError: 'an odd thing'\n")


def test_lack_of_memory_is_told_as_such(murine, monkeypatch, tmp_path):
    def lacking(*given):
        raise MemoryError

    monkeypatch.setattr("murine.atlas.store.Atlas.__init__", lacking)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ran = murine("results")
    assert ran.code == 1
    assert ran.err.startswith("murine: memory does not suffice. A smaller --batch-size")
