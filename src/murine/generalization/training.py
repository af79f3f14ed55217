"""Training on one source: the only images seen are the source's, and so is all that is chosen.

A source is small enough to be held as it is, uint8, on the device; batches are picked by index there and become
floating point there. Every epoch draws its order, its augmentations and its dropout from generators of its own, so that
training that was stopped goes on exactly as if it had not been.
"""

from __future__ import annotations

import gc
import logging
import math
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Shaped
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from murine.domains.domain import Domain
from murine.errors import MurineError
from murine.generalization.recipe import Recipe
from murine.io.files import atomic_write

if TYPE_CHECKING:
    import pytorch_lightning

#: Over an epoch, a loss so many times that of guessing, or none at all, is called diverged.
DIVERGED = 10.0

#: Images that pass together where nothing is learned: few enough that their maps stay in the cache.
_EVALUATED = 128

Augment = Callable[[Tensor, torch.Generator], Tensor]


# --------------------------------------------------------------------------------- splits


def split(source: Domain, recipe: Recipe, seed: int) -> tuple[Domain, Domain]:
    """Training and validation images, both of the source's part ``train``; no group is in both.

    Parameters
    ----------
    recipe
        Its ``validation`` is the share held back, whole groups drawn at random; with ``n_train`` the first so many
        images are trained on, and those after them, up to ``validation`` times ``n_train``, are held back: in the order
        of the source where its first images are of all classes (MNIST), else in a mixed order, always the same.
    seed
        Of the data.

    Raises
    ------
    MurineError
        Too few images or groups, or only one class to learn.
    """
    images = source.part("train")
    n = images.n_images
    if recipe.n_train is not None:
        if n <= recipe.n_train:
            raise MurineError(
                f"{source.name!r} has {n:,} training images; the recipe wants the first {recipe.n_train:,} and some "
                "after them to choose the epoch by."
            )
        held = min(n - recipe.n_train, max(1, round(recipe.validation * recipe.n_train)))
        order = _order(images.labels, recipe.n_train)
        training = images.subset(order[: recipe.n_train])
        rows = order[recipe.n_train : recipe.n_train + held]
        seen = set(training.groups.tolist()) - {""}
        rows = rows[[group not in seen for group in images.groups[rows].tolist()]]
    else:
        rows = _held_back(images.groups, recipe.validation, seed)
        training = images.subset(np.setdiff1d(np.arange(n), rows))
    if not len(rows) or not training.n_images:
        raise MurineError(
            f"{source.name!r} has too few groups of images ({len(set(images.groups.tolist()))} of {n} images) to hold "
            "some back and learn from others."
        )
    if len(np.unique(training.labels)) < 2:
        only = source.classes[int(training.labels[0])]
        raise MurineError(f"all {training.n_images} training images of {source.name!r} are {only!r}: nothing to learn.")
    return training, images.subset(rows)


def _order(labels: Int64[np.ndarray, " n_images"], n_first: int) -> NDArray[np.int64]:
    """Rows as they are, if each class has at least half its share of the first ones; else mixed, for sources sorted by
    class."""
    shares, first = np.bincount(labels) / len(labels), np.bincount(labels[:n_first], minlength=int(labels.max()) + 1)
    if (first >= shares * n_first / 2).all():
        return np.arange(len(labels))
    return np.random.default_rng(0).permutation(len(labels))


def _held_back(groups: Shaped[np.ndarray, " n_images"], share: float, seed: int) -> NDArray[np.int64]:
    """Rows of whole groups, drawn until the share is reached; an image without a group is one by itself.

    A group that would make it more than twice the share is passed over where a smaller one is left.
    """
    names = np.array([group or f"\0{i}" for i, group in enumerate(groups.tolist())])
    _, codes, sizes = np.unique(names, return_inverse=True, return_counts=True)
    order = np.random.default_rng([seed, 1]).permutation(len(sizes))
    wanted, chosen, n = share * len(groups), [], 0
    for group in order[: len(sizes) - 1]:
        if n >= wanted:
            break
        if n + sizes[group] <= 2 * wanted:
            chosen.append(group)
            n += sizes[group]
    if not chosen and len(sizes) > 1:
        chosen.append(sizes.argmin())
    return np.flatnonzero(np.isin(codes, chosen)).astype(np.int64)


