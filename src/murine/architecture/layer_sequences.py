"""The layer sequence of a network: what runs in one forward pass, in order, one letter each.

A network is read by running it once on made-up images. Hooks see its modules, a function mode of PyTorch sees the
calls between them (`torch.relu`, ``a + b``, `torch.cat` ...). What a thing is called decides its kind; a `Vocabulary`
decides which kinds are written, and with what letter."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from murine.architecture.forward_trace import Layer, trace_layers
from murine.architecture.vocabulary import Vocabulary, load_vocabulary
from murine.errors import MurineError, some


def layer_sequence(
    module: nn.Module, inputs: Tensor | None = None, *, vocabulary: str | Path | Vocabulary = "paper"
) -> str:
    """Spell the layers of a network in the order in which they run, a letter each.

    Parameters
    ----------
    module
        Any network; put in evaluation mode meanwhile.
    inputs
        What it is shown, on its device; None: zeros of the size that it tells in ``pretrained_cfg`` or ``default_cfg``
        (timm's keys), else 3 x 224 x 224.
    vocabulary
        ``paper`` (the modules, a letter for each class), ``keras`` (what Keras would list), ``fine`` (everything,
        convolutions told apart), a JSON file (`Vocabulary.from_file`), or a `Vocabulary`.

    Raises
    ------
    MurineError
        If the network cannot be run on the inputs, or nothing in it has a letter.

    Notes
    -----
    The published strings (Jalil, Qazi & Iqbal 2025, arXiv 2505.06881) are of two kinds: VGG11's is the list of a
    PyTorch network's modules (``paper``), those of VGG16 and VGG19 are of Keras networks (``keras``).
    """
    words = load_vocabulary(vocabulary)
    layers = trace_layers(module, inputs)
    spelled = words.encode(layers)
    if not spelled:
        raise empty_sequence_error(type(module).__name__, layers)
    return spelled


def empty_sequence_error(name: str, layers: Sequence[Layer]) -> MurineError:
    """What is to be said of a network whose sequence has no letters."""
    ran = f"of the {len(layers)} layers that ran ({some(sorted({x.kind for x in layers}))}) none" if layers else "none"
    return MurineError(
        f"the layer sequence of {name} is empty: {ran} has a letter in this vocabulary. The vocabulary 'fine' sees "
        "most; only modules and functions of PyTorch's, timm's and torchvision's names are known."
    )
