"""The common frame of all pages: one HTML file with its own scripts, style and colours, which loads nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from murine.io.files import atomic_write
from murine.report import palette

#: Each page's scripts in ``templates``, in the order in which they are joined.
SCRIPTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "page.html.j2": ("base.js", "charts.js", "page.js"),
        "generalization.html.j2": ("generalization.js",),
        "study.html.j2": (),
    }
)


def filled(template: str, title: str, **content: object) -> str:
    """A page as text.

    A content security policy forbids the page to load anything, and to run scripts other than its own two, which are
    listed by their digests. So the name of a network can never become code.

    Parameters
    ----------
    template
        Name of one of the pages that `SCRIPTS` lists.
    content
        Other values for the template.
    """
    from plotly.offline import get_plotlyjs

    environment = Environment(
        loader=PackageLoader("murine.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["breakable"] = _breakable
    scripts = SCRIPTS[template]
    script = joined(_text(environment, name) for name in scripts)
    plotly = get_plotlyjs() if scripts else ""
    hashes = " ".join(f"'sha256-{_sha256(text)}'" for text in (plotly, script)) if scripts else "'none'"
    return environment.get_template(template).render(
        policy=f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:",
        title=title,
        date=datetime.now(UTC).date().isoformat(),
        version=version("murine"),
        style=Markup(_colours() + _text(environment, "page.css")),
        plotly=Markup(plotly),
        script=Markup(script),
        **content,
    )


def joined(scripts: Iterable[str]) -> str:
    """Join the scripts of a page in one block, so that their names are visible only to each other."""
    return '"use strict";\n{\n' + "\n".join(scripts) + "}\n"


def save(page: str, file: str | Path) -> Path:
    """Write a page, which appears only when it is complete."""
    file = Path(file)
    with atomic_write(file) as partial:
        partial.write_text(page, encoding="utf-8", errors="backslashreplace", newline="\n")
    return file


def json_text(data: object) -> Markup:
    """JSON that nothing in it can break out of a script element."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _colours() -> str:
    """The palette as variables, for light screens and paper and for dark screens."""

    def block(ground: dict[str, str], roles: dict[str, str], hues: Sequence[str], heat: Sequence[str]) -> str:
        colours = {**ground, **roles, "hues": ", ".join(hues), "heat": ", ".join(heat)}
        return "{" + "".join(f"--{name.replace(' ', '-')}:{colour};" for name, colour in colours.items()) + "}"

    light = block(palette.GROUND_LIGHT, palette.LIGHT, palette.HUES_LIGHT, palette.HEAT_LIGHT)
    dark = block(palette.GROUND_DARK, palette.DARK, palette.HUES_DARK, palette.HEAT_DARK)
    return f":root{light}\n@media screen and (prefers-color-scheme: dark){{:root:not(.printing){dark}}}\n"


def _text(environment: Environment, name: str) -> str:
    if environment.loader is None:
        raise LookupError("the environment has no loader")
    return environment.loader.get_source(environment, name)[0]


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _breakable(text: str) -> Markup:
    """Escaped text that may break after the signs that names are made of."""
    return Markup(re.sub(r"([:/_.])", r"\1<wbr>", str(escape(text))))
