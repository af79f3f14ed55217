"""Responses of mouse visual cortex: recordings of single neurons, dissimilarity matrices, and data sets with images.

A `Recording` contains single trials of neurons with their labels, `NeuralRDMs` contains data that come only as
matrices, and a `Dataset` joins responses with the images that were shown. `load_dataset` loads one by name or from a
file, and `dataset_source` adds a description to a function that loads a new one (`known_sources`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from murine.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from murine.cortex.dataset import Dataset as Dataset
    from murine.cortex.dataset_sources import DatasetSource as DatasetSource
    from murine.cortex.dataset_sources import dataset_source as dataset_source
    from murine.cortex.dataset_sources import known_source as known_source
    from murine.cortex.dataset_sources import known_sources as known_sources
    from murine.cortex.joining import join as join
    from murine.cortex.loading import load_dataset as load_dataset
    from murine.cortex.loading import load_responses as load_responses
    from murine.cortex.rdms import NeuralRDMs as NeuralRDMs
    from murine.cortex.recording import Recording as Recording
    from murine.cortex.recording import Site as Site
    from murine.cortex.reliability import split_half as split_half
    from murine.cortex.representative import Representatives as Representatives
    from murine.cortex.representative import repeated as repeated
    from murine.cortex.representative import stability as stability
    from murine.cortex.selection import selections as selections
    from murine.cortex.simulated import simulate as simulate

__getattr__, __dir__, __all__ = lazy_exports(__name__)
