"""What every test shares: checked array shapes, one thread, and the folder of real data."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import jaxtyping
import pytest
from commands import Ran, own_notes, run_here
from public_bucket import BucketServer, PublicBucket, bucket_server
from runtime_checks import modules_of_arrays

# Before murine is imported: functions check the types, shapes and dtypes in their annotations.
jaxtyping.install_import_hook(modules_of_arrays(), "runtime_checks.checked")

# xdist sets it for its processes; tables in files and pipes are as wide as they like without it.
os.environ.pop("COLUMNS", None)

# A shell starts what it runs in the background (`make test &`) with Ctrl-C ignored, and processes that tests start and
# interrupt would inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Switch the checks off, as they are for users, to see what murine itself says to wrong input."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def _find_data() -> Path | None:
    """``$MURINE_SHARED``, else ``../shared`` beside the repository; itself or its subfolder ``data``."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    given = Path(os.environ.get("MURINE_SHARED", beside)).resolve()
    return next((f for f in (given / "data", given) if (f / "allen_natural_scenes").is_dir()), None)


@pytest.fixture(scope="session", autouse=True)
def _surroundings(tmp_path_factory) -> Iterator[None]:
    """One thread, here and in processes that tests start: sums are reproducible. Data found from anywhere, and a cache
    of their own."""
    import scipy.linalg  # noqa: F401 (its thread pool must exist to be limited)
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    gc.freeze()  # Lightning looks through every object after each training; thousands of tests are no garbage
    folder = _find_data()
    with pytest.MonkeyPatch.context() as patch, threadpool_limits(1):
        for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            patch.setenv(variable, "1")
        patch.setenv("MURINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        if folder is not None:
            patch.setenv("MURINE_SHARED", str(folder))
        yield


@pytest.fixture(autouse=True)
def _own_notes() -> Iterator[None]:
    """Leave logging as it was, whatever a test does to it."""
    with own_notes():
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that need it are skipped where there is none."""
    folder = _find_data()
    if folder is None:
        pytest.skip("needs the folder of real data: set MURINE_SHARED, or put it at ../shared/data")
    return folder


@pytest.fixture(scope="session")
def server_of_buckets() -> Iterator[BucketServer]:
    """A server on loopback that speaks S3."""
    with bucket_server() as server:
        yield server


@pytest.fixture(scope="session")
def bucket(server_of_buckets: BucketServer) -> PublicBucket:
    """A public bucket; every test has keys of its own."""
    return server_of_buckets.bucket("public-data")


@pytest.fixture
def murine(monkeypatch, capsys) -> Callable[..., Ran]:
    """Run a command in this process, through the same `main` as the installed script.

    Networks run in this process, too: a process of their own takes seconds to start (`tests/faults/test_networks.py`).
    """
    monkeypatch.setenv("MURINE_IN_PROCESS", "1")

    def run(*arguments: object) -> Ran:
        capsys.readouterr()
        return Ran(run_here(*arguments), *capsys.readouterr())

    return run
