"""What a reference is, and the data that it is computed on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from murine.cortex.recording import Recording
from murine.interchange.rsatoolbox import to_dataset
from murine.scoring.site_data import SiteData
from murine.scoring.site_preparation import make_site_data
from murine.similarity import neural_noise as noise

#: Names of the libraries in tables.
SCIPY, SKLEARN, NUMPY, TOOLBOX, HIMALAYA = "SciPy", "scikit-learn", "NumPy", "rsatoolbox", "himalaya"

#: What murine computes, and what the other.
ArrayPair = tuple[np.ndarray, np.ndarray]

Features = Float[np.ndarray, "n_stimuli _"]


@dataclass(frozen=True, eq=False)
class TestData:
    """What is computed on.

    Attributes
    ----------
    name
        What it is called in tables.
    layer_rdms, site_rdms
        (n_layers, n_pairs), (n_sites, n_pairs): dissimilarities to compare.
    layers
        Features of each layer, (n_stimuli, n_units); none where there are only dissimilarities.
    recording
        Single trials of one site, none missing; None where there are only dissimilarities.
    """

    name: str
    layer_rdms: Float[np.ndarray, "n_layers n_pairs"]
    site_rdms: Float[np.ndarray, "n_sites n_pairs"]
    layers: tuple[Features, ...] = ()
    recording: Recording | None = None

    @cached_property
    def trials(self) -> Float[np.ndarray, "n_neuroids n_stimuli n_repetitions"]:
        return self.neurons.responses.astype(np.float64)

    @cached_property
    def means(self) -> Float[np.ndarray, "n_neuroids n_stimuli"]:
        return self.trials.mean(axis=2)

    @cached_property
    def features(self) -> Features:
        """Those of the first layer."""
        return self.layers[0]

    @cached_property
    def gram(self) -> Float[np.ndarray, "n_stimuli n_stimuli"]:
        """Products of the features of the first layer."""
        return self.features @ self.features.T

    @cached_property
    def grams(self) -> Float[np.ndarray, "n_layers n_stimuli n_stimuli"]:
        """Products of the features of every layer."""
        return np.stack([x @ x.T for x in self.layers])

    @cached_property
    def covariance(self) -> Float[np.ndarray, "n_neuroids n_neuroids"]:
        """Of the noise."""
        return noise.noise_covariance(self.trials)

    @cached_property
    def dataset(self) -> Any:
        """The trials as rsatoolbox has them."""
        return to_dataset(self.neurons)

    @cached_property
    def site_data(self) -> SiteData:
        """The recording as scoring sees it."""
        return make_site_data(self.neurons, n_splits=1)

    @property
    def neurons(self) -> Recording:
        """The recording, where there is one."""
        if self.recording is None:
            raise TypeError(f"{self.name} has no single trials")
        return self.recording


@dataclass(frozen=True)
class ReferenceMetric:
    """One way to compute a metric without murine.

    Attributes
    ----------
    metric
        What is computed.
    package, function
        Whose, and which function of it, or what of NumPy's.
    tolerance
        The largest absolute difference that counts as agreement.
    compute
        Both results.
    from_rdms
        Whether dissimilarities are enough; others need layers and single trials.
    """

    metric: str
    package: str
    function: str
    tolerance: float
    compute: Callable[[TestData], ArrayPair]
    from_rdms: bool = False
