"""Downloads of weights: fetched once, into torch's own cache, and compared with a digest."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

from murine.errors import MurineError

#: Fewest hexadecimal digits of a digest that are accepted. The names of torch's own files have 8.
_LEAST = 8

_CALLED = {"sha256": "SHA-256", "md5": "MD5"}

#: Number of further attempts, and seconds to wait for an answer.
_RETRIES, _TIMEOUT = 2, 10.0


def cache_folder() -> Path:
    """Return the folder of torch's cache (``TORCH_HOME``), so that files fetched by torch are not fetched again."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def digest_in_name(address: str) -> str:
    """Return the digest in the name of a file, as torch writes it; '' if there is none.

    The publisher states that the SHA-256 of the file begins with these digits. That detects damage, but it does not
    protect against an attacker.

    Examples
    --------
    >>> digest_in_name("https://download.pytorch.org/models/resnet18-f37072fd.pth")
    'sha256:f37072fd'
    """
    match = re.search(r"-([0-9a-f]{8,64})\.", urlsplit(address).path.rpartition("/")[2])
    return f"sha256:{match[1]}" if match else ""


def fetch_weights(network: str, address: str, digest: str) -> Path:
    """Return a file of weights in torch's cache. Fetch it first if it is not there.

    Parameters
    ----------
    network
        Name of the network, used in messages and in the name of the file.
    address
        URL of the file.
    digest
        ``sha256:HEX`` or ``md5:HEX``: the complete digest or at least its first 8 digits. A missing digest ('') is
        refused.

    Raises
    ------
    MurineError
        If there is no digest, the file cannot be fetched, or its content has another digest.
    """
    from murine.download import Remote, Transfer, fetch, read_record, remove

    alternatives = (
        f"Without a network: {network}@FILE for weights you have (a state dict, or safetensors), {network}@random:0 "
        f"for random ones, or the file in the cache of torch ({cache_folder()}; TORCH_HOME moves it)."
    )
    if not digest:
        raise MurineError(
            f"nobody has published a digest of the weights of {network!r} ({address}), so their content cannot be "
            f"checked; give the one you trust: {network}@sha256:HEX. {alternatives}"
        )
    kind, _, digits = digest.lower().partition(":")
    length = {"sha256": 64, "md5": 32}.get(kind, 0)
    if not re.fullmatch("[0-9a-f]+", digits) or not _LEAST <= len(digits) <= length:
        raise MurineError(
            f"{digest!r} is not a digest of weights; expected sha256: and {_LEAST} to 64 hexadecimal digits, or md5: "
            f"and {_LEAST} to 32."
        )
    file = cache_folder() / urlsplit(address).path.rpartition("/")[2]
    if not digest_in_name(address):  # several authors call their file resnet50.pth
        file = file.with_name(f"{network.replace(':', '_')}_{file.name}")
    whole = kind == "sha256" and len(digits) == length
    remote = Remote(address, sha256=digits if whole else "")
    result = fetch([Transfer(remote, file)], retries=_RETRIES, timeout=_TIMEOUT, check="size")[0]
    if result.state == "failed":
        raise MurineError(f"the weights of {network!r} could not be fetched: {result.reason}. {alternatives}")
    record = read_record(file)
    found = getattr(record, kind) if record else ""
    if not found.startswith(digits):
        if result.state == "fetched":  # a file that was there before may be the user's own
            remove(file)
        raise MurineError(
            f"{str(file)!r}, from {address}, is not the published file: its {_CALLED[kind]} is {found}, expected "
            f"{digits}{'' if len(digits) == length else ' ...'}."
        )
    return file
