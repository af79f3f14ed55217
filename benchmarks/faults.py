"""Faults that are injected into real sweeps, and what is left afterwards.

Each round runs a small sweep (3 networks and the controls, 2 input sizes, 12 tasks) in local processes, on Dask workers
that were started by hand, or as a SLURM array. Faults are injected at random moments: kill -9 of a worker, of the
client, of the scheduler, of slurmd; a worker that stops; a limit of memory; a full disk; files cut short, and files
with a flipped bit; a second client; a requeue. Then the sweep is run once more, undisturbed.

Claims, checked after every round:

1. What `murine status` called done before the last run is done afterwards without being computed again, unless its file
   was damaged on purpose.
2. One more run completes, and its rows are those of a sweep without faults, to the last bit: none is lost or counted
   twice.
3. `murine atlas repair` moves away what was damaged and never needed again (kernels, if their scores are intact); then
   `murine atlas check` finds nothing.

Run: python benchmarks/faults.py --faults 200 --seed 1. SLURM and the full disk need root on Linux.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))

import small_sweep
from dask_by_hand import DaskByHand, dask_by_hand
from loopback_slurm import LoopbackSlurm, why_not

from murine.sweeps.batch_script import write_sbatch
from murine.sweeps.status import sweep_status
from murine.sweeps.sweep_file import read_sweep

#: Seconds within which a client must end after a fault.
PATIENCE = 240


def murine(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "murine", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **options,  # type: ignore[call-overload]
    )


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    with suppress(OSError):
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


class Round:
    """One sweep with faults.

    Parameters
    ----------
    lab
        The folder of ``sweep.yaml``.
    atlas
        A folder that does not exist yet.
    dice
        Decides which faults come when.
    slurm
        A SLURM, or None.
    """

    def __init__(self, lab: Path, atlas: Path, dice: random.Random, slurm: LoopbackSlurm | None) -> None:
        self.lab, self.atlas, self.dice, self.slurm = lab, atlas, dice, slurm
        self.sweep = lab / "sweep.yaml"
        self.injected: Counter[str] = Counter()
        self.damaged: set[str] = set()

    def run(self, n: int) -> list[str]:
        """Inject ``n`` faults; return the claims that do not hold."""
        where = [self.locally, self.on_dask, *([self.on_slurm] if self.slurm else [])]
        while sum(self.injected.values()) < n:
            self.dice.choice(where)()
            self.damage_files(self.dice.randrange(3))
        return self.verdict()

    def when_it_runs(self) -> None:
        """Wait until a network runs, and then a little."""
        end = time.monotonic() + 60
        while time.monotonic() < end and not list((self.atlas / "running").glob("*.json")):
            time.sleep(0.02)
        time.sleep(self.dice.uniform(0, 1.5))

    def end(self, *processes: subprocess.Popen[bytes]) -> None:
        for process in processes:
            process.wait(PATIENCE)

    def locally(self) -> None:
        command = ("sweep", self.sweep, "--atlas", self.atlas, "--jobs", 2)
        fault = self.dice.choice(("client", "worker", "stopped worker", "memory", "two clients", "full disk", "Ctrl-C"))
        if fault == "full disk":
            self.on_a_full_disk(command)
            return
        limited = {}
        if fault == "memory":
            limit = self.dice.randrange(400 << 20, 3000 << 20)
            limited = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))}
        client = murine(*command, **limited)
        others = [murine(*command)] if fault == "two clients" else []
        self.when_it_runs()
        workers = children(client.pid)
        if fault == "client":
            client.kill()
        elif fault == "Ctrl-C":
            client.send_signal(signal.SIGINT)
        elif fault in ("worker", "stopped worker") and workers:
            number = signal.SIGKILL if fault == "worker" else signal.SIGSTOP
            with suppress(OSError):
                os.kill(self.dice.choice(workers), number)
        self.injected[fault] += 1
        self.end(client, *others)

    def on_a_full_disk(self, command: tuple[object, ...]) -> None:
        """Put the atlas on a small file system that somebody else fills."""
        if os.geteuid() != 0:
            return
        kept = self.atlas.with_name("kept")
        shutil.rmtree(kept, ignore_errors=True)
        self.atlas.mkdir(exist_ok=True)
        shutil.copytree(self.atlas, kept)
        size = sum(f.stat().st_size for f in kept.rglob("*") if f.is_file()) + self.dice.randrange(20_000, 400_000)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.atlas], check=True)
        try:
            shutil.copytree(kept, self.atlas, dirs_exist_ok=True)
            self.end(murine(*command))
            self.injected["full disk"] += 1
        except OSError:
            pass  # not even what was there fits
        finally:
            shutil.rmtree(kept)
            with suppress(OSError, shutil.Error):
                shutil.copytree(self.atlas, kept)
            subprocess.run(["umount", "-l", self.atlas], check=True)
            shutil.rmtree(self.atlas)
            kept.rename(self.atlas)

    def on_dask(self) -> None:
        with tempfile.TemporaryDirectory() as folder, dask_by_hand(Path(folder), 2) as cluster:
            client = murine("sweep", self.sweep, "--atlas", self.atlas, "--cluster", cluster.address)
            self.when_it_runs()
            faults: dict[str, Callable[[DaskByHand], None]] = {
                "Dask worker": lambda c: self.dice.choice(c.workers).kill(),
                "Dask worker stops": lambda c: self.dice.choice(c.workers).send_signal(signal.SIGTERM),
                "Dask scheduler": lambda c: c.scheduler.kill(),
                "client of Dask": lambda c: client.kill(),
                "process of a Dask worker": self._kill_process_of_worker,
            }
            fault = self.dice.choice(list(faults))
            faults[fault](cluster)
            self.injected[fault] += 1
            self.end(client)

    def _kill_process_of_worker(self, cluster: DaskByHand) -> None:
        for pid in children(self.dice.choice(cluster.workers).pid):
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def on_slurm(self) -> None:
        if self.slurm is None:
            return
        script = self.atlas.with_name("job.sh")
        write_sbatch(script, self.sweep, read_sweep(self.sweep), self.atlas, 3)
        self.slurm.submit(script)
        self.when_it_runs()
        running = [name for name, state in self.slurm.queue() if state == "RUNNING"]
        fault = self.dice.choice(("requeue", "scancel", "slurmd"))
        if fault == "slurmd":
            self.slurm.kill_node()
            time.sleep(0.5)
            self.slurm.start_node()
            self.injected[fault] += 1
        elif running:
            command = ("scontrol", "requeue") if fault == "requeue" else ("scancel", "--signal=KILL")
            with suppress(subprocess.CalledProcessError):  # it may have ended just now
                self.slurm.run(*command, self.dice.choice(running))
                self.injected[fault] += 1
        end = time.monotonic() + PATIENCE
        while queue := self.slurm.queue():
            if time.monotonic() > end:
                self.slurm.run("scancel", "--user", "root")
            for name, state in queue:
                if state == "PENDING":  # a requeued job waits for two minutes unless it is told to begin
                    with suppress(subprocess.CalledProcessError):
                        self.slurm.run("scontrol", "update", f"JobId={name}", "StartTime=now")
            time.sleep(0.5)

    def damage_files(self, n: int) -> None:
        """Cut files short, or flip a bit in them."""
        files = [f for table in ("scores", "kernels", "requests") for f in sorted((self.atlas / table).glob("[!.]*.*"))]
        for file in self.dice.sample(files, min(n, len(files))):
            content = bytearray(file.read_bytes())
            if not content:
                continue
            place = self.dice.randrange(len(content))
            if self.dice.random() < 0.5:
                content = content[:place]
                self.injected["file cut short"] += 1
            else:
                content[place] ^= 1 << self.dice.randrange(8)
                self.injected["flipped bit"] += 1
            file.write_bytes(content)
            self.damaged.add(file.stem)

    def verdict(self) -> list[str]:
        before = sweep_status(self.sweep, self.atlas)
        scores = {file.stem: file.stat().st_mtime_ns for file in (self.atlas / "scores").glob("[!.]*.parquet")}
        last = murine("sweep", self.sweep, "--atlas", self.atlas, "--jobs", 2)
        wrong = [] if last.wait(PATIENCE) == 0 else [f"one more run ends with exit code {last.returncode}"]
        after = sweep_status(self.sweep, self.atlas)
        if set(after.state) != {"done"}:
            wrong.append(f"after one more run: {after.state.value_counts().to_dict()}")
        lost = (before.state == "done") & (after.state != "done")
        if lost.any():
            wrong.append(f"{lost.sum()} tasks were done and are not any more")
        again = {
            file.stem
            for file in (self.atlas / "scores").glob("[!.]*.parquet")
            if scores.get(file.stem, file.stat().st_mtime_ns) != file.stat().st_mtime_ns
        }
        if extra := again - self.damaged:
            wrong.append(f"{len(extra)} intact results were computed again")
        self.end(murine("atlas", "repair", "--atlas", self.atlas))
        check = subprocess.run(
            [sys.executable, "-m", "murine", "atlas", "check", "--atlas", self.atlas], capture_output=True, text=True
        )
        if check.returncode:
            wrong.append(f"murine atlas check: {check.stdout.strip()} {check.stderr.strip()}")
        return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    dice, injected, wrong, n_rounds = random.Random(given.seed), Counter[str](), [], 0
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
        os.environ["MURINE_CACHE"] = str(base / "cache")
        (base / "lab").mkdir()
        small_sweep.write(base / "lab")
        small_sweep.write_sweep(base / "lab" / "sweep.yaml", base / "lab", time_limit=15)
        slurm = None
        if reason := why_not():
            print(f"without SLURM: {reason}")
        else:
            slurm = LoopbackSlurm(base / "slurm")
            slurm.start()
            stack.callback(slurm.stop)
        murine("sweep", base / "lab" / "sweep.yaml", "--atlas", base / "whole").wait()
        whole = small_sweep.rows(base / "whole")
        while sum(injected.values()) < given.faults:
            n_rounds += 1
            atlas = base / f"round{n_rounds}" / "atlas"
            atlas.parent.mkdir()
            one = Round(base / "lab", atlas, dice, slurm)
            found = one.run(min(6, given.faults - sum(injected.values())))
            if not small_sweep.rows(atlas).equals(whole):
                found.append("the rows are not those of a sweep without faults")
            injected += one.injected
            wrong += [f"round {n_rounds} ({dict(one.injected)}): {text}" for text in found]
            print(f"round {n_rounds}: {sum(injected.values())} faults so far; {found or 'all claims hold'}", flush=True)
            shutil.rmtree(atlas.parent)
    for fault, count in sorted(injected.items()):
        print(f"{count:4d} x {fault}")
    print(*wrong, sep="\n")
    print(f"{sum(injected.values())} faults in {n_rounds} rounds: {len(wrong)} claims do not hold")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
