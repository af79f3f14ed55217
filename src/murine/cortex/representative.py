"""Representative neurons: UMAP and k-means, and the neurons nearest to the centres of the clusters.

As in Qazi, Jalil & Iqbal 2025, "Mice to Machines" (arXiv 2505.06886): 10 clusters a class and 50 neurons a cluster
give 500 excitatory and 500 inhibitory neurons. What is not published is in ``docs/reference/sources.md``.

The choice depends strongly on the seed. In real recordings, the choices of two seeds share a third to two thirds of
their neurons; in small recordings, they share hardly more than two random choices (`stability`). So a result that
depends on a choice should be repeated for several choices (`repeated`).
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from murine.cortex.neuron_embedding import embed, nearest_to_centres
from murine.cortex.neuron_vectors import describe_neurons
from murine.cortex.recording import Recording
from murine.cortex.response_maps import SIDE
from murine.errors import MurineError, some
from murine.stimuli import StimulusSet

log = logging.getLogger(__name__)

#: The groups of neurons that are embedded and chosen from separately, where these are the cell classes.
CLASSES = ("excitatory", "inhibitory")

#: Smallest number of seeds whose choices are compared, to measure how stable a choice is.
COMPARED = 3


@dataclass(frozen=True, eq=False)
class Representatives:
    """Representative neurons, and the embedding in which they were chosen.

    Attributes
    ----------
    embedded
        All neurons that could be chosen, in the order of the given recording. Additional coordinates of the neurons:
        ``umap_1``, ``umap_2`` (no unit; each group has its own embedding), ``cluster`` ("excitatory 3") and ``chosen``
        (bool).
    by
        The coordinate that tells the groups.

    Examples
    --------
    >>> from murine.cortex.simulated import simulate
    >>> from murine.scenes import synthetic_scenes
    >>> recording = simulate(synthetic_scenes(20, size=32), n_neuroids=40, n_repetitions=2).recording
    >>> few = {"by": "area", "vectors": "responses", "n_clusters": 2, "n_per_cluster": 3}
    >>> found = representative(recording, **few)
    >>> found.chosen.n_neuroids
    18
    >>> sorted(set(found.embedded["cluster"].tolist()))[:2]
    ['SIMam 0', 'SIMam 1']
    """

    embedded: Recording
    by: str

    @property
    def chosen(self) -> Recording:
        """The chosen neurons only, with the same coordinates but ``chosen``."""
        dataset = self.embedded.dataset
        chosen = dataset.isel(neuroid=np.flatnonzero(dataset["chosen"].values)).drop_vars("chosen")
        return Recording(chosen, self.embedded.name)


@dataclass(frozen=True)
class Stability:
    """How many neurons the choices of several seeds share.

    Attributes
    ----------
    n_choices, n_chosen
        Number of choices, and number of neurons of each choice.
    shared
        Number of neurons that two choices share: mean over pairs of choices, with the ``least`` and ``most``.
    by_lottery
        Average number of neurons that two random choices share, with the same number of neurons in each group.
    """

    n_choices: int
    n_chosen: int
    shared: float
    least: int
    most: int
    by_lottery: float

    def __str__(self) -> str:
        return (
            f"choices with {self.n_choices} seeds share {self.shared:.0f} ({self.least} to {self.most}) of "
            f"{self.n_chosen} neurons, two random choices {self.by_lottery:.0f}"
        )


def stability(choices: Sequence[Representatives]) -> Stability:
    """Measure how many neurons several choices from the same neurons share.

    Raises
    ------
    MurineError
        Fewer than two choices, or choices from different neurons.

    Examples
    --------
    >>> from murine.cortex.simulated import simulate
    >>> from murine.scenes import synthetic_scenes
    >>> recording = simulate(synthetic_scenes(20, size=32), n_neuroids=40, n_repetitions=2).recording
    >>> few = {"by": "area", "vectors": "responses", "n_clusters": 2, "n_per_cluster": 3}
    >>> choices = repeated(recording, 2, **few)
    >>> stability(choices).n_chosen
    18
    >>> stability(choices[:1] * 2).shared
    18.0
    """
    if len(choices) < 2:
        raise MurineError(f"{len(choices)} choices share nothing with each other; expected at least 2.")
    first = choices[0].embedded
    ids = first["neuroid_id"].astype(str)
    for other in choices[1:]:
        if not np.array_equal(other.embedded["neuroid_id"].astype(str), ids):
            raise MurineError("the choices are from different neurons; expected the same, in the same order.")
    chosen = np.array([each.embedded["chosen"] for each in choices], dtype=bool)
    shared = [int((one & other).sum()) for one, other in itertools.combinations(chosen, 2)]
    labels = first[choices[0].by].astype(str)
    groups = [labels == group for group in np.unique(labels)]
    lottery = sum(float(chosen[0][mine].sum()) ** 2 / int(mine.sum()) for mine in groups)
    return Stability(len(choices), int(chosen[0].sum()), float(np.mean(shared)), min(shared), max(shared), lottery)


def representative(
    recording: Recording,
    *,
    stimuli: StimulusSet | None = None,
    vectors: str = "maps",
    side: int = SIDE,
    by: str = "cell_class",
    groups: Sequence[str] | None = None,
    n_clusters: int = 10,
    n_per_cluster: int = 50,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    n_restarts: int = 10,
    blank: bool = False,
    seed: int = 0,
) -> Representatives:
    """Choose the neurons nearest to the centres of clusters in a UMAP embedding, separately in each group.

    A neuron is described by its response-weighted map (`murine.cortex.response_maps`), as published, or by its
    responses to the stimuli, averaged over repetitions; both are scaled to unit length. Neurons that miss all trials of
    a stimulus, or respond the same to all stimuli, are left out and logged; so are neurons of no group. Of
    each group, the vectors are embedded in two dimensions by UMAP (Euclidean), the embedding is divided by k-means, and
    the members of each cluster that are nearest to its centre are chosen.

    Neurons and stimuli are sorted by id first, so their order does not change the choice. The same seed gives the same
    neurons on the same machine with the same versions of the libraries. UMAP amplifies rounding errors, so another
    machine may choose other neurons. Keep the ids of the chosen neurons, or write the recording. Another seed gives
    mostly other neurons: see `stability` and `repeated`.

    Parameters
    ----------
    recording
        Needs the coordinate ``by``.
    stimuli
        The images, by id, for maps.
    vectors
        ``maps``: the stimuli weighted by the responses (arXiv 2505.06886); ``centred-maps``: by the responses
        less their mean, without which maps of rates are mostly the mean stimulus; ``responses``: the responses
        themselves, which need no images.
    side
        Cells along a side of a map.
    by
        The coordinate of the neurons that tells the groups.
    groups
        Its values to choose from. Default: excitatory and inhibitory where ``by`` is ``cell_class``, else all but ''.
    n_clusters, n_per_cluster
        Of each group.
    n_neighbors, min_dist
        Of UMAP.
    n_restarts
        Of k-means.
    blank
        Whether the response to the stimulus ``blank`` is a part of the vectors; by default it is not, for it has no
        image.
    seed
        Of UMAP and k-means.

    Raises
    ------
    MurineError
        If a group is missing, has fewer neurons than asked for, or some cluster of it has; or maps are asked for
        without images.
    """
    choose = _chooser(
        recording,
        stimuli=stimuli,
        vectors=vectors,
        side=side,
        by=by,
        groups=groups,
        n_clusters=n_clusters,
        n_per_cluster=n_per_cluster,
        n_neighbors=n_neighbors,
        min_dist=min_dist,
        n_restarts=n_restarts,
        blank=blank,
    )
    return choose(seed)


def repeated(recording: Recording, n_choices: int, *, seed: int = 0, **settings: Any) -> list[Representatives]:
    """Choose several times, with seeds ``seed``, ``seed + 1`` ...; settings are those of `representative`.

    Compute results that depend on a choice for each choice, and report their spread. `stability` measures how many
    neurons the choices share.

    Raises
    ------
    MurineError
        As `representative`, for any of the seeds; or fewer than one choice.

    Examples
    --------
    >>> from murine.cortex.simulated import simulate
    >>> from murine.scenes import synthetic_scenes
    >>> recording = simulate(synthetic_scenes(20, size=32), n_neuroids=40, n_repetitions=2).recording
    >>> few = {"by": "area", "vectors": "responses", "n_clusters": 2, "n_per_cluster": 3}
    >>> [choice.chosen.n_neuroids for choice in repeated(recording, 2, **few)]
    [18, 18]
    """
    return _choices(_chooser(recording, **settings), n_choices, seed)


def _choices(choose: Callable[[int], Representatives], n_choices: int, seed: int) -> list[Representatives]:
    if n_choices < 1:
        raise MurineError(f"{n_choices} choices were asked for; expected at least 1.")
    return [choose(seed + i) for i in range(n_choices)]


def compared(
    recording: Recording, n_choices: int = 1, *, seed: int = 0, **settings: Any
) -> tuple[list[Representatives], list[Recording]]:
    """Like `repeated`, with the result of `stability` in the attribute ``selection`` of each selection.

    At least `COMPARED` seeds are compared; one beyond those asked for that gives no choice is left out and logged.
    """
    choose = _chooser(recording, **settings)
    found = _choices(choose, n_choices, seed)
    others = []
    for other in range(seed + n_choices, seed + COMPARED):
        try:
            others.append(choose(other))
        except MurineError as error:
            log.warning("%s: seed %d gives no choice to compare with: %s", recording.name, other, error)
    everything = [*found, *others]
    shared = str(stability(everything)) if len(everything) > 1 else "no other seed gives a choice"
    story = f"mice-to-machines: {shared}; repeat results over several choices"
    chosen = [each.chosen for each in found]
    return found, [Recording(each.dataset.assign_attrs(selection=story), each.name) for each in chosen]


def _chooser(
    recording: Recording,
    *,
    stimuli: StimulusSet | None = None,
    vectors: str = "maps",
    side: int = SIDE,
    by: str = "cell_class",
    groups: Sequence[str] | None = None,
    n_clusters: int = 10,
    n_per_cluster: int = 50,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    n_restarts: int = 10,
    blank: bool = False,
) -> Callable[[int], Representatives]:
    """Describe the neurons; what is returned chooses among them, for a seed."""
    if min(n_clusters, n_per_cluster, n_restarts) < 1 or n_neighbors < 2 or not 0 <= min_dist <= 1:
        raise MurineError(
            f"cannot choose {n_per_cluster} neurons from each of {n_clusters} clusters with n_neighbors {n_neighbors}, "
            f"min_dist {min_dist}, n_restarts {n_restarts}; expected at least 1 neuron, cluster and restart, at least "
            "2 neighbors, and a min_dist from 0 to 1."
        )
    members = _groups(recording, by, groups)
    needed = max(n_clusters * n_per_cluster, n_neighbors + 1)
    described = describe_neurons(recording, vectors, stimuli, side, blank)
    ids = recording["neuroid_id"].astype(str)
    usable = np.isfinite(described).all(axis=1)
    for group, rows in members.items():
        bad, good = rows[~usable[rows]], rows[usable[rows]]
        if len(bad):
            log.warning(
                "%s: %d %s neurons left out for missing or constant responses: %s",
                *(recording.name, len(bad), group, some(ids[bad])),
            )
        if len(good) < needed:
            less = f" with a response to every stimulus (and {len(bad)} without)" if len(bad) else ""
            raise MurineError(
                f"{recording.name!r} has only {len(good)} {group} neurons{less}; {n_clusters} clusters with "
                f"{n_per_cluster} neurons each and n_neighbors {n_neighbors} need at least {needed}. Give a smaller "
                "n_clusters, n_per_cluster or n_neighbors, or other groups."
            )
        members[group] = good[np.argsort(ids[good])]

    def choose(seed: int) -> Representatives:
        cluster = np.full(recording.n_neuroids, "", dtype=object)
        points = np.full((recording.n_neuroids, 2), np.nan)
        chosen = np.zeros(recording.n_neuroids, dtype=bool)
        for group, rows in members.items():
            points[rows] = embed(described[rows], n_neighbors=n_neighbors, min_dist=min_dist, seed=seed)
            label, nearest = nearest_to_centres(
                points[rows], n_clusters, n_per_cluster, n_restarts=n_restarts, seed=seed, what=f"{group} neurons"
            )
            cluster[rows] = [f"{group} {k}" for k in label]
            chosen[rows] = nearest
            log.info("%s: %d of %d %s neurons chosen", recording.name, nearest.sum(), len(rows), group)
        coords = {"umap_1": points[:, 0], "umap_2": points[:, 1], "cluster": cluster.astype(str), "chosen": chosen}
        dataset = recording.dataset.assign_coords({key: ("neuroid", values) for key, values in coords.items()})
        embedded = dataset.isel(neuroid=np.sort(np.concatenate(list(members.values()))))
        return Representatives(Recording(embedded, recording.name), by)

    return choose


def _groups(recording: Recording, by: str, groups: Sequence[str] | None) -> dict[str, Int[np.ndarray, " n_members"]]:
    """The neurons of each group, in a fixed order of groups."""
    labels = recording[by].astype(str)
    if labels.shape != (recording.n_neuroids,):
        raise MurineError(f"{by!r} is no coordinate of the neurons of {recording.name!r}.")
    present = sorted(set(labels) - {""})
    wanted = tuple(groups) if groups is not None else CLASSES if by == "cell_class" else tuple(present)
    absent = [group for group in wanted if group not in present]
    if absent or not wanted:
        hint = ' Where classes are not known, choose by another coordinate, for example by="area".'
        raise MurineError(
            f"no neuron of {recording.name!r} has {by} {' or '.join(map(repr, absent)) or '(all are empty)'}; values: "
            f"{some(present, 30) or 'none'}.{hint if by == 'cell_class' else ''}"
        )
    others = int((~np.isin(labels, wanted)).sum())
    if others:
        log.info("%s: %d neurons of no group (%s) are left out", recording.name, others, by)
    return {group: np.flatnonzero(labels == group) for group in dict.fromkeys(wanted)}
