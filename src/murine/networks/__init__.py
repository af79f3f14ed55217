"""Networks by name: `load` builds a network with its weights, its preprocessing and a digest that identifies it.

`names` and `describe` list the sources that networks come from, `capture` runs images through them and reduces every
layer, and `surgery` inserts layers. `entry` and `suite` say what is known about networks before they are built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from murine.networks.catalogue import Entry as Entry
    from murine.networks.catalogue import entry as entry
    from murine.networks.catalogue import suite as suite
    from murine.networks.catalogue import suites as suites
    from murine.networks.devices import available_device as available_device
    from murine.networks.layer_kernel import LayerKernel as LayerKernel
    from murine.networks.network import Network as Network
    from murine.networks.preprocessing import Preprocessing as Preprocessing
    from murine.networks.sources.source import NetworkSource as NetworkSource
    from murine.networks.sources.source import describe as describe
    from murine.networks.sources.source import get_source as get_source
    from murine.networks.sources.source import names as names
    from murine.networks.sources.source import network_sources as network_sources
    from murine.networks.spec import NetworkSpec as NetworkSpec
    from murine.networks.spec import controls as controls
    from murine.networks.spec import expand as expand
    from murine.networks.spec import twin as twin
    from murine.networks.zoo import load as load
    from murine.networks.zoo import matching_names as matching_names
    from murine.networks.zoo import skeleton as skeleton

__getattr__, __dir__, __all__ = lazy_exports(__name__)
