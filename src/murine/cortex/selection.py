"""Named choices of neurons: a recording in, a recording of some of its neurons out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from murine.cortex.natural_scenes import BLANK
from murine.cortex.recording import Recording
from murine.cortex.reliability import split_half
from murine.errors import MurineError
from murine.registry import Registry

log = logging.getLogger(__name__)

#: Names to functions that choose neurons; all settings have defaults.
selections: Registry[Callable[..., Recording]] = Registry("selection")


@selections.register("conwell2021")
def conwell2021(
    recording: Recording,
    *,
    min_reliability: float = 0.75,
    run_alpha: float | None = 0.05,
    max_p_ns: float | None = None,
    blank: bool = True,
    n_splits: int = 100,
    seed: int = 0,
) -> Recording:
    """Choose reliable neurons that running does not modulate, as Conwell et al. 2021 did.

    A neuron is kept if it meets every condition:

    1. not significantly modulated by running: coordinate ``p_run_mod_ns`` above ``run_alpha``, or NaN, that is, it
       could not be tested;
    2. if ``max_p_ns`` is given, selective for scenes: coordinate ``p_ns`` below it (NaN is left out);
    3. split-half reliability of at least ``min_reliability``.

    How many neurons meet them is logged, and written into the attribute ``selection`` of the dataset.

    Parameters
    ----------
    recording
        A recording with the coordinates above, except for conditions that are switched off.
    min_reliability
        Of `murine.cortex.reliability.split_half`: Spearman-Brown, mean over splits. Neurons for which it is not defined
        (constant, or a stimulus without valid trials in some half) are left out.
    run_alpha
        None: running is not a condition.
    max_p_ns
        0.05 gives the selection of the first version of their code; None: selectivity is not a condition.
    blank
        Whether the stimulus ``blank``, if there is one, is used like the other stimuli, as in their vectors of 119
        values. It stays in the recording in both cases.
    n_splits, seed
        Of the random halvings.

    Returns
    -------
    chosen
        In the order of the recording, with a coordinate ``reliability`` of the neurons.

    Raises
    ------
    MurineError
        If a coordinate is missing or holds no numbers, or no neuron is left.

    References
    ----------
    Conwell et al. 2021, NeurIPS 34; ``docs/reference/sources.md``, *Data and selection of neurons*.
    """
    keep = np.ones(recording.n_neuroids, dtype=bool)
    steps = [f"{recording.n_neuroids} neurons"]
    if run_alpha is not None:
        p = _numbers(recording, "p_run_mod_ns", "run_alpha")
        keep &= ~(p <= run_alpha)
        steps.append(f"{keep.sum()} not modulated by running (p_run_mod_ns > {run_alpha:g} or not tested)")
    if max_p_ns is not None:
        keep &= _numbers(recording, "p_ns", "max_p_ns") < max_p_ns
        steps.append(f"{keep.sum()} selective (p_ns < {max_p_ns:g})")
    candidates = np.flatnonzero(keep)
    reliability = np.full(recording.n_neuroids, np.nan)
    if len(candidates):
        reliability[candidates] = _reliability(recording, candidates, blank, n_splits, seed)
    keep = reliability >= min_reliability
    steps.append(f"{keep.sum()} with a split-half reliability of at least {min_reliability:g}")
    story = "; of these ".join(steps)
    if not keep.any():
        best = f" The highest reliability is {np.nanmax(reliability):.3f}." if np.isfinite(reliability).any() else ""
        raise MurineError(f"no neuron of {recording.name!r} is left: {story}.{best} Relax a threshold.")
    log.info("%s: %s", recording.name, story)
    dataset = recording.dataset.assign_coords(reliability=("neuroid", reliability)).isel(neuroid=np.flatnonzero(keep))
    return Recording(dataset.assign_attrs(selection=f"conwell2021: {story}"), recording.name)


@selections.register("mice-to-machines")
def mice_to_machines(recording: Recording, **settings: Any) -> Recording:
    """Choose 500 excitatory and 500 inhibitory neurons by UMAP and k-means, as in Mice to Machines.

    `murine.cortex.representative.representative` says how, takes the same ``settings`` (``stimuli`` are needed), and
    also gives the embedding of the neurons that were not chosen. The attribute ``selection`` tells how many neurons
    choices with other seeds share with it (`murine.cortex.representative.compared`).
    """
    from murine.cortex.representative import compared

    return compared(recording, **settings)[1][0]


def _numbers(recording: Recording, coordinate: str, argument: str) -> Float[np.ndarray, " n_neuroids"]:
    if coordinate not in recording.dataset.coords:
        known = ", ".join(sorted(str(c) for c, x in recording.dataset.coords.items() if x.dims == ("neuroid",)))
        raise MurineError(
            f"{recording.name!r} has no coordinate {coordinate!r} of its neurons; it has {known}. Give "
            f"{argument}=None to choose without it."
        )
    values = recording[coordinate]
    if values.shape != (recording.n_neuroids,) or values.dtype.kind not in "fiu":
        raise MurineError(
            f"coordinate {coordinate!r} of {recording.name!r} has shape {values.shape} and dtype {values.dtype}; "
            f"expected one number per neuron, ({recording.n_neuroids},)."
        )
    return values.astype(np.float64)


def _reliability(
    recording: Recording, neuroids: np.ndarray, blank: bool, n_splits: int, seed: int
) -> Float[np.ndarray, " n_chosen"]:
    ids = recording.stimulus_ids
    responses = recording.responses
    if not blank and BLANK in ids:
        # As a view where it can be one: the whole of a large recording is not copied.
        last = ids[-1] == BLANK
        responses = responses[:, :-1] if last else np.delete(responses, ids.index(BLANK), axis=1)
    if responses.shape[1] < 2:
        raise MurineError(
            f"{recording.name!r} has {responses.shape[1]} stimuli to correlate over; expected at least 2."
        )
    return split_half(responses, n_splits, seed, neuroids=neuroids)
