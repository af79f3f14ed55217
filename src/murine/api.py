"""The functions that `import murine` offers: load data and networks, score, compare, capture, report.

Everything here is thin: it turns what a person has into what the rooms need, and calls them. The command line calls
the same functions, so both give the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from murine.atlas.comparison import compare as compare
from murine.errors import MurineError

if TYPE_CHECKING:
    import xarray as xr
    from torch import nn

    from murine.atlas.scores import Scores
    from murine.atlas.store import Atlas
    from murine.cortex.dataset import Dataset
    from murine.cortex.rdms import NeuralRDMs
    from murine.cortex.recording import Recording
    from murine.networks.capture import CapturedLayer
    from murine.networks.network import Network
    from murine.stimuli import StimulusSet


def load_data(
    source: str | Path | Dataset | Recording | NeuralRDMs | xr.DataArray | xr.Dataset,
    *,
    stimuli: str | Path | StimulusSet | None = None,
    data: str | Path | None = None,
) -> Dataset:
    """Load a data set: images, and the responses to them.

    Parameters
    ----------
    source
        A name of `murine.datasets`; a file of responses; or responses in memory (`Recording`, `NeuralRDMs`, xarray).
        Files are described in docs/recordings.md.
    stimuli
        The images, for data without images: a folder of image files, an ``.npz`` file, or a `StimulusSet`. Images and
        responses are matched by id.
    data
        The folder of named data sets; by default ``$MURINE_SHARED``, then ``../shared``.

    Raises
    ------
    MurineError
        If there is no such data set or file, images are missing, or ids do not match.

    Examples
    --------
    >>> load_data("simulated")
    <Dataset simulated cortex 0: 100 images, 360 neurons in 3 areas; licence BSD-3-Clause>
    """
    from murine.cortex.loading import load_dataset

    return load_dataset(source, stimuli=stimuli, root=None if data is None else Path(data))


def load_network(
    network: str | nn.Module | Network,
    *,
    input_size: int | Sequence[int] | None = None,
    device: str = "cpu",
    **about: Any,
) -> Network:
    """Load a network with its weights and preprocessing.

    Parameters
    ----------
    network
        A name as on the command line (``resnet18@random:0``, ``net.py:build@weights.safetensors``,
        ``pixels``; see `murine.networks.zoo.load`), or a module in memory.
    input_size
        Pixels: one number for a square, or (height, width). By default the network's own.
    device
        ``cpu``, ``cuda`` or ``auto``.
    about
        For a module in memory: ``mean, std, interpolation, transform, name, weights``
        (`murine.networks.in_memory.network_from_module`).

    Raises
    ------
    MurineError
        If there is no such network, or its weights or preprocessing cannot be used.

    Examples
    --------
    >>> load_network("resnet18@random:0", input_size=64)
    <Network resnet18 (random:0): 11,689,512 parameters, images of 64 x 64 px>
    """
    from murine.networks.loading import network_from

    return network_from(network, input_size=input_size, device=device, **about)


def score(network: str | nn.Module | Network, data: str | Path | Dataset = "simulated", **options: Any) -> Scores:
    """Score one network: every layer against every site, with noise ceilings and intervals.

    Parameters
    ----------
    network
        A name, a module or a `Network` of `load_network`.
    data
        A name, a file that includes its images, or a `Dataset` of `load_data`.
    options
        As in `compare`.

    Raises
    ------
    MurineError
        If the network or the data cannot be used.

    Examples
    --------
    >>> scores = score("pixels", "simulated", n_bootstraps=20, n_permutations=20)
    >>> print(scores.table[["site", "score", "ceiling"]].round(2).to_string(index=False))
     site  score  ceiling
    SIMam  -0.02     0.89
     SIMl  -0.01     0.88
     SIMp  -0.01     0.70
    """
    scores = compare([network], data, **{"controls": False, **options})
    if scores.failures:  # of several input sizes, one failed
        raise MurineError("\n".join(scores.failures.values()))
    return scores


def capture(
    network: str | nn.Module | Network, stimuli: StimulusSet, *, layers: str = "all", **options: Any
) -> list[CapturedLayer]:
    """Pass images through a network and return the kernel of every layer: the n x n products of its features.

    Parameters
    ----------
    network
        A name, a module or a `Network`.
    stimuli
        The images. The rows of kernels are in the order of the images.
    layers
        As in `compare`.
    options
        ``batch_size, standardise, windows, reducer, progress`` of `murine.networks.capture.capture`.

    Raises
    ------
    MurineError
        If the network cannot be loaded or fails on the images.

    Examples
    --------
    >>> import murine
    >>> layers = capture("pixels", murine.load_data("simulated").stimuli)
    >>> layers[0].name, layers[0].kernel.n_stimuli
    ('pixels', 100)
    """
    from murine.networks import capture as capturing
    from murine.networks.process_state import preserved_state

    loaded = load_network(network)
    device = next((parameter.device for parameter in loaded.module.parameters()), "cpu")
    with preserved_state(loaded.name):
        images = loaded.preprocessing.apply(stimuli).to(device)
        return capturing.capture(loaded.module, images, layers=layers, **options)


def report(
    atlas: Atlas | str | Path,
    file: str | Path = "murine_report.html",
    *,
    cortex: str | None = None,
    metric: str | None = None,
) -> Path:
    """Write one self-contained HTML page about all results of an atlas, which works offline.

    Parameters
    ----------
    atlas
        An `Atlas` or its folder.
    file
        The page to write. It appears when it is complete, or not at all.
    cortex, metric
        Use only results against these data or by this metric.

    Returns
    -------
    file
        The path that was written.

    Raises
    ------
    MurineError
        If there are no such results, or the file cannot be written.

    Examples
    --------
    >>> import murine
    >>> scores = murine.score("pixels", "simulated", n_bootstraps=20, n_permutations=20, atlas="results")
    >>> report("results", "page.html").name
    'page.html'
    """
    from murine.atlas.store import Atlas
    from murine.report.page import write_report

    store = atlas if isinstance(atlas, Atlas) else Atlas(atlas)
    return write_report(store, file, cortex=cortex, metric=metric)
