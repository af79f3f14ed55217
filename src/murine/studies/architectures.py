"""Does architecture explain representation and brain score? Alignments against what an atlas holds of the networks."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from murine.architecture.clustering import heat_map
from murine.architecture.mantel_test import MIN_ITEMS, Method, mantel
from murine.architecture.named_sequences import find_sequences, published_heat_map, sequences_as_published
from murine.architecture.sequence_similarity import length_ratios, similarities, similarity_index
from murine.architecture.vocabulary import Vocabulary
from murine.atlas.identity import ScoreTask
from murine.atlas.leaderboard import MIN_CEILING, leaderboards
from murine.atlas.store import Atlas
from murine.encoding.kernels import centre_layer_grams
from murine.errors import MurineError, some
from murine.networks.catalogue import entry
from murine.networks.layer_kernel import LayerKernel
from murine.networks.zoo import NetworkSpec
from murine.progress import Progress, Silent
from murine.scoring.treatments import RAW
from murine.similarity.kernel_similarity import kernel_metrics
from murine.similarity.rdm import kernel_rdm
from murine.similarity.rdm_vectors import upper_triangle
from murine.similarity.rsa import comparisons
from murine.statistics.multiple_testing import adjust_p_values

log = logging.getLogger(__name__)

Matrix = Float[np.ndarray, "n_networks n_networks"]

#: Relative depths at which the layers of two networks are compared.
DEPTHS = tuple(np.linspace(0, 1, 12).round(4).tolist())

#: Fewer networks tell little: intervals are wide, and few relations of any size are found.
ENOUGH = 20

#: Ways to compare representations.
REPRESENTATIONS = ("cka-debiased", "rsa-pearson")


@dataclass(frozen=True)
class Explanation:
    """How architecture, representation and brain score go together, over networks.

    Attributes
    ----------
    networks
        A row each: ``network, weights, layers`` (letters of its sequence), ``score`` (mean over sites), ``letters``.
    distances
        What pairs of networks differ in. Architecture: 1 - each of `similarities`, and ``length`` (doublings between
        the numbers of layers). Representation: 1 - mean likeness of layers at the same relative depths. Brain:
        ``score`` (difference of the scores) and ``profile`` (root mean square difference over sites).
    relations
        A row for each two kinds of distance: ``first, second, given`` ('' or what was held constant), ``r, low, high,
        p, q`` (adjusted for all rows, false discovery rate), ``n_networks, n_permutations``. The interval never
        excludes 0 where p is above 0.05 (`murine.architecture.mantel_test.MantelResult`).
    cortex, metric
        What the scores are of.
    """

    networks: pd.DataFrame
    distances: Mapping[str, Matrix]
    relations: pd.DataFrame
    cortex: str
    metric: str


def explain(
    atlas: Atlas,
    *,
    cortex: str | None = None,
    metric: str | None = None,
    role: str = "trained",
    input_size: str | None = None,
    files: Sequence[str | Path] = (),
    one_per_family: bool = False,
    vocabulary: str | Path | Vocabulary = "fine",
    method: Method = "spearman",
    n_permutations: int = 9999,
    n_bootstraps: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Explanation:
    """Relate alignments of architectures with representations and brain scores in an atlas.

    Of networks with the same architecture (other weights, other seeds, layers put in by surgery) only the first counts:
    they would be copies of one thing. Networks are compared that have one ``role`` and one size of input, since both
    make representations alike.

    Parameters
    ----------
    cortex, metric, input_size
        Which results, where the atlas has several.
    role
        ``trained`` or ``random``.
    files
        Of networks that were built by a user's file: where it is. Those whose file is not given are left out.
    one_per_family
        Of each family in the catalogue (`murine.networks.catalogue`) only the first network counts. Eight networks of
        one family that differ from all others in everything make anything go with anything.
    vocabulary
        Of the layer sequences; not ``paper``, where the sequences of some networks are those of another framework.
    method, n_permutations, n_bootstraps, seed
        As in `mantel`.

    Raises
    ------
    MurineError
        Several cortices, metrics or sizes to choose from; fewer than five networks.
    """
    board = _board(atlas, cortex, metric, role, input_size, one_per_family)
    spelled = _spelled(board, files, vocabulary, progress)
    rows = [row for row in board.to_dict("records") if row["network"] in spelled]
    tasks = [ScoreTask.model_validate(atlas.about(row["task"])["task"]) for row in rows]
    if len(seen := {task.capture.stimuli_digest for task in tasks}) > 1:
        raise MurineError(f"the networks were shown {len(seen)} different sets of images; their layers do not compare.")
    layers = []
    kept = []
    for row, task in zip(rows, tasks, strict=True):
        captured = atlas.read_kernels(task.capture) or []
        found = _at_depths([(layer.depth, layer.kernel) for layer in captured if not (layer.flag or layer.same_as)])
        if found:
            layers.append(found)
            kept.append(row)
        else:
            log.warning("%s is left out: the atlas has no kernels of its layers.", row["network"])
    if len(kept) < MIN_ITEMS:
        raise MurineError(
            f"there are {len(kept)} {role} networks of different architecture with scores, kernels and a layer "
            f"sequence ({some(row['network'] for row in kept)}); at least {MIN_ITEMS} are needed, and "
            f"{ENOUGH} tell something. Networks of a file need --file; --role random takes those with random weights."
        )
    if len(kept) < ENOUGH:
        log.warning("%d networks tell little: %d or more are needed for a conclusion.", len(kept), ENOUGH)
    letters = [spelled[row["network"]] for row in kept]
    distances = {
        **{name: 1 - similarities[name](letters) for name in similarities},
        "length": length_ratios(letters),
        **{name: 1 - likeness(layers, name) for name in REPRESENTATIONS},
        **_brain(atlas, kept),
    }
    networks = pd.DataFrame(
        {
            "network": [row["network"] for row in kept],
            "weights": [row["weights"] for row in kept],
            "layers": [len(sequence) for sequence in letters],
            "score": [row["value"] for row in kept],
            "letters": letters,
        }
    )
    relations = relate(
        distances,
        method=method,
        n_permutations=n_permutations,
        n_bootstraps=n_bootstraps,
        seed=seed,
        progress=progress,
    )
    return Explanation(networks, distances, relations, kept[0]["cortex"], kept[0]["metric"])


def relate(
    distances: Mapping[str, Matrix],
    *,
    method: Method = "spearman",
    n_permutations: int = 9999,
    n_bootstraps: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """The rows of `Explanation.relations`: architecture with all else, with and without the lengths held constant, and
    representation with brain, with and without the architecture (``shared``) held constant."""
    architecture = (*similarities, "length")
    questions: list[tuple[str, str, str]] = []
    for first, second in itertools.product(architecture, (*REPRESENTATIONS, "score", "profile")):
        questions += [(first, second, ""), *([(first, second, "length")] if first != "length" else [])]
    for first, second in itertools.product(REPRESENTATIONS, ("score", "profile")):
        questions += [(first, second, ""), (first, second, "shared")]
    rows = []
    with (progress or Silent()).task("permuting networks", len(questions)) as bar:
        for first, second, given in questions:
            found = mantel(
                distances[first],
                distances[second],
                [distances[given]] if given else [],
                method=method,
                n_permutations=n_permutations,
                n_bootstraps=n_bootstraps,
                seed=seed,
            )
            rows.append(
                {
                    "first": first,
                    "second": second,
                    "given": given,
                    "r": found.r,
                    "low": found.low,
                    "high": found.high,
                    "p": found.p,
                    "n_networks": found.n_items,
                    "n_permutations": found.n_permutations,
                }
            )
            bar.advance()
    table = pd.DataFrame(rows)
    table.insert(7, "q", adjust_p_values(table.p.to_numpy(dtype=np.float64)))
    return table


def likeness(networks: Sequence[Sequence[LayerKernel]], measure: str) -> Matrix:
    """How alike the representations of every two networks are: the mean over layers at the same places.

    Parameters
    ----------
    networks
        Of each as many kernels as of the others, of layers at the same relative depths.
    measure
        One of `murine.similarity.kernel_similarity.kernel_metrics` or ``rsa-*``, then on Pearson RDMs.
    """
    n = len(networks)
    found = np.empty((len(networks[0]), n, n))
    for depth in range(len(networks[0])):
        layers = [network[depth] for network in networks]
        if measure in kernel_metrics:
            stack = centre_layer_grams(layers)
            found[depth] = kernel_metrics[measure].score(stack, stack)
        else:
            vectors = upper_triangle(np.stack([kernel_rdm(layer) for layer in layers]))
            found[depth] = comparisons[measure].score(vectors, vectors)
    told = np.isfinite(found)
    if not told.any(axis=0).all():
        raise MurineError(f"{measure} of some networks is not defined at any depth.")
    mean: Matrix = np.where(told, found, 0).sum(axis=0) / told.sum(axis=0)
    return (mean + mean.T) / 2


def _at_depths(layers: Sequence[tuple[float, LayerKernel | None]]) -> list[LayerKernel]:
    """The layers nearest to `DEPTHS`; none where there are none."""
    usable = [(depth, kernel) for depth, kernel in layers if kernel is not None]
    if not usable:
        return []
    depths = np.array([depth for depth, _ in usable])
    return [usable[int(np.argmin(np.abs(depths - wanted)))][1] for wanted in DEPTHS]


def _board(
    atlas: Atlas, cortex: str | None, metric: str | None, role: str, input_size: str | None, one_per_family: bool
) -> pd.DataFrame:
    board = leaderboards(atlas, cortex=cortex, metric=metric)
    if input_size is not None:
        board = board[board.input_size == input_size]
    board = board[board.role == role]
    if board.empty:
        raise MurineError(f"no {role} network has a score there; `murine results` shows what there is.")
    for column in ("cortex", "metric", "input_size"):
        known = sorted(board[column].unique())
        if len(known) > 1:
            option = "--" + column.replace("_", "-")
            raise MurineError(f"the atlas has scores of several: {', '.join(known)}. Choose one with {option}.")
    if len(ways := _ways(board)) > 1:
        # Scores of different treatments or settings are not on one scale: each network must have the same.
        board = board[(board.treatment == ways[0][0]) & (board.setting == ways[0][1])]
        texts = [", ".join(filter(None, way)) for way in ways]
        log.warning("the atlas has scores computed in several ways; %s counts, not %s.", texts[0], some(texts[1:]))
    plain = [NetworkSpec.parse(name).name for name in board.network]
    architecture = [name if ".py:" in name else name.partition(".")[0] for name in plain]
    board = board.assign(architecture=architecture).sort_values(["architecture", "network", "weights"], kind="stable")
    board = _first_of(board, board.architecture, "architecture")
    if one_per_family:
        board = _first_of(board, [_family(name) for name in board.architecture], "family")
    return board


def _ways(board: pd.DataFrame) -> list[tuple[str, str]]:
    """Treatments and settings of the scores; both sides as they are come first."""
    found = set(zip(board.treatment, board.setting, strict=True))
    return sorted(found, key=lambda way: (way[0] != RAW.words, way))


def _first_of(board: pd.DataFrame, kinds: Sequence[str], what: str) -> pd.DataFrame:
    """The first row of each kind; tells which others are left out."""
    several = pd.Series(list(kinds), index=board.index).duplicated()
    if several.any():
        names = [f"{row.network}@{row.weights}" for row in board[several].itertuples()]
        log.warning("of each %s the first counts; left out: %s.", what, some(names))
    return board[~several]


def _family(architecture: str) -> str:
    """As the catalogue has it; networks that it does not know are families of their own."""
    known = "" if ".py:" in architecture else entry(architecture).family
    return known or architecture


def _spelled(
    board: pd.DataFrame, files: Sequence[str | Path], vocabulary: str | Path | Vocabulary, progress: Progress | None
) -> dict[str, str]:
    """Layer sequences by the names in the atlas; networks without one are left out."""
    places = {Path(file).name: str(file) for file in files}
    found = {}
    with (progress or Silent()).task("layer sequences", len(board)) as bar:
        for name in board.network:
            file, _, factory = name.partition(":")
            asked = f"{places[file]}:{factory}" if file in places else name
            try:
                found[name] = find_sequences([asked], vocabulary)[0].letters
            except MurineError as error:
                log.warning("%s is left out: %s", name, error)
            bar.advance(done=name)
    return found


def _brain(atlas: Atlas, kept: Sequence[Mapping[str, object]]) -> dict[str, Matrix]:
    """Differences of scores: of their mean over sites, and site by site."""
    scores = np.array([row["value"] for row in kept], dtype=np.float64)
    tasks = [str(row["task"]) for row in kept]
    rows = atlas.query("SELECT task, site, score, ceiling, ceiled, chosen FROM scores WHERE stimuli = 'all'")
    rows = rows[rows.task.isin(tasks) & (rows.chosen == str(kept[0]["selection"]))]
    if rows.ceiling.notna().any():
        rows = rows[rows.ceiling >= MIN_CEILING]
    values = rows.ceiled.where(rows.ceiled.notna(), rows.score)
    table = rows.assign(value=values).pivot_table(index="task", columns="site", values="value").loc[tasks]
    sites = table.dropna(axis="columns").to_numpy()
    differences = sites[:, None] - sites
    return {
        "score": np.abs(scores[:, None] - scores),
        "profile": np.sqrt((differences**2).mean(axis=2)),
    }


def published_agreement(without: Sequence[str] = ()) -> tuple[list[str], dict[str, Matrix], float, float]:
    """Our heat map of the 44 networks of Jalil, Qazi & Iqbal 2025 beside the one they published.

    Sequences are taken as the authors seem to have used them (EfficientNet B2 to B7 as B1).

    Parameters
    ----------
    without
        Networks to leave out.

    Returns
    -------
    names, panels, r, difference
        The networks in both, the two heat maps by title, Pearson's r and the mean absolute difference over pairs.
    """
    sequences = {name: letters for name, letters in sequences_as_published("neurn44").items() if name not in without}
    ours = heat_map(similarity_index(list(sequences.values())))
    members, theirs = published_heat_map()
    names = [name for name in members if name in sequences]
    here, there = ([list(known).index(name) for name in names] for known in (sequences, members))
    panels = {"murine": ours[np.ix_(here, here)], "published, decoded": theirs[np.ix_(there, there)]}
    a, b = (upper_triangle(panel) for panel in panels.values())
    return names, panels, float(np.corrcoef(a, b)[0, 1]), float(np.abs(a - b).mean())
