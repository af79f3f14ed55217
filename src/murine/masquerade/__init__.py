"""Is it a mouse: can a network that is placed among the animals of an area be told from them?

This room compares the layers of networks, and windows of their maps, with every animal, next to controls and to the
animals themselves, and gives verdicts.
The similarity is in `murine.similarity.population_kernels`, the tests are in `murine.statistics`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from murine.masquerade.animals import AnimalArrays as AnimalArrays
    from murine.masquerade.animals import load_animals as load_animals
    from murine.masquerade.description import describe_regression as describe_regression
    from murine.masquerade.question import is_it_a_mouse as is_it_a_mouse
    from murine.masquerade.result import MasqueradeResult as MasqueradeResult
    from murine.masquerade.run import AnimalData as AnimalData

__getattr__, __dir__, __all__ = lazy_exports(__name__)
