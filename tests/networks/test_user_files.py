"""Networks from users' files: everything that such a file may do, and every form of network that it may return."""

from __future__ import annotations

import logging
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from murine.errors import MurineError
from murine.networks import zoo
from murine.networks.sources.user_files import _log_once
from murine.networks.zoo import NetworkSpec

HEAD = "import os, sys, random, torch\nimport numpy as np\nfrom torch import nn\n"

SMALL = """
class Small(nn.Module):
    default_cfg = {"input_size": (3, 16, 16), "mean": (0, 0, 0), "std": (1, 1, 1)}
    def __init__(self):
        super().__init__()
        self.conv, self.relu, self.fc = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Linear(4, 2)
    def forward(self, x):
        return self.fc(self.relu(self.conv(x)).mean((2, 3)))
def small():
    return Small()
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="net.py"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(HEAD + text)
        return file

    _log_once.cache_clear()
    return write


# --------------------------------------------------------------------------------- what a file leaves behind

LEAKS = {
    "default dtype": "torch.set_default_dtype(torch.float64); torch.set_default_dtype(torch.float32)",
    "seeds": "torch.manual_seed(9); np.random.seed(9); random.seed(9)",
    "threads": "torch.set_num_threads(torch.get_num_threads() + 1)",
    "gradients": "torch.set_grad_enabled(False)",
    "device": "torch.set_default_device('meta'); torch.set_default_device(None)",
    "precision": "torch.set_float32_matmul_precision('medium')",
    "import path": "sys.path.clear()",
    "environment": "os.environ.clear()",
}


@pytest.mark.parametrize("when", ["in the file", "in the function"])
@pytest.mark.parametrize("leak", LEAKS)
def test_what_one_network_changes_does_not_reach_the_next(leak, when, write):
    good = f"{write(SMALL, 'good.py')}:small"
    alone = zoo.load(good)
    body = (LEAKS[leak], "pass") if when == "in the file" else ("", LEAKS[leak])
    file = write(f"{SMALL}\n{body[0]}\ndef leaking():\n    {body[1]}\n    return Small()\n")
    states = torch.get_rng_state(), torch.get_num_threads(), list(sys.path), torch.get_float32_matmul_precision()
    zoo.load(f"{file}:leaking")
    after = torch.get_rng_state(), torch.get_num_threads(), list(sys.path), torch.get_float32_matmul_precision()
    assert torch.equal(states[0], after[0])
    assert states[1:] == after[1:]
    again = zoo.load(good)
    assert again.digest == alone.digest
    x = torch.rand(2, 3, 16, 16)
    assert torch.equal(again.module(x), alone.module(x))
    assert again.module(x).requires_grad


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("torch.set_default_dtype(torch.float64)", r"bad.py:bad' sets torch's default dtype to float64"),
        ("os.chdir('/')", r"bad.py:bad' changes the working directory to '/' and does not change it back"),
        ("sys.exit(0)", r"bad.py:bad' failed: SystemExit: 0"),
        ("raise Unspeakable", r"bad.py:bad' failed: Unspeakable \(its text cannot be read: ZeroDivisionError\)"),
        ("raise GeneratorExit", r"bad.py:bad' failed: GeneratorExit"),
    ],
)
def test_networks_that_are_refused(line, message, write, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    text = "class Unspeakable(Exception):\n    def __str__(self): return 1 / 0\n"
    file = write(f"{SMALL}{text}def bad():\n    {line}\n    return Small()\n", "bad.py")
    for load in (zoo.load, zoo.skeleton):
        with pytest.raises(MurineError, match=message) as caught:
            load("bad.py:bad")
        assert "\n" not in str(caught.value)
    assert torch.get_default_dtype() == torch.float32
    assert file.parent.samefile(".")
    top = write(f"{text}{line}\n", "top.py")
    with pytest.raises(MurineError, match=r"top.py"):
        zoo.load(f"{top}:small")


def test_an_interruption_ends_the_load(write):
    with pytest.raises(KeyboardInterrupt):
        zoo.load(f"{write('def stop(): raise KeyboardInterrupt')}:stop")


def test_each_file_has_its_own_neighbours(write, tmp_path):
    for value, folder in enumerate(("a", "b")):
        (tmp_path / folder / "parts").mkdir(parents=True)
        (tmp_path / folder / "helper.py").write_text(f"from parts.inner import VALUE\nSCALE = VALUE + {value}\n")
        (tmp_path / folder / "parts" / "inner.py").write_text("VALUE = 1\n")
        write(
            "from helper import SCALE\n"
            f"{SMALL}\n"
            "class Late(Small):\n"
            "    def forward(self, x):\n"
            "        import helper\n"
            "        return super().forward(x) * helper.SCALE\n"
            "def net():\n    m = Late(); m.fc.weight.data.fill_(SCALE); return m\n",
            f"{folder}/net.py",
        )
    known, path = set(sys.modules), list(sys.path)
    first, second = (zoo.load(f"{tmp_path / folder}/net.py:net") for folder in ("a", "b"))
    assert [set(net.module.fc.weight.ravel().tolist()) for net in (first, second)] == [{1.0}, {2.0}]
    assert first.digest != second.digest
    assert {name for name in set(sys.modules) - known if not name.startswith("murine_user_")} == set()
    x = torch.rand(2, 3, 16, 16)  # the second's neighbours are not the first's, when it runs either
    for network in (first, second, first):
        plain = torch.nn.functional.linear(
            network.module.relu(network.module.conv(x)).mean((2, 3)), network.module.fc.weight, network.module.fc.bias
        )
        scale = network.module.fc.weight[0, 0]
        torch.testing.assert_close(network.module(x), plain * scale)
    assert list(sys.path) == path
    assert "helper" not in sys.modules
    # What a neighbour says belongs to the identity.
    (tmp_path / "a" / "parts" / "inner.py").write_text("VALUE = 1  # and a comment\n")
    assert zoo.load(f"{tmp_path / 'a'}/net.py:net").digest != first.digest
    assert not list(tmp_path.rglob("__pycache__"))


def test_modules_of_ours_and_of_the_notebook_stay(write, tmp_path, monkeypatch):
    """A module from elsewhere with the name of a neighbour is there again afterwards."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "helper_of_notebook.py").write_text("VALUE = 5\n")
    monkeypatch.syspath_prepend(elsewhere)
    import helper_of_notebook

    (tmp_path / "helper_of_notebook.py").write_text("VALUE = 7\n")
    file = write(
        f"from helper_of_notebook import VALUE\n{SMALL}def net():\n    assert VALUE == 7\n    return Small()\n"
    )
    zoo.load(f"{file}:net")
    assert sys.modules["helper_of_notebook"] is helper_of_notebook
    assert helper_of_notebook.VALUE == 5
    monkeypatch.delitem(sys.modules, "helper_of_notebook")


