"""The study of rodent taskonomy, small, on the published matrices and on simulated neurons."""

from __future__ import annotations

import pytest

from murine.studies import rodent_taskonomy as study
from murine.studies.rodent_taskonomy import rodent_taskonomy


@pytest.mark.parametrize("name", ["allen-2p", "simulated"])
def test_a_small_run(name, shared_data, monkeypatch, tmp_path):
    monkeypatch.setenv("MURINE_SHARED", str(shared_data))
    monkeypatch.setitem(study.RANDOM, "tiny", ("mobilenetv3_small_050",))
    few = {"n_bootstraps": 30, "n_permutations": 0}
    result = rodent_taskonomy.run(data=[name], scale="tiny", atlas=tmp_path / "atlas", **few)
    (ceilings,) = (table for label, table in result.tables.items() if label.startswith("ceilings"))
    verdicts = [claim.verdict for claim in result.claims if claim.kind == "noise ceiling of a site"]
    n_published = 21 if name == "allen-2p" else 0
    assert ceilings.published.notna().sum() == n_published
    assert verdicts == ["reproduced"] * n_published
    assert any(claim.claim.startswith("Trained networks predict") for claim in result.claims)
    encoders = result.tables[next(label for label in result.tables if label.startswith("encoders"))]
    assert len(encoders) == 24
    assert encoders.value.isna().all()
    assert encoders.note.str.startswith("missing").all()
    labels = {label.removesuffix("-simulated cortex 0") for label in result.tables}
    if name == "simulated":
        assert {"protocols", "by-cell-class"} <= labels
        protocols = result.tables["protocols-simulated cortex 0"]
        assert len(protocols) == 4
        assert protocols[["ours", "protocol"]].notna().all(axis=None)
        groups = result.tables["by-cell-class-simulated cortex 0"]
        assert set(groups.site) == {"excitatory", "inhibitory"}
        metrics = result.tables["trained-random-simulated cortex 0"].metric
        assert {"rsa-pearson", "ridge", "published ridge-conwell2021-per-neuron"} <= set(metrics)
