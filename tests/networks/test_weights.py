"""Weights from files: every usual form, and never a line of their code."""

from __future__ import annotations

import os
import pickle
import random
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.ao import quantization

from murine.errors import MurineError
from murine.networks import checkpoints, weights


def network(seed=0):
    with weights.seeded(seed):
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 5))


def state(seed=1):
    found = network(seed).state_dict()
    found["1.running_mean"] += 0.5
    return found


def blank(tensors):
    return {name: torch.zeros_like(tensor) for name, tensor in tensors.items()}


def assert_loaded(module, expected):
    for key, value in module.state_dict().items():
        assert torch.equal(value, expected[key]), key


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"state_dict": s, "epoch": 3, "loss": 0.1},
        lambda s: {"model_state_dict": s, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}},
        lambda s: {"model": s},
        lambda s: {"net": s, "acc": 91.7},
        lambda s: {"state_dict": blank(s), "state_dict_ema": s},
        lambda s: {f"module.{k}": v for k, v in s.items()},
        lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}},
        lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")},
        lambda s: {f"_orig_mod.{k}": v for k, v in s.items()},
        lambda s: {f"module._orig_mod.{k}": v for k, v in s.items()},
        lambda s: {f"_orig_mod.module.{k}": v for k, v in s.items()},
        lambda s: {k.replace(".", "._orig_mod.", 1): v for k, v in s.items()},  # its parts were compiled
        lambda s: {"state_dict": {f"model.{k}": v for k, v in s.items()}, "pytorch-lightning_version": "2.6"},
        lambda s: {"state_dict": {f"model._orig_mod.{k}": v for k, v in s.items()} | {"loss.weight": torch.ones(5)}},
        lambda s: {"n_averaged": torch.tensor(3), **{f"module.{k}": v for k, v in s.items()}},  # AveragedModel
        lambda s: {"model": blank(s), "model_ema": {"module": s}, "epoch": 2},
        lambda s: {"state_dict": blank(s), "ema": {"decay": 0.999, "shadow": s}},
        lambda s: {"ema": {"decay": 0.999, "updates": 7}, "model": {"state_dict": s}},
        lambda s: {f"{p}.{k}": v for p, w in (("online_model", blank(s)), ("ema_model", s)) for k, v in w.items()},
        lambda s: {"module": s, "buffer_names": ["a"], "ds_version": "0.14"},  # DeepSpeed
    ],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_checkpoints_of_every_usual_form(wrap, legacy, tmp_path):
    torch.save(wrap(state()), tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    module = network()
    checkpoints.load_file_into(module, tmp_path / "w.pth", "net")
    assert_loaded(module, state())


def test_safetensors(tmp_path):
    save_file(state(), tmp_path / "w.safetensors")
    module = network()
    checkpoints.load_file_into(module, tmp_path / "w.safetensors", "net")
    assert_loaded(module, state())
    assert checkpoints.read_state_dict(str(tmp_path / "w.safetensors")).keys() == state().keys()


def test_other_precisions_are_converted(tmp_path):
    doubles = {k: v.double() if v.is_floating_point() else v for k, v in state().items()}
    save_file(doubles, tmp_path / "w.safetensors")
    module = network()
    checkpoints.load_file_into(module, tmp_path / "w.safetensors", "net")
    assert_loaded(module, state())
    assert module[0].weight.dtype == torch.float32


class Malicious:
    """Unpickling this makes a file: any other code would run as well."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (os.mkdir, (str(self.file),))


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("form", ["alone", "beside", "nested", "plain pickle"])
def test_code_in_a_pickle_does_not_run(form, legacy, tmp_path):
    bad = Malicious(tmp_path / "ran")
    content = {
        "alone": bad,
        "beside": {"state_dict": state(), "extra": bad},
        "nested": {"state_dict": {"a": bad}},
    }
    file = tmp_path / "w.pth"
    if form == "plain pickle":
        file.write_bytes(pickle.dumps(bad))
    else:
        torch.save(content[form], file, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(MurineError, match=r"holds more than tensors.*never runs code"):
        checkpoints.load_file_into(network(), file, "net")
    assert not (tmp_path / "ran").exists()


def test_a_whole_module_is_refused_with_advice(tmp_path):
    torch.save(network(), tmp_path / "w.pt")
    with pytest.raises(MurineError, match=r"save it with torch\.save\(model\.state_dict\(\)"):
        checkpoints.read_state_dict(tmp_path / "w.pt")


@pytest.mark.parametrize("ending", [".safetensors", ".pth", ".legacy.pth"])
def test_truncated_files_are_one_clear_error(ending, tmp_path):
    file = tmp_path / f"w{ending}"
    if ending == ".safetensors":
        save_file(state(), file)
    else:
        torch.save(state(), file, _use_new_zipfile_serialization=ending == ".pth")
    whole = file.read_bytes()
    for size in (0, 1, 7, 100, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(MurineError, match=r"truncated|or is broken"):
            checkpoints.read_state_dict(file)


@pytest.mark.parametrize("ending", [".safetensors", ".pth", ".legacy.pth"])
def test_a_file_damaged_at_its_head_is_one_clear_error(ending, tmp_path):
    file = tmp_path / f"w{ending}"
    if ending == ".safetensors":
        save_file(state(), file)
    else:
        torch.save(state(), file, _use_new_zipfile_serialization=ending == ".pth")
    whole = file.read_bytes()
    refused = 0
    for i in range(160):
        file.write_bytes(whole[:i] + bytes([whole[i] ^ 0x81]) + whole[i + 1 :])
        try:
            checkpoints.load_file_into(network(), file, "net")
        except MurineError as error:
            assert str(file) in str(error)  # noqa: PT017
            refused += 1
    assert refused > 40


def test_files_that_hold_no_state_dict_are_refused(tmp_path):
    file = tmp_path / "w.pth"
    for content in ([1, 2], {}, {"a": 1}, torch.zeros(3), {"state_dict": {}}, {"weights": state()}):
        torch.save(content, file)
        with pytest.raises(MurineError, match=r"holds no state dict: .*state_dict, model or state_dict_ema"):
            checkpoints.read_state_dict(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme", "no weights here")
    with pytest.raises(MurineError, match="no readable PyTorch file"):
        checkpoints.read_state_dict(file)
    file.write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(MurineError, match="is broken"):
        checkpoints.read_state_dict(file)
    for missing in (tmp_path / "other.pth", tmp_path):
        with pytest.raises(MurineError, match="there is no file of weights"):
            checkpoints.read_state_dict(missing)


def test_weights_that_do_not_fit_are_refused_with_every_reason(tmp_path):
    wrong = {**state(), "5.weight": torch.zeros(2), "0.weight": torch.zeros(4, 1, 3, 3)}
    del wrong["3.bias"]
    save_file(wrong, tmp_path / "w.safetensors")
    module = network()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    with pytest.raises(MurineError) as caught:
        checkpoints.load_file_into(module, tmp_path / "w.safetensors", "my net")
    for part in (
        "do not fit 'my net'",
        "1 of the network's 9 tensors are missing (3.bias)",
        "1 of the file's are unknown to it (5.weight)",
        "0.weight is (4, 1, 3, 3) in the file and (4, 3, 3, 3) in the network",
    ):
        assert part in str(caught.value)
    assert_loaded(module, before)


def test_a_file_that_fits_twice_is_refused(tmp_path):
    both = {f"{who}.{name}": tensor for who in ("student", "teacher") for name, tensor in state().items()}
    torch.save(both, tmp_path / "w.pth")
    with pytest.raises(MurineError, match=r"fit 'net' 2 times: under student\., teacher\."):
        checkpoints.load_file_into(network(), tmp_path / "w.pth", "net")


def test_under_a_prefix_too_every_name_must_fit(tmp_path):
    held = {f"model.{name}": tensor for name, tensor in state().items()}
    del held["model.0.weight"]
    torch.save({"state_dict": held | {"model.9.weight": torch.ones(2)}}, tmp_path / "w.pth")
    with pytest.raises(MurineError) as caught:
        checkpoints.load_file_into(network(), tmp_path / "w.pth", "net")
    assert "1 of the network's 9 tensors are missing (0.weight); 1 of the file's are unknown to it (9.weight)" in str(
        caught.value
    )


def test_names_of_wrappers_that_are_the_networks_own_stay(tmp_path):
    class Held(nn.Module):
        def __init__(self):
            super().__init__()
            self.module, self._orig_mod = nn.Linear(2, 2), nn.Linear(2, 2)

    source, module = Held(), Held()
    torch.save(source.state_dict(), tmp_path / "w.pth")
    checkpoints.load_file_into(module, tmp_path / "w.pth", "net")
    assert_loaded(module, source.state_dict())


def test_seeds_leave_torchs_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with weights.seeded(1):
        first = torch.rand(4)
    now = torch.get_rng_state()
    with weights.seeded(1):
        again = torch.rand(4)
        weights.reinitialise(network())
    assert torch.equal(torch.get_rng_state(), now)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first, again)
    with weights.seeded(2):
        assert not torch.equal(torch.rand(4), first)


@pytest.mark.parametrize("draw", [lambda: np.random.rand(3).tolist(), random.random], ids=["NumPy", "Python"])  # noqa: NPY002
def test_seeds_are_those_of_numpy_and_python_too(draw):
    with weights.seeded(0):
        outside = draw()
        with weights.seeded(2**40 + 1):
            first = draw()
        following = draw()
    with weights.seeded(2**40 + 1):
        assert draw() == first
    with weights.seeded(0):
        assert (draw(), draw()) == (outside, following)


def test_seeds_are_put_back_after_a_failure():
    before = torch.get_rng_state()

    def fail():
        with weights.seeded(1):
            torch.rand(1)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.equal(torch.get_rng_state(), before)


def test_reinitialising_is_drawing_a_new_network():
    module = network(7)
    module.load_state_dict(state())
    with weights.seeded(3):
        expected = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 5))
    with weights.seeded(3):
        weights.reinitialise(module)
    assert_loaded(module, expected.state_dict())

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

    with pytest.raises(MurineError, match=r"1 \(Own\) has parameters but no reset_parameters\(\)"):
        weights.reinitialise(nn.Sequential(nn.Linear(2, 2), Own()))


def test_digest_is_that_of_the_numbers():
    one = network()
    same = network()
    assert weights.digest(one) == weights.digest(same)
    same.train()
    same.to(memory_format=torch.channels_last)
    assert weights.digest(one) == weights.digest(same)
    digests = {weights.digest(one), weights.digest(network(1)), weights.digest(one[:3])}
    with torch.no_grad():
        one[3].bias[4] += 1e-6
    digests.add(weights.digest(one))
    one[1].running_var[0] = 2
    digests.add(weights.digest(one))
    digests.add(weights.digest(one.double()))
    assert len(digests) == 6
    assert weights.digest(nn.Identity()) == weights.digest(nn.ReLU())


def quantised(seed=0, bias=0.0):
    """Convolution and dense layer, statically quantised: their weights are packed."""
    with weights.seeded(seed):
        module = nn.Sequential(
            quantization.QuantStub(), nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(16, 5), quantization.DeQuantStub()
        ).eval()
        module[3].bias.data += bias
        module.qconfig = quantization.get_default_qconfig("x86")
        quantization.prepare(module, inplace=True)
        module(torch.rand(2, 3, 4, 4))
        return quantization.convert(module, inplace=True)


@pytest.mark.filterwarnings("ignore")
def test_digests_of_quantised_scripted_and_lazy_networks():
    digests = [weights.digest(quantised()), weights.digest(quantised(1)), weights.digest(quantised(0, 0.5))]
    assert digests[0] == weights.digest(quantised())
    digests += [weights.digest(torch.jit.script(network(seed))) for seed in (0, 1)]
    assert digests[-1] == weights.digest(network(1))  # the same numbers
    lazy = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d())
    digests += [weights.digest(lazy), weights.digest(network().half()), weights.digest(network().bfloat16())]
    sparse = nn.Linear(3, 3)
    sparse.weight = nn.Parameter(sparse.weight.detach().relu().to_sparse())
    digests.append(weights.digest(sparse))
    assert len(set(digests)) == len(digests)
