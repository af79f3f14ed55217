"""Job scripts for SLURM: an array of jobs, each of which runs one shard of a sweep."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from murine.errors import MurineError
from murine.io.files import atomic_write
from murine.sweeps.sweep_file import SweepFile

_SCRIPT = """\
#!/bin/bash
# Written by `murine sweep --write-sbatch`. Submit it with: sbatch {script}
# Each job runs one shard of the sweep. The jobs meet in the atlas: a job that is requeued or submitted again computes
# only what is missing.
#SBATCH --job-name=murine-sweep
#SBATCH --array=0-{last}%{throttle}
#SBATCH --cpus-per-task={threads}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={log}
{more}
set -euo pipefail
cd {directory}
export OMP_NUM_THREADS={threads}
exec {python} -m murine sweep {sweep} --atlas {atlas} --shard "$SLURM_ARRAY_TASK_ID/{n_shards}"
"""


def write_sbatch(
    script: Path,
    sweep_file: Path,
    sweep: SweepFile,
    atlas: Path,
    n_shards: int,
    *,
    throttle: int | None = None,
    directives: Sequence[str] = (),
) -> None:
    """Write a job script for ``sbatch``.

    Parameters
    ----------
    script
        The file to write.
    sweep_file, sweep
        The sweep, as a file and as its content.
    atlas
        The folder of results, which all nodes must see.
    n_shards
        The number of jobs in the array. Networks are distributed over them by a hash of their names.
    throttle
        How many jobs may run at the same time; by default all.
    directives
        More options for ``sbatch``, for example ``--partition=gpu``.

    Raises
    ------
    MurineError
        If a directive is no option, or the file cannot be written.

    Examples
    --------
    >>> from murine.sweeps.sweep_file import read_sweep
    >>> sweep = read_sweep({"networks": "pixels", "data": "simulated"})
    >>> write_sbatch(Path("job.sh"), Path("sweep.yaml"), sweep, Path("atlas"), 8, throttle=2)
    >>> Path("job.sh").read_text().splitlines()[5]
    '#SBATCH --array=0-7%2'
    """
    if wrong := [text for text in directives if not text.startswith("-") or "\n" in text]:
        raise MurineError(f"{wrong[0]!r} is no option of sbatch; expected for example --partition=gpu.")
    (atlas / "log").mkdir(parents=True, exist_ok=True)  # sbatch does not make folders of logs
    content = _SCRIPT.format(
        script=shlex.quote(str(script)),
        last=n_shards - 1,
        throttle=throttle or n_shards,
        threads=sweep.threads,
        log=f"{_escaped(atlas.absolute())}/log/slurm-%A_%a.out",
        more="".join(f"#SBATCH {text}\n" for text in directives),
        directory=shlex.quote(str(Path.cwd())),
        python=shlex.quote(sys.executable),
        sweep=shlex.quote(str(sweep_file)),
        atlas=shlex.quote(str(atlas)),
        n_shards=n_shards,
    )
    with atomic_write(script) as partial:
        partial.write_text(content, encoding="utf-8")


def _escaped(path: Path) -> str:
    """Return a path as a pattern of sbatch, where % has a meaning."""
    text = str(path).replace("%", "%%")
    return f'"{text}"' if " " in text else text
