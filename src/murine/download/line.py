"""HTTP in one thread, which another can interrupt, and what its errors mean."""

from __future__ import annotations

import email.utils
import os
import random
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from murine.download.proxies import proxy_of, proxy_trouble

if TYPE_CHECKING:
    import httpx2

_LONGEST_PAUSE = 60.0

#: Variables that name certificates, which are read when a client is made.
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


class Stopped(Exception):
    """The fetch was stopped from outside."""


class Refusal(Exception):
    """A place does not have the file, and will not have it later."""


class Setback(Exception):
    """An attempt failed; another may not."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Client:
    """HTTP for one thread at a time, whose connections another thread can break."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._streams: deque[Any] = deque(maxlen=16)
        self._closing = ExitStack()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    @cached_property
    def _http(self) -> httpx2.Client:
        import httpx2

        # As stored: compressed on the way, an answer would have other bytes than the listing counts.
        headers = {"Accept-Encoding": "identity", "User-Agent": "murine"}
        if trouble := proxy_trouble():
            raise Refusal(trouble)
        try:
            client = httpx2.Client(timeout=self._timeout, follow_redirects=True, headers=headers)
        except OSError as error:
            told = ", ".join(f"{key}={os.environ[key]!r}" for key in _CERTIFICATES if os.environ.get(key))
            raise Refusal(f"certificates cannot be read ({error}); check {told or 'those of the system'}") from error
        return self._closing.enter_context(client)

    def interrupt(self) -> None:
        """Break all connections, from another thread."""
        for stream in list(self._streams):
            with suppress(OSError, AttributeError):
                # Not its own shutdown, which for TLS also changes what the other thread is using.
                socket.socket.shutdown(stream.get_extra_info("socket"), socket.SHUT_RDWR)

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._streams.append(info["return_value"])

    @contextmanager
    def get(
        self, url: str, headers: dict[str, str] | None = None, stop: threading.Event | None = None
    ) -> Iterator[httpx2.Response]:
        """An answer whose body has not come yet."""
        if stop is not None and stop.is_set():
            raise Stopped
        with (
            self._named(url),
            self._http.stream("GET", url, headers=headers, extensions={"trace": self._trace}) as answer,
        ):
            yield answer

    def body(self, answer: httpx2.Response, stop: threading.Event | None = None) -> Iterator[bytes]:
        """The bytes of an answer as they come."""
        for chunk in answer.iter_raw():
            if stop is not None and stop.is_set():
                raise Stopped
            yield chunk

    def read(self, url: str, most: int) -> bytes:
        """A small answer as a whole."""
        whole = bytearray()
        with self.get(url) as answer:
            if answer.status_code != 200:
                raise unwelcome(answer)
            for chunk in self.body(answer):
                whole += chunk
                if len(whole) > most:
                    raise Refusal(f"the answer has more than {most} bytes")
        return bytes(whole)

    @contextmanager
    def _named(self, url: str) -> Iterator[None]:
        """Errors of the line, in words."""
        import httpx2

        proxy = f" ({told})" if (told := proxy_of(url)) else ""
        try:
            yield
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.TooManyRedirects) as error:
            raise Refusal(f"its address cannot be used: {error}") from error
        except (httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise Setback(f"no connection in {self._timeout:g} s{proxy}") from error
        except httpx2.TimeoutException as error:
            raise Setback(f"no byte came for {self._timeout:g} s") from error
        except httpx2.ConnectError as error:
            raise Setback(f"no connection: {error}{proxy}") from error
        except httpx2.ProxyError as error:
            raise Setback(f"the proxy refuses: {error}{proxy}") from error
        except httpx2.RequestError as error:
            raise Setback(f"the connection was cut: {error}") from error


def unwelcome(answer: httpx2.Response) -> Setback | Refusal:
    """What an answer without the file means."""
    code = answer.status_code
    start = b""
    for chunk in answer.iter_raw():
        start += chunk
        if len(start) > 4096:
            break
    told = re.search(rb"<Code>(\w{1,40})</Code>", start)
    reason = f"HTTP {code}" + (f" {told[1].decode()}" if told else "")
    if code in (408, 425, 429) or code >= 500:
        return Setback(f"the server answered {reason}", _retry_after(answer.headers.get("retry-after", "")))
    meanings = {401: "it is not public, or does not exist", 403: "it is not public, or does not exist"}
    meanings |= {404: "it does not exist", 410: "it does not exist any more"}
    meanings |= {301: "it is elsewhere; check the region or the endpoint"}
    return Refusal(f"{meanings.get(code, 'the server does not give it')}: {reason}")


def _retry_after(given: str) -> float | None:
    if given.strip().isdecimal():
        return float(given)
    with suppress(ValueError):
        return email.utils.parsedate_to_datetime(given).timestamp() - time.time()
    return None


def seconds_until(failures: int, pause: float, asked: float | None) -> float:
    """Seconds to wait before the next attempt; short where the last one brought something."""
    growth = 2.0 ** min(failures - 1, 10) if failures else 0.1
    own = pause * growth * random.uniform(0.5, 1.5)
    return min(max(own, asked or 0.0), _LONGEST_PAUSE)


def times(n: int) -> str:
    """How often, in words."""
    return "once" if n == 1 else f"{n} times"
