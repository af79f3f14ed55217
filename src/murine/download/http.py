"""HTTP for downloads: files on servers, a client that another thread can interrupt, proxies, and errors in words."""

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
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from murine.errors import MurineError

if TYPE_CHECKING:
    import httpx2

Check: TypeAlias = Literal["etag", "size"]


@dataclass(frozen=True)
class Remote:
    """A file on a server, and what is known about it before the download.

    Parameters
    ----------
    url
        The address of the file.
    size
        The size in bytes, from a listing; None if it is unknown.
    etag
        The ETag, from a listing; '' if it is unknown. On S3 it is the MD5 of the content, or the MD5 of the MD5s of
        the parts that the file was uploaded in (``<md5>-<number of parts>``).
    sha256
        The SHA-256 from a trusted source, 64 hexadecimal digits; '' if it is unknown. If it is given, the ETag is
        ignored.
    mirrors
        Other addresses with the same bytes. They are tried in this order if ``url`` fails.
    key
        The name of the file in its bucket.

    Raises
    ------
    MurineError
        If ``sha256`` is not a SHA-256.

    Examples
    --------
    >>> remote = Remote("https://example.org/a.nc", size=3, etag='"900150983CD24FB0D6963F7D28E17F72"')
    >>> remote.etag
    '900150983cd24fb0d6963f7d28e17f72'
    """

    url: str
    size: int | None = None
    etag: str = ""
    sha256: str = ""
    mirrors: tuple[str, ...] = ()
    key: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "etag", normalised_etag(self.etag))
        object.__setattr__(self, "sha256", self.sha256.lower())
        if self.sha256 and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise MurineError(f"{self.sha256!r} is no SHA-256 of {self.url!r}; expected 64 hexadecimal digits.")


@dataclass(frozen=True)
class Transfer:
    """A file on a server, and the local path that it is saved to."""

    remote: Remote
    file: Path


def all_urls(remote: Remote) -> tuple[str, ...]:
    """Return all addresses of a file, in the order in which they are tried."""
    return (remote.url, *remote.mirrors)


def normalised_etag(etag: str) -> str:
    """Return an ETag without its quotes, in lower case if it is a digest. A weak ETag keeps its prefix ``W/``."""
    bare = etag.strip().strip('"') if not is_weak(etag) else etag.strip()
    return bare.lower() if re.fullmatch(r"[0-9a-fA-F]{32}(-\d+)?", bare) else bare


def is_weak(etag: str) -> bool:
    """Return whether an ETag is weak: files with the same weak ETag may differ in some bytes."""
    return etag.strip().startswith("W/")


# ------------------------------------------------------------------------------------------- client


_LONGEST_PAUSE = 60.0

#: Environment variables that name files of certificates; they are read when a client is created.
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


class StoppedError(Exception):
    """The download was stopped from another thread."""


class PermanentError(Exception):
    """A server does not provide the file, and trying again does not help."""