def test_numbers_from_numpy_and_python_are_those_of_the_seed(write):
    file = write(
        f"{SMALL}def drawn():\n    m = Small()\n"
        "    m.fc.weight.data[:] = torch.tensor(np.random.rand(2, 4)) + random.random()\n    return m\n"
    )
    first = zoo.load(f"{file}:drawn")
    np.random.rand()  # noqa: NPY002
    assert zoo.load(f"{file}:drawn").digest == first.digest


def test_an_address_in_the_text_of_a_module_is_no_part_of_its_identity(write):
    file = write(
        "class Net(nn.Module):\n"
        "    def __init__(self): super().__init__(); self.f = object()\n"
        "    def forward(self, x): return x\n"
        "    def extra_repr(self): return repr(self.f)\n"
        "def net(): return Net()\n"
    )
    kept = [zoo.load(f"{file}:net") for _ in range(3)]
    assert len({str(each.module) for each in kept}) == 3
    assert len({each.digest for each in kept}) == 1


@pytest.mark.parametrize("folder", ["someone@example.org/My Drive", "c++", "x.py:y", "a@b/net.py:small@c"])
def test_an_existing_file_wins_over_every_other_reading(folder, write, tmp_path, monkeypatch):
    file = write(SMALL, f"{folder}/net@2.py")
    save_file(zoo.load(f"{file}:small@random:3").module.state_dict(), tmp_path / "w@1.safetensors")
    monkeypatch.chdir(tmp_path)
    choice = NetworkSpec.parse(f"{folder}/net@2.py:small+sobel@w@1.safetensors")
    assert (choice.name, choice.weights) == (f"{folder}/net@2.py:small", "w@1.safetensors")
    assert NetworkSpec.parse(str(choice)) == choice
    network = zoo.load(choice)
    assert (network.name, network.weights) == ("net@2.py:small+sobel(relative=True)@input", "file:w@1.safetensors")
    assert zoo.expand([str(file) + ":small@random:1"]) == [NetworkSpec(f"{file}:small", "random:1")]


# --------------------------------------------------------------------------------- what is said


