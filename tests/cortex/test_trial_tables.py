"""Tables of trials: what pandas pivots, and one clear message for each thing that is wrong with a table."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

from murine.cortex.recording import Recording
from murine.cortex.trial_tables import read_trials
from murine.errors import MurineError

pytestmark = pytest.mark.usefixtures("unchecked")


def trials(n_neurons=4, n_stimuli=5, n_repetitions=3, seed=0) -> pd.DataFrame:
    """A table with every trial, in a random order, with labels of neurons and of stimuli."""
    rng = np.random.default_rng(seed)
    rows = pd.MultiIndex.from_product(
        [[f"n{i}" for i in range(n_neurons)], [f"s{i}" for i in range(n_stimuli)], range(n_repetitions)],
        names=["neuroid", "stimulus", "repetition"],
    ).to_frame(index=False)
    rows["response"] = rng.normal(5, 2, len(rows))
    number = rows.neuroid.str[1:].astype(int)
    rows["area"] = np.where(number % 2, "VISl", "VISp")
    rows["depth_um"] = number * 50.0 + 100
    rows["category"] = np.where(rows.stimulus.isin(["s0", "s3"]), "animal", "plant")
    return rows.sample(frac=1, random_state=seed).reset_index(drop=True)


def pivoted(table: pd.DataFrame, recording: Recording) -> np.ndarray:
    """What pandas makes of the table, in the order of the recording."""
    wide = table.pivot(index=["neuroid", "stimulus"], columns="repetition", values="response")
    return np.stack([wide.loc[neuron].loc[list(recording.stimulus_ids)] for neuron in recording["neuroid_id"]])


def test_every_trial_is_in_its_place_with_its_labels():
    table = trials()
    found = Recording.from_frame(table, name="mine")
    assert found.name == "mine"
    np.testing.assert_array_equal(found.responses, pivoted(table, found).astype(np.float32))
    assert found["neuroid_id"].tolist() == list(dict.fromkeys(table.neuroid))
    assert found.stimulus_ids == tuple(dict.fromkeys(table.stimulus))
    for key, of in (("area", "neuroid"), ("depth_um", "neuroid"), ("category", "stimulus")):
        expected = table.drop_duplicates(of).set_index(of)[key]
        np.testing.assert_array_equal(found[key], expected.loc[list(found[f"{of}_id"])])
        assert found.dataset[key].dims == (of,)


def test_it_equals_the_recording_of_the_array():
    table = trials()
    found = Recording.from_frame(table)
    order = table.sort_values(["neuroid", "stimulus", "repetition"])
    about = order.drop_duplicates("neuroid")
    array = order.response.to_numpy().reshape(4, 5, 3)
    made = Recording.from_arrays(
        array,
        {"neuroid_id": about.neuroid, "area": about.area, "depth_um": about.depth_um},
        sorted(set(table.stimulus)),
    )
    assert found.digest == made.digest


def test_missing_trials_are_nan():
    table = trials()
    holes = [3, 17, 40]
    table.loc[holes[0], "response"] = np.nan
    found = Recording.from_frame(table.drop(index=holes[1:]))
    whole = pivoted(table, found)
    for hole in holes:
        row = table.loc[hole]
        place = (found["neuroid_id"].tolist().index(row.neuroid), found.stimulus_ids.index(row.stimulus))
        whole[(*place, row.repetition)] = np.nan
    np.testing.assert_array_equal(found.responses, whole.astype(np.float32))
    assert np.isnan(found.responses).sum() == 3


def test_repetitions_are_counted_where_there_is_no_column():
    table = trials().sort_values("repetition", kind="stable")
    counted = Recording.from_frame(table.drop(columns="repetition"))
    np.testing.assert_array_equal(counted.responses, Recording.from_frame(table).responses)
    uneven = table.drop(columns="repetition").drop(index=table.index[0])  # the first trial of one neuron and stimulus
    found = Recording.from_frame(uneven)
    lost = table.iloc[0]
    own = table[(table.neuroid == lost.neuroid) & (table.stimulus == lost.stimulus)].response.iloc[1:]
    place = (found["neuroid_id"].tolist().index(lost.neuroid), found.stimulus_ids.index(lost.stimulus))
    np.testing.assert_array_equal(found.responses[place], [*own.astype(np.float32), np.nan])


def test_columns_of_any_name_and_type():
    table = trials().rename(columns={"neuroid": "unit", "stimulus": "image", "response": "rate", "area": "region"})
    table["unit"] = table["unit"].str[1:].astype("Int64")
    table["image"] = pd.Categorical(table["image"])
    table["rate"] = table["rate"].astype("Float64")
    table["run"] = table.pop("repetition") + 10
    names = {"neuroid": "unit", "stimulus": "image", "response": "rate", "repetition": "run", "area": "region"}
    found = Recording.from_frame(table, **names)
    expected = Recording.from_frame(trials())
    assert found["neuroid_id"].tolist() == [own[1:] for own in expected["neuroid_id"]]
    np.testing.assert_array_equal(found.responses, expected.responses)
    assert found["area"].tolist() == expected["area"].tolist()
    few = Recording.from_frame(trials(), labels=["depth_um"])
    assert {str(key) for key in few.dataset.coords} == {"neuroid_id", "stimulus_id", "repetition", "area", "depth_um"}
    assert few.digest == expected.digest


def test_a_missing_label_is_empty():
    table = trials()
    table["cre_line"] = table.neuroid.map({"n0": "Sst", "n1": None, "n2": "wt"})
    table["score"] = pd.array(table.neuroid.map({"n0": 1, "n1": None, "n2": 3, "n3": 4}), dtype="Int64")
    found = Recording.from_frame(table)
    by_neuron = dict(zip(found["neuroid_id"], zip(found["cre_line"], found["score"], strict=True), strict=True))
    assert {neuron: line for neuron, (line, _) in by_neuron.items()} == {"n0": "Sst", "n1": "", "n2": "wt", "n3": ""}
    assert np.isnan(by_neuron["n1"][1])
    assert by_neuron["n2"][1] == 3


def changed(**columns):
    table = trials()
    for name, value in columns.items():
        table[name] = value(table) if callable(value) else value
    return table


REFUSED = {
    "no frame": (lambda: [1, 2], {}, "are a list; expected a pandas DataFrame"),
    "no column": (
        lambda: trials().rename(columns={"stimulus": "stimulus_id"}),
        {},
        r"no column 'stimulus'; did you mean stimulus_id\? It has neuroid, .*; say with stimulus=COLUMN \(--stimulus",
    ),
    "columns in the index": (
        lambda: trials().set_index(["neuroid", "stimulus"]),
        {},
        r"Its index has neuroid, stimulus: call reset_index\(\) first",
    ),
    "no row": (lambda: trials().iloc[:0], {}, "has no rows"),
    "columns twice": (
        lambda: trials().rename(columns={"area": "depth_um"}),
        {},
        "several columns with one name: depth",
    ),
    "no id": (
        lambda: changed(stimulus=lambda t: t.stimulus.where(t.index != 6)),
        {},
        r"column 'stimulus' of 'recording' has no value in 1 of 60 rows: row 7 \(the first one below the header is 1\)",
    ),
    "an empty id": (lambda: changed(neuroid=lambda t: t.neuroid.where(t.index > 1, "")), {}, "2 of 60 rows: row 1, 2"),
    "text": (
        lambda: changed(response=lambda t: t.response.astype(object).where(t.index != 2, "n/a")),
        {},
        "column 'response' of 'recording' holds 'n/a' in row 3 ",
    ),
    "times": (lambda: changed(response=pd.Timestamp(0)), {}, "holds datetime64.*; expected responses as real numbers"),
    "twice": (
        lambda: pd.concat([trials(), trials().iloc[[4]]]),
        {},
        "several rows for one trial: neuron '.*', stimulus '.*' and one 'repetition' are in row 5, 61 ",
    ),
    "no repetition": (lambda: changed(repetition=np.nan), {}, "'repetition' of 'recording' has no value in 60 of 60"),
    "trials of a session": (
        lambda: changed(repetition=range(60)),
        {},
        "has 60 different values, but no stimulus has more than 12: it counts the trials of a session",
    ),
    "a label that varies": (
        lambda: changed(depth_um=lambda t: t.depth_um + (t.index == 9)),
        {},
        r"column 'depth_um' of 'recording' differs between trials of neuron 'n\d': .* the same in all rows of a neuron",
    ),
    "an area that follows the stimulus": (
        lambda: changed(area=lambda t: t.stimulus),
        {},
        "'area' of 'recording' differs between trials of neuron",
    ),
    "an unknown label": (trials, {"labels": ["depth"]}, r"no column 'depth'; did you mean depth_um\?.*labels=COLUMNS"),
    "a name that is taken": (
        lambda: changed(stimulus_id=1),
        {},
        "'stimulus_id' .* has a name that another column takes",
    ),
    "too many": (
        lambda: pd.DataFrame({"neuroid": range(60_000), "stimulus": range(60_000), "response": 1.0}),
        {},
        r"name 60000 neurons, 60000 stimuli and 1 repetitions, which is more than 8 GiB",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_one_clear_error(case):
    table, options, message = REFUSED[case]
    with pytest.raises(MurineError, match=message):
        Recording.from_frame(table(), **options)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_files(tmp_path, suffix, caplog):
    table = trials()
    table["stimulus"] = "00" + table["stimulus"].str[1:]  # the names of image files
    file = tmp_path / f"mine{suffix}"
    table.to_csv(file, index=False) if suffix == ".csv" else table.to_parquet(file)
    with caplog.at_level(logging.WARNING, "murine"):
        found = read_trials(file)
    assert found.name == "mine"
    expected = Recording.from_frame(table)
    assert found.digest == expected.digest
    np.testing.assert_array_equal(found.responses, expected.responses)
    assert set(found.stimulus_ids) == {"000", "001", "002", "003", "004"}
    assert not caplog.records


def test_csv_files_of_pandas_with_an_index_and_floats(tmp_path):
    table = trials()
    table["stimulus"] = table["stimulus"].str[1:].astype(float)  # 3.0 in the file
    table.to_csv(tmp_path / "mine.csv")
    found = read_trials(tmp_path / "mine.csv")
    assert found.digest == Recording.from_frame(table).digest
    assert set(found.stimulus_ids) == set("01234")


def test_files_that_cannot_be_used(tmp_path):
    csv, parquet = tmp_path / "mine.csv", tmp_path / "mine.parquet"
    trials().to_csv(csv, index=False)
    trials().to_parquet(parquet)
    for file, message in ((csv, "does not end with a line break"), (parquet, "no readable Parquet .*truncated")):
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(MurineError, match=message):
            read_trials(file)
        file.unlink()
        with pytest.raises(MurineError, match="there is no file"):
            read_trials(file)
    trials().to_csv(csv, index=False, sep=";")
    with pytest.raises(MurineError, match=r"separated by ';'; expected commas"):
        read_trials(csv)
    csv.write_text("neuroid,stimulus,response\na,b,1\na,b,2,3\n")
    with pytest.raises(MurineError, match=r"no readable csv table .*line 3, saw 4"):
        read_trials(csv)
    trials().to_csv(csv, index=False, encoding="utf-16")
    with pytest.raises(MurineError, match=r"mine\.csv' (is no readable csv table|does not end)"):
        read_trials(csv)