class TemporaryError(Exception):
    """An attempt failed, but another may succeed. ``wait``: seconds that the server asks to wait, or None."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Client:
    """An HTTP client for one thread. Another thread can break its connections with `interrupt`."""

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

        # Ask for the bytes as stored: a compressed answer would not match the size and digest in the listing.
        headers = {"Accept-Encoding": "identity", "User-Agent": "murine"}
        if trouble := proxy_problem():
            raise PermanentError(trouble)
        try:
            client = httpx2.Client(timeout=self._timeout, follow_redirects=True, headers=headers)
        except OSError as error:
            variables = ", ".join(f"{key}={os.environ[key]!r}" for key in _CERTIFICATES if os.environ.get(key))
            raise PermanentError(
                f"certificates cannot be read ({error}); check {variables or 'those of the system'}"
            ) from error
        return self._closing.enter_context(client)

    def interrupt(self) -> None:
        """Break all connections of this client. Other threads call this."""
        for stream in list(self._streams):
            with suppress(OSError, AttributeError):
                # The stream's own shutdown would also change the TLS state that the other thread is using.
                socket.socket.shutdown(stream.get_extra_info("socket"), socket.SHUT_RDWR)

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._streams.append(info["return_value"])

    @contextmanager
    def get(
        self, url: str, headers: dict[str, str] | None = None, stop: threading.Event | None = None
    ) -> Iterator[httpx2.Response]:
        """Request a file and yield the answer before its body is read."""
        if stop is not None and stop.is_set():
            raise StoppedError
        with (
            self._errors_in_words(url),
            self._http.stream("GET", url, headers=headers, extensions={"trace": self._trace}) as answer,
        ):
            yield answer

    def body(self, answer: httpx2.Response, stop: threading.Event | None = None) -> Iterator[bytes]:
        """Yield the bytes of an answer as they arrive."""
        for chunk in answer.iter_raw():
            if stop is not None and stop.is_set():
                raise StoppedError
            yield chunk

    def read(self, url: str, most: int) -> bytes:
        """Return the body of a small answer; refuse one with more than ``most`` bytes."""
        whole = bytearray()
        with self.get(url) as answer:
            if answer.status_code != 200:
                raise error_of_answer(answer)
            for chunk in self.body(answer):
                whole += chunk
                if len(whole) > most:
                    raise PermanentError(f"the answer has more than {most} bytes")
        return bytes(whole)

    @contextmanager
    def _errors_in_words(self, url: str) -> Iterator[None]:
        """Turn errors of the connection into a `PermanentError` or a `TemporaryError` with a message for users."""
        import httpx2

        proxy = f" ({told})" if (told := proxy_of(url)) else ""
        try:
            yield
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.TooManyRedirects) as error:
            raise PermanentError(f"its address cannot be used: {error}") from error
        except (httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise TemporaryError(f"no connection in {self._timeout:g} s{proxy}") from error
        except httpx2.TimeoutException as error:
            raise TemporaryError(f"no byte came for {self._timeout:g} s") from error
        except httpx2.ConnectError as error:
            raise TemporaryError(f"no connection: {error}{proxy}") from error
        except httpx2.ProxyError as error:
            raise TemporaryError(f"the proxy refuses: {error}{proxy}") from error
        except httpx2.RequestError as error:
            raise TemporaryError(f"the connection was cut: {error}") from error


def error_of_answer(answer: httpx2.Response) -> TemporaryError | PermanentError:
    """Return the error that describes an answer which does not contain the file."""
    code = answer.status_code
    start = b""
    for chunk in answer.iter_raw():
        start += chunk
        if len(start) > 4096:
            break
    told = re.search(rb"<Code>(\w{1,40})</Code>", start)
    reason = f"HTTP {code}" + (f" {told[1].decode()}" if told else "")
    if code in (408, 425, 429) or code >= 500:
        return TemporaryError(f"the server answered {reason}", _retry_after(answer.headers.get("retry-after", "")))
    meanings = {401: "it is not public, or does not exist", 403: "it is not public, or does not exist"}
    meanings |= {404: "it does not exist", 410: "it does not exist any more"}
    meanings |= {301: "it is elsewhere; check the region or the endpoint"}
    return PermanentError(f"{meanings.get(code, 'the server does not give it')}: {reason}")


def _retry_after(given: str) -> float | None:
    if given.strip().isdecimal():
        return float(given)
    with suppress(ValueError):
        return email.utils.parsedate_to_datetime(given).timestamp() - time.time()
    return None


def seconds_until_retry(failures: int, pause: float, asked: float | None) -> float:
    """Return how many seconds to wait before the next attempt.

    Parameters
    ----------
    failures
        Number of failed attempts in a row; 0 if the last attempt received new bytes.
    pause
        Seconds before the first repetition. The wait doubles with every failure and varies randomly by half.
    asked
        Seconds that the server asks to wait; None if it does not.
    """
    growth = 2.0 ** min(failures - 1, 10) if failures else 0.1
    own = pause * growth * random.uniform(0.5, 1.5)
    return min(max(own, asked or 0.0), _LONGEST_PAUSE)


def times(n: int) -> str:
    """Return a number of times in words: ``once``, ``2 times``."""
    return "once" if n == 1 else f"{n} times"


# ------------------------------------------------------------------------------------------ proxies


_SCHEMES = ("http", "https", "socks5", "socks5h")


def proxy_problem() -> str:
    """Return why a proxy named by an environment variable cannot be used, with the name of the variable; '' if all can.

    All connections fail if any of these variables is wrong, even one for other addresses.
    """
    for kind, address in getproxies().items():
        if kind in ("http", "https", "all") and (trouble := _problem_with(address)):
            return f"{_variable(kind, address)} {trouble}"
    return ""


def proxy_of(address: str) -> str:
    """Return the proxy used for an address, as ``by the proxy of HTTPS_PROXY, 'http://host:1'``; '' without one."""
    parts, proxies = urlsplit(address), getproxies()
    kind = parts.scheme if parts.scheme in proxies else "all"
    if kind not in proxies or proxy_bypass(parts.hostname or ""):
        return ""
    return f"by the proxy of {_variable(kind, proxies[kind])}, {_shown(proxies[kind])!r}"


def _problem_with(address: str) -> str:
    shown = repr(_shown(address))
    expected = "expected http://host:port; correct the variable, or unset it"
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        host, _ = parts.hostname, parts.port  # reading the port checks it
    except ValueError:
        return f"is {shown}, which is no address of a proxy; {expected}"
    if not host or any(character.isspace() for character in host) or ":/" in address.replace("://", "", 1):
        return f"is {shown}, which is no address of a proxy; {expected}"
    if parts.scheme not in _SCHEMES:
        return f"names a proxy of an unknown kind, {shown}; {expected}"
    if parts.scheme.startswith("socks") and find_spec("socksio") is None:
        return (
            f"names a SOCKS proxy, {shown}, which needs a package that is not installed: pip install socksio; or give "
            "an HTTP proxy, or unset the variable"
        )
    return ""


def _shown(address: str) -> str:
    """Return an address without its user name and password."""
    before, at, after = address.rpartition("@")
    scheme = before.partition("://")[0] + "://" if "://" in before else ""
    return f"{scheme}...@{after}" if at else address


def _variable(kind: str, address: str) -> str:
    names = (f"{kind}_proxy", f"{kind.upper()}_PROXY")
    found = [name for name in names if os.environ.get(name) == address]
    return found[0] if found else "the proxy in the system's settings"
