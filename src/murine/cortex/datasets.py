"""The cortical data sets murine knows by name, each with the images that were shown."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from murine.cortex.allen.holdings import TwoPhoton
from murine.cortex.data_files import kind_of, read_responses
from murine.cortex.file_names import SUFFIXES, is_data_file
from murine.cortex.natural_scenes import BLANK, SCENE_IDS, scene_groups
from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording, Site
from murine.errors import MurineError, some
from murine.io.array_cache import ArrayCache
from murine.io.data_folder import data_folder
from murine.io.files import cache_folder, read_npz, read_table
from murine.io.labels import as_labels
from murine.registry import Registry
from murine.stimuli import StimulusSet

log = logging.getLogger(__name__)

#: What others call the blank screen, among them AllenSDK.
_BLANK_ELSEWHERE = ("-1", "blank", "blank screen", "blank_sweep", "grey", "gray", "grey screen", "gray screen", "nan")

Cortex = tuple[StimulusSet, Recording | NeuralRDMs]

#: Names to functions that load a data set from the folder of data (which built-in simulations ignore).
datasets: Registry[Callable[[Path | None], Cortex]] = Registry("dataset")


def natural_scenes(root: Path | None = None) -> StimulusSet:
    """The 118 natural scenes of the Allen Brain Observatory, 231 x 295, with the group of real resolution as
    ``groups``.

    Scenes 0-58 are fourfold enlargements of animal photographs, 59-101 have full resolution (mostly plants), 102-117
    are enlarged: content goes with resolution, so scores within the first two groups are told beside the overall one.
    """
    scenes = StimulusSet.from_folder(data_folder(root) / "allen_natural_scenes" / "scenes")
    if scenes.ids != SCENE_IDS:
        missing = sorted(set(SCENE_IDS) - set(scenes.ids))
        raise MurineError(f"the folder of natural scenes is not complete; missing: {', '.join(missing) or 'none'}.")
    return StimulusSet(scenes.images, scenes.ids, scene_groups(), "natural scenes")


@datasets.register("allen-neuropixels")
def allen_neuropixels(root: Path | None = None, min_bins: int = 6) -> Cortex:
    """Spike rates (spikes/s) of single trials: Allen Neuropixels Visual Coding, 118 scenes, about 50 repetitions.

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
    return scenes, recording


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


@datasets.register("allen-2p")
def allen_2p(root: Path | None = None) -> Cortex:
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
    return scenes, NeuralRDMs(np.stack(matrices), tuple(sites), scenes.ids, mean, sem, "allen-2p")


@datasets.register("allen")
def allen(root: Path | None = None) -> Cortex:
    """Two-photon responses to the 118 scenes, as far as `murine data fetch allen` has fetched them.

    All cells of all sessions in the cache but those of failed containers, corrected fluorescence in AllenSDK's window;
    the images as they were shown, 918 x 1174. `murine data build allen` chooses among them, or takes another signal or
    window.
    """
    holdings = TwoPhoton()
    catalogue = holdings.catalogue().select()
    images = holdings.templates.stimuli()
    return images, _without_blank(images, holdings.recording(catalogue))


@datasets.register("simulated")
def simulated(root: Path | None = None) -> Cortex:
    """A simulated cortex whose truth is known: three areas, two cell classes, 100 images, 20 repetitions. Needs no
    data.
    """
    from murine.cortex.simulated import simulate

    cortex = simulate(kept=ArrayCache(cache_folder() / "simulated"))  # once, and not in every process of a sweep
    return cortex.stimuli, cortex.recording


def load_cortex(name: str, *, root: Path | None = None, stimuli: Path | None = None) -> Cortex:
    """Load a data set by name, or a user's own by file.

    Parameters
    ----------
    name
        A registered name, or a file of responses that `murine.cortex.data_files.read_responses` reads without options:
        a recording, labelled arrays, a table of trials, an array with ids, matrices, an NWB 2 file.
    root
        Folder of data for registered names.
    stimuli
        For a user's own data: the images, a folder or an npz file (`StimulusSet.from_folder`, `from_npz`). Responses to
        ``blank`` need no image and are left out, as are stimuli without a single valid trial.
    """
    if _is_own_file(name):
        if stimuli is None:
            kind_of(Path(name))  # what is no file of responses is told first
            raise MurineError(f"{name!r} came without images; give them with --stimuli FOLDER or FILE.npz.")
        images = read_stimuli(stimuli)
        return images, matched_to(images, read_responses(name))
    load = datasets[name]
    if stimuli is not None:
        raise MurineError(
            f"{name!r} brings its own images, so --stimuli {str(stimuli)!r} would be ignored. Leave it out, or name a "
            f"file of responses ({', '.join(SUFFIXES)})."
        )
    return load(root)


def load_responses(name: str, *, root: Path | None = None) -> Recording | NeuralRDMs:
    """Load a data set as `load_cortex` does, without images: a user's own file needs none."""
    return read_responses(name) if _is_own_file(name) else datasets[name](root)[1]


def _is_own_file(name: str) -> bool:
    """Whether a name is a user's file: by its ending, or because no data set is called so and it looks like a file."""
    return is_data_file(name) or (name not in datasets and (Path(name).exists() or Path(name).suffix != ""))


def read_stimuli(path: Path) -> StimulusSet:
    """Read a user's images: an npz file, or a folder of image files."""
    return StimulusSet.from_npz(path) if path.suffix == ".npz" else StimulusSet.from_folder(path)


def matched_to(images: StimulusSet, responses: Recording | NeuralRDMs) -> Recording | NeuralRDMs:
    """Leave out of a recording the blank screen, where it has no image, and stimuli without a single valid trial.

    Raises
    ------
    MurineError
        If another stimulus has no image, and that may be the blank screen under another name.
    """
    if not isinstance(responses, Recording):
        return responses
    return _without_unseen(_without_blank(images, responses))


def _without_blank(images: StimulusSet, recording: Recording) -> Recording:
    """Leave the blank screen out of the responses where there is no image of it: no network sees it."""
    if BLANK in recording.stimulus_ids and BLANK not in images.ids:
        recording = recording.select(stimuli=[i for i in recording.stimulus_ids if i != BLANK])
    missing = sorted(set(recording.stimulus_ids) - set(images.ids))
    if len(missing) == 1 or any(i.strip().lower() in _BLANK_ELSEWHERE for i in missing):
        raise MurineError(
            f"{len(missing)} of {recording.n_stimuli} stimuli have no image in {images.name!r}: {some(missing)}. It "
            f"has {images.n_stimuli}: {some(images.ids, 3)}. If that is the blank screen, call it {BLANK!r} in "
            f"{recording.name!r}: responses to it are left out. Else add the image, or leave the responses out "
            "(Recording.select(stimuli=...))."
        )
    return recording


def _without_unseen(recording: Recording) -> Recording:
    """Leave out stimuli that were never shown, as far as the responses tell, and say which."""
    unseen = recording.unseen()
    if not unseen or len(unseen) == recording.n_stimuli:
        return recording
    log.warning(
        "%s: %d of %d stimuli are left out, since no neuron has a valid trial of them: %s",
        recording.name,
        len(unseen),
        recording.n_stimuli,
        some(unseen),
    )
    return recording.select(stimuli=[i for i in recording.stimulus_ids if i not in set(unseen)])
