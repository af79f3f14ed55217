"""Do intervals hold what they promise? Every metric, as users get it, on two generators whose truth is known.

Parts 1 to 4 are of a simulated cortex, part 5 of Poisson neurons.

The neurons of `murine.cortex.simulated` see other scenes in every experiment, drawn from 1,000, with other noise, at
three levels: the reliability of a neuron's mean response over its repetitions. Scores, ceilings and intervals are those
of `SiteBenchmark` and `score_layers`. Tables, in Markdown:

1. Ceilings. Two experiments with the same neurons and scenes agree on something; the truth is the root of its mean
   over sets of scenes. Of tau-a it is the score of the matrix expected of many experiments, of single neurons what
   follows from the variance of their responses to the scenes and that of the noise.
2. Nothing shared: networks of other model neurons that saw the scenes in another order. How often does the interval
   exclude zero, and how often is it above; with the ceiling; and with the layer chosen among three on one half of the
   scenes, scored on the other?
3. Something shared: the same network with the scenes in order. How often does the interval cover the mean over all
   experiments?
4. The best of 300 random layers, chosen on the scenes it is scored on, and chosen on other ones.
5. Poisson neurons and two exactly exchangeable models (`poisson.py`), for many kinds of experiments. Truths are over
   new images: means over other experiments, with other images, of the score, and of the correlation of what was
   measured with what is expected without noise. How often do intervals of ceilings and scores cover them, and how often
   does that of the difference of both models exclude zero? Intervals whose row carries a flag are counted apart.

The worst of part 5 comes last.

Run: python benchmarks/intervals.py [--seeds 100 or 200:300] [--processes 1] [--metrics ridge pls-10]
     [--parts 1 2 3 4 5] [--cases "2 repetitions"] [--normalise none zscore] [--truths 300]
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import kendalltau, spearmanr
from threadpoolctl import threadpool_limits

from murine.cortex.recording import Recording
from murine.cortex.simulated import CorticalModel, simulate
from murine.networks.capture import CapturedLayer
from murine.networks.layer_kernel import LayerKernel
from murine.scenes import synthetic_scenes
from murine.scoring.layer_scores import score_layers
from murine.scoring.metric import metrics
from murine.scoring.score_sample import ScoreSample
from murine.scoring.settings import ScoreSettings
from murine.scoring.site_benchmark import SiteBenchmark
from murine.scoring.site_data import SiteData
from murine.scoring.site_preparation import make_site_data
from murine.similarity.kernel_similarity import u_centre_kernels
from murine.similarity.rdm import dissimilarities
from murine.similarity.rdm_vectors import upper_triangle
from murine.statistics.standardisation import zscore
from poisson import CASES, Case
from poisson import Experiment as PoissonExperiment
from poisson import World as PoissonWorld

LEVELS = (0.3, 0.6, 0.9)
N_SCENES, N_STIMULI, N_REPETITIONS = 1000, 100, 20
N_NEURONS, N_UNITS = 60, 200  # of each of the three areas, of the cortex and of the network
N_SHUFFLED = 3
SETTINGS = ScoreSettings(n_bootstraps=300, n_permutations=0)
N_EXPERIMENTS = 200  # for the expected matrices

#: Where no score says that nothing is shared, and why.
NO_ZERO = {
    "cka": "kernels of few stimuli are alike by themselves",
    "procrustes": "patterns of few stimuli can be rotated onto any others",
    "rsa-cosine": "dissimilarities are all positive",
    "ridge-conwell2021": "published as it is: a left-out response is above the mean of the others or below it, and "
    "predictions the other way",
}
#: The metrics of the best of many layers.
CHOOSING = ("rsa-pearson", "cka-debiased", "ridge")
N_LAYERS, CHOICE_LEVEL = 300, 0.6

#: The metrics of Poisson neurons, and what is allowed: percent of differences that exclude zero, and covered.
EXCHANGED = ("rsa-pearson", "rsa-spearman", "rsa-tau-a", "cka-debiased", "ridge", "pls-10")
MOST_EXCLUDED, LEAST_COVERED = 8, 91
#: Experiments with seeds from here on tell the truth, and are not among those that are judged.
FIRST_TRUTH = 10**6


@dataclass(frozen=True)
class World:
    """What all experiments draw from: true responses (n_neurons, n_scenes), units (n_scenes, n_units)."""

    true: np.ndarray
    areas: np.ndarray
    units: np.ndarray


def make_world() -> World:
    scenes = synthetic_scenes(N_SCENES, 64, seed=5)
    cortex = simulate(scenes, n_neuroids=N_NEURONS, n_repetitions=1, seed=0)
    network = CorticalModel(64, N_UNITS, seed=9).eval()
    images = torch.tensor(scenes.images.reshape(N_SCENES, 64, 64, -1)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        units = torch.cat([network(batch.float() / 255) for batch in torch.split(images, 16)]).numpy()
    return World(cortex.true_responses, cortex.recording["area"], units.astype(np.float64))


@dataclass(frozen=True)
class Experiment:
    """Some scenes, and what neurons of a reliability say to them."""

    world: World
    scenes: np.ndarray
    level: float
    seed: int

    @classmethod
    def draw(cls, world: World, level: float, seed: int) -> Experiment:
        return cls(world, np.random.default_rng([seed, 1]).choice(N_SCENES, N_STIMULI, replace=False), level, seed)

    @property
    def true(self) -> np.ndarray:
        return self.world.true[:, self.scenes]

    @property
    def noise(self) -> np.ndarray:
        """The SD of the noise of a mean over repetitions."""
        return self.world.true.std(axis=1, keepdims=True) * np.sqrt((1 - self.level) / self.level)

    def record(self, k: int) -> SiteData:
        """The k-th repetition of the whole experiment."""
        rng = np.random.default_rng([self.seed, LEVELS.index(self.level), k, 2])
        trials = rng.normal(size=(*self.true.shape, N_REPETITIONS)) * np.sqrt(N_REPETITIONS) * self.noise[:, :, None]
        neuroid = {"neuroid_id": np.arange(len(trials)).astype(str), "area": self.world.areas}
        stimulus = {"stimulus_id": [f"{i:03d}" for i in range(N_STIMULI)]}
        recording = Recording.from_arrays((trials + self.true[:, :, None]).astype(np.float32), neuroid, stimulus)
        return make_site_data(recording, n_splits=20, seed=self.seed)

    def layer(self, area: int, shuffle: int | None = None) -> CapturedLayer:
        """Units of an area of the network; with the scenes in another order for a number."""
        units = self.world.units[self.scenes, area * N_UNITS : (area + 1) * N_UNITS]
        if shuffle is not None:
            units = units[np.random.default_rng([self.seed, shuffle, 3]).permutation(N_STIMULI)]
        return captured(f"layer {area} {shuffle}", units)


def captured(name: str, units: np.ndarray) -> CapturedLayer:
    kernel = LayerKernel.of(np.ascontiguousarray(units, dtype=np.float64))
    return CapturedLayer(name, 0.5, (units.shape[1],), kernel, flag=kernel.flag)


def agreement(name: str, one: SiteData, other: SiteData) -> np.ndarray:
    """How alike two experiments are, for each site."""
    metric = metrics[name]
    if name == "rsa-reweighted":
        metric = metrics["rsa-pearson"]
    return np.diag(metric.score(metric.of_sites(one), metric.of_sites(other)))


def neuron_truth(experiment: Experiment, site_data: SiteData) -> np.ndarray:
    """The correlation of mean responses with true ones, averaged over the neurons of each site."""
    signal = experiment.true.var(axis=1, ddof=1)
    expected = np.sqrt(signal / (signal + experiment.noise[:, 0] ** 2))
    return np.array([expected[members].mean() for members in site_data.population.members])


def expected_score(name: str, experiment: Experiment, site_data: SiteData) -> np.ndarray:
    """The score of the RDMs that are expected of many experiments with these scenes."""
    rng = np.random.default_rng([experiment.seed, 4])
    found = []
    for s, site in enumerate(site_data.sites):
        mine = experiment.world.areas == site.labels["area"]
        true, noise = experiment.true[mine], experiment.noise[mine]
        drawn = (true + noise * rng.normal(size=true.shape) for _ in range(N_EXPERIMENTS))
        rdms = [
            upper_triangle(dissimilarities["pearson"](LayerKernel.of(np.ascontiguousarray(zscore(responses).T))))
            for responses in drawn
        ]
        sites = metrics[name].of_sites(site_data)
        found.append(metrics[name].score(np.mean(rdms, axis=0)[None], sites[[s]])[0, 0])
    return np.array(found)


def experiment_rows(world: World, chosen: Sequence[str], parts: Sequence[int], task: tuple[float, int]) -> list[Any]:
    """What one experiment tells of parts 1 to 3: dictionaries, one per number of the tables."""
    level, seed = task
    experiment = Experiment.draw(world, level, seed)
    one = experiment.record(0)
    other = experiment.record(1) if 1 in parts else one
    rows: list[dict[str, Any]] = []
    for name in chosen:
        benchmark = SiteBenchmark(one, name, settings=replace(SETTINGS, seed=seed))
        about = {"metric": name, "level": level, "seed": seed}
        ceiling = benchmark.groups["all"].ceiling
        if 1 in parts and (ceiling.value > 0).any():
            if metrics[name].of_neurons:
                alike = neuron_truth(experiment, one)
            else:
                alike = agreement(name, one, other) if name != "rsa-tau-a" else expected_score(name, experiment, one)
            ends = np.stack([ceiling.value, *ceiling.interval()], axis=1)
            for s, (value, low, high) in enumerate(ends):
                found = {"score": value, "low": low, "high": high, "alike": alike[s]}
                rows.append({**about, "part": 1, "site": s, **found})
        if 2 in parts:
            layers = [experiment.layer(k % 3, k) for k in range(N_SHUFFLED)]
            rows += score_rows(score_layers(layers, benchmark), {**about, "part": 2})
        if 3 in parts:
            for area in range(3):
                rows += score_rows(
                    score_layers([experiment.layer(area)], benchmark), {**about, "part": 3, "area": area}
                )
    return rows


def score_rows(table: pd.DataFrame, about: dict[str, Any]) -> list[dict[str, Any]]:
    columns = ["site", "split", "score", "low", "high", "ceiled", "ceiled_low", "ceiled_high"]
    return [{**about, **row} for row in table[columns].to_dict("records")]


def choice_rows(world: World, chosen: Sequence[str], seed: int) -> list[Any]:
    """Part 4: the best of random layers for every site."""
    site_data = Experiment.draw(world, CHOICE_LEVEL, seed).record(0)
    rng = np.random.default_rng([seed, 5])
    layers = [captured(f"random {k}", rng.normal(size=(N_STIMULI, 50))) for k in range(N_LAYERS)]
    rows = []
    for name in chosen:
        settings = replace(SETTINGS, n_bootstraps=200, seed=seed)
        table = score_layers(layers, SiteBenchmark(site_data, name, settings=settings))
        for kind in ("naive", "nested"):
            found = table[table.chosen == kind]
            rows += score_rows(found, {"part": 4, "metric": name, "level": CHOICE_LEVEL, "seed": seed, "kind": kind})
        rows += [
            {"part": 4, "metric": name, "seed": seed, "kind": "optimism", "score": value}
            for value in table.optimism.dropna()
        ]
    return rows


def noise_free_score(name: str, experiment: PoissonExperiment, site_data: SiteData) -> float:
    """The score of the responses without noise, on the scale of the measured ones, with the measured ones."""
    population = site_data.population
    assert population is not None
    kept = np.flatnonzero(np.isin(np.arange(len(experiment.true)), [int(i) for i in population.neuroid_ids]))
    measured, true = population.means, experiment.true[kept]
    if metrics[name].of_neurons:
        relative = [x - x.mean(axis=1, keepdims=True) for x in (measured, true)]
        a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in relative)
        return float((a * b).sum(axis=1).mean())
    if population.normalise == "zscore":
        mean, sd = measured.mean(axis=1, keepdims=True), measured.std(axis=1, keepdims=True)
        measured, true = (measured - mean) / sd, (true - true.mean(axis=1, keepdims=True)) / sd
    kernels = [LayerKernel.of(np.ascontiguousarray(x.T)) for x in (measured, true)]
    if name == "cka-debiased":
        a, b = upper_triangle(u_centre_kernels(np.stack([kernel.gram for kernel in kernels])))
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    a, b = upper_triangle(np.stack([dissimilarities["pearson"](kernel) for kernel in kernels]))
    compare = {"rsa-spearman": spearmanr, "rsa-tau-a": kendalltau}.get(name)
    return float(np.corrcoef(a, b)[0, 1] if compare is None else compare(a, b)[0])


def poisson_truths(names: Sequence[str], task: tuple[Case, str, int]) -> list[Any]:
    """Scores and noise-free scores of one experiment."""
    case, normalise, seed = task
    experiment = PoissonExperiment.draw(PoissonWorld.of(case), seed)
    site_data = make_site_data(experiment.recording(), normalise=normalise, n_splits=1)
    rows = []
    for name in names:
        stack, _ = metrics[name].prepare([x.kernel for x in experiment.layers if x.kernel is not None], site_data)
        score = float(metrics[name].score(stack, metrics[name].of_sites(site_data))[:, 0].mean())
        about = {"case": case.name, "normalise": normalise, "metric": name}
        rows.append({**about, "score": score, "ceiling": noise_free_score(name, experiment, site_data)})
    return rows


def poisson_rows(names: Sequence[str], task: tuple[Case, str, int]) -> list[Any]:
    """Intervals of one experiment: both scores, the ceiling, and the difference."""
    case, normalise, seed = task
    experiment = PoissonExperiment.draw(PoissonWorld.of(case), seed)
    site_data = make_site_data(experiment.recording(), normalise=normalise, n_splits=20, seed=seed)
    rows: list[dict[str, Any]] = []
    for name in names:
        benchmark = SiteBenchmark(site_data, name, settings=replace(SETTINGS, seed=seed))
        tables = [score_layers([layer], benchmark) for layer in experiment.layers]
        found = [table[table.split == "all"].iloc[0] for table in tables]
        about = {"case": case.name, "normalise": normalise, "metric": name, "seed": seed}
        about["flag"] = "; ".join(filter(None, dict.fromkeys(x for row in found for x in (row.flag, row.site_flag))))
        first = found[0]
        ends = {"score": first.ceiling, "low": first.ceiling_low, "high": first.ceiling_high}
        rows.append({**about, "what": "ceiling", **ends})
        rows += [{**about, "what": "score", "score": x.score, "low": x.low, "high": x.high} for x in found]
        difference = ScoreSample.of_row(first) - ScoreSample.of_row(found[1])
        low, high = difference.interval()
        rows.append({**about, "what": "difference", "score": difference.value, "low": low, "high": high})
    return rows


def exchanged(rows: pd.DataFrame, truths: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The table of part 5, and its worst case in words."""
    keys = ["case", "normalise", "metric"]
    truth = truths.groupby(keys, sort=False)[["score", "ceiling"]].mean()
    lines, worst = [], (-np.inf, "nothing was judged")
    for key, found in rows.groupby(keys, sort=False):
        line = dict(zip(keys, key, strict=True))
        judged = found[found.flag == ""]
        for what in ("ceiling", "score"):
            own, value = judged[judged.what == what], truth.loc[key, what]
            mean = found[found.what == what].score.mean()
            line[f"{what} / truth"] = f"{mean:.3f} / {value:.3f}"
            covered = ~excluded(own, value).astype(bool)
            line[f"{what} covered, %"] = percent(covered)
            if len(covered):
                short = LEAST_COVERED - 100 * covered.mean()
                worst = max(worst, (short, f"{100 * covered.mean():.0f} % of intervals of the {what} cover: {key}"))
        apart = excluded(judged[judged.what == "difference"], 0.0).astype(bool)
        line["difference not 0, %"] = percent(apart)
        if len(apart):
            over = 100 * apart.mean() - MOST_EXCLUDED
            worst = max(worst, (over, f"{100 * apart.mean():.0f} % of differences exclude zero: {key}"))
        flags = found[found.what == "ceiling"].flag
        line["flagged, %"] = f"{100 * (flags != '').mean():.0f}"
        line["flag"] = flags[flags != ""].mode().iloc[0] if (flags != "").any() else ""
        lines.append(line)
    verdict = "beyond what is allowed" if worst[0] > 0 else "within what is allowed"
    return pd.DataFrame(lines), f"The worst, {verdict}: {worst[1]}"


