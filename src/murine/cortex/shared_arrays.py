"""Readers of the arrays of the shared folder: natural scenes, Neuropixels spike counts and two-photon matrices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from murine.cortex.dataset import Dataset
from murine.cortex.natural_scenes import SCENE_IDS, scene_groups
from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording, Site
from murine.errors import MurineError, some
from murine.io.data_folder import data_folder
from murine.io.files import read_npz, read_table
from murine.io.labels import as_labels
from murine.stimuli import StimulusSet


def natural_scenes(root: Path | None = None) -> StimulusSet:
    """Return the 118 natural scenes of the Allen Brain Observatory, 231 x 295, with their real resolution as
    ``groups``.

    Scenes 0-58 are fourfold enlargements of animal photographs, 59-101 have full resolution (mostly plants), and
    102-117 are enlarged. Content and resolution are confounded, so scores within the first two groups are reported in
    addition to the overall score.
    """
    scenes = StimulusSet.from_folder(data_folder(root) / "allen_natural_scenes" / "scenes")
    if scenes.ids != SCENE_IDS:
        missing = sorted(set(SCENE_IDS) - set(scenes.ids))
        raise MurineError(f"the folder of natural scenes is not complete; missing: {', '.join(missing) or 'none'}.")
    return StimulusSet(scenes.images, scenes.ids, scene_groups(), "natural scenes")


def read_neuropixels(root: Path | None = None, min_bins: int = 6) -> Dataset:
    """Read spike rates (spikes/s) of single trials: Allen Neuropixels Visual Coding, 118 scenes, about 50 repetitions.

    Units of six areas that the source selected for reliability. Arrays whose analysis window is shorter than
    ``min_bins`` bins of 10 ms are left out. Repetitions a mouse did not see are NaN. Coordinates of the neurons:
    neuroid_id, area, layer ('' where not assigned), depth (relative cortical depth, 0 surface to 1 white matter, NaN
    where not assigned), cre_line, cell_class (unknown), session_id, donor, sex, mean_rate_hz, time_to_first_spike_s,
    n_bins, window_first_bin, tier."""
    folder = data_folder(root) / "allen_neuropixels_natural_scenes"
    place = ("area", "specimen_id")
    arrays = read_table(folder / "arrays.csv", (*place, "session_id", "n_trials", "n_bins", "window_first_bin", "tier"))
    units = read_table(
        folder / "units.csv",
        (
            *place,
            "unit_row",
            "unit_id",
            "cortical_layer",
            "cortical_depth",
            "time_to_first_spike_flash_s",
            "mean_rate_hz",
        ),
    )
    sessions = read_table(folder / "sessions.csv", ("specimen_id", "session_id", "cre_line", "sex"))
    scenes = natural_scenes(root)
    _refuse_incomplete(folder, arrays, units, sessions)
    arrays = arrays[arrays.n_bins >= min_bins]
    if arrays.empty:
        raise MurineError(f"no array of {str(folder)!r} has a window of at least {min_bins} bins.")
    n_repetitions = int(arrays.n_trials.max())
    rates, tables = [], []
    counts: dict[str, dict[str, np.ndarray]] = {}
    for array in arrays.itertuples():
        area, specimen = str(array.area), int(array.specimen_id)
        if area not in counts:
            counts[area] = read_npz(folder / f"counts_{area}.npz")
        trials = counts[area].get(f"counts_{specimen}")
        members = units[(units.area == area) & (units.specimen_id == specimen)].sort_values("unit_row")
        if trials is None or trials.ndim != 3 or trials.shape[:2] != (len(members), scenes.n_stimuli):
            shape = None if trials is None else trials.shape
            raise MurineError(
                f"counts_{area}.npz holds {shape} for mouse {specimen}; units.csv and the scenes ask for "
                f"({len(members)}, {scenes.n_stimuli}, trials)."
            )
        padded = np.full((*trials.shape[:2], n_repetitions), np.nan, np.float32)
        padded[:, :, : trials.shape[2]] = trials.astype(np.float32) * np.float32(100 / array.n_bins)
        rates.append(padded)
        tables.append(members)
    table = pd.concat(tables, ignore_index=True)
    about_arrays = arrays[["area", "specimen_id", "session_id", "n_bins", "window_first_bin", "tier"]]
    about_mice = sessions[["specimen_id", "cre_line", "sex"]]
    table = table.merge(about_arrays, how="left", on=["area", "specimen_id"])
    table = table.merge(about_mice, how="left", on="specimen_id")
    known = table.unit_id.notna() & (table.unit_id.fillna(0) > 0)
    position = table.specimen_id.astype(str) + "-" + table.area + "-" + table.unit_row.astype(str)
    cortical_layer = table.cortical_layer.fillna(0).astype(int)
    assigned = cortical_layer > 0
    layer = cortical_layer.astype(str).where(assigned, "").replace("2", "2/3")
    neuroid = {
        "neuroid_id": table.unit_id.fillna(0).astype(np.int64).astype(str).where(known, position),
        "area": table.area,
        "layer": layer,
        "depth": table.cortical_depth.where(assigned),
        "cre_line": table.cre_line,
        "cell_class": np.full(len(table), "unknown"),
        "session_id": as_labels(table.session_id, "sessions", missing=""),
        "donor": table.specimen_id.astype(str),
        "sex": table.sex,
        "mean_rate_hz": table.mean_rate_hz,
        "time_to_first_spike_s": table.time_to_first_spike_flash_s,
        "n_bins": table.n_bins,
        "window_first_bin": table.window_first_bin,
        "tier": table.tier,
    }
    stimulus = {"stimulus_id": np.array(scenes.ids), "group": np.array(scenes.groups)}
    recording = Recording.from_arrays(np.concatenate(rates), neuroid, stimulus, name="allen-neuropixels")
    return Dataset(scenes, recording)


def _refuse_incomplete(folder: Path, arrays: pd.DataFrame, units: pd.DataFrame, sessions: pd.DataFrame) -> None:
    """The tables name the same arrays and mice; one that was cut off would silently leave some out."""
    named = [set(zip(t.area.astype(str), t.specimen_id.astype(str), strict=True)) for t in (arrays, units)]
    odd = named[0] ^ named[1]
    if odd:
        raise MurineError(
            f"arrays.csv and units.csv of {str(folder)!r} do not name the same arrays: "
            f"{some(sorted(map(' '.join, odd)))}. One of them may be truncated."
        )
    unknown = sorted(set(arrays.specimen_id) - set(sessions.specimen_id))
    if unknown or arrays[["n_bins", "n_trials"]].isna().any(axis=None):
        raise MurineError(
            f"sessions.csv or arrays.csv of {str(folder)!r} is incomplete, perhaps truncated: no row of sessions for "
            f"mouse {some(unknown) or '-'}, or arrays without n_bins or n_trials."
        )


def read_two_photon_matrices(root: Path | None = None) -> Dataset:
    """21 dissimilarity matrices (area x layer) of two-photon responses to the 118 scenes, with their reliabilities.

    1 - the correlation matrices of Conwell et al. 2021. Their row 118, the blank screen, is left out: it has no
    image. The published split-half reliabilities are taken as reliabilities of these matrices."""
    folder = data_folder(root) / "allen_2p_rdms"
    scenes = natural_scenes(root)
    similarity = read_npz(folder / "similarity_upper.npz")
    ceilings = read_table(folder / "noise_ceiling.csv", ("area", "layer", "mean", "sem"))
    n_conditions = scenes.n_stimuli + 1
    rows, columns = np.triu_indices(n_conditions, 1)
    matrices, sites, reliability = [], [], []
    for row in ceilings.itertuples():
        key = f"{row.area}_{row.layer}"
        values = similarity.get(key)
        if values is None or values.shape != rows.shape:
            raise MurineError(f"similarity_upper.npz should hold {rows.shape} values for {key!r}.")
        matrix = np.zeros((n_conditions, n_conditions))
        matrix[rows, columns] = matrix[columns, rows] = 1 - values.astype(np.float64)
        matrices.append(matrix[:-1, :-1])
        layer = str(row.layer).removeprefix("layer").replace("23", "2/3")
        sites.append(Site.of({"area": str(row.area), "layer": layer}))
        reliability.append((row.mean, row.sem))
    if len(sites) != len(similarity):
        raise MurineError(
            f"noise_ceiling.csv has {len(sites)} rows for {len(similarity)} matrices; it may be truncated."
        )
    mean, sem = np.array(reliability, dtype=np.float64).T
    return Dataset(scenes, NeuralRDMs(np.stack(matrices), tuple(sites), scenes.ids, mean, sem, "allen-2p"))
