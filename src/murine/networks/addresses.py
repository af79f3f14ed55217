"""Weights at an address: fetched once, into torch's own cache, and held against a digest."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from murine.errors import MurineError

#: Hexadecimal digits of a digest from which on it tells anything; torch's own files carry 8.
_LEAST = 8

_CALLED = {"sha256": "SHA-256", "md5": "MD5"}

#: How often to try again, and seconds to wait for an answer.
_RETRIES, _TIMEOUT = 2, 10.0


def cache() -> Path:
    """Where weights are kept: torch's cache (``TORCH_HOME``), so that what torch has fetched is not fetched again."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def in_name(address: str) -> str:
    """The digest in the name of a file as torch writes it (``resnet18-f37072fd.pth``), '' where there is none.

    Whoever publishes such a file says that its SHA-256 begins so: that finds damage, and is no proof against malice."""
    match = re.search(r"-([0-9a-f]{8,64})\.", urlsplit(address).path.rpartition("/")[2])
    return f"sha256:{match[1]}" if match else ""


def obtain(network: str, address: str, digest: str) -> Path:
    """Return a file of weights from the cache, where it is fetched to if it is not there.

    Parameters
    ----------
    network
        For messages.
    address
        Its URL.
    digest
        ``sha256:HEX`` or ``md5:HEX``, whole or its first digits, at least 8. '' refuses.

    Raises
    ------
    MurineError
        Without a digest, without a network, or where the content is another.
    """
    from murine.download import Remote, Transfer, fetch, read_record, remove

    alternatives = (
        f"Without a network: {network}@FILE for weights you have (a state dict, or safetensors), {network}@random:0 "
        f"for random ones, or the file in the cache of torch ({cache()}; TORCH_HOME moves it)."
    )
    if not digest:
        raise MurineError(
            f"nobody has published a digest of the weights of {network!r} ({address}), so that what comes could be "
            f"anything; give the one you trust: {network}@sha256:HEX. {alternatives}"
        )
    kind, _, digits = digest.lower().partition(":")
    length = {"sha256": 64, "md5": 32}.get(kind, 0)
    if not re.fullmatch("[0-9a-f]+", digits) or not _LEAST <= len(digits) <= length:
        raise MurineError(
            f"{digest!r} is no digest of weights; expected sha256: and {_LEAST} to 64 hexadecimal digits, or md5: and "
            f"{_LEAST} to 32."
        )
    file = cache() / urlsplit(address).path.rpartition("/")[2]
    if not in_name(address):  # several authors call their file resnet50.pth
        file = file.with_name(f"{network.replace(':', '_')}_{file.name}")
    whole = kind == "sha256" and len(digits) == length
    remote = Remote(address, sha256=digits if whole else "")
    outcome = fetch([Transfer(remote, file)], retries=_RETRIES, timeout=_TIMEOUT, check="size")[0]
    if outcome.state == "failed":
        raise MurineError(f"the weights of {network!r} could not be fetched: {outcome.reason}. {alternatives}")
    record = read_record(file)
    found = getattr(record, kind) if record else ""
    if not found.startswith(digits):
        if outcome.state == "fetched":  # what somebody else has put there stays
            remove(file)
        raise MurineError(
            f"{str(file)!r}, from {address}, is not the published file: its {_CALLED[kind]} is {found}, expected "
            f"{digits}{'' if len(digits) == length else ' ...'}."
        )
    return file
