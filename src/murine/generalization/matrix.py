"""The matrix: networks in variants, trained on sources, met by targets; only what is missing is computed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from torch import nn

from murine.errors import MurineError
from murine.generalization import trained_networks as factories
from murine.generalization import variants as contenders
from murine.generalization.architectures import SIDE, build, check_network, inner_of, known_networks
from murine.generalization.protocol import Setting
from murine.generalization.recipe import Recipe
from murine.generalization.results import Results, Trained, TrainingTask, row_of
from murine.generalization.training import predict, split, train
from murine.generalization.variants import Contender
from murine.networks import option_parser as calls
from murine.networks.memory import freed_memory_kept, release_freed_memory
from murine.progress import Progress, Silent

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Run:
    """One network in one variant, trained on one source from one pair of seeds.

    Attributes
    ----------
    variant
        As the user called it.
    """

    setting: Setting
    variant: str
    contender: Contender
    task: TrainingTask

    def build(self) -> nn.Module:
        """The network before it has learned anything."""
        task, side = self.task, self.setting.source.images.shape[1]
        built = build(task.network, len(task.classes), task.model_seed, pretrained=bool(task.pretrained), side=side)
        return contenders.apply(self.contender, built, task.network, side)[0]


def plan(
    settings: Sequence[Setting],
    networks: Sequence[str],
    variants: Sequence[str],
    recipe: Recipe,
    seeds: Sequence[tuple[int, int]],
    *,
    pretrained: bool = False,
) -> list[Run]:
    """All runs of a matrix; every network and variant is tried before any of them is trained.

    Parameters
    ----------
    seeds
        Pairs: of the model (initial weights, dropout), of the data (what is held back, order, augmentations).

    Raises
    ------
    MurineError
        Unknown names, a network that does not take such images, a layer without a place, a recipe that does not fit the
        source.
    """
    for network in networks:
        check_network(network, pretrained)
    chosen = {variant: contenders.contender_named(variant) for variant in variants}
    runs = []
    for setting in settings:
        for _, data_seed in seeds[:1]:
            split(setting.source, recipe, data_seed)
        side = setting.source.images.shape[1]
        for network in networks:
            start = build(network, setting.source.n_classes, 0, pretrained=True, side=side).start if pretrained else ""
            for variant, contender in chosen.items():
                for model_seed, data_seed in seeds:
                    task = TrainingTask(
                        source_digest=setting.source.part("train").digest,
                        classes=setting.source.classes,
                        network=network,
                        pretrained=start or False,
                        layer=contender.layer,
                        place=contender.place if contender.layer else "",
                        augmentation=contender.augmentation,
                        recipe=recipe,
                        model_seed=model_seed,
                        data_seed=data_seed,
                    )
                    runs.append(Run(setting, variant, contender, task))
    tried = {(id(run.setting), run.task.network, run.variant): run for run in runs}
    for run in tried.values():
        run.build()
    return runs


def compute(
    runs: Sequence[Run], results: Results, *, device: str = "cpu", progress: Progress | None = None
) -> pd.DataFrame:
    """Train what is not trained yet, meet targets not met yet, and return the rows of all runs and their targets.

    A run that diverges gets rows that say so, and the matrix goes on. Whatever stops this, the same call goes on from
    the last epoch.

    Returns
    -------
    rows
        One per run and target, see `murine.generalization.results`; ``corruption`` tells corrupted images of the
        source from domains.
    """
    missing = [run for run in runs if results.trained(run.task) is None]
    n_epochs = sum(run.task.recipe.epochs for run in missing)
    n_tasks = len({run.task.digest for run in missing})
    shown = progress or Silent()
    with (
        shown.task("networks", len(runs)) as networks,
        shown.task(f"training {n_tasks} of {len(runs)} networks, epochs", n_epochs) as epochs,
        freed_memory_kept(),
    ):
        for run in runs:
            found = results.trained(run.task)
            if found is None:
                found = _train(run, results, device, epochs.advance)
            _meet(run, found, results, device)
            release_freed_memory()
            networks.advance(done=f"{run.task.network} {run.variant} from {run.setting.source.name}")
    tables = []
    for run in runs:
        rows = results.rows(run.task)
        met = run.setting.met
        rows = rows.set_index("target_digest", drop=False).loc[[each.target.digest for each in met]]
        # Names are not identity: the same images and layers may have been called otherwise before.
        tables.append(
            rows.assign(
                source=run.setting.source.name,
                variant=run.variant,
                target=[each.target.name for each in met],
                unseen=[each.unseen for each in met],
                corruption=[each.corruption for each in met],
            )
        )
    return pd.concat(tables, ignore_index=True)


def _train(run: Run, results: Results, device: str, tick: Callable[[], None]) -> Trained:
    task = run.task
    training, validation = split(run.setting.source, task.recipe, task.data_seed)
    module = run.build()
    history = train(
        module,
        training,
        validation,
        task.recipe,
        model_seed=task.model_seed,
        data_seed=task.data_seed,
        augment=contenders.augmentation_of(run.contender),
        checkpoint=results.checkpoint_file(task),
        device=device,
        tick=tick,
    )
    for _ in range(task.recipe.epochs - len(history.epochs)):
        tick()
    if history.state == "diverged":
        log.warning(
            "%s %s from %s (model seed %d): the loss diverged in epoch %d; the others go on. A lower rate may help: "
            "--set learning_rate=%g.",
            task.network,
            run.variant,
            run.setting.source.name,
            task.model_seed,
            len(history.epochs),
            task.recipe.learning_rate / 10,
        )
    return results.write_trained(task, module, history, training.n_images, validation.n_images)


def _meet(run: Run, found: Trained, results: Results, device: str) -> None:
    """Rows of targets that a run has not met; those of weights that were trained anew since count as none."""
    known = results.rows(run.task)
    there = set(known.target_digest[known.weights_digest == found.weights_digest])
    missing = {met.target.digest: met for met in run.setting.met if met.target.digest not in there}
    if not missing:
        return
    diverged = found.history.state == "diverged"
    module = run.build()
    if not diverged:
        results.load_weights(run.task, module, found)
    names = {"source": run.setting.source.name, "variant": run.variant}
    precision = run.task.recipe.precision
    rows = []
    for met in missing.values():
        said = None if diverged else predict(module, met.target, device=device, precision=precision)
        rows.append(row_of(run.task, found, names, met.target, met.unseen, said))
    results.add_rows(run.task, pd.DataFrame(rows))


def trained_run(run: Run, results: Results, *, device: str = "cpu") -> nn.Module | None:
    """The network of a run, trained now if it was not before; None where training diverged."""
    found = results.trained(run.task) or _train(run, results, device, lambda: None)
    if found.history.state == "diverged":
        return None
    module = run.build()
    results.load_weights(run.task, module, found)
    return module


def choice(run: Run, results: Results) -> str:
    """The finished network of a run as the zoo takes it, to be scored against a cortex.

    Raises
    ------
    MurineError
        For networks that training began from the zoo's weights.
    """
    task, side = run.task, run.setting.source.images.shape[1]
    if task.pretrained:
        raise MurineError(
            f"{task.network} with --pretrained cannot be scored against a cortex: its head is another now, so the zoo "
            "cannot build it. Leave --against away, or --pretrained."
        )
    layer = contenders.spelled(run.contender, inner_of(task.network), task.network)
    place = f"+{layer}" if layer else ""
    return f"{_call(task.network, len(task.classes), side)}{place}@{results.weights_file(task)}"


def _call(network: str, n_classes: int, side: int) -> str:
    """The function of `factories` that makes a network from scratch, with its options, as the zoo asks for it."""
    name, options = calls.split(network) or (network, "")
    function = name.replace("-", "_")
    if name not in known_networks():
        function, options = "timm", f"name={network}"
    told = [options] if options else []
    told += [f"n_classes={n_classes}"] if n_classes != factories.N_CLASSES else []
    told += [f"side={side}"] if side != SIDE else []
    brackets = f"({','.join(told)})" if told else ""
    return f"{factories.__file__}:{function}{brackets}"


def curves(runs: Sequence[Run], results: Results) -> pd.DataFrame:
    """Training curves of finished runs: one row per run and epoch."""
    rows = []
    for run in runs:
        found = results.trained(run.task)
        task = run.task
        about: dict[str, Any] = {"source": run.setting.source.name, "network": task.network}
        about |= {"pretrained": bool(task.pretrained), "variant": run.variant}
        about |= {"model_seed": task.model_seed, "data_seed": task.data_seed}
        rows += [
            {**about, "epoch": n, **vars(epoch)}
            for n, epoch in enumerate(found.history.epochs if found else [], start=1)
        ]
    return pd.DataFrame(rows)


def seed_pairs(n: int, data_seed: int | None = None) -> list[tuple[int, int]]:
    """Seeds 0 .. n - 1 of the model, each with the same of the data, or all with one.

    Raises
    ------
    MurineError
        Fewer than one.
    """
    if n < 1:
        raise MurineError(f"{n} seeds were asked for; expected at least 1, and 3 for an interval over seeds.")
    return [(seed, seed if data_seed is None else data_seed) for seed in range(n)]
