"""Properties of neurons from the mouse line: class, indicator and, with the depth, cortical layer.

Source of the table and of both schemes: Allen white paper *Transgenic Characterization*, v4; code of de Vries et al.
2020 (``docs/reference/sources.md``, *Mouse lines and cortical layers*).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from murine.errors import MurineError, nearest
from murine.registry import Registry

#: Cre lines of excitatory and of inhibitory neurons.
EXCITATORY = (
    *("Cux2-CreERT2", "Emx1-IRES-Cre", "Slc17a7-IRES2-Cre", "Rorb-IRES2-Cre", "Scnn1a-Tg3-Cre", "Nr5a1-Cre"),
    *("Rbp4-Cre_KL100", "Fezf2-CreER", "Tlx3-Cre_PL56", "Ntsr1-Cre_GN220"),
)
INHIBITORY = ("Pvalb-IRES-Cre", "Sst-IRES-Cre", "Vip-IRES-Cre")

#: Spellings of NWB genotypes that mean one of the lines above.
_SPELLINGS = {"Rbp4-Cre": "Rbp4-Cre_KL100"}

#: Functions, by name, that return the layer ('2/3', '4', '5', '6', or '' for none) for a depth (um) and a Cre line.
layer_schemes: Registry[Callable[[float, str], str]] = Registry("layer_scheme")


def cre_line(name: str) -> str:
    """Return the uniform name of a Cre line: without its second allele (``/wt``), in the spelling of the catalogue."""
    plain = name.strip().split("/")[0].strip()
    return _SPELLINGS.get(plain, plain)


def cell_class(line: str) -> str:
    """Return ``excitatory``, ``inhibitory``, or ``unknown`` for a line that is none of the thirteen."""
    plain = cre_line(line)
    return "excitatory" if plain in EXCITATORY else "inhibitory" if plain in INHIBITORY else "unknown"


def indicator(reporter: str) -> str:
    """Return the calcium indicator of a reporter line.

    Ai94 and Ai162 carry the slow variant GCaMP6s, the others GCaMP6f; '' for a line that is not known.
    """
    for line, name in (("Ai93", "GCaMP6f"), ("Ai148", "GCaMP6f"), ("Ai94", "GCaMP6s"), ("Ai162", "GCaMP6s")):
        if reporter.strip().startswith(line):
            return name
    return ""


@layer_schemes.register("allen-cnn")
def allen_cnn(depth: float, line: str) -> str:
    """Scheme of Allen's model comparison: < 200 um 2/3, < 300 4, < 500 5, else 6; Nr5a1 and Scnn1a always 4.

    The best guess for the layers of Conwell et al. 2021, and the default.
    """
    if not math.isfinite(depth):
        return ""
    if cre_line(line).startswith(("Nr5a1", "Scnn1a")):
        return "4"
    return "2/3" if depth < 200 else "4" if depth < 300 else "5" if depth < 500 else "6"


@layer_schemes.register("de-vries2020")
def de_vries2020(depth: float, line: str) -> str:
    """Scheme of de Vries et al. 2020: by hundreds of the depth (100, 200, 300, 500); Nr5a1 and Scnn1a 4, Fezf2 5.

    A depth of 400-499 um of another line than Fezf2, or one from 600 um, belongs to no layer: ''.
    """
    if not math.isfinite(depth):
        return ""
    plain = cre_line(line)
    if plain.startswith(("Nr5a1", "Scnn1a")):
        return "4"
    if plain.startswith("Fezf2"):
        return "5"
    return {1: "2/3", 2: "4", 3: "5", 5: "6"}.get(int(depth // 100), "")


def known_line(name: str) -> str:
    """Return the full name of a Cre line from any part of it that is unique, as ``cux2``; raises otherwise."""
    lines = (*EXCITATORY, *INHIBITORY)
    found = [line for line in lines if name.lower() in line.lower()]
    if name in lines:
        return name
    if len(found) != 1:
        raise MurineError(
            f"{name!r} names {len(found) or 'no'} Cre line{'s'[: len(found) != 1]}"
            f"{nearest(name, lines) or '.'} There are {', '.join(lines)}."
        )
    return found[0]
