"""Files on servers: what is known of them before they are fetched."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from murine.errors import MurineError

Check: TypeAlias = Literal["etag", "size"]


@dataclass(frozen=True)
class Remote:
    """A file on a server, and what is known of it before it is fetched.

    Parameters
    ----------
    url
        Where it is.
    size
        Its bytes, from a listing; None where nobody knows.
    etag
        Its ETag, from a listing. The MD5 of the content, or of the MD5s of its parts (``<md5>-<parts>``), on S3.
    sha256
        Its SHA-256, from somebody who is trusted; then the ETag is not looked at.
    mirrors
        Other places with the same bytes, tried in this order when one fails.
    key
        Its name in the bucket.

    Raises
    ------
    MurineError
        If ``sha256`` is none.
    """

    url: str
    size: int | None = None
    etag: str = ""
    sha256: str = ""
    mirrors: tuple[str, ...] = ()
    key: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "etag", bare(self.etag))
        object.__setattr__(self, "sha256", self.sha256.lower())
        if self.sha256 and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise MurineError(f"{self.sha256!r} is no SHA-256 of {self.url!r}; expected 64 hexadecimal digits.")


@dataclass(frozen=True)
class Transfer:
    """A file on a server, and the name that it gets here."""

    remote: Remote
    file: Path


def places(remote: Remote) -> tuple[str, ...]:
    """All URLs of a file, in the order in which they are tried."""
    return (remote.url, *remote.mirrors)


def bare(etag: str) -> str:
    """Return an ETag without its quotes, in lower case if it is a digest; a weak one keeps its mark."""
    bare = etag.strip().strip('"') if not weak(etag) else etag.strip()
    return bare.lower() if re.fullmatch(r"[0-9a-fA-F]{32}(-\d+)?", bare) else bare


def weak(etag: str) -> bool:
    """Whether an ETag promises less than the same bytes."""
    return etag.strip().startswith("W/")
