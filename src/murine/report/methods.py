"""The methods section of a report, in words: data, metric, ceiling, layers, uncertainty, controls."""

# ruff: noqa: RUF001 (dashes, minus signs and apostrophes are meant)

from __future__ import annotations

from dataclasses import dataclass

from murine.atlas.leaderboard import MIN_CEILING
from murine.cortex.dataset_sources import known_source
from murine.literature import SCHUETT, Citation
from murine.report.leaderboard_view import Board
from murine.scoring.metric import Metric, metric_of, metrics


@dataclass(frozen=True)
class Topic:
    """One heading of the methods with its paragraphs."""

    heading: str
    paragraphs: tuple[str, ...]


_BIASES = {
    "none": "",
    "higher with few stimuli": "Compare scores of equally many images only: with fewer images they are higher.",
    "lower with few stimuli": "Compare scores of equally many images only: with fewer images they are lower.",
    "depends on the layer": "Compare scores of equally many images only.",
}


def methods(board: Board) -> list[Topic]:
    """How the numbers of a board came about, for a reader who did not run the tool."""
    return [
        Topic("Cortex", _cortex(board)),
        Topic("Metric", _metric(board)),
        Topic("Noise ceiling", _ceiling(board)),
        Topic("Choice of layers", _choice(board)),
        Topic("Uncertainty and rank bands", _uncertainty(board)),
        Topic("Controls and twins", _controls()),
        *([Topic("Scores within groups of images", _within(board))] if board.groups else []),
    ]


def _cortex(board: Board) -> tuple[str, ...]:
    settings = board.settings
    source = known_source(board.cortex)
    if source is None:
        known: tuple[str, ...] = (f"The user’s own data, {board.cortex}.",)
    else:
        words = (source.about, *source.caveats, " ".join(source.terms()))
        known = tuple(_typeset(paragraph) for paragraph in words if paragraph)
    if not (board.sites.n_repetitions > 0).any():
        return known
    chosen = [f"{key} {value}" for key, value in settings["select"]]
    if settings["min_reliability"] is not None:
        chosen.append(f"split-half reliability of at least {settings['min_reliability']:g}")
    which = f"Neurons used: {', '.join(chosen)}. " if chosen else ""
    scaled = (
        "Each neuron is standardised over images first, so that all count alike."
        if settings["neurons"] == "zscore"
        else "Responses are taken as they are, so that the most active neurons weigh most."
    )
    return (*known, f"{which}A site is one {' × '.join(settings['by']) or 'area'}. {scaled}")


def _known(name: str) -> Metric | None:
    """The metric of this name; None where results are of a package that is not installed here."""
    return metric_of(name) if name in metrics else None


def _typeset(text: str) -> str:
    """Plain quotes and signs as printed ones."""
    return text.replace("'", "’").replace(" - ", " − ").replace("1 -", "1 −")


def _metric(board: Board) -> tuple[str, ...]:
    known = _known(board.metric)
    mean = "A network’s score is the unweighted mean, over the sites that count, of the scores of its chosen layers" + (
        ", each divided by the ceiling of its site." if board.has_ceiling else "."
    )
    if known is None:
        return f"The score is {board.metric}, a metric of a package that is not installed here.", mean
    told = known.describe()
    words = " ".join(filter(None, (told.formula or told.summary, told.use)))
    return tuple(filter(None, (_typeset(words), _typeset(" ".join((told.sizes, _BIASES[told.bias])).strip()), mean)))


def _ceiling(board: Board) -> tuple[str, ...]:
    if not board.has_ceiling:
        return ("The reliability of these data is not known, so there is no ceiling: scores are raw ones.",)
    known = _known(board.metric)
    words = _typeset(known.ceiling_words) if known is not None else ""
    texts = [
        "The ceiling of a site is the score that a perfect model could be expected to reach in spite of "
        f"noise: {words or 'a function of its reliability'}. Scores are divided by it. Values above 1 are kept and "
        f"marked; sites with a ceiling below {MIN_CEILING:g} are shown but not counted."
    ]
    if (board.sites.n_repetitions > 0).any():
        texts.append(
            "Reliability is the mean correlation between the dissimilarities of "
            f"{board.settings['n_splits']} random halves of the repetitions, corrected to all repetitions "
            "by the Spearman–Brown formula with a second term for products of noise and noise."
        )
    else:
        texts.append("Reliabilities and their standard errors came with the matrices.")
    texts.append(
        "The ceiling knows the noise of repetitions only. That other neurons or other mice would have been "
        "recorded is not in it, so a score of 1 would not mean that nothing is left to explain."
    )
    return tuple(texts)


