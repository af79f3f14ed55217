"""Proxies of the environment: an unusable one is one sentence that names the variable, others are used."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from murine.download import Bucket, Remote, Transfer, fetch
from murine.errors import MurineError

VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_used_is_named(monkeypatch, bucket, tmp_path, variable):
    """By a listing and by a fetch: one sentence, at once, without waiting for more attempts."""
    monkeypatch.setenv(variable, "socks4://me:secret@proxy:1080")
    with pytest.raises(MurineError, match=rf"{variable} names a proxy of an unknown kind") as refused:
        Bucket(bucket.name, endpoint=bucket.endpoint).objects("")
    (outcome,) = fetch([Transfer(Remote(f"{bucket.endpoint}/a"), tmp_path / "a")])
    assert outcome.state == "failed"
    for told in (str(refused.value), outcome.reason):
        assert f"{variable} names a proxy" in told
        assert "secret" not in told


def test_a_proxy_that_does_not_answer_is_named(monkeypatch, bucket):
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with pytest.raises(MurineError, match=r"no connection: .*by the proxy of ALL_PROXY, 'http://127\.0\.0\.1:1'"):
        Bucket(bucket.name, endpoint=bucket.endpoint).objects("", retries=0)


def test_a_proxy_that_works_is_used(monkeypatch):
    """A proxy of one answer: it is asked for the whole address."""
    asked = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = b"<ListBucketResult><Contents><Key>a</Key><Size>3</Size></Contents></ListBucketResult>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{server.server_port}")
        (remote,) = Bucket("public", endpoint="http://nowhere.invalid").objects("")
        server.shutdown()
    assert remote.key == "a"
    assert asked == ["http://nowhere.invalid/public/?list-type=2&prefix="]


def test_certificates_that_are_not_there_are_named(monkeypatch, bucket, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(MurineError, match=r"certificates cannot be read .*SSL_CERT_FILE='.*none\.pem'"):
        Bucket(bucket.name, endpoint=bucket.endpoint).objects("")
