"""rsatoolbox: conversion to and from its objects ``Dataset`` and ``RDMs``.

rsatoolbox calls stimuli ``stimulus``. It compares RDMs pair by pair and does not look at the names of their patterns.
So RDMs that murine makes are in the order of the stimulus ids, and `matched` puts RDMs from elsewhere into one order.
`murine.interchange.rsatoolbox_files` writes and reads its files."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from murine.cortex.presentations import Presentations, column, required
from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording, Site
from murine.errors import MurineError, some
from murine.io.labels import as_labels
from murine.io.masked_arrays import unmasked
from murine.networks.layer_kernel import LayerKernel
from murine.similarity.rdm import dissimilarities
from murine.similarity.rdm_vectors import n_stimuli_of_pairs, upper_triangle

#: Names of dissimilarities in rsatoolbox, where they differ from ours.
_MEASURES = {"pearson": "correlation"}

#: Descriptors that are no labels of sites.
_MEASURED = ("reliability", "reliability_sem")


def rsatoolbox() -> Any:
    """Import rsatoolbox, which is optional."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the packages it imports
            import rsatoolbox as found
    except ImportError as error:
        raise MurineError(
            f"rsatoolbox is not there ({error}); `pip install rsatoolbox` adds it. murine needs it only for this."
        ) from error
    return found


def to_dataset(recording: Recording, *, drop: str = "empty") -> Any:
    """Return single trials as an ``rsatoolbox.data.Dataset``.

    Parameters
    ----------
    drop
        Presentations to leave out: ``empty`` (no neuron has a valid trial), ``incomplete`` (some neuron has no valid
        trial; most functions of rsatoolbox do not support missing values) or ``none``. Other missing trials are NaN.

    Returns
    -------
    dataset
        Observations are presentations (float64), with the descriptors ``stimulus``, ``repetition`` (from 0) and the
        coordinates of the stimuli; channels are neurons with all their coordinates.

    Raises
    ------
    MurineError
        If rsatoolbox is not installed.

    Examples
    --------
    >>> from murine.cortex import simulate
    >>> from murine.scenes import synthetic_scenes
    >>> recording = simulate(synthetic_scenes(20, size=32), n_neuroids=10, n_repetitions=4).recording
    >>> dataset = to_dataset(recording)
    >>> dataset.n_obs, dataset.n_channel
    (80, 30)
    """
    toolbox = rsatoolbox()
    rows = Presentations.of(recording, drop)
    about = dict(rows.presentation)
    return toolbox.data.Dataset(
        rows.responses.astype(np.float64),
        descriptors={"name": recording.name},
        obs_descriptors=_lists({"stimulus": about.pop("stimulus_id"), **about}),
        channel_descriptors=_lists(rows.neuroid),
    )


def from_dataset(
    dataset: Any,
    *,
    stimulus: str = "stimulus",
    repetition: str | None = None,
    neuroid: str = "neuroid_id",
    name: str = "",
) -> Recording:
    """Make a recording of an ``rsatoolbox.data.Dataset`` of single trials.

    Parameters
    ----------
    stimulus, repetition
        Descriptors of observations. Without a repetition (default: ``repetition`` if there is one), observations of a
        stimulus are counted in their order.
    neuroid
        The descriptor of channels with the ids of the neurons.
    name
        Default: the descriptor ``name``.

    Raises
    ------
    MurineError
        If ids are missing, repeated or do not fit.

    Examples
    --------
    >>> from murine.cortex import simulate
    >>> from murine.scenes import synthetic_scenes
    >>> recording = simulate(synthetic_scenes(20, size=32), n_neuroids=10, n_repetitions=4).recording
    >>> from_dataset(to_dataset(recording)).responses.shape
    (30, 20, 4)
    """
    name = name or str(dataset.descriptors.get("name", "dataset"))
    return Presentations.labelled(
        dataset.measurements,
        dataset.obs_descriptors,
        dataset.channel_descriptors,
        stimulus=stimulus,
        repetition=repetition,
        neuroid_id=neuroid,
        name=name,
    ).recording(name)