# --------------------------------------------------------------------------------- images on a device


class Batches:
    """Batches of a domain, on its device: float32 images (n, 3, side, side) in [0, 1] with their labels.

    For training in a new order every epoch, without the last images that do not fill a batch; else in order, all.
    """

    def __init__(
        self,
        domain: Domain,
        batch_size: int,
        device: torch.device,
        *,
        seed: int | None = None,
        augment: Augment | None = None,
    ) -> None:
        self.images = torch.from_numpy(domain.images).permute(0, 3, 1, 2).contiguous().to(device)
        self.labels = torch.from_numpy(domain.labels).to(device)
        self.batch_size = min(batch_size, domain.n_images) if seed is not None else batch_size
        self.seed, self.augment, self.device = seed, augment, device
        self.epoch = 0

    def __len__(self) -> int:
        n = len(self.labels)
        return n // self.batch_size if self.seed is not None else math.ceil(n / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        n = len(self.labels)
        order = None
        draws = torch.Generator(self.device)
        if self.seed is not None:
            # Drawn on the CPU: the same order on every device.
            order = torch.randperm(n, generator=seeded(self.seed, 2, self.epoch)).to(self.device)
            draws.manual_seed(mixed(self.seed, 3, self.epoch))
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            stop = start + self.batch_size
            if order is None:
                images, labels = self.images[start:stop], self.labels[start:stop]
            else:
                index = order[start:stop]
                images, labels = self.images[index], self.labels[index]
            pixels = images.float() / 255
            yield pixels if self.augment is None else self.augment(pixels, draws), labels


