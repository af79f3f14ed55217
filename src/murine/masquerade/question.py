"""`murine.is_it_a_mouse`: the question about one network, from names or objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from murine.atlas.store import Atlas
from murine.cortex.dataset import Dataset
from murine.cortex.loading import load_dataset
from murine.errors import MurineError
from murine.masquerade.candidates import Windows
from murine.masquerade.result import MasqueradeResult
from murine.masquerade.run import N_TWINS, AnimalData, masquerade
from murine.masquerade.storage import MasqueradeTask, read_result, write_result
from murine.networks import zoo
from murine.networks.in_memory import network_from_module
from murine.networks.network import Network
from murine.networks.spec import NetworkSpec
from murine.progress import Progress, progress_bars


def is_it_a_mouse(
    network: str | NetworkSpec | nn.Module | Network,
    data: str | Path | Dataset | AnimalData = "allen-neuropixels",
    *,
    areas: str | Sequence[str] = (),
    windows: Windows = "thirds",
    alpha: float = 0.05,
    twins: int = N_TWINS,
    input_size: Any = None,
    layers: str = "own",
    seed: int = 0,
    atlas: Atlas | str | Path | None = None,
    data_folder: str | Path | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    progress: Progress | bool = False,
) -> MasqueradeResult:
    """Ask whether a network can be told from a mouse, area by area.

    The network is taken as one more animal: each layer, and each window of its map, is compared with every animal by a
    similarity without bias from numbers of images, units and trials (CKA*). It is *not a mouse* if the best of them is
    far less similar to the animals than these are to each other. It *could be a mouse* if it is not, and pixels, random
    twins and shuffled images are. Otherwise, the data *cannot tell*. docs/is-it-a-mouse.md says what a pass is worth.

    Parameters
    ----------
    network
        A name, a module or a `Network`.
    data
        A recording with single trials and a label ``animal`` or ``donor``, with at least five animals in an area: a
        name, a file, a `Dataset`, or an `AnimalData` for many networks.
    areas
        Areas to show; all by default. Tests use the animals of all areas in any case.
    windows
        ``thirds``: windows of a half and of a third of each map are candidates, too, at 3 x 3 places; ``none``.
    alpha
        Level of the tests.
    twins
        Number of random twins of the network; at least 3 are needed to pass. Networks with random weights have none.
    input_size
        Image size of a network that is given by name or as a module: pixels, or (height, width).
    layers
        As in `murine.compare`.
    seed
        Seed of trial halves, units of large layers, the order of shuffled images, and pools of animals.
    atlas
        Atlas where answers are stored. Stored answers are not computed again. By default nothing is stored.
    data_folder
        The folder of named data sets.
    device, batch_size
        How networks run; they cannot change a result.
    progress
        True shows progress on standard error.

    Returns
    -------
    result
        ``result.verdicts``, ``result.table``, ``result.summary()``, ``result.plot()``.

    Raises
    ------
    MurineError
        If the network, the data or an option cannot be used.

    Examples
    --------
    >>> import murine
    >>> from murine.cortex.simulated import simulate
    >>> cortex = simulate(n_neuroids=480)
    >>> mice = [f"mouse {i % 7}" for i in range(cortex.recording.n_neuroids)]
    >>> data = murine.load_data(cortex.recording.labelled({"donor": mice}), stimuli=cortex.stimuli)
    >>> result = murine.is_it_a_mouse("pixels", data, windows="none")
    >>> result.verdicts.verdict.tolist()[:3]
    ['not a mouse', 'not a mouse', 'not a mouse']
    """
    asked = (areas,) if isinstance(areas, str) else tuple(areas)
    animals = data if isinstance(data, AnimalData) else AnimalData.of(_dataset(data, data_folder), seed=seed)
    loaded, spec = load_for_question(network, input_size, device)
    task = MasqueradeTask(
        network=loaded.name,
        weights=loaded.weights,
        network_digest=loaded.digest,
        preprocessing=loaded.preprocessing,
        stimuli_digest=animals.images.digest,
        layers=layers,
        cortex=animals.cortex,
        cortex_digest=animals.cortex_digest,
        windows=windows,
        areas=tuple(sorted(set(asked))),
        alpha=alpha,
        n_twins=twins,
        seed=seed,
    )
    store = atlas if atlas is None or isinstance(atlas, Atlas) else Atlas(atlas)
    known = None if store is None else read_result(store, task)
    if known is not None:
        return known
    options: Any = {"areas": asked, "windows": windows, "alpha": alpha, "n_twins": twins, "layers": layers}
    if isinstance(progress, bool):
        with progress_bars(progress) as bars:
            found = masquerade(loaded, animals, spec=spec, seed=seed, batch_size=batch_size, progress=bars, **options)
    else:
        found = masquerade(loaded, animals, spec=spec, seed=seed, batch_size=batch_size, progress=progress, **options)
    if store is not None:
        write_result(store, task, found)
    return found


def _dataset(data: str | Path | Dataset, folder: str | Path | None) -> Dataset:
    if not isinstance(data, (str, Path, Dataset)):
        raise MurineError(
            f"the data are a {type(data).__name__}; expected a name, a file or a Dataset. "
            "murine.load_data(responses, stimuli=...) makes one."
        )
    return load_dataset(data, root=None if folder is None else Path(folder))


def load_for_question(
    network: str | NetworkSpec | nn.Module | Network, input_size: Any, device: str
) -> tuple[Network, NetworkSpec | None]:
    """Load a network; return also the name by which its twins are loaded, if it has one."""
    device = zoo.available_device(device)
    if isinstance(network, Network):
        if input_size is not None:
            raise MurineError(f"{network!r} is loaded already; give its input size when it is loaded.")
        return network, None
    if isinstance(network, (str, NetworkSpec)):
        spec = NetworkSpec.parse(network) if isinstance(network, str) else network
        return zoo.load(spec, input_size=input_size, device=device), spec
    loaded = network_from_module(network, input_size=input_size)
    loaded.module.to(device)
    return loaded, None
