"""The colours of reports: safe for colour-blind readers, and the same everywhere."""

from __future__ import annotations

#: What a network is: trained, as a user's function built it (nobody says whether it was trained), with random weights,
#: or a control that never learned. Shapes differ too.
ROLES = ("trained", "as built", "random", "control")

#: On paper and light screens: blue, green and vermilion (Okabe & Ito 2008), grey for what is a reference only.
LIGHT = {"trained": "#0072b2", "as built": "#009e73", "random": "#d55e00", "control": "#6b7280"}

#: On a dark screen.
DARK = {"trained": "#56b4e9", "as built": "#4cc9a0", "random": "#f0883e", "control": "#a3abb8"}

#: Marker of a role, as plotly and as Matplotlib call it.
SYMBOLS = {"trained": "circle", "as built": "triangle-up", "random": "diamond", "control": "square"}
MARKERS = {"trained": "o", "as built": "^", "random": "D", "control": "s"}

#: Hues that tell architectures apart (after Tol's muted scheme), on light and on dark screens.
HUES_LIGHT = ("#0072b2", "#aa4499", "#117733", "#b8860b", "#882255", "#2aa198", "#332288", "#cc6677")
HUES_DARK = ("#56b4e9", "#d28ac6", "#5fc98a", "#e3c565", "#e07aa0", "#66d9c8", "#9d95f0", "#f0a3ad")

#: The largest number of colours that readers can distinguish on white: the hues above, then lighter colours of other
#: hues.
CATEGORIES = (*HUES_LIGHT, "#e69f00", "#56b4e9", "#ee8fb5", "#8db33a", "#8c6d4f", "#b79ad6")

#: What has no label, or one too many.
UNLABELLED = "#b4bac0"

#: Low to high scores, readable in print and on a dark screen (ColorBrewer YlGnBu and its reverse).
HEAT_LIGHT = ("#fbfde7", "#dcf1c3", "#a5dbb8", "#5fc0c0", "#2f9bc1", "#2467a9", "#253a8c", "#14205c")
HEAT_DARK = ("#141b3c", "#1f2f70", "#2a4f9a", "#2f7fb8", "#45a9c0", "#86cdbb", "#c9e9b4", "#fbfde0")


def scale(colours: tuple[str, ...]) -> list[tuple[float, str]]:
    """The colours as evenly spaced stops from 0 to 1."""
    return [(round(i / (len(colours) - 1), 4), colour) for i, colour in enumerate(colours)]


#: Grounds, inks and lines of the page.
GROUND_LIGHT = {
    "ground": "#fbfbf9",
    "surface": "#ffffff",
    "raised": "#f1f3f4",
    "ink": "#1c2228",
    "quiet": "#5a646e",
    "line": "#e4e7ea",
    "line-strong": "#bcc4cb",
    "link": "#0b5c94",
}
GROUND_DARK = {
    "ground": "#14171b",
    "surface": "#1a1e23",
    "raised": "#252b32",
    "ink": "#e7e9eb",
    "quiet": "#a2acb6",
    "line": "#2d343b",
    "line-strong": "#4b555f",
    "link": "#7cc4f5",
}