def _choice(board: Board) -> tuple[str, ...]:
    known = _known(board.metric)
    if known is not None and known.chooses_naively:
        return (
            "Every neuron takes the layer that predicts it best, on the images that are scored: the score is "
            "optimistic, and more so for networks with many layers.",
        )
    if known is not None and known.combines_layers:
        return (
            "No layer is chosen: all of them are combined, with weights fitted to other images than those that are "
            "scored, so nothing of it is optimistic.",
        )
    if board.selection == "nested":
        return (
            "Nested: images are halved at random 50 times. For each site the best layer is chosen on one half and "
            "scored on the other, and the other way round. The score is the mean score of the chosen layers on all "
            "images, less the optimism of the choice: by how much a layer scores better on the half that chose it. "
            "“Naive best” is the best layer on all images, chosen and scored on the same data, and shown for "
            "comparison.",
        )
    reason = (
        "as Conwell et al. (2021) do"
        if board.settings.get("layer_choice") == "naive"
        else "because there are too few images to choose layers on one half and score them on the other"
    )
    return (
        f"Naive: for each site the best layer is chosen and scored on the same images, {reason}. Such scores are "
        "optimistic, and more so for networks with many layers.",
    )


def _uncertainty(board: Board) -> tuple[str, ...]:
    settings = board.settings
    n, permutations = settings["n_bootstraps"], settings["n_permutations"]
    known = _known(board.metric)
    resampled = known.resampling if known is not None else "as the metric does it"
    if known is not None and known.over_pairs:
        resampled += "; their spread is corrected for scores being means over pairs"
    over = _OVER.get(settings["over"])
    whom = "not what other neurons or mice would" if over is None else f"and what {over.others} would"
    texts = [
        f"Intervals are 95 % percentile intervals over {n} bootstrap samples of images ({resampled}). Score "
        f"and ceiling are resampled together. They tell what other images like these would give, {whom}; and they "
        "take the choice of layers as given.",
        *([] if over is None else [_over_subjects(over, settings["n_subject_draws"], board.metric)]),
        "All networks see the same samples, so differences between networks are paired and more certain "
        "than the overlap of their intervals suggests. A rank band is its best network and all that follow "
        "until the first whose paired difference to that best one has an interval above zero. Bands are a "
        "reading aid; they are not corrected for the number of networks.",
    ]
    if permutations:
        texts.append(
            f"p is one-sided, from {permutations} random relabellings of the images: (1 + number that score "
            f"at least as high) / ({permutations} + 1). It tests one layer at one site"
            + (
                "; the choice of the layer on the same data is accounted for in the column p_best of the atlas only."
                if board.selection == "naive"
                else " and is not corrected for the number of networks; the column p_adjusted of the atlas is, for the "
                "number of sites."
            )
        )
    return tuple(texts)


@dataclass(frozen=True)
class _Over:
    """What is resampled in addition to images."""

    short: str
    drawn: str
    others: str


_OVER = {
    "neurons": _Over("images and neurons", "neurons within each site", "other neurons of these animals"),
    "animals": _Over("images and animals", "animals with all their neurons", "other animals"),
    "both": _Over(
        "images, animals and neurons", "animals, and neurons within each", "other animals and other neurons of theirs"
    ),
}


def resampled(board: Board) -> str:
    """What intervals are over, in a few words."""
    over = _OVER.get(board.settings["over"])
    return "images" if over is None else over.short


def _over_subjects(over: _Over, n_draws: int, metric: str) -> str:
    known = _known(metric)
    ceiling = (
        "Ceilings are those of the neurons that were drawn."
        if known is not None and known.of_neurons
        else "Ceilings stay as they are over them."
    )
    return (
        f"Intervals and rank bands are over new images and {over.others}: in {n_draws} of the samples {over.drawn} "
        "were drawn as well, together with the images and alone, the same for all networks. Drawing both counts what "
        "they have in common three times; the variance is corrected for that (Schütt et al. 2023), and intervals are "
        f"as wide as Student’s t makes them for few animals. {ceiling} Scores within groups of images and those of "
        "layers that were not chosen have intervals over images alone."
    )


def _controls() -> tuple[str, ...]:
    return (
        "Controls never learned: pixels is the grey image, neurn its local contrast, gabor the energies of "
        "a bank of Gabor filters. A network that does not beat them tells little about learned features.",
        "The random twin of a trained network is the same architecture with random weights at the same "
        "input size. Differences are trained minus random, computed in every bootstrap sample. Random weights are "
        "those that the network’s own code draws (of timm, of torchvision or of a user’s function), or else those of "
        "PyTorch’s defaults for each module. With features as they are, another initialisation can move the score of "
        "a random network by as much as 0.1.",
    )


def _within(board: Board) -> tuple[str, ...]:
    groups = " and ".join(f"“{group}”" for group in board.groups)
    return (
        f"The columns “within” give raw scores of the same layers for the images of one group alone: "
        f"{groups}. A score that is high over all images but low within each group rests on the difference "
        "between the groups.",
    )


def references(board: Board) -> list[Citation]:
    """What to cite."""
    source = known_source(board.cortex)
    cited = [] if source is None else list(source.citations)
    known = _known(board.metric)
    cited += [] if known is None else known.citations
    if board.settings["over"] in _OVER:
        cited.append(SCHUETT)
    return sorted(dict.fromkeys(cited), key=lambda reference: reference.text.lower())
