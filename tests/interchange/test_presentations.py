"""Assemblies: what goes out is what pandas makes of the trials, and it comes back as it was."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.interchange.assembly import to_assembly, write

STIMULI = ("zebra", "ant", "mole", "cat")


def recording(missing=(), n_neuroids=3, n_repetitions=5):
    rng = np.random.default_rng(0)
    trials = rng.normal(size=(n_neuroids, 4, n_repetitions)).astype(np.float32)
    for place in missing:
        trials[place] = np.nan
    return Recording.from_arrays(
        trials,
        {
            "neuroid_id": [f"n{i}" for i in range(n_neuroids)],
            "area": ["VISp", "VISl", "VISp"][:n_neuroids],
            "depth_um": np.array([175.0, np.nan, 275.0])[:n_neuroids],
            "n_bins": np.arange(n_neuroids),
            "good": np.arange(n_neuroids) > 0,
        },
        {"stimulus_id": STIMULI, "group": ["animal", "insect", "animal", "animal"]},
        name="mouse",
    )


def assert_same(found, expected):
    assert found.digest == expected.digest
    assert found.name == expected.name
    for key, values in expected.dataset.coords.items():
        assert found.dataset[key].dims == values.dims
        assert found.dataset[key].dtype.kind == values.dtype.kind
        np.testing.assert_array_equal(found[str(key)], values.values)


HOLES = [(0, 1, 2), (slice(None), 2, 4), (slice(1, 3), 3, 0)]


def test_rows_are_the_trials_with_their_labels():
    mouse = recording(HOLES)
    assembly = to_assembly(mouse)
    assert assembly.dims == ("presentation", "neuroid")
    assert assembly.shape == (19, 3)  # of 20, one that no neuron has
    table = mouse.dataset["responses"].to_dataframe().reset_index().dropna(subset="responses")
    rows = assembly.to_dataframe("found").reset_index().dropna(subset="found")
    keys = ["neuroid_id", "stimulus_id", "repetition"]
    both = table.merge(rows, on=keys, suffixes=("", "_out"))
    assert len(both) == len(table) == len(rows) == 60 - 1 - 3 - 2
    assert (both.responses == both.found).all()
    for label in ("area", "group", "n_bins", "good"):
        assert (both[label] == both[f"{label}_out"]).all()
    assert assembly.attrs["identifier"] == "mouse"
    assert not any(isinstance(index, pd.MultiIndex) for index in assembly.indexes.values())


@pytest.mark.parametrize("multi_index", [False, True])
@pytest.mark.parametrize("drop", ["empty", "none"])
def test_round_trip(drop, multi_index):
    mouse = recording(HOLES)
    assembly = to_assembly(mouse, drop=drop, multi_index=multi_index)
    assert isinstance(assembly.indexes.get("presentation"), pd.MultiIndex) == multi_index
    assert_same(Recording.from_xarray(assembly), mouse)
    mixed = assembly[np.random.default_rng(1).permutation(assembly.sizes["presentation"])]
    assert Recording.from_xarray(mixed).digest == mouse.digest


def test_round_trip_through_a_file(tmp_path):
    mouse = recording(HOLES)
    mouse.dataset.attrs["selection"] = "all of them"
    write(mouse, tmp_path / "mouse.nc")
    mouse.write(tmp_path / "recording.nc")
    with xr.open_dataarray(tmp_path / "mouse.nc") as opened:
        assert_same(Recording.from_xarray(opened), mouse)
        assert opened.attrs["selection"] == "all of them"
    again = Recording.read(tmp_path / "recording.nc")  # labels as they come from a file
    xr.testing.assert_equal(to_assembly(again), to_assembly(mouse))


def test_presentations_that_some_neuron_lacks_can_be_left_out():
    mouse = recording(HOLES)
    assembly = to_assembly(mouse, drop="incomplete")
    assert assembly.shape == (17, 3)
    assert np.isfinite(assembly).all()
    left = set(zip(assembly.stimulus_id.values, assembly.repetition.values, strict=True))
    assert left == {(s, r) for s in STIMULI for r in range(5)} - {("ant", 2), ("mole", 4), ("cat", 0)}
    back = Recording.from_xarray(assembly)
    np.testing.assert_array_equal(back.responses[:, 0], mouse.responses[:, 0])
    assert np.isnan(back.responses).sum() == 9


def test_infinite_trials_are_missing():
    mouse = recording()
    trials = mouse.responses.copy()
    trials[1, 2, 3] = np.inf
    about = {"neuroid_id": mouse["neuroid_id"]}
    infinite = Recording.from_arrays(trials, about, {"stimulus_id": STIMULI})
    assert np.isnan(to_assembly(infinite)).sum() == 1
    assert to_assembly(infinite, drop="incomplete").shape == (19, 3)
    large = to_assembly(mouse).astype(np.float64)
    large[7, 1] = 1e300  # more than a recording holds
    assert np.isnan(to_assembly(Recording.from_xarray(large))).sum() == 1


def test_a_stimulus_that_would_vanish_is_refused():
    never = recording([(0, 1)])
    assert to_assembly(never).shape == (20, 3)
    with pytest.raises(MurineError, match="no presentation of ant in 'mouse' has valid trials of all neurons"):
        to_assembly(never, drop="incomplete")
    with pytest.raises(MurineError, match="valid trials of any neurons"):
        to_assembly(recording([(slice(None), 1)]))
    assert to_assembly(recording([(slice(None), 1)]), drop="none").shape == (20, 3)
    with pytest.raises(MurineError, match="drop is 'all'; expected one of empty, incomplete, none"):
        to_assembly(never, drop="all")


def foreign(**coords):
    """As other tools have it: no repetition numbers, another order, a dimension of time."""
    rng = np.random.default_rng(3)
    order = ["b", "a", "b", "c", "a", "b"]
    given = {
        "image_id": ("presentation", order),
        "session": ("presentation", [1, 1, 1, 2, 2, 2]),
        "object": ("presentation", [name * 2 for name in order]),
        "neuroid_id": ("neuroid", [7, 8]),
    }
    values = rng.normal(size=(6, 1, 2))
    coords = {key: value for key, value in (given | coords).items() if value is not None}
    return xr.DataArray(values, coords, ("presentation", "time_bin", "neuroid"))


def test_presentations_are_counted_where_they_have_no_number(caplog):
    with caplog.at_level(logging.WARNING, "murine"):
        found = Recording.from_xarray(foreign(), stimulus="image_id", name="lab")
    assert "labels that differ between repetitions are left out: session" in caplog.text
    assert found.stimulus_ids == ("b", "a", "c")
    assert found["object"].tolist() == ["bb", "aa", "cc"]
    assert found["neuroid_id"].tolist() == ["7", "8"]
    values = foreign().values[:, 0].astype(np.float32)
    np.testing.assert_array_equal(found.responses[:, 0], values[[0, 2, 5]].T)
    np.testing.assert_array_equal(found.responses[:, 1, :2], values[[1, 4]].T)
    assert np.isnan(found.responses[:, 1, 2]).all()
    assert np.isnan(found.responses[:, 2, 1:]).all()


@pytest.mark.parametrize(
    ("numbers", "expected"), [([10, 9, 2, 9, 10, 9], [2, 9, 10]), (["x", "w", "y", "y", "x", "w"], ["x", "w", "y"])]
)
def test_repetitions_are_in_the_order_of_their_numbers_or_names(numbers, expected):
    given = foreign(run=("presentation", numbers), session=None)
    found = Recording.from_xarray(given, stimulus="image_id", repetition="run")
    for row, (stimulus, number) in enumerate(zip(given.image_id.values, numbers, strict=True)):
        place = (found.stimulus_ids.index(stimulus), expected.index(number))
        np.testing.assert_array_equal(found.responses[:, place[0], place[1]], given.values[row, 0].astype(np.float32))
    assert np.isfinite(found.responses).sum() == 12


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": None}, "have no 'image_id'. They have session, object; say with stimulus="),
        ({"neuroid_id": None}, "the neuroids of 'recording' have no 'neuroid_id'. They have no labels"),
        ({"image_id": ("presentation", ["a", "", "b", "", "c", "d"])}, "no stimulus id at 1, 3"),
        ({"image_id": ("presentation", np.array(["a", None] * 3, object))}, "no stimulus id at 1, 3, 5"),
        ({"neuroid_id": ("neuroid", [1.0, np.nan])}, "no neuron id at 1"),
        ({"neuroid_id": ("neuroid", ["x", "x"])}, "neuroid_id must be unique"),
        ({"repetition": ("presentation", [0, 0, 0, 0, 1, 1])}, "several rows for the same repetition of b:"),
        ({"repetition": ("neuroid", [0, 1])}, "has repetition for presentations and for neuroids"),
    ],
)
def test_labels_that_do_not_fit_are_refused(change, message):
    with pytest.raises(MurineError, match=message):
        Recording.from_xarray(foreign(**change), stimulus="image_id")


@pytest.mark.usefixtures("unchecked")
def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(
        MurineError, match=r"'presentation': 6, 'time_bin': 1, 'cell': 2}; expected neuroid and stimulus"
    ):
        Recording.from_xarray(foreign().rename(neuroid="cell"))
    with pytest.raises(MurineError, match="average over time"):
        Recording.from_xarray(xr.concat([foreign(), foreign()], "time_bin"), stimulus="image_id")
    with pytest.raises(MurineError, match="have no 'runs'"):
        Recording.from_xarray(foreign(), stimulus="image_id", repetition="runs")
    with pytest.raises(MurineError, match="expected real numbers"):
        Recording.from_xarray(foreign().astype(complex), stimulus="image_id")
