"""A benchmark: the sites of a cortex with ceilings and resampled stimuli, which all networks share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from jaxtyping import Int

from murine.errors import MurineError
from murine.io.array_cache import ArrayCache
from murine.scoring.held_out import Splits, random_splits
from murine.scoring.metric import metric_of
from murine.scoring.settings import ScoreSettings
from murine.scoring.site_data import SiteData
from murine.scoring.subject_bootstrap import SubjectBootstrap, draw_subjects
from murine.statistics.bootstrap import Counts, bootstrap_counts, leave_one_out_counts
from murine.statistics.noise_ceiling import Ceiling
from murine.statistics.permutation import permutations

#: A group of stimuli smaller than this is not scored by itself.
MIN_GROUP = 20

#: Largest number of groups that are scored in addition to the whole set, in the order of their first stimulus.
MAX_GROUPS = 2


@dataclass(frozen=True, eq=False)
class GroupBenchmark:
    """The data that scores of one group of stimuli need, shared by all networks.

    Attributes
    ----------
    site_data
        The sites for these stimuli, without the arrays that only ceilings need.
    members
        Positions of the stimuli among all.
    counts, relabellings
        Bootstrap samples and random orders of these stimuli.
    sites
        The sites as prepared by the metric (`Metric.of_sites`).
    ceiling, ceiling_without_one
        Ceilings of the sites, with draws paired with ``counts``, and without each stimulus.
    splits
        Random halves that layers are chosen on; None if no layer is chosen.
    subjects
        Resampled neurons or animals; None if they were not requested.
    """

    site_data: SiteData
    members: Int[np.ndarray, " n_members"]
    counts: Counts
    relabellings: Int[np.ndarray, "n_permutations n_members"]
    sites: Any
    ceiling: Ceiling
    ceiling_without_one: Ceiling
    splits: Splits | None
    subjects: SubjectBootstrap | None

    @property
    def site_flags(self) -> tuple[str, ...]:
        """Notes on each site and its ceiling for the reader; '' if there are none."""
        return self.site_data.site_notes(self.ceiling)


class SiteBenchmark:
    """The sites of a cortex with resampled stimuli and ceilings, for one metric.

    It is made once and used for many networks, so that their scores are paired.

    Parameters
    ----------
    site_data
        The sites.
    metric
        A name in `murine.scoring.metric.metrics`.
    groups
        Label of each stimulus, in the order of the sites' stimuli: scores within the first two groups of at least 20
        stimuli are added to those over all.
    settings
        Numbers of samples and the seed.
    kept
        Where ceilings are kept between runs; its ``about`` must name all that the sites are made from.

    Raises
    ------
    MurineError
        Too few stimuli, an unknown metric, or one that these data cannot have.

    Examples
    --------
    >>> from murine.cortex import simulate
    >>> from murine.scenes import synthetic_scenes
    >>> from murine.scoring import make_site_data
    >>> cortex = simulate(synthetic_scenes(24, 32), n_neuroids=10, n_repetitions=4)
    >>> benchmark = SiteBenchmark(make_site_data(cortex.recording, n_splits=2), "cka", settings=ScoreSettings(20, 19))
    >>> benchmark.groups["all"].ceiling.value.shape
    (3,)
    >>> benchmark.groups["all"].counts.shape
    (20, 24)
    """

    def __init__(
        self,
        site_data: SiteData,
        metric: str = "rsa-pearson",
        *,
        groups: Sequence[str] = (),
        settings: ScoreSettings | None = None,
        kept: ArrayCache | None = None,
    ) -> None:
        self.site_data = site_data
        self._kept = kept or ArrayCache()
        self.metric_name, self.metric = metric, metric_of(metric)
        self.settings = settings or ScoreSettings()
        if site_data.n_stimuli < self.metric.min_stimuli:
            raise MurineError(
                f"{site_data.n_stimuli} stimuli are too few for {metric!r}; expected at least "
                f"{self.metric.min_stimuli}."
            )
        over, seed, n = self.settings.over, self.settings.seed, self.settings.subject_draws
        self.subjects = draw_subjects(site_data, over, n, seed) if over else None
        everything = np.arange(site_data.n_stimuli)
        self.groups = {
            group: self._of_group(site_data.select(members), members, whole=group == "all")
            for group, members in {"all": everything, **_large_groups(groups)}.items()
            if len(members) >= self.metric.min_stimuli
        }

    def _of_group(self, site_data: SiteData, members: Int[np.ndarray, " n_members"], whole: bool) -> GroupBenchmark:
        settings, metric, n = self.settings, self.metric, len(members)
        counts = bootstrap_counts(n, settings.n_bootstraps, settings.seed)
        ceiling = self._ceiling(site_data, members, counts)
        # Reliabilities that came with the data do not depend on the stimuli.
        left = metric.over_pairs and site_data.half_rdms is not None
        constant = Ceiling(ceiling.value, np.tile(ceiling.value, (n, 1)), ceiling.scale)
        held_out = whole and settings.layer_choice == "held-out"
        splits = random_splits(metric, site_data, settings.n_bootstraps, settings.seed) if held_out else None
        subjects = self.subjects if whole else None
        return GroupBenchmark(
            site_data.without_halves(),
            members,
            counts,
            permutations(n, settings.n_permutations, settings.seed),
            metric.of_sites(site_data),
            ceiling,
            self._ceiling(site_data, members, leave_one_out_counts(n)) if left else constant,
            splits,
            None if subjects is None else SubjectBootstrap(metric, site_data, subjects, counts, ceiling),
        )

    def _ceiling(self, site_data: SiteData, members: Int[np.ndarray, " n_members"], counts: Counts) -> Ceiling:
        def compute() -> dict[str, np.ndarray]:
            ceiling = self.metric.ceiling(site_data, counts, self.settings.seed)
            notes = np.array(ceiling.notes, dtype=str)
            return {"value": ceiling.value, "draws": ceiling.draws, "scale": np.array(ceiling.scale), "notes": notes}

        about = {"ceiling": self.metric_name, "members": members.tolist(), "seed": self.settings.seed}
        found = self._kept.arrays(about | {"counts": sha256(counts.tobytes()).hexdigest()}, compute)
        return Ceiling(found["value"], found["draws"], str(found["scale"]), tuple(map(str, found["notes"])))


def _large_groups(groups: Sequence[str]) -> dict[str, Int[np.ndarray, " n_members"]]:
    labels = np.asarray(groups, dtype=str)
    sets = {str(label): np.flatnonzero(labels == label) for label in dict.fromkeys(groups)}
    large = {label: members for label, members in sets.items() if label and len(members) >= MIN_GROUP}
    return dict(list(large.items())[:MAX_GROUPS]) if len(sets) > 1 else {}
