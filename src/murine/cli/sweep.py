"""Commands that run sweeps and tell their state."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from murine.cli.common import isolated, quieten, report_outcomes
from murine.cli.options import AtlasOption, FormatOption, JobsOption, QuietOption, limited
from murine.cli.tables import Format, show
from murine.errors import MurineError
from murine.limits import Limits

app = typer.Typer()

SweepArgument = Annotated[Path, typer.Argument(metavar="SWEEP", help="A sweep file in YAML (docs/sweeps.md).")]
ShardOption = Annotated[
    str, typer.Option("--shard", help="Only shard I of N, as I/N, numbered from 0: chosen by a hash of the network.")
]
_SHARDS = Limits(1, 100_000)


@app.command()
def sweep(
    file: SweepArgument,
    atlas: AtlasOption = Path("atlas"),
    jobs: JobsOption = 1,
    cluster: Annotated[
        str,
        typer.Option(
            "--cluster",
            help="Run on a Dask cluster: tcp://HOST:PORT of a scheduler, local, or a YAML file that describes jobs of "
            "SLURM, PBS, LSF or SGE.",
        ),
    ] = "",
    shard: ShardOption = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan: what is done, and predicted time, memory and disk.")
    ] = False,
    write_sbatch: Annotated[
        Path | None, typer.Option("--write-sbatch", help="Write a job array for SLURM into this file, and stop.")
    ] = None,
    shards: Annotated[
        int,
        typer.Option("--shards", callback=limited("--shards", _SHARDS), help="Number of jobs of --write-sbatch."),
    ] = 10,
    throttle: Annotated[
        int | None,
        typer.Option(
            "--throttle", callback=limited("--throttle", _SHARDS), help="Most jobs of the array that run at once."
        ),
    ] = None,
    sbatch: Annotated[
        list[str] | None,
        typer.Option("--sbatch", help="An option for sbatch, as --sbatch=--partition=gpu; may be given several times."),
    ] = None,
    format: FormatOption = Format.table,
    quiet: QuietOption = False,
) -> None:
    """Score all networks of a sweep file under all its settings. Only what the atlas lacks is computed.

    The rows are the same wherever a sweep runs. A network that fails is recorded with its reason, and the others go on.
    The same command again computes what is missing. `murine status SWEEP` tells the state, also while it runs.

    Examples:

    `murine sweep sweep.yaml --dry-run`

    `murine sweep sweep.yaml --jobs 4`

    `murine sweep sweep.yaml --cluster tcp://10.0.0.1:8786`

    `murine sweep sweep.yaml --cluster slurm.yaml`

    `murine sweep sweep.yaml --write-sbatch job.sh --shards 50 --throttle 10 --sbatch=--partition=gpu`
    """
    quieten(quiet)
    if write_sbatch is None and (throttle or sbatch):
        raise MurineError("--throttle and --sbatch belong to --write-sbatch FILE, which was not given.")
    if write_sbatch is not None:
        _write_script(write_sbatch, file, atlas, shards, throttle, sbatch or [], quiet)
    elif dry_run:
        _show_plan(file, atlas, shard, jobs, format, quiet)
    else:
        from murine.sweeps import SweepPlan
        from murine.sweeps import sweep as run

        def tell(plan: SweepPlan) -> None:
            if not quiet:
                print(plan.summary(jobs), file=sys.stderr)

        outcome = run(
            file,
            atlas,
            jobs=jobs,
            cluster=cluster,
            shard=shard,
            isolated=isolated(),
            progress=not quiet,
            announce=tell,
        )
        report_outcomes(outcome.results, atlas, quiet)


def _write_script(
    script: Path, file: Path, atlas: Path, shards: int, throttle: int | None, directives: list[str], quiet: bool
) -> None:
    from murine.sweeps import read_sweep
    from murine.sweeps import write_sbatch as write

    write(script, file, read_sweep(file), atlas, shards, throttle=throttle, directives=directives)
    if not quiet:
        print(f"{script} is written. Submit it with `sbatch {script}`.", file=sys.stderr)


def _show_plan(file: Path, atlas: Path, shard: str, jobs: int, format: Format, quiet: bool) -> None:
    from murine.atlas.store import Atlas
    from murine.progress import progress_bars
    from murine.sweeps import plan_sweep, read_sweep
    from murine.sweeps.run import prepared

    with progress_bars(not quiet) as progress:
        task, units = prepared(read_sweep(file), shard)
        plan = plan_sweep(units, task, Atlas(atlas), progress)
    show(plan.table, format, compact=False)
    if not quiet:
        print(plan.summary(jobs), file=sys.stderr)


@app.command()
def status(
    file: Annotated[
        Path | None, typer.Argument(metavar="[SWEEP]", help="A sweep file; without one, all that the atlas has.")
    ] = None,
    atlas: AtlasOption = Path("atlas"),
    shard: ShardOption = "",
    units: Annotated[bool, typer.Option("--units", help="Print every unit instead of counts.")] = False,
    format: FormatOption = Format.table,
    quiet: QuietOption = False,
) -> None:
    """Print what is done, running, failed (with reasons) and missing, by network and data set.

    Examples:

    `murine status sweep.yaml`

    `murine status sweep.yaml --units --format csv`

    `murine status --atlas atlas`
    """
    from murine.progress import progress_bars
    from murine.sweeps.status import atlas_status, counts, sweep_status

    quieten(quiet)
    with progress_bars(not quiet) as progress:
        table = atlas_status(atlas) if file is None else sweep_status(file, atlas, shard=shard, progress=progress)
    show(table if units or file is None else counts(table), format, compact=False)
    failed = table[table.state == "failed"]
    if not quiet:
        for network, reason in dict(zip(failed.network, failed.about, strict=True)).items():
            print(f"failed: {network}: {reason}", file=sys.stderr)
        told = table.state.value_counts()
        print(", ".join(f"{told.get(s, 0)} {s}" for s in ("done", "running", "failed", "missing")), file=sys.stderr)
