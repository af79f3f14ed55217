"""Recipes of training, as validated configuration. Every field is part of the identity of results."""

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
        ``momentum`` is used by ``sgd`` only.
    schedule
        ``cosine``: the learning rate falls to 0 over all ``epochs``, batch by batch. ``constant``: it does not change.
    batch_size
        Number of images in a batch.
    epochs
        Largest number of epochs. The weights of the epoch with the highest accuracy on validation images are kept; of
        equal ones, the earliest.
    patience
        Number of epochs without improvement after which training stops; None: never.
    validation
        Share of the source's training images used for validation, in whole groups.
    n_train
        Number of training images, the first of the source; None: all. ``validation`` is then a share of this number,
        taken from the images after them (protocol ``mnist10k``).
    precision
        Number type of the forward pass. ``bf16`` and ``fp16`` are mixed precision.

    Raises
    ------
    pydantic.ValidationError
        If a value is not possible, or a field is unknown. `Recipe.changed` raises a `murine.MurineError` instead.

    Examples
    --------
    >>> Recipe(epochs=3, schedule="cosine").learning_rate
    0.001
    >>> recipes["quick"].epochs
    6
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
        """Return the recipe with other values of some fields. None leaves a field unchanged.

        Raises
        ------
        MurineError
            If a field is unknown, a value is not possible, or a momentum is given for an optimiser without one.

        Examples
        --------
        >>> Recipe().changed({"epochs": 3}).epochs
        3
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


#: All recipes by name.
recipes: Registry[Recipe] = Registry("recipe")
# The recipe of Jalil et al. 2025, with common values for what the paper does not state (docs/reference/sources.md).
recipes.register("paper")(Recipe())
# The same accuracy on digits in a third of the time: the learning rate falls to 0, so that few epochs suffice.
recipes.register("quick")(Recipe(epochs=6, schedule="cosine"))
# For networks with batch normalisation, trained from scratch: long enough for augmentations to help.
recipes.register("long")(Recipe(optimiser="adamw", weight_decay=0.05, epochs=60, schedule="cosine"))
# For pretrained weights.
recipes.register("fine-tune")(
    Recipe(optimiser="adamw", learning_rate=1e-4, weight_decay=0.01, epochs=6, schedule="cosine")
)
