"""Metrics: the ways to compare the layers of a network with the sites of a cortex.

A metric is one object of a class that derives from `Metric`. It states in words what it computes (`Metric.describe`),
and three methods compute it:

1. `Metric.of_layers` makes an array of every layer, from the products of its features between stimuli (a
   `LayerKernel`); features themselves are never kept.
2. `Metric.of_sites` makes something of the sites: dissimilarities, kernels, or single neurons.
3. `Metric.score` compares every layer with every site.

Intervals, p-values, held-out layers, groups of stimuli and tables follow from these. `Metric.resample`,
`Metric.leave_one_out` and `Metric.permute` call `score` for some of the stimuli or for relabelled ones. A metric
overrides them where that is faster or where its statistics are better known.

To add a metric, write one module that holds the object, and name it: in `murine.scoring.metric_registry`, or in the
entry-point group ``murine.metric`` of another package. ``examples/plugin`` has a whole one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike

from murine.errors import MurineError
from murine.literature import Citation
from murine.networks.layer_kernel import LayerKernel
from murine.scoring.metric_registry import metrics as metrics
from murine.scoring.site_data import SiteData
from murine.statistics.bootstrap import MIN_STIMULI, Counts
from murine.statistics.noise_ceiling import Ceiling

#: Layers as a metric sees them: (n_layers, ...); NaN in a layer that the metric is not defined for.
Stack = Float[np.ndarray, "n_layers ..."]

Scores = Float[np.ndarray, "n_layers n_sites"]
Draws = Float[np.ndarray, "n_draws n_layers n_sites"]
Relabellings = Int[np.ndarray, "n_draws n_stimuli"]
Stimuli = Int[np.ndarray, " n_chosen"]

#: How the value of a metric depends on the number of stimuli.
Bias = Literal["none", "higher with few stimuli", "lower with few stimuli", "depends on the layer"]


@dataclass(frozen=True)
class MetricDescription:
    """The description of a metric for readers; the attributes are those of `Metric`.

    Examples
    --------
    >>> description = metrics["rsa-pearson"].describe()
    >>> description.scale, description.over_pairs
    ('r', True)
    >>> print(str(description).splitlines()[0])
    rsa-pearson: Representational similarity analysis: Pearson's r between the dissimilarities of a layer and of a site.
    """

    name: str
    summary: str
    formula: str
    use: str
    sizes: str
    bias: Bias
    scale: str
    ceiling: str
    over_pairs: bool
    of_neurons: bool
    combines_layers: bool
    citations: tuple[Citation, ...]

    def __str__(self) -> str:
        ceiling = f"Ceiling: {self.ceiling}." if self.ceiling else "It has no noise ceiling: scores are raw."
        cited = [f"{citation.text} {citation.link}" for citation in self.citations]
        return "\n".join([f"{self.name}: {self.summary}", self.formula, self.use, self.sizes, ceiling, *cited])


@dataclass(frozen=True)
class ReferenceScores:
    """A second implementation of a metric, for ``murine verify``.

    Attributes
    ----------
    package, function
        Name of the package, and of its function: ``"NumPy", "definition, image by image"``.
    compute
        Takes the features of every layer, each (n_stimuli, n_units), and the mean responses of one site,
        (n_neuroids, n_stimuli); returns the score of every layer, (n_layers,).
    tolerance
        The largest absolute difference that counts as agreement.

    Examples
    --------
    >>> def compute(layers, responses):
    ...     patterns = np.corrcoef(responses.T)[np.triu_indices(responses.shape[1], 1)]
    ...     return [np.corrcoef(np.corrcoef(x)[np.triu_indices(len(x), 1)], patterns)[0, 1] for x in layers]
    >>> reference = ReferenceScores("NumPy", "correlation of correlations", compute)
    >>> generator = np.random.default_rng(0)
    >>> features = generator.normal(size=(20, 50))
    >>> np.round(reference.compute([features], features[:, :30].T), 1)
    array([0.8])
    """

    package: str
    function: str
    compute: Callable[[Sequence[np.ndarray], np.ndarray], ArrayLike]
    tolerance: float = 1e-8


class Metric(ABC):
    """A way to compare layers with sites.

    Attributes
    ----------
    name
        Its name on the command line and in tables.
    summary
        One plain sentence: what a score is.
    formula
        How it is computed, in one or two sentences.
    use
        When to use it, and when not.
    sizes
        How its value depends on the numbers of stimuli and neurons, in one sentence.
    bias
        The same in one word, for stimuli. Where it is not ``"none"``, scores of different numbers of stimuli may not be
        compared. Held-out scores compare halves of the stimuli with halves (`murine.scoring.held_out`), so they may.
    citations
        The publications to cite, the most important first.
    scale
        The scale of its scores: one of `murine.statistics.ceilings.SCALES`, or another word. A ceiling of another scale
        is refused.
    ceiling_words
        What its noise ceiling is, as a noun phrase; '' where it has none.
    resampling
        What a bootstrap draw is, as a clause.
    costly_permutations
        True if a permutation test of all layers takes minutes. Then only chosen layers are tested.
    max_permutations
        How many relabellings `permute` computes at most; 0 for all.
    combines_layers
        True where all layers together have one score.
    chooses_naively
        True if this score chooses layers on the same stimuli that it scores.
    over_pairs
        True where a score is a mean over pairs of stimuli. The variance of its draws is then corrected
        (`murine.statistics.bootstrap.pair_corrected`).
    of_neurons
        True where single neurons are compared. Data that come as matrices have none.
    below_zero_by_chance
        True where the mean score is below 0 if layer and site share nothing. A row whose interval is below 0 is then
        flagged.
    min_stimuli
        Fewer stimuli than this are refused.
    n_splits
        Number of random halves of the stimuli for held-out scores, where the usual number would take minutes; 0 for the
        usual number.

    Examples
    --------
    >>> from murine.cortex import simulate
    >>> from murine.scenes import synthetic_scenes
    >>> from murine.scoring import make_site_data
    >>> class KernelCorrelation(Metric):
    ...     name, summary = "kernel-correlation", "Pearson's r between the products of every two images."
    ...
    ...     def of_layers(self, layers, site_data):
    ...         return np.array([layer.gram for layer in layers])
    ...
    ...     def of_sites(self, site_data):
    ...         return site_data.kernels
    ...
    ...     def score(self, layers, sites):
    ...         return np.array([[np.corrcoef(a.ravel(), b.ravel())[0, 1] for b in sites] for a in layers])
    >>> metric = KernelCorrelation()
    >>> cortex = simulate(synthetic_scenes(24, 32), n_neuroids=10, n_repetitions=4)
    >>> sites = make_site_data(cortex.recording, n_splits=2)
    >>> pixels = LayerKernel.of(cortex.stimuli.images.reshape(24, -1).astype(float))
    >>> metric.score(metric.of_layers([pixels], sites), metric.of_sites(sites)).shape
    (1, 3)
    """

    name: str
    summary: str
    formula: str = ""
    use: str = ""
    sizes: str = ""
    bias: Bias = "none"
    citations: tuple[Citation, ...] = ()
    scale: str = "own"
    ceiling_words: str = ""
    resampling: str = "draws are those of the jackknife pseudo-values over images (Efron & Tibshirani 1993)"
    costly_permutations: ClassVar[bool] = False
    max_permutations: ClassVar[int] = 0
    combines_layers: ClassVar[bool] = False
    chooses_naively: ClassVar[bool] = False
    over_pairs: ClassVar[bool] = False
    of_neurons: ClassVar[bool] = False
    below_zero_by_chance: ClassVar[bool] = False
    min_stimuli: int = MIN_STIMULI
    n_splits: ClassVar[int] = 0

    @property
    def has_ceiling(self) -> bool:
        """Whether a noise ceiling of its scores is known for data with repetitions."""
        return bool(self.ceiling_words)

    def describe(self) -> MetricDescription:
        """Return the description of the metric for readers.

        Examples
        --------
        >>> metrics["cka"].describe().bias
        'higher with few stimuli'
        """
        return MetricDescription(
            self.name,
            self.summary,
            self.formula,
            self.use,
            self.sizes,
            self.bias,
            self.scale,
            self.ceiling_words,
            self.over_pairs,
            self.of_neurons,
            self.combines_layers,
            self.citations,
        )

    def verify(self) -> Sequence[ReferenceScores]:
        """Return other implementations that ``murine verify`` compares this one with. By default there are none."""
        return ()

    @abstractmethod
    def of_layers(self, layers: Sequence[LayerKernel], site_data: SiteData) -> Stack:
        """Return an array for every layer; it is NaN for a layer for which the metric is undefined."""

    @abstractmethod
    def of_sites(self, site_data: SiteData) -> Any:
        """Return the data that layers are compared with: an array, or an object whose ``sites[[s]]`` are some of the
        sites."""

    @abstractmethod
    def score(self, layers: Stack, sites: Any) -> Scores:
        """Compare every layer with every site."""

    def select(self, compared: Any, stimuli: Stimuli) -> Any:
        """Return layers or sites restricted to some of the stimuli, or with all stimuli in another order.

        The default holds for arrays whose last two axes are stimuli. The defaults of `permute` and `leave_one_out` use
        it.

        Parameters
        ----------
        compared
            Layers (`of_layers`) or sites (`of_sites`).
        stimuli
            Positions, each at most once.
        """
        shape = np.shape(compared)
        if len(shape) < 3 or shape[-1] != shape[-2]:
            raise TypeError(f"{self.name} has to define `select` for arrays of shape {shape}")
        return compared[..., stimuli[:, None], stimuli]

    def placeholder(self, stack: Stack) -> np.ndarray:
        """Return a placeholder with the shape of one layer, used if a layer is undefined; its scores become NaN.

        The default is the first layer that is defined, or random features where none is.
        """
        defined = np.flatnonzero(_is_defined(stack))
        if len(defined):
            return np.asarray(stack[defined[0]])
        shape = stack.shape[1:]
        numbers = np.random.default_rng(0).normal(size=shape)
        return numbers @ numbers.T if len(shape) == 2 and shape[0] == shape[1] else numbers

    def resample(self, layers: Stack, sites: Any, counts: Counts) -> Draws:
        """Compare under resampled stimuli: ``counts[b, i]`` is how often stimulus i was drawn in sample b.

        The default uses jackknife pseudo-values (Efron & Tibshirani 1993, ch. 11), which are exact to first order: a
        draw is the score plus the influence of each stimulus, times the number of times that it was drawn. So no sample
        contains a stimulus twice; most metrics would count the two copies as similar stimuli. If the metric is
        `over_pairs`, intervals of scores near zero are up to sqrt(2) times too wide.
        """
        without = self.leave_one_out(layers, sites, counts.shape[1]).astype(np.float64)
        influence = (len(without) - 1) * (without.mean(axis=0) - without)
        shifts = np.tensordot(counts.astype(np.float64), influence, axes=1) / len(without)
        return (self.score(layers, sites) + shifts).astype(np.float32)

    def resample_independently(self, layers: Stack, sites: Any, counts: Counts) -> Draws:
        """Like `resample`, but each draw is computed independently of the others; the mean of the draws may differ."""
        return self.resample(layers, sites, counts)

    def leave_one_out(self, layers: Stack, sites: Any, n_stimuli: int) -> Draws:
        """Compare without each of the stimuli in turn: (n_stimuli, n_layers, n_sites)."""
        everything = np.arange(n_stimuli)
        rests = (np.delete(everything, i) for i in everything)
        found = [self.score(self.select(layers, rest), self.select(sites, rest)) for rest in rests]
        return np.stack(found).astype(np.float32)

    def permute(self, layers: Stack, sites: Any, relabellings: Relabellings) -> Draws:
        """Compare with relabelled stimuli of the sites: the distribution of scores if layer and site share nothing."""
        orders = relabellings[: self.max_permutations or None]
        return np.stack([self.score(layers, self.select(sites, order)) for order in orders]).astype(np.float32)

    def ceiling(self, site_data: SiteData, counts: Counts, seed: int) -> Ceiling:
        """Return the noise ceiling, the highest score that noise allows, with draws paired with ``counts``.

        By default it is not known: scores stay raw.
        """
        return Ceiling.unknown(len(site_data.sites), len(counts), self.scale)

    def prepare(
        self, layers: Sequence[LayerKernel], site_data: SiteData
    ) -> tuple[Stack, Bool[np.ndarray, " n_layers"]]:
        """Return `of_layers` with placeholders where it is not defined, and which layers are defined."""
        stack = self.of_layers(layers, site_data)
        # A layer may vary over all stimuli and be constant within some of them.
        defined = _is_defined(stack)
        mask = defined.reshape(-1, *(1,) * (stack.ndim - 1))
        return np.where(mask, stack, self.placeholder(stack)), defined

    def score_within(
        self,
        layers: Sequence[LayerKernel],
        stack: Stack,
        members: Int[np.ndarray, " n_members"],
        site_data: SiteData,
        sites: Any,
    ) -> Scores:
        """Compare every layer with every site for some of the stimuli; NaN where a layer is not defined there.

        Parameters
        ----------
        layers, stack
            Kernels of all stimuli, and the layers as prepared by the metric (`of_layers`).
        members
            Positions of the stimuli, ascending.
        site_data, sites
            The sites for these stimuli, and the sites as prepared by the metric (`of_sites`).
        """
        own, defined = self.prepare([layer.select(members) for layer in layers], site_data)
        return np.where(defined[:, None], self.score(own, sites), np.nan)


def metric_of(name: str) -> Metric:
    """Return a metric by its name.

    Raises
    ------
    MurineError
        No metric has this name, or another package gives something else under it.

    Examples
    --------
    >>> metric_of("rsa-pearson").scale
    'r'
    """
    found = metrics[name]
    if not isinstance(found, Metric):
        raise MurineError(
            f"the entry point of the metric {name!r} gives {found!r}; expected an object of a class that derives from "
            "murine.scoring.Metric. Correct the package that offers it."
        )
    if found.name != name:
        raise MurineError(
            f"the metric {found.name!r} is registered as {name!r}. Correct the package that offers it: both names must "
            "be the same."
        )
    return found


def _is_defined(stack: Stack) -> Bool[np.ndarray, " n_layers"]:
    return np.isfinite(stack).all(axis=tuple(range(1, stack.ndim)))
