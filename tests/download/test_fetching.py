"""Listing, planning, fetching and verifying where nothing goes wrong on the way; faults/test_transfers has the rest."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import random
import shutil
import threading
import time
from pathlib import Path

import pytest
from public_bucket import Answer, Fault, FaultProxy, PublicBucket, Request

from murine.download import (
    Bucket,
    Remote,
    Transfer,
    TransferResult,
    fetch,
    plan,
    read_record,
    remove,
    require_all,
    verified,
    verify,
)
from murine.download.bucket import parse_listing
from murine.download.http import PermanentError, TemporaryError
from murine.download.ledger import digests_of_parts, part_sizes
from murine.errors import MurineError
from murine.progress import Bar

MIB = 2**20


def content(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def prefix(bucket: PublicBucket, request: pytest.FixtureRequest) -> str:
    """A part of the bucket for one test: objects 0, 1, 2."""
    prefix = f"{request.node.name}/"
    for i in range(3):
        bucket.put(f"{prefix}{i}", content(i, 1000 * (i + 1)))
    return prefix


@pytest.fixture
def transfers(bucket: PublicBucket, prefix: str, tmp_path: Path) -> list[Transfer]:
    return [Transfer(r, tmp_path / Path(r.key).name) for r in listed(bucket, prefix)]


def listed(bucket: PublicBucket, prefix: str, endpoint: str = "") -> list[Remote]:
    return Bucket(bucket.name, endpoint=endpoint or bucket.endpoint).objects(prefix)


def states(outcomes: list[TransferResult]) -> list[str]:
    return [outcome.state for outcome in outcomes]


def check_whole(transfers: list[Transfer]) -> None:
    for i, transfer in enumerate(transfers):
        assert transfer.file.read_bytes() == content(i, 1000 * (i + 1))
        record = verify(transfer.file)
        assert (record.md5, record.sha256) == (md5(content(i, record.size)), sha256(content(i, record.size)))


# ------------------------------------------------------------------------------------------------- listing


def test_a_listing_has_all_pages_with_sizes_and_digests(bucket):
    keys = [f"pages/{i:03d}" for i in range(47)] + ["pages/a b+c&d=é%2F?#~.nwb", "pages/z/deeper"]
    for key in keys:
        bucket.put(key, key.encode() * 3)
    bucket.put("pages/folder/", b"")
    bucket.put("pagesnot", b"x")
    found = listed(bucket, "pages/")
    assert sorted(remote.key for remote in found) == sorted(keys)
    for remote in found:
        assert remote.size == 3 * len(remote.key.encode())
        assert remote.etag == md5(remote.key.encode() * 3)
    pages = bucket.client.list_objects_v2(Bucket=bucket.name, Prefix="pages/")
    assert pages["IsTruncated"]  # or this test shows nothing
    assert listed(bucket, "no such prefix/") == []


def test_every_listed_address_leads_to_its_object(bucket, tmp_path):
    keys = ["odd/a b+c&d=é%2F?#~.nwb", "odd/plain", "odd/<&>'\""]
    for i, key in enumerate(keys):
        bucket.put(key, content(i, 100))
    found = {remote.key: remote for remote in listed(bucket, "odd/")}
    transfers = [Transfer(found[key], tmp_path / str(i)) for i, key in enumerate(keys)]
    assert states(fetch(transfers)) == ["fetched"] * 3
    for i in range(3):
        assert (tmp_path / str(i)).read_bytes() == content(i, 100)


def test_addresses_of_buckets():
    assert Bucket("mice").url == "https://mice.s3.us-west-2.amazonaws.com"
    assert Bucket("mice", "eu-west-1").url == "https://mice.s3.eu-west-1.amazonaws.com"
    assert Bucket("mice.org").url == "https://s3.us-west-2.amazonaws.com/mice.org"
    assert Bucket("mice", endpoint="http://localhost:9000/").url == "http://localhost:9000/mice"


def test_a_bucket_that_is_not_there(bucket):
    with pytest.raises(MurineError, match=r"no-bucket.*cannot be listed: it does not exist: HTTP 404 NoSuchBucket"):
        Bucket("no-bucket", endpoint=bucket.endpoint).objects()
    with FaultProxy(bucket.endpoint, lambda _: Fault(status=403)) as proxy:
        with pytest.raises(MurineError, match="not public, or does not exist: HTTP 403"):
            Bucket(bucket.name, endpoint=proxy.url).objects()
        assert len(proxy.answers) == 1
    with pytest.raises(MurineError, match="cannot be listed: no connection"):
        Bucket(bucket.name, endpoint="http://127.0.0.1:9").objects(retries=1, pause=0.01)
    with pytest.raises(MurineError, match="its address cannot be used"):
        Bucket(bucket.name, endpoint="ftp://127.0.0.1").objects()


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(cut=300), Fault(short=300)])
def test_a_listing_that_fails_twice(bucket, prefix, fault):
    with FaultProxy(bucket.endpoint, lambda request: fault if request.n <= 2 else None) as proxy:
        found = Bucket(bucket.name, endpoint=proxy.url).objects(prefix, pause=0.01)
        assert [remote.key for remote in found] == [f"{prefix}{i}" for i in range(3)]
        assert len(proxy.answers) == 3


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(cut=300), Fault(short=300)])
def test_a_listing_that_always_fails(bucket, fault):
    with FaultProxy(bucket.endpoint, lambda _: fault) as proxy:
        with pytest.raises(MurineError, match=r"cannot be listed: .*\(3 times\)"):
            Bucket(bucket.name, endpoint=proxy.url).objects(retries=2, pause=0.01)
        assert len(proxy.answers) == 3


def test_a_listing_that_goes_round_in_circles(bucket):
    page = b"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
    told = Fault(body=page + b"</ListBucketResult>")
    with FaultProxy(bucket.endpoint, lambda _: told) as proxy, pytest.raises(MurineError, match="repeats its pages"):
        Bucket(bucket.name, endpoint=proxy.url).objects()


def entry(key: str, size: str) -> bytes:
    return f"<ListBucketResult><Contents><Key>{key}</Key><Size>{size}</Size></Contents></ListBucketResult>".encode()


@pytest.mark.parametrize("page", [entry("elsewhere/a", "3"), entry("here/a", "-3"), entry("here/a", "")])
def test_entries_that_make_no_sense(bucket, page):
    told = Fault(body=page)
    with FaultProxy(bucket.endpoint, lambda _: told) as proxy, pytest.raises(MurineError, match="makes no sense"):
        Bucket(bucket.name, endpoint=proxy.url).objects("here/")


LAUGHS = '<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
BOMB = f"<!DOCTYPE x [{LAUGHS}]><ListBucketResult><Contents><Key>&i;</Key></Contents></ListBucketResult>"
OUTSIDE = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><ListBucketResult><Name>&a;</Name></ListBucketResult>'


@pytest.mark.parametrize("text", [BOMB, OUTSIDE, "<!DOCTYPE html><html/>"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_listing_with_entities_is_refused(text, encoding):
    with pytest.raises(PermanentError, match="document type"):
        parse_listing(text.encode(encoding))


def test_what_is_no_listing():
    for text in (b"", b"not XML", b"<ListBucketResult>", b"\xff\xfe", b"<a/><b/>"):
        with pytest.raises(TemporaryError, match="no readable listing"):
            parse_listing(text)
    with pytest.raises(PermanentError, match="but 'html'; check the endpoint"):
        parse_listing(b"<html/>")
    with pytest.raises(PermanentError, match="an entry has no key"):
        parse_listing(b"<ListBucketResult><Contents/></ListBucketResult>")
    with pytest.raises(PermanentError, match="gives no token for the next page"):
        parse_listing(b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>")


def test_a_listing_without_end(bucket):
    told = Fault(body=b"<a>" + b" " * (33 * MIB))
    with FaultProxy(bucket.endpoint, lambda _: told) as proxy, pytest.raises(MurineError, match="more than"):
        Bucket(bucket.name, endpoint=proxy.url).objects()


# ------------------------------------------------------------------------------------------------- fetching


def test_files_arrive_whole_and_are_not_fetched_again(bucket, transfers, tmp_path):
    planned = plan(transfers)
    assert (planned.n_bytes, planned.missing, planned.present) == (6000, tuple(transfers), ())
    assert planned.free > 0
    outcomes = fetch(transfers)
    assert states(outcomes) == ["fetched"] * 3
    assert [outcome.received for outcome in outcomes] == [1000, 2000, 3000]
    assert [outcome.transfer for outcome in outcomes] == transfers
    require_all(outcomes)
    check_whole(transfers)
    for transfer in transfers:
        record = read_record(transfer.file)
        assert record is not None
        assert (record.url, record.etag, record.checked) == (transfer.remote.url, transfer.remote.etag, "etag")
        assert verified(transfer.file, transfer.remote)
    assert not list(tmp_path.glob(".*partial*"))

    planned = plan(transfers)
    assert (planned.n_bytes, planned.missing, planned.present) == (0, (), tuple(transfers))
    unreachable = [Transfer(Remote("http://127.0.0.1:9/x", t.remote.size, t.remote.etag), t.file) for t in transfers]
    assert states(fetch(unreachable)) == ["present"] * 3  # nobody is asked


def test_folders_are_made_and_old_files_replaced(transfers, tmp_path):
    deep = [Transfer(t.remote, tmp_path / "a" / "b" / t.file.name) for t in transfers]
    assert plan(deep).free > 0
    assert states(fetch(deep)) == ["fetched"] * 3
    deep[0].file.write_bytes(b"something else")
    assert states(fetch(deep)) == ["fetched", "present", "present"]
    check_whole(deep)


def test_an_empty_object(bucket, tmp_path):
    bucket.put("empty/0", b"")
    transfers = [Transfer(r, tmp_path / "0") for r in listed(bucket, "empty/")]
    assert states(fetch(transfers)) == ["fetched"]
    assert (tmp_path / "0").read_bytes() == b""
    assert states(fetch(transfers)) == ["present"]


def test_nothing_to_fetch():
    assert fetch([]) == []
    assert plan([]).missing == ()


def test_two_transfers_of_one_name(transfers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MurineError, match="the same file"):
        fetch([transfers[0], Transfer(transfers[1].remote, Path(transfers[0].file.name))])


@pytest.mark.parametrize("setting", [{"workers": 0}, {"retries": -1}, {"timeout": 0.0}, {"pause": -1.0}])
def test_settings_that_cannot_be_used(transfers, setting):
    with pytest.raises(MurineError, match="cannot be used"):
        fetch(transfers, **setting)


def test_failures_are_told_together(bucket, transfers, tmp_path):
    gone = [Transfer(Remote(f"{bucket.endpoint}/{bucket.name}/gone{i}", 5), tmp_path / f"gone{i}") for i in range(2)]
    outcomes = fetch([gone[0], *transfers, gone[1]])
    assert states(outcomes) == ["failed", "fetched", "fetched", "fetched", "failed"]
    with pytest.raises(MurineError, match=r"2 of 5 files") as raised:
        require_all(outcomes)
    for i in range(2):
        assert f"gone{i}: it does not exist: HTTP 404 NoSuchKey ({gone[i].remote.url})" in str(raised.value)
        assert not gone[i].file.exists()
    check_whole(transfers)


def test_room_is_asked_for_before_anything_is_fetched(bucket, tmp_path):
    free = shutil.disk_usage(tmp_path).free

    def of_size(n: int, share: float) -> list[Transfer]:
        url = f"{bucket.endpoint}/{bucket.name}/nothing"
        return [Transfer(Remote(url, int(share * free), "0" * 32), tmp_path / str(i)) for i in range(n)]

    with pytest.raises(MurineError, match=r"MB free, and there are .* MB to fetch"):
        fetch(of_size(4, 0.3))
    with pytest.raises(MurineError, match=r"with 2 at a time there are"):
        fetch(of_size(6, 0.3), workers=2, kept=False)
    assert not list(tmp_path.iterdir())
    assert states(fetch(of_size(10, 0.2), workers=1, kept=False)) == ["failed"] * 10  # 404: asked after all


def test_an_etag_that_is_no_digest(bucket, transfers, tmp_path):
    odd = [Transfer(Remote(t.remote.url, t.remote.size, '"abc-def"'), t.file) for t in transfers]
    outcomes = fetch(odd)
    assert states(outcomes) == ["failed"] * 3
    assert "its ETag 'abc-def' is no MD5" in outcomes[0].reason
    assert "choose to check only the size" in outcomes[0].reason
    with FaultProxy(bucket.endpoint, lambda request: Fault(headers={"etag": '"abc-def"'})) as proxy:
        # A server that tells another ETag than its listing would be asked for another object.
        there = [
            Transfer(Remote(t.remote.url.replace(bucket.endpoint, proxy.url), t.remote.size, 'W/"1"'), t.file)
            for t in transfers
        ]
        assert states(fetch(there)) == ["failed"] * 3
        assert proxy.answers == []
        assert states(fetch(there, check="size")) == ["fetched"] * 3
        check_whole(transfers)
        record = read_record(transfers[0].file)
        assert record is not None
        assert record.checked == "size"
        assert states(fetch(there, check="size")) == ["present"] * 3
        assert states(fetch(transfers)) == ["present"] * 3  # their MD5 is known, too
        assert len(proxy.answers) == 3


@pytest.mark.parametrize("part_size", [5 * MIB, 6 * MIB, 5_250_000])
def test_an_object_uploaded_in_parts(bucket, tmp_path, part_size):
    data = content(1, 2 * part_size + 1234 if part_size % MIB == 0 else 2 * part_size)
    bucket.put_parts(f"parts/{part_size}", data, part_size)
    (remote,) = listed(bucket, f"parts/{part_size}")
    assert remote.etag.endswith("-3" if part_size % MIB == 0 else "-2")
    transfer = Transfer(remote, tmp_path / "file")
    assert states(fetch([transfer])) == ["fetched"]
    assert transfer.file.read_bytes() == data
    assert verify(transfer.file).checked == "etag"
    assert states(fetch([transfer])) == ["present"]
    (tmp_path / ".file.verified.json").unlink()
    assert states(fetch([transfer])) == ["present"]  # read, in parts
    damaged = bytearray(data)
    damaged[-1] ^= 1
    transfer.file.write_bytes(damaged)
    assert states(fetch([transfer])) == ["fetched"]
    assert transfer.file.read_bytes() == data


def test_digests_of_parts_against_the_plain_definition(tmp_path):
    stop = threading.Event()
    for size in (1, 999, 1000, 1001, 3 * MIB, 3 * MIB + 1):
        data = content(size, size)
        (tmp_path / "file").write_bytes(data)
        sizes = [1000, 7919, MIB, MIB + 1, size] if size > 10**5 else [1, 7, 500, 1000, size]
        plain = [
            md5(b"".join(hashlib.md5(data[i : i + part]).digest() for i in range(0, size, part))) for part in sizes
        ]
        assert digests_of_parts(tmp_path / "file", sizes, stop) == plain


def test_part_sizes_fit_and_include_the_usual_ones():
    draws = random.Random(0)
    for _ in range(60):
        size = draws.randrange(1, 3 * 10**9)
        for part in (5 * MIB, 8 * MIB, 16 * MIB, 25 * MIB, 50 * MIB, 64 * MIB, 100 * MIB, 128 * MIB, 10**8):
            parts = -(-size // part)
            sizes = part_sizes(size, parts)
            assert all(-(-size // p) == parts for p in sizes)
            assert len(sizes) == len(set(sizes)) <= 64
            assert part in sizes or parts == 1
    assert part_sizes(10, 1) == [10]  # any larger size gives the same
    assert part_sizes(3, 5) == []


# ------------------------------------------------------------------------------------------------- digests, mirrors


def test_a_given_digest_counts_alone(bucket, transfers, tmp_path):
    wrong_etag = "0" * 32
    known = [
        Transfer(Remote(t.remote.url, sha256=sha256(content(i, 1000 * (i + 1))).upper()), t.file)
        for i, t in enumerate(transfers)
    ]
    assert states(fetch(known)) == ["fetched"] * 3
    check_whole(transfers)
    for t in known:
        assert verify(t.file).checked == "sha256"
    assert states(fetch(known)) == ["present"] * 3
    assert states(fetch(transfers)) == ["present"] * 3
    with pytest.raises(MurineError, match="is no SHA-256"):
        Remote("http://x", sha256=wrong_etag)


def test_a_wrong_digest_is_told_after_two_tries(bucket, transfers):
    with FaultProxy(bucket.endpoint, lambda _: None) as proxy:
        url = transfers[0].remote.url.replace(bucket.endpoint, proxy.url)
        wrong = Transfer(Remote(url, sha256="0" * 64), transfers[0].file)
        (outcome,) = fetch([wrong], pause=0.01)
        assert outcome.state == "failed"
        assert f"its SHA-256 is {sha256(content(0, 1000))}, not {'0' * 64}" in outcome.reason
        assert "the same bytes came twice" in outcome.reason
        assert len(proxy.answers) == 2
    assert not wrong.file.exists()
    assert not verified(wrong.file, wrong.remote)


def test_mirrors_are_tried_in_order_and_go_on_where_the_last_one_stopped(bucket, tmp_path):
    data = content(5, 200_000)
    bucket.put("mirrored/file", data)
    where = f"/{bucket.name}/mirrored/file"

    def first(request: Request) -> Fault:
        return Fault(cut=80_000, headers={"etag": '"one"'}) if request.n == 1 else Fault(status=503)

    with (
        FaultProxy(bucket.endpoint, first) as bad,
        FaultProxy(bucket.endpoint, lambda _: Fault(status=404)) as gone,
        FaultProxy(bucket.endpoint, lambda _: Fault(headers={"etag": '"two"'})) as good,
    ):
        remote = Remote(bad.url + where, sha256=sha256(data), mirrors=(gone.url + where, good.url + where))
        (outcome,) = fetch([Transfer(remote, tmp_path / "file")], retries=2, pause=0.01)
        assert outcome.state == "fetched", outcome.reason
        assert (tmp_path / "file").read_bytes() == data
        assert outcome.received == len(data)
        assert (bad.sent(), good.sent()) == (80_000, 120_000)
        assert [a.start for a in good.answers] == [80_000]
        assert "if-match" not in good.answers[0].headers  # the tag of another place
        assert [a.status for a in bad.answers] == [200, 503, 503, 503]
        assert verify(tmp_path / "file").url == good.url + where

        remote = Remote(bad.url + where, sha256="1" * 64, mirrors=(gone.url + where, good.url + where))
        (outcome,) = fetch([Transfer(remote, tmp_path / "other")], retries=1, pause=0.01)
        assert outcome.state == "failed"
        for reason in (f"HTTP 503 (twice, and no new byte) ({bad.url}", "HTTP 404 (", "came twice"):
            assert reason.replace("(twice", "(2 times") in outcome.reason


def test_a_mirror_has_tags_of_its_own(bucket, transfers):
    with (
        FaultProxy(bucket.endpoint, lambda _: Fault(status=503)) as bad,
        FaultProxy(bucket.endpoint, lambda _: Fault(headers={"etag": '"two"'})) as good,
    ):
        known = transfers[2].remote
        first, second = (known.url.replace(bucket.endpoint, proxy.url) for proxy in (bad, good))
        remote = Remote(first, known.size, known.etag, mirrors=(second,))
        (outcome,) = fetch([Transfer(remote, transfers[2].file)], retries=0, pause=0.01)
        assert outcome.state == "fetched", outcome.reason
        assert "if-match" in bad.answers[0].headers
        assert "if-match" not in good.answers[0].headers
    assert transfers[2].file.read_bytes() == content(2, 3000)
    assert verify(transfers[2].file).checked == "etag"  # the listed one, which is its MD5


def test_without_listing_and_digest_the_size_comes_from_the_answer(bucket, prefix, tmp_path):
    url = f"{bucket.endpoint}/{bucket.name}/{prefix}2"
    transfer = Transfer(Remote(url), tmp_path / "file")
    assert states(fetch([transfer])) == ["fetched"]
    assert transfer.file.read_bytes() == content(2, 3000)
    assert verify(transfer.file).checked == "size"
    assert states(fetch([transfer])) == ["present"]
    (tmp_path / ".file.verified.json").unlink()
    assert states(fetch([transfer])) == ["fetched"]  # nothing tells that it is what was fetched


# ------------------------------------------------------------------------------------------------- records


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"size": 1000}', b"\xff", b"[" * 100_000, None])
def test_a_lost_or_damaged_record(transfers, damage):
    fetch(transfers)
    record = transfers[0].file.with_name(".0.verified.json")
    whole = record.read_bytes()
    if damage is None:
        record.unlink()
    else:
        record.write_bytes(damage)
    assert read_record(transfers[0].file) is None
    with pytest.raises(MurineError, match="no readable record"):
        verify(transfers[0].file)
    assert plan(transfers).unchecked == (transfers[0],)
    assert states(fetch(transfers)) == ["present"] * 3  # read, and found good
    assert record.read_bytes() == whole


@pytest.mark.parametrize("change", [{"size": "1000"}, {"size": True}, {"md5": None}, {"more": 1}])
def test_a_record_of_another_kind(transfers, change):
    fetch(transfers)
    record = transfers[0].file.with_name(".0.verified.json")
    record.write_text(json.dumps({**json.loads(record.read_text()), **change}))
    assert read_record(transfers[0].file) is None
    assert states(fetch(transfers)) == ["present"] * 3


def test_a_file_that_was_there_before_is_adopted_if_it_is_the_same(transfers, caplog):
    transfers[0].file.write_bytes(content(0, 1000))
    transfers[1].file.write_bytes(content(0, 2000))
    transfers[2].file.write_bytes(content(0, 10))
    planned = plan(transfers)
    assert planned.unchecked == tuple(transfers[:2])
    assert planned.missing == (transfers[2],)
    outcomes = fetch(transfers)
    assert states(outcomes) == ["present", "fetched", "fetched"]
    assert outcomes[0].received == 0
    assert "is not what the server has: its MD5 is" in caplog.text
    check_whole(transfers)


def test_a_moved_or_copied_folder_stays_verified(transfers, tmp_path):
    fetch(transfers)
    moved = tmp_path.with_name("moved")
    shutil.move(tmp_path, moved)
    there = [Transfer(t.remote, moved / t.file.name) for t in transfers]
    assert plan(there).present == tuple(there)
    shutil.copytree(moved, tmp_path, copy_function=shutil.copyfile)  # with times of its own
    os.utime(transfers[0].file, ns=(1, 1))
    assert transfers[0] in plan(transfers).unchecked
    assert states(fetch(transfers)) == ["present"] * 3
    assert plan(transfers).present == tuple(transfers)
    check_whole(transfers)


def test_damage_that_leaves_size_and_time_is_found_by_reading_again(transfers):
    fetch(transfers)
    file = transfers[1].file
    times = file.stat()
    damaged = bytearray(file.read_bytes())
    damaged[7] ^= 1
    file.write_bytes(damaged)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert verified(file, transfers[1].remote)
    with pytest.raises(MurineError, match="is not what was fetched"):
        verify(file)
    remove(file)
    assert states(fetch(transfers)) == ["present", "fetched", "present"]
    check_whole(transfers)


def test_damage_that_leaves_the_size_is_found_by_the_next_fetch(transfers):
    fetch(transfers)
    transfers[1].file.write_bytes(content(9, 2000))
    os.utime(transfers[1].file, ns=(1, 1))
    assert states(fetch(transfers)) == ["present", "fetched", "present"]
    check_whole(transfers)


def test_removal_leaves_nothing_but_the_lock(transfers, tmp_path):
    fetch(transfers[:1])
    remove(transfers[0].file)
    assert [file.name for file in tmp_path.iterdir()] == [".0.lock"]
    remove(transfers[0].file)
    with pytest.raises(MurineError, match="no readable record"):
        verify(transfers[0].file)


def test_a_missing_file_with_a_record(transfers):
    fetch(transfers)
    transfers[0].file.unlink()
    assert not verified(transfers[0].file, transfers[0].remote)
    with pytest.raises(MurineError, match="is missing, only its record exists"):
        verify(transfers[0].file)
    assert states(fetch(transfers)) == ["fetched", "present", "present"]


def test_an_object_that_changed_between_two_fetches(bucket, prefix, transfers):
    fetch(transfers)
    bucket.put(f"{prefix}0", content(7, 1000))
    now = [Transfer(r, t.file) for r, t in zip(listed(bucket, prefix), transfers, strict=True)]
    assert not verified(now[0].file, now[0].remote)
    assert plan(now).missing == (now[0],)  # its record tells that it is another
    assert states(fetch(now)) == ["fetched", "present", "present"]
    assert now[0].file.read_bytes() == content(7, 1000)
    # With an ETag that is no digest, as well.
    odd = [Transfer(Remote(t.remote.url, t.remote.size, 'W/"1"'), t.file) for t in now]
    assert states(fetch(odd, check="size")) == ["fetched"] * 3
    bucket.put(f"{prefix}0", content(8, 1000))
    odd[0] = Transfer(Remote(odd[0].remote.url, 1000, 'W/"2"'), odd[0].file)
    assert states(fetch(odd, check="size")) == ["fetched", "present", "present"]
    assert now[0].file.read_bytes() == content(8, 1000)


# ------------------------------------------------------------------------------------------------- who uses the files


def test_every_outcome_is_told_as_it_comes_and_nothing_is_fetched_ahead(bucket, tmp_path):
    for i in range(12):
        bucket.put(f"ahead/{i:02d}", content(i, 5000))
    transfers = [Transfer(r, tmp_path / Path(r.key).name) for r in listed(bucket, "ahead/")]
    most, told = [], []

    def reduce(outcome: TransferResult) -> None:
        if not told:
            time.sleep(0.5)  # enough to fetch all, if nobody waited
        most.append(sum(not file.name.startswith(".") for file in tmp_path.iterdir()))
        told.append(outcome.transfer)
        assert threading.current_thread() is threading.main_thread()
        assert verify(outcome.transfer.file).size == 5000
        remove(outcome.transfer.file)

    outcomes = fetch(transfers, workers=2, kept=False, arrived=reduce)
    assert states(outcomes) == ["fetched"] * 12
    assert sorted(told, key=transfers.index) == transfers
    assert max(most) <= 2 + 2
    assert not any(transfer.file.exists() for transfer in transfers)


def test_what_a_caller_raises_ends_the_fetch_and_frees_the_files(transfers):
    def spoil(outcome: TransferResult) -> None:
        raise ZeroDivisionError(outcome.transfer.file.name)

    with pytest.raises(ZeroDivisionError):
        fetch(transfers, workers=1, arrived=spoil)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("fetch-")]
    assert states(fetch(transfers))[0] == "present"
    check_whole(transfers)


def test_what_nobody_needs_any_more_is_not_fetched(transfers):
    outcomes = fetch(transfers, settled=lambda transfer: transfer is transfers[1])
    assert states(outcomes) == ["fetched", "settled", "fetched"]
    assert not transfers[1].file.exists()


class Shown:
    """Progress that is only counted."""

    def __init__(self) -> None:
        self.bars: list[tuple[str, int | None, list[int]]] = []
        self.open = 0

    def transfer(self, description: str, total: int | None) -> ShownBar:
        self.open += 1
        steps: list[int] = []
        self.bars.append((description, total, steps))
        return ShownBar(self, steps)


class ShownBar(Bar):
    def __init__(self, shown: Shown, steps: list[int]) -> None:
        self.shown, self.steps = shown, steps

    def advance(self, n: int = 1, done: str = "") -> None:
        self.steps.append(n)

    def close(self) -> None:
        self.shown.open -= 1


def test_progress_counts_the_bytes_that_are_here(bucket, prefix, tmp_path):
    def fault(request: Request) -> Fault | None:
        return Fault(flip=10) if request.path.endswith("2") and request.n == 1 else None

    with FaultProxy(bucket.endpoint, fault) as proxy:
        transfers = [Transfer(r, tmp_path / Path(r.key).name) for r in listed(bucket, prefix, proxy.url)]
        transfers[0].file.write_bytes(content(0, 1000))
        shown = Shown()
        assert states(fetch(transfers, progress=shown, pause=0.01)) == ["present", "fetched", "fetched"]
    assert shown.open == 0
    counted = {name: (total, sum(steps)) for name, total, steps in shown.bars}
    assert counted == {"all files": (5000, 5000), "checking 0": (1000, 1000), "1": (2000, 2000), "2": (3000, 3000)}
    assert min(step for _, _, steps in shown.bars for step in steps) == -3000  # what was thrown away
    shown = Shown()
    fetch(transfers, progress=shown)
    assert shown.bars == []


def test_bars_of_bytes_on_a_terminal(monkeypatch):
    import io
    import sys

    from murine.progress import TransferProgress, progress_bars

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    with progress_bars(True) as progress:
        assert isinstance(progress, TransferProgress)
        bar = progress.transfer("file.nwb", 4_000_000)
        assert isinstance(bar, Bar)
        steps = progress.task("reducing", 7)
        steps.advance()
        bar.advance(3_000_000)
        bar.advance(-1_000_000)
        progress._bars.refresh()
        assert "2.0/4.0 MB" in screen.getvalue()
        assert "1/7" in screen.getvalue()
        steps.advance(6)  # steps end by themselves, bytes when they are closed
        bar.advance(2_000_000)
        screen.truncate(0)
        progress._bars.refresh()
        assert "file.nwb" in screen.getvalue()
        assert "reducing" not in screen.getvalue()
        bar.close()
    screen.truncate(0)
    with progress_bars(False) as progress:
        bar = progress.transfer("file.nwb", None)
        bar.advance(1)
        bar.close()
    assert screen.getvalue().strip("\0") == ""


def test_the_log_of_the_proxy_is_true(bucket, prefix):
    """Whoever counts bytes with the proxy relies on this."""
    import http.client

    with FaultProxy(bucket.endpoint, lambda _: Fault(short=10)) as proxy:
        line = http.client.HTTPConnection(proxy.url.removeprefix("http://"))
        line.request("GET", f"/{bucket.name}/{prefix}0", headers={"Range": "bytes=5-"})
        answer = line.getresponse()
        assert (answer.status, answer.read()) == (206, content(0, 1000)[5:15])
        line.close()
        (given,) = proxy.answers
        assert isinstance(given, Answer)
        assert (given.start, given.status, given.sent) == (5, 206, 10)
        assert proxy.sent("0") == 10


def test_the_library_of_the_line_is_loaded_only_when_needed():
    import subprocess
    import sys

    code = "import sys, murine.download; sys.exit('httpx2' in sys.modules or 'filelock' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture(autouse=True)
def _log(caplog):
    caplog.set_level(logging.INFO, logger="murine")