def seeds_of(text: str) -> range:
    """``100`` for the first 100 seeds, ``200:300`` for those from 200 on."""
    numbers = [int(part) for part in text.split(":")]
    return range(*numbers)


def excluded(rows: pd.DataFrame, value: Any, prefix: str = "") -> pd.Series:
    """Whether the interval excludes a value; of rows that have one."""
    told = rows[np.isfinite(rows[f"{prefix}low"])]
    value = value[told.index] if isinstance(value, pd.Series) else value
    return (told[f"{prefix}low"] > value) | (told[f"{prefix}high"] < value)


def percent(flags: pd.Series) -> str:
    """A rate with its standard error. Sites and layers of an experiment count as independent, which they nearly are."""
    if not len(flags):
        return "-"
    rate = flags.mean()
    return f"{100 * rate:.1f} ± {100 * np.sqrt(max(rate, 1 / len(flags)) * (1 - min(rate, 1)) / len(flags)):.1f}"


def mean(rows: pd.DataFrame, column: str = "score") -> str:
    """Mean with its standard error over experiments."""
    seeds = rows.groupby("seed")[column].mean().dropna()
    return f"{seeds.mean():.4f} ± {seeds.std() / np.sqrt(max(len(seeds), 1)):.4f}"


def ceilings(rows: pd.DataFrame) -> pd.DataFrame:
    lines = []
    for (name, level), found in rows.groupby(["metric", "level"], sort=False):
        truth = found.groupby("site").alike.transform("mean")
        if not (name == "rsa-tau-a" or metrics[name].of_neurons):
            truth = np.sqrt(truth.clip(lower=0))
        kept = found[found.score > 0]
        lines.append(
            {
                "metric": name,
                "reliability": level,
                "truth": f"{truth.mean():.3f}",
                "ceiling": f"{kept.score.mean():.3f}",
                "covered %": percent(~excluded(kept, truth).astype(bool)),
                "intervals": len(kept),
            }
        )
    return pd.DataFrame(lines)


