"""Verification: murine's metrics against other libraries, on this machine with what is installed here."""

from __future__ import annotations

import importlib
import logging
import time
import warnings
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from math import inf

import numpy as np
import pandas as pd

from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.networks.layer_kernel import LayerKernel
from murine.progress import Progress, Silent
from murine.scoring.metric import Metric, ReferenceScores, metric_of, metrics
from murine.similarity.rdm import pearson_rdm
from murine.similarity.rdm_vectors import upper_triangle
from murine.studies.reference_libraries import HIMALAYA, REFERENCES, TOOLBOX, ArrayPair, ReferenceMetric, TestData

log = logging.getLogger(__name__)

#: Libraries that murine itself does not need.
OPTIONAL = (TOOLBOX, HIMALAYA)

#: What a comparison can come to.
OK, MISMATCH, ABSENT, FAILED = "ok", "MISMATCH", "not installed", "failed"

#: The most of a user's data that is taken: others are no faster than they are.
MAX_STIMULI, MAX_NEUROIDS, MAX_REPETITIONS, MAX_MATRICES = 120, 120, 6, 8

#: The fewest neurons that make a site and some layers.
MIN_NEUROIDS = 24

N_LAYERS = 4


def simulated_sample(seed: int = 0) -> TestData:
    """Six layers and 40 neurons that share what they know of 48 stimuli; noise is shared by neurons."""
    n_stimuli, n_neuroids, n_repetitions = 48, 40, 5
    rng = np.random.default_rng([seed, *b"verify"])
    latent = rng.normal(size=(n_stimuli, 12)) / np.arange(1, 13)
    layers = [
        np.maximum(latent @ rng.normal(size=(12, n_units)), 0) + 0.3 * rng.normal(size=(n_stimuli, n_units))
        for n_units in (300, 20, 80, 150, 300, 600)
    ]
    signal = np.maximum(latent @ rng.normal(size=(12, n_neuroids)), -0.5).T
    shared = np.einsum("nk,ksr->nsr", rng.normal(size=(n_neuroids, 3)), rng.normal(size=(3, n_stimuli, n_repetitions)))
    noise = 0.5 * shared + rng.normal(size=(n_neuroids, n_stimuli, n_repetitions))
    recording = Recording.from_arrays(
        signal[:, :, None] + noise,
        {"neuroid_id": [f"n{i:03d}" for i in range(n_neuroids)]},
        {"stimulus_id": [f"s{i:03d}" for i in rng.permutation(n_stimuli)]},
        name="simulated",
    )
    return _sample("simulated", layers, recording)


