"""Training of a network on one source with Lightning. Only images of the source are seen, also to choose the epoch."""

from __future__ import annotations

import gc
import logging
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from murine.domains.domain import Domain
from murine.errors import MurineError
from murine.generalization.batches import EVALUATION_BATCH, Augment, Batches, combined_seed
from murine.generalization.history import Epoch, History
from murine.generalization.recipe import Recipe
from murine.io.files import atomic_write
from murine.networks.devices import usable_device

if TYPE_CHECKING:
    import pytorch_lightning


def train(
    module: nn.Module,
    training: Domain,
    validation: Domain,
    recipe: Recipe,
    *,
    model_seed: int = 0,
    data_seed: int = 0,
    augment: Augment | None = None,
    checkpoint: Path | None = None,
    device: str = "cpu",
    tick: Callable[[], None] = lambda: None,
) -> History:
    """Train a network in place. At the end it has the weights of the best epoch.

    Parameters
    ----------
    module
        A network from images (n, 3, side, side) in [0, 1] to (n, n_classes).
    training, validation
        Images of one source (`murine.generalization.splits.split`). Only the validation images decide which epoch is
        the best and when training stops.
    recipe
        Optimiser, learning rate, number of epochs and the like.
    model_seed
        Seed of the network's own draws during training (dropout). The initial weights are those of ``module``.
    data_seed
        Seed of the order of images and of augmentations.
    augment
        Changes every batch of training images.
    checkpoint
        A file that is written after every epoch. If it exists, training continues from it.
    device
        ``auto``, ``cpu``, ``cuda``, ...
    tick
        Called after every epoch.

    Returns
    -------
    history
        ``history.state`` is ``finished`` or ``diverged``. If it diverged, the network has the last weights.

    Raises
    ------
    MurineError
        If the device cannot be used, or the checkpoint is of another network.

    Examples
    --------
    >>> from murine.domains import load_domain
    >>> from murine.generalization import build, split
    >>> recipe = Recipe(epochs=1)
    >>> training, validation = split(load_domain("rendered-fonts"), recipe, seed=0)
    >>> network = build("lenet-small", training.n_classes, seed=0).module
    >>> history = train(network, training, validation, recipe)
    >>> history.state, len(history.epochs)
    ('finished', 1)
    """
    target = usable_device(device)
    if recipe.precision == "fp16" and target.type == "cpu":
        raise MurineError("precision fp16 needs a GPU; on a CPU take bf16 (--set precision=bf16).")
    module.to(target).train()  # Lightning does not change the mode of a network
    batches = Batches(training, recipe.batch_size, target, seed=data_seed, augment=augment)
    held_back = Batches(validation, EVALUATION_BATCH, target)
    history, best = _fit(module, recipe, batches, held_back, training.n_classes, model_seed, checkpoint, tick)
    gc.collect()  # Lightning's objects refer to each other and keep three copies of the weights
    if history.state == "finished":
        module.load_state_dict(best)
    module.eval()
    return history


