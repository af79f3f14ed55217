"""The data sets of murine itself, with their descriptions: Allen Brain Observatory, and a simulated cortex.

The code that reads the data is imported when they are loaded, so that the descriptions alone are quick to import."""

# ruff: noqa: RUF001 (dashes and signs are meant)

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from murine.cortex.dataset_sources import dataset_source
from murine.literature import CONWELL, DE_VRIES, KRIEGESKORTE_92, MUR, NAYEBI, OBSERVATORY, SIEGLE

if TYPE_CHECKING:
    from murine.cortex.dataset import Dataset

_TERMS = "Allen Institute terms of use (https://alleninstitute.org/terms-of-use)"

_RESOLUTION = (
    "The scenes differ in real resolution, and content goes with it: 0–58 are fourfold enlargements of photographs of "
    "animals, 59–101 have full resolution and mostly show plants, 102–117 are enlarged. Any model that tells sharp "
    "from blurred images gains from this over all images, so read the scores within groups of images as well."
)


@dataset_source(
    about="Spike rates of single trials from Neuropixels recordings in awake mice (Allen Brain Observatory; Siegle et "
    "al. 2021): about 50 repetitions of the 118 natural scenes, units of six visual areas, pooled over mice.",
    species="mouse",
    citations=(SIEGLE, NAYEBI, OBSERVATORY),
    licence=f"{_TERMS}; tables of units: no commercial use",
    caveats=(
        "The source selected units for reliable responses and, for each mouse and area, the time window in which they "
        "are most reliable. Reliabilities are those of this selection, and windows differ between mice and areas.",
        "Genotypes are second-hand, and no unit has a cell class.",
        _RESOLUTION,
    ),
    folders=("allen_natural_scenes", "allen_neuropixels_natural_scenes"),
)
def allen_neuropixels(root: Path | None = None, min_bins: int = 6) -> Dataset:
    """Load the spike rates of single trials, as `murine.cortex.shared_arrays.read_neuropixels` does."""
    from murine.cortex.shared_arrays import read_neuropixels

    return read_neuropixels(root, min_bins)


@dataset_source(
    about="Two-photon calcium imaging in awake mice (Allen Brain Observatory; de Vries et al. 2020), as the 21 "
    "dissimilarity matrices of area × cortical layer that Conwell et al. (2021) made of the responses to the 118 "
    "natural scenes: 1 minus their correlation matrices, without the blank screen.",
    species="mouse",
    citations=(CONWELL, DE_VRIES, OBSERVATORY),
    licence=f"{_TERMS}; the matrices state no licence",
    caveats=(
        "Neurons were selected by the split-half reliability of their responses and pooled over mice, so the matrices "
        "are those of reliable neurons, not of all neurons.",
        "Single trials and single neurons are not part of these data. The published split-half reliabilities of the "
        "matrices are taken as their reliabilities.",
        "VISrl layer 5 has a reliability of 0.13: it is too noisy to rank networks.",
        _RESOLUTION,
    ),
    folders=("allen_natural_scenes", "allen_2p_rdms"),
)
def allen_2p(root: Path | None = None) -> Dataset:
    """Load the matrices, as `murine.cortex.shared_arrays.read_two_photon_matrices` does."""
    from murine.cortex.shared_arrays import read_two_photon_matrices

    return read_two_photon_matrices(root)


@dataset_source(
    about="Two-photon calcium imaging in awake mice (Allen Brain Observatory; de Vries et al. 2020): responses of "
    "single trials to the 118 natural scenes, as far as `murine data fetch allen` has fetched them.",
    species="mouse",
    citations=(DE_VRIES, OBSERVATORY),
    licence=_TERMS,
    caveats=(
        "All cells of the sessions that were fetched are used, reliable or not. Which sessions these are is no part "
        "of the name; the digest of the data tells.",
        "The calcium signal is slow: AllenSDK's window, 14 frames or 0.47 s from the onset of a scene, reaches into "
        "the next scene.",
        _RESOLUTION,
    ),
)
def allen(root: Path | None = None) -> Dataset:
    """Two-photon responses to the 118 scenes, as far as `murine data fetch allen` has fetched them.

    All cells of all sessions in the cache but those of failed containers, corrected fluorescence in AllenSDK's window;
    the images as they were shown, 918 x 1174. `murine data build allen` chooses among them, or takes another signal or
    window.
    """
    from murine.cortex.allen.holdings import TwoPhoton
    from murine.cortex.dataset import Dataset
    from murine.cortex.loading import without_blank

    holdings = TwoPhoton()
    catalogue = holdings.catalogue().select()
    images = holdings.templates.stimuli()
    return Dataset(images, without_blank(images, holdings.recording(catalogue)))


@dataset_source(
    about="Dissimilarities of 92 object images in monkey IT (674 neurons), human IT (fMRI) and human judgements "
    "(Kriegeskorte et al. 2008b, Mur et al. 2013), to compare the mouse with.",
    species="monkey and human",
    citations=(KRIEGESKORTE_92, MUR),
    licence="MIT (repository rsagroup/rsatoolbox)",
    caveats=(
        "The images are coloured objects on grey, not the natural scenes that mice saw.",
        "The reliability of the monkeys' matrix is not known, so its scores have no noise ceiling.",
        "Matrices of people are means over 4 (fMRI) and 16 (judgements) subjects; single trials are not in the files.",
    ),
    folders=("primate_92images",),
)
def primate_92(root: Path | None = None) -> Dataset:
    """Load the matrices, as `murine.cortex.primate.read_primate_matrices` does."""
    from murine.cortex.primate import read_primate_matrices

    return read_primate_matrices(root)


@dataset_source(
    about="A simulated cortex whose truth is known: three areas of model neurons (rectified sums of Gabor energies, "
    "divisively normalised) with noise from trial to trial. It needs no data.",
    species="none (simulation)",
    licence="BSD-3-Clause",
    caveats=("Scores against it test the method; they say nothing about mice.",),
    folders=(),
)
def simulated(root: Path | None = None) -> Dataset:
    """A simulated cortex whose truth is known: three areas, two cell classes, 100 images, 20 repetitions. Needs no
    data.
    """
    from murine.cortex.dataset import Dataset
    from murine.cortex.simulated import simulate
    from murine.io.array_cache import ArrayCache
    from murine.io.files import cache_folder

    cortex = simulate(kept=ArrayCache(cache_folder() / "simulated"))  # once, and not in every process of a sweep
    return Dataset(cortex.stimuli, cortex.recording)
