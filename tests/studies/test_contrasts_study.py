"""The study of contrasts: its list, and a whole run at the smallest scale."""

from __future__ import annotations

import pytest

from murine.atlas.contrasts import Contrast, Side
from murine.networks.spec import NetworkSpec
from murine.networks.zoo import skeleton
from murine.studies.contrasts import SEEDS, contrasts, read_contrasts
from murine.studies.study import SCALES


@pytest.mark.parametrize("scale", SCALES)
def test_each_scale_has_all_contrasts_of_the_smaller_ones(scale):
    found = {(c.factor, c.name) for c in read_contrasts(scale)}
    assert len(found) == len(list(read_contrasts(scale)))
    for smaller in SCALES[: SCALES.index(scale)]:
        assert {(c.factor, c.name) for c in read_contrasts(smaller)} <= found


def test_every_network_of_the_list_can_be_built(shared_data):
    names = {name for c in read_contrasts("full") for side in (c.first, c.second) for name in side.networks}
    for name in {NetworkSpec.parse(name).full_name for name in names}:
        skeleton(name)


def test_both_sides_of_a_contrast_differ():
    for contrast in read_contrasts("full"):
        assert contrast.first != contrast.second


@pytest.mark.parametrize("name", ["allen-2p", "primate-92"])
def test_data_that_come_as_matrices_are_compared_as_they_are(name, shared_data, monkeypatch, tmp_path):
    monkeypatch.setenv("MURINE_SHARED", str(shared_data))
    filters = Contrast("filters", "gabor - pixels", Side(("gabor",), "32x32"), Side(("pixels",), "32x32"))
    monkeypatch.setattr("murine.studies.contrasts.read_contrasts", lambda scale: iter([filters]))
    few = {"n_bootstraps": 30, "n_permutations": 0}
    table = contrasts.run(data=[name], scale="small", atlas=tmp_path / "atlas", **few).tables["contrasts"]
    assert set(table.treatment) == {"both as they are"}
    assert table.difference.notna().all()


def test_a_whole_run(shared_data, monkeypatch, tmp_path):
    monkeypatch.setenv("MURINE_SHARED", str(shared_data))
    few = {"n_bootstraps": 60, "n_permutations": 10}
    result = contrasts.run(scale="tiny", atlas=tmp_path / "atlas", **few)
    table = result.tables["contrasts"]
    assert (table.note == "").any()
    assert not table.note.str.startswith("no score").any()
    training = table[(table.factor == "training") & (table.site == "all sites")]
    assert set(training.n_second) == {SEEDS["tiny"], 2 * SEEDS["tiny"]}  # alone, and all together
    assert {figure.kind for figure in result.figures} == {"intervals"}
    assert len(result.claims) == 4
    again = contrasts.run(scale="tiny", atlas=tmp_path / "atlas", **few)  # nothing is computed twice
    assert again.tables["contrasts"].equals(table)
