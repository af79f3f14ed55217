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
from murine.io.files import atomic_write
from murine.io.labels import as_labels
from murine.io.masked_arrays import unmasked

#: Two entries of a matrix that should be equal may differ by the first number times the largest entry: the matrix may
#: have been rounded to float32 once. Differences below the second number come from rounding to float64; then the matrix
#: is not changed.
_ROUNDING, _EXACT = 1e-5, 1e-8


@dataclass(frozen=True, eq=False, repr=False)
class NeuralRDMs:
    """One dissimilarity matrix per site.

    Masked entries count as NaN: in a matrix they are refused, in a reliability they mean unknown. Ids may be numbers or
    bytes; they become text (`murine.io.labels.as_labels`).

    Attributes
    ----------
    matrices
        (n_sites, n_stimuli, n_stimuli): symmetric, finite, with zero diagonal. Stored as float64. Asymmetry and a
        diagonal that come from rounding to float32 are removed.
    sites
        ``n_sites`` different sites.
    stimulus_ids
        ``n_stimuli`` different ids, in the order of the rows.
    reliability, reliability_sem
        (n_sites,): reliability of each matrix, from 0 to 1, and its standard error; NaN if unknown. The reliability is
        the correlation expected between two independent copies from the same amount of data; if it was computed from
        halves, give the Spearman-Brown value. Without a standard error the ceiling is treated as exact, and intervals
        of ceiled scores include only the variation of the scores.
    name
        Name of the data in tables; it is not part of the digest.

    Raises
    ------
    MurineError
        If a shape does not fit, names or ids are repeated, a matrix is no dissimilarity matrix, or a reliability is
        outside 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> matrix = 1 - np.corrcoef(np.random.default_rng(0).normal(size=(5, 100)))
    >>> sites, ids = (Site("VISp", {"area": "VISp"}),), ("a", "b", "c", "d", "e")
    >>> rdms = NeuralRDMs(matrix[None], sites, ids, reliability=np.array([0.8]), reliability_sem=np.array([np.nan]))
    >>> rdms
    <NeuralRDMs rdms: 1 sites x 5 stimuli>
    >>> rdms.write("mine.npz")
    """

    matrices: Float[np.ndarray, "n_sites n_stimuli n_stimuli"]
    sites: tuple[Site, ...]
    stimulus_ids: tuple[str, ...]
    reliability: Float[np.ndarray, " n_sites"]
    reliability_sem: Float[np.ndarray, " n_sites"]
    name: str = "rdms"

    def __post_init__(self) -> None:
        for field in ("matrices", "reliability", "reliability_sem"):
            object.__setattr__(self, field, unmasked(getattr(self, field)).astype(np.float64, copy=False))
        object.__setattr__(self, "stimulus_ids", as_labels(self.stimulus_ids, f"stimulus ids of {self.name!r}"))
        shape = (len(self.sites), len(self.stimulus_ids), len(self.stimulus_ids))
        if self.matrices.shape != shape:
            raise MurineError(
                f"the matrices of {self.name!r} have shape {self.matrices.shape}; {shape[0]} sites and {shape[1]} "
                f"stimulus ids ask for {shape}."
            )
        for label, values in (("sites", [s.name for s in self.sites]), ("stimulus ids", self.stimulus_ids)):
            if len(set(values)) != len(values):
                raise MurineError(f"the {label} of {self.name!r} must differ from each other.")
        matrices = [self._dissimilarities(*pair) for pair in zip(self.sites, self.matrices, strict=True)]
        object.__setattr__(self, "matrices", np.stack(matrices) if matrices else self.matrices)
        self._refuse_no_reliability()

    def __repr__(self) -> str:
        return f"<NeuralRDMs {self.name}: {len(self.sites)} sites x {self.n_stimuli} stimuli>"

    @property
    def n_stimuli(self) -> int:
        return len(self.stimulus_ids)

    def _dissimilarities(
        self, site: Site, matrix: Float[np.ndarray, "n_stimuli n_stimuli"]
    ) -> Float[np.ndarray, "n_stimuli n_stimuli"]:
        """Return the matrix without rounding errors; refuse a matrix that is not a dissimilarity matrix."""
        if not np.isfinite(matrix).all():
            bad = [self.stimulus_ids[i] for i in np.flatnonzero(~np.isfinite(matrix).all(axis=1))]
            raise MurineError(
                f"the matrix of {site.name!r} has NaN or infinite entries, or masked ones, at {some(bad)}."
            )
        asymmetry = np.abs(matrix - matrix.T).max(initial=0)
        diagonal = np.abs(np.diag(matrix)).max(initial=0)
        largest = np.abs(matrix).max(initial=0)
        if max(asymmetry, diagonal) > _ROUNDING * largest:
            raise MurineError(
                f"the matrix of {site.name!r} is no dissimilarity matrix: it must be symmetric with a zero "
                f"diagonal, and has an asymmetry of {asymmetry:.2g} and up to {diagonal:.2g} on the diagonal. For a "
                "similarity matrix give 1 - similarity."
            )
        if max(asymmetry, diagonal) > _EXACT * largest:
            matrix = (matrix + matrix.T) / 2
            np.fill_diagonal(matrix, 0)
        return matrix

    def _refuse_no_reliability(self) -> None:
        for label, values, example in (
            ("reliability", self.reliability, "the correlation of two independent copies of the matrix"),
            ("reliability_sem", self.reliability_sem, "the standard error of the reliability"),
        ):
            if values.shape != (len(self.sites),):
                raise MurineError(
                    f"the {label} of {self.name!r} has shape {values.shape}; expected ({len(self.sites)},), one value "
                    "for each site (NaN where it is not known)."
                )
            for site, value in zip(self.sites, values.tolist(), strict=True):
                if value < 0 or value > 1:
                    advice = "Divide percent by 100." if value > 1 else "Give NaN where it is not known."
                    if label == "reliability" and value < 0:
                        advice = "An estimate below 0 says that there is no signal: give 0."
                    raise MurineError(
                        f"the {label} of {site.name!r} is {value:g}; expected {example}, from 0 to 1. {advice}"
                    )

    def correlations(self) -> dict[str, float]:
        """Return Pearson's r of the dissimilarities of every two sites, by ``FIRST-SECOND``, in both orders.

        Examples
        --------
        >>> import murine
        >>> found = murine.load_data("primate-92").responses.correlations()
        >>> len(found)
            6
        """
        rows, columns = np.triu_indices(self.n_stimuli, 1)
        r = np.corrcoef(self.matrices[:, rows, columns])
        names = [site.name for site in self.sites]
        return {
            f"{one}-{two}": float(r[i, j]) for i, one in enumerate(names) for j, two in enumerate(names) if one != two
        }

    def write(self, file: str | Path) -> None:
        """Write the ``.npz`` file that `murine.cortex.loading.load_dataset` reads; it appears whole or not at all."""
        keys = dict.fromkeys(key for site in self.sites for key in site.labels)
        arrays: dict[str, Any] = {
            "matrices": self.matrices,
            "sites": np.array([site.name for site in self.sites], dtype=str),
            "stimulus_ids": np.array(self.stimulus_ids, dtype=str),
            "reliability": self.reliability,
            "reliability_sem": self.reliability_sem,
            **{f"label_{key}": np.array([site.labels.get(key, "") for site in self.sites], dtype=str) for key in keys},
        }
        with atomic_write(Path(file)) as partial, partial.open("wb") as opened:
            np.savez_compressed(opened, **arrays)

    @cached_property
    def digest(self) -> str:
        """The sha256 of sites, ids and matrices; it does not depend on the order of the stimuli."""
        order = np.argsort(np.asarray(self.stimulus_ids))
        total = hashlib.sha256("\0".join(self.stimulus_ids[i] for i in order).encode())
        for site, matrix in zip(self.sites, self.matrices, strict=True):
            total.update(site.name.encode() + np.ascontiguousarray(matrix[np.ix_(order, order)]).tobytes())
        total.update(self.reliability.tobytes() + self.reliability_sem.tobytes())
        return total.hexdigest()
