"""Results of training in an atlas: the identity of a run, its weights and its rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from jaxtyping import Shaped
from numpy.typing import NDArray
from torch import nn

from murine.atlas.identity import Identified
from murine.atlas.store import Atlas, provenance
from murine.atlas.tables import schema_of, write_rows
from murine.domains.domain import Domain
from murine.errors import MurineError
from murine.generalization.history import History
from murine.generalization.predictions import Predictions, calibration_error
from murine.generalization.recipe import Recipe
from murine.io.files import atomic_write, read_json
from murine.networks import checkpoints, weights

#: Increased whenever the same configuration gives other weights or other rows.
METHOD = 1


class TrainingTask(Identified):
    """The configuration of one training. Its digest names the files of weights and rows.

    ``pretrained`` is the digest of the network that training starts from, or False. The names of domains and variants
    are not part of it, only their content. Targets are not part of it, because training does not see them. Device and
    number of threads are not part of it, because they change only the last bits of a sum.
    """

    kind: Literal["training"] = "training"
    method: int = METHOD
    source_digest: str
    classes: tuple[str, ...]
    network: str
    pretrained: Literal[False] | str = False
    layer: str = ""
    place: str = ""
    augmentation: str = ""
    recipe: Recipe
    model_seed: int
    data_seed: int


@dataclass(frozen=True)
class Trained:
    """What is stored about a finished training.

    Attributes
    ----------
    history
        The results of every epoch.
    weights_digest
        Digest of all parameters and buffers; '' if training diverged.
    n_train, n_validation
        Numbers of training and validation images.
    """

    history: History
    weights_digest: str
    n_train: int
    n_validation: int


_COLUMNS = {
    **dict.fromkeys(
        ("task", "source", "source_digest", "network", "variant", "layer", "place", "augmentation"), "string"
    ),
    "pretrained": "bool",
    **dict.fromkeys(("model_seed", "data_seed"), "int32"),
    **dict.fromkeys(("recipe", "state", "weights_digest"), "string"),
    **dict.fromkeys(("n_train", "n_validation", "n_epochs", "best_epoch"), "int32"),
    "validation_accuracy": "float64",
    **dict.fromkeys(("target", "target_digest"), "string"),
    "unseen": "bool",
    **dict.fromkeys(("n_images", "n_groups"), "int32"),
    **dict.fromkeys(("accuracy", "ece"), "float64"),
}

#: Columns with one value for each image: its class, the predicted class and its probability, and its group.
PER_IMAGE = {"labels": "int16", "predicted": "int16", "confidence": "float32", "groups": "int32"}


class Results:
    """Runs and their rows: ``trained/<digest>.json`` and ``.safetensors``, ``generalization/<digest>.parquet``.

    A file that is there is complete; the .json appears when training is over.

    Examples
    --------
    >>> from murine.domains import load_domain
    >>> from murine.generalization import compute, plan, settings
    >>> chosen = settings("full", ["rendered-fonts"], [], lambda name, part: load_domain(name, part=part), n_test=20)
    >>> runs = plan(chosen, ["lenet-small"], ["plain"], Recipe(epochs=1), seeds=[(0, 0)])
    >>> results = Results(Atlas("atlas"))
    >>> table = compute(runs, results)
    >>> results.trained(runs[0].task).history.state
    'finished'
    >>> results.rows(runs[0].task).n_images.tolist()
    [20]
    """

    def __init__(self, atlas: Atlas) -> None:
        self.atlas = atlas

    def _file(self, task: TrainingTask, suffix: str) -> Path:
        return self.atlas.folder / "trained" / f"{task.digest}{suffix}"

    def checkpoint_file(self, task: TrainingTask) -> Path:
        return self._file(task, ".checkpoint")

    def weights_file(self, task: TrainingTask) -> Path:
        return self._file(task, ".safetensors")

    def rows_file(self, task: TrainingTask) -> Path:
        return self.atlas.folder / "generalization" / f"{task.digest}.parquet"

    def trained(self, task: TrainingTask) -> Trained | None:
        """Return what is stored about a training; None if it is not finished."""
        file = self._file(task, ".json")
        if not file.exists():
            return None
        about = read_json(file)
        return Trained(
            History.from_plain(about["history"]), about["weights_digest"], about["n_train"], about["n_validation"]
        )

    def write_trained(
        self, task: TrainingTask, module: nn.Module, history: History, n_train: int, n_validation: int
    ) -> Trained:
        """Store the weights and the history of a training, and delete its checkpoint."""
        diverged = history.state == "diverged"
        found = Trained(history, "" if diverged else weights.digest(module), n_train, n_validation)
        if not diverged:
            from safetensors.torch import save

            state = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
            with atomic_write(self.weights_file(task)) as partial:
                partial.write_bytes(save(state, {"murine.task": task.digest, "sha256": found.weights_digest}))
        about = {
            "task": task.model_dump(mode="json"),
            "provenance": provenance(),
            "history": history.plain(),
            "weights_digest": found.weights_digest,
            "n_train": n_train,
            "n_validation": n_validation,
        }
        with atomic_write(self._file(task, ".json")) as partial:
            partial.write_text(json.dumps(about, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        self.checkpoint_file(task).unlink(missing_ok=True)
        return found

    def load_weights(self, task: TrainingTask, module: nn.Module, found: Trained) -> None:
        """Load the stored weights of a training into a network; refuse weights with another digest."""
        file = self.weights_file(task)
        if not file.exists():
            raise MurineError(
                f"the weights of a run are gone ({str(file)!r}), but not what is told of it. Delete {file.stem}.json "
                "beside it; the same command trains again."
            )
        checkpoints.load_file_into(module, file, task.network)
        if weights.digest(module) != found.weights_digest:
            raise MurineError(
                f"{str(file)!r} holds other weights than were trained: its digest differs. Delete {file.stem}.* beside "
                "it; the same command trains again."
            )

    def rows(self, task: TrainingTask) -> pd.DataFrame:
        """Return the rows of a training, one for each target; none if there are none or the file is damaged."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = self.rows_file(task)
        if not self.atlas.is_whole(file):
            return _schema().empty_table().to_pandas()
        try:
            return pq.read_table(file, schema=_schema()).to_pandas()
        except (pa.ArrowException, OSError) as error:
            raise MurineError(
                f"{str(file)!r} cannot be read ({error}): it is damaged. Delete it; the same command makes it again."
            ) from error

    def add_rows(self, task: TrainingTask, rows: pd.DataFrame) -> None:
        """Add rows of further targets to the rows of a training that belong to the same weights."""
        before = self.rows(task)
        same = before.weights_digest.isin(rows.weights_digest)
        before = before[same & ~before.target_digest.isin(rows.target_digest)]
        every = rows if before.empty else pd.concat([before, rows], ignore_index=True)
        write_rows(self.rows_file(task), task, every, _schema(), provenance())


