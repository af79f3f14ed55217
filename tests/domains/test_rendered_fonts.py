"""Digits drawn with installed fonts: which fonts count, and that the digits are those they are called."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest

from murine.domains.raw_images import RawDomain
from murine.domains.rendered_fonts import VARIANTS, installed, rendered_fonts, typefaces
from murine.errors import MurineError

OWN = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@pytest.fixture(scope="module")
def raw() -> RawDomain:
    names = (
        "DejaVuSans",
        "DejaVuSans-Bold",
        "DejaVuSerif",
        "cmr10",
        "cmtt10",
        "STIXGeneral",
        "cmsy10",
        "LastResortHE-Regular",
    )
    return rendered_fonts([OWN / f"{name}.ttf" for name in names])


def test_fonts_of_symbols_do_not_count(tmp_path):
    broken = tmp_path / "broken.ttf"
    broken.write_bytes((OWN / "cmr10.ttf").read_bytes()[:2000])
    (tmp_path / "text.ttf").write_text("no font")
    kept = typefaces([*sorted(OWN.glob("*.ttf")), broken, tmp_path / "text.ttf", tmp_path / "missing.ttf"])
    families = {face.family for face in kept}
    assert {"DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono", "STIXGeneral", "cmr10", "cmtt10", "cmss10"} <= families
    assert not {"cmsy10", "cmex10", "STIXNonUnicode", "STIXSizeOneSym", "Last Resort High-Efficiency"} & families
    assert len({(face.family, face.style) for face in kept}) == len(kept)
    assert set(OWN.glob("DejaVu*.ttf")) <= set(installed())


def test_a_copy_of_a_font_counts_once(tmp_path):
    copy = tmp_path / "copy.ttf"
    copy.write_bytes((OWN / "cmr10.ttf").read_bytes())
    assert len(typefaces([OWN / "cmr10.ttf", copy])) == 1


def test_images_are_black_on_white_and_of_their_digit(raw):
    assert raw.images.shape == (6 * 10 * VARIANTS, 64, 64)
    assert (np.bincount(raw.labels) == 6 * VARIANTS).all()
    assert np.median(raw.images) == 255
    for i in range(0, len(raw.images), 7):
        assert raw.images[i].min() < 100
        assert (raw.images[i][[0, -1]] > 200).all()  # nothing is cut off
        assert (raw.images[i][:, [0, -1]] > 200).all()
    # The nearest upright image of another font is of the same digit, nearly always.
    upright = np.asarray(raw.images)[::VARIANTS].reshape(60, -1).astype(float)
    upright -= upright.mean(axis=1, keepdims=True)
    upright /= np.linalg.norm(upright, axis=1, keepdims=True)
    likeness = upright @ upright.T
    font = np.arange(60) // 10
    likeness[font[:, None] == font] = -1
    digit = np.arange(60) % 10
    assert (digit[likeness.argmax(axis=1)] == digit).mean() > 0.9


def test_variants_differ_and_are_the_same_again(raw):
    again = rendered_fonts([OWN / "cmr10.ttf", OWN / "DejaVuSerif.ttf"])
    assert (again.images[: 10 * VARIANTS] == raw.images[np.array(raw.groups) == "family-DejaVu Serif"]).all()
    variants = {image.tobytes() for image in again.images[:VARIANTS]}
    assert len(variants) == VARIANTS
    assert len(again.sources) == 2


def test_families_are_never_on_two_sides(raw):
    assert set(raw.groups.tolist()) == {
        "family-Computer Modern", "family-DejaVu Sans", "family-DejaVu Serif", "family-STIXGeneral"
    }  # fmt: skip
    sides = [set(raw.groups[raw.parts == part].tolist()) for part in ("train", "test")]
    assert not sides[0] & sides[1]
    assert all(sides)


def test_too_few_fonts():
    for files in ([], [OWN / "cmr10.ttf"], [OWN / "cmr10.ttf", OWN / "cmtt10.ttf"]):
        with pytest.raises(
            MurineError, match=rf"found {len(files)} fonts that draw digits, of fewer than two families"
        ):
            rendered_fonts(files)