def to_rdms(rdms: NeuralRDMs, *, measure: str | None = None) -> Any:
    """Return the matrices of sites as ``rsatoolbox.rdm.RDMs``, patterns in the order of the stimulus ids.

    Parameters
    ----------
    measure
        Name of the measure, for ``dissimilarity_measure``.

    Returns
    -------
    rdms
        The descriptors of RDMs are ``site``, the labels of the sites ('' where one lacks it), ``reliability`` and
        ``reliability_sem``; of patterns ``stimulus``.

    Raises
    ------
    MurineError
        If rsatoolbox is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> matrix = 1 - np.corrcoef(np.random.default_rng(0).normal(size=(4, 100)))
    >>> unknown = np.array([np.nan])
    >>> data = NeuralRDMs(matrix[None], (Site("VISp", {"area": "VISp"}),), ("a", "b", "c", "d"), unknown, unknown)
    >>> rdms = to_rdms(data, measure="correlation")
    >>> rdms.n_rdm, rdms.n_cond
    (1, 4)
    >>> rdms.rdm_descriptors["site"]
    ['VISp']
    """
    keys = dict.fromkeys(key for site in rdms.sites for key in site.labels)
    labels = {key: [site.labels.get(key, "") for site in rdms.sites] for key in keys}
    about = {
        "site": [site.name for site in rdms.sites],
        **labels,
        "reliability": rdms.reliability.tolist(),
        "reliability_sem": rdms.reliability_sem.tolist(),
    }
    return _rdms(rdms.matrices, rdms.stimulus_ids, about, measure, rdms.name)


def layer_rdms(
    layers: Mapping[str, LayerKernel],
    stimulus_ids: Sequence[str],
    *,
    dissimilarity: str = "pearson",
    name: str = "layers",
) -> Any:
    """Return the RDMs of layers as ``rsatoolbox.rdm.RDMs``, patterns in the order of the stimulus ids.

    Parameters
    ----------
    layers
        Names to kernels, as `murine.networks.capture.capture` gives them.
    stimulus_ids
        Of the images in the order in which they were captured.
    dissimilarity
        ``pearson``, ``cosine`` or ``euclidean`` (`murine.similarity.rdm.dissimilarities`).

    Returns
    -------
    rdms
        The descriptor of RDMs is ``layer``, of patterns ``stimulus``.

    Raises
    ------
    MurineError
        If ids do not fit the kernels or are repeated, or a layer has no such RDM (`LayerKernel.flag`).

    Examples
    --------
    >>> import murine
    >>> data = murine.load_data("simulated")
    >>> layers = {layer.name: layer.kernel for layer in murine.capture("pixels", data.stimuli)}
    >>> rdms = layer_rdms(layers, data.stimuli.ids)
    >>> rdms.rdm_descriptors["layer"], rdms.n_cond
    (['pixels', '(output)'], 100)
    """
    matrices = []
    for layer, kernel in layers.items():
        if kernel.covariance.shape != 2 * (len(stimulus_ids),):
            raise MurineError(
                f"layer {layer!r} has a kernel of shape {kernel.covariance.shape}; {len(stimulus_ids)} stimulus ids "
                "were given: they must be those of the images that were captured."
            )
        matrix = dissimilarities[dissimilarity](kernel)
        symmetric = np.allclose(kernel.covariance, kernel.covariance.T, rtol=1e-6, equal_nan=True)
        if not symmetric or not np.isfinite(matrix).all() or (dissimilarity == "pearson" and kernel.flag):
            reason = kernel.flag or ("not finite" if symmetric else "its kernel is not symmetric")
            raise MurineError(f"layer {layer!r} has no {dissimilarity} RDM: {reason}. Leave it out.")
        matrices.append(matrix)
    if not matrices:
        raise MurineError("no layers were given; expected at least one.")
    measure = _MEASURES.get(dissimilarity, dissimilarity)
    return _rdms(np.stack(matrices), stimulus_ids, {"layer": list(layers)}, measure, name)


def from_rdms(rdms: Any, *, stimulus: str = "stimulus", site: str = "site", name: str = "") -> NeuralRDMs:
    """Make `NeuralRDMs`, the matrices of sites, from ``rsatoolbox.rdm.RDMs``.

    Parameters
    ----------
    stimulus
        The descriptor of patterns with the stimulus ids.
    site
        The descriptor of RDMs that names them. Others that are texts become labels of the sites; ``reliability`` and
        ``reliability_sem`` are those of `NeuralRDMs`.
    name
        Default: the descriptor ``name``.

    Raises
    ------
    MurineError
        If names or ids are missing or repeated, or dissimilarities are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from rsatoolbox.rdm import RDMs
    >>> rdms = RDMs(
    ...     np.array([[0.9, 1.1, 0.4]]),
    ...     rdm_descriptors={"site": ["VISp"]},
    ...     pattern_descriptors={"stimulus": ["cat", "dog", "car"]},
    ... )
    >>> from_rdms(rdms)
    <NeuralRDMs rdms: 1 sites x 3 stimuli>
    """
    return neural_rdms(
        unmasked(rdms.dissimilarities),
        rdms.pattern_descriptors,
        rdms.rdm_descriptors,
        stimulus,
        site,
        name or str(rdms.descriptors.get("name", "rdms")),
    )


