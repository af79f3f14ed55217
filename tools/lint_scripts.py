"""Lint the JavaScript of the pages with oxlint (rules: .oxlintrc.json).

    python tools/lint_scripts.py

The files of a page use each other's names and run as one script, so they are linted as one: a name that is nowhere
defined, or that nothing uses, is found. Messages name the file and the line."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from murine.report.page_shell import SCRIPTS, joined

ROOT = Path(__file__).resolve().parents[1]
TEMPLATES = ROOT / "src/murine/report/templates"


def main() -> int:
    program = Path(sysconfig.get_path("scripts")) / "oxlint"
    if not program.exists():
        print("oxlint is not installed: pip install oxlint (it is among the packages of '.[test]')", file=sys.stderr)
        return 1
    listed = {name for names in SCRIPTS.values() for name in names}
    found = [
        f"{file.relative_to(ROOT)}: no page of murine.report.page_shell.SCRIPTS has this file"
        for file in sorted(TEMPLATES.glob("*.js"))
        if file.name not in listed
    ]
    for names in filter(None, SCRIPTS.values()):  # the page of studies has no script
        found += lint(program, [TEMPLATES / name for name in names])
    print(*found or [f"{len(listed)} scripts: no faults"], sep="\n")
    return int(bool(found))


def lint(program: Path, files: Sequence[Path]) -> list[str]:
    """What is wrong with the joined files of a page, one message a fault."""
    # Where each line of the joined script is from: joining puts two lines before, and one line break between.
    texts = [file.read_text(encoding="utf-8") for file in files]
    lines = [""] * 2
    for file, text in zip(files, texts, strict=True):
        name = file.relative_to(ROOT)
        lines += [f"{name}:{i}" for i in range(1, text.count("\n") + 2)]
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "page.js"
        script.write_text(joined(texts), encoding="utf-8")
        command = [program, "--config", ROOT / ".oxlintrc.json", "--format", "json", script]
        done = subprocess.run(command, capture_output=True, text=True)
    try:
        faults = json.loads(done.stdout)["diagnostics"]
    except (ValueError, KeyError):
        raise SystemExit(f"oxlint failed: {done.stdout}{done.stderr}") from None
    return [f"{_place(fault, lines)}: {fault['message']} [{fault.get('code', 'syntax')}]" for fault in faults]


def _place(fault: dict, lines: Sequence[str]) -> str:
    line = fault["labels"][0]["span"]["line"] if fault.get("labels") else 0
    return lines[line - 1] or "?"


if __name__ == "__main__":
    sys.exit(main())
