"""Single neurons against single units of a network: which unit responds most like a given neuron?

This room finds the best unit of each neuron on one half of the repetitions and scores it on the other half, assigns to
each neuron a unit of its own, and compares response-weighted maps of neurons with maps of channels (Mice-to-Machines).
The results are tables of neurons, which can be summarised for each area or cell class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from murine.units.assignment import Assignment as Assignment
    from murine.units.assignment import assign_units as assign_units
    from murine.units.densities import density_overlap as density_overlap
    from murine.units.layer_maps import map_layers as map_layers
    from murine.units.layer_matching import match_layers as match_layers
    from murine.units.maps import MapSearch as MapSearch
    from murine.units.maps import NearestUnits as NearestUnits
    from murine.units.maps import nearest_units as nearest_units
    from murine.units.maps import normalise_maps as normalise_maps
    from murine.units.maps import pairwise_rmse as pairwise_rmse
    from murine.units.maps import rmse_scale as rmse_scale
    from murine.units.matching import Matches as Matches
    from murine.units.matching import UnitSearch as UnitSearch
    from murine.units.matching import match_units as match_units
    from murine.units.matching import shuffle_stimuli as shuffle_stimuli
    from murine.units.site_tables import summarise_sites as summarise_sites

__getattr__, __dir__, __all__ = lazy_exports(__name__)
