"""The figure of an embedding: it shows every neuron once a column, in its colour, and counts what it marks."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from murine.cortex.recording import Recording
from murine.cortex.representative import Representatives
from murine.errors import MurineError
from murine.report.embedding import embedding_figure, write_embedding
from murine.report.palette import CATEGORIES, UNLABELLED

LINES = ("Cux2-CreERT2", "Rorb-IRES2-Cre", "Vip-IRES-Cre")


def representatives(n=120, **coordinates):
    rng = np.random.default_rng(0)
    which = np.arange(n) % 3
    neuroid = {
        "neuroid_id": np.arange(n),
        "area": np.array(["VISp", "VISl"])[rng.integers(0, 2, n)],
        "cre_line": np.array(LINES)[which],
        "cell_class": np.array(["excitatory", "excitatory", "inhibitory"])[which],
        "umap_1": 5 * rng.normal(size=n) + 10,
        "umap_2": rng.normal(size=n) - 3,
        "cluster": np.full(n, "excitatory 0"),
        "chosen": rng.random(n) < 0.3,
    }
    responses = rng.normal(size=(n, 3, 2))
    stimuli = {"stimulus_id": ["a", "b", "c"]}
    return Representatives(Recording.from_arrays(responses, {**neuroid, **coordinates}, stimuli), "cell_class")


def texts(axes):
    return [text.get_text() for text in axes.texts if text.get_text()]


def rows_of(axes):
    """The legend as it is read: label, chosen, all, colour."""
    found = texts(axes)
    start = found.index("all") + 1
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    cells = found[start : start + 3 * len(dots)]
    return {
        cells[3 * i]: (int(cells[3 * i + 1]), int(cells[3 * i + 2]), to_hex(dot.get_color()))
        for i, dot in enumerate(dots)
    }


def test_every_neuron_is_drawn_at_its_place_in_its_colour():
    given = representatives()
    recording = given.embedded
    figure = embedding_figure(given)
    assert len(figure.axes) == 4
    colours = {}
    for axes, (group, coordinate) in zip(
        figure.axes,
        [(g, c) for g in ("excitatory", "inhibitory") for c in ("area", "cre_line")],
        strict=True,
    ):
        legend = rows_of(axes)
        dots, rings = axes.collections
        for collection, chosen in ((dots, False), (rings, True)):
            mine = (recording["cell_class"] == group) & (recording["chosen"] == chosen)
            expected = sorted(
                (x, y, legend[label][2])
                for x, y, label in zip(
                    recording["umap_1"][mine], recording["umap_2"][mine], recording[coordinate][mine], strict=True
                )
            )
            drawn = zip(collection.get_offsets(), collection.get_facecolors(), strict=True)
            assert sorted((x, y, to_hex(colour)) for (x, y), colour in drawn) == expected
        for label, (n_chosen, n_all, colour) in legend.items():
            mine = (recording["cell_class"] == group) & (recording[coordinate] == label)
            assert (n_chosen, n_all) == (recording["chosen"][mine].sum(), mine.sum())
            assert colours.setdefault((coordinate, label), colour) == colour  # the same in all rows
        assert set(legend) == set(recording[coordinate][recording["cell_class"] == group])
    assert len({colour for (coordinate, _), colour in colours.items() if coordinate == "cre_line"}) == 3


def test_panels_have_one_scale_and_names():
    figure = embedding_figure(representatives())
    width, height = figure.get_size_inches()
    for letter, axes in zip("abcd", figure.axes, strict=True):
        box = axes.get_position()
        scales = box.width * width / np.ptp(axes.get_xlim()), box.height * height / np.ptp(axes.get_ylim())
        assert scales[0] == pytest.approx(scales[1])
        points = np.concatenate([c.get_offsets() for c in axes.collections])
        assert (points.min(axis=0) > [axes.get_xlim()[0], axes.get_ylim()[0]]).all()
        assert (points.max(axis=0) < [axes.get_xlim()[1], axes.get_ylim()[1]]).all()
        assert letter in texts(axes)
    assert "Excitatory neurons by Cre line" in texts(figure.axes[1])
    assert "Inhibitory neurons by area" in texts(figure.axes[2])


def test_no_text_is_cut_off_or_meets_another():
    figure = embedding_figure(representatives(cre_line=[f"a line of a long name {i % 13:02d}" for i in range(120)]))
    figure.canvas.draw()
    width, height = figure.get_size_inches() * figure.dpi
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
        assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in boxes)
        names = [text.get_text() for text in axes.texts if text.get_text()]
        for i, one in enumerate(boxes):
            for j in range(i):
                assert (
                    one.x1 <= boxes[j].x0
                    or boxes[j].x1 <= one.x0
                    or one.y1 <= boxes[j].y0 + 1
                    or (boxes[j].y1 <= one.y0 + 1)
                ), (names[i], names[j])
    for left, right in zip(figure.axes[::2], figure.axes[1::2], strict=True):
        edge = right.get_window_extent().x0
        assert all(text.get_window_extent().x1 < edge for text in left.texts if text.get_text())


def test_more_labels_than_colours_and_unknown_ones_are_grey():
    labels = np.array([f"area {i:02d}" for i in range(len(CATEGORIES))] * 7 + ["rare 1", "rare 2", "", ""])
    given = representatives(len(labels), area=labels, cell_class=np.full(len(labels), "excitatory"))
    legend = rows_of(embedding_figure(given, colours=["area"]).axes[0])
    assert [*legend][-2:] == sorted({"all others", "not known"})
    assert {legend[name][2] for name in ("all others", "not known")} == {UNLABELLED}
    assert legend["all others"][1] == legend["not known"][1] == 2
    assert len({row[2] for row in legend.values()}) == len(CATEGORIES) + 1


def test_names_from_data_are_plain_text():
    given = representatives(area=np.where(np.arange(120) % 2, "$x^2$", "a_b$"))
    figure = embedding_figure(given)
    assert {"$x^2$", "a_b$"} <= set(texts(figure.axes[0]))
    assert not any(text.get_parse_math() for axes in figure.axes for text in axes.texts if text.get_text())


def test_files(tmp_path):
    pdf, png = write_embedding(representatives(), tmp_path / "new", name="neurons")
    assert (pdf.name, png.name) == ("neurons.pdf", "neurons.png")
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    assert b"/Type3" not in content  # letters stay letters
    assert content.count(b"/Subtype /Image") >= 4  # dots are pixels
    with Image.open(png) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] > 2000
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100
    again = write_embedding(representatives(), tmp_path / "again", name="neurons")
    assert [file.read_bytes() for file in again] == [content, png.read_bytes()]


def test_wrong_coordinates_are_explained():
    given = representatives()
    with pytest.raises(MurineError, match=r"has no coordinate 'areas'; did you mean area"):
        embedding_figure(given, colours=["areas"])
    with pytest.raises(MurineError, match="'stimulus_id' is no coordinate of the neurons"):
        embedding_figure(given, colours=["stimulus_id"])
    with pytest.raises(MurineError, match="nothing to colour"):
        embedding_figure(given, colours=[])
