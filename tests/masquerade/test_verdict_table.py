"""The whole question on a simulated cortex: its own model is one of the mice, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

import many_mice
import numpy as np
import pandas as pd
import pytest

from murine.errors import MurineError
from murine.masquerade.candidates import candidates_of, pixel_candidates
from murine.masquerade.placing import ALL_AREAS, place_network
from murine.masquerade.run import AnimalData, masquerade
from murine.masquerade.verdict_table import COLUMNS, Entrant, _on_other_images, verdict_table
from murine.networks import zoo
from murine.networks.in_memory import network_from_module
from murine.similarity.population_kernels import unbiased_cka_matrix
from murine.statistics.animal_test import nested_choice, paired_contrast, place_candidates
from murine.statistics.animal_verdicts import VerdictWord

AREAS = ("SIMam", "SIMl", "SIMp")


@pytest.fixture(scope="module")
def data():
    return AnimalData.of(many_mice.dataset())


def shown(module, data, name="toy"):
    network = network_from_module(module, name=name, mean=0.0, std=1.0, input_size=64, interpolation="bilinear")
    return candidates_of(network, data.images, data.animals)


@pytest.fixture(scope="module")
def entrants(data):
    """Another draw of neurons of the same cortex, random convolutions, and pixels."""
    model = many_mice.cortex().model
    twins = [Entrant("random twin", "toy", f"random:{i}", shown(many_mice.toy_network(i), data)) for i in range(3)]
    pixels = pixel_candidates(data.images, data.animals, (64, 64), "thirds", 0)
    return [
        Entrant("network", "cortex", "none", shown(model, data)),
        *twins,
        Entrant("pixels", "pixels", "none", pixels),
    ]


@pytest.fixture(scope="module")
def table(data, entrants):
    return verdict_table(data.yardsticks, entrants)


def test_the_cortex_itself_could_be_a_mouse_in_every_area(table):
    own = table[(table.role == "network") & (table.windows == "none")]
    # All areas together: eight animals cannot reject anything at 5 %, not even pixels.
    assert own.verdict.tolist() == [*[VerdictWord.maybe] * 3, VerdictWord.unknown]
    for area in AREAS:
        assert own.layer[own.area == area].item() == f"areas.{area}"
    assert (own.ratio.dropna() > 0.9).all()


def test_controls_are_there_and_rejected(table):
    for area in (*AREAS, ALL_AREAS):
        rows = table[(table.area == area) & (table.windows == "thirds")]
        assert rows.role.value_counts().to_dict() == {
            "network": 1, "random twin": 3, "pixels": 1, "shuffled scenes": 1,
        }  # fmt: skip
        limit = 1 / (1 + many_mice.N_MICE) if area == ALL_AREAS else 0.05
        assert (rows.p[rows.role != "network"] <= limit).all()
    assert tuple(table.columns) == COLUMNS


@pytest.mark.parametrize("lost", ["random twin", "pixels"])
def test_without_a_control_nothing_passes(data, entrants, lost):
    table = verdict_table(data.yardsticks, [e for e in entrants if e.role != lost])
    own = table[table.role == "network"]
    assert (own.verdict == VerdictWord.unknown).all()
    assert own.reason.str.contains(f"no control of {lost}").all()


def test_a_control_that_passes_spoils_the_pass(data, entrants):
    impostor = replace(entrants[0], role="random twin")
    table = verdict_table(data.yardsticks, [*entrants, impostor])
    own = table[(table.role == "network") & (table.area != ALL_AREAS)]
    assert (own.verdict == VerdictWord.unknown).all()
    assert own.reason.str.contains("random twin would pass, too").all()


def test_a_random_network_is_no_mouse(data, entrants):
    table = verdict_table(data.yardsticks, [replace(entrants[1], role="network"), *entrants[2:]])
    own = table[(table.role == "network") & (table.area != ALL_AREAS)]
    assert (own.verdict == VerdictWord.no).all()


def test_rows_follow_their_definition(data, entrants, table):
    """One area step by step: t of the best candidate, its two p-values, the nested choice and the contrast."""
    yardstick, area = data.yardsticks.whole, "SIMl"
    members = [i for i, name in enumerate(data.animals.areas) if name == area]
    between = unbiased_cka_matrix(*2 * [[data.animals.kernels[0][i] for i in members]])
    network, twins = entrants[1], entrants[2:4]
    values = network.candidates.similarities[0][:, members]
    test = place_candidates(between, values)
    best = int(np.nanargmax(test.t))
    null = np.concatenate([a.null for a in yardstick.areas.values()])
    pooled = (1 + (null <= test.t[best]).sum()) / (1 + len(null))
    row = place_network(data.yardsticks, network.candidates).rows.set_index("area").loc[area]
    assert row.t == pytest.approx(test.t[best])
    assert row.p == pytest.approx(max(test.p_student[best], pooled))
    assert (row.layer, row.window) == (network.candidates.layers[best], network.candidates.windows[best])
    nested = [nested_choice(e.candidates.similarities[0][:, members])[0] for e in (network, *twins)]
    p = place_candidates(between, nested[0][None])
    assert row.p_nested == pytest.approx(max(p.p_student[0], (1 + (null <= p.t[0]).sum()) / (1 + len(null))))
    expected = paired_contrast(nested[0], np.mean(nested[1:], axis=0))
    again = verdict_table(data.yardsticks, [replace(network, role="network"), *twins], windows="thirds")
    mine = again[(again.role == "network") & (again.area == area) & (again.windows == "thirds")].iloc[0]
    assert (mine.contrast, mine.contrast_p) == pytest.approx((expected.mean, expected.p))


def test_every_area_carries_its_animals_and_those_of_other_areas(table):
    for area in AREAS:
        roles = set(table.role[table.area == area])
        assert {"mice left out", "pooled mice", *(f"mice of {other}" for other in AREAS if other != area)} <= roles
    animals = table[table.role == "mice left out"].set_index("area")
    assert (animals.share_rejected[list(AREAS)] <= 1 / many_mice.N_MICE).all()
    assert table.share_rejected[table.role.str.startswith("mice of")].mean() > 0.5  # the areas differ


def test_an_animal_is_not_compared_with_itself_in_another_area(data):
    """The similarities of one animal's arrays are NaN, and everything that is computed is finite without them."""
    rows = data.yardsticks.whole.real_animals()
    assert np.isfinite(rows[["t", "p_student", "p_pooled", "p"]]).all(axis=None)
    assert len(rows) == 3 * 3 * many_mice.N_MICE