def mixed(*numbers: int) -> int:
    """One seed of several numbers: different ones give independent draws."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def seeded(*numbers: int) -> torch.Generator:
    """A generator on the CPU."""
    return torch.Generator().manual_seed(mixed(*numbers))


# --------------------------------------------------------------------------------- what comes of training


@dataclass
class Epoch:
    """What one epoch came to; losses are means over images, accuracy is of the validation images."""

    loss: float
    validation_loss: float
    validation_accuracy: float


@dataclass
class History:
    """All epochs of a run, and which one was chosen.

    Attributes
    ----------
    best
        Position of the epoch with the highest accuracy on validation images, the earliest of several; -1 before any.
    state
        ``running``, ``finished`` or ``diverged``.
    """

    epochs: list[Epoch] = field(default_factory=list)
    best: int = -1
    state: str = "running"

    def add(self, epoch: Epoch, recipe: Recipe, n_classes: int) -> bool:
        """Take in an epoch; whether it is the best so far."""
        self.epochs.append(epoch)
        n = len(self.epochs)
        losses = epoch.loss, epoch.validation_loss
        too_large = n > 1 and epoch.loss > DIVERGED * math.log(n_classes)
        if too_large or not all(math.isfinite(loss) for loss in losses):
            self.state = "diverged"
            return False
        better = self.best < 0 or epoch.validation_accuracy > self.epochs[self.best].validation_accuracy
        if better:
            self.best = n - 1
        waited = n - 1 - self.best
        if n >= recipe.epochs or (recipe.patience is not None and waited >= recipe.patience):
            self.state = "finished"
        return better

    def plain(self) -> dict[str, Any]:
        """For JSON and checkpoints; a loss that is no number is None."""
        rows = [
            {key: value if math.isfinite(value) else None for key, value in vars(epoch).items()}
            for epoch in self.epochs
        ]
        return {"epochs": rows, "best": self.best, "state": self.state}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> History:
        rows = [{key: math.nan if value is None else value for key, value in row.items()} for row in plain["epochs"]]
        return cls([Epoch(**row) for row in rows], plain["best"], plain["state"])


@dataclass
class Predictions:
    """What a network says of a domain.

    Attributes
    ----------
    predicted
        int64 array (n_images,): the class with the highest probability.
    confidence
        float32 array (n_images,): that probability.
    """

    predicted: NDArray[np.int64]
    confidence: NDArray[np.float32]


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
    """Train a network in place; at the end it has the weights of the best epoch.

    Parameters
    ----------
    module
        Takes images (n, 3, side, side) in [0, 1].
    training, validation
        Of one source, see `split`. The epoch is chosen, and training stopped, by the second alone.
    model_seed
        Of what the network draws while it learns (dropout); initial weights are those of ``module``.
    data_seed
        Of the order of images and of augmentations.
    augment
        What is done to every batch of training images.
    checkpoint
        A file that is written after every epoch, and gone on from where it exists.
    tick
        Called after every epoch.

    Returns
    -------
    history
        Its ``state`` is ``finished`` or ``diverged``; then the weights are whatever they had become.

    Raises
    ------
    MurineError
        If the device cannot be used, or the checkpoint is of another network.
    """
    target = _device(device)
    if recipe.precision == "fp16" and target.type == "cpu":
        raise MurineError("precision fp16 needs a GPU; on a CPU take bf16 (--set precision=bf16).")
    module.to(target).train()  # Lightning takes a network in the mode it finds it in
    batches = Batches(training, recipe.batch_size, target, seed=data_seed, augment=augment)
    held_back = Batches(validation, _EVALUATED, target)
    history, best = _fit(module, recipe, batches, held_back, training.n_classes, model_seed, checkpoint, tick)
    gc.collect()  # Lightning's objects hold each other, and with them three times the weights
    if history.state == "finished":
        module.load_state_dict(best)
    module.eval()
    return history


@torch.no_grad()
def predict(module: nn.Module, domain: Domain, *, device: str = "cpu", precision: str = "32") -> Predictions:
    """Classes that a network gives the images of a domain, and how sure it is.

    Parameters
    ----------
    precision
        As the network was trained, see `murine.generalization.recipe.Recipe`.
    """
    target = _device(device)
    module.to(target).eval()
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
    with torch.autocast(target.type, half, enabled=half is not None):
        found = [module(images).float().softmax(dim=1).max(dim=1) for images, _ in Batches(domain, _EVALUATED, target)]
    confidence = torch.cat([each.values for each in found]).cpu().numpy()
    return Predictions(torch.cat([each.indices for each in found]).cpu().numpy(), confidence)


def accuracy(predicted: Int64[np.ndarray, " n"], labels: Int64[np.ndarray, " n"]) -> float:
    """Share of images whose class was told."""
    return float((predicted == labels).mean())


def calibration_error(confidence: Float[np.ndarray, " n"], correct: Bool[np.ndarray, " n"], n_bins: int = 15) -> float:
    """Expected calibration error: the mean distance between confidence and accuracy over equal bins of confidence.

    Guo, Pleiss, Sun, Weinberger 2017 (ICML), equation 3, with their 15 bins, each open below and closed above.
    """
    if not len(confidence):
        return math.nan
    bins = np.clip(np.ceil(confidence.astype(np.float64) * n_bins).astype(int) - 1, 0, n_bins - 1)
    gap = np.bincount(bins, confidence.astype(np.float64) - correct, minlength=n_bins)
    return float(np.abs(gap).sum() / len(confidence))


# --------------------------------------------------------------------------------- Lightning


@contextmanager
def _lightning() -> Iterator[Any]:
    """Lightning without its advertisements, and without warnings that its way of counting batches is to blame for."""
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
    """What became of training, and the weights of the best epoch."""
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
            except SystemExit:  # what Lightning makes of Ctrl-C, which it also switches off
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
        """Cross-entropy; sums stay on the device until the epoch is over, so that no batch waits for a number."""

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
            torch.manual_seed(mixed(model_seed, 4, self.current_epoch))
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


def _device(name: str) -> torch.device:
    chosen = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    try:
        return torch.empty(0, device=chosen).device
    except (RuntimeError, AssertionError) as error:
        raise MurineError(f"the device {name!r} cannot be used: {str(error).splitlines()[0]}") from error
