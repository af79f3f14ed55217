"""The zoo: names, factories and weights; downloads from a server that speaks as the Hugging Face hub does."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import timm
import torch
from safetensors.torch import save_file

from murine.errors import MurineError
from murine.networks import weights, zoo
from murine.networks.preprocessing import Preprocessing
from murine.networks.zoo import NetworkSpec

# --------------------------------------------------------------------------------- names


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(MurineError, match=r"unknown network 'resnet1000'; did you mean .*resnet10"):
        zoo.load("resnet1000")
    with pytest.raises(MurineError, match=r"unknown network 'pixel'; did you mean pixels"):
        zoo.load("pixel")
    with pytest.raises(MurineError, match=r"resnet18 has no weights 'a1_in2k'; did you mean a1_in1k.*Known: .*tv_in1k"):
        zoo.load("resnet18.a1_in2k@random:0")
    for empty in ("", "@random:0"):
        with pytest.raises(MurineError, match="names no network; expected NAME or NAME@WEIGHTS"):
            NetworkSpec.parse(empty)


def test_wildcards_expand_in_order_and_once():
    found = zoo.expand(["pixels", "test_vit*@random:1", "test_vit2@random:1", "gab?r", "test_vit"])
    vits = timm.list_models("test_vit*")
    assert len(vits) >= 3
    assert found == [
        NetworkSpec("pixels"),
        *(NetworkSpec(name, "random:1") for name in vits),
        NetworkSpec("gabor"),
        NetworkSpec("test_vit"),
    ]
    assert [str(choice) for choice in found[:2]] == ["pixels", "test_vit@random:1"]
    with pytest.raises(MurineError, match=r"no network matches 'nothing\*'"):
        zoo.expand(["nothing*"])


def test_weights_of_all_are_for_those_that_name_none_and_not_for_controls():
    found = zoo.expand(["neurn", "test_vit", "test_resnet@random:3", "net[1].py:make"], "random:0")
    assert found == [
        NetworkSpec("neurn"),
        NetworkSpec("test_vit", "random:0"),
        NetworkSpec("test_resnet", "random:3"),
        NetworkSpec("net[1].py:make", "random:0"),
    ]


def test_twins_are_the_same_networks_untrained():
    assert zoo.twin(NetworkSpec("resnet18")) == NetworkSpec("resnet18", "random:0")
    assert zoo.twin(NetworkSpec("net.py:make", "random_init.pth"), 4) == NetworkSpec("net.py:make", "random:4")
    assert zoo.twin(NetworkSpec("pixels")) is None
    assert zoo.twin(NetworkSpec("resnet18", "random:1")) is None


@pytest.mark.parametrize("name", ["pixels", "gabor", "neurn"])
def test_controls_have_no_weights(name):
    network = zoo.load(name)
    assert (network.name, network.weights, network.role) == (name, "none", "control")
    assert not network.module.training
    assert network.preprocessing == Preprocessing(input_size=(64, 64))
    assert zoo.load(name, input_size=48).preprocessing.input_size == (48, 48)
    with pytest.raises(MurineError, match="has no weights; ask for"):
        zoo.load(f"{name}@random:0")


# --------------------------------------------------------------------------------- random weights and files


def test_random_weights_are_those_of_the_seed():
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first, again, other = (zoo.load(f"test_resnet@random:{seed}") for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.digest == again.digest != other.digest
    assert (first.weights, first.role) == ("random:0", "random")
    assert not first.module.training
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expected = timm.create_model("test_resnet")
    assert weights.digest(first.module) == weights.digest(expected)
    assert weights.digest(first.module) != weights.digest(other.module)


@pytest.mark.parametrize("text", ["random", "random:", "random:x", "random:-1", "random:1.5", "random:²", "random:٣"])
def test_seeds_that_make_no_sense_are_refused(text):
    with pytest.raises(MurineError, match=f"the weights '{text}' are not understood; expected random:SEED"):
        zoo.load(f"test_resnet@{text}")


def test_seeds_have_at_most_63_bits():
    assert zoo.load(f"test_resnet@random:{2**63 - 1}").role == "random"
    with pytest.raises(MurineError, match="the seed of 'random:9223372036854775808' is 9223372036854775808; expected"):
        zoo.load(f"test_resnet@random:{2**63}")
    with pytest.raises(MurineError, match=r"the weights 'random:10+' are not understood"):
        zoo.load(f"test_resnet@random:{10**100}")


def test_input_sizes_are_checked_before_anything_is_built():
    for load in (zoo.load, zoo.skeleton):
        with pytest.raises(MurineError, match="the input size is 999999; expected a number from 1 to 4096"):
            load("test_vit@random:0", input_size=999_999)


def test_preprocessing_is_the_networks_own_or_of_the_size_asked_for():
    config = timm.get_pretrained_cfg("test_resnet.r160_in1k")
    network = zoo.load("test_resnet@random:0")
    assert network.preprocessing == Preprocessing.from_config(config.to_dict())
    assert network.preprocessing.input_size == (160, 160)
    small = zoo.load("test_resnet@random:0", input_size=(64, 48))
    assert small.preprocessing.input_size == (64, 48)
    assert small.digest == network.digest


def test_transformers_are_built_for_the_size_asked_for():
    network = zoo.load("test_vit@random:0", input_size=64)
    assert network.preprocessing.input_size == (64, 64)
    assert network.module(torch.zeros(2, 3, 64, 64)).shape == (2, 1000)
    assert network.digest != zoo.load("test_vit@random:0").digest
    with pytest.raises(MurineError, match=r"cannot be built for images of 100 x 100 px"):
        zoo.load("twins_pcpvt_small@random:0", input_size=100)


@pytest.mark.parametrize("name", ["w.safetensors", "random_init.safetensors"])
def test_weights_from_a_file(tmp_path, name):
    source = zoo.load("test_resnet@random:5")
    file = tmp_path / name
    save_file(source.module.state_dict(), file)
    network = zoo.load(f"test_resnet@{file}")
    assert (network.weights, network.role) == (f"file:{name}", "trained")
    assert network.digest == source.digest  # what it is, not where it came from
    with pytest.raises(MurineError, match=r"the weights .* do not fit 'test_vit': \d+ of the network's"):
        zoo.load(f"test_vit@{file}")
    with pytest.raises(MurineError, match="there is no file of weights"):
        zoo.load(f"test_resnet@{tmp_path / 'none.pth'}")


def test_networks_without_pretrained_weights_say_so():
    name = next(n for n in timm.list_models("resnet*") if not timm.list_models(f"{n}.*", pretrained=True))
    with pytest.raises(MurineError, match=f"timm has no pretrained weights for '{name}'; use {name}@random:SEED"):
        zoo.load(name)


def test_devices():
    assert zoo.available_device("cpu") == "cpu"
    assert zoo.available_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(MurineError, match="unknown device 'gpu'; expected cpu, cuda"):
        zoo.available_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(MurineError, match="PyTorch sees no CUDA here"):
            zoo.available_device("cuda:1")


# --------------------------------------------------------------------------------- a user's own network

FACTORIES = """
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Config:
    width: int = 4