def test_unknown_preprocessing_is_said_once(write, caplog):
    file = write(
        SMALL + "class Bare(Small):\n    default_cfg = None\n"
        "class Half(Small):\n    default_cfg = {'input_size': (3, 8, 8), 'mean': (0.5, 0.5, 0.5)}\n"
        "def bare(): return Bare()\ndef half(): return Half()\n"
    )
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            for name in ("small", "bare", "half"):
                zoo.load(f"{file}:{name}", input_size=None)
    first, second = (record.getMessage() for record in caplog.records)
    for part in (
        f"{file}:bare",
        "mean and std in the module's default_cfg",
        "from 0 to 1",
        "224 x 224",
        '"mean": (0.485',
    ):
        assert part in first
    assert f"{file}:half does not say how its images are normalised (std in" in second
    caplog.clear()
    zoo.skeleton(f"{file}:bare", input_size=20)
    assert not caplog.records


@pytest.mark.parametrize(
    ("call", "label", "role"),
    [
        ("plain", "as built", "as built"),
        ("plain@random:1", "random:1", "random"),
        ("asks", "pretrained", "trained"),
        ("asks@pretrained", "pretrained", "trained"),
        ("asks(pretrained=False)", "as built", "as built"),
        ("asks@random:2", "random:2", "random"),
        ("asks_not", "as built", "as built"),
        ("asks_not@pretrained", "pretrained", "trained"),
        ("asks_not(pretrained=True)", "pretrained", "trained"),
        ("says", "pretrained:ecoset", "trained"),
        ("says@random:0", "random:0", "random"),
        ("plain@w.safetensors", "file:w.safetensors", "trained"),
        ("says@w.safetensors", "file:w.safetensors", "trained"),
    ],
)
def test_what_weights_are_called(call, label, role, write, tmp_path, monkeypatch):
    write(
        SMALL + "def made(value):\n    m = Small(); nn.init.constant_(m.fc.bias, value); return m\n"
        "def plain(): return made(1)\n"
        "def asks(pretrained=True): return made(2) if pretrained else made(3)\n"
        "def asks_not(pretrained=False): return made(2) if pretrained else made(3)\n"
        "def says():\n    m = made(4); m.default_cfg = Small.default_cfg | {'weights': 'ecoset'}; return m\n"
    )
    monkeypatch.chdir(tmp_path)
    save_file(zoo.load("net.py:plain").module.state_dict(), tmp_path / "w.safetensors")
    network = zoo.load(f"net.py:{call}")
    assert (network.weights, network.role) == (label, role)
    if call.startswith("asks") and role != "random":
        assert network.module.fc.bias[0] == (2 if role == "trained" else 3)


def test_a_function_that_cannot_be_asked_for_trained_weights_says_so(write):
    file = write(SMALL + "net = Small()\n")
    with pytest.raises(MurineError, match=r"'small' in .* has no parameter `pretrained`, so it cannot be asked"):
        zoo.load(f"{file}:small@pretrained")
    with pytest.raises(MurineError, match=r"'net' in .* is a network; expected a function that returns one: def build"):
        zoo.load(f"{file}:net")


# --------------------------------------------------------------------------------- forms of networks

FORMS = """
def compiled(): return torch.compile(Small(), backend="eager")
def compiled_in_place():
    m = Small(); m.compile(backend="eager"); return m
def compiled_parts():
    m = nn.Sequential(torch.compile(Small(), backend="eager"), nn.ReLU()); m.default_cfg = Small.default_cfg; return m
def parallel(): return nn.DataParallel(Small())
def averaged(): return torch.optim.swa_utils.AveragedModel(Small())
def compiled_average(): return torch.compile(torch.optim.swa_utils.AveragedModel(Small()), backend="eager")
"""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["compiled", "compiled_in_place", "parallel", "averaged", "compiled_average"])
def test_the_network_inside_a_wrapper_is_taken(form, write, tmp_path):
    file = write(SMALL + FORMS)
    plain, wrapped = zoo.load(f"{file}:small"), zoo.load(f"{file}:{form}")
    assert [name for name, _ in wrapped.module.named_modules()] == ["", "conv", "relu", "fc"]
    assert wrapped.module._compiled_call_impl is None
    x = torch.rand(2, 3, 16, 16)
    assert torch.equal(wrapped.module(x), plain.module(x))
    assert wrapped.preprocessing == plain.preprocessing
    save_file(plain.module.state_dict(), tmp_path / "w.safetensors")
    assert (
        zoo.load(f"{file}:{form}@{tmp_path / 'w.safetensors'}").module.state_dict().keys()
        == plain.module.state_dict().keys()
    )


def test_compiled_parts_are_opened(write):
    network = zoo.load(f"{write(SMALL + FORMS)}:compiled_parts")
    assert [name for name, _ in network.module.named_modules()] == ["", "0", "0.conv", "0.relu", "0.fc", "1"]


