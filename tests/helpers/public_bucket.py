"""A public bucket on loopback (moto), and a proxy in front of it that spoils its answers."""

from __future__ import annotations

import http.client
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

# In a process of its own: what it warns of is not our business, and it does not share our interpreter's lock.
SERVER = """
import logging, os, sys

os.environ["MOTO_S3_DEFAULT_MAX_KEYS"] = "20"  # so that listings have several pages
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print("http://%s:%d" % server.get_host_and_port(), flush=True)
sys.stdin.read()  # until the tests close it, or end
"""


@dataclass(frozen=True)
class PublicBucket:
    """A bucket that everybody may read, and only the tests fill."""

    name: str
    endpoint: str
    client: Any

    def put(self, key: str, content: bytes) -> None:
        """Store an object; its ETag is its MD5."""
        # botocore warns of its own use of datetime, of certificates and the like.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.client.put_object(Bucket=self.name, Key=key, Body=content, ACL="public-read")

    def put_parts(self, key: str, content: bytes, part_size: int) -> None:
        """Store an object in parts; its ETag is the MD5 of their MD5s, with their number."""
        place = {"Bucket": self.name, "Key": key}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            upload = self.client.create_multipart_upload(**place, ACL="public-read")["UploadId"]
            parts = []
            for number, start in enumerate(range(0, len(content), part_size), start=1):
                body = content[start : start + part_size]
                part = self.client.upload_part(**place, UploadId=upload, PartNumber=number, Body=body)
                parts.append({"ETag": part["ETag"], "PartNumber": number})
            self.client.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": parts})


class BucketServer:
    """Public buckets by name."""

    def __init__(self, url: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import boto3
            from botocore.config import Config

            self.url = url
            self._client = boto3.client(
                "s3",
                endpoint_url=url,
                region_name="us-west-2",
                aws_access_key_id="x",
                aws_secret_access_key="x",
                config=Config(request_checksum_calculation="when_required", s3={"addressing_style": "path"}),
            )

    def bucket(self, name: str) -> PublicBucket:
        """A new, empty bucket."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        return PublicBucket(name, self.url, self._client)


@contextmanager
def bucket_server() -> Iterator[BucketServer]:
    """Start a server of buckets, and stop it at the end."""
    command = [sys.executable, "-W", "ignore", "-c", SERVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield BucketServer(process.stdout.readline().strip())
        finally:
            process.kill()


@dataclass(frozen=True)
class Request:
    """What a client asks the proxy for: ``n`` counts the requests for the same path from 1, ``start`` is its range."""

    path: str
    n: int
    start: int
    headers: dict[str, str]


@dataclass(frozen=True)
class Fault:
    """How to spoil an answer; positions are those of its body, but ``flip`` counts from the start of the object."""

    cut: int | None = None
    short: int | None = None
    flip: int | None = None
    status: int | None = None
    body: bytes | None = None
    stall: int | None = None
    pace: float = 0.0
    whole: bool = False
    headers: dict[str, str | None] = field(default_factory=dict)


@dataclass
class Answer:
    """What the proxy gives; ``sent`` counts the bytes of the body before they go out, so that nobody has more."""

    path: str
    start: int
    status: int
    sent: int
    headers: dict[str, str]


class FaultProxy:
    """Passes requests on, and answers as a fault tells; keeps a log."""

    def __init__(self, upstream: str, fault: Callable[[Request], Fault | None]) -> None:
        self.upstream, self.fault = urlsplit(upstream).netloc, fault
        self.answers: list[Answer] = []
        self.counts: dict[str, int] = {}
        self.closing = threading.Event()
        self.lock = threading.Lock()
        proxy = self

        class Relay(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                proxy.relay(self)

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: object) -> None:
                pass  # a client that went away

        self._server = Server(("127.0.0.1", 0), Relay)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self) -> FaultProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def relay(self, client: BaseHTTPRequestHandler) -> None:
        given = {name.lower(): value for name, value in client.headers.items()}
        path = unquote(urlsplit(client.path).path)
        with self.lock:
            n = self.counts[path] = self.counts.get(path, 0) + 1
        start = int(given.get("range", "bytes=0-").removeprefix("bytes=").split("-")[0])
        fault = self.fault(Request(path, n, start, given)) or Fault()
        passed = {name: value for name, value in given.items() if not (fault.whole and name == "range")}
        status, headers, body = (200, {}, fault.body) if fault.body is not None else self.ask(client.path, passed)
        if fault.flip is not None and 0 <= fault.flip - start < len(body):
            i = fault.flip - start
            body = body[:i] + bytes([body[i] ^ 255]) + body[i + 1 :]
        if fault.status is not None:
            status, body = fault.status, b""
        if fault.short is not None:
            body = body[: fault.short]
        answer = Answer(path, start, status, 0, given)
        with self.lock:
            self.answers.append(answer)
        client.send_response_only(status)
        own = {"content-length": str(len(body)), **fault.headers}
        for name, value in {**headers, **own}.items():
            if value is not None:
                client.send_header(name, value)
        client.end_headers()
        end = len(body) if fault.cut is None else min(fault.cut, len(body))
        client.close_connection = client.close_connection or fault.cut is not None
        while answer.sent < end:
            sent, until = answer.sent, end
            if fault.pace:
                time.sleep(fault.pace)
                until = min(end, sent + 4096)
            if fault.stall is not None:
                until = min(until, fault.stall)
                if sent >= fault.stall:
                    self.closing.wait()
                    return
            answer.sent = until
            client.wfile.write(body[sent:until])

    def ask(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        upstream = http.client.HTTPConnection(self.upstream)
        try:
            upstream.request("GET", path, headers={**headers, "host": self.upstream, "connection": "close"})
            answer = upstream.getresponse()
            dropped = ("content-length", "connection", "transfer-encoding", "date", "server")
            kept = {name.lower(): value for name, value in answer.getheaders() if name.lower() not in dropped}
            return answer.status, kept, answer.read()
        finally:
            upstream.close()

    def sent(self, ending: str = "") -> int:
        """Bytes of bodies that went out for paths with an ending."""
        with self.lock:
            return sum(answer.sent for answer in self.answers if answer.path.endswith(ending) and answer.status < 300)

    def until(self, met: Callable[[FaultProxy], bool], seconds: float = 60.0) -> None:
        """Wait until something has happened."""
        end = time.monotonic() + seconds
        while not met(self):
            if time.monotonic() > end:
                raise TimeoutError("it did not happen")
            with suppress(InterruptedError):
                time.sleep(0.005)
