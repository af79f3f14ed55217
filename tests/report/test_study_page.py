"""The page of a study: what is on it, which files stand beside it, and how it looks in a browser."""

from __future__ import annotations

import html
import json
import re

import numpy as np
import pandas as pd
import pytest
from browser import needs_browser, shown
from PIL import Image

from murine.errors import MurineError
from murine.report.study_figures import draw, figure_kinds
from murine.report.study_page import write_study
from murine.studies import Claim, FigureSpec, Study, StudyResult

RNG = np.random.default_rng(0)
LABELS = ["Emx1-2", "Vip", "a network with a very long name that goes on and on", "$x_1$ <b>"]
INTERVALS = pd.DataFrame({"label": LABELS, "value": [0.1, 0.2, np.nan, 0.4]}).assign(low=0.0, high=0.5)
PUBLISHED = pd.DataFrame({"item": LABELS, "published": [1.0, 2, 3, 4], "ours": [1, 2, np.nan, 5]})
PAIRS = pd.DataFrame({"label": LABELS, "plain": RNG.random(4), "NeuRN": RNG.random(4)})
SAMPLES = pd.DataFrame({"label": LABELS * 9, "value": RNG.normal(size=36), "published": 0.1})
NETWORKS = pd.DataFrame({"size": RNG.random(4), "score": RNG.random(4), "kind": ["trained", "random"] * 2})
MATRIX = pd.DataFrame({"a": LABELS * 2, "b": ["x"] * 4 + ["y"] * 4, "value": RNG.normal(size=8)})
COURSES = pd.DataFrame({"t": list(range(5)) * 2, "v": RNG.random(10), "kind": ["a"] * 5 + ["b"] * 5})
MAPS = pd.DataFrame(
    [
        (panel, of, i, j, RNG.normal())
        for panel in LABELS
        for of in ("neuron", "unit")
        for i in range(4)
        for j in range(4)
    ],
    columns=["panel", "of", "row", "column", "value"],
)
FIGURES = {
    "intervals": (INTERVALS, {"unit": "share of the ceiling", "bands": ((0.05, "seeds"), (0.02, "two trainings"))}),
    "beside_published": (PUBLISHED, {}),
    "paired": (PAIRS, {"first": "plain", "second": "NeuRN"}),
    "violins": (SAMPLES, {"unit": "RMSE"}),
    "relation": (NETWORKS, {"x": "size", "y": "score", "group": "kind"}),
    "heat": (MATRIX, {"row": "a", "column": "b"}),
    "map_pictures": (MAPS, {"unit": "unit length"}),
    "density_panels": (MAPS, {"unit": "cell"}),
    "curves": (COURSES, {"x": "t", "y": "v", "group": "kind"}),
}


class Small(Study):
    name, title, question = "small", "A <small> study", "Is it so?"

    def run(self, *, data=(), networks=(), scale="small", atlas=None, progress=False, **options):
        specs = tuple(FigureSpec(kind, kind, rows, f"Of {kind}", given) for kind, (rows, given) in FIGURES.items())
        claims = (
            Claim("Training helps.", "reproduced", "It does.", 0.1, 0.2, 0.15, 0.25, kind="effect", mark="F"),
            Claim("Depth helps.", "not tested", "No deep network <b>.", 0.75),
        )
        columns = {"label": "A label.", "value": "A value.", "low": "Lower end.", "high": "Upper end."}
        return StudyResult(self.name, {"intervals": INTERVALS}, columns, specs, claims, ("Taskonomy is missing.",))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    study = Small()
    return write_study(study, study.run(), tmp_path_factory.mktemp("study"), about="scale small")


def test_every_kind_of_figure_is_drawn():
    assert set(FIGURES) == set(figure_kinds)


def test_the_folder_holds_page_figures_tables_and_a_contact_sheet(page):
    names = {str(file.relative_to(page.parent)) for file in page.parent.rglob("*") if file.is_file()}
    drawn = {f"figures/{kind}.{ending}" for kind in FIGURES for ending in ("pdf", "png")}
    assert names == {"index.html", "contact-sheet.png", "tables/claims.csv", "tables/intervals.csv", *drawn}
    with Image.open(page.parent / "figures" / "heat.png") as image:
        assert round(image.info["dpi"][0]) == 300
        assert image.width == pytest.approx(7.2 * 300, abs=2)


