"""The matrix of runs: networks in variants, trained on sources and evaluated on targets. Finished runs are kept."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from torch import nn

from murine.errors import MurineError
from murine.generalization import trained_networks
from murine.generalization.architectures import SIDE
from murine.generalization.network_builder import build, check_network, inner_of, known_networks
from murine.generalization.predictions import predict
from murine.generalization.protocol import Setting
from murine.generalization.recipe import Recipe
from murine.generalization.results import Results, Trained, TrainingTask, row_of
from murine.generalization.splits import split
from murine.generalization.training import train
from murine.generalization.variants import (
    TrainingVariant,
    apply_variant,
    augmentation_of,
    canonical_variant,
    variant_named,
)
from murine.networks import option_parser
from murine.networks.memory import freed_memory_kept, release_freed_memory
from murine.progress import Progress, Silent

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Run:
    """One network in one variant, trained on one source with one pair of seeds.

    Attributes
    ----------
    setting
        The source, and the domains to evaluate on.
    variant
        Name of the variant as the user wrote it.
    definition
        What the variant changes.
    task
        The configuration that identifies the result.

    Examples
    --------
    >>> from murine.domains import load_domain
    >>> from murine.generalization import settings
    >>> chosen = settings("full", ["rendered-fonts"], [], lambda name, part: load_domain(name, part=part))
    >>> run = plan(chosen, ["lenet-small"], ["neurn3"], Recipe(), seeds=[(0, 0)])[0]
    >>> run.variant, run.definition.layer
    ('neurn3', 'neurn(k=3)')
    >>> run.task.model_seed
    0
    """

    setting: Setting
    variant: str
    definition: TrainingVariant
    task: TrainingTask

    def build(self) -> nn.Module:
        """Return the network before training."""
        task, side = self.task, self.setting.source.images.shape[1]
        built = build(task.network, len(task.classes), task.model_seed, pretrained=bool(task.pretrained), side=side)
        return apply_variant(self.definition, built, task.network, side)[0]


def plan(
    settings: Sequence[Setting],
    networks: Sequence[str],
    variants: Sequence[str],
    recipe: Recipe,
    seeds: Sequence[tuple[int, int]],
    *,
    pretrained: bool = False,
) -> list[Run]:
    """Return all runs of a matrix. Every network and variant is tried once before any is trained.

    Parameters
    ----------
    settings
        Sources with their targets (`murine.generalization.protocol.settings`).
    networks, variants
        Names of networks (`murine.generalization.network_builder.build`) and of variants
        (`murine.generalization.variants.variant_named`).
    recipe
        How the networks are trained.
    seeds
        Pairs of seeds: of the model (initial weights, dropout) and of the data (validation images, order,
        augmentations).
    pretrained
        Whether training starts from pretrained weights.

    Raises
    ------
    MurineError
        If a name is unknown, a network does not take such images, a layer has no place, or the recipe does not fit the
        source.

    Examples
    --------
    >>> from murine.domains import load_domain
    >>> from murine.generalization import settings
    >>> chosen = settings("full", ["rendered-fonts"], [], lambda name, part: load_domain(name, part=part))
    >>> runs = plan(chosen, ["lenet-small"], ["plain", "neurn3"], Recipe(), seeds=seed_pairs(3))
    >>> len(runs)
    6
    """
    for network in networks:
        check_network(network, pretrained)
    chosen = {variant: variant_named(variant) for variant in variants}
    runs = []
    for setting in settings:
        for _, data_seed in seeds[:1]:
            split(setting.source, recipe, data_seed)
        side = setting.source.images.shape[1]
        for network in networks:
            start = build(network, setting.source.n_classes, 0, pretrained=True, side=side).start if pretrained else ""
            for variant, definition in chosen.items():
                for model_seed, data_seed in seeds:
                    task = TrainingTask(
                        source_digest=setting.source.part("train").digest,
                        classes=setting.source.classes,
                        network=network,
                        pretrained=start or False,
                        layer=definition.layer,
                        place=definition.place if definition.layer else "",
                        augmentation=definition.augmentation,
                        recipe=recipe,
                        model_seed=model_seed,
                        data_seed=data_seed,
                    )
                    runs.append(Run(setting, variant, definition, task))
    tried = {(id(run.setting), run.task.network, run.variant): run for run in runs}
    for run in tried.values():
        run.build()
    return runs


def compute(
    runs: Sequence[Run], results: Results, *, device: str = "cpu", progress: Progress | None = None
) -> pd.DataFrame:
    """Train and evaluate all runs that are not in the atlas, and return the rows of all runs.

    A run that diverges gets rows that say so, and the others continue. After an interruption the same call continues
    from the last epoch.

    Parameters
    ----------
    runs
        Runs from `plan`.
    results
        The results in the atlas.
    device
        ``auto``, ``cpu``, ``cuda``, ...

    Returns
    -------
    rows
        One row for each run and target; see `murine.generalization.results`. The column ``corruption`` separates
        corrupted images of the source from other domains.

    Examples
    --------
    >>> from murine.atlas import Atlas
    >>> from murine.domains import load_domain
    >>> from murine.generalization import settings
    >>> def load(name, part):
    ...     return load_domain(name, part=part)
    >>> chosen = settings("full", ["rendered-fonts"], [], load, corruptions=[("noise", 3)], n_test=20)
    >>> runs = plan(chosen, ["lenet-small"], ["plain"], Recipe(epochs=1), seeds=[(0, 0)])
    >>> table = compute(runs, Results(Atlas("atlas")))
    >>> print(table[["target", "unseen", "n_images", "state"]].to_string(index=False))
                    target  unseen  n_images    state
            rendered-fonts   False        20 finished
    rendered-fonts+noise:3    True        20 finished
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
            _evaluate(run, found, results, device)
            release_freed_memory()
            networks.advance(done=f"{run.task.network} {run.variant} from {run.setting.source.name}")
    tables = []
    for run in runs:
        rows = results.rows(run.task)
        evaluated = run.setting.evaluated
        rows = rows.set_index("target_digest", drop=False).loc[[each.target.digest for each in evaluated]]
        # Names are not part of the identity: the same images and layers may have had other names before.
        tables.append(
            rows.assign(
                source=run.setting.source.name,
                variant=run.variant,
                target=[each.target.name for each in evaluated],
                unseen=[each.unseen for each in evaluated],
                corruption=[each.corruption for each in evaluated],
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
        augment=augmentation_of(run.definition),
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


def _evaluate(run: Run, found: Trained, results: Results, device: str) -> None:
    """Evaluate a run on the targets that have no rows yet. Rows of weights from an earlier training do not count."""
    known = results.rows(run.task)
    there = set(known.target_digest[known.weights_digest == found.weights_digest])
    missing = {one.target.digest: one for one in run.setting.evaluated if one.target.digest not in there}
    if not missing:
        return
    diverged = found.history.state == "diverged"
    module = run.build()
    if not diverged:
        results.load_weights(run.task, module, found)
    names = {"source": run.setting.source.name, "variant": run.variant}
    precision = run.task.recipe.precision
    rows = []
    for one in missing.values():
        said = None if diverged else predict(module, one.target, device=device, precision=precision)
        rows.append(row_of(run.task, found, names, one.target, one.unseen, said))
    results.add_rows(run.task, pd.DataFrame(rows))


def trained_run(run: Run, results: Results, *, device: str = "cpu") -> nn.Module | None:
    """Return the trained network of a run, training it if necessary; None if training diverged."""
    found = results.trained(run.task) or _train(run, results, device, lambda: None)
    if found.history.state == "diverged":
        return None
    module = run.build()
    results.load_weights(run.task, module, found)
    return module


def network_name(run: Run, results: Results) -> str:
    """Return the name of the trained network of a run for `murine.networks.zoo.load`, to score it against a cortex.

    Raises
    ------
    MurineError
        If training started from pretrained weights: such a network has a new head and cannot be built by name.
    """
    task, side = run.task, run.setting.source.images.shape[1]
    if task.pretrained:
        raise MurineError(
            f"{task.network} with --pretrained cannot be scored against a cortex: it has a new head, so it cannot be "
            "built by its name. Leave out --against or --pretrained."
        )
    layer = canonical_variant(run.definition, inner_of(task.network), task.network)
    place = f"+{layer}" if layer else ""
    return f"{_call(task.network, len(task.classes), side)}{place}@{results.weights_file(task)}"


def _call(network: str, n_classes: int, side: int) -> str:
    """Return the call of the function in `trained_networks` that builds a network: ``FILE.py:conv(depth=2)``."""
    name, options = option_parser.split_call(network) or (network, "")
    function = name.replace("-", "_")
    if name not in known_networks():
        function, options = "timm", f"name={network}"
    told = [options] if options else []
    told += [f"n_classes={n_classes}"] if n_classes != trained_networks.N_CLASSES else []
    told += [f"side={side}"] if side != SIDE else []
    brackets = f"({','.join(told)})" if told else ""
    return f"{trained_networks.__file__}:{function}{brackets}"


def curves(runs: Sequence[Run], results: Results) -> pd.DataFrame:
    """Return the training curves of finished runs: one row for each run and epoch."""
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
    """Return the seeds 0 ... n - 1 of the model, each with the same seed of the data, or all with one seed of the data.

    Raises
    ------
    MurineError
        If ``n`` is less than 1.

    Examples
    --------
    >>> seed_pairs(2), seed_pairs(2, data_seed=7)
    ([(0, 0), (1, 1)], [(0, 7), (1, 7)])
    """
    if n < 1:
        raise MurineError(f"{n} seeds were asked for; expected at least 1, and 3 for an interval over seeds.")
    return [(seed, seed if data_seed is None else data_seed) for seed in range(n)]
