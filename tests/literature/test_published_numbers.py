"""The published numbers, against their sums and against copies of their sources."""

import re

import pandas as pd
import pytest

from murine.errors import MurineError
from murine.literature import MARKS, published_numbers, published_value

QAZI, JALIL, CONWELL = "Qazi et al. 2025", "Jalil et al. 2025", "Conwell et al. 2021"


def test_every_number_has_a_mark_and_a_source():
    numbers = published_numbers()
    assert set(numbers.mark) <= set(MARKS)
    assert (numbers.source != "").all()
    assert numbers.value.notna().all()
    assert not numbers.duplicated(["paper", "quantity", "item", "source"]).any()


def test_the_selected_neurons_are_a_thousand_half_of_them_excitatory():
    by_area = published_numbers(QAZI, "selected neurons by area")
    by_type = published_numbers(QAZI, "selected neurons by genotype").set_index("item").value
    inhibitory = by_type[["Pvalb", "Sst", "Vip"]].sum()
    assert by_area.value.sum() == 1000
    assert inhibitory == published_value(QAZI, "selected neurons by cell class", "inhibitory")
    assert by_type.sum() - inhibitory == published_value(QAZI, "selected neurons by cell class", "excitatory")


def test_quartiles_are_in_order():
    table = published_numbers(QAZI)
    table = table[table.quantity.str.startswith(("map RMSE by area, ", "mean activation, "))]
    places = table.quantity.str.rpartition(", ")[2]
    wide = table.assign(place=places).pivot_table(index="item", columns="place", values="value")
    ordered = wide[["minimum", "lower quartile", "median", "upper quartile", "maximum"]].to_numpy()
    assert (ordered[:, :-1] < ordered[:, 1:]).all()


def test_site_ceilings_are_those_of_the_authors_file(shared_data):
    theirs = pd.read_csv(shared_data / "allen_2p_rdms" / "noise_ceiling.csv")
    theirs["item"] = [
        f"{row.area} {re.sub('23', '2/3', row.layer.removeprefix('layer'))}" for row in theirs.itertuples()
    ]
    theirs = theirs.set_index("item")
    ours = published_numbers(CONWELL, "noise ceiling of a site").set_index("item")
    assert set(ours.index) == set(theirs.index)
    assert (ours.value - theirs.loc[ours.index, "mean"]).abs().max() <= 0.0005
    assert (ours.error - theirs.loc[ours.index, "sem"]).abs().max() <= 0.0006


def test_errors_of_networks_are_those_of_the_authors_file(shared_data):
    theirs = pd.read_csv(shared_data / "conwell_model_metadata" / "model_scores.csv").set_index("model")
    for quantity, column, tolerance in (
        ("ImageNet top-1 error", "imagenet_top1", 0),
        ("Brain-Score", "brain_score", 6e-4),
    ):
        ours = published_numbers(CONWELL, quantity).set_index("item").value
        assert (ours - theirs.loc[ours.index, column]).abs().max() <= tolerance


def test_the_heat_map_and_the_sequences_agree_with_their_tables():
    from murine.architecture.named_sequences import published_heat_map, sequences_as_published

    _, heat_map = published_heat_map()
    assert published_value(JALIL, "heat map of architectures", "lowest colour") <= heat_map.min()
    letters = sequences_as_published("neurn44")
    for row in published_numbers(JALIL, "layers in the sequence").itertuples():
        assert len(letters[row.item.lower()]) == row.value


@pytest.mark.parametrize(
    ("paper", "quantity", "said"),
    [
        ("Conwel et al. 2021", None, "did you mean Conwell et al. 2021"),
        (CONWELL, "noise ceiling", "Known: Brain-Score"),
    ],
)
def test_unknown_names_are_refused(paper, quantity, said):
    with pytest.raises(MurineError, match=re.escape(said)):
        published_numbers(paper, quantity)


def test_a_number_with_two_sources_is_no_single_value():
    with pytest.raises(MurineError, match="has 2 numbers for"):
        published_value("single-source digits", "accuracy, trained on the source only", "MNIST to USPS")
