"""Can a candidate be told from an animal? Tests of similarities between a candidate and the animals of an area.

The unit of every test is the animal. Under the null hypothesis the candidate is one more animal of the area, so that it
and the N animals are exchangeable. The typicality T of each of the N + 1 is its mean similarity to the N others. A
candidate with a T far below those of the animals is no such animal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from murine.errors import MurineError, some

#: Similarities of the animals of an area with each other; the diagonal is not used.
Between = Float[np.ndarray, "n_animals n_animals"]

#: Similarities of candidates with the animals.
ToAnimals = Float[np.ndarray, "n_candidates n_animals"]

PerCandidate = Float[np.ndarray, " n_candidates"]

PerAnimal = Float[np.ndarray, " n_animals"]

#: With fewer animals, the spread between animals is not known well enough for a test.
MIN_ANIMALS = 5

#: A larger similarity of two recordings comes from units or trials that both hold, if other pairs are far less similar.
MOST_SIMILAR = 1.2

#: So many standard deviations above the mean of other pairs are far: animals of one population can pass 1.2 by chance.
_OUTLYING = 5.0

#: Probability with which a candidate of the power ratio is told apart.
POWER = 0.8


@dataclass(frozen=True, eq=False, repr=False)
class AnimalTest:
    """Each candidate of a set, taken as one more animal.

    Attributes
    ----------
    typicality
        (n_candidates,) T of the candidate: its mean similarity to the animals.
    mean, deviation
        (n_candidates,) mean and standard deviation over animals of T, each animal's T including the candidate.
    t
        (n_candidates,) T of the candidate less the mean, by the standard error of a new animal.
    p_student
        (n_candidates,) probability of a smaller t by Student's distribution with n_animals - 1 degrees of freedom.
    n_animals
        Number of animals.

    Examples
    --------
    >>> import numpy as np
    >>> test = place_candidates(np.full((6, 6), 0.5), np.array([[0.1, 0.2, 0.3, 0.1, 0.2, 0.3]]))
    >>> test.n_animals, test.typicality.round(2)
    (6, array([0.2]))
    """

    typicality: PerCandidate
    mean: PerCandidate
    deviation: PerCandidate
    t: PerCandidate
    p_student: PerCandidate
    n_animals: int

    @property
    def ratio(self) -> PerCandidate:
        """T of each candidate as a share of the mean of the animals."""
        return self.typicality / self.mean


def check_animals(between: Between, names: Sequence[str]) -> None:
    """Refuse animals that cannot be tested against.

    Parameters
    ----------
    between
        (n_animals, n_animals) similarities of different animals.
    names
        Of the animals.

    Raises
    ------
    MurineError
        If there are fewer than five animals, a similarity is missing, or two animals are so similar that they must
        share units or trials: one animal would be there twice.

    Examples
    --------
    >>> import numpy as np
    >>> check_animals(np.full((5, 5), 0.5), list("abcde"))
    """
    n = len(names)
    if n < MIN_ANIMALS:
        raise MurineError(
            f"there are {n} animals ({some(names)}); the test needs at least {MIN_ANIMALS}, because its unit is the "
            "animal. Choose areas with more animals."
        )
    rows, columns = np.triu_indices(n, 1)
    values = between[rows, columns]
    if not np.isfinite(values).all():
        raise MurineError("a similarity between two animals is missing; leave out the animals that have none.")
    i = int(values.argmax())
    others = np.delete(values, i)
    if values[i] > max(MOST_SIMILAR, others.mean() + _OUTLYING * others.std()):
        raise MurineError(
            f"the similarity of {names[rows[i]]!r} and {names[columns[i]]!r} is {values[i]:.2f}, far above that of "
            f"other pairs ({others.mean():.2f}). So much more than 1 means that they share units or trials: one animal "
            "is there twice. Give both recordings the same animal label, or leave one out."
        )


def place_candidates(between: Between, to_animals: ToAnimals) -> AnimalTest:
    """Place candidates, each by itself, among the animals of an area, and test whether they could be one of them.

    Parameters
    ----------
    between
        (n_animals, n_animals) similarities of the animals, symmetric; the diagonal is not used.
    to_animals
        (n_candidates, n_animals) similarities of each candidate with the animals; a row of NaN gives NaN.

    References
    ----------
    Student's prediction of one more observation: t = (T - mean) / (s sqrt(1 + 1/N)).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> between = 0.5 + np.add.outer(*2 * [0.05 * rng.normal(size=8)])
    >>> place_candidates(between, np.full((1, 8), 0.2)).p_student.round(3)
    array([0.])
    """
    from scipy.stats import t as student

    n = to_animals.shape[1]
    others = _off_diagonal(between).sum(axis=1)
    animals = (others + to_animals) / n  # n - 1 other animals and the candidate
    typicality, mean, deviation = to_animals.mean(axis=1), animals.mean(axis=1), animals.std(axis=1, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = (typicality - mean) / (deviation * np.sqrt(1 + 1 / n))
    return AnimalTest(typicality, mean, deviation, t, student.cdf(t, n - 1), n)


def left_out(between: Between) -> PerAnimal:
    """Return t of each animal, taken as a candidate against the others: values of the null distribution.

    Examples
    --------
    >>> import numpy as np
    >>> between = 0.5 + np.add.outer(*2 * [np.array([0.0, 0.0, 0.1, 0.1, -0.1, -0.4])])
    >>> int(left_out(between).argmin())
    5
    """
    everyone = np.arange(len(between))
    rests = [np.delete(everyone, i) for i in everyone]
    found = [place_candidates(between[np.ix_(rest, rest)], between[[i]][:, rest]).t[0] for i, rest in enumerate(rests)]
    return np.array(found)


def pooled_p_values(t: PerCandidate, null: Float[np.ndarray, " n_null"]) -> PerCandidate:
    """Return how probable a t so small is among real animals that were left out: (1 + number below) / (1 + all).

    Parameters
    ----------
    t
        (n_candidates,) of candidates; NaN gives NaN.
    null
        (n_null,) t of the animals of all areas (`left_out`), without those of the animal that is itself tested.

    Examples
    --------
    >>> import numpy as np
    >>> pooled_p_values(np.array([-3.0]), np.linspace(-2, 2, 19))
    array([0.05])
    """
    below = (null[None] <= t[:, None]).sum(axis=1)
    return np.where(np.isfinite(t), (1 + below) / (1 + len(null)), np.nan)


def critical_t(n_animals: int, null: Float[np.ndarray, " n_null"], alpha: float = 0.05) -> float:
    """Return the t below which both Student's test and the rank among real animals reject.

    Parameters
    ----------
    n_animals
        Of the area.
    null
        t of the animals of all areas (`left_out`).
    alpha
        Level.

    Returns
    -------
    t
        Minus infinity if there are too few animals for any rank to reject.

    Examples
    --------
    >>> critical_t(10, np.linspace(-2, 2, 41)), critical_t(10, np.zeros(5))
    (-1.9, -inf)
    """
    from scipy.stats import t as student

    n_below = int(np.floor(alpha * (1 + len(null)) * (1 + 1e-12))) - 1  # so many may lie below and it still rejects
    if n_below < 0:
        return float("-inf")
    return float(min(student.ppf(alpha, n_animals - 1), np.sort(null)[n_below]))


def critical_values(
    between: Between, alpha: float = 0.05, power: float = POWER, limit: float | None = None
) -> tuple[float, float]:
    """Return the T below which a candidate is rejected, and the T that is rejected with a given power.

    T of an animal is a mean over N - 1 others, which vary as it does: this shrinks the spread of T to (N - 2) / (N - 1)
    of that of the animals themselves, where similarities are sums of how typical both are. In `place_candidates` the
    same factor is in the numerator and cancels; here it is taken out.

    Parameters
    ----------
    between
        (n_animals, n_animals) similarities of the animals.
    alpha, power
        Level of Student's test, and the probability with which a candidate of the second T is rejected.
    limit
        The t below which candidates are rejected (`critical_t`); by default that of Student's test.

    Returns
    -------
    rejected_below, found_below
        In units of T; NaN if nothing can be rejected. As a share of the mean of the animals, the second is the power
        ratio: candidates above it would often pass, whatever they are.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> low, lower = critical_values(0.5 + np.add.outer(*2 * [0.05 * rng.normal(size=8)]))
    >>> 0.5 > low > lower
    True
    """
    from scipy.optimize import brentq
    from scipy.stats import nct
    from scipy.stats import t as student

    n = len(between)
    animals = _off_diagonal(between).sum(axis=1) / (n - 1)
    error = animals.std(ddof=1) * (n - 1) / (n - 2) * np.sqrt(1 + 1 / n)
    limit = float(student.ppf(alpha, n - 1)) if limit is None else limit
    if not np.isfinite(limit):
        return float("nan"), float("nan")
    shift = brentq(lambda shift: nct.cdf(limit, n - 1, shift) - power, 3 * limit - 20, 0.0)
    return float(animals.mean() + limit * error), float(animals.mean() + shift * error)


def jackknife_errors(between: Between, to_animals: ToAnimals) -> PerCandidate:
    """Return the jackknife standard error over animals of `AnimalTest.ratio`.

    Examples
    --------
    >>> import numpy as np
    >>> round(float(jackknife_errors(np.full((6, 6), 0.5), np.full((1, 6), 0.2))[0]), 10)
    0.0
    """
    n = len(between)
    everyone = np.arange(n)
    rests = [np.delete(everyone, i) for i in everyone]
    ratios = np.array([place_candidates(between[np.ix_(rest, rest)], to_animals[:, rest]).ratio for rest in rests])
    return np.sqrt((n - 1) / n * ((ratios - ratios.mean(axis=0)) ** 2).sum(axis=0))


def nested_choice(to_animals: ToAnimals) -> tuple[PerAnimal, Int[np.ndarray, " n_animals"]]:
    """Choose a candidate for each animal by the similarities with the other animals.

    The largest of many similarities flatters: a layer may be the best because it fits these animals by chance. Here the
    similarity with an animal is that of a layer which was chosen without it.

    Parameters
    ----------
    to_animals
        (n_candidates, n_animals). Candidates with NaN are never chosen; at least one must have none.

    Returns
    -------
    similarities, chosen
        (n_animals,) similarity of each animal with its candidate, and which candidate that is.

    Examples
    --------
    >>> import numpy as np
    >>> nested_choice(np.array([[0.3, 0.3, 0.9], [0.4, 0.4, 0.4]]))[1]
    array([0, 0, 1])
    """
    known = np.isfinite(to_animals).all(axis=1, keepdims=True)
    without = to_animals.sum(axis=1, keepdims=True) - to_animals
    chosen = np.where(known, without, -np.inf).argmax(axis=0)
    return to_animals[chosen, np.arange(to_animals.shape[1])], chosen


@dataclass(frozen=True)
class PairedContrast:
    """The difference between two networks over animals: one similarity of each with each animal.

    Attributes
    ----------
    mean, error
        Mean difference over animals, and its standard error.
    t, p
        Student's t with n_animals - 1 degrees of freedom, and its two-sided p-value; NaN where nothing differs.
    n_animals
        Number of animals.
    """

    mean: float
    error: float
    t: float
    p: float
    n_animals: int


def paired_contrast(one: PerAnimal, other: PerAnimal) -> PairedContrast:
    """Compare two networks by their similarities with the same animals.

    It asks whether the difference would hold for other animals. Its power is far larger than that of two verdicts,
    because what makes an animal typical or not is the same for both networks.

    Parameters
    ----------
    one, other
        (n_animals,) similarities, in the same order of animals.

    Examples
    --------
    >>> import numpy as np
    >>> contrast = paired_contrast(np.array([0.5, 0.3, 0.4, 0.6, 0.2]), np.array([0.4, 0.1, 0.3, 0.4, 0.1]))
    >>> round(contrast.mean, 2), contrast.p < 0.01
    (0.14, True)
    """
    from scipy.stats import t as student

    differences = one - other
    n = len(differences)
    mean, error = float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(n))
    t = mean / error if error > 0 else float("nan")
    return PairedContrast(mean, error, t, float(2 * student.sf(abs(t), n - 1)), n)


def _off_diagonal(between: Between) -> Between:
    return np.where(np.eye(len(between), dtype=bool), 0.0, between)