class Net(nn.Module):
    default_cfg = {"input_size": (3, 20, 24), "mean": (0.1, 0.2, 0.3), "channel_order": "BGR"}

    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3)

    def forward(self, x):
        return self.conv(x)


def plain():
    return Net(Config().width)


def trained(pretrained=True):
    net = plain()
    if pretrained:
        nn.init.constant_(net.conv.weight, 0.5)
    return net


def raises():
    raise OSError("the disk is on fire")


def returns_nothing():
    pass


def needs(width):
    return Net(width)


def takes_all(**options):
    return Net(options["k"])


def opaque():
    net = plain()
    net.scale = nn.Parameter(torch.ones(3))
    return net


VALUE = 3
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "nets.py"
    path.write_text(FACTORIES)
    return path


def test_a_factory(file):
    network = zoo.load(f"{file}:plain")
    assert (network.name, network.weights, network.role) == ("nets.py:plain", "as built", "as built")
    assert network.preprocessing == Preprocessing(input_size=(20, 24), mean=(0.1, 0.2, 0.3), channel_order="BGR")
    assert not network.module.training
    assert zoo.load(f"{file}:plain", input_size=32).preprocessing.input_size == (32, 32)
    # What it is decides, not the folder it lies in; nor does chance.
    torch.manual_seed(3)
    moved = file.parent / "elsewhere" / "nets.py"
    moved.parent.mkdir()
    moved.write_text(FACTORIES)
    assert zoo.load(f"{moved}:plain").digest == network.digest
    # Another function, or another line in the file, is another network: its forward pass may differ.
    digests = {network.digest, zoo.load(f"{file}:trained").digest}
    file.write_text(FACTORIES.replace("return self.conv(x)", "return self.conv(-x)"))
    digests.add(zoo.load(f"{file}:plain").digest)
    assert len(digests) == 3


def test_random_weights_of_a_factory(file):
    own = zoo.load(f"{file}:trained")
    assert (own.module.conv.weight == 0.5).all()
    assert (own.weights, own.role) == ("pretrained", "trained")
    assert zoo.load(f"{file}:trained@pretrained").digest == own.digest
    for function in (
        "trained",
        "plain",
    ):  # one that takes `pretrained`, and one whose modules know how to reset
        first, again, other = (zoo.load(f"{file}:{function}@random:{s}") for s in (1, 1, 2))
        assert (first.weights, first.role) == ("random:1", "random")
        assert first.digest == again.digest != other.digest
        assert not (first.module.conv.weight == 0.5).any()
    with pytest.raises(MurineError, match=r"Give the factory a parameter `pretrained`"):
        zoo.load(f"{file}:opaque@random:0")


