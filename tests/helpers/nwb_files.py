"""NWB 2 files as a laboratory writes them with pynwb, and the numbers that they were made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from pynwb import NWBHDF5IO, NWBFile
from pynwb.epoch import TimeIntervals
from pynwb.ophys import DfOverF, ImageSegmentation, OpticalChannel, RoiResponseSeries

IMAGES = [f"im{i}" for i in range(6)]


def empty() -> NWBFile:
    return NWBFile("mouse", "session 1", datetime(2024, 1, 2, tzinfo=UTC))


def save(nwb: NWBFile, file: Path) -> Path:
    with NWBHDF5IO(file, "w") as io:
        io.write(nwb)
    return file


def shown(ids=None, n_repetitions=4, seed=0) -> pd.DataFrame:
    """Presentations of 0.25 to 0.3 s in a random order, with a pause after each; not sorted by time."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(np.repeat(np.array(IMAGES if ids is None else ids, dtype=object), n_repetitions))
    start = 2 + np.arange(len(order)) * 0.5 + rng.uniform(0, 0.1, len(order))
    table = pd.DataFrame({"start_time": start, "stop_time": start + rng.uniform(0.25, 0.3, len(order)), "image": order})
    return table.sample(frac=1, random_state=seed)


def add_presentations(
    nwb: NWBFile, table: pd.DataFrame, name="images_presentations", column="image", others=()
) -> TimeIntervals:
    """Add a table of intervals; ``others`` are further columns: (name, values)."""
    intervals = TimeIntervals(name=name, description="what was shown")
    intervals.add_column(column, "what was shown")
    for key, _ in others:
        intervals.add_column(key, "about it")
    for i, row in enumerate(table.itertuples()):
        more = {key: values[i] for key, values in others}
        intervals.add_interval(start_time=row.start_time, stop_time=row.stop_time, **{column: row.image}, **more)
    nwb.add_time_intervals(intervals)
    return intervals


@dataclass
class Spikes:
    """Units with sorted spike times, and where they were."""

    times: list[np.ndarray]
    areas: list[str] = field(default_factory=lambda: ["VISp", "VISl", "VISp"])

    @classmethod
    def drawn(cls, seed=0) -> Spikes:
        rng = np.random.default_rng(seed)
        return cls([np.sort(rng.uniform(0, 20, n)) for n in (400, 0, 900)])


def add_units(nwb: NWBFile, spikes: Spikes, *, electrodes=True, observed=None, several=False) -> None:
    """Add units of two electrodes each; ``several``: the last unit has them in two areas."""
    device = nwb.create_device("probe")
    group = nwb.create_electrode_group("shank", "a shank", "cortex", device)
    for area in spikes.areas:
        for _ in range(2):
            nwb.add_electrode(group=group, location=area)
    nwb.add_unit_column("quality", "by hand")
    nwb.add_unit_column("snr", "signal to noise")
    for i, times in enumerate(spikes.times):
        own = [0, 5] if several and i == 2 else [2 * i, 2 * i + 1]
        nwb.add_unit(
            id=10 + i,
            spike_times=times,
            quality=["good", "mua"][i % 2],
            snr=float(i),
            **({"electrodes": own} if electrodes else {}),
            **({} if observed is None else {"obs_intervals": observed[i]}),
        )


@dataclass
class Traces:
    """Fluorescence of cells at 30 Hz."""

    values: np.ndarray
    times: np.ndarray

    @classmethod
    def drawn(cls, n_cells=5, seed=1) -> Traces:
        rng = np.random.default_rng(seed)
        times = 1 + np.arange(600) / 30
        return cls(rng.normal(size=(600, n_cells)), times)


def add_traces(
    nwb: NWBFile, traces: Traces, *, kind=DfOverF, name="RoiResponseSeries", rate=False, rows=None, **options
) -> None:
    """Add traces of cells, whose table has seven rows with a label; ``rows`` are the cells that the series is of."""
    module = nwb.processing.get("ophys") or nwb.create_processing_module("ophys", "imaging")
    if "ImageSegmentation" not in module.data_interfaces:
        device = nwb.create_device("microscope")
        channel = OpticalChannel(name="green", description="green", emission_lambda=520.0)
        plane = nwb.create_imaging_plane(
            name="plane",
            optical_channel=channel,
            description="a plane",
            device=device,
            excitation_lambda=920.0,
            indicator="GCaMP6f",
            location="VISp",
        )
        segmentation = ImageSegmentation()
        module.add(segmentation)
        cells = segmentation.create_plane_segmentation(
            name="PlaneSegmentation", description="cells", imaging_plane=plane
        )
        cells.add_column("cell_type", "by its gene")
        for i in range(7):
            cells.add_roi(image_mask=np.ones((2, 2)), id=100 + i, cell_type="Sst" if i % 2 else "Pvalb")
    cells = module["ImageSegmentation"]["PlaneSegmentation"]
    rows = list(range(traces.values.shape[1])) if rows is None else rows
    when = {"starting_time": 1.0, "rate": 30.0} if rate else {"timestamps": traces.times}
    region = cells.create_roi_table_region(description="these", region=rows)
    series = RoiResponseSeries(name=name, data=traces.values, rois=region, unit="dF/F", **when, **options)
    label = kind.__name__
    if label not in module.data_interfaces:
        module.add(kind())
    module[label].add_roi_response_series(series)
