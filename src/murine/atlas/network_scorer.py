"""Score one network after the other against one data set. Data are prepared once, before the first network."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from murine.atlas import finished_work, known_networks
from murine.atlas.identity import CaptureTask, CortexSettings, ScoreTask
from murine.atlas.known_networks import NetworkIdentity
from murine.atlas.store import Atlas, provenance
from murine.atlas.sweep import GROUPS, NetworkResult, SweepSettings, UnusableDataError, own_work
from murine.cortex.dataset import Dataset
from murine.cortex.loading import load_dataset
from murine.cortex.recording import Recording
from murine.errors import MurineError
from murine.io.array_cache import ArrayCache
from murine.io.files import cache_folder
from murine.networks import zoo
from murine.networks.capture import CapturedLayer, capture
from murine.networks.capture.naming import chosen_modules
from murine.networks.dependencies import busy_packages, observation
from murine.networks.network import Network
from murine.networks.process_state import preserved_state
from murine.networks.spec import NetworkSpec
from murine.progress import Progress, Silent
from murine.scoring.layer_scores import score_layers
from murine.scoring.metric import metrics
from murine.scoring.site_benchmark import SiteBenchmark
from murine.scoring.site_data import SiteData
from murine.scoring.site_preparation import make_site_data
from murine.scoring.subject_bootstrap import draw_subjects
from murine.similarity.rdm import dissimilarities
from murine.stimuli import StimulusSet, matched

log = logging.getLogger(__name__)


def chosen_data(
    settings: CortexSettings, folder: Path | None = None, stimuli: Path | None = None, given: Dataset | None = None
) -> Dataset:
    """Return a data set; if it is a recording, only the neurons that the settings select.

    Parameters
    ----------
    folder, stimuli
        As ``root`` and ``stimuli`` of `load_dataset`.
    given
        The data set itself, where it is in memory already.

    Raises
    ------
    MurineError
        If there is no such data set, or if neurons are selected or grouped but the data are matrices.
    """
    data = given or load_dataset(settings.cortex, root=folder, stimuli=stimuli)
    labels: dict[str, list[str]] = {}
    for key, value in settings.select:
        labels.setdefault(key, []).append(value)
    if isinstance(data.responses, Recording):
        return data.select(min_reliability=settings.min_reliability, **labels)
    if labels or settings.min_reliability is not None:
        data.select()  # refuses
    if settings.by:
        raise MurineError(
            f"{data.name!r} comes as matrices of its own sites, which cannot be grouped by "
            f"{', '.join(settings.by)}. Leave --by out."
        )
    return data


class NetworkScorer:
    """Scores networks against one data set.

    Parameters
    ----------
    settings
        Which data, metrics, layers and treatments.
    data
        The data set, where it is in memory already; by default it is loaded by the name in ``settings``.
    """

    def __init__(self, settings: SweepSettings, data: Dataset | None = None) -> None:
        self.settings = settings
        self._given = data
        self._site_data: dict[str, SiteData] = {}
        self._benchmarks: dict[tuple[str, str], SiteBenchmark] = {}
        self._fingerprint: str | None = None
        self._told = False

    def prepare(self) -> None:
        """Load the cortex, so that an error in it stops the sweep once instead of failing each network.

        Raises
        ------
        MurineError
            If the cortex itself cannot be used, or a metric or the device is unknown.
        """
        for metric in self.settings.metrics:
            if metric not in GROUPS:
                metrics[metric]  # an unknown one raises before any work
        self.settings = replace(self.settings, device=zoo.available_device(self.settings.device))
        self._fingerprint = None if self._given else finished_work.data_fingerprint(self.settings)
        _ = self.digest, self.stimuli
        dissimilarities[self.settings.cortex.dissimilarity]
        responses = self.data.responses
        if isinstance(responses, Recording):
            responses.sites(*self.settings.cortex.by, min_neuroids=1)  # refuses labels that the neurons do not have
        elif any(treatment.neurons == "zscore" for treatment in self.settings.treatments):
            self.site_data("zscore")  # refuses it

    def with_settings(self, settings: SweepSettings) -> NetworkScorer:
        """Return a prepared scorer of other settings, which shares what is the same for them.

        Images and responses are shared if the settings choose the same neurons of the same files, and site data and
        benchmarks if resampling is the same, too.
        """
        other = NetworkScorer(settings, self._given)
        before = self.settings
        if (settings.cortex, settings.data, settings.stimuli) == (before.cortex, before.data, before.stimuli):
            for name in ("data", "digest", "stimuli"):
                other.__dict__[name] = getattr(self, name)
            if settings.scoring == before.scoring:
                other._site_data, other._benchmarks = self._site_data, self._benchmarks
        other.prepare()
        return other

    @cached_property
    def data(self) -> Dataset:
        """The images, and the responses of the chosen neurons."""
        return chosen_data(self.settings.cortex, self.settings.data, self.settings.stimuli, self._given)

    @cached_property
    def digest(self) -> str:
        """The digest of the responses."""
        return self.data.responses.digest

    def _kept(self, neurons: str) -> ArrayCache:
        """Site data and ceilings of earlier runs, in the cache of this user."""
        about = {"data": self.digest, "cortex": self.settings.cortex.model_dump(mode="json"), "neurons": neurons}
        return ArrayCache(cache_folder() / "sites", about)

    def site_data(self, neurons: str) -> SiteData:
        """Return the sites, with neurons as they are (``none``) or standardised (``zscore``)."""
        if neurons not in self._site_data:
            self._site_data[neurons] = self._make_site_data(neurons)
        return self._site_data[neurons]

    def _make_site_data(self, neurons: str) -> SiteData:
        cortex, over = self.settings.cortex, self.settings.scoring.over
        try:
            site_data = make_site_data(
                self.data.responses,
                cortex.by,
                normalise=neurons,
                dissimilarity=cortex.dissimilarity,
                n_splits=cortex.n_splits,
                seed=self.settings.scoring.seed,
                kept=self._kept(neurons),
            )
            if over:
                draw_subjects(site_data, over, 1, self.settings.scoring.seed)  # refuses what cannot be resampled
        except MurineError as error:
            raise UnusableDataError(str(error)) from error
        return site_data

    @cached_property
    def stimuli(self) -> StimulusSet:
        """The images in the order of the responses."""
        return matched(self.data.stimuli, self.data.responses.stimulus_ids)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the names of the metrics; a group has metrics of single neurons only if the data have neurons."""
        matrices = not isinstance(self.data.responses, Recording)
        named: dict[str, None] = {}
        for asked in self.settings.metrics:
            group = GROUPS.get(asked, (asked,)) or tuple(metrics)
            possible = [name for name in group if name == asked or not matrices or not metrics[name].of_neurons]
            named |= dict.fromkeys(possible)
        return tuple(named)

    def benchmark(self, metric: str, neurons: str) -> SiteBenchmark:
        key = metric, neurons
        if key not in self._benchmarks:
            self._benchmarks[key] = SiteBenchmark(
                self.site_data(neurons),
                metric,
                groups=self.stimuli.groups,
                settings=self.settings.scoring,
                kept=self._kept(neurons),
            )
        return self._benchmarks[key]

    def run(self, spec: NetworkSpec, atlas: Atlas, progress: Progress | None = None) -> NetworkResult:
        """Score one network by every metric, unless its scores are stored. It is built only if its kernels are not."""
        settings = self.settings
        request = finished_work.request_digest(settings, spec, self._fingerprint)
        building = known_networks.building_digest(settings, spec)
        result = None
        if (known := known_networks.find(atlas.folder, building)) is not None:
            identity, seen = known
            result = self._score(identity, None, atlas, progress)
        if result is None:
            with preserved_state(str(spec)), observation(busy_packages(spec.name)) as seen:
                network = zoo.load(spec, input_size=settings.input_size, device=settings.device)
            result = self.score(network, atlas, progress)
            known_networks.add(atlas.folder, building, seen, self._identity(network))
        if request is not None:
            atlas.add_request(request, seen, result.tasks)
        return replace(result, spec=spec)

    def score(self, network: Network, atlas: Atlas, progress: Progress | None = None) -> NetworkResult:
        """Score a built network by every metric, unless its scores are stored."""
        result = self._score(self._identity(network), network, atlas, progress)
        if result is None:
            raise RuntimeError("a network that is there can be shown the images")
        return result

    def _identity(self, network: Network) -> NetworkIdentity:
        return NetworkIdentity(
            name=network.name,
            weights=network.weights,
            role=network.role,
            digest=network.digest,
            preprocessing=network.preprocessing,
            layers=self._layers_asked(network),
        )

    def _score(
        self, identity: NetworkIdentity, network: Network | None, atlas: Atlas, progress: Progress | None
    ) -> NetworkResult | None:
        """Score a network from stored kernels, or from the network; None if that is needed and not there."""
        tasks = self._tasks(identity)
        missing = [task for task in tasks if not atlas.done(task)]
        captures = dict.fromkeys(task.capture for task in missing)
        layers = {task: found for task in captures if (found := self._known(task, atlas)) is not None}
        unknown = [task for task in captures if task not in layers]
        if unknown and network is None:
            return None
        with own_work(progress):
            for task in missing:
                self.site_data(task.normalise_neurons)  # before the network is shown anything: they may not exist
        if unknown and network is not None:
            layers |= self._captured(network, unknown, atlas, progress)
        with own_work(progress), (progress or Silent()).task(f"scores of {identity.name}", len(missing)) as bar:
            for task in missing:
                rows = score_layers(layers[task.capture], self.benchmark(task.metric, task.normalise_neurons))
                atlas.write_scores(task, rows.assign(role=identity.role), provenance())
                bar.advance()
        return NetworkResult(
            NetworkSpec(identity.name, identity.weights),
            "computed" if missing else "done",
            tuple(task.digest for task in tasks),
            ran=bool(unknown),
        )

    def _tasks(self, network: NetworkIdentity) -> list[ScoreTask]:
        """Return the identities of all results of a network."""
        settings = self.settings
        capturing = CaptureTask(
            network_digest=network.digest,
            preprocessing=network.preprocessing,
            stimuli_digest=self.stimuli.digest,
            layers=network.layers,
        )
        return [
            ScoreTask(
                network=network.name,
                weights=network.weights,
                capture=capturing.model_copy(update={"normalise": treatment.features}),
                cortex=settings.cortex.model_copy(update={"cortex": self.data.name}),
                cortex_digest=self.digest,
                groups=self.stimuli.groups_digest,
                metric=metric,
                normalise_neurons=treatment.neurons,
                n_bootstraps=settings.scoring.n_bootstraps,
                n_permutations=settings.scoring.n_permutations,
                seed=settings.scoring.seed,
                over=settings.scoring.over,
                n_subject_draws=settings.scoring.subject_draws,
                layer_choice=settings.scoring.layer_choice,
            )
            for treatment in settings.treatments
            for metric in self.metrics
        ]

    def _layers_asked(self, network: Network) -> str:
        """The layers that are asked for; all of a control that has none of these (it has no ReLU, say)."""
        if network.role == "control":
            try:
                chosen_modules(network.module, self.settings.layers)
            except MurineError:
                if not self._told:  # once, not for each control
                    log.warning("controls without a layer %r are scored with all their layers.", self.settings.layers)
                self._told = True
                return "all"
        return self.settings.layers

    def _captured(
        self, network: Network, missing: Sequence[CaptureTask], atlas: Atlas, progress: Progress | None
    ) -> dict[CaptureTask, list[CapturedLayer]]:
        """Kernels of all treatments from the same pass through the network; they are stored."""
        found = {}
        images = network.preprocessing.apply(self.stimuli).to(self.settings.device)
        with preserved_state(network.name):
            captured = capture(
                network.module,
                images,
                layers=missing[0].layers,
                batch_size=self.settings.batch_size,
                progress=progress,
                standardise=any(task.normalise == "zscore" for task in missing),
            )
        for task in missing:
            zscored = task.normalise == "zscore"
            found[task] = [layer.with_standardised_units if zscored else layer for layer in captured]
            atlas.write_kernels(task, found[task])
        return found

    @staticmethod
    def _known(task: CaptureTask, atlas: Atlas) -> list[CapturedLayer] | None:
        try:
            return atlas.read_kernels(task)
        except MurineError as error:
            log.warning("%s They are captured again.", error)
            return None


def ready(settings: SweepSettings, data: Dataset | None = None) -> NetworkScorer:
    """Return a prepared scorer, so that wrong settings are refused before the first network is built."""
    scorer = NetworkScorer(settings, data)
    scorer.prepare()
    return scorer
