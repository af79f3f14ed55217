"""Documents that are cited are in the repository or have a public address."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CITATION.cff")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *(file for room in ("src", "examples", "benchmarks", "tools") for file in sorted((ROOT / room).rglob("*.py"))),
]


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_cited_files_are_in_the_repository(file):
    text = file.read_text("utf-8")
    # With a folder, from the root; of a link in a page, from the page.
    cited = re.findall(
        r"(?<![\w/.:])((?:docs|src|tests|tools|examples|benchmarks|specs)/[\w./-]*\w\.(?:md|py|csv|png))", text
    )
    missing = [name for name in cited if not (ROOT / name).is_file()]
    if file.suffix == ".md":
        linked = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text)
        missing += [name for name in linked if not (file.parent / name).is_file()]
        plain = re.findall(r"(?<![\w/.-])([A-Z]{4,}\.md)", text)
        missing += [name for name in plain if not (ROOT / name).is_file()]
    # What only those who wrote murine can read.
    missing += re.findall(r"(?<![\w/])(?:papers|design)\.md", text)
    assert not missing


def test_sections_of_the_sources_that_are_cited_exist():
    headings = set(re.findall(r"^#+ (.+)$", (ROOT / "docs/reference/sources.md").read_text("utf-8"), re.MULTILINE))
    cited = set()
    for file in (ROOT / "src").rglob("*.py"):
        cited |= set(re.findall(r"``docs/reference/sources.md``, \*([^*]+)\*", file.read_text("utf-8")))
    assert len(cited) > 3
    assert cited <= headings


def test_links_into_pages_point_to_headings():
    def anchor(heading):
        return re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading.lower().replace("`", "")).strip())

    missing = []
    for page in (ROOT / "docs").rglob("*.md"):
        for name, fragment in re.findall(r"\]\(([^)#:\s]*)#([\w-]+)\)", page.read_text("utf-8")):
            target = (page.parent / name) if name else page
            headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
            if fragment not in map(anchor, headings):
                missing.append(f"{page.name}: {name}#{fragment}")
    assert not missing
