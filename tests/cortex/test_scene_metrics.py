"""Mean sweep responses and natural-scene metrics against the plain transcription, on every kind of file.

Mean sweep responses must be the same to the last bit. Metrics go through other algorithms (correlations of all pairs at
once, variances as differences of sums), so they may differ by rounding: 1e-12 relative where they are large, and
absolute where they are differences near zero or p values.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import h5py
import numpy as np
import pytest
import scene_truth
from allen_files import PIPE, Options, write_experiment
from scipy import stats

from murine.cortex.allen.ophys import Experiment
from murine.cortex.allen.scene_metrics import (
    METRICS,
    Conditions,
    NaturalScenes,
    anova,
    image_selectivity,
    reliability,
    running_modulation,
)
from murine.errors import MurineError

WIDE = Options(dtype="float64")
CASES = {
    "float32": Options(),
    "float64": replace(WIDE, seed=1),
    "float32-ratio64": Options(ratio_dtype="float64", seed=2),
    "float64-ratio32": replace(WIDE, ratio_dtype="float32", seed=3),
    "speed32": Options(speed_dtype="float32", seed=4),
    "constant32": Options(constant_cell=2, seed=5),
    "constant64": replace(WIDE, constant_cell=2, seed=6),
    "nan-other": Options(nan_cell=0, nan_at="other"),
    "nan-nothing": Options(nan_cell=0, nan_at="nothing"),
    "nan-tail": Options(nan_cell=0, nan_at="tail"),
    "nan-preferred": replace(WIDE, nan_cell=0, nan_at="preferred"),
    "nan-all": Options(nan_cell=1, nan_at="all"),
    "missing-id": Options(missing_id=2),
    "old-0.9": Options(pipeline="0.9"),
    "old-unnamed": replace(WIDE, pipeline=None),
    "new-2.0": Options(pipeline="2.0"),
    "scenes-name": Options(scene_group="natural_scenes", dff_extra=1, compression="gzip"),
    "in-order": Options(shuffled=False, late_running=0, short_running=0),
    "running-late": Options(late_running=9000),
    "sweeps-of-6": replace(WIDE, sweep_frames=6),
    "second-sweep-of-8": Options(second_sweep_frames=8),
    "starts-early": Options(gratings=False, lead_in=20),
    "starts-early-running": replace(WIDE, gratings=False, lead_in=20, late_running=0),
    "ends-early32": Options(lead_out=10),
    "ends-early64": replace(WIDE, lead_out=10),
    "ends-in-baseline": Options(lead_out=1, short_running=0),
    "scene-once": Options(fewer=((17, 1), (90, 2))),
    "scene-never": Options(fewer=((17, 0),)),
    "no-blank": Options(fewer=((-1, 0),)),
    "few": Options(repetitions=3, cells=1),
    "hard-link": Options(hard_link=True, template_shape=(5, 4)),
}
PUBLISHED = {
    "pref_image_ns": "scene_ns",
    "peak_dff_ns": "peak_dff_ns",
    "p_ns": "ptest_ns",
    "time_to_peak_ns": "time_to_peak_ns",
    "p_run_mod_ns": "p_run_ns",
    "run_mod_ns": "run_modulation_ns",
    "reliability_ns": "reliability_ns",
    "image_sel_ns": "image_selectivity_ns",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Files by name, each written once."""
    folder = tmp_path_factory.mktemp("scenes")

    @cache
    def write(name):
        path = folder / f"{name}.nwb"
        write_experiment(path, CASES[name])
        return path

    return write


@pytest.mark.parametrize("name", CASES)
def test_every_kind_of_file_gives_the_transcriptions_numbers(written, name):
    truth = scene_truth.answers_of(scene_truth.stored(written(name)), sweep_p=False)
    with Experiment(written(name)) as experiment:
        scenes = NaturalScenes(experiment)
        assert scenes.mean_sweep_response.dtype == truth.corrected.dtype
        np.testing.assert_array_equal(scenes.mean_sweep_response, truth.mean_sweep_response[:, :-1])
        np.testing.assert_array_equal(scenes.running, truth.mean_sweep_response[:, -1])
        assert list(scenes.metrics.columns) == list(METRICS) == list(PUBLISHED)
        for ours, theirs in PUBLISHED.items():
            np.testing.assert_allclose(scenes.metrics[ours], truth.peak[theirs], rtol=1e-12, atol=1e-12, err_msg=ours)


