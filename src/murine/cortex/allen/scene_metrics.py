"""AllenSDK's natural-scene metrics of single cells, as its ``NaturalScenes`` defines them.

Definitions: AllenSDK 2.16.2 (``docs/reference/sources.md``, *Natural-scene metrics*); where the Allen white paper says
otherwise, the published numbers follow the code. Everything is of corrected fluorescence in percent of a local
baseline. `murine.cortex.reliability.split_half`, reliability across images, is another thing than ``reliability_ns``,
the correlation of time courses between trials of one image.

Where traces are float32, AllenSDK makes some sums in float32 and others in float64, which decides the last digits: so
do these functions, and in the same order.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from murine.cortex.allen.ophys import Experiment
from murine.cortex.allen.responses import (
    AFTER_LENGTHS,
    BASELINE_LENGTHS,
    RESPONSE_LENGTHS,
    Excerpt,
    Window,
    percent_of_baseline,
    summed,
    sweep_length,
    sweep_means,
    windows_within,
)
from murine.errors import MurineError

log = logging.getLogger(__name__)

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
        An open session with natural scenes and the traces that corrected fluorescence is computed from.
    n_scenes
        Scenes that can be shown (118).

    Raises
    ------
    MurineError
        If the session showed no scenes, or a trace is missing or damaged.
    """

    def __init__(self, experiment: Experiment, n_scenes: int = 118) -> None:
        self.experiment = experiment
        self.table = experiment.stimulus_table("natural_scenes")
        try:
            self.conditions = Conditions(self.table["frame"].to_numpy(), n_scenes)
            self.sweep_length = sweep_length(self.table)
        except MurineError as error:
            raise MurineError(f"{str(experiment.tree.file)!r}: {error}") from None
        self.starts: Int[np.ndarray, " n_sweeps"] = self.table["start"].to_numpy()
        self._before = BASELINE_LENGTHS * self.sweep_length
        self._response = RESPONSE_LENGTHS * self.sweep_length
        self._after = AFTER_LENGTHS * self.sweep_length

    @cached_property
    def _excerpt(self) -> Excerpt:
        frames = self._before, self._after, self.experiment.n_samples("corrected")
        return Excerpt.around(self.starts, *frames, self.experiment.frames_together("corrected"))

    @cached_property
    def _traces(self) -> Shaped[np.ndarray, "n_cells n_frames"]:
        """Corrected fluorescence, as much as the excerpt holds."""
        return self.experiment.traces("corrected", self._excerpt.pieces)

    @cached_property
    def mean_sweep_response(self) -> Float[np.ndarray, "n_sweeps n_cells"]:
        """Percent of the local baseline, averaged from onset over two lengths of a sweep (section 7.2), in time order.

        Typed as the traces. NaN where the sweep's window touches a NaN of the trace.
        """
        return sweep_means(self._traces, self._excerpt.starts, self.sweep_length)

    def sweep_means(self, signal: str, window: Window) -> Float[np.ndarray, "n_sweeps n_cells"]:
        """Any signal, averaged over any window: corrected fluorescence in percent as above, other signals as stored.

        See `responses.sweep_means`.
        """
        local_baseline = signal == "corrected"
        first, stop = window.frames(self.sweep_length)
        before, together = max(self._before * local_baseline, -first), self.experiment.frames_together(signal)
        excerpt = Excerpt.around(self.starts, before, stop, self.experiment.n_samples(signal), together)
        traces = self.experiment.traces(signal, excerpt.pieces)
        return sweep_means(traces, excerpt.starts, self.sweep_length, window=window, local_baseline=local_baseline)

    @cached_property
    def running(self) -> Float[np.ndarray, " n_sweeps"]:
        """Mean running speed (cm/s) in every sweep: AllenSDK's column ``dx``; NaN where not measured.

        Raises
        ------
        MurineError
            If the file has no running speed, or one that does not fit the frames.
        """
        speed = self.experiment.running_speed[None]
        means = sweep_means(speed, self.starts, self.sweep_length, local_baseline=False)[:, 0]
        return np.where(self.starts >= self._before, means, np.nan)  # its window, too, begins before the onset

    @cached_property
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

        A metric that cannot be computed for a cell is NaN for this cell only. If a sweep of a preferred scene is NaN,
        or the recording ends within its window, AllenSDK raises an error for the whole experiment; here these sweeps
        are left out of the metrics that need them. A NaN in a trace after the response counts as the peak of the time
        course, as in AllenSDK. If the running speed is missing or does not fit the frames, the two metrics of running
        are NaN, with a message in the log; other metrics do not need it.
        """
        scenes = self.conditions.means(self.mean_sweep_response)[1:].astype(np.float64)
        preferred = np.where(np.isnan(scenes), -np.inf, scenes).argmax(axis=0).tolist()
        cells = zip(self._traces, self.mean_sweep_response.T, scenes.T, preferred, strict=True)
        try:
            speeds = self.running
        except MurineError as error:
            log.warning("modulation by running is not known: %s", error)
            speeds = np.full(len(self.starts), np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            rows = [self._of_preferred(*cell, speeds) for cell in cells]
        columns = [name for name in METRICS if name != "p_ns"]
        table = pd.DataFrame(rows, columns=columns, dtype=np.float64)
        table["p_ns"] = self.conditions.anova(self.mean_sweep_response)
        return table[list(METRICS)]

    @cached_property
    def sweep_p_values(self) -> Float[np.ndarray, "n_sweeps n_series"]:
        """One-way ANOVA of the baseline samples against the response samples of every sweep (section 7.3).

        A column per cell and, as AllenSDK has it, a last one for the running speed.
        """
        cells = [self._p_of_sweeps(trace, self._excerpt.starts, percent=True) for trace in self._traces]
        return np.stack([*cells, self._p_of_sweeps(self.experiment.running_speed, self.starts, percent=False)], axis=1)

    @cached_property
    def condition_response(self) -> Float[np.ndarray, "n_conditions n_series 3"]:
        """Responses to the blank (first) and to scene k (at k + 1) of every cell, then the running speed (section 7.4).

        Each is a mean over sweeps; the standard deviation over the root of the number of sweeps, NaN ones included;
        and the number of sweeps with p < 0.05 / number of scenes.
        """
        both = self.mean_sweep_response, self.running[:, None]
        significant = self.sweep_p_values < 0.05 / self.conditions.n_scenes
        parts = (
            np.concatenate([self.conditions.means(values) for values in both], axis=1, dtype=np.float64),
            np.concatenate([self.conditions.standard_errors(values) for values in both], axis=1),
            self.conditions.sums(significant.astype(np.float64)),
        )
        return np.stack(parts, axis=-1)

    def _of_preferred(
        self,
        trace: Shaped[np.ndarray, " n_frames"],
        means: Float[np.ndarray, " n_sweeps"],
        scenes: Float[np.ndarray, " n_scenes"],
        best: int,
        speeds: Float[np.ndarray, " n_sweeps"],
    ) -> list[float]:
        """The metrics of one cell but ``p_ns``: from its sweeps, its mean responses to the scenes, the best one, and
        how fast the mouse ran.
        """
        if np.isnan(scenes[best]):  # as are all others
            return [np.nan] * (len(METRICS) - 1)
        sweeps = self.conditions.sweeps[best + 1]
        sweeps = sweeps[~np.isnan(means[sweeps])]
        windows = self._windows(trace, sweeps)
        modulation = running_modulation(means[sweeps], speeds[sweeps])
        return [
            best,
            float(scenes[best]),
            self._time_to_peak(windows),
            *modulation,
            reliability(windows),
            image_selectivity(scenes),
        ]

    def _windows(
        self, trace: Shaped[np.ndarray, " n_frames"], sweeps: Int[np.ndarray, " n_chosen"]
    ) -> Shaped[np.ndarray, "n_complete n_samples"]:
        """Time courses, in percent, of those of the sweeps whose window is complete."""
        starts = self._excerpt.starts[sweeps]
        starts = starts[(starts >= self._before) & (starts + self._after <= len(trace))]
        windows = trace.take(starts[:, None] + np.arange(-self._before, self._after))
        return percent_of_baseline(windows, self._before)

    def _time_to_peak(self, windows: Shaped[np.ndarray, "n_sweeps n_samples"]) -> float:
        if not len(windows):
            return np.nan
        peak = int(np.argmax(windows.mean(axis=0)))  # the first NaN, if there is one
        return (peak - self._before) / self.experiment.acquisition_rate

    def _p_of_sweeps(
        self, trace: Shaped[np.ndarray, " n_frames"], starts: Int[np.ndarray, " n_sweeps"], *, percent: bool
    ) -> Float[np.ndarray, " n_sweeps"]:
        p = np.full(len(starts), np.nan)
        for sweeps, stop in windows_within(starts, self._before, 0, self._response, len(trace)):
            windows = trace[starts[sweeps, None] + np.arange(-self._before, stop)]
            p[sweeps] = anova(percent_of_baseline(windows, self._before) if percent else windows, [0, self._before])
        return p


class Conditions:
    """Which sweeps showed which image. Condition 0 is the blank screen, condition k + 1 is scene k.

    Parameters
    ----------
    frames
        Of every sweep: 0 to ``n_scenes`` - 1, or -1 for the blank screen.
    n_scenes
        Scenes that can be shown.

    Attributes
    ----------
    sweeps
        Positions of the sweeps of every condition.

    Raises
    ------
    MurineError
        If a frame is not one of these, or there are no frames.
    """

    def __init__(self, frames: Int[np.ndarray, " n_sweeps"], n_scenes: int) -> None:
        if not len(frames) or frames.min() < -1 or frames.max() >= n_scenes:
            found = f"{frames.min()} to {frames.max()}" if len(frames) else "none"
            raise MurineError(f"found scenes {found}; expected 0 to {n_scenes - 1}, and -1 for the blank screen.")
        self.n_scenes = n_scenes
        self.counts: Int[np.ndarray, " n_conditions"] = np.bincount(frames + 1, minlength=n_scenes + 1)
        self._order = np.argsort(frames, kind="stable")
        self._first = np.cumsum(self.counts) - self.counts
        self.sweeps: list[Int[np.ndarray, " n_some"]] = np.split(self._order, self._first[1:])

    def sums(self, values: Shaped[np.ndarray, "n_sweeps n_series"]) -> Shaped[np.ndarray, "n_conditions n_series"]:
        """Sums over the sweeps of every condition."""
        total = np.empty((values.shape[1], len(self.counts)), values.dtype)
        for count in np.unique(self.counts):  # nearly always one: all conditions were shown equally often
            chosen = np.flatnonzero(self.counts == count)
            sweeps = self._order[self._first[chosen] + np.arange(count)[:, None]]
            for sums, series in zip(total, values.T, strict=True):
                sums[chosen] = summed(series[sweeps])
        return total.T

    def means(self, values: Float[np.ndarray, "n_sweeps n_series"]) -> Float[np.ndarray, "n_conditions n_series"]:
        """Means over the sweeps that are not NaN; summed in the type of the values."""
        known, count = self._known(values)
        with np.errstate(invalid="ignore"):
            mean: np.ndarray = self.sums(np.where(known, values, 0)) / count.astype(values.dtype)
        return mean

    def standard_errors(
        self, values: Float[np.ndarray, "n_sweeps n_series"]
    ) -> Float[np.ndarray, "n_conditions n_series"]:
        """Standard deviation (n - 1) over the sweeps that are not NaN, over the root of the number of all of them.

        Computed in float64, but for the variance, which is rounded to the type of the values.
        """
        known, count = self._known(values)
        wide = np.where(known, values, 0).astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.empty_like(wide)
            mean[self._order] = np.repeat(self.sums(wide) / count, self.counts, axis=0)
            squares = self.sums(np.where(known, (mean - wide) ** 2, 0))
            variance = np.where(count > 1, squares / (count - 1), np.nan).astype(values.dtype)
            error: np.ndarray = np.sqrt(variance).astype(np.float64) / np.sqrt(self.counts)[:, None]
        return error

    def anova(self, values: Float[np.ndarray, "n_sweeps n_series"]) -> Float[np.ndarray, " n_series"]:
        """p of a one-way analysis of variance over all conditions; NaN if one was not shown."""
        return anova(values.T[:, self._order], self._first)

    def _known(
        self, values: Float[np.ndarray, "n_sweeps n_series"]
    ) -> tuple[Shaped[np.ndarray, "n_sweeps n_series"], Float[np.ndarray, "n_conditions _"]]:
        """What is not NaN, and how many sweeps of each condition are."""
        known = ~np.isnan(values)
        return known, self.counts[:, None].astype(np.float64) if known.all() else self.sums(known.astype(np.float64))


def anova(
    values: Float[np.ndarray, "n_tests n_samples"], first: Sequence[int] | Int[np.ndarray, " n_groups"]
) -> Float[np.ndarray, " n_tests"]:
    """p of one-way analyses of variance, one of each row. A group begins at each sample ``first`` and ends at the next.

    NaN for a row with a NaN, or whose samples are all the same, or where a group is empty.
    """
    from scipy.special import fdtrc

    n_groups, n_samples = len(first), values.shape[1]
    counts = np.diff(np.append(first, n_samples))
    if (counts < 1).any() or n_samples <= n_groups:
        return np.full(len(values), np.nan)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        deviations = values - values.mean(axis=1, keepdims=True, dtype=np.float64)
        between = (np.add.reduceat(deviations, first, axis=1) ** 2 / counts).sum(axis=1)
        within = np.maximum(np.einsum("ij,ij->i", deviations, deviations) - between, 0)
        p = fdtrc(n_groups - 1, n_samples - n_groups, (between / (n_groups - 1)) / (within / (n_samples - n_groups)))
        return np.where(np.ptp(values, axis=1) > 0, p, np.nan)


def running_modulation(
    responses: Float[np.ndarray, " n_sweeps"], speeds: Float[np.ndarray, " n_sweeps"]
) -> tuple[float, float]:
    """Compare the responses in running (>= 1 cm/s) and still sweeps: p of Welch's t-test, and the modulation.

    The modulation is (running - still) / abs(larger of the two means). Both values are NaN if a kind has fewer than
    five sweeps, or if the two means are equal. Sweeps with unknown speed belong to neither kind.
    """
    running, still = responses[speeds >= RUNNING_SPEED], responses[speeds < RUNNING_SPEED]
    if min(len(running), len(still)) <= MIN_RUNNING_SWEEPS:
        return np.nan, np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = _mean(running), _mean(still)
        modulation = np.nan if a == b else float((a - b) / abs(max(a, b)))
        return _welch(running, still), modulation


def _mean(values: Shaped[np.ndarray, " n"]) -> np.floating:
    """Return ``values.mean()``, computed in less time."""
    mean: np.floating = np.add.reduce(values) / values.dtype.type(len(values))
    return mean


def _welch(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " m"]) -> float:
    """p of Welch's t-test; means and squared deviations in the values' type, the rest in float64. NaN for constants."""
    from scipy.special import stdtr

    means = _mean(x), _mean(y)
    variances = [np.float64(_mean((v - mean) ** 2)) / (len(v) - 1) for v, mean in zip((x, y), means, strict=True)]
    t = np.float64(means[0] - means[1]) / np.sqrt(variances[0] + variances[1])
    freedom = sum(variances) ** 2 / (variances[0] ** 2 / (len(x) - 1) + variances[1] ** 2 / (len(y) - 1))
    return float(2 * stdtr(freedom, -abs(t)))


def reliability(windows: Shaped[np.ndarray, "n_sweeps n_samples"]) -> float:
    """Mean Pearson correlation of the time courses of all pairs of sweeps after onset.

    Sweeps that are constant or have a NaN there correlate with none.
    """
    courses = windows[:, RELIABILITY_SAMPLES].astype(np.float64)
    if not courses.size:
        return np.nan
    courses -= courses.mean(axis=1, keepdims=True)
    norms = np.sqrt((courses**2).sum(axis=1))
    courses = courses[norms > 0] / norms[norms > 0, None]
    n = len(courses)
    # The products of all pairs i < j at once: the square of the sum has each of them twice, and each sweep's own, 1.
    return float(((courses.sum(axis=0) ** 2).sum() - n) / (n * (n - 1))) if n > 1 else np.nan


def image_selectivity(means: Float[np.ndarray, " n_scenes"], n_thresholds: int = 1000) -> float:
    """1 - 2 x mean over thresholds of the fraction of scenes whose mean response is strictly above.

    Thresholds are fmin + j (fmax - fmin) / ``n_thresholds``, j = 0, 1, ... It is 1 for a constant cell, NaN where a
    scene has no finite response.
    """
    if not np.isfinite(means).all():
        return np.nan
    least, largest = means.min(), means.max()
    thresholds = least + np.arange(n_thresholds) * (largest - least) / n_thresholds
    below = np.searchsorted(thresholds, means)  # thresholds that each scene is strictly above
    return float(1 - 2 * below.sum() / (n_thresholds * len(means)))
