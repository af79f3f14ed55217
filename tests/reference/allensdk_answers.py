"""AllenSDK's answers for the natural scenes of NWB files: a script for an environment of its own, not a test.

    /path/to/allensdk/bin/python tests/reference/allensdk_answers.py <folder of .nwb files> <folder for .npz files>

Needs ``allensdk==2.16.2`` (Python 3.11, ``setuptools<81``, ``statsmodels<0.15``); murine itself never does. Each
answer that AllenSDK gives becomes an array; where it raises, ``error_<answer>`` holds the exception's type and text.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]


def _file_answers(data_set) -> Iterator[tuple[str, Callable[[], Arrays]]]:
    yield "cell_specimen_ids", lambda: {"cell_specimen_ids": data_set.get_cell_specimen_ids()}
    yield "metadata", lambda: {"metadata": np.array(json.dumps(data_set.get_metadata(), default=str))}
    yield "stimuli", lambda: {"stimuli": np.array(data_set.list_stimuli())}
    yield "dff", lambda: {"dff_shape": np.array(data_set.get_dff_traces()[1].shape)}

    def corrected() -> Arrays:
        clock, traces = data_set.get_corrected_fluorescence_traces()
        return {"clock": clock, "corrected": traces}

    def running() -> Arrays:
        speed, times = data_set.get_running_speed()
        return {"running": speed, "running_times": times}

    def table() -> Arrays:
        rows = data_set.get_stimulus_table("natural_scenes")
        return {"table": rows[["frame", "start", "end"]].to_numpy(), "table_rows": rows.index.to_numpy()}

    yield "corrected", corrected
    yield "running", running
    yield "table", table


def _scene_answers(scenes) -> Iterator[tuple[str, Callable[[], Arrays]]]:
    yield (
        "timing",
        lambda: {
            "acquisition_rate": np.array(scenes.acquisition_rate),
            "sweep_length": np.array(scenes.sweeplength),
        },
    )

    def means() -> Arrays:
        frame = scenes.mean_sweep_response
        return {
            "mean_sweep_response": frame.iloc[:, :-1].to_numpy(),  # typed as AllenSDK has it
            "mean_dx": frame["dx"].to_numpy(),
            "sweep_rows": frame.index.to_numpy(),
        }

    def peak() -> Arrays:
        frame = scenes.peak
        return {f"peak_{column}": frame[column].to_numpy().astype(np.float64) for column in frame.columns}

    yield "mean_sweep_response", means
    yield "sweep_p", lambda: {"sweep_p": scenes.pval.to_numpy(), "sweep_p_columns": np.array(scenes.pval.columns, str)}
    yield "response", lambda: {"response": scenes.response}
    yield "peak", peak


def answers(path: Path) -> Arrays:
    """Everything AllenSDK says about one file."""
    from allensdk.brain_observatory.natural_scenes import NaturalScenes
    from allensdk.core.brain_observatory_nwb_data_set import BrainObservatoryNwbDataSet

    found: Arrays = {}

    def collect(questions: Iterator[tuple[str, Callable[[], Arrays]]]) -> None:
        for name, ask in questions:
            try:
                found.update(ask())
            except Exception as error:  # whatever it is, it is AllenSDK's answer
                found[f"error_{name}"] = np.array(f"{type(error).__name__}: {error}")

    data_set = BrainObservatoryNwbDataSet(str(path))
    collect(_file_answers(data_set))
    try:
        scenes = NaturalScenes(data_set)
    except Exception as error:
        found["error_scenes"] = np.array(f"{type(error).__name__}: {error}")
    else:
        collect(_scene_answers(scenes))
    return found


def main(folder: str, out: str) -> None:
    """One npz file per NWB file."""
    warnings.simplefilter("ignore")
    Path(out).mkdir(parents=True, exist_ok=True)
    for path in sorted(Path(folder).glob("*.nwb")):
        np.savez(Path(out) / f"{path.stem}.npz", **answers(path))


if __name__ == "__main__":
    main(*sys.argv[1:])