@pytest.mark.parametrize("name", ["nan-other", "starts-early-running", "ends-early32"])
def test_condition_responses_and_p_values_of_sweeps(written, name):
    truth = scene_truth.answers_of(scene_truth.stored(written(name)))
    with Experiment(written(name)) as experiment:
        scenes = NaturalScenes(experiment)
        assert scenes.condition_response.shape == (119, experiment.n_cells + 1, 3)
        np.testing.assert_allclose(scenes.condition_response, truth.response, rtol=1e-12, atol=1e-12)
        # Where both means of a sweep are the same, p is 1 less the root of a rounding error.
        np.testing.assert_allclose(scenes.sweep_p_values, truth.sweep_p, rtol=1e-12, atol=2e-9)


def test_planted_scenes_are_preferred_and_running_is_noticed(written):
    options = CASES["float64"]
    with Experiment(written("float64")) as experiment:
        metrics = NaturalScenes(experiment).metrics
    planted = [options.preferred_scene(cell) for cell in range(options.cells)]
    tuned = [cell for cell, scene in enumerate(planted) if scene is not None]
    assert metrics.pref_image_ns[tuned].tolist() == [planted[cell] for cell in tuned]
    assert metrics.p_ns[tuned].max() < 1e-6
    assert metrics.run_mod_ns[0] > 0.2 > -0.2 > metrics.run_mod_ns[1]  # helped and hindered by running


def test_one_bad_cell_does_not_sink_an_experiment(written):
    """AllenSDK raises for all cells where a sweep of one cell's preferred scene is NaN."""
    with Experiment(written("nan-all")) as experiment:
        metrics = NaturalScenes(experiment).metrics
    assert metrics.loc[1].isna().all()
    assert metrics.drop(1)[["p_ns", "reliability_ns", "image_sel_ns"]].notna().all(axis=None)


def test_constant_cell(written):
    """Section 7.7 of the specification."""
    with Experiment(written("constant64")) as experiment:
        scenes = NaturalScenes(experiment)
        cell, rate = scenes.metrics.loc[2], experiment.acquisition_rate
        assert np.abs(scenes.mean_sweep_response[:, 2]).max() < 1e-12
    assert cell.image_sel_ns == 1
    assert cell.time_to_peak_ns == -28 / rate
    assert cell[["p_ns", "reliability_ns", "p_run_mod_ns", "run_mod_ns"]].isna().all()


def test_dark_cell_is_not_finite_and_silent(written, tmp_path):
    """A baseline of 0: divided by zero, without a warning, and other cells as before."""
    path = tmp_path / "dark.nwb"
    path.write_bytes(written("float32").read_bytes())
    with h5py.File(path, "r+") as file:
        file[f"{PIPE}/Fluorescence/imaging_plane_1_demixed_signal/data"][3] = 0
        file[f"{PIPE}/Fluorescence/imaging_plane_1_neuropil_response/data"][3] = 0
    with Experiment(written("float32")) as before, Experiment(path) as after:
        whole, dark = NaturalScenes(before).metrics, NaturalScenes(after).metrics
    assert dark.loc[3].isna().all()
    np.testing.assert_array_equal(dark.drop(3), whole.drop(3))


def test_dark_baseline_spoils_one_cell_without_a_warning(written, tmp_path):
    """Infinite responses."""
    path = tmp_path / "dark.nwb"
    path.write_bytes(written("float32").read_bytes())
    with Experiment(written("float32")) as before:
        scenes = NaturalScenes(before)
        whole, best = scenes.metrics, int(scenes.metrics.pref_image_ns[4])
        start = int(scenes.starts[scenes.conditions.sweeps[best + 1][3]])
    with h5py.File(path, "r+") as file:
        for series in ("demixed_signal", "neuropil_response"):
            file[f"{PIPE}/Fluorescence/imaging_plane_1_{series}/data"][4, start - 28 : start] = 0
    with Experiment(path) as after:
        scenes = NaturalScenes(after)
        dark = scenes.metrics
        assert np.isinf(scenes.mean_sweep_response[:, 4]).sum() == 1
    np.testing.assert_array_equal(dark.drop(4), whole.drop(4))
    assert dark.pref_image_ns[4] == best
    assert np.isnan(dark.image_sel_ns[4])


def test_scenes_beyond_the_last_are_refused(written):
    with Experiment(written("float32")) as experiment, pytest.raises(MurineError, match=r"float32.*-1 to 117.*0 to 99"):
        NaturalScenes(experiment, n_scenes=100)


