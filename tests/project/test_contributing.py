"""The files that contributors and other programs read: make targets, the workflow, hooks, templates, the citation."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))

#: What a contributor does, each with a target of its own.
DONE_BY_CONTRIBUTORS = {
    *("test", "test-fast", "test-docs", "test-lowest", "lint", "format", "types", "hooks"),
    *("wheel", "docs", "bench", "verify", "clean", "help", "demo"),
}


def make(*arguments):
    return subprocess.run(
        ["make", "--no-print-directory", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )


@pytest.fixture(scope="module")
def targets():
    """The targets that `make help` lists, with what it says of each."""
    ran = make("help")
    assert ran.returncode == 0, ran.stderr
    return dict(re.match(r"make (\S+) +(.+)", line).groups() for line in ran.stdout.splitlines())


def commands(job):
    return [line for step in job["steps"] for line in step.get("run", "").splitlines()]


# --------------------------------------------------------------------------------- make


def test_there_is_a_target_for_each_thing_a_contributor_does(targets):
    assert set(targets) >= DONE_BY_CONTRIBUTORS


def test_help_lists_every_target_that_is_no_file(targets):
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(phony.split()) - set(targets) == {"known-room"}


@pytest.mark.parametrize("room", ["", "nowhere"])
def test_a_room_that_is_not_there_is_refused_before_anything_is_installed(room):
    ran = make("test-fast", f"ROOM={room}", "VENV=/nowhere")
    assert ran.returncode != 0
    assert f"ROOM is '{room}'; expected one of:" in ran.stdout
    assert {"similarity", "networks", "project"} <= set(ran.stdout.split())
    assert "pip" not in ran.stdout


def test_every_file_that_the_makefile_runs_exists():
    text = (ROOT / "Makefile").read_text("utf-8")
    named = set(re.findall(r"(?:tools|tests)/[\w./-]*\w", text))
    assert {"tools/write_tables_page.py", "tests/examples"} <= named
    assert not [name for name in named if not (ROOT / name).exists()]


# --------------------------------------------------------------------------------- the workflow


def test_the_workflow_calls_make_and_nothing_else(targets):
    called = [shlex.split(line) for job in WORKFLOW["jobs"].values() for line in commands(job)]
    assert {words[0] for words in called} == {"make"}
    assert {words[1] for words in called} <= set(targets)
    assert {"test", "test-lowest", "wheel", "docs", "test-docs"} <= {words[1] for words in called}
    rooms = [word.removeprefix("ROOM=") for words in called for word in words if word.startswith("ROOM=")]
    assert all((ROOT / "tests" / room).is_dir() for room in rooms)


def test_the_workflow_tests_every_promised_python_on_linux_and_macos():
    matrix = WORKFLOW["jobs"]["test"]["strategy"]["matrix"]
    promised = {c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)}
    assert set(matrix["python"]) == promised
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos"}
    lowest = next(step["with"] for step in WORKFLOW["jobs"]["lowest"]["steps"] if "with" in step)
    assert PROJECT["requires-python"] == f">={lowest['python-version']}"


def test_every_job_has_a_limit_and_python():
    for job in WORKFLOW["jobs"].values():
        assert job["timeout-minutes"] <= 120
        used = [step["uses"].partition("@")[0] for step in job["steps"] if "uses" in step]
        assert used[:2] == ["actions/checkout", "actions/setup-python"]


# --------------------------------------------------------------------------------- hooks


def test_hooks_are_local_and_run_what_make_runs():
    repositories = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert [own["repo"] for own in repositories] == ["local"]
    hooks = {hook["id"]: shlex.split(hook["entry"]) for hook in repositories[0]["hooks"]}
    assert {"ruff-check", "ruff-format", "mypy", "files"} <= set(hooks)
    for words in hooks.values():
        assert words[0] == ".venv/bin/python"  # as the Makefile calls it
        assert words[1] == "-m" or (ROOT / words[1]).is_file()
    made = (ROOT / "Makefile").read_text("utf-8")
    assert all(hook[2] in made for hook in hooks.values() if hook[1] == "-m")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"text\n", ""),
        (b"", ""),
        (b"\0 \n\n", ""),  # not a text
        (b"text \nmore\n", "{}:1: blank or carriage return at the end of the line"),
        (b"text\r\n", "{}:1: blank or carriage return at the end of the line"),
        (b"text", "{}: no line break at the end"),
        (b"text\n\n", "{}: empty lines at the end"),
        (b"<" * 7 + b" mine\n", "{}:1: conflict marker"),
        (b"a" * 600_000 + b"\n", "{}: 600,001 bytes; at most 500,000 are allowed"),
    ],
)
def test_faults_of_files_are_found(content, fault, tmp_path):
    file = tmp_path / "file.txt"
    file.write_bytes(content)
    ran = subprocess.run(
        [sys.executable, ROOT / "tools/check_files.py", file], capture_output=True, text=True, timeout=60
    )
    assert ran.stdout.strip() == (fault.format(file) or "files: no faults")
    assert ran.returncode == int(bool(fault))


# --------------------------------------------------------------------------------- pages


def test_every_page_is_in_the_navigation_once():
    def pages(entry):
        if isinstance(entry, str):
            return [entry]
        inner = entry.values() if isinstance(entry, dict) else entry
        return [page for part in inner for page in pages(part)]

    listed = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])
    docs = ROOT / "docs"
    assert sorted(listed) == sorted(file.relative_to(docs).as_posix() for file in docs.rglob("*.md"))


def test_the_page_of_python_has_every_public_name():
    tool = ROOT / "tools/write_python_page.py"
    ran = subprocess.run([sys.executable, tool, "--check"], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    text = (ROOT / "docs/reference/python.md").read_text("utf-8")
    assert {"score", "load_network", "pearson_rdm", "ridge_loo"} <= set(re.findall(r"\w+", text))


# --------------------------------------------------------------------------------- templates and the citation


@pytest.mark.parametrize("name", ["bug_report", "feature_request"])
def test_issue_forms_have_what_github_asks_for(name):
    form = yaml.safe_load((ROOT / f".github/ISSUE_TEMPLATE/{name}.yml").read_text("utf-8"))
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in fields}) == len(fields)
    assert all(field["attributes"]["label"] for field in fields)
    assert any(field["validations"]["required"] for field in fields if "validations" in field)


def test_the_pull_request_template_names_files_and_names_that_exist():
    text = (ROOT / ".github/pull_request_template.md").read_text("utf-8")
    paths = re.findall(r"`([\w./]+\.(?:py|md))`", text)
    assert "src/murine/atlas/columns.py" in paths
    assert all((ROOT / path).is_file() for path in paths)
    identity = ast.parse((ROOT / "src/murine/atlas/identity.py").read_text("utf-8"))
    assigned = {target.id for node in identity.body if isinstance(node, ast.Assign) for target in node.targets}
    assert set(re.findall(r"`([A-Z_]+_METHOD)`", text)) <= assigned


def test_the_citation_has_what_its_format_asks_for():
    """The required keys of the Citation File Format 1.2.0, and of each person, entity and reference."""
    assert CITATION["cff-version"] == "1.2.0"
    assert {"cff-version", "message", "title", "authors"} <= set(CITATION)
    for work in (CITATION, *CITATION["references"]):
        assert work["title"]
        assert all("name" in author or {"family-names", "given-names"} == set(author) for author in work["authors"])
    for reference in CITATION["references"]:
        assert reference["type"] in ("article", "conference-paper")
        assert isinstance(reference["year"], int)
        assert "url" in reference or re.fullmatch(r"10\.\d+/\S+", reference["doi"])


def test_the_citation_agrees_with_the_package():
    assert CITATION["version"] == PROJECT["version"]
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION["keywords"] == PROJECT["keywords"]
    assert [author["name"] for author in CITATION["authors"]] == [author["name"] for author in PROJECT["authors"]]


def test_no_file_for_contributors_names_a_package_index():
    files = [
        *("pyproject.toml", "Makefile", "CITATION.cff", ".pre-commit-config.yaml", ".editorconfig", "CONTRIBUTING.md"),
        *(str(file.relative_to(ROOT)) for file in (ROOT / ".github").rglob("*") if file.is_file()),
    ]
    named = r"index[-_]url|--index|find[-_]links|py[-_]?pi|conda[-_]?forge|simple/"
    assert not [name for name in files if re.search(named, (ROOT / name).read_text("utf-8"), re.IGNORECASE)]
