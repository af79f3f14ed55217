"""Does the test of `murine masquerade` keep its promises? A line for each, with the figure that was measured.

    python benchmarks/is_it_a_mouse.py                  # everything, about twelve minutes
    python benchmarks/is_it_a_mouse.py level --runs 100

Parts: ``mice`` (the Allen Neuropixels recording, in $MURINE_SHARED), ``curves`` (the same with fewer units and trials),
``closed-form``, ``level``, ``level-skewed`` and ``power-fixed`` (animals simulated down to their spikes), ``areas``,
``power`` and ``power-of-both`` (simulated at the level of the matrix of similarities, for three distributions and more
runs). Seeds are those of the function `seed`; none was used in development.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
from scipy.stats import t as student

import murine
from murine.cortex.simulated_animals import simulate_animals
from murine.masquerade.animals import AnimalArrays, load_animals
from murine.masquerade.areas import Yardstick, area_table, wrong_area_table
from murine.similarity.population_kernels import (
    PopulationKernel,
    noiseless_kernel,
    noisy_kernel,
    u_product,
    unbiased_cka,
    unbiased_cka_matrix,
)
from murine.statistics.animal_test import critical_t, critical_values, left_out, place_candidates, pooled_p_values

#: The table between mice of the specification: mean and standard deviation over pairs, standard deviation of T.
EXPECTED = {
    "VISp": (0.540, 0.18, 0.067),
    "VISl": (0.454, 0.14, 0.040),
    "VISrl": (0.529, 0.16, 0.087),
    "VISal": (0.552, 0.18, 0.110),
    "VISpm": (0.666, 0.11, 0.039),
    "VISam": (0.719, 0.08, 0.044),
}

#: T that is rejected and that is found with 80 % power, by the specification's formula.
CRITICAL = {
    "VISp": (0.42, 0.36),
    "VISl": (0.38, 0.34),
    "VISrl": (0.36, 0.28),
    "VISal": (0.34, 0.24),
    "VISpm": (0.59, 0.55),
    "VISam": (0.63, 0.59),
}

SIZES = (8, 10, 15)

#: Numbers of animals in the six areas of the recording.
AREA_SIZES = (15, 11, 10, 10, 9, 8)

failed: list[str] = []


def line(what: str, measured: str, holds: bool) -> None:
    print(f"{'holds' if holds else 'FAILS':<6} {what}: {measured}", flush=True)
    if not holds:
        failed.append(what)


def seed(run: int, part: int) -> int:
    """Seeds far from those of the tests, another for each part and run."""
    return 900_000_000 + 1_000_000 * part + run


def recording() -> murine.Recording:
    responses = murine.load_data("allen-neuropixels").responses
    assert isinstance(responses, murine.Recording)
    return responses


def mice() -> None:
    data = recording()
    arrays = load_animals(data)
    yardstick = Yardstick(arrays)
    for area, (mean, pair_sd, t_sd) in EXPECTED.items():
        mine = yardstick.areas[area]
        pairs = mine.between[np.triu_indices(len(mine.names), 1)]
        found = pairs.mean(), pairs.std(ddof=1), mine.typicality.std(ddof=1)
        off = max(abs(found[0] - mean), abs(found[1] - pair_sd), abs(found[2] - t_sd))
        text = "{:.3f} +- {:.2f}, s.d. of T {:.3f}".format(*found)
        line(f"between mice of {area} within 0.01 of {mean}, {pair_sd}, {t_sd}", text, off <= 0.01)
    for area, expected in CRITICAL.items():
        mine = yardstick.areas[area]
        n, values = len(mine.names), mine.typicality
        error = values.std(ddof=1) * np.sqrt(1 + 1 / n)
        plain = values.mean() + (student.ppf(0.05, n - 1) + np.array([0, -0.8416])) * error
        low, lower = critical_values(mine.between)
        text = f"{plain[0]:.2f} / {plain[1]:.2f}; corrected (see the part `power`) {low:.2f} / {lower:.2f}"
        line(f"{area} rejected below / found below {expected} by the formula as specified", text,
             bool(np.allclose(plain, expected, atol=0.0101)))  # fmt: skip
    rows = yardstick.real_animals()
    own = rows[rows.true_area == rows.area]
    by_t, by_p = int((own.p_student <= 0.05).sum()), int((own.p <= 0.05).sum())
    line("real mice left out that are called no mouse, at most 5 %", f"{by_p} of {len(own)} by p ({by_t} by p_t alone)",
         by_p <= 0.05 * len(own))  # fmt: skip
    stricter = 0
    for area in yardstick.areas.values():
        for name, t in zip(area.names, area.null, strict=True):
            every = [pair for a in yardstick.areas.values() for pair in zip(a.names, a.null, strict=True)]
            null = np.array([value for other, value in every if other != name])
            p = max(student.cdf(t, len(area.names) - 2), pooled_p_values(np.array([t]), null)[0])
            stricter += p <= 0.05
    print(f"       the same if all arrays of a mouse are taken out of its null distribution: {stricter} of {len(own)}")
    together = {name: yardstick.p_over_areas(values) for name, values in yardstick.of_animals().items()}
    lowest = sorted(t for t, _ in together.values())[:3]
    print(f"       all areas: r between areas of one mouse {yardstick.correlation:.2f} ({yardstick.n_pairs} pairs), "
          f"lowest combined t {', '.join(f'{t:.1f}' for t in lowest)}")  # fmt: skip
    rejected, n = 0, 0
    for area in yardstick.areas.values():
        for i in area.members:
            order = np.random.default_rng(seed(i, 1)).permutation(len(arrays.stimulus_ids))
            kernel = arrays.kernels[0][i]
            turned = PopulationKernel(kernel.kernel[np.ix_(order, order)], kernel.norm, 0.0, kernel.n_units)
            rest = [k for k, name in enumerate(area.names) if name != arrays.animals[i]]
            to_rest = unbiased_cka_matrix([turned], [arrays.kernels[0][area.members[k]] for k in rest])
            t = place_candidates(area.between[np.ix_(rest, rest)], to_rest).t
            null = yardstick.null(without=i)
            p = max(student.cdf(t[0], len(rest) - 1), pooled_p_values(t, null)[0])
            rejected, n = rejected + (p <= 0.05), n + 1
    line("mice with shuffled scenes are no mice, all of them", f"{rejected} of {n}", rejected == n)
    _halves(data, arrays)
    _invariances(arrays)
    table = area_table(yardstick)
    print("       half of the mice pooled among the other half, mean t:",
          ", ".join(f"{row.area} {row.pooled_t:+.1f}" for row in table.itertuples()))  # fmt: skip
    for column in ("p_student", "p"):
        print(f"       share of real mice that are rejected by {column} (rows: true area, columns: claimed area)")
        print(wrong_area_table(yardstick, column=column).map("{:.0%}".format).to_string())


def _trials(data: murine.Recording) -> Iterator[tuple[str, np.ndarray]]:
    """Trials of each array: (n_units, n_stimuli, n_repetitions), without repetitions that a mouse did not see."""
    areas, donors = data["area"].astype(str), data["donor"].astype(str)
    for area, donor in sorted(set(zip(areas.tolist(), donors.tolist(), strict=True))):
        trials = data.responses[(areas == area) & (donors == donor)]
        if len(trials) >= 20:
            yield area, trials[:, :, np.isfinite(trials).all(axis=(0, 1))]


def _halves(data: murine.Recording, arrays: AnimalArrays) -> None:
    found: dict[str, list[float]] = {}
    for i, (area, trials) in enumerate(_trials(data)):
        values = []
        for draw in range(10):
            rng = np.random.default_rng(seed(100 * i + draw, 2))
            units, repetitions = rng.permutation(len(trials)), rng.permutation(trials.shape[2])
            half = len(units) // 2, len(repetitions) // 2
            one = noisy_kernel(trials[units[: half[0]]][:, :, repetitions[: half[1]]])
            two = noisy_kernel(trials[units[half[0] :]][:, :, repetitions[half[1] :]])
            values.append(unbiased_cka(one, two))
        if np.isfinite(values).any():
            found.setdefault(area, []).append(float(np.nanmean(values)))
    means = {area: float(np.mean(values)) for area, values in found.items()}
    text = ", ".join(f"{area} {value:.2f}" for area, value in means.items())
    line("disjoint halves of units and of trials of a mouse have CKA* 1 +- 0.05 (mean over mice)", text,
         all(abs(value - 1) <= 0.05 for value in means.values()))  # fmt: skip


def _invariances(arrays: AnimalArrays) -> None:
    rng = np.random.default_rng(seed(0, 3))
    trials, second = simulate_animals([0.8, 0.8], seed=seed(0, 3), n_units=(30, 40), n_repetitions=6)
    other = noisy_kernel(second)
    expected = unbiased_cka(noisy_kernel(trials), other)
    scaled = (trials * rng.uniform(0.1, 9, (len(trials), 1, 1)) - 7)[rng.permutation(len(trials))]
    order = rng.permutation(len(arrays.stimulus_ids))
    pair = arrays.kernels[0][:2]
    turned = [PopulationKernel(k.kernel[np.ix_(order, order)], k.norm, k.scatter, k.n_units) for k in pair]
    off = max(
        abs(unbiased_cka(noisy_kernel(scaled), other) - expected), abs(unbiased_cka(*turned) - unbiased_cka(*pair))
    )
    line(
        "invariant to order of scenes and units, scale and offset of units", f"largest difference {off:.1e}", off < 1e-9
    )
    finite = np.isfinite(arrays.between())
    line("no similarity between arrays of one animal exists", f"{(finite & arrays.same_animal).sum()} of them",
         not (finite & arrays.same_animal).any())  # fmt: skip


def curves() -> None:
    data = recording()
    arrays = [trials for area, trials in _trials(data) if area == "VISp"]

    def mean_of(cut: Callable[[np.ndarray, np.random.Generator], np.ndarray], n_draws: int) -> float:
        found = []
        for draw in range(n_draws):
            rng = np.random.default_rng(seed(draw, 4))
            kernels = [noisy_kernel(cut(trials, rng)) for trials in arrays]
            found.append(np.nanmean(unbiased_cka_matrix(kernels, kernels)[np.triu_indices(len(kernels), 1)]))
        return float(np.mean(found))

    def units(n: int) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
        return lambda trials, rng: trials[rng.permutation(len(trials))[:n]]

    def repetitions(n: int) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
        return lambda trials, rng: trials[:, :, rng.permutation(trials.shape[2])[:n]]

    whole = mean_of(lambda trials, rng: trials, 1)
    by_units = {n: mean_of(units(n), 12) for n in (20, 30, 39)}
    by_trials = {n: mean_of(repetitions(n), 12) for n in (6, 10, 25)}
    for name, found in (("units", by_units), ("trials", by_trials)):
        text = ", ".join(f"{n}: {value:.3f}" for n, value in found.items()) + f", all: {whole:.3f}"
        line(f"V1 between mice by number of {name}, flat within 0.03 of all", text,
             all(abs(value - whole) <= 0.03 for value in found.values()))  # fmt: skip


def _plain_cka(one: PopulationKernel, two: PopulationKernel) -> float:
    return u_product(one.kernel, two.kernel) / np.sqrt(
        u_product(one.kernel, one.kernel) * u_product(two.kernel, two.kernel)
    )


def closed_form(runs: int) -> None:
    found, plain = [], []
    for run in range(runs):
        units = np.random.default_rng(seed(run, 5)).integers(24, 111, 8).tolist()
        animals = simulate_animals(
            [0.6] * 8 + [0.5, 0.4, 0.3, 0.5],
            seed=seed(run, 6),
            n_units=[*units, 60, 60, 60, 1500],
            noisy=[True] * 11 + [False],
            n_repetitions=10,
            rate=5 * 1.0,  # as many spikes as in 50 trials of a rate of 1
        )
        kernels = [noisy_kernel(x, n_splits=2) for x in animals[:-1]] + [noiseless_kernel(animals[-1][:, :, 0])]
        s = unbiased_cka_matrix(kernels, kernels)
        found.append([s[:8, :8][np.triu_indices(8, 1)].mean(), *s[8:, :8].mean(axis=1)])
        raw = [noiseless_kernel(x.mean(axis=2)) for x in animals]
        plain.append([np.mean([_plain_cka(raw[i], raw[j]) for i in range(8) for j in range(i)]),
                      np.mean([_plain_cka(raw[8], x) for x in raw[:8]]),
                      np.mean([_plain_cka(raw[11], x) for x in raw[:8]])])  # fmt: skip
    means, errors = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(runs)
    names = ["between animals", "rho .5, 60 units", "rho .4, 60 units", "rho .3, 60 units", "rho .5, 1500 noiseless"]
    for name, mean, error, truth in zip(names, means, errors, (0.36, 0.30, 0.24, 0.18, 0.30), strict=True):
        line(f"closed form, {name}: {truth:.2f} within 0.01", f"{mean:.3f} (+- {error:.3f} over {runs} runs)",
             abs(mean - truth) <= 0.01)  # fmt: skip
    text = "between animals {:.2f}, candidate of rho .5 with 60 noisy units {:.2f}, with 1500 noiseless {:.2f}"
    print("       CKA without corrections:", text.format(*np.mean(plain, axis=0)))


def level(runs: int, skewed: bool) -> None:
    """Animals down to their spikes: six areas of the sizes of the recording, each with one more animal."""
    p_t: dict[int, list[float]] = {n: [] for n in AREA_SIZES}
    p: dict[int, list[float]] = {n: [] for n in AREA_SIZES}
    for run in range(runs):
        rng = np.random.default_rng(seed(run, 8 if skewed else 7))
        tests, nulls = [], []
        for area, n in enumerate(AREA_SIZES):
            draws = (2 - rng.gamma(2.0, 1.0, n + 1)) / np.sqrt(2) if skewed else rng.normal(size=n + 1)
            shares = np.clip(0.6 + 0.06 * draws, 0.05, 0.95).tolist()
            units = rng.integers(24, 111, n + 1).tolist()
            # Two trials of 25 times the rate have the noise of halves of 50 trials.
            own = seed(10 * run + area, 9 + skewed)
            animals = simulate_animals(shares, seed=own, n_units=units, n_repetitions=2, rate=25)
            kernels = [noisy_kernel(x, n_splits=1) for x in animals]
            s = unbiased_cka_matrix(kernels, kernels)
            if np.isfinite(s).all():
                nulls.append(left_out(s[:n, :n]))
                tests.append(place_candidates(s[:n, :n], s[n:, :n]))
        null = np.concatenate(nulls)
        for test in tests:
            p_t[test.n_animals].append(test.p_student[0])
            p[test.n_animals].append(max(test.p_student[0], pooled_p_values(test.t, null)[0]))
    kind = "skewed" if skewed else "symmetric"
    for n in SIZES:
        t, both = (float(np.mean(np.array(values[n]) <= 0.05)) for values in (p_t, p))
        text = f"p {both:.1%}, p_t {t:.1%} ({len(p[n])} animals)"
        if not skewed:
            line(f"level of p_t, {n} {kind} animals, 5 +- 3 %", text, abs(t - 0.05) <= 0.03)
        line(f"level of p, {n} {kind} animals, 3 to 7 %", text, 0.03 <= both <= 0.07)


def fixed_power(runs: int) -> None:
    """Animals down to their spikes, all with rho .6 as in the specification, and candidates of lower rho."""
    found = {(n, rho): [] for n in SIZES for rho in (0.6, 0.5, 0.4)}
    for run in range(runs):
        rng = np.random.default_rng(seed(run, 12))
        for area, n in enumerate(SIZES):
            shares = [0.6] * (n + 1) + [0.5, 0.4]
            units = rng.integers(24, 111, n + 3).tolist()
            animals = simulate_animals(shares, seed=seed(10 * run + area, 13), n_units=units, n_repetitions=2, rate=25)
            kernels = [noisy_kernel(x, n_splits=1) for x in animals]
            s = unbiased_cka_matrix(kernels, kernels)
            if not np.isfinite(s).all():
                continue
            test = place_candidates(s[:n, :n], s[n:, :n])
            for k, rho in enumerate((0.6, 0.5, 0.4)):
                found[n, rho].append(test.p_student[k] <= 0.05)
    for n, expected in zip(SIZES, (0.64, 0.75, 0.87), strict=True):
        same, half, four = (float(np.mean(found[n, rho])) for rho in (0.6, 0.5, 0.4))
        line(f"{n} animals of rho .6: p_t rejects one of them in 5 +- 3 %", f"{same:.1%}", abs(same - 0.05) <= 0.03)
        line(f"{n} animals of rho .6: p_t rejects rho .5 in {expected:.0%} (within 10)", f"{half:.0%}",
             abs(half - expected) <= 0.10)  # fmt: skip
        line(f"{n} animals of rho .6: p_t rejects rho .4 in at least 97 %", f"{four:.0%}", four >= 0.97)


def _typical(rng: np.random.Generator, kind: str, size: tuple[int, ...]) -> np.ndarray:
    if kind == "normal":
        return rng.standard_normal(size)
    if kind == "t, 3 df":
        return rng.standard_t(3, size) / np.sqrt(3)
    return (2 - rng.gamma(2.0, 1.0, size)) / np.sqrt(2)


def areas(runs: int) -> None:
    """At the level of similarities: mu + a_i + a_j + noise of pairs, six areas of the sizes of the recording."""
    for kind in ("normal", "t, 3 df", "skewed to the left"):
        p_t, p = [], []
        for run in range(runs):
            rng = np.random.default_rng([seed(run, 14), *kind.encode()])
            tests, nulls = [], []
            for n in AREA_SIZES:
                typical = 0.06 * _typical(rng, kind, (n + 1,))
                noise = 0.1 * rng.standard_normal((n + 1, n + 1))
                s = 0.5 + typical[:, None] + typical + (noise + noise.T) / np.sqrt(2)
                nulls.append(left_out(s[:n, :n]))
                tests.append(place_candidates(s[:n, :n], s[n:, :n]))
            null = np.concatenate(nulls)
            p_t.append([test.p_student[0] <= 0.05 for test in tests])
            p.append([max(test.p_student[0], pooled_p_values(test.t, null)[0]) <= 0.05 for test in tests])
        by_t, by_p = np.mean(p_t), np.mean(p)
        text = f"p {by_p:.3f}, p_t {by_t:.3f} ({runs} runs of six areas)"
        line(f"level of p, matrices of {kind} animals, at most 5 %", text, by_p <= 0.05)


def power(runs: int) -> None:
    """Is a candidate of the power ratio found in 80 %? Two formulas: as specified, and corrected."""
    for n in SIZES:
        found: dict[str, list[bool]] = {"as specified": [], "corrected": []}
        shifts: dict[str, list[float]] = {name: [] for name in found}

        def draw(run: int, n: int = n) -> np.ndarray:
            rng = np.random.default_rng(seed(run, 15 + n))
            typical, noise = 0.06 * rng.standard_normal(n + 1), 0.1 * rng.standard_normal((n + 1, n + 1))
            return 0.5 + typical[:, None] + typical + (noise + noise.T) / np.sqrt(2)

        for run in range(runs):
            between = draw(run)[:n, :n]
            values = (between.sum(axis=1) - between.diagonal()) / (n - 1)
            error = values.std(ddof=1) * np.sqrt(1 + 1 / n)
            shifts["as specified"].append(-float(student.ppf(0.05, n - 1) - 0.8416) * error)
            shifts["corrected"].append(values.mean() - critical_values(between)[1])
        for run in range(runs, 2 * runs):
            s = draw(run)
            for name, shift in shifts.items():
                test = place_candidates(s[:n, :n], s[n:, :n] - np.mean(shift))
                found[name].append(bool(test.p_student[0] <= 0.05))
        text = f"{np.mean(found['corrected']):.0%}; by the formula as specified {np.mean(found['as specified']):.0%}"
        line(f"a candidate of the power ratio among {n} animals is found in 80 +- 5 %", text,
             abs(np.mean(found["corrected"]) - 0.8) <= 0.05)  # fmt: skip


def power_of_both(runs: int) -> None:
    """The same for both tests together: six areas, whose animals make the rank."""

    def draw(run: int) -> list[np.ndarray]:
        rng = np.random.default_rng(seed(run, 40))
        found = []
        for n in AREA_SIZES:
            typical, noise = 0.06 * rng.standard_normal(n + 1), 0.1 * rng.standard_normal((n + 1, n + 1))
            found.append(0.5 + typical[:, None] + typical + (noise + noise.T) / np.sqrt(2))
        return found

    shifts: list[list[float]] = [[] for _ in AREA_SIZES]
    rejected: list[list[bool]] = [[] for _ in AREA_SIZES]
    for run in range(2 * runs):
        matrices = draw(run)
        null = np.concatenate([left_out(s[:-1, :-1]) for s in matrices])
        for s, own, found in zip(matrices, shifts, rejected, strict=True):
            n = len(s) - 1
            between = s[:-1, :-1]
            if run < runs:
                mean = (between.sum() - between.trace()) / (n * (n - 1))
                own.append(mean - critical_values(between, limit=critical_t(n, null))[1])
                continue
            test = place_candidates(between, s[-1:, :-1] - np.mean(own))
            found.append(bool(max(test.p_student[0], pooled_p_values(test.t, null)[0]) <= 0.05))
    shares = [float(np.mean(found)) for found in rejected]
    text = ", ".join(f"{n}: {share:.0%}" for n, share in zip(AREA_SIZES, shares, strict=True))
    line("a candidate of the power ratio of both tests together is found in 80 +- 5 %, by animals", text,
         all(abs(share - 0.8) <= 0.05 for share in shares))  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts: dict[str, Callable[[int], None]] = {
        "mice": lambda runs: mice(),
        "curves": lambda runs: curves(),
        "closed-form": lambda runs: closed_form(max(runs // 5, 20)),
        "level": lambda runs: level(runs, skewed=False),
        "level-skewed": lambda runs: level(runs, skewed=True),
        "power-fixed": fixed_power,
        "areas": lambda runs: areas(runs + runs // 2),
        "power": lambda runs: power(2 * runs),
        "power-of-both": power_of_both,
    }
    parser.add_argument("parts", nargs="*", choices=[*parts, []], help="parts to run (default: all)")
    parser.add_argument("--runs", type=int, default=1000, help="simulated experiments of each kind")
    arguments = parser.parse_args()
    for name in arguments.parts or list(parts):
        begin = time.process_time()
        print(f"-- {name}")
        parts[name](arguments.runs)
        print(f"       ({time.process_time() - begin:.0f} s of CPU)")
    print(f"{len(failed)} of the promises do not hold: {'; '.join(failed)}" if failed else "every promise holds")


if __name__ == "__main__":
    main()
