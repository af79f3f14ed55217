"""NeuralRDMs: cortical data that come only as dissimilarity matrices."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from murine.cortex.recording import Site
from murine.errors import MurineError, some
from murine.files import appearing


@dataclass(frozen=True, eq=False)
class NeuralRDMs:
    """One dissimilarity matrix per site.

    Attributes
    ----------
    matrices
        (n_sites, n_stimuli, n_stimuli): symmetric, zero diagonal, finite.
    sites
        ``n_sites`` different sites.
    stimulus_ids
        ``n_stimuli`` different ids, in the order of the rows.
    reliability, reliability_sem
        (n_sites,): reliability of each matrix (correlation of what would be two independent copies made from as much
        data, so the Spearman-Brown value where it comes from halves) and its standard error; NaN where not known.
    name
        What the data are called in tables; no part of the digest.
    """

    matrices: Float[np.ndarray, "n_sites n_stimuli n_stimuli"]
    sites: tuple[Site, ...]
    stimulus_ids: tuple[str, ...]
    reliability: Float[np.ndarray, " n_sites"]
    reliability_sem: Float[np.ndarray, " n_sites"]
    name: str = "rdms"

    def __post_init__(self) -> None:
        shape = (len(self.sites), len(self.stimulus_ids), len(self.stimulus_ids))
        if self.matrices.shape != shape:
            raise MurineError(
                f"the matrices of {self.name!r} have shape {self.matrices.shape}; {shape[0]} sites and {shape[1]} "
                f"stimulus ids ask for {shape}."
            )
        for label, values in (("sites", [s.name for s in self.sites]), ("stimulus ids", self.stimulus_ids)):
            if len(set(values)) != len(values):
                raise MurineError(f"the {label} of {self.name!r} must differ from each other.")
        for site, matrix in zip(self.sites, self.matrices, strict=True):
            if not np.isfinite(matrix).all():
                bad = [self.stimulus_ids[i] for i in np.flatnonzero(~np.isfinite(matrix).all(axis=1))]
                raise MurineError(f"the matrix of {site.name!r} has NaN or infinite entries at {some(bad)}.")
            if not np.allclose(matrix, matrix.T, atol=1e-8) or not np.allclose(np.diag(matrix), 0, atol=1e-8):
                raise MurineError(
                    f"the matrix of {site.name!r} is no dissimilarity matrix: it must be symmetric with a zero "
                    "diagonal. For a similarity matrix give 1 - similarity."
                )

    def write(self, file: str | Path) -> None:
        """Write the ``.npz`` file that `murine.cortex.datasets.load_cortex` reads; it appears whole or not at all."""
        keys = dict.fromkeys(key for site in self.sites for key in site.labels)
        arrays: dict[str, Any] = {
            "matrices": self.matrices,
            "sites": np.array([site.name for site in self.sites], dtype=str),
            "stimulus_ids": np.array(self.stimulus_ids, dtype=str),
            "reliability": self.reliability,
            "reliability_sem": self.reliability_sem,
            **{f"label_{key}": np.array([site.labels.get(key, "") for site in self.sites], dtype=str) for key in keys},
        }
        with appearing(Path(file)) as partial, partial.open("wb") as opened:
            np.savez_compressed(opened, **arrays)

    @cached_property
    def digest(self) -> str:
        """sha256 of sites, ids and matrices; the order of the stimuli does not count."""
        order = np.argsort(np.asarray(self.stimulus_ids))
        total = hashlib.sha256("\0".join(self.stimulus_ids[i] for i in order).encode())
        for site, matrix in zip(self.sites, self.matrices, strict=True):
            total.update(site.name.encode() + np.ascontiguousarray(matrix[np.ix_(order, order)]).tobytes())
        total.update(self.reliability.tobytes() + self.reliability_sem.tobytes())
        return total.hexdigest()
