"""AllenSDK's natural-scene metrics of single cells, as its ``NaturalScenes`` defines them.

Definitions: ``specs/allen-brain-observatory.md``, section 7, from AllenSDK 2.16.2; where the Allen white paper says
otherwise, the published numbers follow the code. Everything is of corrected fluorescence in percent of a local
baseline. `murine.cortex.reliability.split_half`, reliability across images, is another thing than ``reliability_ns``,
the correlation of time courses between trials of one image.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from murine.cortex.allen.ophys import Experiment
from murine.cortex.allen.responses import (
    BASELINE_LENGTHS,
    RESPONSE_LENGTHS,
    WINDOW_LENGTHS,
    percent_of_baseline,
    sweep_length,
    sweep_means,
    windows_around,
)
from murine.errors import MurineError

#: cm/s from which a mouse counts as running.
RUNNING_SPEED = 1.0
#: Sweeps needed on each side to test for modulation by running: more than this.
MIN_RUNNING_SWEEPS = 4
#: Samples of the window over which trials are correlated, whatever the length of a sweep.
RELIABILITY_SAMPLES = slice(28, 42)

METRICS = (
    *("pref_image_ns", "peak_dff_ns", "p_ns", "time_to_peak_ns", "p_run_mod_ns", "run_mod_ns"),
    *("reliability_ns", "image_sel_ns"),
)


class NaturalScenes:
    """The responses of an experiment's cells to natural scenes.

    Parameters
    ----------
    experiment
        An open session with natural scenes and what corrected fluorescence is made of.
    n_scenes
        Scenes that can be shown (118).

    Raises
    ------
    MurineError
        If the session showed no scenes, or a trace is missing or damaged.
    """

    def __init__(self, experiment: Experiment, n_scenes: int = 118) -> None:
        self.experiment = experiment
        self.n_scenes = n_scenes
        self.table = experiment.stimulus_table("natural_scenes")
        frames = self.table["frame"].to_numpy()
        if not len(frames) or frames.max() >= n_scenes:
            raise MurineError(
                f"{str(experiment.tree.file)!r} shows scenes up to {frames.max(initial=-1)}; expected 0 to "
                f"{n_scenes - 1}."
            )
        self.sweep_length = sweep_length(self.table)

    @property
    def starts(self) -> Int[np.ndarray, " n_sweeps"]:
        return self.table["start"].to_numpy()

    @cached_property
    def running(self) -> Float[np.ndarray, " n_sweeps"]:
        """Mean running speed (cm/s) in every sweep: AllenSDK's column ``dx``; NaN where not measured."""
        speed = self.experiment.running_speed
        return windows_around(speed, self.starts, 0, RESPONSE_LENGTHS * self.sweep_length).mean(axis=1)

    @cached_property
    def _pass(self) -> tuple[Float[np.ndarray, "n_sweeps n_cells"], pd.DataFrame]:
        """Mean responses and metrics from one reading of the traces."""
        means = np.empty((len(self.table), self.experiment.n_cells))
        rows = []
        for cells, traces in self.experiment.blocks("corrected"):
            means[:, cells] = sweep_means(traces, self.table)
            rows += [
                self._of_best_scene(trace, means[:, cell])
                for cell, trace in zip(range(cells.start, cells.stop), traces, strict=True)
            ]
        columns = ("pref_image_ns", "peak_dff_ns", "time_to_peak_ns", "p_run_mod_ns", "run_mod_ns", "reliability_ns")
        metrics = pd.DataFrame(rows, columns=list(columns), dtype=np.float64)
        metrics["p_ns"] = self._anova(means)
        metrics["image_sel_ns"] = [image_selectivity(column) for column in self._scene_means(means).T]
        return means, metrics[list(METRICS)]

    @property
    def mean_sweep_response(self) -> Float[np.ndarray, "n_sweeps n_cells"]:
        """Percent of the local baseline, averaged from onset over two lengths of a sweep (section 7.2), in time order.

        NaN where the sweep's window touches a NaN of the trace.
        """
        return self._pass[0]

    @property
    def metrics(self) -> pd.DataFrame:
        """One row per cell, in the file's order; columns by their published names (section 7.5).

        ======================  ======================================================================================
        ``pref_image_ns``       scene with the largest mean response (the blank screen is none)
        ``peak_dff_ns``         that mean, percent
        ``p_ns``                one-way ANOVA over all conditions, the blank included; NaN with one NaN sweep
        ``time_to_peak_ns``     s from onset to the peak of the mean time course of the preferred scene; may be negative
        ``p_run_mod_ns``        Welch's t-test between running and still sweeps of the preferred scene; NaN unless there
                                are more than four of each
        ``run_mod_ns``          difference of running and still response over the magnitude of the larger; may exceed 1
        ``reliability_ns``      mean correlation of the time courses of pairs of sweeps of the preferred scene
        ``image_sel_ns``        1 - 2 x mean fraction of scenes above 1000 thresholds between least and largest response
        ======================  ======================================================================================

        A cell for which one cannot be computed has NaN there, and the others their values: AllenSDK raises for the
        whole experiment where a sweep of a preferred scene is NaN; here such sweeps are skipped.
        """
        return self._pass[1]

    @cached_property
    def sweep_p_values(self) -> Float[np.ndarray, "n_sweeps n_cells"]:
        """One-way ANOVA of the baseline samples against the response samples of every sweep (section 7.3)."""
        from scipy.stats import f_oneway

        before, after = self._extent()
        stop = before + RESPONSE_LENGTHS * self.sweep_length
        p = np.full((len(self.table), self.experiment.n_cells), np.nan)
        for cells, traces in self.experiment.blocks("corrected"):
            for cell, trace in zip(range(cells.start, cells.stop), traces, strict=True):
                windows = percent_of_baseline(windows_around(trace, self.starts, before, after), before)
                usable = np.isfinite(windows[:, :stop]).all(axis=1) & (np.ptp(windows[:, :stop], axis=1) > 0)
                if usable.any():
                    p[usable, cell] = f_oneway(windows[usable, :before], windows[usable, before:stop], axis=1).pvalue
        return p

    @cached_property
    def condition_response(self) -> Float[np.ndarray, "n_conditions n_cells 3"]:
        """Blank first, scene k at k + 1 (section 7.4): mean over sweeps; standard deviation over the root of the number
        of sweeps, NaN ones included; number of sweeps with p < 0.05 / number of scenes.
        """
        conditions = self.table["frame"].to_numpy() + 1
        response = np.full((self.n_scenes + 1, self.experiment.n_cells, 3), np.nan)
        for condition in range(self.n_scenes + 1):
            rows = conditions == condition
            sweeps = self.mean_sweep_response[rows]
            response[condition, :, 0] = _nan_mean(sweeps)
            response[condition, :, 1] = _nan_std(sweeps) / np.sqrt(max(1, len(sweeps)))
            response[condition, :, 2] = (self.sweep_p_values[rows] < 0.05 / self.n_scenes).sum(axis=0)
        return response

    def _extent(self) -> tuple[int, int]:
        """Samples of the whole window before and from the onset."""
        before = BASELINE_LENGTHS * self.sweep_length
        return before, WINDOW_LENGTHS * self.sweep_length - before

    def _scene_means(self, means: Float[np.ndarray, "n_sweeps n_cells"]) -> Float[np.ndarray, "n_scenes n_cells"]:
        frames = self.table["frame"].to_numpy()
        return np.stack([_nan_mean(means[frames == scene]) for scene in range(self.n_scenes)])

    def _anova(self, means: Float[np.ndarray, "n_sweeps n_cells"]) -> Float[np.ndarray, " n_cells"]:
        from scipy.stats import f_oneway

        frames = self.table["frame"].to_numpy()
        groups = [means[frames == frame] for frame in range(-1, self.n_scenes)]
        p = np.full(means.shape[1], np.nan)
        usable = np.isfinite(means).all(axis=0) & (np.ptp(means, axis=0) > 0)
        if usable.any() and all(len(group) for group in groups) and len(means) > len(groups):
            p[usable] = f_oneway(*(group[:, usable] for group in groups), axis=0).pvalue
        return p

    def _of_best_scene(
        self, trace: Shaped[np.ndarray, " n_frames"], means: Float[np.ndarray, " n_sweeps"]
    ) -> tuple[float, ...]:
        """The metrics that only the sweeps of the preferred scene make, of one cell."""
        scenes = self._scene_means(means[:, None])[:, 0]
        if np.isnan(scenes).all():
            return (np.nan,) * 6
        best = int(np.nanargmax(scenes))
        rows = np.flatnonzero(self.table["frame"].to_numpy() == best)
        rows = rows[np.isfinite(means[rows])]
        before, after = self._extent()
        windows = percent_of_baseline(windows_around(trace, self.starts[rows], before, after), before)
        course = windows.mean(axis=0)
        peak = np.nan
        if np.isfinite(course).any():
            peak = (int(np.nanargmax(course)) - before) / self.experiment.acquisition_rate
        return (
            best,
            float(scenes[best]),
            peak,
            *running_modulation(means[rows], self.running[rows]),
            reliability(windows),
        )


