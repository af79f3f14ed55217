"""Messages for networks that fail on their images."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from murine.errors import MurineError, reason_of
from murine.networks.capture.naming import OUTPUT

#: Height and width of images that most networks are built for.
_USUAL_SIZE = (224, 224)

_OUT_OF_MEMORY = ("can't allocate", "not enough memory", "out of memory", "cannot allocate", "unable to allocate")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory did not suffice. PyTorch reports this in several ways."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in reason_of(error).lower() for words in _OUT_OF_MEMORY)


def refusal(
    error: BaseException, module: nn.Module, modules: Mapping[str, nn.Module], images: Tensor, shown_before: int
) -> MurineError:
    """Return the error for users: what the network raised and where, and a remedy if it is certain.

    Parameters
    ----------
    error
        The exception that the network raised.
    module
        The network.
    modules
        Its modules by name.
    images
        The images that it failed on.
    shown_before
        Number of images that the network processed together before; 0 for none.
    """
    n = len(images)
    if is_out_of_memory(error):
        remedy = f"give --batch-size {max(2, n // 2)} or less." if n > 3 else "give a smaller --input-size."
        return MurineError(f"memory does not suffice for {n} images at once; {remedy}")
    place = _place(error, modules)
    shape = " x ".join(str(size) for size in images.shape[1:])
    text = f"the network fails on {n} images of {shape} (channels x height x width): {reason_of(error)}"
    text += f", raised in {place!r}." if place not in ("", OUTPUT) else "."
    if shown_before:
        return MurineError(
            f"{text} It took {shown_before} images before: either it takes certain numbers of images only, or it keeps "
            "a state between passes that has to be reset in its forward function."
        )
    if images.dtype != torch.float32:
        text += f" Its weights are {_name(images.dtype)}, so the images were converted to {_name(images.dtype)}."
    size = _size_that_works(module, images)
    if size:
        text += f" It does take images of {size[0]} x {size[1]}: give --input-size {size[0]}x{size[1]}."
    return MurineError(text)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _place(error: BaseException, modules: Mapping[str, nn.Module]) -> str:
    """Return the name of the innermost module that was running when the error was raised."""
    names = {id(module): name for name, module in reversed(list(modules.items()))}
    place, trace = "", error.__traceback__
    while trace is not None:
        place = names.get(id(trace.tb_frame.f_locals.get("self")), place)
        trace = trace.tb_next
    return place


def _size_that_works(module: nn.Module, images: Tensor) -> tuple[int, int] | None:
    """Return the size that the network is built for, if it accepts that size: then the size is the cause."""
    if images.dim() != 4:
        return None
    try:
        config = getattr(module, "pretrained_cfg", None) or getattr(module, "default_cfg", None) or {}
        height, width = tuple(config.get("input_size", _USUAL_SIZE))[-2:]
        if (height, width) != tuple(images.shape[-2:]):
            module(images.new_full((len(images), images.shape[1], height, width), 0.5))
            return int(height), int(width)
    except KeyboardInterrupt:
        raise
    except BaseException:  # the network may raise anything; another size is no remedy then
        return None
    return None