# ---------------------------------------------------------------------------------------------- functions, one by one


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_conditions_of_unequal_counts(dtype):
    rng = np.random.default_rng(0)
    frames = rng.permutation(np.repeat([-1, 0, 1, 3], [130, 1, 9, 50]))  # scene 2 is never shown
    values = rng.normal(50, 20, (len(frames), 3)).astype(dtype)
    values[rng.random(values.shape) < 0.05] = np.nan
    conditions = Conditions(frames, 4)
    means, errors = conditions.means(values), conditions.standard_errors(values)
    assert means.dtype == dtype
    for k in range(5):
        rows = values[frames == k - 1]
        assert np.array_equal(np.sort(conditions.sweeps[k]), np.flatnonzero(frames == k - 1))
        for cell in range(3):
            mean, error, _ = scene_truth.condition_response(rows[:, cell], None)
            np.testing.assert_array_equal(means[k, cell], mean)
            np.testing.assert_array_equal(errors[k, cell], error)


@pytest.mark.parametrize("frames", [[], [-2, 0], [0, 4]])
def test_conditions_refuse_other_frames(frames):
    with pytest.raises(MurineError, match="expected 0 to 3"):
        Conditions(np.array(frames, dtype=np.int64), 4)


def test_anova_is_scipys():
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, (20, 42)) + np.r_[np.zeros(28), np.ones(14)] * rng.exponential(1, (20, 1))
    for first in ([0, 28], [0, 1, 7, 30]):
        expected = stats.f_oneway(*np.split(values, first[1:], axis=1), axis=1).pvalue
        np.testing.assert_allclose(anova(values, first), expected, rtol=1e-10)


def test_anova_where_it_is_not_defined():
    values = np.array([[1.0, 1, 1, 1], [1, 2, np.nan, 1], [1, 1, 2, 2], [1, 2, 1, 2]])
    np.testing.assert_allclose(anova(values, [0, 2]), [np.nan, np.nan, 0, 1])
    assert np.isnan(anova(values, [0, 2, 2])).all()  # an empty group
    assert np.isnan(anova(values, [0, 1, 2, 3])).all()  # a group for each sample


def test_modulation_by_running_is_welchs_test():
    rng = np.random.default_rng(2)
    responses, speeds = rng.normal(5, 2, 40), rng.uniform(0, 2, 40)
    speeds[:4] = np.nan
    running, still = responses[speeds >= 1], responses[speeds < 1]
    p, modulation = running_modulation(responses, speeds)
    np.testing.assert_allclose(p, stats.ttest_ind(running, still, equal_var=False).pvalue, rtol=1e-12)
    a, b = running.mean(), still.mean()
    np.testing.assert_allclose(modulation, (a - b) / max(a, b), rtol=1e-12)


@pytest.mark.parametrize(
    ("running", "still", "modulation"),
    [
        ([3.0] * 5, [1.0] * 5, 2 / 3),
        ([1.0] * 5, [3.0] * 5, -2 / 3),
        ([1.0] * 5, [-3.0] * 5, 4),
        ([-3.0] * 5, [-1.0] * 5, -2),
        ([2.0] * 5, [2.0] * 5, np.nan),
        ([3.0] * 4, [1.0] * 9, np.nan),
        ([3.0] * 9, [1.0] * 4, np.nan),
    ],
)
def test_sign_and_size_of_modulation(running, still, modulation):
    """By hand: the difference over the magnitude of the larger one; five sweeps of each kind at least."""
    speeds = np.r_[np.full(len(running), 1.0), np.full(len(still), np.nextafter(1, 0))]
    p, found = running_modulation(np.array(running + still), speeds)
    np.testing.assert_allclose(found, modulation)
    assert np.isnan(p)  # constants


def test_reliability_is_the_mean_correlation_of_pairs():
    windows = np.random.default_rng(3).normal(0, 1, (9, 63))
    windows[4, 30:] = windows[4, 30]
    windows[4, :30] = windows[4, 30]  # constant: correlates with none
    windows[6, 35] = np.nan
    found = reliability(windows)
    np.testing.assert_allclose(found, scene_truth.reliability(list(windows)), rtol=1e-12)
    assert reliability(np.stack([windows[0], 2 * windows[0] + 1])) == pytest.approx(1)
    assert np.isnan(reliability(windows[:1]))
    assert np.isnan(reliability(windows[:, :20]))


def test_selectivity_of_extremes():
    one = np.zeros(118)
    one[5] = 1
    assert image_selectivity(one) == pytest.approx(1 - 2 / 118)
    assert image_selectivity(np.ones(118)) == 1
    assert image_selectivity(np.arange(118.0)) == pytest.approx(scene_truth.selectivity(np.arange(118.0)), abs=1e-12)
    one[3] = np.nan
    assert np.isnan(image_selectivity(one))