def zeros(rows: pd.DataFrame) -> pd.DataFrame:
    lines = []
    for (name, level), found in rows.groupby(["metric", "level"], sort=False):
        whole, nested = found[found.split == "all"], found[found.split == "held out"]
        line = {"metric": name, "reliability": level, "mean score": mean(whole)}
        if name not in NO_ZERO:
            line["not 0, %"] = percent(excluded(whole, 0.0))
            line["above 0, %"] = percent(whole.low[np.isfinite(whole.low)] > 0)
            line["ceiled not 0, %"] = percent(excluded(whole, 0.0, "ceiled_"))
            line["nested not 0, %"] = percent(excluded(nested, 0.0))
        lines.append({**line, "intervals": np.isfinite(whole.low).sum()})
    return pd.DataFrame(lines).fillna("-")


def shared(rows: pd.DataFrame) -> pd.DataFrame:
    lines = []
    for (name, level), found in rows[rows.split == "all"].groupby(["metric", "level"], sort=False):
        by = found.groupby(["site", "area"])
        line = {"metric": name, "reliability": level, "mean score": mean(found)}
        line["covered %"] = percent(~excluded(found, by.score.transform("mean")))
        line["ceiled, covered %"] = percent(~excluded(found, by.ceiled.transform("mean"), "ceiled_"))
        lines.append({**line, "intervals": np.isfinite(found.low).sum()})
    return pd.DataFrame(lines)