@pytest.mark.filterwarnings("ignore")
def test_scripted_and_traced_networks_have_an_identity(write):
    file = write(
        SMALL + "def scripted(): return torch.jit.script(Small())\n"
        "def traced(): return torch.jit.trace(Small(), torch.zeros(2, 3, 16, 16))\n"
        "class Other(Small):\n    def forward(self, x): return super().forward(-x)\n"
        "def other(): return torch.jit.trace(Other(), torch.zeros(2, 3, 16, 16))\n"
    )
    digests = [zoo.load(f"{file}:{name}").digest for name in ("scripted", "traced", "other", "small")]
    assert len(set(digests)) == 4
    assert zoo.load(f"{file}:scripted").digest == digests[0]


LAZY = """
def lazy():
    return nn.Sequential(nn.LazyConv2d(8, 3, 2, 1), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5))
def lazy_grey():
    m = nn.Sequential(nn.LazyConv2d(8, 3), nn.ReLU()); m.default_cfg = {"input_size": (1, 16, 16)}; return m
class Unused(nn.Module):
    def __init__(self): super().__init__(); self.a, self.b = nn.LazyLinear(2), nn.LazyLinear(3)
    def forward(self, x): return self.a(x.flatten(1))
def unused(): return Unused()
def fails(): return nn.Sequential(nn.LazyLinear(3), nn.Linear(4, 2))
"""


def test_lazy_networks_get_their_weights_from_an_image_of_the_size_asked_for(write, tmp_path, caplog):
    file = write(LAZY)
    small, again, large = (zoo.load(f"{file}:lazy", input_size=size) for size in (16, 16, 32))
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert [text.partition(" px")[0][-7:] for text in said] == ["16 x 16", "32 x 32"]  # once each, and under -q
    assert small.module[-1].weight.shape == (5, 8 * 8 * 8)
    assert large.module[-1].weight.shape == (5, 8 * 16 * 16)
    assert small.digest == again.digest != large.digest
    assert small.module[1].running_mean.abs().sum() == 0  # the image on trial left no trace
    assert small.module[1].num_batches_tracked == 0
    seeds = {zoo.load(f"{file}:lazy@random:{seed}", input_size=16).digest for seed in (0, 1, 1)}
    assert len(seeds) == 2
    assert small.module(torch.rand(2, 3, 16, 16)).shape == (2, 5)
    save_file(small.module.state_dict(), tmp_path / "w.safetensors")
    loaded = zoo.load(f"{file}:lazy@{tmp_path / 'w.safetensors'}", input_size=16)
    assert torch.equal(loaded.module[-1].weight, small.module[-1].weight)
    grey = zoo.load(f"{file}:lazy_grey")
    assert grey.module[0].weight.shape == (8, 1, 3, 3)
    assert zoo.skeleton(f"{file}:lazy", input_size=16)[0][-1].weight.shape == (5, 512)
    with pytest.raises(MurineError, match=r"has lazy modules that do not run on images \(b\), so they have no weights"):
        zoo.load(f"{file}:unused")
    with pytest.raises(MurineError, match=r"has lazy modules, .* fails on an image of 3 x 224 x 224: RuntimeError"):
        zoo.load(f"{file}:fails")


GREY = """
def grey(): return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU())
def told(): m = grey(); m.default_cfg = {"input_size": (1, 32, 32), "mean": (0.45,), "std": (0.23,)}; return m
class Turns(nn.Module):
    def __init__(self): super().__init__(); self.inner = grey()
    def forward(self, x): return self.inner(0.5 * x[:, :1] + 0.25 * x[:, 1:2] + 0.25 * x[:, 2:])
def turns(): return Turns()
def four(): m = nn.Conv2d(4, 8, 3); m.default_cfg = {"input_size": (4, 8, 8)}; return m
"""


def test_networks_that_take_one_channel(write):
    file = write(GREY)
    for name, size in (("grey", (224, 224)), ("told", (32, 32))):
        for loaded in (zoo.load(f"{file}:{name}"), zoo.load(f"{file}:{name}+sobel@random:0")):
            assert loaded.preprocessing.n_channels == 1
            assert loaded.preprocessing.input_size == size
        module, preprocessing = zoo.skeleton(f"{file}:{name}")
        assert preprocessing == loaded.preprocessing
        assert module.default_cfg["input_size"] == (1, *size)
    assert zoo.load(f"{file}:told").preprocessing.mean == (0.45,)
    assert zoo.load(f"{file}:turns").preprocessing.n_channels == 3  # it makes its images grey by itself
    with pytest.raises(MurineError, match="takes images of 4 channels; expected 3"):
        zoo.load(f"{file}:four")


