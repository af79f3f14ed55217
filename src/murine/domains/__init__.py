"""Domains: labelled images from different sources, with the same classes, for tests of generalisation.

`load_domain` returns a domain by its name, prepared in one published way; `names` and `describe` list all of them.
`corrupted` makes further domains of known cause, and `fetch_domain` fetches the official archives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from murine.domains.archives import fetch_domain as fetch_domain
    from murine.domains.catalogue import DomainSource as DomainSource
    from murine.domains.catalogue import describe as describe
    from murine.domains.catalogue import domains as domains
    from murine.domains.catalogue import load_domain as load_domain
    from murine.domains.catalogue import names as names
    from murine.domains.corruptions import corrupted as corrupted
    from murine.domains.domain import Domain as Domain
    from murine.domains.preparation import Preparation as Preparation
    from murine.domains.preparation import prepare as prepare
    from murine.domains.raw_images import RawDomain as RawDomain

__getattr__, __dir__, __all__ = lazy_exports(__name__)
