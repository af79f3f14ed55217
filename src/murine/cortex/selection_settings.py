"""Settings of a named selection of neurons, checked before anything is read, and one or several choices by it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from murine.cortex.recording import Recording
from murine.cortex.selection import selections
from murine.errors import MurineError, nearest
from murine.stimuli import StimulusSet

if TYPE_CHECKING:
    from murine.cortex.representative import Representatives

#: The selection that depends on its seed, and whose embedding can be drawn.
BY_CLUSTERS = "mice-to-machines"


@dataclass(frozen=True)
class SeededChoices:
    """Choices of neurons of one recording.

    Attributes
    ----------
    recordings
        The recordings of the chosen neurons, by the seed of the choice; of all selections but one there is one choice.
    representatives
        Where neurons were chosen by clusters, the first choice with its embedding.
    """

    recordings: Mapping[int, Recording]
    representatives: Representatives | None = None


def check_selection(
    selection: str, settings: Mapping[str, Any], *, n_choices: int = 1, with_picture: bool = False
) -> None:
    """Refuse settings that a selection does not take.

    Parameters
    ----------
    selection
        A name of `murine.cortex.selection.selections`; '' for all neurons.
    settings
        Keyword arguments of the selection.
    n_choices
        How many choices are wanted.
    with_picture
        Whether the embedding is to be drawn.

    Raises
    ------
    MurineError
        If there is no such selection or setting, a value is not a number, or several choices or an embedding are
        requested of a selection without them.
    """
    if selection != BY_CLUSTERS and n_choices > 1:
        raise MurineError(f"--choices repeats --selection {BY_CLUSTERS}, which depends on its seed.")
    if not selection:
        if settings or with_picture:
            raise MurineError("--set and --picture need a --selection.")
        return
    choose: Any = selections[selection]
    if selection == BY_CLUSTERS:
        from murine.cortex.representative import representative as choose
    elif with_picture:
        raise MurineError(f"--picture shows the embedding that --selection {BY_CLUSTERS} chooses in.")
    known = {k: p.default for k, p in inspect.signature(choose).parameters.items() if p.kind is p.KEYWORD_ONLY}
    known.pop("stimuli", None)
    for key, value in settings.items():
        if key not in known:
            raise MurineError(
                f"--selection {selection} has no setting {key!r}{nearest(key, known) or '.'} It has {', '.join(known)}."
            )
        if isinstance(known[key], (int, float)) and isinstance(value, str):
            raise MurineError(f"--set {key}={value} is not understood; expected a number, as {known[key]}.")


def choose_neurons(
    recording: Recording,
    selection: str,
    settings: Mapping[str, Any],
    images: Callable[[], StimulusSet],
    *,
    n_choices: int = 1,
) -> SeededChoices:
    """Choose neurons by a named selection, once or with several seeds.

    Parameters
    ----------
    selection, settings, n_choices
        As `check_selection` accepts them.
    images
        Returns the images that were shown; called where the selection needs them.

    Raises
    ------
    MurineError
        If no neuron is left, or the recording lacks what the selection needs.
    """
    if not selection:
        return SeededChoices({0: recording})
    if selection != BY_CLUSTERS:
        return SeededChoices({0: selections[selection](recording, **settings)})
    from murine.cortex.neuron_vectors import VECTORS
    from murine.cortex.representative import compared

    stimuli = None if settings.get("vectors", VECTORS[0]) == "responses" else images()
    found, chosen = compared(recording, n_choices, stimuli=stimuli, **settings)
    return SeededChoices(dict(enumerate(chosen, settings.get("seed", 0))), found[0])
