"""The study of mice-to-machines at its smallest scale, on simulated neurons."""

from __future__ import annotations

import pytest

from murine.networks.zoo import skeleton
from murine.report.study_page import write_study
from murine.studies.mice_to_machines import NETWORKS, mice_to_machines


@pytest.mark.parametrize("network", NETWORKS["full"])
def test_the_networks_of_the_paper_can_be_built(network):
    skeleton(network)


def test_a_whole_run(shared_data, monkeypatch, tmp_path):
    monkeypatch.setenv("MURINE_SHARED", str(shared_data))
    result = mice_to_machines.run(scale="tiny", atlas=tmp_path / "atlas", n_bootstraps=60)
    expected = {f"{what}-area-simulated cortex 0" for what in ("rmse", "neurn")}
    assert expected | {"alignments", "heat-map", "domains"} <= set(result.tables)
    verdicts = {claim.claim: claim.verdict for claim in result.claims}
    exact = [claim for claim in verdicts if claim.startswith(("Alignment score", "Layers in the sequence"))]
    assert len(exact) == 6
    assert {verdicts[claim] for claim in exact} == {"reproduced"}
    assert any("maps by cre_line" in note for note in result.notes)
    page = write_study(mice_to_machines, result, tmp_path / "page")
    assert len(list((page.parent / "figures").glob("*.png"))) == len(result.figures) == 12
    counts = result.tables["selected-simulated cortex 0"].set_index("group")
    assert counts.n_neuroids[["excitatory", "inhibitory"]].tolist() == [50, 50]
    assert counts.n_available[["SIMp", "SIMl", "SIMam"]].tolist() == [120, 120, 120]
    assert any(claim.startswith("Maps of excitatory neurons") for claim in verdicts)
