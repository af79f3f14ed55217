"""The layer sequence of a network: the layers that run in one forward pass, as a string of letters.

`murine.architecture.forward_trace` runs the network, `murine.architecture.layer_kinds` recognises the layers, and
`murine.architecture.vocabulary` says which of them are written.
"""

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
    """Write the layers of a network in the order in which they run, one letter each.

    Parameters
    ----------
    module
        Any network. It is in evaluation mode during the run.
    inputs
        As in `murine.architecture.forward_trace.trace_layers`.
    vocabulary
        ``paper`` (modules, one letter for each class), ``keras`` (what Keras would list), ``fine`` (everything, with
        kinds of convolutions told apart), a JSON file (`murine.architecture.vocabulary.Vocabulary.from_file`), or a
        `Vocabulary`.

    Returns
    -------
    sequence
        One letter for each layer that the vocabulary has.

    Raises
    ------
    MurineError
        If the network fails on the inputs, or no layer has a letter.

    Notes
    -----
    The published strings (Jalil, Qazi & Iqbal 2025, arXiv 2505.06881) are of two kinds: that of VGG11 lists the modules
    of a PyTorch network (``paper``); those of VGG16 and VGG19 come from Keras networks (``keras``).

    Examples
    --------
    >>> import torch
    >>> block = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU())
    >>> layer_sequence(block, torch.zeros(2, 3, 16, 16))
    'CBR'
    """
    words = load_vocabulary(vocabulary)
    layers = trace_layers(module, inputs)
    spelled = words.encode(layers)
    if not spelled:
        raise empty_sequence_error(type(module).__name__, layers)
    return spelled


def empty_sequence_error(name: str, layers: Sequence[Layer]) -> MurineError:
    """Return the error for a network whose sequence has no letters."""
    ran = f"of the {len(layers)} layers that ran ({some(sorted({x.kind for x in layers}))}) none" if layers else "none"
    return MurineError(
        f"the layer sequence of {name} is empty: {ran} has a letter in this vocabulary. The vocabulary 'fine' sees "
        "most; only modules and functions of PyTorch's, timm's and torchvision's names are known."
    )