def sample_of(cortex: Recording | NeuralRDMs, seed: int = 0) -> TestData:
    """Take a sample of a user's data.

    Of a recording, at most 120 neurons that have the same valid trials, drawn at random, and as many stimuli: half of
    the neurons, in four parts, play the layers of a network, the others are a site; standardised, so that differences
    mean the same in all data. Of matrices, every second one plays a layer.

    Raises
    ------
    MurineError
        If there are fewer than 24 such neurons, two repetitions or two matrices.
    """
    rng = np.random.default_rng([seed, *b"sample"])
    if isinstance(cortex, NeuralRDMs):
        if len(cortex.sites) < 2:
            raise MurineError(f"{cortex.name!r} has one matrix; comparisons need at least 2.")
        stimuli = _some(rng, np.arange(len(cortex.stimulus_ids)), MAX_STIMULI)
        vectors = upper_triangle(cortex.matrices[:, stimuli][:, :, stimuli])
        return TestData(cortex.name, vectors[::2][:MAX_MATRICES], vectors[1::2][:MAX_MATRICES])
    recording, _ = cortex.usable()
    valid = np.isfinite(recording.responses)
    _, kinds = np.unique(np.packbits(valid.reshape(len(valid), -1), axis=1), axis=0, return_inverse=True)
    alike = np.flatnonzero(kinds.ravel() == np.bincount(kinds.ravel()).argmax())
    neuroids = _some(rng, alike, MAX_NEUROIDS)
    stimuli = _some(rng, np.arange(recording.n_stimuli), MAX_STIMULI)
    shown = valid[neuroids[0]][stimuli]
    n_repetitions = min(int(shown.sum(axis=1).min()), MAX_REPETITIONS)
    first = np.argsort(~shown, axis=1, kind="stable")[:, :n_repetitions]  # the valid trials of each stimulus
    trials = recording.responses[neuroids[:, None, None], stimuli[:, None], first].astype(np.float64)
    means = trials.mean(axis=2)
    varying = (np.ptp(means, axis=1) > 0) & (trials - means[:, :, None]).any(axis=(1, 2))
    if n_repetitions < 2 or varying.sum() < MIN_NEUROIDS:
        raise MurineError(
            f"{cortex.name!r} has {varying.sum()} neurons that respond with some noise in the same {n_repetitions} "
            f"trials; at least {MIN_NEUROIDS} and 2 are needed."
        )
    trials, means, neuroids = trials[varying], means[varying], neuroids[varying]
    trials = (trials - means.mean(axis=1)[:, None, None]) / means.std(axis=1)[:, None, None]
    order = rng.permutation(len(trials))
    *parts, site = np.split(order, np.linspace(0, len(order) // 2, N_LAYERS + 1).astype(int)[1:])
    recording = Recording.from_arrays(
        trials[site],
        {"neuroid_id": recording["neuroid_id"][neuroids[site]]},
        {"stimulus_id": np.asarray(recording.stimulus_ids)[stimuli]},
        name=cortex.name,
    )
    return _sample(cortex.name, [trials[part].mean(axis=2).T for part in parts], recording)


def _some(rng: np.random.Generator, positions: np.ndarray, n: int) -> np.ndarray:
    """At most n of them, in order."""
    return np.sort(rng.permutation(positions)[:n])


def _sample(name: str, layers: list[np.ndarray], recording: Recording) -> TestData:
    halves = np.array_split(recording.mean(), 2)
    return TestData(
        name,
        upper_triangle(np.stack([pearson_rdm(x) for x in layers])),
        upper_triangle(np.stack([pearson_rdm(np.ascontiguousarray(half.T)) for half in halves])),
        tuple(layers),
        recording,
    )


def all_references() -> list[ReferenceMetric]:
    """Return the references of murine itself, then those that metrics bring along (`Metric.verify`)."""
    brought = [
        ReferenceMetric(
            name, own.package, own.function, own.tolerance, partial(_scores_of, metric=metric_of(name), reference=own)
        )
        for name in metrics
        for own in metric_of(name).verify()
    ]
    return [*REFERENCES, *brought]


def _scores_of(sample: TestData, metric: Metric, reference: ReferenceScores) -> ArrayPair:
    """Compare all layers with all neurons as one site, by the metric and by its reference."""
    if sample.recording is None:
        raise TypeError(f"{sample.name} has no layers")
    order = np.argsort(np.asarray(sample.recording.stimulus_ids))  # as scoring has them
    layers = [np.ascontiguousarray(x[order]) for x in sample.layers]
    kernels = [LayerKernel.of(x) for x in layers]
    ours = metric.score(metric.of_layers(kernels, sample.site_data), metric.of_sites(sample.site_data))
    return ours[:, 0], np.asarray(reference.compute(layers, sample.means[:, order]), np.float64)


def verify(samples: list[TestData], progress: Progress | None = None) -> pd.DataFrame:
    """Compute every metric on every sample by murine and by the references, on one thread.

    Returns
    -------
    table
        One row for each sample and each reference that can use it: ``data, metric, reference, version, function``;
        ``difference``: the largest absolute difference, infinite if only one side has a number; ``tolerance``;
        ``agreement``: ``ok``, ``MISMATCH``, ``not installed``, or ``failed`` if an error was raised (it is logged);
        ``seconds``: the time of both.

    Examples
    --------
    >>> table = verify([simulated_sample()])
    >>> set(table.agreement) <= {"ok", "not installed"}
    True
    """
    from threadpoolctl import threadpool_limits

    references = all_references()
    asked = [(sample, reference) for sample in samples for reference in references]
    asked = [(sample, reference) for sample, reference in asked if reference.from_rdms or sample.recording is not None]
    with (progress or Silent()).task("metrics", len(asked)) as bar:
        states = {package: _state(package) for package in OPTIONAL}
        rows = []
        for sample, reference in asked:
            state, difference, start = states.get(reference.package, OK), float("nan"), time.perf_counter()
            if state == OK:
                with threadpool_limits(1), warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of other libraries
                    state, difference = _agreement(reference, sample)
            rows.append(
                {
                    "data": sample.name,
                    "metric": reference.metric,
                    "reference": reference.package,
                    "version": _version(reference.package) if state != ABSENT else "",
                    "function": reference.function,
                    "difference": difference,
                    "tolerance": reference.tolerance,
                    "agreement": state,
                    "seconds": time.perf_counter() - start,
                }
            )
            bar.advance()
    return pd.DataFrame(rows)


def _version(package: str) -> str:
    """The version that is installed; '' where it does not tell, as a library that lies in a folder of Python's path."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _state(package: str) -> str:
    """Whether a library can be imported."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name == package:
            return ABSENT
        log.warning("%s cannot be imported: %s", package, error)
        return FAILED
    except Exception as error:  # whatever its parts raise that do not fit each other
        log.warning("%s cannot be imported: %s", package, error)
        return FAILED
    return OK


def _agreement(reference: ReferenceMetric, sample: TestData) -> tuple[str, float]:
    try:
        ours, theirs = reference.compute(sample)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.lower() == reference.package.lower():
            return ABSENT, float("nan")
        log.warning("%s by %s failed: %s", reference.metric, reference.package, error)
        return FAILED, float("nan")
    except Exception as error:  # of another library, or of ours: it is no agreement
        log.warning("%s by %s failed: %s: %s", reference.metric, reference.package, type(error).__name__, error)
        return FAILED, float("nan")
    finite = np.isfinite(ours).all() and np.isfinite(theirs).all() and ours.shape == theirs.shape and ours.size > 0
    difference = float(np.abs(ours - theirs).max()) if finite else inf
    return OK if difference <= reference.tolerance else MISMATCH, difference
