"""Insert layers into existing networks: NeuRN, and the layers that it is compared with.

`insert` puts a layer before, after or in place of modules of a network, and can be undone exactly.
`neurn` is the published function, `NeuRN` its layer, and `layers` the registry of all layers by name.
"""

from murine.networks.surgery.insertion import Insertion, insert, remove
from murine.networks.surgery.neurn import NeuRN, NeuRNTransform, neurn
from murine.networks.surgery.rival_layers import layers
from murine.networks.surgery.variant_names import canonical_layer, canonical_place, layer_named, parse_variant
from murine.networks.surgery.wrapped_modules import HOLDER, InsertionPoint

__all__ = [
    "HOLDER",
    "Insertion",
    "InsertionPoint",
    "NeuRN",
    "NeuRNTransform",
    "canonical_layer",
    "canonical_place",
    "insert",
    "layer_named",
    "layers",
    "neurn",
    "parse_variant",
    "remove",
]