@contextmanager
def _lightning() -> Iterator[Any]:
    """Import Lightning, without its advertisements and its warnings about the number of batches."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pytorch_lightning

        levels = {name: logging.getLogger(name).level for name in ("pytorch_lightning", "lightning.pytorch")}
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield pytorch_lightning
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


def _fit(
    module: nn.Module,
    recipe: Recipe,
    batches: Batches,
    held_back: Batches,
    n_classes: int,
    model_seed: int,
    checkpoint: Path | None,
    tick: Callable[[], None],
) -> tuple[History, dict[str, Tensor]]:
    """Train, or continue a training, and return its history and the weights of the best epoch."""
    target = batches.device
    with _lightning() as lightning, torch.random.fork_rng(devices=[target] if target.type == "cuda" else []):
        learner = _learner(lightning, module, recipe, batches, n_classes, model_seed, checkpoint, tick)
        resumed = checkpoint if checkpoint is not None and checkpoint.exists() else None
        if resumed is not None:
            learner.history = _read_history(resumed)
            for _ in learner.history.epochs:
                tick()
        if learner.history.state == "running":
            trainer = lightning.Trainer(
                accelerator="gpu" if target.type == "cuda" else target.type,
                devices=1 if target.index is None else [target.index],
                max_epochs=recipe.epochs,
                precision={"32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[recipe.precision],
                num_sanity_val_steps=0,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            try:
                trainer.fit(learner, batches, held_back, ckpt_path=resumed, weights_only=True)
            except SystemExit:  # Lightning turns Ctrl-C into SystemExit and ignores further ones
                signal.signal(signal.SIGINT, signal.default_int_handler)
                raise KeyboardInterrupt from None
        elif resumed is not None:
            learner.best_weights = torch.load(resumed, map_location=target, weights_only=True)["murine"]["best"]
        return learner.history, learner.best_weights


def _learner(
    lightning: Any,
    module: nn.Module,
    recipe: Recipe,
    batches: Batches,
    n_classes: int,
    model_seed: int,
    checkpoint: Path | None,
    tick: Callable[[], None],
) -> Any:
    base: type[pytorch_lightning.LightningModule] = lightning.LightningModule

    class Learner(base):  # type: ignore[misc,valid-type]
        """Cross-entropy. Sums stay on the device until the end of the epoch, so that no batch waits for them."""

        def __init__(self) -> None:
            super().__init__()
            self.network = module
            self.history = History()
            self.best_weights: dict[str, Tensor] = {}
            self._sums: dict[str, Tensor] = {}

        def configure_optimizers(self) -> Any:
            optimiser = _optimiser(self.network, recipe)
            if recipe.schedule == "constant":
                return optimiser
            n_steps = recipe.epochs * len(batches)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_steps)
            return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

        def on_train_epoch_start(self) -> None:
            batches.epoch = self.current_epoch
            torch.manual_seed(combined_seed(model_seed, 4, self.current_epoch))
            self._sums = {}

        def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
            images, labels = batch
            loss = functional.cross_entropy(self.network(images), labels)
            self._count("loss", loss.detach(), 1)
            return loss

        def validation_step(self, batch: tuple[Tensor, Tensor], _index: int) -> None:
            images, labels = batch
            logits = self.network(images).float()
            self._count("validation_loss", functional.cross_entropy(logits, labels, reduction="sum"), len(labels))
            self._count("right", (logits.argmax(dim=1) == labels).sum(), 0)

        def _count(self, name: str, value: Tensor, n: int) -> None:
            self._sums[name] = self._sums[name] + value if name in self._sums else value
            self._sums[f"n_{name}"] = self._sums.get(f"n_{name}", 0) + n  # type: ignore[assignment]

        def on_train_epoch_end(self) -> None:
            sums = self._sums
            n = float(sums["n_validation_loss"])
            epoch = Epoch(
                float(sums["loss"]) / float(sums["n_loss"]),
                float(sums["validation_loss"]) / n,
                float(sums["right"]) / n,
            )
            if self.history.add(epoch, recipe, n_classes):
                self.best_weights = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
            self.trainer.should_stop = self.history.state != "running"
            if checkpoint is not None:
                with atomic_write(checkpoint) as partial:
                    self.trainer.save_checkpoint(partial)
            tick()

        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            checkpoint["murine"] = {"history": self.history.plain(), "best": self.best_weights}

        def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            self.best_weights = checkpoint["murine"]["best"]

    return Learner()


def _optimiser(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    options: dict[str, Any] = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(parameters, momentum=recipe.momentum, **options)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimiser]
    return kind(parameters, **options)


def _read_history(checkpoint: Path) -> History:
    try:
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)
        return History.from_plain(saved["murine"]["history"])
    except Exception as error:  # a damaged file makes torch fail in any way
        raise MurineError(
            f"the checkpoint {str(checkpoint)!r} cannot be read ({type(error).__name__}): it is damaged. Delete it; "
            "the same command trains from the start."
        ) from error