def row_of(
    task: TrainingTask,
    found: Trained,
    names: dict[str, str],
    target: Domain,
    unseen: bool,
    predictions: Predictions | None,
) -> dict[str, Any]:
    """Return the row of a training and a target.

    Parameters
    ----------
    names
        ``source`` and ``variant``, as the user named them.
    predictions
        The predictions for the target; None if training diverged.
    """
    history = found.history
    codes = group_codes(target.groups)
    best = history.epochs[history.best] if history.best >= 0 else None
    about = {
        **names,
        **{key: getattr(task, key) for key in ("source_digest", "network", "layer", "place", "augmentation")},
        **{key: getattr(task, key) for key in ("model_seed", "data_seed")},
        "pretrained": bool(task.pretrained),
        "task": task.digest,
        "recipe": task.recipe.model_dump_json(),
        "state": history.state,
        "weights_digest": found.weights_digest,
        "n_train": found.n_train,
        "n_validation": found.n_validation,
        "n_epochs": len(history.epochs),
        "best_epoch": history.best + 1,
        "validation_accuracy": best.validation_accuracy if best else np.nan,
        "target": target.name,
        "target_digest": target.digest,
        "unseen": unseen,
        "n_images": target.n_images,
        "n_groups": int(codes.max()) + 1,
        "labels": target.labels.astype(np.int16),
        "groups": codes,
    }
    if predictions is None:
        return {**about, "accuracy": np.nan, "ece": np.nan, "predicted": None, "confidence": None}
    correct = predictions.predicted == target.labels
    return {
        **about,
        "accuracy": float(correct.mean()),
        "ece": calibration_error(predictions.confidence, correct),
        "predicted": predictions.predicted.astype(np.int16),
        "confidence": predictions.confidence,
    }


def group_codes(groups: Shaped[np.ndarray, " n_images"]) -> NDArray[np.int32]:
    """Return the numbers of groups, from 0. An image without a group is its own group."""
    names = [group or f"\0{i}" for i, group in enumerate(groups.tolist())]
    return pd.factorize(np.array(names, dtype=object))[0].astype(np.int32)


def _schema() -> Any:
    import pyarrow as pa

    kinds = {"int16": pa.int16, "int32": pa.int32, "float32": pa.float32}
    return pa.schema([*schema_of(_COLUMNS), *(pa.field(name, pa.list_(kinds[k]())) for name, k in PER_IMAGE.items())])
