"""Fetching official digits from servers on loopback: what is there, what lies, what is gone."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from public_bucket import Fault, FaultProxy, PublicBucket
from test_file_formats import LABELS, N, archive, idx, mat, noise, semeion_table

from murine.domains import archives
from murine.domains.archives import FILES, ArchiveFile, archive_folder, fetch_domain, fetched, is_fetched
from murine.domains.catalogue import domains, load_domain
from murine.errors import MurineError

QUICK = {"retries": 1, "pause": 0.01, "timeout": 10.0}


def described(name: str, content: bytes, *addresses: str, by: str) -> ArchiveFile:
    digest = hashlib.new(by, content).hexdigest()
    return ArchiveFile(name, addresses, len(content) if by == "sha256" else None, **{by: digest})


@pytest.fixture
def table(shared_data) -> bytes:
    """Semeion's official file, made of the shared copy."""
    with np.load(shared_data / "digits" / "semeion.npz") as stored:
        return semeion_table(stored["x"], stored["y"])


def test_semeion_comes_as_published_and_is_the_shared_copy(bucket: PublicBucket, table, shared_data, tmp_path):
    """With the real digest, from a mirror that the user names; no official address is reached from here."""
    bucket.put("uci/semeion.data", table)
    mirror = f"{bucket.endpoint}/{bucket.name}/uci"
    (file,) = fetch_domain("semeion-official", cache=tmp_path, mirrors=[mirror], **QUICK)
    assert file == tmp_path / "digits" / "semeion-official" / "semeion.data"
    assert file.read_bytes() == table
    official, shared = load_domain("semeion-official", cache=tmp_path), load_domain("semeion", data=shared_data)
    for what in ("images", "labels", "parts", "groups"):
        assert (getattr(official, what) == getattr(shared, what)).all()
    assert official.digest != shared.digest
    assert official.identity.sources == (("semeion.data", hashlib.sha256(table).hexdigest()),)


def test_the_next_address_is_tried(bucket: PublicBucket, monkeypatch, tmp_path):
    """Gone, cut short, other bytes, a page instead of the file: the fourth address has it. By either digest."""
    content = gzip.compress(idx(noise(N, 28, 28)))
    bucket.put("next/good/f", content)
    bucket.put("next/other/f", content[:-1] + b"x")
    bucket.put("next/page/f", b"<html>the disk quota is used up</html>")
    base = f"{bucket.endpoint}/{bucket.name}/next"
    with FaultProxy(bucket.endpoint, lambda _: Fault(body=content[:100])) as short:
        for by in ("sha256", "md5"):
            places = (f"{base}/gone/f", f"{short.url}/{bucket.name}/next/good/f", f"{base}/other/f", f"{base}/page/f")
            monkeypatch.setitem(FILES, "svhn", (described("f", content, *places, f"{base}/good/f", by=by),))
            (file,) = fetch_domain("svhn", cache=tmp_path / by, **QUICK)
            assert file.read_bytes() == content
            # Without the good one every place is told with its reason, and nothing is left that looks like the file.
            monkeypatch.setitem(FILES, "svhn", (described("f", content, *places, by=by),))
            with pytest.raises(MurineError, match="could not be fetched") as told:
                fetch_domain("svhn", cache=tmp_path / f"{by}-bad", **QUICK)
            lines = str(told.value).splitlines()
            assert "HTTP 404" in lines[1]
            assert all(place in line for place, line in zip(places, lines[1:], strict=False))
            digest = hashlib.new(by, content).hexdigest()
            assert re.search(rf"{'SHA-256' if by == 'sha256' else 'MD5'} .*{digest}", str(told.value))
            assert not (archive_folder("svhn", tmp_path / f"{by}-bad") / "f").exists()
            assert not is_fetched("svhn", tmp_path / f"{by}-bad")


def test_what_is_here_is_not_fetched_again(bucket: PublicBucket, monkeypatch, tmp_path):
    content = noise(5000).tobytes()
    bucket.put("once/f", content)
    for by in ("sha256", "md5"):
        with FaultProxy(bucket.endpoint, lambda _: None) as proxy:
            files = (described("f", content, f"{proxy.url}/{bucket.name}/once/f", by=by),)
            monkeypatch.setitem(FILES, "svhn", files)
            for _ in range(2):
                fetch_domain("svhn", cache=tmp_path / by, **QUICK)
            assert proxy.sent("f") == len(content)
            assert fetched("svhn", tmp_path / by)[1] == (("f", hashlib.sha256(content).hexdigest()),)
            # What a user has put there counts, if it is the published file.
            mine = archive_folder("svhn", tmp_path / f"{by}-mine") / "f"
            mine.parent.mkdir(parents=True)
            mine.write_bytes(content)
            fetch_domain("svhn", cache=tmp_path / f"{by}-mine", **QUICK)
            assert proxy.sent("f") == len(content)


def test_a_fetch_goes_on_where_it_was_cut(bucket: PublicBucket, monkeypatch, tmp_path):
    content = noise(300_000).tobytes()
    bucket.put("cut/f", content)
    with FaultProxy(bucket.endpoint, lambda request: Fault(cut=200_000) if request.n == 1 else None) as proxy:
        monkeypatch.setitem(FILES, "svhn", (described("f", content, f"{proxy.url}/{bucket.name}/cut/f", by="md5"),))
        (file,) = fetch_domain("svhn", cache=tmp_path, **QUICK)
        assert file.read_bytes() == content
        assert proxy.sent("f") < 1.2 * len(content)


