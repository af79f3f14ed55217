"""A data set: the images that were shown, the responses to them, and the source of both."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from html import escape
from textwrap import shorten
from typing import Any

from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.stimuli import StimulusSet

#: Letters of a licence or a citation in the one line that describes a data set.
_SHORT = 50


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images, the responses to them, and facts about both: species, citation, licence, caveats.

    Attributes
    ----------
    stimuli
        The images. Responses are matched to them by id.
    responses
        A `Recording` of single neurons, or `NeuralRDMs` where data come only as matrices.
    species
        The animal, for example ``mouse``; '' if unknown.
    citation, licence
        Publications to cite, one per line, and the terms of use; '' if unknown.
    caveats
        Sentences that every reader of a result should know.

    Examples
    --------
    >>> import murine
    >>> data = murine.load_data("simulated")
    >>> data
    <Dataset simulated cortex 0: 100 images, 360 neurons in 3 areas; licence BSD-3-Clause>
    >>> data.select(area="SIMp").responses.n_neuroids
    120
    """

    stimuli: StimulusSet
    responses: Recording | NeuralRDMs
    species: str = ""
    citation: str = ""
    licence: str = ""
    caveats: tuple[str, ...] = field(default=())

    def __repr__(self) -> str:
        first = self.citation.splitlines()[:1]  # the most important publication
        terms = [("licence", self.licence), *(("cite", text) for text in first)]
        known = [f"{name} {shorten(text, _SHORT)}" for name, text in terms if text]
        return f"<Dataset {'; '.join([f'{self.name}: {self._sizes()}', *known])}>"

    def describe(self) -> str:
        """Return a description of the data: sizes, species, licence, citation and caveats, one line each."""
        known = [f"{name}: {text}" for name, text in self._words()]
        return "\n".join([f"{self.name}: {self._sizes()}", *known])

    def _repr_html_(self) -> str:
        lines = "".join(f"<li>{name}: {escape(text)}</li>" for name, text in self._words())
        return f"<div><b>Dataset {escape(self.name)}</b>: {self._sizes()}<ul>{lines}</ul></div>"

    def _sizes(self) -> str:
        images = f"{self.stimuli.n_stimuli} images"
        if isinstance(self.responses, NeuralRDMs):
            return f"{images}, {len(self.responses.sites)} matrices"
        n_areas = len({area for area in self.responses["area"] if area})
        areas = f" in {n_areas} area{'s' if n_areas > 1 else ''}" if n_areas else ""
        return f"{images}, {self.responses.n_neuroids} neurons{areas}"

    def _words(self) -> list[tuple[str, str]]:
        """What is known of the data, each with its kind."""
        cited = [("cite", text) for text in self.citation.splitlines()]
        caveats = [("caveat", text) for text in self.caveats]
        words = [("species", self.species), ("licence", self.licence), *cited, *caveats]
        return [(name, text) for name, text in words if text]

    @property
    def name(self) -> str:
        """The name of the data in tables: the name of the responses."""
        return self.responses.name

    @property
    def digest(self) -> str:
        """The sha256 of the responses and of the images; names and citations do not count."""
        return f"{self.responses.digest}{self.stimuli.digest}"

    def select(self, *, min_reliability: float | None = None, **labels: object) -> Dataset:
        """Return the data set with some of its neurons, chosen as `Recording.select` does.

        Raises
        ------
        MurineError
            If a label or value does not exist, no neuron is left, or the data come as matrices.
        """
        if not isinstance(self.responses, Recording):
            raise MurineError(
                f"{self.name!r} comes as matrices of whole sites: neurons cannot be selected. Filter the results "
                "instead."
            )
        wanted: Any = labels
        chosen = self.responses.select(min_reliability=min_reliability, **wanted)
        return replace(self, responses=chosen)
