"""Sweep files: which networks are scored against which data sets, in YAML.

Every list is combined with every other: networks x weights x variants x input sizes x data sets x seeds. Metrics and
treatments are computed from the same pass through a network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from murine.atlas.limits import TIME_LIMIT
from murine.atlas.sweep import SweepSettings, size_text
from murine.atlas.task_options import USUAL_METRIC, sweep_settings
from murine.errors import MurineError, nearest
from murine.io.data_folder import data_folder
from murine.limits import BOOTSTRAPS, PERMUTATIONS, SEED, SPLITS
from murine.networks.spec import NetworkSpec, controls, expand, twin

#: The variant of a network without inserted layers.
PLAIN = "plain"


def _as_list(given: Any) -> Any:
    """Take one value for a list of one."""
    return given if isinstance(given, (list, tuple)) else [given]


#: Lists that may be written as a single value.
Texts = Annotated[tuple[str, ...], BeforeValidator(_as_list)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataChoice(_Strict):
    """A data set of a sweep, and which of its neurons are used.

    Attributes
    ----------
    name
        A name of `murine.datasets`, or a file of responses.
    stimuli
        The images of a file without images.
    by
        Labels that define a site.
    select
        Labels with the values that neurons must have.
    min_reliability
        The smallest split-half reliability of a neuron.
    """

    name: str
    stimuli: Path | None = None
    by: Texts = ()
    select: dict[str, Texts] = Field(default_factory=dict)
    min_reliability: float | None = None


def _as_choices(given: Any) -> Any:
    return [{"name": each} if isinstance(each, str) else each for each in _as_list(given)]


def _as_size(given: Any) -> Any:
    """Read ``native``, 64 and ``64x80`` as None, 64 and (64, 80)."""
    if given in ("native", None):
        return None
    if isinstance(given, str):
        parts = [int(part) for part in given.lower().split("x") if part.isdigit()]
        if len(parts) == 2 and given.lower().count("x") == 1:
            return tuple(parts)
        if len(parts) == 1 and given.isdigit():
            return parts[0]
        raise ValueError("expected pixels (64), HEIGHTxWIDTH (64x80) or native")
    return given


def _as_sizes(given: Any) -> Any:
    return [_as_size(each) for each in _as_list(given)]


class SweepFile(_Strict):
    """The content of a sweep file.

    Attributes
    ----------
    networks
        Names, with wildcards, ``suite:NAME`` and ``@WEIGHTS`` as on the command line.
    weights
        Weights of the networks that name none: ``pretrained``, ``random:SEED``, a file; each in turn.
    variants
        Inserted layers, as ``neurn(k=3)@input``; ``plain`` is the network as it is.
    twins
        The number of random twins of each trained network.
    controls
        Whether the control networks are scored, too.
    input_sizes
        Pixels, ``HEIGHTxWIDTH`` or ``native``.
    data
        Names or files, or mappings with the keys of `DataChoice`.
    metrics
        Names of `murine.metrics`, or ``all``.
    seeds
        Seeds of resampling, permutations and random halves; each is a result of its own.
    layers, protocol, normalise, normalise_neurons, normalise_features, dissimilarity, over
        As in `murine.compare`.
    bootstraps, permutations, splits
        Numbers of samples, as in `murine.compare`.
    device, batch_size, time_limit
        How networks run. These cannot change a result.
    threads
        Threads that each network computes with. The last bits of a sum depend on it, so it is the same everywhere.
    data_folder
        The folder of named data sets; by default ``$MURINE_SHARED``, then ``../shared``.

    Examples
    --------
    >>> [str(spec) for spec in SweepFile(networks="resnet18", twins=1, controls=False, data="simulated").specs()]
    ['resnet18', 'resnet18@random:0']
    """

    networks: Texts = Field(min_length=1)
    weights: Texts = ("",)
    variants: Texts = (PLAIN,)
    twins: int = Field(0, ge=0, le=1000)
    controls: bool = True
    input_sizes: Annotated[tuple[int | tuple[int, int] | None, ...], BeforeValidator(_as_sizes)] = (None,)
    data: Annotated[tuple[DataChoice, ...], BeforeValidator(_as_choices), Field(min_length=1)]
    metrics: Texts = (USUAL_METRIC,)
    seeds: Annotated[tuple[int, ...], BeforeValidator(_as_list)] = (0,)
    layers: str = "own"
    protocol: str = "murine"
    normalise: str = "none"
    normalise_neurons: str | None = None
    normalise_features: str | None = None
    dissimilarity: str = "pearson"
    bootstraps: int = 1000
    permutations: int = 1000
    splits: int = 100
    over: str = ""
    device: str = "auto"
    batch_size: int | None = Field(None, ge=1)
    threads: int = Field(1, ge=1, le=1024)
    time_limit: float = Field(TIME_LIMIT, gt=0)
    data_folder: Path | None = None

    def specs(self) -> list[NetworkSpec]:
        """Return all networks with their weights, variants and twins, each once.

        Raises
        ------
        MurineError
            If a network is unknown, or a variant cannot be understood.
        """
        named = [spec for weights in self.weights for spec in expand(self.networks, weights)]
        specs: dict[NetworkSpec, None] = {}
        for spec, variant in product(named, self.variants):
            if variant != PLAIN and spec.name in controls:
                continue
            with_variant = spec if variant == PLAIN else NetworkSpec.parse(_with_layers(spec, variant))
            seeds = range(self.twins)
            specs |= dict.fromkeys([with_variant, *(t for seed in seeds if (t := twin(with_variant, seed)))])
        if self.controls:
            specs |= dict.fromkeys(NetworkSpec(name) for name in controls)
        return list(specs)

    def settings(self) -> list[SweepSettings]:
        """Return the settings of every data set, seed and input size; sizes change last.

        Raises
        ------
        MurineError
            If an option is unknown, or a number is out of its limits.
        """
        for name, value, limits in (
            ("bootstraps", self.bootstraps, BOOTSTRAPS),
            ("permutations", self.permutations, PERMUTATIONS),
            ("splits", self.splits, SPLITS),
            *(("seeds", seed, SEED) for seed in self.seeds),
        ):
            limits.check(name, value)
        return [
            settings
            for data, seed in product(self.data, self.seeds)
            for settings in sweep_settings(
                data.name,
                by=data.by,
                select=data.select,
                min_reliability=data.min_reliability,
                n_splits=self.splits,
                metric=() if self.protocol != "murine" else self.metrics,
                protocol=self.protocol,
                normalise=self.normalise,
                normalise_neurons=self.normalise_neurons,
                normalise_features=self.normalise_features,
                dissimilarity=self.dissimilarity,
                n_bootstraps=self.bootstraps,
                n_permutations=self.permutations,
                over=self.over,
                seed=seed,
                layers=self.layers,
                input_sizes=list(self.input_sizes),
                data=self._folder(),
                stimuli=None if data.stimuli is None else data.stimuli.absolute(),
                batch_size=self.batch_size,
                device=self.device,
            )
        ]

    def _folder(self) -> Path | None:
        """Return the whole path of the folder of data, which other machines look for; None where there is none."""
        try:
            return data_folder(self.data_folder).absolute()
        except MurineError:
            if self.data_folder is not None:
                raise
            return None  # simulated data need none; others say so when they are loaded


@dataclass(frozen=True)
class SweepUnit(NetworkSpec):
    """One network under one of the settings of a sweep.

    Attributes
    ----------
    settings
        The number of the settings in `SweepFile.settings`.
    label
        These settings in words, as far as they differ within the sweep.
    """

    settings: int = 0
    label: str = ""

    @property
    def network(self) -> NetworkSpec:
        """The network alone."""
        return NetworkSpec(self.name, self.weights, self.variant)

    def __str__(self) -> str:
        return f"{self.network} ({self.label})" if self.label else str(self.network)


def units(specs: Sequence[NetworkSpec], settings: Sequence[SweepSettings]) -> Iterator[SweepUnit]:
    """Yield every network under all settings; the units of a network are neighbours."""
    labels = _labels(settings)
    for spec in specs:
        for i, label in enumerate(labels):
            yield SweepUnit(spec.name, spec.weights, spec.variant, i, label)


def _labels(settings: Sequence[SweepSettings]) -> list[str]:
    """Return data set, input size and seed of each settings, leaving out what is the same for all of them."""
    parts = [(each.cortex.cortex, size_text(each.input_size), f"seed {each.scoring.seed}") for each in settings]
    several = [len(set(column)) > 1 for column in zip(*parts, strict=True)]
    return [", ".join(part for part, shown in zip(row, several, strict=True) if shown) for row in parts]


def read_sweep(source: str | Path | Mapping[str, Any] | SweepFile) -> SweepFile:
    """Read a sweep from a YAML file or a mapping.

    Raises
    ------
    MurineError
        If there is no such file, it is no YAML, a key is unknown, or a value is wrong. The message names the line, or
        the key and the nearest known one.

    Examples
    --------
    >>> sweep = read_sweep({"networks": "resnet18@random:0", "data": "simulated", "input_sizes": [32, 64]})
    >>> len(sweep.specs()), len(sweep.settings())
    (4, 2)
    >>> read_sweep({"network": "resnet18", "data": "simulated"})
    Traceback (most recent call last):
    ...
    murine.errors.MurineError: the sweep: there is no key 'network'; did you mean networks?
    """
    if isinstance(source, SweepFile):
        return source
    content: Any = source
    where = "the sweep"
    if not isinstance(source, Mapping):
        where = repr(str(source))
        content = read_yaml(Path(source))
    if not isinstance(content, Mapping):
        raise MurineError(
            f"{where} holds {type(content).__name__}; expected keys with values, as `networks: [pixels]`."
        )
    try:
        return SweepFile.model_validate(dict(content))
    except ValidationError as error:
        raise MurineError(f"{where}: {_in_words(error)}") from error


def read_yaml(file: Path) -> Any:
    """Return the content of a YAML file.

    Raises
    ------
    MurineError
        If there is no such file, or it is no YAML; the message names the line.
    """
    import yaml

    try:
        return yaml.safe_load(file.read_text("utf-8"))
    except FileNotFoundError:
        raise MurineError(f"there is no file {str(file)!r}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise MurineError(f"{str(file)!r} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}" if mark else ""
        raise MurineError(f"{str(file)!r}{place} is no YAML: {getattr(error, 'problem', None) or error}.") from error


def _in_words(error: ValidationError) -> str:
    """Return the first errors of a validation, each as a sentence."""
    found = []
    unknown = [each for each in error.errors() if each["type"] == "extra_forbidden"]
    for each in (unknown or error.errors())[:3]:  # a wrong name of a key explains why another one is missing
        path = [str(part) for part in each["loc"]]
        key = path[-1] if path else ""
        place = ".".join(path)
        if each["type"] == "extra_forbidden":
            model = DataChoice if len(path) > 1 else SweepFile
            hint = nearest(key, model.model_fields) or f"; expected {', '.join(model.model_fields)}."
            found.append(f"there is no key {place!r}{hint}")
        elif each["type"] == "missing":
            found.append(f"the key {place!r} is missing.")
        else:
            found.append(f"{place} is {each['input']!r}: {each['msg'].removeprefix('Value error, ')}.")
    return " ".join(found)


def _with_layers(spec: NetworkSpec, variant: str) -> str:
    text = "+".join(filter(None, (spec.full_name, variant)))
    return f"{text}@{spec.weights}" if spec.weights else text
