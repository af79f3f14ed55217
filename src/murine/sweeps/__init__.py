"""Sweeps: many networks, variants, input sizes and data sets from one file, on one machine or on a cluster.

`sweep` runs a file of YAML (`read_sweep`, `SweepFile`) in processes of this machine or on Dask workers, and computes
only what the atlas lacks. `write_sbatch` writes a job array for SLURM, and `sweep_status` and `atlas_status` tell what
is done, running, failed and missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from murine.sweeps.batch_script import write_sbatch as write_sbatch
    from murine.sweeps.plan import SweepPlan as SweepPlan
    from murine.sweeps.plan import plan_sweep as plan_sweep
    from murine.sweeps.run import SweepOutcome as SweepOutcome
    from murine.sweeps.run import sweep as sweep
    from murine.sweeps.status import atlas_status as atlas_status
    from murine.sweeps.status import sweep_status as sweep_status
    from murine.sweeps.sweep_file import SweepFile as SweepFile
    from murine.sweeps.sweep_file import read_sweep as read_sweep

__getattr__, __dir__, __all__ = lazy_exports(__name__)
