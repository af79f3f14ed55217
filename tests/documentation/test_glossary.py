"""docs/glossary.md: every term has two sentences, and the function that computes it exists."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

TEXT = (Path(__file__).resolve().parents[2] / "docs/glossary.md").read_text("utf-8")

#: Terms with what is said of them.
ENTRIES = dict(re.findall(r"^## ([^\n]+)\n\n(.*?)(?=\n## |\Z)", TEXT, re.MULTILINE | re.DOTALL))

#: What a reader of the field looks up first.
WANTED = {
    *("Noise ceiling", "RDM", "RSA", "CKA", "Reweighted RSA", "Neural regression", "Site", "Neuroid", "Naive best"),
    *("Held-out layer choice", "Treatment", "Random twin", "NeuRN", "Split-half reliability", "Spearman-Brown", "Band"),
    *("Response-weighted map", "Mantel test", "Needleman-Wunsch", "Domain generalisation"),
}


def test_the_terms_are_there_in_alphabetical_order():
    assert set(ENTRIES) >= WANTED
    assert list(ENTRIES) == sorted(ENTRIES, key=str.lower)


@pytest.mark.parametrize("term", ENTRIES)
def test_a_term_has_two_sentences_and_a_path(term):
    sentences, path = ENTRIES[term].strip().split("\n\n")
    assert len(re.findall(r"\.(?= |$)", sentences)) == 2
    assert re.fullmatch(r"`murine(\.\w+)+`", path)


@pytest.mark.parametrize("path", re.findall(r"^`(murine[\w.]+)`$", TEXT, re.MULTILINE))
def test_a_path_exists(path):
    parts = path.split(".")
    for n in range(len(parts) - 1, 0, -1):
        try:
            found = import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        break
    for name in parts[n:]:
        found = getattr(found, name)
    assert found is not None
