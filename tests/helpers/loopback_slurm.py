"""A real SLURM of one node on loopback: slurmctld and slurmd of Debian, for tests that submit jobs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

#: Seconds in which the node must be ready.
READY = 60

_CONFIGURATION = """\
ClusterName=murine
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SlurmctldPort={controller}
SlurmdPort={daemon}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldTimeout=10
SlurmdTimeout=10
ReturnToService=2
KillWait=2
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str:
    """Return why SLURM cannot be started here; '' if it can."""
    missing = [name for name in ("slurmctld", "slurmd", "sbatch", "squeue") if shutil.which(name) is None]
    if missing:
        return f"needs Debian's slurmctld, slurmd and slurm-client: there is no {', '.join(missing)}"
    return "" if os.geteuid() == 0 else "needs root, to start SLURM"


class LoopbackSlurm:
    """A cluster of one node.

    Parameters
    ----------
    folder
        For its configuration, state and logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configuration = folder / "slurm.conf"
        self.environment = {**os.environ, "SLURM_CONF": str(self.configuration)}

    def start(self) -> None:
        """Start the controller and the node, and wait until it takes jobs."""
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        controller, daemon = _free_ports(2)
        self.configuration.write_text(
            _CONFIGURATION.format(
                host=socket.gethostname().partition(".")[0],
                folder=self.folder,
                cpus=os.cpu_count() or 1,
                controller=controller,
                daemon=daemon,
            )
        )
        self.run("slurmctld", "-c", "-f", self.configuration)
        self.start_node()

    def start_node(self) -> None:
        """Start the daemon of the node, also after it was killed."""
        self.run("slurmd", "-f", self.configuration)
        self.wait_until(lambda: self.run("sinfo", "-h", "-o", "%T").split() in (["idle"], ["mixed"], ["allocated"]))

    def kill_node(self) -> None:
        """Kill the daemon of the node, as a crash does."""
        os.kill(int((self.folder / "slurmd.pid").read_text()), 9)

    def stop(self) -> None:
        with suppress(subprocess.CalledProcessError):
            self.run("scancel", "--user", "root")
        for name in ("slurmd", "slurmctld"):
            with suppress(OSError, ValueError):
                os.kill(int((self.folder / f"{name}.pid").read_text()), 15)

    def run(self, *command: object) -> str:
        """Run a command of SLURM; return what it prints."""
        done = subprocess.run(
            [str(part) for part in command], env=self.environment, capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, done.args, done.stdout, done.stderr)
        return done.stdout

    def submit(self, script: Path) -> str:
        """Submit a script; return the number of its job."""
        return self.run("sbatch", "--parsable", script).strip().partition(";")[0]

    def queue(self) -> list[list[str]]:
        """Return (job, state) of all jobs that wait or run; each task of an array is a job."""
        return [line.split() for line in self.run("squeue", "-h", "-r", "-o", "%i %T").splitlines()]

    def wait(self, seconds: float = 180) -> None:
        """Wait until there are no jobs."""
        self.wait_until(lambda: not self.queue(), seconds)

    def wait_until(self, condition, seconds: float = READY) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"not within {seconds} s; the queue: {self.queue()}; see {self.folder}")
            time.sleep(0.25)


def _free_ports(n: int) -> list[int]:
    """Return ports that nobody listens at."""
    sockets = [socket.socket() for _ in range(n)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