def test_weights_of_a_factory_from_a_file(file, tmp_path):
    state = {"conv.weight": torch.full((4, 3, 3, 3), 0.25), "conv.bias": torch.arange(4.0)}
    save_file(state, tmp_path / "w.safetensors")
    for function in ("plain", "trained"):
        network = zoo.load(f"{file}:{function}@{tmp_path / 'w.safetensors'}")
        assert (network.module.conv.weight == 0.25).all()
        assert (network.weights, network.role) == ("file:w.safetensors", "trained")


def test_a_factory_is_what_its_file_says_now(file, monkeypatch):
    """Not what Python has compiled before, of the same size in the same second."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    written = file.stat().st_mtime
    assert (zoo.load(f"{file}:trained").module.conv.weight == 0.5).all()
    file.write_text(FACTORIES.replace("net.conv.weight, 0.5", "net.conv.weight, 0.7"))
    os.utime(file, (written, written))
    assert (zoo.load(f"{file}:trained").module.conv.weight == 0.7).all()
    assert not (file.parent / "__pycache__").exists()


def test_options_of_a_factory(file):
    six, again, seven = (zoo.load(f"{file}:needs({inside})") for inside in ("width=6", " width = 6 ", "width=7"))
    assert (six.name, six.module.conv.out_channels) == ("nets.py:needs(width=6)", 6)
    assert torch.equal(six.module.conv.weight, again.module.conv.weight)
    assert seven.digest != six.digest
    assert zoo.load(f"{file}:needs(width=6)+neurn(k=3)@input@random:1").variant == "neurn(k=3)@input"
    assert zoo.load(f"{file}:takes_all(k=5)").module.conv.out_channels == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{file}:needs(witdh=3)", r"the option 'witdh=3' of 'needs' in .* did you mean width\? Options: width"),
        ("{file}:plain(3)", r"the option '3' of 'plain' in .* is not understood. Options: none"),
        ("{file}:needs(width=three)", r"needs\(width=three\)' failed: TypeError"),
        ("{file}:raises", r"nets.py:raises' failed: OSError: the disk is on fire"),
        ("{file}:returns_nothing", r"returned NoneType; expected a torch.nn.Module"),
        ("{file}:needs", r"failed: TypeError: needs\(\) missing 1 required positional argument: 'width'"),
        ("{file}:plane", r"has no function 'plane'; did you mean plain.* It has: plain, trained"),
        ("{file}:VALUE", r"has no function 'VALUE'"),
        ("{folder}/other.py:plain", r"there is no file '.*other.py'; expected path/to/file.py:factory"),
        ("{folder}/broken.py:plain", r"broken.py' cannot be imported: SyntaxError"),
        (
            "{folder}/lost.py:plain",
            r"lost.py' cannot be imported: ModuleNotFoundError: No module named 'nowhere'",
        ),
    ],
)
def test_files_and_functions_that_do_not_work(text, message, file):
    (file.parent / "broken.py").write_text("def plain(:\n")
    (file.parent / "lost.py").write_text("import nowhere\n")
    with pytest.raises(MurineError, match=message):
        zoo.load(text.format(file=file, folder=file.parent))


def test_importing_a_factory_leaves_nothing_half_done(file):
    (file.parent / "broken.py").write_text("raise KeyError('no')")
    modules = set(sys.modules)
    with pytest.raises(MurineError, match="cannot be imported: KeyError"):
        zoo.load(f"{file.parent / 'broken.py'}:plain")
    assert set(sys.modules) == modules


# --------------------------------------------------------------------------------- downloads

CLIENT = """
import json, sys
from murine.errors import MurineError
from murine.networks import weights, zoo

connections = []
sys.addaudithook(lambda event, arguments: connections.append(arguments[1]) if event == "socket.connect" else None)
for name in sys.argv[1:]:
    connections.clear()
    try:
        network = zoo.load(name)
        found = {"weights": network.weights, "role": network.role, "digest": weights.digest(network.module)}
    except MurineError as error:
        found = {"error": str(error)}
    print(json.dumps({"name": name, "connections": len(connections), **found}), flush=True)
