"""`murine.is_it_a_mouse` and what it returns: tables, words, figures, and answers kept in an atlas."""

from __future__ import annotations

import many_mice
import pandas as pd
import pytest
import torch

import murine
from murine.errors import MurineError
from murine.masquerade.run import AnimalData
from murine.masquerade.verdict_table import COLUMNS

AREAS = ["SIMam", "SIMl", "SIMp"]


@pytest.fixture(scope="module")
def animals():
    return AnimalData.of(many_mice.dataset())


def network():
    module = many_mice.toy_network()
    return murine.load_network(module, name="toy", mean=0.5, std=0.25, input_size=64)


@pytest.fixture(scope="module")
def result(animals):
    return murine.is_it_a_mouse(network(), animals)


def test_a_module_in_memory_has_its_controls(result):
    roles = result.table[(result.table.windows == "thirds") & (result.table.area == "SIMp")].role.value_counts()
    assert roles.to_dict() == {"network": 1, "random twin": 3, "pixels": 1, "shuffled scenes": 1}
    assert set(result.table.weights[result.table.role == "random twin"]) == {"random:0", "random:1", "random:2"}


def test_verdicts_are_the_rows_of_the_network_beside_those_of_other_areas(result):
    verdicts = result.verdicts
    assert verdicts.area.tolist() == [x for area in [*AREAS, "all areas"] for x in (area, area)]
    assert set(verdicts.verdict[verdicts.area != "all areas"]) == {"not a mouse"}
    row = verdicts[verdicts.area == "SIMl"].iloc[0]
    assert all(f"{area} " in row.wrong_areas for area in ("SIMam", "SIMp"))


def test_the_summary_says_what_a_verdict_is_worth(result):
    text = result.summary()
    for area in AREAS:
        line = next(line for line in text.splitlines() if line.startswith(f"{area}: not a mouse"))
        assert "80 % would be told apart" in line
        assert "Mice of other areas that are told apart here" in line
        assert "Less its random twins" in line
    assert text in result._repr_html_().replace("<br>", "\n").replace("&#x27;", "'")
    assert repr(result).startswith("<MasqueradeResult toy")


def test_two_networks_of_which_one_is_the_cortex_differ_over_animals(animals):
    """The cortex itself less pixels: the contrast over animals is far above zero in every area."""
    module = many_mice.cortex().model
    cortex = murine.load_network(module, name="cortex", mean=0.0, std=1.0, input_size=64, interpolation="bilinear")
    found = murine.is_it_a_mouse(cortex, animals, windows="none").verdicts
    assert (found.verdict == "cannot tell").all()  # it has no weights, and so no random twin
    assert found.reason.str.contains("no control of random twin").any()


def test_panels_are_drawn_for_every_area(result, tmp_path):
    axes = result.plot("SIMl")
    assert "SIMl, 8 mice: not a mouse" in axes.get_title()
    assert len(axes.collections[0].get_offsets()) == 8
    for suffix in ("png", "svg"):
        assert result.save_figure(tmp_path / f"figure.{suffix}").stat().st_size > 1000
    with pytest.raises(MurineError, match="no area 'SIMx'"):
        result.plot("SIMx")


def test_answers_are_kept_in_an_atlas(result, animals, tmp_path, monkeypatch):
    first = murine.is_it_a_mouse(network(), animals, atlas=tmp_path)
    pd.testing.assert_frame_equal(first.table, result.table)
    monkeypatch.setattr("murine.masquerade.question.masquerade", None)  # nothing is computed again
    again = murine.is_it_a_mouse(network(), animals, atlas=tmp_path)
    pd.testing.assert_frame_equal(again.table, first.table, check_dtype=False, check_exact=True)
    for name in ("areas", "animals", "pools"):
        pd.testing.assert_frame_equal(getattr(again, name), getattr(first, name), check_exact=False)
    assert again.summary() == first.summary()
    rows = murine.Atlas(tmp_path).query("SELECT * FROM masquerade")
    assert set(COLUMNS) <= set(rows.columns)
    assert len(rows) == len(first.table)


def test_a_result_can_be_written(result, tmp_path):
    read = pd.read_csv(result.to_csv(tmp_path / "rows.csv"))
    assert tuple(read.columns) == COLUMNS


def test_random_networks_have_no_twins(animals):
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 5, stride=2), torch.nn.ReLU())
    random = murine.load_network(module, name="toy", weights="random:0", mean=0.5, std=0.5, input_size=64)
    found = murine.is_it_a_mouse(random, animals, windows="none", twins=3)
    assert not (found.table.role == "random twin").any()


def test_data_that_cannot_be_used_are_refused(animals):
    with pytest.raises(MurineError, match="the data are a int"):
        murine.is_it_a_mouse("pixels", 3)
    with pytest.raises(MurineError, match="comes as matrices"):
        murine.is_it_a_mouse("pixels", "allen-2p")
    with pytest.raises(MurineError, match="is loaded already"):
        murine.is_it_a_mouse(network(), animals, input_size=32)
