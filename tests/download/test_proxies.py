"""Proxies of the environment: which variable is at fault, in one sentence, wherever weights are fetched."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest

from murine.download import Bucket, Remote, Transfer, fetch, http, proxy_of, proxy_problem
from murine.errors import MurineError

HTTP = "http://127.0.0.1:9"


@pytest.fixture
def only(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return lambda **variables: [monkeypatch.setenv(*item) for item in variables.items()]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9", "ALL_PROXY names a SOCKS proxy, 'socks5://127.0.0.1:9', which needs"),
        ("https_proxy", "socks5h://h:9", "https_proxy names a SOCKS proxy"),
        ("HTTPS_PROXY", "socks4://h:1", "HTTPS_PROXY names a proxy of an unknown kind, 'socks4://h:1'"),
        ("HTTP_PROXY", "ftp://h:1", "HTTP_PROXY names a proxy of an unknown kind"),
        (
            "HTTPS_PROXY",
            "http://",
            "HTTPS_PROXY is 'http://', which is no address of a proxy; expected http://host:port",
        ),
        ("HTTPS_PROXY", "htp:/x", "HTTPS_PROXY is 'htp:/x', which is no address"),
        ("HTTPS_PROXY", " ", "HTTPS_PROXY is ' ', which is no address"),
        ("HTTPS_PROXY", "not a proxy", "HTTPS_PROXY is 'not a proxy', which is no address"),
        ("http_proxy", "http://h:abc", "http_proxy is 'http://h:abc', which is no address"),
        ("HTTP_PROXY", "http://h:99999", "HTTP_PROXY is 'http://h:99999', which is no address"),
        ("ALL_PROXY", "http://[::1", "ALL_PROXY is 'http://[::1', which is no address"),
        ("ALL_PROXY", "socks4://me:secret@h:1", "ALL_PROXY names a proxy of an unknown kind, 'socks4://...@h:1'"),
    ],
)
def test_proxies_that_cannot_be_used(only, monkeypatch, variable, value, said):
    monkeypatch.setattr(http, "find_spec", lambda name: None)
    only(**{variable: value})
    trouble = proxy_problem()
    assert trouble.startswith(said)
    assert "unset" in trouble
    assert "secret" not in trouble


@pytest.mark.parametrize(
    "value", [HTTP, "127.0.0.1:9", "http://me:secret@h:3128", "https://h", "http://[::1]:9", "host"]
)
def test_proxies_that_a_client_takes(only, value):
    only(HTTPS_PROXY=value)
    assert proxy_problem() == ""
    httpx2.Client().close()  # raises on those that it does not take


def test_a_socks_proxy_is_fine_with_its_package(only, monkeypatch):
    monkeypatch.setattr(http, "find_spec", lambda name: object())
    only(ALL_PROXY="socks5://h:1")
    assert proxy_problem() == ""


def test_the_proxy_of_an_address(only):
    only(ALL_PROXY=HTTP, https_proxy="http://me:secret@h:1", no_proxy="localhost,.example.org")
    assert proxy_of("https://a.org/x") == "by the proxy of https_proxy, 'http://...@h:1'"
    assert proxy_of("http://a.org/x") == f"by the proxy of ALL_PROXY, '{HTTP}'"
    assert proxy_of("https://www.example.org/x") == ""
    only(ALL_PROXY="", https_proxy="")
    assert proxy_of("http://a.org") == ""


CLIENT = """
import sys
from murine.errors import MurineError
from murine.networks import zoo
for name in sys.argv[1:]:
    try:
        zoo.load(name)
    except MurineError as error:
        print(error)
"""


def test_weights_that_cannot_be_fetched_name_the_variable(tmp_path):
    variable, value = "ALL_PROXY", "socks4://127.0.0.1:9"
    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    environment = {**kept, variable: value, "HF_HOME": str(tmp_path), "TORCH_HOME": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-c", CLIENT, "test_resnet", "hub:cornet_s", "squeezenet1_1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stderr
    for line in lines:
        assert "could not be fetched" in line
        assert f"{variable} " in line
        assert value in line
        assert "@random:0" in line


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTP_PROXY", "nonsense://me:secret@proxy"),
        *((variable, "socks4://me:secret@proxy:1080") for variable in ("HTTP_PROXY", "https_proxy", "ALL_PROXY")),
    ],
)
def test_listings_and_fetches_name_the_variable_at_once(only, bucket, tmp_path, variable, value):
    """No second attempt: waiting changes nothing."""
    only(**{variable: value})
    with pytest.raises(MurineError, match=f"{variable} names a proxy of an unknown kind") as refused:
        Bucket(bucket.name, endpoint=bucket.endpoint).objects("", pause=60)
    (outcome,) = fetch([Transfer(Remote(f"{bucket.endpoint}/a"), tmp_path / "a")], pause=60)
    assert outcome.state == "failed"
    for told in (str(refused.value), outcome.reason):
        assert f"{variable} names a proxy of an unknown kind" in told
        assert "secret" not in told


def test_a_proxy_that_does_not_answer_is_named(only, bucket):
    only(ALL_PROXY="http://127.0.0.1:1")
    with pytest.raises(MurineError, match=r"no connection: .*by the proxy of ALL_PROXY, 'http://127\.0\.0\.1:1'"):
        Bucket(bucket.name, endpoint=bucket.endpoint).objects("", retries=0)


def test_a_proxy_that_works_is_used(only):
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
        only(HTTP_PROXY=f"127.0.0.1:{server.server_port}")
        (remote,) = Bucket("public", endpoint="http://nowhere.invalid").objects("")
        server.shutdown()
    assert remote.key == "a"
    assert asked == ["http://nowhere.invalid/public/?list-type=2&prefix="]


def test_certificates_that_are_not_there_are_named(monkeypatch, bucket, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(MurineError, match=r"certificates cannot be read .*SSL_CERT_FILE='.*none\.pem'"):
        Bucket(bucket.name, endpoint=bucket.endpoint).objects("")
