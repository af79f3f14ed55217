"""Monkey and human inferior temporal cortex: matrices of 92 object images, to compare the mouse with."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import Float

from murine.cortex.dataset import Dataset
from murine.cortex.rdms import NeuralRDMs
from murine.cortex.recording import Site
from murine.errors import MurineError
from murine.io.data_folder import data_folder
from murine.io.files import read_npz
from murine.stimuli import StimulusSet

_N_IMAGES = 92


def read_primate_matrices(root: Path | None = None) -> Dataset:
    """Read the dissimilarities of 92 object images in monkey IT, human IT and human judgements.

    1 - Pearson correlation of response patterns. Human matrices are means over 4 subjects (fMRI) and 16 subjects
    (judgements). Their reliability is that of the mean, from the correlations between subjects by the Spearman-Brown
    formula. The reliability of the monkeys' matrix is unknown.

    Raises
    ------
    MurineError
        If the files are missing or incomplete.
    """
    folder = data_folder(root) / "primate_92images"
    shown = read_npz(folder / "stimuli_92.npz")
    arrays = read_npz(folder / "rdms_92.npz")
    images = np.asarray(shown["images"])
    if images.shape[0] != _N_IMAGES:
        raise MurineError(f"stimuli_92.npz in {str(folder)!r} should hold {_N_IMAGES} images, not {len(images)}.")
    stimuli = StimulusSet.from_arrays(images, [f"object_{number:02d}" for number in range(_N_IMAGES)])
    subjects = np.asarray(arrays["human_IT_subject_session"], dtype=np.float64).mean(axis=1)
    judged = np.asarray(arrays["human_similarity_judgements"], dtype=np.float64)
    vectors = {
        "monkey IT": np.asarray(arrays["monkey_IT_674_neurons"], dtype=np.float64),
        "human IT": subjects.mean(axis=0),
        "human judgements": judged.mean(axis=0),
    }
    known = {"human IT": reliability_of_mean(subjects), "human judgements": reliability_of_mean(judged)}
    reliability, errors = np.array([known.get(name, (np.nan, np.nan)) for name in vectors]).T
    sites = tuple(Site.of({"area": name}) for name in vectors)
    matrices = np.stack([_square(vector) for vector in vectors.values()])
    return Dataset(stimuli, NeuralRDMs(matrices, sites, stimuli.ids, reliability, errors, "primate-92"))


def reliability_of_mean(subjects: Float[np.ndarray, "n_subjects n_pairs"]) -> tuple[float, float]:
    """Return the reliability of the mean matrix of several subjects, and its jackknife standard error.

    Parameters
    ----------
    subjects
        (n_subjects, n_pairs): the dissimilarities of each subject; at least three subjects.

    Returns
    -------
    reliability, standard_error
        By Spearman and Brown from the mean correlation between two subjects, n r / (1 + (n - 1) r); 0 where it would be
        negative. The jackknife leaves out one subject at a time and keeps n.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shared, own = rng.normal(size=4000), rng.normal(size=(6, 4000))
    >>> round(reliability_of_mean(shared + own)[0], 2)  # 6 * 0.5 / (1 + 5 * 0.5)
    0.86
    """
    n = len(subjects)
    correlations = np.corrcoef(subjects)

    def of(kept: list[int]) -> float:
        r = max(float(np.mean([correlations[i, j] for i, j in combinations(kept, 2)])), 0.0)
        return n * r / (1 + (n - 1) * r)

    everyone = list(range(n))
    left_out = np.array([of([other for other in everyone if other != one]) for one in everyone])
    return of(everyone), float(np.sqrt((n - 1) * left_out.var()))


def _square(vector: Float[np.ndarray, " n_pairs"]) -> Float[np.ndarray, "n_stimuli n_stimuli"]:
    rows, columns = np.triu_indices(_N_IMAGES, 1)
    if vector.shape != rows.shape:
        raise MurineError(
            f"rdms_92.npz should hold {rows.shape[0]} dissimilarities for each matrix, not {vector.size}."
        )
    matrix = np.zeros((_N_IMAGES, _N_IMAGES))
    matrix[rows, columns] = matrix[columns, rows] = vector
    return matrix