def test_a_file_that_changed_since_is_told(bucket: PublicBucket, table, tmp_path):
    bucket.put("changed/semeion.data", table)
    mirrors = [f"{bucket.endpoint}/{bucket.name}/changed"]
    (file,) = fetch_domain("semeion-official", cache=tmp_path, mirrors=mirrors, **QUICK)
    file.write_bytes(table.replace(b"1.0000", b"0.0000", 1))
    with pytest.raises(
        MurineError, match=r"semeion\.data' is not the published file.*cb545d371d2ce14ec121470795a77432"
    ):
        load_domain("semeion-official", cache=tmp_path)
    with pytest.raises(MurineError, match="Delete it, and `murine domains fetch semeion-official`"):
        fetch_domain("semeion-official", cache=tmp_path, mirrors=mirrors, **QUICK)
    file.unlink()
    fetch_domain("semeion-official", cache=tmp_path, mirrors=mirrors, **QUICK)
    assert load_domain("semeion-official", cache=tmp_path).n_images == 1593


def test_what_was_not_fetched_is_told(tmp_path):
    for name in FILES:
        with pytest.raises(MurineError, match=rf"has not been fetched to .*`murine domains fetch {name}`"):
            load_domain(name, cache=tmp_path)
    with pytest.raises(MurineError, match=r"nothing to fetch for 'svnh'; did you mean svhn\?"):
        fetch_domain("svnh", cache=tmp_path)
    with pytest.raises(MurineError, match="nothing to fetch for 'mnist'"):
        fetch_domain("mnist", cache=tmp_path)


def test_every_official_domain_is_pinned():
    """Whatever is fetched has a digest that somebody else than its server has published: see torchvision's source."""
    assert {name for name in domains if domains[name].kind == "fetched"} == set(FILES)
    for files in FILES.values():
        for file in files:
            assert file.addresses
            assert re.fullmatch("[0-9a-f]{64}", file.sha256) or re.fullmatch("[0-9a-f]{32}", file.md5)
            assert file.sha256 == "" or file.size
    installed = importlib.util.find_spec("torchvision")
    assert installed is not None  # timm needs it
    assert installed.origin is not None
    folder = Path(installed.origin).parent / "datasets"
    for domain in ("mnist", "svhn", "usps", "semeion"):
        source = (folder / f"{domain}.py").read_text()
        files = FILES[domain if domain == "svhn" else f"{domain}-official"]
        assert all(file.name in source and file.md5 in source for file in files)


@pytest.fixture
def cache(monkeypatch, tmp_path, shared_data) -> Path:
    """A cache with small official files of every kind, as if they had been fetched."""
    x, y = noise(N, 32, 32, 3), LABELS
    turned, tens = x.transpose(1, 2, 3, 0), np.where(y == 0, 10, y)[:, None]
    with np.load(shared_data / "digits" / "mnist.npz") as stored:
        digits = {part: (stored[f"x_{part}"][:N], stored[f"y_{part}"][:N]) for part in ("train", "test")}
    contents = {
        "mnist-official": {
            f"{name}-{what}-idx{n}-ubyte.gz": gzip.compress(idx(digits[part][i]))
            for part, name in (("train", "train"), ("test", "t10k"))
            for i, (what, n) in enumerate((("images", 3), ("labels", 1)))
        },
        "svhn": {"train_32x32.mat": mat(X=turned, y=tens), "test_32x32.mat": mat(X=turned[..., :3], y=tens[:3])},
        "syndigits": {
            "synth_train_32x32.mat": mat(X=turned, y=y[:, None]),
            "synth_test_32x32.mat": mat(X=turned[..., :3], y=y[:3, None]),
        },
        "mnist-m-official": {"mnist_m.tar.gz": archive({"train": (x, y), "test": (x[:3], y[:3])})},
    }
    for domain, files in contents.items():
        monkeypatch.setitem(archives.FILES, domain, tuple(described(n, c, by="sha256") for n, c in files.items()))
        folder = archive_folder(domain, tmp_path)
        folder.mkdir(parents=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
    return tmp_path


def test_official_mnist_is_the_shared_one(cache, shared_data):
    official = load_domain("mnist-official", cache=cache)
    shared = load_domain("mnist", data=shared_data)
    for part in ("train", "test"):
        mine, theirs = official.part(part), shared.part(part).subset(np.arange(N))
        for what in ("images", "labels", "groups"):
            assert (getattr(mine, what) == getattr(theirs, what)).all()


@pytest.mark.parametrize("name", ["svhn", "syndigits"])
def test_matlab_domains(name, cache):
    domain = load_domain(name, cache=cache)
    assert (domain.part("train").images == noise(N, 32, 32, 3)).all()
    assert domain.part("train").labels.tolist() == LABELS.tolist()
    assert domain.part("test").n_images == 3
    assert [source for source, _ in domain.identity.sources] == [file.name for file in archives.FILES[name]]


def test_official_mnist_m_is_tied_to_mnists_test_images(cache):
    domain = load_domain("mnist-m-official", cache=cache)
    assert (domain.part("train").images == noise(N, 32, 32, 3)[::-1]).all()  # in the order of its list
    assert domain.part("test").groups.tolist() == ["mnist-test-0", "mnist-test-1", "mnist-test-2"]
    assert set(domain.part("train").groups.tolist()) == {""}
