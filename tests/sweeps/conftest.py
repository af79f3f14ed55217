"""A small sweep, an undisturbed run of it, and a SLURM to run it on."""

from __future__ import annotations

import loopback_slurm
import pytest
import small_sweep

from murine.sweeps.run import sweep


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """A folder with ``sweep.yaml``, and the networks, images and responses that it names."""
    folder = tmp_path_factory.mktemp("lab")
    small_sweep.write(folder)
    return folder


@pytest.fixture(scope="session")
def whole(lab, tmp_path_factory):
    """The rows of an undisturbed run in this process."""
    folder = tmp_path_factory.mktemp("whole")
    outcome = sweep(lab / "sweep.yaml", folder, isolated=False)
    assert outcome.count("computed") == len(outcome.results) == 12
    return small_sweep.rows(folder)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """A SLURM of one node on loopback."""
    if reason := loopback_slurm.why_not():
        pytest.skip(reason)
    cluster = loopback_slurm.LoopbackSlurm(tmp_path_factory.mktemp("slurm"))
    cluster.start()
    yield cluster
    cluster.stop()
