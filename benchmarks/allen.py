"""What it costs to make responses of an experiment's file, and to choose neurons from all experiments'.

Claims, each measured side by side in this run, on one thread:

1. A file of real size (150 cells x 113,850 frames, 119 conditions x 50 sweeps) becomes responses in at most 3 x the
   time in which bare h5py reads the datasets they are made of, be it float32, float64, or compressed; in a fresh
   process a Recording with metrics and labels takes less than 1.5 GB. What these cost is told, too.
2. The responses of 37,000 cells (119 x 50) open in under 1 s, and reading them, choosing those that running does not
   modulate, and their split-half reliability (100 splits) takes at most 5 x the time of only reading them.

Times are CPU times; rounds are paired, and medians are told. Bare reading copies pages that the system has in memory,
at several GB/s: the hardest case. The ratios vary from run to run by a few tenths. Needs 4 GB of memory, and 2 GB of
disk in the folder of temporary files.

Run: python benchmarks/allen.py [--neurons 37000]
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from threadpoolctl import threadpool_limits

from murine.cortex.allen.ophys import Experiment
from murine.cortex.allen.reduction import read_recording
from murine.cortex.allen.scene_metrics import NaturalScenes
from murine.cortex.recording import Recording
from murine.cortex.selection import conwell2021
from reliability import population

ROUNDS = 9
N_CELLS, N_FRAMES, N_SCENES, N_REPETITIONS = 150, 113_850, 118, 50
BLOCK_STARTS = (16_100, 47_700, 98_000)  # frames at which the three blocks of scenes begin, about as in session B
PIPELINE = "processing/brain_observatory_pipeline"
PLANE = f"{PIPELINE}/Fluorescence/imaging_plane_1"
RUNNING = f"{PIPELINE}/BehavioralTimeSeries/running_speed"
SCENES = "stimulus/presentation/natural_scenes_stimulus"
DATASETS = (
    *(f"{PLANE}_demixed_signal/data", f"{PLANE}_neuropil_response/data", f"{PLANE}_neuropil_response/r"),
    *(f"{PLANE}/timestamps", f"{RUNNING}/data", f"{RUNNING}/timestamps", f"{SCENES}/data", f"{SCENES}/frame_duration"),
)
FILES = {  # name: type of the traces, how they are stored
    "float64": (np.float64, {}),
    "float64, gzip": (np.float64, {"compression": "gzip", "compression_opts": 4, "chunks": True}),
    "float32": (np.float32, {}),
}


def write_session(file: Path, dtype: type, storage: dict[str, object]) -> None:
    """A session B as far as responses need it: noise on a baseline, and two cells in three tuned to a scene."""
    rng = np.random.default_rng(0)
    shown = np.concatenate([rng.permutation(N_SCENES + 1) - 1 for _ in range(N_REPETITIONS)])
    blocks = np.array_split(np.arange(len(shown)), len(BLOCK_STARTS))
    starts = np.concatenate(
        [first + np.floor(7.52 * np.arange(len(b))) for first, b in zip(BLOCK_STARTS, blocks, strict=True)]
    ).astype(np.int64)
    rows = rng.permutation(len(shown))
    clock = 4.2 + np.arange(N_FRAMES) / 30.1
    texts = {
        "session_id": "501559087",
        "experiment_container_id": "511510736",
        "session_type": "three_session_B",
        "specimen_name": "Cux2-CreERT2;Camk2a-tTA;Ai93-222426",
        "subject/genotype": "Cux2-CreERT2/wt;Camk2a-tTA/wt;Ai93(TITL-GCaMP6f)/wt",
        "optophysiology/imaging_plane_1/location": "VISp",
        "optophysiology/imaging_plane_1/imaging depth": "175 microns",
    }
    with h5py.File(file, "w") as opened:
        for path, text in texts.items():
            opened[f"general/{path}"] = np.bytes_(text)
        opened["general/generated_by"] = np.array(["pipeline", "3.0"], "S")
        opened[f"{PIPELINE}/ImageSegmentation/cell_specimen_ids"] = 517_000_000 + np.arange(N_CELLS)
        opened[f"{PIPELINE}/ImageSegmentation/roi_ids"] = np.array([str(i) for i in range(N_CELLS)], "S")
        opened[f"{PLANE}/timestamps"] = clock
        opened[f"{RUNNING}/data"] = 10 * np.abs(np.sin(np.arange(N_FRAMES) / 900)) ** 4
        opened[f"{RUNNING}/timestamps"] = clock
        opened[f"{SCENES}/data"] = shown[rows]
        opened[f"{SCENES}/frame_duration"] = np.stack([starts, starts + 7], axis=1)[rows]
        opened[f"{PLANE}_neuropil_response/r"] = rng.uniform(0.2, 0.9, N_CELLS).astype(dtype)
        shape = (N_CELLS, N_FRAMES)
        demixed = opened.create_dataset(f"{PLANE}_demixed_signal/data", shape, dtype, **storage)
        neuropil = opened.create_dataset(f"{PLANE}_neuropil_response/data", shape, dtype, **storage)
        step = demixed.chunks[0] if demixed.chunks else 10
        for first in range(0, N_CELLS, step):
            cells = range(first, min(first + step, N_CELLS))
            traces = 600 + 40 * rng.standard_normal((len(cells), N_FRAMES), dtype=np.float32)
            for trace, cell in zip(traces, cells, strict=True):
                for start in starts[shown == cell] if cell % 3 else ():
                    trace[start + 2 : start + 14] += 400
            demixed[cells.start : cells.stop] = traces
            neuropil[cells.start : cells.stop] = 200 + 20 * rng.standard_normal(traces.shape, dtype=np.float32)


def bare(file: Path) -> list[np.ndarray]:
    with h5py.File(file) as opened:
        return [opened[path][()] for path in DATASETS]


def responses_alone(file: Path) -> np.ndarray:
    with Experiment(file) as experiment:
        return NaturalScenes(experiment).mean_sweep_response


def cpu_time(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def fresh_peak(file: Path) -> float:
    """GB that a process takes at most which reads one file and does nothing else."""
    done = subprocess.run([sys.executable, __file__, "--peak", str(file)], check=True, capture_output=True, text=True)
    peak: float = json.loads(done.stdout)
    return peak


def session_ratios(folder: Path) -> dict[str, float]:
    """Time over that of bare reading, by what is made of which kind of file."""
    ratios = {}
    for name, (dtype, storage) in FILES.items():
        file = folder / "501559087.nwb"
        write_session(file, dtype, storage)
        in_place = functools.partial(read_recording, isolated=False)  # the time of another process is not seen
        works = [functools.partial(work, file) for work in (bare, in_place, responses_alone)]
        for work in works:
            work()
        rounds = [[cpu_time(work) for work in works] for _ in range(ROUNDS)]
        read, whole, responses = (statistics.median(times) for times in zip(*rounds, strict=True))
        ratios[f"{name}: Recording with metrics and labels"] = statistics.median(w / r for r, w, _ in rounds)
        ratios[f"{name}: responses"] = statistics.median(alone / r for r, _, alone in rounds)
        print(f"{name} ({file.stat().st_size / 1e6:.0f} MB): bare h5py {read:.3f} s, responses {responses:.3f} s,")
        print(f"Recording with metrics and labels {whole:.3f} s, peak memory {fresh_peak(file):.2f} GB", flush=True)
    return ratios


def selection_ratio(folder: Path, n_neurons: int) -> float:
    """Reading, selection and reliability over reading, of all neurons, labelled as a session's are."""
    session = folder / "501559087.nwb"
    labels = read_recording(session, isolated=False).dataset.coords
    names = [str(k) for k, x in labels.items() if x.dims == ("neuroid",) and k not in ("neuroid_id", "p_run_mod_ns")]
    everyone = population(n_neurons)
    everyone = everyone.labelled({name: np.resize(labels[name].values, n_neurons) for name in names})
    file = folder / "everyone.nc"
    everyone.write(file)
    opening = min(cpu_time(lambda: Recording.read(file)) for _ in range(3))
    rounds = [
        (cpu_time(lambda: Recording.read(file).responses), cpu_time(lambda: conwell2021(Recording.read(file))))
        for _ in range(3)
    ]
    reading, chosen = (statistics.median(times) for times in zip(*rounds, strict=True))
    print(
        f"{n_neurons} cells ({file.stat().st_size / 1e6:.0f} MB, {len(names) + 2} labels): opened in {opening:.2f} s, "
    )
    print(f"read in {reading:.2f} s, read, selected and reliability computed in {chosen:.2f} s", flush=True)
    return statistics.median(both / read for read, both in rounds)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--neurons", type=int, default=37_000)
    parser.add_argument("--peak", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak:
        read_recording(given.peak, isolated=False)
        print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9))
        return
    with threadpool_limits(1), tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        print(f"{N_CELLS} cells x {N_FRAMES} frames, {N_SCENES + 1} x {N_REPETITIONS} sweeps")
        ratios = session_ratios(folder)
        selection = selection_ratio(folder, given.neurons)
    print(f"(reading + selection + reliability) / reading, {given.neurons} cells: {selection:.2f}")
    for name, ratio in ratios.items():
        print(f"over bare h5py, {name}: {ratio:.2f}")


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"  # of the fresh process, too
    main()