def test_areas_that_are_shown_change_no_number(data, entrants, table):
    some = verdict_table(data.yardsticks, entrants, areas=["SIMp"])
    whole = table[table.area.isin(["SIMp", ALL_AREAS])].reset_index(drop=True)
    assert some.equals(whole)


def test_options_that_cannot_be_used_are_refused(data):
    pixels = zoo.load("pixels", input_size=64)
    with pytest.raises(MurineError, match=r"no area 'SIMx' with five animals.*SIMp"):
        masquerade(pixels, data, areas=["SIMx"])
    with pytest.raises(MurineError, match="windows is 'halves'"):
        masquerade(pixels, data, windows="halves")
    with pytest.raises(MurineError, match="alpha is 2"):
        masquerade(pixels, data, alpha=2)


def test_a_level_that_nothing_can_reach_is_told(data, caplog):
    masquerade(zoo.load("pixels", input_size=64), data, windows="none", alpha=0.01, n_twins=0)
    assert "at level 0.01 at least 99 are needed" in caplog.text


def test_a_pass_says_where_half_of_the_images_rejects():
    row = pd.Series({"p_first_half": 0.2, "p_second_half": 0.016})
    assert _on_other_images(row, 0.05) == "; rejected on the second half of the images alone (p = 0.016)"
    assert _on_other_images(row, 0.01) == ""
    assert _on_other_images(pd.Series({"p_first_half": np.nan, "p_second_half": np.nan}), 0.05) == ""
