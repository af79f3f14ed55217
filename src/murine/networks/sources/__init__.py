"""Sources of networks: timm, torchvision, Taskonomy, authors' published weights, controls, and files of the user.

A source is one file with one class, derived from `NetworkSource`, that lists its networks and builds them.
Other packages add sources through the entry-point group ``murine.network_source``; their networks are named
``SOURCE:NAME`` like all others. `get_source` returns a source by its name, and `source_of` the source of a network.
"""

from murine.networks.sources.source import (
    IMAGENET_CONFIG,
    BuiltNetwork,
    NetworkSource,
    full_name,
    get_source,
    network_sources,
    source_of,
)

__all__ = [
    "IMAGENET_CONFIG",
    "BuiltNetwork",
    "NetworkSource",
    "full_name",
    "get_source",
    "network_sources",
    "source_of",
]
