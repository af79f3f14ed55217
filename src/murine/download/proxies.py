"""Proxies: which variable names one, and why it cannot be used."""

from __future__ import annotations

import os
from importlib.util import find_spec
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

_SCHEMES = ("http", "https", "socks5", "socks5h")


def proxy_trouble() -> str:
    """Return why a proxy that the environment names cannot be used, with the name of the variable; '' where all can.

    Connections fail if any of them is wrong, also one for other addresses."""
    for kind, address in getproxies().items():
        if kind in ("http", "https", "all") and (trouble := _trouble(address)):
            return f"{_variable(kind, address)} {trouble}"
    return ""


def proxy_of(address: str) -> str:
    """Name the proxy that leads to an address, as ``by the proxy of HTTPS_PROXY, 'http://host:1'``; '' without one."""
    parts, proxies = urlsplit(address), getproxies()
    kind = parts.scheme if parts.scheme in proxies else "all"
    if kind not in proxies or proxy_bypass(parts.hostname or ""):
        return ""
    return f"by the proxy of {_variable(kind, proxies[kind])}, {_shown(proxies[kind])!r}"


def _trouble(address: str) -> str:
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
    """Without a password."""
    before, at, after = address.rpartition("@")
    scheme = before.partition("://")[0] + "://" if "://" in before else ""
    return f"{scheme}...@{after}" if at else address


def _variable(kind: str, address: str) -> str:
    names = (f"{kind}_proxy", f"{kind.upper()}_PROXY")
    found = [name for name in names if os.environ.get(name) == address]
    return found[0] if found else "the proxy in the system's settings"
