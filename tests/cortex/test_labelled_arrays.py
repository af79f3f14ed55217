"""xarray: labelled arrays in any order of dimensions are the recording of the plain array."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pytest
import xarray as xr

from murine.cortex.labelled_arrays import read_netcdf
from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.interchange.assembly import to_assembly

pytestmark = pytest.mark.usefixtures("unchecked")

DIMS = ("neuroid", "stimulus", "repetition")
NEUROID = {"neuroid_id": ["a", "b", "c"], "area": ["VISp", "VISl", ""], "depth_um": [100.0, np.nan, 300.0]}
STIMULUS = {"stimulus_id": ["im0", "im1"], "group": ["animal", "plant"]}


def trials(n_repetitions=4):
    values = np.random.default_rng(0).normal(size=(3, 2, n_repetitions))
    values[1, 0, 2] = np.nan
    return values


@pytest.fixture
def recording():
    return Recording.from_arrays(trials(), NEUROID, STIMULUS)


def labelled(values=None):
    coords = {key: ("neuroid", own) for key, own in NEUROID.items()}
    coords |= {key: ("stimulus", own) for key, own in STIMULUS.items()}
    return xr.DataArray(trials() if values is None else values, coords, DIMS, name="rates")


@pytest.mark.parametrize("order", list(itertools.permutations(DIMS)))
def test_the_order_of_dimensions_does_not_matter(order, recording):
    found = Recording.from_xarray(labelled().transpose(*order))
    assert found.digest == recording.digest
    np.testing.assert_array_equal(found.responses, recording.responses)
    for key in (*NEUROID, *STIMULUS):
        np.testing.assert_array_equal(found[key], recording[key])


def test_means_and_dimensions_of_size_one(recording):
    means = (
        labelled()
        .mean("repetition", skipna=False)
        .expand_dims(time_bin=[0])
        .transpose("stimulus", "time_bin", "neuroid")
    )
    found = Recording.from_xarray(means)
    assert found.n_repetitions == 1
    assert found.digest == Recording.from_arrays(trials().mean(axis=2), NEUROID, STIMULUS).digest


def test_ids_are_in_a_coordinate_an_index_or_a_multiindex(recording):
    indexed = labelled().rename(neuroid_id="unit", stimulus_id="image")
    assert Recording.from_xarray(indexed, neuroid="unit", stimulus="image").digest == recording.digest
    plain = xr.DataArray(
        trials(), {"neuroid": NEUROID["neuroid_id"], "stimulus": STIMULUS["stimulus_id"]}, DIMS
    ).assign_coords(area=("neuroid", NEUROID["area"]))
    assert Recording.from_xarray(plain).digest == recording.digest
    gathered = labelled().set_index(neuroid=["neuroid_id", "area"], stimulus=["stimulus_id", "group"])
    assert Recording.from_xarray(gathered).digest == recording.digest


def test_datasets(recording):
    assert Recording.from_xarray(recording.dataset).digest == recording.digest
    dataset = labelled().to_dataset().reset_coords(["area", "group"])  # labels as variables
    found = Recording.from_xarray(dataset)
    assert found.digest == recording.digest
    assert found["group"].tolist() == STIMULUS["group"]
    dataset["counts"] = dataset["rates"] * 2
    with pytest.raises(MurineError, match=r"holds 2 variables of responses; .*variable=\.\.\. \(--variable NAME of"):
        Recording.from_xarray(dataset)
    assert Recording.from_xarray(dataset, variable="rates").digest == recording.digest
    with pytest.raises(MurineError, match=r"no variable 'rate' of responses\. It holds .*rates"):
        Recording.from_xarray(dataset, variable="rate")
    with pytest.raises(MurineError, match=r"holds no variable of responses; .*It holds nothing"):
        Recording.from_xarray(xr.Dataset())


def test_assemblies(recording):
    assert Recording.from_xarray(to_assembly(recording)).digest == recording.digest
    assert Recording.from_xarray(to_assembly(recording, multi_index=True).T).digest == recording.digest
    assert Recording.from_xarray(to_assembly(recording).to_dataset()).digest == recording.digest


def test_coordinates_along_several_dimensions_are_left_out(recording, caplog):
    given = labelled().assign_coords(snr=(("neuroid", "stimulus"), np.ones((3, 2))), rig="left")
    with caplog.at_level(logging.WARNING, "murine"):
        assert Recording.from_xarray(given).digest == recording.digest
    assert "coordinates along several dimensions are left out: snr" in caplog.text


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (labelled().rename(neuroid="cell"), {}, r"'cell': 3, .*expected neuroid and stimulus.*DataArray.rename gives"),
        (
            labelled().drop_vars("stimulus_id"),
            {},
            "the stimulus labels of 'recording' have no 'stimulus_id'.*stimulus=",
        ),
        (labelled(), {"neuroid": "unit"}, "the neuroid labels of 'recording' have no 'unit'"),
        (labelled(), {"repetition": "run"}, "no dimension 'presentation', so repetition='run' has no meaning"),
        (labelled().expand_dims(time_bin=2), {}, "average over time or choose one bin first"),
        (labelled().isel(neuroid=[0, 0]), {}, "neuroid_id must be unique"),
        (labelled(np.full((3, 2, 4), "x")), {}, "expected real numbers"),
    ],
)
def test_what_does_not_fit_is_refused(given, options, message):
    with pytest.raises(MurineError, match=message):
        Recording.from_xarray(given, **options)


def test_files(tmp_path, recording):
    for name, data in {"grid": labelled(), "assembly": to_assembly(recording)}.items():
        data.to_netcdf(tmp_path / f"{name}.nc", engine="h5netcdf")
        found = read_netcdf(tmp_path / f"{name}.nc")
        assert found.digest == recording.digest
        assert found.name == name
    whole = (tmp_path / "grid.nc").read_bytes()
    (tmp_path / "cut.nc").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MurineError, match=r"cut\.nc"):
        read_netcdf(tmp_path / "cut.nc")
