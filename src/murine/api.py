"""The functions that `import murine` offers: load data and networks, score, compare, capture, report.

Everything here is thin: it turns what a person has into what the rooms need, and calls them. The command line calls
the same functions, so both give the same numbers."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from murine.atlas.limits import TIME_LIMIT
from murine.atlas.sweep import SweepSettings
from murine.atlas.task_options import cortex_settings, score_settings, sizes_of
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
    from murine.networks.spec import NetworkSpec
    from murine.progress import Progress
    from murine.stimuli import StimulusSet

log = logging.getLogger(__name__)


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
        The images, for data that bring none: a folder of image files, an ``.npz`` file, or a `StimulusSet`. Images
        and responses are matched by id.
    data
        The folder of named data sets; by default ``$MURINE_SHARED``, then ``../shared``.

    Raises
    ------
    MurineError
        If there is no such data set or file, images are missing, or ids do not match.

    Examples
    --------
    >>> load_data("simulated")
    <Dataset simulated cortex 0: 100 images, 360 neurons in 3 areas>
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
        Of a module in memory: ``mean, std, interpolation, transform, name, weights``
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
    from murine.networks import zoo
    from murine.networks.in_memory import network_from_module
    from murine.networks.network import Network

    device = zoo.available_device(device)
    if isinstance(network, Network):
        if about or input_size is not None:
            raise MurineError(f"{network!r} is loaded already; give options when it is loaded first.")
        return network
    if not isinstance(network, str):
        loaded = network_from_module(network, input_size=input_size, **about)
        loaded.module.to(device)
        return loaded
    if about:
        raise MurineError(
            f"{', '.join(about)}: only for a module in memory. {network!r} brings its own preprocessing; a function in "
            "a file tells it by the module's default_cfg."
        )
    return zoo.load(network, input_size=input_size, device=device)  # type: ignore[arg-type]


def score(network: str | nn.Module | Network, data: str | Path | Dataset = "simulated", **options: Any) -> Scores:
    """Score one network: every layer against every site, with noise ceilings and intervals.

    Parameters
    ----------
    network
        A name, a module or a `Network` of `load_network`.
    data
        A name, a file that needs no images beside it, or a `Dataset` of `load_data`.
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
    SIMam   0.01     0.93
     SIMl   0.01     0.93
     SIMp   0.17     0.94
    """
    scores = compare([network], data, **{"controls": False, **options})
    if scores.failures:  # of several input sizes, one failed
        raise MurineError("\n".join(scores.failures.values()))
    return scores


def compare(
    networks: Iterable[str | NetworkSpec | nn.Module | Network],
    data: str | Path | Dataset = "simulated",
    *,
    metric: str | Sequence[str] = "",
    by: str | Sequence[str] = (),
    select: Mapping[str, object] | None = None,
    min_reliability: float | None = None,
    weights: str = "",
    twins: int = 0,
    controls: bool = True,
    input_size: Any = None,
    layers: str = "own",
    protocol: str = "murine",
    normalise: str = "none",
    normalise_neurons: str | None = None,
    normalise_features: str | None = None,
    dissimilarity: str = "pearson",
    stimuli: str | Path | None = None,
    data_folder: str | Path | None = None,
    n_bootstraps: int = 1000,
    n_permutations: int = 1000,
    n_splits: int = 100,
    over: str = "",
    seed: int = 0,
    atlas: Atlas | str | Path | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    jobs: int = 1,
    isolated: bool = False,
    time_limit: float | None = TIME_LIMIT,
    progress: Progress | bool = False,
) -> Scores:
    """Score several networks against the same data, and rank them.

    Scores are paired: all networks see the same bootstrap samples of images.

    Parameters
    ----------
    networks
        Names (wildcards allowed), modules, or `Network` objects.
    data
        A name, a file or a `Dataset`.
    metric
        One or several of `murine.metrics`, or ``all``; by default ``rsa-pearson``.
    by
        What makes a site: labels of neurons, as ``area`` or ``area,layer``. By default the area.
    select, min_reliability
        Which neurons: labels with one value or several (``{"area": ["VISp", "VISl"]}``); the least split-half
        reliability.
    weights
        For names without ``@WEIGHTS``: ``pretrained``, ``random:SEED`` or a file.
    twins
        Adds so many random twins of each trained network: the same architecture with random weights.
    controls
        Adds pixels, Gabor energy and NeuRN of the pixels, which any network should beat.
    input_size
        Of networks that are given by name: pixels, (height, width), None for their own, or a list of several.
    layers
        ``own`` (all but those that surgery put in), ``all``, ``blocks``, or names with wildcards.
    protocol
        ``murine``, or ``conwell2021`` for the published one, which fixes metric and treatment.
    normalise, normalise_neurons, normalise_features
        Treatment of neurons and features: ``none`` or ``zscore``; ``both`` and ``all`` compute several side by side
        (`murine.scoring.treatments.chosen_treatments`). It can change a conclusion: see docs/treatments.md.
    dissimilarity
        What RDMs are made of: ``pearson``, ``cosine`` or ``euclidean``.
    stimuli, data_folder
        Of data that are given by name or file: the images, and the folder of named data sets.
    n_bootstraps, n_permutations, n_splits, over, seed
        Samples for intervals, relabellings for p-values, random halves for noise ceilings; what is resampled beside
        images (``neurons``, ``animals``, ``both``); the seed of all.
    atlas
        Where results are kept: an `Atlas` or a folder. What is there already is not computed again. By default nothing
        is kept.
    device, batch_size
        How networks run; they cannot change a result.
    jobs, isolated, time_limit
        Number of processes; whether a single one is a process of its own, so that a network that crashes is only a
        failure; seconds without progress after which a network in another process is given up. Only for names.
    progress
        True shows progress on standard error.

    Returns
    -------
    scores
        Networks that could not be scored are in ``scores.failures``, with a warning.

    Raises
    ------
    MurineError
        If the data or an option cannot be used, or no network could be scored.

    Examples
    --------
    >>> scores = compare(["resnet18@random:0"], "simulated", input_size=32, n_bootstraps=20, n_permutations=20)
    >>> sorted(scores.leaderboard.network)
    ['gabor', 'neurn', 'pixels', 'resnet18']
    """
    from murine.atlas.scoring_run import failures_in_words, score_networks
    from murine.atlas.store import Atlas
    from murine.progress import progress_bars

    given = None if isinstance(data, (str, Path)) else _dataset(data)
    if given is not None and (stimuli is not None or data_folder is not None):
        raise MurineError("stimuli and data_folder are for data that are given by name; give them to load_data.")
    cortex = cortex_settings(given.name if given else str(data), by, select, min_reliability, dissimilarity, n_splits)
    metrics, settings, treatments = score_settings(
        metric=metric,
        protocol=protocol,
        normalise=normalise,
        normalise_neurons=normalise_neurons,
        normalise_features=normalise_features,
        dissimilarity=dissimilarity,
        n_bootstraps=n_bootstraps,
        n_permutations=n_permutations,
        over=over,
        seed=seed,
    )
    named, objects = _networks(networks, weights, twins, controls)
    plans = [
        SweepSettings(
            cortex,
            metrics,
            layers,
            size,
            settings,
            None if data_folder is None else Path(data_folder),
            None if stimuli is None else Path(stimuli),
            batch_size,
            device,
            treatments,
        )
        for size in sizes_of(input_size)
    ]
    shown = progress_bars(progress) if isinstance(progress, bool) else nullcontext(progress)
    kept = nullcontext("") if atlas is not None else TemporaryDirectory(prefix="murine-")
    with kept as folder, shown as bars:
        scores = score_networks(
            named,
            objects,
            plans,
            atlas if isinstance(atlas, Atlas) else Atlas(folder if atlas is None else atlas),
            given,
            lasts=atlas is not None,
            jobs=jobs,
            isolated=isolated,
            time_limit=time_limit,
            progress=bars,
        )
    if scores.failures:
        log.error("%s", failures_in_words(scores.results))
    return scores


def capture(
    network: str | nn.Module | Network, stimuli: StimulusSet, *, layers: str = "all", **options: Any
) -> list[CapturedLayer]:
    """Show images to a network and return the kernel of every layer: the n x n products of its features.

    Parameters
    ----------
    network
        A name, a module or a `Network`.
    stimuli
        The images, in the order of which kernels have their rows.
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
        The page to write. It appears whole at the end, or not at all.
    cortex, metric
        Only results against these data or by this metric.

    Returns
    -------
    file
        The path that was written.

    Raises
    ------
    MurineError
        If there are no such results, or the file cannot be written.
    """
    from murine.atlas.store import Atlas
    from murine.report.page import write_report

    store = atlas if isinstance(atlas, Atlas) else Atlas(atlas)
    return write_report(store, file, cortex=cortex, metric=metric)


def _networks(
    given: Iterable[str | NetworkSpec | nn.Module | Network], weights: str, twins: int, with_controls: bool
) -> tuple[list[NetworkSpec], list[Network]]:
    """Split networks into those that are named, with random twins and controls, and those in memory."""
    from murine.networks.spec import NetworkSpec, controls, expand, twin

    if isinstance(given, str):
        raise MurineError(f"networks is the text {given!r}; expected a list, as [{given!r}].")
    given = list(given)
    if not given:
        raise MurineError("no network was given; expected at least one name or module.")
    specs: list[NetworkSpec] = []
    for network in given:
        if isinstance(network, str):
            specs += expand([network], weights)
        elif isinstance(network, NetworkSpec):
            specs.append(network)
    with_twins = [*specs, *(twin(spec, seed) for spec in specs for seed in range(twins))]
    named = [spec for spec in with_twins if spec is not None]
    if with_controls:
        named += [NetworkSpec(name) for name in controls]
    objects = [load_network(network) for network in given if not isinstance(network, (str, NetworkSpec))]
    if twins and objects:
        log.warning("random twins are made of networks that are given by name only, not of modules in memory.")
    return list(dict.fromkeys(named)), objects


def _dataset(data: object) -> Dataset:
    """Refuse what is no data set: responses alone have no images."""
    from murine.cortex.dataset import Dataset

    if isinstance(data, Dataset):
        return data
    raise MurineError(
        f"the data are a {type(data).__name__}; expected a name, a file or a Dataset. "
        "murine.load_data(responses, stimuli=...) makes one."
    )
