"""The order of depths over areas, on tables whose answer is known."""

from __future__ import annotations

import pandas as pd
import pytest

from murine.atlas.depth_order import depth_order
from murine.errors import MurineError

AREAS = ["A", "B", "C", "D"]


def table(depths, role="trained", metric="rsa-pearson"):
    """A table of scores; ``depths[network][site]`` is the depth of the chosen layer."""
    rows = [
        {"network": network, "weights": "w", "input_size": "32x32", "role": role, "site": site, "depth": depth}
        for network, own in depths.items()
        for site, depth in own.items()
    ]
    return pd.DataFrame(rows).assign(cortex="mouse", metric=metric, treatment="as they are", setting="")


def test_depths_are_means_over_networks_and_layers_of_cortex():
    found = depth_order(
        table(
            {"x": {"A 2/3": 0.0, "A 4": 0.2, "B": 0.3, "C": 0.5}, "y": {"A 2/3": 0.4, "A 4": 0.2, "B": 0.5, "C": 0.9}}
        ),
        AREAS,
    )
    assert found.depths.tolist() == ["A 0.20, B 0.40, C 0.70"]
    assert found[["n_networks", "n_areas"]].values.tolist() == [[2, 3]]
    assert found.order_rho.item() == pytest.approx(1)
    assert found.order_p.item() == pytest.approx(1 / 6)


def test_the_order_is_that_of_the_areas_not_of_the_rows():
    backwards = table({"x": dict.fromkeys(AREAS[::-1], 0.0) | {"D": 0.1, "C": 0.2, "B": 0.3, "A": 0.4}})
    found = depth_order(backwards, AREAS)
    assert found.order_rho.item() == pytest.approx(-1)
    assert found.order_p.item() == 1


def test_roles_are_apart_and_controls_left_out():
    ordered = {"x": dict(zip(AREAS, (0.1, 0.2, 0.3, 0.4), strict=True))}
    parts = [table(ordered), table(ordered, role="random"), table(ordered, role="control")]
    found = depth_order(pd.concat(parts), AREAS)
    assert found.role.tolist() == ["trained", "random"]
    assert found.order_p.tolist() == pytest.approx([1 / 24, 1 / 24])


def test_too_few_areas_are_refused():
    with pytest.raises(MurineError, match="fewer than 3 of the areas A, B, C, D have a score"):
        depth_order(table({"x": {"A": 0.1, "B": 0.2, "elsewhere": 0.3}}), AREAS)