def choices(rows: pd.DataFrame) -> pd.DataFrame:
    lines = []
    for name, found in rows.groupby("metric", sort=False):
        nested = found[found.kind == "nested"]
        lines.append(
            {
                "metric": name,
                "naive best": mean(found[found.kind == "naive"]),
                "nested": mean(nested),
                "optimism on halves": mean(found[found.kind == "optimism"]),
                "nested not 0, %": percent(excluded(nested, 0.0)),
                "naive not 0, %": percent(excluded(found[found.kind == "naive"], 0.0)),
                "intervals": len(nested),
            }
        )
    return pd.DataFrame(lines)


def run(work: Callable[[Any], list[Any]], tasks: Iterable[Any], processes: int) -> pd.DataFrame:
    if processes == 1:
        return pd.DataFrame([row for task in tasks for row in work(task)])
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        return pd.DataFrame([row for rows in pool.imap(work, tasks) for row in rows])


def markdown(title: str, table: pd.DataFrame) -> None:
    print(f"\n### {title}\n")
    print("| " + " | ".join(table.columns) + " |")
    print("| " + " | ".join("---" for _ in table.columns) + " |")
    for row in table.astype(str).to_numpy():
        print("| " + " | ".join(row) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=seeds_of, default=range(100), metavar="[START:]STOP")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--metrics", nargs="+", default=list(metrics), choices=list(metrics))
    parser.add_argument("--parts", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--cases", nargs="+", default=[case.name for case in CASES], metavar="NAME")
    parser.add_argument("--normalise", nargs="+", default=["none", "zscore"])
    parser.add_argument("--truths", type=int, default=300, help="experiments that tell the truth of part 5")
    given = parser.parse_args()
    start = time.perf_counter()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        world = make_world() if {1, 2, 3, 4} & set(given.parts) else None
        if world is not None and {1, 2, 3} & set(given.parts):
            tasks = [(level, seed) for seed in given.seeds for level in LEVELS]
            rows = run(functools.partial(experiment_rows, world, given.metrics, given.parts), tasks, given.processes)
            rows["order"] = rows.metric.map(list(metrics).index)
            rows = rows.sort_values(["order", "level"], kind="stable")
            titles = ("Ceilings", "Nothing shared", "Something shared")
            for part, title, summary in zip((1, 2, 3), titles, (ceilings, zeros, shared), strict=True):
                if part in given.parts:
                    markdown(title, summary(rows[rows.part == part].reset_index(drop=True)))
        if world is not None and 4 in given.parts:
            chosen = [name for name in CHOOSING if name in given.metrics]
            rows = run(functools.partial(choice_rows, world, chosen), given.seeds, given.processes)
            markdown(f"The best of {N_LAYERS} random layers", choices(rows))
        worst = ""
        if 5 in given.parts:
            names = [name for name in EXCHANGED if name in given.metrics]
            kinds = [(case, how) for case in CASES if case.name in given.cases for how in given.normalise]
            last = FIRST_TRUTH + given.truths
            tasks_of_truth = [(case, how, seed) for case, how in kinds for seed in range(FIRST_TRUTH, last)]
            truths = run(functools.partial(poisson_truths, names), tasks_of_truth, given.processes)
            poisson_tasks = [(case, how, seed) for case, how in kinds for seed in given.seeds]
            rows = run(functools.partial(poisson_rows, names), poisson_tasks, given.processes)
            table, worst = exchanged(rows, truths)
            markdown("Poisson neurons", table)
    seconds = time.perf_counter() - start
    print(f"\nSeeds {given.seeds.start} to {given.seeds.stop - 1}, {seconds:.0f} s with {given.processes} processes")
    print(worst)


if __name__ == "__main__":
    main()