def matched(*rdms: Any, stimulus: str = "stimulus") -> tuple[Any, ...]:
    """Return copies of RDMs with their patterns in the order of the ids, so that rsatoolbox compares equal patterns.

    Raises
    ------
    MurineError
        If ids are missing or repeated, or sets of stimuli differ.
    """
    found: list[Any] = []
    for given in rdms:
        ids = _ids(given.pattern_descriptors, stimulus, "the patterns of RDMs")
        odd = set(ids) ^ set(found[0].pattern_descriptors[stimulus]) if found else ()
        if odd:
            raise MurineError(f"these RDMs cannot be compared: only some of them have {some(sorted(odd))}.")
        copy = given.copy()
        copy.pattern_descriptors[stimulus] = list(ids)
        copy.reorder(np.argsort(ids))
        found.append(copy)
    return tuple(found)


def _lists(labels: Mapping[str, np.ndarray]) -> dict[str, list[Any]]:
    return {key: values.tolist() for key, values in labels.items()}


def _ids(descriptors: Mapping[str, ArrayLike], key: str, what: str, option: str = "stimulus=...") -> np.ndarray:
    """Ids from a descriptor: there, not empty and different."""
    columns = {str(k): column(values, f"{k!r} of {what}") for k, values in descriptors.items()}
    values = required(columns, key, what, option)
    ids = np.array(as_labels(values, f"{key!r} of {what}", missing=""), dtype=str)
    unique, counts = np.unique(ids, return_counts=True)
    if (ids == "").any() or (counts > 1).any():
        raise MurineError(
            f"{what} need different {key!r}; found {(ids == '').sum()} empty and repeated {some(unique[counts > 1])}."
        )
    return ids


def _rdms(
    matrices: Float[np.ndarray, "n_rdms n_stimuli n_stimuli"],
    stimulus_ids: Sequence[str],
    about: dict[str, list[Any]],
    measure: str | None,
    name: str,
) -> Any:
    toolbox = rsatoolbox()
    ids = _ids({"stimulus": list(stimulus_ids)}, "stimulus", f"the stimuli of {name!r}")
    order = np.argsort(ids)
    return toolbox.rdm.RDMs(
        upper_triangle(matrices[:, order][:, :, order]).astype(np.float64),
        dissimilarity_measure=measure,
        descriptors={"name": name},
        rdm_descriptors=about,
        pattern_descriptors={"stimulus": ids[order].tolist()},
    )


def neural_rdms(
    vectors: np.ndarray,
    patterns: Mapping[str, ArrayLike],
    about: Mapping[str, ArrayLike],
    stimulus: str,
    site: str,
    name: str,
) -> NeuralRDMs:
    """Return `NeuralRDMs` from vectors of dissimilarities and the descriptors of patterns and RDMs; see `from_rdms`."""
    ids = _ids(patterns, stimulus, f"the patterns of {name!r}")
    if vectors.ndim != 2 or n_stimuli_of_pairs(vectors.shape[1]) != len(ids):
        raise MurineError(f"{name!r} has dissimilarities of shape {vectors.shape} for {len(ids)} stimulus ids.")
    names = _ids(about, site, f"the RDMs of {name!r}", "site=...")
    labels = {key: column(values, f"{key!r} of {name!r}") for key, values in about.items()}
    for key, values in labels.items():
        numbers = key in _MEASURED
        if values.shape != (len(vectors),) or (numbers and values.dtype.kind not in "iuf"):
            raise MurineError(
                f"{key!r} of {name!r} has shape {values.shape} and dtype {values.dtype}; expected one "
                f"{'number' if numbers else 'label'} for each of {len(vectors)} RDMs."
            )
    rows, columns = np.triu_indices(len(ids), 1)
    matrices = np.zeros((len(vectors), len(ids), len(ids)))
    matrices[:, rows, columns] = matrices[:, columns, rows] = vectors
    texts = {
        key: as_labels(values, f"{key!r} of {name!r}", missing="")
        for key, values in labels.items()
        if values.dtype.kind in "OSU" and key != site
    }
    sites = []
    for i, own in enumerate(names):
        found = {key: values[i] for key, values in texts.items() if values[i]}
        sites.append(Site(str(own), found or {"area": str(own)}))
    unknown = np.full(len(names), np.nan)
    reliability, sem = (labels.get(key, unknown).astype(np.float64) for key in _MEASURED)
    return NeuralRDMs(matrices, tuple(sites), tuple(ids.tolist()), reliability, sem, name)
