"""Compare networks that are named or in memory with one data set: what `murine.compare` does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from murine.atlas.limits import TIME_LIMIT
from murine.errors import MurineError

if TYPE_CHECKING:
    from torch import nn

    from murine.atlas.scores import Scores
    from murine.atlas.store import Atlas
    from murine.cortex.dataset import Dataset
    from murine.networks.network import Network
    from murine.networks.spec import NetworkSpec
    from murine.progress import Progress


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
    from murine.atlas.scoring_run import score_networks
    from murine.atlas.store import Atlas
    from murine.atlas.task_options import sweep_settings
    from murine.networks.loading import named_and_in_memory

    given = None
    if not isinstance(data, (str, Path)):  # a finished sweep by name needs no arrays, so it imports nothing heavy
        from murine.cortex.loading import known_dataset

        given = known_dataset(data)
    if given is not None and (stimuli is not None or data_folder is not None):
        raise MurineError("stimuli and data_folder are for data that are given by name; give them to load_data.")
    settings = sweep_settings(
        given.name if given else str(data),
        by=by,
        select=select,
        min_reliability=min_reliability,
        n_splits=n_splits,
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
        layers=layers,
        input_sizes=input_size,
        data=data_folder,
        stimuli=stimuli,
        batch_size=batch_size,
        device=device,
    )
    named, in_memory = named_and_in_memory(networks, weights, twins, controls)
    return score_networks(
        named,
        in_memory,
        settings,
        Atlas(atlas) if isinstance(atlas, (str, Path)) else atlas,
        given,
        jobs=jobs,
        isolated=isolated,
        time_limit=time_limit,
        progress=progress,
    )
