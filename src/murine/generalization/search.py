"""A search of small networks with and without NeuRN, chosen on the source only and compared on unseen domains."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from murine.domains.corruptions import METHOD as CORRUPTION_METHOD
from murine.domains.corruptions import corrupted, corruptions
from murine.domains.domain import Domain
from murine.generalization.conv_space import ConvSpace
from murine.generalization.matrix import Run, plan, trained_run
from murine.generalization.predictions import accuracy, predict
from murine.generalization.protocol import Setting
from murine.generalization.recipe import Recipe
from murine.generalization.results import METHOD, Results
from murine.generalization.splits import split

if TYPE_CHECKING:
    import optuna

#: Strength (1 ... 5) of the corruptions of validation images.
STRENGTH = 3

#: Increased whenever `suggested` draws from another space.
SPACE = 1

#: The two sides of the search. Each gets the same number of trials.
SIDES = ("without", "with")


@dataclass(frozen=True)
class SearchResult:
    """The best network of one side.

    Attributes
    ----------
    side
        ``without`` or ``with`` NeuRN.
    network, variant
        Names, as in `murine generalize`.
    value
        Mean of the accuracies on validation images and on corrupted ones.
    clean, corrupted
        These two accuracies.
    n_trials
        Number of finished trials.
    """

    side: str
    network: str
    variant: str
    value: float
    clean: float
    corrupted: float
    n_trials: int


def search(
    setting: Setting,
    recipe: Recipe,
    results: Results,
    n_trials: int,
    *,
    seed: int = 0,
    device: str = "cpu",
    tick: Callable[[], None] = lambda: None,
) -> list[SearchResult]:
    """Search small networks with NeuRN (its place and size) and without.

    The objective is the mean of two accuracies: on validation images of the source, and on the same images corrupted.
    Targets are not used. Every trial is an ordinary run, so an interrupted trial continues, and the study is stored in
    a journal beside the runs, so the same call continues up to ``n_trials`` trials of each side. The k-th finished
    trial is the same with and without interruptions.

    Parameters
    ----------
    setting
        The source.
    recipe
        How the networks are trained.
    results
        The results in the atlas.
    n_trials
        Number of finished trials of each side, including earlier ones.
    seed
        Seed of the sampler (Optuna's TPE), and model and data seed of the training.
    tick
        Called after every trial.

    Returns
    -------
    found
        The best network of each side, ``without`` first.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    training, validation = split(setting.source, recipe, seed)
    shifted = [corrupted(validation, name, STRENGTH) for name in corruptions]
    best = []
    for side in SIDES:
        study = _study(results.atlas.folder / "search.journal", _name(training, recipe, side, seed))
        for stopped in study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING]):
            study.tell(stopped.number, state=optuna.trial.TrialState.FAIL)  # left by an interrupted search
        while (n := len(study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE]))) < n_trials:
            study.sampler = _sampler(seed, n)
            trial = study.ask()
            network, variant = suggested(trial, side)
            run = plan([setting], [network], [variant], recipe, [(seed, seed)])[0]
            clean, moved = _objective(run, results, validation, shifted, device)
            trial.set_user_attr("network", network)
            trial.set_user_attr("variant", variant)
            trial.set_user_attr("clean", clean)
            trial.set_user_attr("corrupted", moved)
            study.tell(trial, (clean + moved) / 2)
            tick()
        chosen = study.best_trial
        about: dict[str, Any] = chosen.user_attrs
        best.append(SearchResult(side, value=float(chosen.value or 0.0), n_trials=n_trials, **about))
    return best


def suggested(trial: optuna.trial.BaseTrial, side: str) -> tuple[str, str]:
    """Return the network and the variant that a trial draws."""
    space = ConvSpace(
        depth=trial.suggest_int("depth", 2, 4),
        width=trial.suggest_categorical("width", [8, 16, 32]),
        kernel=trial.suggest_categorical("kernel", [3, 5]),
        norm=trial.suggest_categorical("norm", ["none", "batch", "instance", "layer"]),
        activation=trial.suggest_categorical("activation", ["relu", "gelu", "elu"]),
        skip=trial.suggest_categorical("skip", [False, True]),
    )
    if side == "without":
        return space.name, "plain"
    k = trial.suggest_categorical("k", [3, 4, 5])
    place = trial.suggest_categorical("place", ["input", "inner"])
    return space.name, f"neurn{k}" if place == "input" else f"neurn{k}-inner"


def _objective(
    run: Run, results: Results, validation: Domain, shifted: Sequence[Domain], device: str
) -> tuple[float, float]:
    """Return the accuracies on clean and corrupted validation images; those of guessing for a diverged run."""
    module = trained_run(run, results, device=device)
    if module is None:
        return 1 / validation.n_classes, 1 / validation.n_classes

    def right(images: Domain) -> float:
        said = predict(module, images, device=device, precision=run.task.recipe.precision)
        return accuracy(said.predicted, images.labels)

    return right(validation), float(np.mean([right(each) for each in shifted]))


def _name(training: Domain, recipe: Recipe, side: str, seed: int) -> str:
    """Return the name of a study, which contains everything that determines its trials."""
    methods = f"{SPACE} {METHOD} {CORRUPTION_METHOD}"
    text = f"{training.digest} {recipe.model_dump_json()} {side} {seed} {STRENGTH} {','.join(corruptions)} {methods}"
    return f"{side}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _study(file: Path, name: str) -> optuna.Study:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    file.parent.mkdir(parents=True, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(file)))
    return optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)


def _sampler(seed: int, n_finished: int) -> optuna.samplers.BaseSampler:
    """Return a sampler whose next draw depends only on the finished trials."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna warns that a part of it is experimental
        own = int(np.random.default_rng([seed, n_finished]).integers(2**31))
        return optuna.samplers.TPESampler(seed=own, n_startup_trials=5, multivariate=True)
