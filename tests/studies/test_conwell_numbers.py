"""Numbers that Conwell et al. state of their data and method."""

from __future__ import annotations

import murine
from murine.networks.distinct_layers import count_distinct_layers
from murine.studies.conwell_numbers import matrix_numbers, method_numbers


def test_the_published_matrices_have_their_sites_and_correlations(shared_data, monkeypatch):
    monkeypatch.setenv("MURINE_SHARED", str(shared_data))
    claims = list(matrix_numbers(murine.load_data("allen-2p")))
    assert len(claims) == 7
    assert {claim.verdict for claim in claims} == {"reproduced"}
    assert not list(matrix_numbers(murine.load_data("simulated")))


def test_layers_columns_and_errors_are_beside_the_published_ones():
    claims = list(method_numbers("tiny"))
    kinds = [claim.kind for claim in claims]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "random projection columns": 1,
        "tapped layers": 3,
        "ImageNet top-1 error": 8,
    }
    # torchvision states another error of densenet169 than the authors
    assert [claim.claim for claim in claims if claim.verdict == "not reproduced"] == [
        "ImageNet top-1 error: densenet169."
    ]


def test_a_layer_that_changes_nothing_does_not_count():
    from torch import nn

    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    idle = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Dropout(), nn.Identity())
    given = {"mean": 0.5, "std": 0.25, "input_size": 16}
    assert [count_distinct_layers(murine.load_network(net, name="net", **given)) for net in (plain, idle)] == [2, 2]