def running_modulation(
    responses: Float[np.ndarray, " n_sweeps"], speeds: Float[np.ndarray, " n_sweeps"]
) -> tuple[float, float]:
    """Compare the responses in running (>= 1 cm/s) and still sweeps: p of Welch's t-test, and the modulation.

    The modulation is (running - still) / abs(larger of the two means). Both NaN unless there are more than four sweeps
    of each kind; sweeps with unknown speed belong to neither.
    """
    from scipy.stats import ttest_ind

    running, still = responses[speeds >= RUNNING_SPEED], responses[speeds < RUNNING_SPEED]
    if min(len(running), len(still)) <= MIN_RUNNING_SWEEPS:
        return np.nan, np.nan
    constant = np.ptp(running) == 0 and np.ptp(still) == 0
    p = np.nan if constant else float(ttest_ind(running, still, equal_var=False).pvalue)
    a, b = float(running.mean()), float(still.mean())
    return p, 0.0 if a == b else (a - b) / abs(max(a, b))


def reliability(windows: Shaped[np.ndarray, "n_sweeps n_samples"]) -> float:
    """Mean Pearson correlation of the time courses of all pairs of sweeps after onset; NaN pairs are skipped."""
    courses = windows[:, RELIABILITY_SAMPLES].astype(np.float64)
    if len(courses) < 2 or not courses.shape[1]:
        return np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.asarray(np.corrcoef(courses))[np.triu_indices(len(courses), 1)]
    return float(np.nanmean(r)) if np.isfinite(r).any() else np.nan


