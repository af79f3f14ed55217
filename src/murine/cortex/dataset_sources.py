"""Sources of data sets: the function that loads a data set, and its description."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

from murine.cortex.dataset_registry import datasets
from murine.literature import Citation

if TYPE_CHECKING:
    from murine.cortex.dataset import Dataset


@dataclass(eq=False)  # not frozen: it takes over the name and the docstring of the function
class DatasetSource:
    """A function that loads a data set, with its description.

    `dataset_source` makes one from a function. A call loads the data and adds the description to the `Dataset`. Pages
    about stored results read the description from here, without loading the data.

    Attributes
    ----------
    load
        Takes the folder of data (None for the usual one) and returns the `Dataset`.
    about
        What was recorded, and how: one or two sentences.
    species
        The animal, for example ``mouse``; '' if unknown.
    citations
        What to cite, the most important first.
    licence
        The terms of use; '' if unknown.
    caveats
        Sentences that every reader of a result should know.
    folders
        Names of subfolders of the folder of data that are read; an empty tuple if no files are needed, None if the
        files are unknown. If they are known, finished work is recognised without loading the data.

    Examples
    --------
    >>> from murine.cortex.simulated import simulate
    >>> from murine.scenes import synthetic_scenes
    >>> from murine.cortex.dataset import Dataset
    >>> def load(root=None):
    ...     cortex = simulate(synthetic_scenes(20, size=32), n_neuroids=10, n_repetitions=2)
    ...     return Dataset(cortex.stimuli, cortex.recording)
    >>> source = DatasetSource(load, "Responses of thirty neurons.", species="mouse", licence="CC0")
    >>> source().species
    'mouse'
    >>> source.terms()
    ['Species: mouse.', 'Licence: CC0.']
    """

    load: Callable[..., Dataset]
    about: str
    species: str = ""
    citations: tuple[Citation, ...] = ()
    licence: str = ""
    caveats: tuple[str, ...] = ()
    folders: tuple[str, ...] | None = None

    def __call__(self, root: Path | None = None, **options: Any) -> Dataset:
        """Load the data set. Descriptions that the function itself put into the `Dataset` are kept."""
        data = self.load(root, **options)
        return replace(
            data,
            species=data.species or self.species,
            citation=data.citation or "\n".join(f"{c.text} {c.link}" for c in self.citations),
            licence=data.licence or self.licence,
            caveats=data.caveats or self.caveats,
        )

    def describe(self) -> str:
        """Return the description of the data set, one line for each kind of information."""
        cited = [f"Cite: {citation.text} {citation.link}" for citation in self.citations]
        return "\n".join([self.about, *self.terms(), *cited, *(f"Caveat: {caveat}" for caveat in self.caveats)])

    def terms(self) -> list[str]:
        """Return a short sentence about the species and one about the licence, as far as they are known."""
        known = (("Species", self.species), ("Licence", self.licence))
        return [f"{name}: {value}." for name, value in known if value]


def dataset_source(
    *,
    about: str = "",
    species: str = "",
    citations: tuple[Citation, ...] = (),
    licence: str = "",
    caveats: tuple[str, ...] = (),
    folders: tuple[str, ...] | None = None,
) -> Callable[[Callable[..., Dataset]], DatasetSource]:
    """Return a decorator that makes a `DatasetSource` of a function that loads a data set.

    Parameters are the attributes of `DatasetSource`; ``about`` is the first paragraph of the function's docstring if it
    is not given.

    Examples
    --------
    >>> from murine.cortex import Dataset, simulate
    >>> from murine.scenes import synthetic_scenes
    >>> @dataset_source(species="mouse", licence="CC0", caveats=("One animal only.",))
    ... def tiny(root=None):
    ...     "Responses of ten neurons to 100 images."
    ...     cortex = simulate(synthetic_scenes(20, size=32), n_neuroids=10, n_repetitions=2)
    ...     return Dataset(cortex.stimuli, cortex.recording)
    >>> tiny().licence
    'CC0'
    >>> print(tiny.describe())
    Responses of ten neurons to 100 images.
    Species: mouse.
    Licence: CC0.
    Caveat: One animal only.
    """

    def make(load: Callable[..., Dataset]) -> DatasetSource:
        source = DatasetSource(load, about or _first_paragraph(load), species, citations, licence, caveats, folders)
        update_wrapper(source, load)
        return source

    return make


def known_source(name: str) -> DatasetSource | None:
    """Return the description of a data set without loading it; None if no data set has this name.

    Of a plain function, that is the first paragraph of its docstring.

    Examples
    --------
    >>> known_source("allen-2p").species
    'mouse'
    >>> known_source("mine.nc") is None
    True
    """
    if name not in datasets:
        return None
    load = datasets[name]
    return load if isinstance(load, DatasetSource) else DatasetSource(load, _first_paragraph(load))


def known_sources() -> dict[str, DatasetSource]:
    """Return the description of every registered data set, in the order of the names.

    Examples
    --------
    >>> known_sources()["allen-2p"].species
    'mouse'
    """
    found = {name: known_source(name) for name in sorted(datasets)}
    return {name: source for name, source in found.items() if source is not None}


def _first_paragraph(function: Callable[..., Any]) -> str:
    return " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
