"""One question about generalisation, from start to end: train or search networks, and compare them on domains."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd
from pydantic import BaseModel, ValidationError

from murine.atlas.identity import CortexSettings
from murine.atlas.store import Atlas
from murine.atlas.sweep import ScoringTask, SweepSettings, each
from murine.domains.catalogue import domains, load_domain
from murine.domains.corruptions import STRENGTHS, corruptions, parsed
from murine.domains.preparation import Preparation
from murine.errors import MurineError
from murine.generalization import matrix
from murine.generalization.protocol import EvaluatedDomain, Setting, adapted, settings
from murine.generalization.recipe import Recipe, recipes
from murine.generalization.results import Results
from murine.generalization.variants import variants as training_variants
from murine.studies.brain_vs_robustness import shifts, trained_choices

if TYPE_CHECKING:
    from murine.domains.domain import Domain
    from murine.generalization.matrix import Run
    from murine.generalization.search import SearchResult
    from murine.progress import Progress

log = logging.getLogger(__name__)

#: What is compared unless told otherwise.
VARIANTS, REFERENCE = ("plain", "neurn3"), "plain"

Checked = TypeVar("Checked", bound=BaseModel)


@dataclass(frozen=True)
class GeneralizationQuestion:
    """What is trained, and on which domains it is asked.

    Attributes
    ----------
    sources, targets
        Domains to train on and to meet. Empty: the six of the shared folder; of ``leave-one-out`` the sources are the
        targets, of other protocols ``mnist``.
    networks
        Names of networks; empty: ``lenet``.
    variants
        What is compared: names of `murine.generalization.variants.variants`, or layers with a place.
    reference
        The variant that the others are compared with.
    n_seeds, data_seed
        Networks of every cell; one seed of the data for all, or None for that of the model.
    protocol, recipe
        Names of registries; ``changes`` are other values of the recipe.
    preparation
        What is done to images: fields of `murine.domains.preparation.Preparation`.
    corruptions
        Corruptions of the source that are met too, at all strengths.
    n_test
        At most so many images of every domain; None for all.
    n_search
        Search so many networks without and with NeuRN, and compare the best; 0 for none.
    against, metric
        Score every network against this cortex, too; '' for none.
    pretrained
        Start from published weights.

    Raises
    ------
    MurineError
        If the parts contradict each other, or the reference is none of the variants.
    """

    sources: Sequence[str] = ()
    targets: Sequence[str] = ()
    networks: Sequence[str] = ()
    variants: Sequence[str] = VARIANTS
    reference: str = REFERENCE
    n_seeds: int = 3
    data_seed: int | None = None
    protocol: str = "full"
    recipe: str = "quick"
    changes: Mapping[str, Any] = field(default_factory=dict)
    preparation: Mapping[str, Any] = field(default_factory=dict)
    corruptions: Sequence[str] = ()
    n_test: int | None = None
    n_search: int = 0
    against: str = ""
    metric: str = "rsa-pearson"
    pretrained: bool = False

    def __post_init__(self) -> None:
        if self.n_search and (self.networks or self.pretrained or tuple(self.variants) != VARIANTS):
            raise MurineError(
                "--search finds networks and variants itself, from scratch: leave out --network, --variants and "
                "--pretrained."
            )
        if self.pretrained and self.against:
            raise MurineError(
                "networks of --pretrained cannot be scored with --against: their heads are others now, so `murine "
                "score` cannot build them. Leave one of the two out."
            )
        if self.reference != REFERENCE and self.reference not in self.variants:
            raise MurineError(f"the reference {self.reference!r} is none of the variants: {', '.join(self.variants)}.")


@dataclass(frozen=True)
class GeneralizationAnswer:
    """What came out.

    Attributes
    ----------
    rows, curves
        Tables of `murine.generalization.matrix.compute` and ``curves``.
    evaluated
        The domains that were met, corruptions apart, each once.
    recipe
        The recipe with its changes.
    brains
        The table of `murine.studies.brain_vs_robustness.shifts`; None where no cortex was asked for, or it failed.
    failure
        Why there are no brain scores; the rest is whole.
    """

    rows: pd.DataFrame
    curves: pd.DataFrame
    evaluated: Sequence[Domain]
    recipe: Recipe
    brains: pd.DataFrame | None = None
    failure: MurineError | None = None


def answer(
    question: GeneralizationQuestion,
    atlas: Atlas,
    progress: Progress,
    *,
    data: Path | None = None,
    cache: Path | None = None,
    device: str = "cpu",
    isolated: bool = False,
    found: Callable[[str, SearchResult], None] = lambda source, best: None,
) -> GeneralizationAnswer:
    """Train what the atlas does not have, and compare.

    Parameters
    ----------
    data, cache
        Folders of domains.
    isolated
        Score networks against cortex in processes of their own.
    found
        Called with the source and each result of a search.

    Raises
    ------
    MurineError
        If there is no domain, network, variant, corruption, cortex or metric of a name; all but networks and variants
        are looked up before anything is trained.
    """
    recipe = adapted(question.protocol, recipes[question.recipe], question.changes)
    preparation = _checked(Preparation, question.preparation, "--prepare")

    def load(name: str, part: str | None) -> Domain:
        return load_domain(name, preparation=preparation, part=part, data=data, cache=cache)

    targets = list(question.targets) or [name for name in domains if domains[name].kind == "shared"]
    sources = list(question.sources) or (targets if question.protocol == "leave-one-out" else ["mnist"])
    met = settings(
        question.protocol, sources, targets, load, at_all_strengths(question.corruptions), n_test=question.n_test
    )
    seeds = matrix.seed_pairs(question.n_seeds, question.data_seed)
    task = None if not question.against else _scoring_task(question, data, device)
    results = Results(atlas)
    if question.n_search:
        runs = _searched(met, recipe, results, question.n_search, seeds, device, progress, found)
    else:
        networks, variants = list(question.networks) or ["lenet"], list(question.variants)
        runs = matrix.plan(met, networks, variants, recipe, seeds, pretrained=question.pretrained)
    rows = matrix.compute(runs, results, device=device, progress=progress)
    curves = matrix.curves(runs, results)
    if question.n_search:  # two networks, held side by side as two variants of one are
        rows, curves = (table.assign(network=f"the best of {question.n_search}") for table in (rows, curves))
    brains, failure = None, None
    if task is not None:
        try:
            brains = _brain_scores(runs, rows, results, task, progress, isolated)
        except MurineError as error:  # what was trained is told all the same
            failure = error
    return GeneralizationAnswer(rows, curves, _domains(met), recipe, brains, failure)


def variant_names(names: Sequence[str]) -> list[str]:
    """Return names of variants; ``all`` stands for all that are registered."""
    return list(training_variants) if list(names) == ["all"] else list(names)


def at_all_strengths(names: Sequence[str]) -> list[tuple[str, int]]:
    """Return corruptions at all their strengths; ``all`` stands for all that are registered.

    Examples
    --------
    >>> at_all_strengths(["blur"])
    [('blur', 1), ('blur', 2), ('blur', 3), ('blur', 4), ('blur', 5)]
    """
    chosen = list(corruptions) if list(names) == ["all"] else names
    return [parsed(f"{name}:{strength}") for name in chosen for strength in STRENGTHS]


def _domains(met: Sequence[Setting]) -> list[Domain]:
    evaluated: list[EvaluatedDomain] = [one for setting in met for one in setting.evaluated if not one.corruption]
    return list({one.target.name: one.target for one in evaluated}.values())


def _checked(kind: type[Checked], values: Mapping[str, Any], option: str) -> Checked:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise MurineError(
            f"{option} {'.'.join(map(str, first['loc']))}={first['input']}: {first['msg'].lower()}. Known: "
            f"{', '.join(kind.model_fields)}."
        ) from error


def _scoring_task(question: GeneralizationQuestion, data: Path | None, device: str) -> ScoringTask:
    """What trained networks are scored by; a cortex or metric that there is not is told before anything is trained."""
    cortex = CortexSettings(cortex=question.against)
    task = ScoringTask(SweepSettings(cortex, (question.metric,), "own", data=data, device=device))
    task.prepare()
    return task


def _brain_scores(
    runs: Sequence[Run],
    rows: pd.DataFrame,
    results: Results,
    task: ScoringTask,
    progress: Progress,
    isolated: bool,
) -> pd.DataFrame:
    """Every trained network scored against a cortex; changes to plain beside those in accuracy."""
    choices = trained_choices(runs, results)
    outcomes = list(each(task, list(dict.fromkeys(choices.values())), results.atlas, progress, isolated=isolated))
    for outcome in outcomes:
        if outcome.state == "failed":
            log.error("%s has no brain score: %s", outcome.spec, outcome.reason)
    return shifts(rows, choices, outcomes, results)


def _searched(
    met: Sequence[Setting],
    recipe: Recipe,
    results: Results,
    n_trials: int,
    seeds: Sequence[tuple[int, int]],
    device: str,
    progress: Progress,
    found: Callable[[str, SearchResult], None],
) -> list[Run]:
    """The runs of the best networks with and without NeuRN, told as they are found."""
    from murine.generalization.search import SIDES, search  # Optuna takes a second to import

    runs = []
    with progress.task("searching", len(SIDES) * n_trials * len(met)) as bar:
        for setting in met:
            for best in search(setting, recipe, results, n_trials, seed=seeds[0][1], device=device, tick=bar.advance):
                found(setting.source.name, best)
                runs += matrix.plan([setting], [best.network], [best.variant], recipe, seeds)
    return runs
