"""The simulated cortex: its truth is in closed form, and its areas and classes differ as they should."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from murine.cortex.reliability import split_half
from murine.cortex.simulated import AREAS, CorticalModel, simulate
from murine.errors import MurineError
from murine.scenes import synthetic_scenes
from murine.stimuli import StimulusSet

N = 120


@pytest.fixture(scope="module")
def cortex():
    return simulate()


@pytest.fixture(scope="module")
def model(cortex):
    return cortex.model


def as_images(stimuli):
    return torch.tensor(stimuli.images / 255, dtype=torch.float32)[:, None]


def responses(area, images):
    with torch.inference_mode():
        return torch.cat([area(batch) for batch in torch.split(images, 16)]).numpy()


def test_labels(cortex):
    recording = cortex.recording
    assert (recording.n_neuroids, recording.n_stimuli, recording.n_repetitions) == (3 * N, 100, 20)
    assert recording.stimulus_ids == cortex.stimuli.ids
    assert tuple(recording["group"]) == cortex.stimuli.groups
    assert {str(a): (recording["area"] == a).sum() for a in np.unique(recording["area"])} == dict.fromkeys(AREAS, N)
    assert set(recording["layer"]) == {""}
    for area in AREAS:
        assert (recording.select(area=area)["cell_class"] == "inhibitory").sum() == 36
    assert all(i.startswith(a) for i, a in zip(recording["neuroid_id"], recording["area"], strict=True))


def test_reliability_is_exact_in_the_truth(cortex):
    signal = cortex.true_responses.var(axis=1, ddof=1)
    np.testing.assert_allclose(signal / (signal + cortex.noise_sd**2 / 20), 0.7, rtol=1e-12)
    np.testing.assert_array_equal(cortex.recording["true_reliability"], 0.7)
    assert cortex.true_responses.dtype == np.float64
    assert cortex.true_responses.min() >= 0


@pytest.mark.parametrize(("reliability", "n_repetitions"), [(0.7, 20), (0.3, 10), (0.9, 50)])
def test_measured_reliability_is_the_true_one(cortex, reliability, n_repetitions):
    again = simulate(
        cortex.stimuli,
        n_neuroids=60,
        n_repetitions=n_repetitions,
        reliability=reliability,
        seed=3,
        noise_seed=1,
    )
    trials = again.recording.responses.astype(np.float64)
    total = trials.mean(axis=2).var(axis=1, ddof=1)
    noise = trials.var(axis=2, ddof=1).mean(axis=1) / n_repetitions
    # Signal and averaged noise correlate by chance (sd 1 / sqrt(99) over 100 stimuli), and the averaged noise
    # has the variance of a sample (relative sd sqrt(2 / 99)); this is their effect on 1 - noise / total.
    rest = 1 - reliability
    error = rest * np.sqrt(4 * reliability * rest / 99 + 2 * rest**2 / 99)
    for measured in (1 - noise / total, split_half(trials, n_splits=20)):
        assert abs(measured.mean() - reliability) < 5 * error / np.sqrt(180) + 0.004  # a ratio is slightly biased
        assert 0.8 * error < measured.std() < 1.4 * error
        assert np.abs(measured - reliability).max() < 6 * error


def test_noise_is_white_and_gaussian(cortex):
    residual = (cortex.recording.responses - cortex.true_responses[:, :, None]) / cortex.noise_sd[:, None, None]
    assert kstest(residual.ravel()[::17], "norm").pvalue > 0.01
    np.testing.assert_allclose(residual.mean(axis=(1, 2)), 0, atol=5 / np.sqrt(2000))
    np.testing.assert_allclose(residual.std(axis=(1, 2)), 1, atol=5 / np.sqrt(4000))
    correlation = np.corrcoef(residual.reshape(3 * N, -1))[np.triu_indices(3 * N, 1)]
    assert abs(correlation.std() * np.sqrt(2000) - 1) < 0.05


def test_without_noise_every_trial_is_the_truth(cortex):
    perfect = simulate(cortex.stimuli.select(cortex.stimuli.ids[::10]), n_neuroids=8, n_repetitions=3, reliability=1.0)
    for repetition in range(3):
        np.testing.assert_array_equal(
            perfect.recording.responses[:, :, repetition], perfect.true_responses.astype(np.float32)
        )


def test_a_hook_on_an_area_captures_its_population(cortex, model):
    found = {}
    handles = [
        model.get_submodule(f"areas.{name}").register_forward_hook(
            lambda _m, _i, out, name=name: found.__setitem__(name, out.numpy())
        )
        for name in AREAS
    ]
    rgb = as_images(cortex.stimuli).expand(-1, 3, -1, -1)[:30]
    with torch.inference_mode():
        together = model(rgb).numpy()
    for handle in handles:
        handle.remove()
    for name in AREAS:
        truth = cortex.true_responses[cortex.recording["area"] == name][:, :30]
        np.testing.assert_allclose(found[name].T, truth, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(together, np.concatenate([found[name] for name in AREAS], axis=1))
    assert not list(model.parameters())


def test_simple_neurons_are_the_formula_with_its_loops(model):
    """One neuron computed from its definition in float64 numpy, without convolution."""
    area = model.areas["SIMp"]
    image = as_images(synthetic_scenes(2, seed=9))[1]
    k, radius = area.bank.shape[-1], area.bank.shape[-1] // 2
    i = int(np.flatnonzero((area.kind == "simple") & (area.cell_class == "excitatory"))[0])
    index = area.index[i][area.weight[i] != 0].numpy()
    grid = -(-64 // area.stride)
    part, scale, orientation, row, column = np.unravel_index(index, (3, 2, 8, grid, grid))
    assert list(part) == [0, 1]
    padded = np.pad(image[0].double().numpy(), 60, mode="symmetric")
    bank = area.bank.view(2, 8, 2, k, k).double().numpy()

    def filtered(o, parity, r, c):
        # The map has a symmetric border of its own.
        r, c = (int(np.pad(np.arange(grid), 60, mode="symmetric")[x + 60]) * area.stride for x in (r, c))
        patch = padded[60 + r - radius : 61 + r + radius, 60 + c - radius : 61 + c + radius]
        return (patch * bank[scale[0], o, parity]).sum()

    surround = area.surround[0, 0].double().numpy()
    reach = len(surround) // 2
    local = sum(
        surround[dr + reach, dc + reach]
        * np.mean([filtered(o, p, row[0] + dr, column[0] + dc) ** 2 for o in range(8) for p in (0, 1)])
        * 2  # the energy of an orientation is the sum of the squares of both
        for dr in range(-reach, reach + 1)
        for dc in range(-reach, reach + 1)
    )
    weight = area.weight[i][area.weight[i] != 0].double().numpy()
    pair = np.array([filtered(orientation[0], p, row[0], column[0]) for p in (0, 1)])
    np.testing.assert_allclose((weight**2).sum(), 1, rtol=1e-6)  # cos^2 + sin^2 of the phase
    drive = weight @ pair / np.sqrt(local + 0.03**2)
    threshold, power, gain = (float(getattr(area, key)[i]) for key in ("threshold", "power", "gain"))
    expected = gain * (np.log1p(np.exp(10 * (drive - threshold))) / 10) ** power
    np.testing.assert_allclose(responses(area, image[None])[0, i], expected, rtol=1e-4)


def test_responses_do_not_depend_on_mean_luminance(model):
    with torch.inference_mode():
        dark, light = (model(torch.full((1, 1, 64, 64), value)) for value in (0.2, 0.8))
    np.testing.assert_allclose(dark, light, rtol=1e-4)


def test_receptive_fields_grow(model):
    """Root mean square radius of the gradient of a response by pixel, over noise images."""
    generator = torch.Generator().manual_seed(0)
    noise = (0.5 + 0.2 * torch.randn(4, 1, 64, 64, generator=generator)).requires_grad_()
    y, x = np.mgrid[:64, :64]
    radius = {}
    for name, area in model.areas.items():
        rates = area(noise)
        radii = []
        for i in range(0, N, 6):
            gradient = torch.autograd.grad(rates[:, i].sum(), noise, retain_graph=True)[0]
            weight = gradient.square().mean(dim=(0, 1)).numpy()
            weight = weight / weight.sum()
            centre = (weight * y).sum(), (weight * x).sum()
            radii.append(np.sqrt((weight * ((y - centre[0]) ** 2 + (x - centre[1]) ** 2)).sum()))
        radius[name] = np.median(radii)
    assert radius["SIMl"] > 1.3 * radius["SIMp"]
    assert radius["SIMam"] > 1.3 * radius["SIMl"]


def test_invariance_to_phase_grows(model):
    """F1 / F0 for the best of 40 drifting gratings: 0 for an energy neuron, above 1 for a simple one."""
    y, x = np.mgrid[:64, :64]
    phases = 2 * np.pi * np.arange(8) / 8
    gratings = [
        0.5 + 0.4 * np.sin(2 * np.pi / wavelength * (x * np.cos(angle) + y * np.sin(angle)) + phase)
        for wavelength in (5, 7, 9, 12, 15)
        for angle in np.pi * np.arange(8) / 8
        for phase in phases
    ]
    images = torch.tensor(np.array(gratings), dtype=torch.float32)[:, None]
    modulation = {}
    for name, area in model.areas.items():
        rates = responses(area, images).reshape(40, 8, N)
        best = rates[rates.mean(axis=1).argmax(axis=0), :, np.arange(N)]
        f1 = 2 * np.abs((best * np.exp(1j * phases)).mean(axis=1)) / best.mean(axis=1)
        assert f1[area.kind == "energy"].max() < 1e-3
        assert np.median(f1[(area.kind == "simple") & (area.cell_class == "excitatory")]) > 1
        modulation[name] = f1.mean()
    assert modulation["SIMp"] > 1.3 * modulation["SIMl"] > 1.3**2 * modulation["SIMam"]


def test_invariance_to_position_grows(model):
    images = as_images(synthetic_scenes(40, 68, seed=5))
    similarity = []
    for area in model.areas.values():
        here, there = (responses(area, images[:, :, 2:66, left : left + 64]) for left in (0, 4))
        similarity.append(np.median([np.corrcoef(here[:, i], there[:, i])[0, 1] for i in range(N)]))
    assert similarity[0] < similarity[1] - 0.05 < similarity[2] - 0.1


def test_excitatory_neurons_are_sparser_and_slower_than_inhibitory_ones(cortex):
    rates = cortex.true_responses
    n = rates.shape[1]
    sparseness = (1 - rates.mean(axis=1) ** 2 / (rates**2).mean(axis=1)) / (1 - 1 / n)  # Vinje, Gallant 2000
    for area in AREAS:
        members = cortex.recording["area"] == area
        excitatory = members & (cortex.recording["cell_class"] == "excitatory")
        inhibitory = members & (cortex.recording["cell_class"] == "inhibitory")
        assert np.median(sparseness[excitatory]) > 1.4 * np.median(sparseness[inhibitory])
        assert np.median(rates[inhibitory].mean(axis=1)) > 3 * np.median(rates[excitatory].mean(axis=1))


def test_seeds_reproduce_and_redraw_changes_noise_alone(cortex):
    small = {"n_neuroids": 8, "n_repetitions": 30}
    stimuli = cortex.stimuli.select(cortex.stimuli.ids[::10])
    first = simulate(stimuli, **small)
    assert simulate(stimuli, **small).recording.digest == first.recording.digest
    other = simulate(stimuli, seed=1, **small)
    assert (other.true_responses != first.true_responses).any(axis=1).all()

    redrawn = first.redraw(7)
    np.testing.assert_array_equal(redrawn.true_responses, first.true_responses)
    assert redrawn.recording.dataset.drop_vars("responses").equals(first.recording.dataset.drop_vars("responses"))
    assert redrawn.recording.digest == simulate(stimuli, noise_seed=7, **small).recording.digest
    noises = [c.recording.responses - c.true_responses[:, :, None] for c in (first, redrawn)]
    normal = [noise / first.noise_sd[:, None, None] for noise in noises]
    assert abs(np.corrcoef(normal[0].ravel(), normal[1].ravel())[0, 1]) < 5 / np.sqrt(24 * 10 * 30)
    assert first.redraw(0).recording.digest == first.recording.digest


def test_global_generators_do_not_matter():
    torch.manual_seed(1)
    first = CorticalModel(64, 8).state_dict()
    torch.manual_seed(2)
    second = CorticalModel(64, 8).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_colour_and_oblong_images(cortex):
    grey = cortex.stimuli.images[:4, :40, :52]
    ids = cortex.stimuli.ids[:4]
    one = simulate(StimulusSet(grey, ids), n_neuroids=6)
    three = simulate(StimulusSet(np.repeat(grey[..., None], 3, axis=3), ids), n_neuroids=6)
    np.testing.assert_allclose(one.true_responses, three.true_responses, rtol=1e-4, atol=1e-6)
    assert one.model.default_cfg["input_size"] == (3, 40, 52)
    assert set(one.recording["group"]) == {""}


def test_what_cannot_be_simulated_is_refused(cortex, model):
    same = StimulusSet(np.repeat(cortex.stimuli.images[:1], 3, axis=0), ("a", "b", "c"))
    with pytest.raises(MurineError, match="24 of 24 simulated neurons respond the same to all 3 stimuli"):
        simulate(same, n_neuroids=8)
    flat = StimulusSet(np.full((3, 40, 40), [[[10]], [[90]], [[200]]], dtype=np.uint8), ("a", "b", "c"))
    with pytest.raises(MurineError, match="respond the same"):
        simulate(flat, n_neuroids=8)
    for wrong in ({"reliability": 0.0}, {"reliability": 1.1}, {"n_repetitions": 0}, {"n_neuroids": 3}):
        with pytest.raises(MurineError, match=r"can(not)? be simulated"):
            simulate(cortex.stimuli, **wrong)
    with pytest.raises(MurineError, match="32 px"):
        CorticalModel(31)
    with pytest.raises(MurineError, match=r"expected \(n, 1 or 3, 64, 64\)"):
        model(torch.rand(1, 1, 60, 64))
