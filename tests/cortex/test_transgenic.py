"""Every line of the data set, every depth of it, both schemes: against tables written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from murine.cortex.allen import transgenic
from murine.errors import MurineError

#: Cre line: class, reporters with their indicators (Transgenic Characterization; specification, section 9).
LINES = {
    "Cux2-CreERT2": ("excitatory", {"Ai93(TITL-GCaMP6f)": "GCaMP6f"}),
    "Emx1-IRES-Cre": ("excitatory", {"Ai93(TITL-GCaMP6f)": "GCaMP6f"}),
    "Slc17a7-IRES2-Cre": ("excitatory", {"Ai93(TITL-GCaMP6f)": "GCaMP6f", "Ai94(TITL-GCaMP6s)": "GCaMP6s"}),
    "Rorb-IRES2-Cre": ("excitatory", {"Ai93(TITL-GCaMP6f)-hyg": "GCaMP6f"}),
    "Scnn1a-Tg3-Cre": ("excitatory", {"Ai93(TITL-GCaMP6f)": "GCaMP6f"}),
    "Nr5a1-Cre": ("excitatory", {"Ai93(TITL-GCaMP6f)": "GCaMP6f"}),
    "Rbp4-Cre_KL100": ("excitatory", {"Ai93(TITL-GCaMP6f)": "GCaMP6f"}),
    "Fezf2-CreER": ("excitatory", {"Ai148(TIT2L-GC6f-ICL-tTA2)": "GCaMP6f"}),
    "Tlx3-Cre_PL56": ("excitatory", {"Ai148(TIT2L-GC6f-ICL-tTA2)": "GCaMP6f"}),
    "Ntsr1-Cre_GN220": ("excitatory", {"Ai148(TIT2L-GC6f-ICL-tTA2)-STOPdel": "GCaMP6f"}),
    "Pvalb-IRES-Cre": ("inhibitory", {"Ai162(TIT2L-GC6s-ICL-tTA2)": "GCaMP6s"}),
    "Sst-IRES-Cre": ("inhibitory", {"Ai148(TIT2L-GC6f-ICL-tTA2)": "GCaMP6f"}),
    "Vip-IRES-Cre": ("inhibitory", {"Ai148(TIT2L-GC6f-ICL-tTA2)": "GCaMP6f"}),
}
#: Layer of an ordinary line at every depth of the data set, by scheme; section 10.
DEPTHS = {
    "2/3": (175, 185, 195),
    "4": (200, 205, 225, 250, 265, 275, 276, 285),
    "5": (300, 320, 325, 335, 350, 365, 375, 390),
}
ALWAYS_4 = ("Nr5a1-Cre", "Scnn1a-Tg3-Cre")
ORDINARY = [line for line in LINES if line not in (*ALWAYS_4, "Fezf2-CreER")]


def test_there_are_thirteen_lines():
    assert {*transgenic.EXCITATORY, *transgenic.INHIBITORY} == set(LINES)
    assert len(LINES) == 13


@pytest.mark.parametrize("line", LINES)
def test_class_and_indicator_of_every_line(line):
    expected, reporters = LINES[line]
    for spelling in (line, f"{line}/wt", f" {line} ", f"{line}/{line}"):
        assert transgenic.cre_line(spelling) == line
        assert transgenic.cell_class(spelling) == expected
    for reporter, name in reporters.items():
        for spelling in (reporter, f"{reporter}/wt", f" {reporter}"):
            assert transgenic.indicator(spelling) == name


def test_other_spellings_and_other_lines():
    assert transgenic.cre_line("Rbp4-Cre") == transgenic.cre_line("Rbp4-Cre/wt") == "Rbp4-Cre_KL100"
    assert transgenic.cell_class("Rbp4-Cre") == "excitatory"
    for other in ("", "wt", "Camk2a-tTA", "Gad2-IRES-Cre", "Sst", "Cux2-CreERT2-x"):
        assert transgenic.cell_class(other) == "unknown"
    for other in ("", "Camk2a-tTA", "Ai32(RCL-ChR2(H134R)_EYFP)", "tdTomato"):
        assert transgenic.indicator(other) == ""


@pytest.mark.parametrize("line", [*ORDINARY, "", "wt"])
@pytest.mark.parametrize("scheme", ["allen-cnn", "de-vries2020"])
def test_layers_of_ordinary_lines_at_every_depth(scheme, line):
    layer = transgenic.layer_schemes[scheme]
    expected = {depth: name for name, depths in DEPTHS.items() for depth in depths}
    # At 400 um the first scheme says 5, the second nothing; 550 and 570 are 6; 625 is in no bin of the second.
    expected |= {400: "5", 550: "6", 570: "6", 625: "6"}
    if scheme == "de-vries2020":
        expected |= {400: "", 625: ""}
    assert {depth: layer(float(depth), line) for depth in expected} == expected


@pytest.mark.parametrize("depth", [0.0, 175.0, 199.0, 200.0, 350.0, 400.0, 570.0, 625.0])
@pytest.mark.parametrize("line", ALWAYS_4)
def test_two_lines_are_always_of_layer_4(line, depth):
    for scheme in transgenic.layer_schemes:
        for spelling in (line, f"{line}/wt"):
            assert transgenic.layer_schemes[scheme](depth, spelling) == "4"


@pytest.mark.parametrize("depth", [175.0, 250.0, 350.0, 375.0, 400.0, 550.0, 625.0])
def test_fezf2_is_of_layer_5_in_one_scheme_only(depth):
    assert transgenic.de_vries2020(depth, "Fezf2-CreER/wt") == "5"
    expected = "2/3" if depth < 200 else "4" if depth < 300 else "5" if depth < 500 else "6"
    assert transgenic.allen_cnn(depth, "Fezf2-CreER") == expected


@pytest.mark.parametrize(
    ("border", "below", "above", "bin_below", "bin_above"),
    [
        (100, "2/3", "2/3", "", "2/3"),
        (200, "2/3", "4", "2/3", "4"),
        (300, "4", "5", "4", "5"),
        (400, "5", "5", "5", ""),
        (500, "5", "6", "", "6"),
        (600, "6", "6", "6", ""),
    ],
)
def test_a_border_belongs_to_the_layer_below_it(border, below, above, bin_below, bin_above):
    just = float(np.nextafter(border, 0))
    assert (transgenic.allen_cnn(just, "Cux2-CreERT2"), transgenic.allen_cnn(border, "Cux2-CreERT2")) == (below, above)
    found = transgenic.de_vries2020(just, "Cux2-CreERT2"), transgenic.de_vries2020(border, "Cux2-CreERT2")
    assert found == (bin_below, bin_above)


@pytest.mark.parametrize("depth", [np.nan, np.inf, -np.inf])
def test_no_depth_no_layer(depth):
    for scheme in transgenic.layer_schemes:
        for line in ("Cux2-CreERT2", "Nr5a1-Cre", "Fezf2-CreER"):
            assert transgenic.layer_schemes[scheme](depth, line) == ""


def test_a_scheme_that_does_not_exist():
    with pytest.raises(MurineError, match=r"layer scheme 'allen'.* allen-cnn, de-vries2020"):
        transgenic.layer_schemes["allen"]


def test_lines_by_a_part_of_their_name():
    for line in LINES:
        assert transgenic.known_line(line) == line
        assert transgenic.known_line(line.split("-")[0].lower()) == line
    assert transgenic.known_line("KL100") == "Rbp4-Cre_KL100"
    with pytest.raises(MurineError, match="'IRES2' names 2 Cre lines"):
        transgenic.known_line("IRES2")
    with pytest.raises(
        MurineError, match=r"'Pvalb-IRES-Kre' names no Cre lines; did you mean Pvalb-IRES-Cre.*There are"
    ):
        transgenic.known_line("Pvalb-IRES-Kre")
    with pytest.raises(MurineError, match="'' names 13 Cre lines"):
        transgenic.known_line("")
