"""`murine domains`, as a user sees it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from commands import Ran
from PIL import Image

from murine.domains.archives import FILES, ArchiveFile, archive_folder
from murine.domains.catalogue import domains, load_domain

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture
def murine(murine, monkeypatch, tmp_path) -> Callable[..., Ran]:
    """Run `murine domains`, with a cache of its own."""
    monkeypatch.setenv("MURINE_CACHE", str(tmp_path / "cache"))
    return partial(murine, "domains")


def test_every_command_has_examples(murine):
    for command in ("list", "show", "fetch"):
        ran = murine(command, "--help")
        assert ran.code == 0
        assert "Examples:" in ran.out


def test_listing(murine, shared_data, tmp_path):
    rows = murine("list", "--data", shared_data, "--format", "json").rows
    assert [row["domain"] for row in rows] == list(domains)
    assert {row["domain"] for row in rows if row["here"] == "no"} == set(FILES)
    assert murine("list", "--data", tmp_path, "--format", "json").rows[0]["here"] == "no"
    assert "mnist-m-official" in murine("list").out


def test_showing(murine, shared_data):
    rows = murine("show", "street", "semeion", "--data", shared_data, "--format", "json").rows
    street = load_domain("street", data=shared_data)
    assert [row["domain"] for row in rows] == ["street", "semeion"]
    assert rows[0]["digest"] == street.digest
    assert (rows[0]["train"], rows[0]["test"], rows[0]["groups"]) == (621, 264, 885)
    assert rows[0]["mean"] == pytest.approx(street.images.mean() / 255)
    assert rows[0]["sources"].count("street_chars") == 2
    turned = murine("show", "semeion", "--polarity", "black-on-white", "--data", shared_data, "--format", "json").rows
    assert turned[0]["light"] > 0.98
    assert rows[1]["light"] < 0.02
    assert json.loads(turned[0]["preparation"])["polarity"] == "black-on-white"


def test_shared_groups_show_what_must_not_meet(murine, shared_data):
    names = ("mnist-m", "street", "mnist-m+contrast:1")
    rows = murine("show", *names, "--data", shared_data, "--format", "json").rows
    assert [row["shared groups"] for row in rows] == [2000, 0, 2000]


def test_what_cannot_be_shown(murine, shared_data, tmp_path):
    ran = murine("show", "street", "mnits", "--data", shared_data)
    assert (ran.code, ran.out) == (2, "")
    assert "did you mean mnist" in ran.err
    ran = murine("show", "svhn")
    assert ran.code == 2
    assert "`murine domains fetch svhn`" in ran.err
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        Image.new("RGB", (9, 7), "red" if name == "cat" else "blue").save(tmp_path / "pets" / name / "1.png")
    ran = murine("show", f"folder:{tmp_path / 'pets'}", "street", "--data", shared_data, "--format", "csv")
    assert ran.code == 2
    assert "differ: 'street' lacks cat, dog" in ran.err
    assert len(ran.out.splitlines()) == 3  # both are shown all the same


def test_fetching(murine, bucket, monkeypatch, tmp_path):
    content = np.arange(1000, dtype="<u2").tobytes()
    bucket.put("commands/f.bin", content)
    place = f"{bucket.endpoint}/{bucket.name}/commands"
    file = ArchiveFile("f.bin", ("http://127.0.0.1:9/f.bin",), md5=hashlib.md5(content).hexdigest())
    monkeypatch.setitem(FILES, "svhn", (file,))
    ran = murine("fetch", "svhn", "--mirror", place)
    assert ran.code == 0
    assert "svhn: 1 files in" in ran.err
    assert (archive_folder("svhn", tmp_path / "cache") / "f.bin").read_bytes() == content
    assert murine("fetch", "svhn", "--quiet").err == ""
    other = Path(tmp_path / "other")
    bucket.put("commands/f.bin", content[:-1])
    monkeypatch.setitem(FILES, "svhn", (ArchiveFile("f.bin", (f"{place}/f.bin",), md5=file.md5),))
    ran = murine("fetch", "svhn", "--cache", other, "--quiet")
    assert ran.code == 2
    assert "its MD5 is" in ran.err
    assert f"expected {file.md5}" in ran.err
    ran = murine("fetch", "svhn", "mnist")
    assert ran.code == 2
    assert "nothing to fetch for 'mnist'" in ran.err
