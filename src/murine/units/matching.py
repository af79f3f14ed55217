"""The best unit of each neuron: matched on one half of the repetitions, scored on the other.

The best of many units correlates well with any neuron by chance. So units are selected on one half of the repetitions
and scored on the other half. This removes the bias from noise in the responses, but not the bias from chance agreement
over these stimuli, which both halves share. Responses whose stimuli are shuffled, in the same way in both halves, show
how large that is. They are matched like further neurons (`shuffle_stimuli`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from murine.encoding.kernels import Responses
from murine.encoding.prediction_scores import correlations
from murine.errors import MurineError
from murine.statistics.bootstrap import MIN_STIMULI
from murine.statistics.permutation import permutations
from murine.statistics.standardisation import unit_length
from murine.units.densities import density_overlap

if TYPE_CHECKING:
    from torch import Tensor

    from murine.networks.capture import Features


#: Units whose correlations differ by less are ties, because float32 products are not more exact.
TIE = 1e-6

#: Numbers of units and of neurons that are multiplied at once: their correlations take 16 MB.
BLOCK, NEURONS = 2048, 2048

#: A unit whose deviations are below this share of its largest value is constant but for rounding, by bytes per number.
CONSTANT = {4: 1e-6, 8: 1e-12}


@dataclass(frozen=True, eq=False)
class Matches:
    """The best unit of every neuron.

    Attributes
    ----------
    unit
        (n_neuroids,): number of the unit; -1 where there is none.
    r_train
        (n_neuroids,): Pearson's r over stimuli with the training responses; NaN where there is no unit.
    r_test
        (n_neuroids,): r of the same unit with the test responses; NaN also where these are constant or not finite.
    overlap
        (n_neuroids,): `murine.units.densities.density_overlap` of the activations of the unit and the test
        responses, both standardised; None unless asked for.
    flags
        For each neuron '' or why it has no unit: its training responses are ``not finite`` or ``constant``, or there is
        ``no unit`` that varies.
    n_units
        Number of units that took part. Units that are constant over stimuli or not finite did not.
    n_constant, n_not_finite
        Numbers of these.
    candidates, candidate_r
        (n_neuroids, n_candidates): the best units of every neuron, best first, and their r; -1 and NaN where there are
        fewer. They are for `murine.units.assignment.assign_units`; without columns unless asked for.

    Examples
    --------
    See `match_units`.

    >>> list(Matches.__dataclass_fields__)[:3]
    ['unit', 'r_train', 'r_test']
    """

    unit: Int[np.ndarray, " n_neuroids"]
    r_train: Float[np.ndarray, " n_neuroids"]
    r_test: Float[np.ndarray, " n_neuroids"]
    overlap: Float[np.ndarray, " n_neuroids"] | None
    flags: tuple[str, ...]
    n_units: int
    n_constant: int
    n_not_finite: int
    candidates: Int[np.ndarray, "n_neuroids n_candidates"]
    candidate_r: Float[np.ndarray, "n_neuroids n_candidates"]


def match_units(
    features: Float[np.ndarray, "n_stimuli n_units"],
    train: Responses,
    test: Responses,
    *,
    n_candidates: int = 0,
    overlap: bool = False,
) -> Matches:
    """Find the unit that correlates best with each neuron in training, and score it on the test responses.

    `UnitSearch` does the same while a network is captured, for layers that are too large to keep.

    Parameters
    ----------
    features
        (n_stimuli, n_units), float32 or float64, any unit. A unit with NaN or infinite values is left out.
    train, test
        (n_neuroids, n_stimuli): responses of the same neurons to the same stimuli, for example the means of odd and of
        even repetitions. A neuron with NaN gets no unit.
    n_candidates
        Number of best units of each neuron to keep for `murine.units.assignment.assign_units`.
    overlap
        Whether to compute the overlap of the densities of activations and responses.

    Returns
    -------
    matches
        `Matches`.

    Raises
    ------
    MurineError
        If shapes do not fit each other, or there are fewer than 4 stimuli.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> features = rng.normal(size=(40, 100))
    >>> signal = features[:, [7, 42]].T
    >>> train, test = (signal + 0.1 * rng.normal(size=signal.shape) for _ in range(2))
    >>> match_units(features, train, test).unit
    array([ 7, 42])
    """
    import torch

    from murine.networks.capture import Features

    return UnitSearch(train, test, n_candidates=n_candidates, overlap=overlap)(Features("", torch.from_numpy(features)))


class UnitSearch:
    """Search for the best unit of each neuron, in one layer after the other: a reducer for
    `murine.networks.capture.capture`.

    Units are compared by Pearson's r over stimuli, with its sign: a unit with a negative r is no match. The
    correlations are matrix products in float32, computed in blocks on the device of the features. Of units within 1e-6
    of the best, the one with the lowest number is taken. What is reported about the selected units is computed in
    float64. No array of the size of a layer is made.

    Parameters
    ----------
    train, test
        (n_neuroids, n_stimuli): responses of the same neurons to the same stimuli, for example the means of odd and of
        even repetitions.
    n_candidates
        Number of best units of each neuron to keep for `murine.units.assignment.assign_units`.
    overlap
        Whether to compute the overlap of densities.

    Raises
    ------
    MurineError
        If shapes do not fit each other, or there are fewer than 4 stimuli.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from murine.networks.capture import capture
    >>> torch.manual_seed(0) and None
    >>> images = torch.rand(20, 3, 8, 8)
    >>> network = torch.nn.Conv2d(3, 4, 3)
    >>> responses = network(images)[:, 1, 2, 3].detach().numpy()[None].astype(float)  # the neuron is a unit
    >>> layers = capture(network, images, reducer=UnitSearch(responses, responses))
    >>> layers[-1].reduced.unit, np.ravel_multi_index((1, 2, 3), (4, 6, 6)).item()
    (array([51]), 51)
    """

    def __init__(self, train: Responses, test: Responses, *, n_candidates: int = 0, overlap: bool = False) -> None:
        if train.shape != test.shape or train.ndim != 2:
            raise MurineError(
                f"training responses of shape {train.shape} and test responses of shape {test.shape}; expected the "
                "same (n_neuroids, n_stimuli)."
            )
        if train.shape[1] < MIN_STIMULI:
            raise MurineError(f"{train.shape[1]} stimuli are too few to match; at least {MIN_STIMULI} are needed.")
        if n_candidates < 0:
            raise MurineError(f"{n_candidates} candidates were asked for; expected 0 or more.")
        self.train, self.test = train, test
        self.n_candidates, self.overlap = n_candidates, overlap

    @cached_property
    def _standardised(self) -> Float[np.ndarray, "n_usable n_stimuli"]:
        return unit_length(self.train)

    def __call__(self, features: Features) -> Matches:
        """Return the best units of the neurons in one layer.

        Raises
        ------
        MurineError
            If the features are of another number of stimuli.
        """
        if len(features.tensor) != self.train.shape[1]:
            raise MurineError(
                f"features of {features.name!r} are of {len(features.tensor)} stimuli, responses of "
                f"{self.train.shape[1]}; expected the same, in the same order."
            )
        usable = np.flatnonzero(np.isfinite(self._standardised).all(axis=1))
        found = _BestUnits(self._standardised[usable], self.n_candidates, features.tensor.device)
        for start, block in features.blocks(BLOCK):
            found.add(start, block)
        unit = np.full(len(self.train), -1)
        unit[usable] = found.unit.cpu().numpy()
        candidates = np.full((len(unit), self.n_candidates), -1)
        candidates[usable] = found.candidates.cpu().numpy()
        candidate_r = self._correlations(features, candidates)
        order = np.lexsort((candidates, np.where(np.isnan(candidate_r), np.inf, -candidate_r)), axis=1)
        activations = unit_activations(features, unit)
        finite = np.isfinite(self.train).all(axis=1)
        flags = np.where(unit >= 0, "", np.where(~finite, "not finite", "constant"))
        flags[usable[unit[usable] < 0]] = "no unit"
        return Matches(
            unit,
            correlations(activations, self.train),
            correlations(activations, self.test),
            density_overlap(unit_length(activations), unit_length(self.test)) if self.overlap else None,
            tuple(str(flag) for flag in flags),
            found.n_units,
            found.n_constant,
            found.n_not_finite,
            np.take_along_axis(candidates, order, axis=1),
            np.take_along_axis(candidate_r, order, axis=1),
        )

    def _correlations(
        self, features: Features, units: Int[np.ndarray, "n_neuroids n_candidates"]
    ) -> Float[np.ndarray, "n_neuroids n_candidates"]:
        """Return r of the training responses of every neuron with its own list of units, in float64."""
        r = np.full(units.shape, np.nan)
        for i in range(0, len(units) if units.size else 0, 256):
            part = units[i : i + 256]
            there = part >= 0
            activations = unit_length(features.units(part[there]).T)
            responses = np.repeat(self._standardised[i : i + 256], there.sum(axis=1), axis=0)
            r[i : i + 256][there] = np.einsum("ij,ij->i", activations, responses)
        return r


def unit_activations(features: Features, units: Int[np.ndarray, " n_neuroids"]) -> Responses:
    """Return the activations of the unit of each neuron, (n_neuroids, n_stimuli) float64; NaN where the unit is -1.

    Call it inside a reducer: features do not exist outside.
    """
    curves = np.full((len(units), len(features.tensor)), np.nan)
    there = units >= 0
    curves[there] = features.units(units[there]).T
    return curves


class _BestUnits:
    """The best unit of every neuron so far, and the best few."""

    def __init__(self, standardised: Float[np.ndarray, "n_usable n_stimuli"], n_candidates: int, device: object):
        import torch

        self.torch = torch
        self.neurons = torch.from_numpy(standardised.astype(np.float32)).to(device)  # type: ignore[call-overload]
        n = len(standardised)
        self.r = self.neurons.new_full((n,), -np.inf)
        self.unit = torch.full((n,), -1, device=self.neurons.device)
        self.candidate_r = self.neurons.new_full((n, n_candidates), -np.inf)
        self.candidates = torch.full((n, n_candidates), -1, device=self.neurons.device)
        self.n_units = self.n_constant = self.n_not_finite = 0

    def add(self, start: int, block: Tensor) -> None:
        """Take a block of units into account, of which the first is number ``start``."""
        torch = self.torch
        activations = block.double()
        largest = activations.abs().amax(dim=0)
        finite = torch.isfinite(largest)
        relative = activations - activations.mean(dim=0)
        lengths = relative.square().sum(dim=0).sqrt()
        varying = lengths > CONSTANT[block.element_size()] * len(block) ** 0.5 * largest
        usable = (finite & varying).nonzero()[:, 0]
        self.n_units += len(usable)
        self.n_not_finite += int((~finite).sum())
        self.n_constant += int((finite & ~varying).sum())
        if not len(usable):
            return
        units = (relative[:, usable] / lengths[usable]).float()
        for i in range(0, len(self.neurons), NEURONS):
            part = slice(i, i + NEURONS)
            r = self.neurons[part] @ units
            highest = r.amax(dim=1)
            self._add_best(part, r, highest, usable + start)
            if self.candidates.shape[1]:
                self._add_candidates(part, r, highest, usable + start)

    def _add_best(self, part: slice, r: Tensor, highest: Tensor, numbers: Tensor) -> None:
        better = (highest > self.r[part] + TIE).nonzero()[:, 0]
        if len(better):
            alike = r[better] >= highest[better, None] - TIE
            first = alike.int().argmax(dim=1)
            self.r[part][better] = r[better, first]
            self.unit[part][better] = numbers[first]

    def _add_candidates(self, part: slice, r: Tensor, highest: Tensor, numbers: Tensor) -> None:
        k = self.candidates.shape[1]
        better = (highest > self.candidate_r[part][:, -1]).nonzero()[:, 0]
        if len(better):
            values, places = r[better].topk(min(k, r.shape[1]), dim=1)
            values = self.torch.cat([self.candidate_r[part][better], values], dim=1)
            units = self.torch.cat([self.candidates[part][better], numbers[places]], dim=1)
            values, places = values.topk(k, dim=1)
            self.candidate_r[part][better] = values
            self.candidates[part][better] = units.gather(1, places)


def shuffle_stimuli(
    train: Responses, test: Responses, n_shuffles: int = 1, seed: int = 0
) -> tuple[Float[np.ndarray, "n_rows n_stimuli"], Float[np.ndarray, "n_rows n_stimuli"]]:
    """Shuffle the stimuli of each neuron separately, in the same way in both halves.

    Both halves of a neuron get the same labels, so it is as reliable as before, and only its relation to the images is
    lost. Each neuron needs its own relabelling: one for all would leave chance in their mean, because similar neurons
    gain or lose together.

    Parameters
    ----------
    train, test
        (n_neuroids, n_stimuli).
    n_shuffles
        Number of copies of the population.
    seed
        The same seed gives the same relabellings.

    Returns
    -------
    train, test
        (n_shuffles * n_neuroids, n_stimuli) each, one copy of the population after the other.

    Examples
    --------
    >>> import numpy as np
    >>> responses = np.array([[1.0, 2.0, 3.0, 4.0]])
    >>> train, test = shuffle_stimuli(responses, responses, n_shuffles=2, seed=0)
    >>> train.shape, bool((train == test).all()), np.sort(train[0])
    ((2, 4), True, array([1., 2., 3., 4.]))
    """
    orders = permutations(train.shape[1], n_shuffles * len(train), seed)
    rows = np.tile(np.arange(len(train)), n_shuffles)
    return np.take_along_axis(train[rows], orders, axis=1), np.take_along_axis(test[rows], orders, axis=1)
