"""What the documents say about metrics: the code of CONTRIBUTING.md runs, and the table of the README is true."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from murine.cortex.simulated import simulate
from murine.networks.capture import CapturedLayer
from murine.networks.layer_kernel import LayerKernel
from murine.scenes import synthetic_scenes
from murine.scoring import ScoreSettings, SiteBenchmark, make_site_data, metrics, score_layers

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("tabulate_metrics", ROOT / "tools" / "tabulate_metrics.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_metric_of_a_few_lines_scores(monkeypatch):
    section = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## Add a metric\n")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len([line for line in code.splitlines() if line and "import" not in line]) <= 11
    made = {}
    exec(compile(code, "CONTRIBUTING.md", "exec"), made)
    metric = made["kernel_correlation"]
    monkeypatch.setitem(metrics._entries, metric.name, metric)
    n = 40
    site_data = make_site_data(simulate(synthetic_scenes(n, 32), n_neuroids=20, n_repetitions=4).recording)
    features = np.random.default_rng(0).normal(size=(n, 30))
    layer = CapturedLayer("layer", 1.0, (30,), LayerKernel.of(features))
    rows = score_layers([layer], SiteBenchmark(site_data, metric.name, settings=ScoreSettings(50, 19)))
    rows = rows[rows.split == "all"].set_index("site")
    for s, site in enumerate(site_data.sites):
        expected = np.corrcoef((features @ features.T).ravel(), site_data.kernels[s].ravel())[0, 1]
        assert rows.score[site.name] == pytest.approx(expected, abs=1e-10)
        assert rows.low[site.name] < expected < rows.high[site.name]
        assert 0 < rows.p_value[site.name] <= 1


def test_the_table_in_the_readme_is_what_the_metrics_say(tool, tmp_path):
    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"{tool.START}\n{tool.table(tool.own_metrics())}\n{tool.END}" in readme
    assert all(f"| `{name}` |" in readme for name in metrics)


def test_the_tool_refuses_a_document_without_markers(tool, tmp_path, monkeypatch):
    document = tmp_path / "text.md"
    document.write_text(f"before\n{tool.START}\nold\n{tool.END}\nafter\n", "utf-8")
    monkeypatch.setattr("sys.argv", ["tabulate_metrics.py", "--write", str(document)])
    tool.main()
    text = document.read_text("utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert text.count("| `cka` |") == 1
    document.write_text("nothing", "utf-8")
    with pytest.raises(SystemExit, match="lacks one of the lines"):
        tool.main()