"""


class Hub:
    """What the Hugging Face hub answers for ``/{repository}/resolve/{revision}/{file}``."""

    COMMIT = "0123456789abcdef0123456789abcdef01234567"

    def __init__(self, files):
        self.files = files  # (repository, file) -> bytes
        self.cut = None  # send so many bytes only, then hang up
        self.requests = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                self.answer(body=False)

            def do_GET(self):
                self.answer(body=True)

            def answer(self, body):
                hub.requests.append((self.command, self.path))
                path = self.path.partition("?")[0].strip("/").split("/")
                known = {repository for repository, _ in hub.files}
                content, code = None, "RepoNotFound"
                if len(path) == 5 and path[2] == "resolve" and path[3] in ("main", hub.COMMIT):
                    repository = "/".join(path[:2])
                    content = hub.files.get((repository, path[4]))
                    code = "EntryNotFound" if repository in known else code
                self.send_response(404 if content is None else 200)
                self.send_header("X-Repo-Commit", hub.COMMIT)
                if content is None:
                    self.send_header("X-Error-Code", code)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Accept-Ranges", "none")
                self.end_headers()
                if body:
                    self.wfile.write(content[: hub.cut])
                    self.close_connection = hub.cut is not None

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A hub with the weights of one network, made here; and the digest of these."""
    with weights.seeded(42):
        module = timm.create_model("test_resnet")
    file = tmp_path_factory.mktemp("hub") / "model.safetensors"
    save_file(module.state_dict(), file)
    hub = Hub({("timm/test_resnet.r160_in1k", "model.safetensors"): file.read_bytes()})
    yield hub, weights.digest(module)
    hub.close()


def load_elsewhere(endpoint, home, *names, **environment):
    """Load networks in a process of its own, whose hub is at ``endpoint``."""
    kept = {k: v for k, v in os.environ.items() if "proxy" not in k.lower() and not k.startswith(("HF_", "HUGGING"))}
    environment = {**kept, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), **environment}
    command = [sys.executable, "-W", "ignore", "-c", CLIENT, *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def downloaded(served, tmp_path_factory):
    hub, _ = served
    home = tmp_path_factory.mktemp("home")
    names = ("test_resnet.r160_in1k", "test_resnet", "test_resnet@pretrained", "test_vit")
    return home, load_elsewhere(hub.address, home, *names), list(hub.requests)


def closed_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_pretrained_weights_are_those_that_the_hub_serves(served, downloaded):
    _, digest = served
    _, results, requests = downloaded
    for result in results[:3]:
        assert result["digest"] == digest
        assert (result["weights"], result["role"]) == ("pretrained:r160_in1k", "trained")
    path = "/timm/test_resnet.r160_in1k/resolve/main/model.safetensors"
    assert ("HEAD", path) in requests
    assert [request for request in requests if request[0] == "GET"].count(("GET", path)) == 1


def test_weights_that_the_hub_does_not_have_are_one_clear_error(downloaded):
    *_, missing = downloaded[1]
    assert "pretrained weights of 'test_vit' could not be fetched from timm/test_vit.r160_in1k" in missing["error"]
    assert "test_vit@random:0" in missing["error"]


def test_without_a_network_the_cache_serves_and_the_rest_is_one_quick_error(served, downloaded):
    home, *_ = downloaded
    cached, missing = load_elsewhere(closed_port(), home, "test_resnet.r160_in1k", "test_efficientnet")
    assert cached["digest"] == served[1]
    assert "could not be fetched from timm/test_efficientnet.r160_in1k" in missing["error"]
    assert "\n" not in missing["error"]
    assert missing["connections"] == 1  # the hub's own retries would be more, and take minutes


def test_offline_mode_is_one_quick_error(served, tmp_path):
    hub, _ = served
    before = len(hub.requests)
    (missing,) = load_elsewhere(hub.address, tmp_path, "test_resnet.r160_in1k", HF_HUB_OFFLINE="1")
    assert "could not be fetched" in missing["error"]
    assert missing["connections"] == 0
    assert len(hub.requests) == before


def test_a_download_that_breaks_off_leaves_nothing_and_can_be_done_again(served, tmp_path):
    hub, digest = served
    hub.cut = 100_000
    try:
        (broken,) = load_elsewhere(hub.address, tmp_path, "test_resnet.r160_in1k")
    finally:
        hub.cut = None
    assert "could not be fetched" in broken["error"]
    assert broken["connections"] < 20  # a few attempts to go on, not one after another for ever
    (whole,) = load_elsewhere(hub.address, tmp_path, "test_resnet.r160_in1k")
    assert whole["digest"] == digest


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("pixels", "a9efe0c9e2a2ef55f8d632f13e69984f15c1de74ba8f16f8cb7dbff940da7503"),
        ("gabor", "fbd2222ae9718ee234c147d8cf8f9619df3f2ee736b0cdf5af3300d2c7ec6eed"),
        ("pixels+neurn", "8f730d40a7f93bd6fd66d85ede146abff81cad9344b95e51725740bb83d6cd75"),
        ("pixels+sobel", "7e0a4cb03e25fe80cae50eab467cd9f46dd83a11ac2c20793f97970df8759b27"),
    ],
)
def test_digests_stay_when_code_moves(name, digest):
    """Results in existing atlases are found by these digests."""
    assert zoo.load(name).digest == digest