TOWERS = (
    SMALL
    + """
class OpenClip(nn.Module):
    def __init__(self):
        super().__init__(); self.visual, self.token_embedding = Small(), nn.Embedding(7, 2)
        self.visual.image_size, self.visual.image_mean, self.visual.image_std = 24, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
        self.visual.default_cfg = None
    def forward(self, image=None, text=None): return self.visual(image), self.token_embedding(text)
class HuggingFace(nn.Module):
    default_cfg = {"input_size": (3, 18, 18), "mean": (0, 0, 0), "std": (1, 1, 1)}
    def __init__(self):
        super().__init__(); self.text_model, self.vision_model = nn.Embedding(7, 2), Small()
        self.vision_model.default_cfg = None
    def forward(self, input_ids=None, pixel_values=None):
        return self.text_model(input_ids), self.vision_model(pixel_values)
class Encodes(nn.Module):
    def __init__(self): super().__init__(); self.stem, self.words = Small(), nn.Embedding(7, 2)
    def encode_image(self, image): return self.stem(image)
    def forward(self, image, text): return self.encode_image(image), self.words(text)
class Two(Small):
    def forward(self, image, text): return super().forward(image)
class Optional(Small):
    def forward(self, image, mask=None, *, text=None): return super().forward(image)
def open_clip(): return OpenClip()
def hugging_face(): return HuggingFace()
def encodes(): return Encodes()
def two(): return Two()
def optional(): return Optional()
"""
)


def test_of_models_of_images_and_text_the_image_tower_is_taken(write, caplog, tmp_path):
    file = write(TOWERS)
    names = {}
    with caplog.at_level(logging.WARNING):
        for form in ("open_clip", "hugging_face", "encodes", "optional"):
            network = zoo.load(f"{file}:{form}")
            names[form] = [name for name, _ in network.module.named_modules()]
            assert network.module(torch.rand(2, 3, 16, 16)).shape == (2, 2)
    assert names["open_clip"] == names["hugging_face"] == names["optional"] == ["", "conv", "relu", "fc"]
    assert "model.stem.conv" in names["encodes"]
    for part in ("visual", "vision_model", "encode_image()"):
        assert f"only the layers of its part for images, {part}, are used." in caplog.text
    clip = zoo.load(f"{file}:open_clip").preprocessing
    assert (clip.input_size, clip.mean, clip.std) == ((24, 24), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert zoo.load(f"{file}:hugging_face").preprocessing.input_size == (18, 18)
    with pytest.raises(MurineError, match=r"needs more than images: forward\(image, text\)\. .* image encoder"):
        zoo.load(f"{file}:two")
    # A file of weights is one of the whole.
    from importlib import util

    spec = util.spec_from_file_location("towers", file)
    towers = util.module_from_spec(spec)
    spec.loader.exec_module(towers)
    whole = towers.OpenClip()
    save_file(whole.state_dict(), tmp_path / "clip.safetensors")
    loaded = zoo.load(f"{file}:open_clip@{tmp_path / 'clip.safetensors'}")
    assert torch.equal(loaded.module.conv.weight, whole.visual.conv.weight)


def test_precisions_of_weights_have_identities_of_their_own(write):
    file = write(SMALL + "".join(f"def {kind}(): return Small().{kind}()\n" for kind in ("half", "bfloat16", "double")))
    assert len({zoo.load(f"{file}:{kind}").digest for kind in ("small", "half", "bfloat16", "double")}) == 4


@pytest.mark.filterwarnings("ignore")
def test_quantised_networks_have_an_identity(write):
    file = write(
        "from torch.ao import quantization as q\n"
        "def net():\n"
        "    m = nn.Sequential(q.QuantStub(), nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(1568, 3), q.DeQuantStub())\n"
        "    m.eval().qconfig = q.get_default_qconfig('x86'); q.prepare(m, inplace=True); m(torch.rand(2, 3, 16, 16))\n"
        "    return q.convert(m, inplace=True)\n"
    )
    first, again = (zoo.load(f"{file}:net", input_size=16) for _ in range(2))
    assert first.digest == again.digest


def test_shapes_need_no_weights(write):
    """A function whose modules cannot be drawn anew, or that loads a large file, can still be planned with."""
    file = write(
        SMALL + "def opaque():\n    m = Small(); m.scale = nn.Parameter(torch.ones(3)); return m\n"
        "def computes():\n    m = Small(); m.fc.bias.data += float(m.fc.weight.sum()); return m\n"
    )
    for name in ("opaque", "computes"):
        module, preprocessing = zoo.skeleton(f"{file}:{name}")
        assert module.conv.weight.is_meta
        assert preprocessing.input_size == (16, 16)