def image_selectivity(means: Float[np.ndarray, " n_scenes"], n_thresholds: int = 1000) -> float:
    """1 - 2 x mean over thresholds of the fraction of scenes whose mean response is strictly above.

    Thresholds are fmin + j (fmax - fmin) / ``n_thresholds``, j = 0, 1, ... It is 1 for a constant cell, NaN where a
    scene has no response.
    """
    if np.isnan(means).any():
        return np.nan
    least, largest = means.min(), means.max()
    thresholds = least + np.arange(n_thresholds) * (largest - least) / n_thresholds
    above = len(means) - np.searchsorted(np.sort(means), thresholds, side="right")
    return float(1 - 2 * (above / len(means)).mean())


def _nan_mean(values: Float[np.ndarray, "n_sweeps n_cells"]) -> Float[np.ndarray, " n_cells"]:
    valid = ~np.isnan(values)
    count = valid.sum(axis=0)
    total = np.where(valid, values, 0).sum(axis=0)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def _nan_std(values: Float[np.ndarray, "n_sweeps n_cells"]) -> Float[np.ndarray, " n_cells"]:
    valid = ~np.isnan(values)
    count = valid.sum(axis=0)
    squares = np.where(valid, (values - _nan_mean(values)) ** 2, 0).sum(axis=0)
    return np.sqrt(np.divide(squares, count - 1, out=np.full(len(count), np.nan), where=count > 1))
