"""Recipes: how a network is trained, as validated configuration. Every field can change a result: all are identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from murine.errors import MurineError, nearest
from murine.registry import Registry


class Recipe(BaseModel):
    """How a network is trained.

    Attributes
    ----------
    optimiser, learning_rate, weight_decay, momentum
        ``momentum`` is of ``sgd`` alone.
    schedule
        ``cosine`` lets the learning rate fall to 0 over all ``epochs``, batch by batch; ``constant`` does not.
    epochs
        At most; the weights of the epoch with the highest accuracy on the source's validation images are kept, the
        earliest of several alike.
    patience
        Epochs without a better one after which training stops; None: never.
    validation
        Share of the source's training images that is held back to choose the epoch, whole groups of them.
    n_train
        Only the first so many of the source's training images, in the order of the archive; ``validation`` is then a
        share of this number, taken from the images after them where there are some (protocol ``mnist10k``).
    precision
        Numbers of the forward pass: ``bf16`` and ``fp16`` are mixed precision.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    schedule: Literal["constant", "cosine"] = "constant"
    batch_size: int = Field(default=128, ge=2)
    epochs: int = Field(default=20, ge=1)
    patience: int | None = Field(default=None, ge=1)
    validation: float = Field(default=0.1, gt=0, lt=1)
    n_train: int | None = Field(default=None, ge=1)
    precision: Literal["32", "bf16", "fp16"] = "32"

    def changed(self, options: Mapping[str, Any]) -> Recipe:
        """The recipe with other values of some fields; None leaves a field as it is.

        Raises
        ------
        MurineError
            An unknown field, a value that it cannot have, or a momentum for an optimiser that has none.
        """
        given = {key: value for key, value in options.items() if value is not None}
        for key in given:
            if key not in type(self).model_fields:
                known = ", ".join(type(self).model_fields)
                raise MurineError(
                    f"a recipe has no {key!r}{nearest(key, type(self).model_fields) or '.'} Known: {known}."
                )
        try:
            found = Recipe.model_validate({**self.model_dump(), **given})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise MurineError(f"the recipe's {where} is {first['input']!r}: {first['msg'].lower()}.") from error
        if "momentum" in given and found.optimiser != "sgd":
            raise MurineError(
                f"the recipe's momentum is {given['momentum']}, and its optimiser is {found.optimiser}; momentum is of "
                "sgd alone: set optimiser=sgd, too."
            )
        return found


#: Recipes by name.
recipes: Registry[Recipe] = Registry("recipe")
# What is usual where the paper does not say (docs/reference/sources.md).
recipes.register("paper")(Recipe())
# As far on digits in a third of the time: the learning rate falls to 0, so that few epochs are enough.
recipes.register("quick")(Recipe(epochs=6, schedule="cosine"))
# Networks with batch normalisation and from scratch: long enough for augmentations to pay.
recipes.register("long")(Recipe(optimiser="adamw", weight_decay=0.05, epochs=60, schedule="cosine"))
# Weights that know much already.
recipes.register("fine-tune")(
    Recipe(optimiser="adamw", learning_rate=1e-4, weight_decay=0.01, epochs=6, schedule="cosine")
)