def test_the_page_tells_claims_notes_and_missing_values(page):
    text = page.read_text("utf-8")
    assert "1 of 1 tested claims reproduced (100 %); 0 not reproduced, 1 not tested." in text
    assert "Taskonomy is missing." in text
    assert "F measured from a published figure" in text
    shares = [re.sub(r"<[^>]*>", " ", row).split() for row in re.findall(r"<tr>.*?</tr>", text)]
    assert ["effect", "1", "1", "100", "%", "0"] in shares
    assert ["statement", "0", "0", "1"] in shares
    assert "A &lt;small&gt; study" in text
    assert not re.search(r">\s*nan\s*<", text)
    assert "script-src 'none'" in html.unescape(text)
    assert "<script" not in text


PROBE = """<script>
document.body.dataset.probe = JSON.stringify({
  overflow: document.documentElement.scrollWidth - innerWidth,
  broken: [...document.images].filter((image) => !image.naturalWidth).length,
  images: document.images.length,
});</script>"""


@needs_browser
@pytest.mark.parametrize("width", [500, 1400])
def test_in_a_browser_figures_are_shown_and_nothing_overflows(page, tmp_path, width):
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text("utf-8"))
    file = tmp_path / "index.html"
    file.write_text(text.replace("</body>", PROBE + "</body>"), encoding="utf-8")
    document = shown(file, width, tmp_path / "user")
    probe = json.loads(html.unescape(re.search(r'data-probe="([^"]*)"', document)[1]))
    assert probe == {"overflow": probe["overflow"], "broken": 0, "images": len(FIGURES)}
    assert probe["overflow"] <= 0


@pytest.mark.parametrize(
    ("kind", "rows", "said"),
    [("violin", INTERVALS, "no figure 'violin'; did you mean violins"), ("heat", INTERVALS[:0], "nothing to draw")],
)
def test_what_cannot_be_drawn_is_refused(kind, rows, said):
    with pytest.raises(MurineError, match=said):
        draw(kind, rows)


def test_a_forest_plot_has_whole_labels_and_its_yardsticks():
    long = "training: a network with a very long name - the same network with random weights"
    rows = pd.DataFrame({"label": [long, "short"], "value": [0.1, -0.1], "low": -0.2, "high": 0.2})
    bands = ((0.05, "seeds"), (0.02, "two trainings"), (0.5, "a third"))
    axes = draw("intervals", rows, bands=bands).axes[0]
    assert [text.get_text().replace("\n", " ") for text in axes.get_yticklabels()] == [long, "short"]
    legend = axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["seeds", "two trainings"]
    lines = sorted(line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1)
    assert lines == [-0.02, 0, 0.02]
    (shaded,) = axes.patches
    assert shaded.get_x() == pytest.approx(-0.05)
    assert shaded.get_width() == pytest.approx(0.1)


def test_a_yardstick_that_is_not_known_is_left_out():
    axes = draw("intervals", INTERVALS, bands=((np.nan, "seeds"), (0.0, "two trainings"))).axes[0]
    assert axes.get_legend() is None
    assert not axes.patches


def test_maps_are_drawn_as_they_are_and_what_is_missing_is_left_out():
    rows = MAPS[~((MAPS.panel == LABELS[1]) & (MAPS.of == "unit"))]
    axes = draw("map_pictures", rows).axes[0]
    pictures = [part.images[0].get_array() for part in axes.child_axes]
    assert len(pictures) == 2 * len(LABELS) - 1
    first = MAPS[(MAPS.panel == LABELS[0]) & (MAPS.of == "neuron")].value.to_numpy().reshape(4, 4)
    np.testing.assert_allclose(pictures[0], first)


def test_every_pair_has_its_densities_in_the_same_colours():
    axes = draw("density_panels", MAPS).axes[0]
    colours = [[line.get_color() for line in part.lines] for part in axes.child_axes]
    assert len(colours) == len(LABELS)
    assert len({tuple(own) for own in colours}) == 1
    grid, density = axes.child_axes[0].lines[0].get_data()
    assert 0.3 < np.trapezoid(density, grid) <= 1  # the range ends at the outermost values
