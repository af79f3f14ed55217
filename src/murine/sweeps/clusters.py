"""Dask clusters: at an address, on this machine, or as jobs of a batch system (SLURM, PBS, LSF, SGE)."""

from __future__ import annotations

import gc
import logging
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from murine.errors import MurineError, nearest, reason_of

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

#: The text for a cluster on this machine.
LOCAL = "local"

#: Seconds to wait for a scheduler, and between looks at whether workers have to be replaced.
CONNECT, LOOK = 20.0, 15.0

#: Batch systems, and the classes of dask-jobqueue for them.
BATCH_SYSTEMS = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster", "sge": "SGECluster"}

#: Keys of a cluster file that are ours; all others are options of dask-jobqueue.
_OWN_KEYS = ("kind", "jobs")


class Connection:
    """A client of a Dask cluster.

    Parameters
    ----------
    client
        The client.
    cluster, n_workers
        The cluster and the number of its workers; None for a cluster that somebody else started.
    """

    def __init__(self, client: Client, cluster: Any = None, n_workers: int = 0) -> None:
        self.client = client
        self._cluster, self._n_workers = cluster, n_workers
        self._looked = time.monotonic()

    def look(self) -> None:
        """Replace workers that have ended, from time to time.

        A job that reaches its walltime takes its workers with it. Its batch system does not start it again.
        """
        if self._cluster is None or time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        self._cluster.scale(self._n_workers)


@contextmanager
def connection(cluster: str, jobs: int) -> Iterator[Connection]:
    """Connect to a cluster, and start one where that was asked for; it is ended after the block.

    Parameters
    ----------
    cluster
        ``tcp://HOST:PORT``, ``local``, or a YAML file with ``kind`` (slurm, pbs, lsf, sge), ``jobs`` and options of
        dask-jobqueue.
    jobs
        The number of workers of a local cluster.

    Raises
    ------
    MurineError
        If Dask is not installed, nobody answers at the address, or the cluster file is wrong.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise MurineError(
            "--cluster needs Dask, which is not installed: `pip install 'murine[cluster]'` installs it."
        ) from error
    if "://" in cluster:
        with _client(cluster) as client:
            yield Connection(client)
        return
    if cluster != LOCAL and not Path(cluster).is_file():
        raise MurineError(
            f"there is no cluster {cluster!r}; expected the address of a scheduler (tcp://HOST:PORT), local, or a YAML "
            "file that describes jobs."
        )
    made, n = _local(jobs) if cluster == LOCAL else _batch_system(Path(cluster))
    try:
        made.scale(n)
        with Client(made, timeout=CONNECT) as client:
            yield Connection(client, made, n)
    finally:
        with suppress(Exception):  # its scheduler may be gone
            made.close()


@contextmanager
def _client(address: str) -> Iterator[Client]:
    from distributed import Client

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Mismatched versions")  # `in_dask` compares more of them
            client = Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise MurineError(
            f"no Dask scheduler answers at {address!r} ({reason_of(error)}). `dask scheduler` starts one, and prints "
            "its address."
        ) from error
    try:
        yield client
    finally:
        with suppress(Exception):
            client.close(timeout=5)


def _local(jobs: int) -> tuple[Any, int]:
    """Start a scheduler, and workers as processes that do not import the main module again."""
    from distributed.deploy.subprocess import SubprocessCluster

    cluster = SubprocessCluster(
        n_workers=0,
        worker_kwargs={"nthreads": 1, "memory_limit": 0},
        scheduler_kwargs={"host": "127.0.0.1", "dashboard_address": ":0"},
        silence_logs=logging.ERROR,
    )
    return cluster, max(jobs, 1)


def _batch_system(file: Path) -> tuple[Any, int]:
    """Make a cluster whose workers are jobs, from a YAML file."""
    options = dict(_mapping(file))
    kind, jobs = options.pop("kind", None), options.pop("jobs", 1)
    if kind not in BATCH_SYSTEMS:
        hint = nearest(str(kind), BATCH_SYSTEMS)
        raise MurineError(f"{str(file)!r}: kind is {kind!r}; expected one of {', '.join(BATCH_SYSTEMS)}{hint}")
    if not isinstance(jobs, int) or jobs < 1:
        raise MurineError(f"{str(file)!r}: jobs is {jobs!r}; expected the number of jobs, for example 10.")
    try:
        import dask_jobqueue
    except ImportError as error:
        raise MurineError(
            f"{kind} jobs need dask-jobqueue, which is not installed: `pip install 'murine[cluster]'` installs it."
        ) from error
    # One network at a time in each worker: it computes with the threads that the sweep names.
    options.setdefault("processes", 1)
    extra = [*map(str, options.pop("worker_extra_args", ())), "--nthreads", "1"]
    if (seconds := _walltime(options.get("walltime"))) and "--lifetime" not in extra:
        # A worker that ends by itself before its walltime gives its network to another one.
        extra += ["--lifetime", f"{seconds * 0.9:.0f}s", "--lifetime-stagger", f"{seconds * 0.05:.0f}s"]
    with warnings.catch_warnings():  # what is half made when an option is refused warns that nobody closed it
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            cluster = getattr(dask_jobqueue, BATCH_SYSTEMS[kind])(worker_extra_args=extra, **options)
        except (TypeError, ValueError, OSError, RuntimeError) as error:
            refusal = reason_of(error)
            cluster = None
        gc.collect()
    if cluster is None:
        raise MurineError(f"{str(file)!r}: dask-jobqueue refuses these options: {refusal}")
    return cluster, jobs * options["processes"]


def _mapping(file: Path) -> Mapping[str, Any]:
    from murine.sweeps.sweep_file import read_yaml

    content = read_yaml(file)
    if not isinstance(content, Mapping):
        raise MurineError(f"{str(file)!r} holds {type(content).__name__}; expected keys with values, as `kind: slurm`.")
    return content


def _walltime(given: object) -> float | None:
    """Return the seconds of ``HH:MM:SS`` or ``D-HH:MM:SS``; None where there is no such text."""
    days, _, rest = str(given).rpartition("-")
    parts = rest.split(":")
    if len(parts) != 3 or not all(part.isdigit() for part in parts) or not (days.isdigit() or not days):
        return None
    hours, minutes, seconds = map(int, parts)
    return float(((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds)
