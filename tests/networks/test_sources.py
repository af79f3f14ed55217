"""Networks of other sources than timm: names, architectures against transcriptions, weights from a real server."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
import torchvision.models
from safetensors.torch import save_file
from torch.nn import functional

from murine.errors import MurineError
from murine.networks import zoo
from murine.networks.capture import capture
from murine.networks.sources import hub, published_weights, source, weight_downloads
from murine.networks.weights import seeded

# --------------------------------------------------------------------------------------- names


def test_a_plain_name_is_timms_if_timm_has_it():
    assert source.full_name("alexnet") == "torchvision:alexnet"
    assert source.full_name("squeezenet1_0.IMAGENET1K_V1") == "torchvision:squeezenet1_0.IMAGENET1K_V1"
    for timms in ("resnet18", "resnet18.a1_in1k", "inception_v3", "xception"):
        assert source.full_name(timms) == timms
    assert source.full_name("nonsense") == "nonsense"
    plain, full = zoo.load("squeezenet1_1@random:0"), zoo.load("torchvision:squeezenet1_1@random:0")
    assert plain.name == "torchvision:squeezenet1_1"
    assert plain.digest == full.digest
    ours, theirs = zoo.load("torchvision:resnet18@random:0"), zoo.load("resnet18@random:0")
    assert type(ours.module).__module__ == "torchvision.models.resnet"
    assert type(theirs.module).__module__ == "timm.models.resnet"
    assert ours.digest != theirs.digest


def test_wildcards_over_sources():
    assert [str(c) for c in zoo.expand(["taskonomy:depth*@random:1"])] == [
        "taskonomy:depth_euclidean@random:1",
        "taskonomy:depth_zbuffer@random:1",
    ]
    assert [c.name for c in zoo.expand(["squeezenet*"])] == ["squeezenet1_0", "squeezenet1_1"]
    assert len(zoo.expand(["taskonomy:*"])) == 24
    assert {"gabor", "resnet18", "torchvision:resnet18", "hub:unet"} <= set(zoo.matching_names("*"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("alexnt", r"unknown network 'alexnt'; did you mean alexnet"),
        ("torchvision:alexnt", r"no network 'alexnt' that takes images; did you mean alexnet"),
        ("torchvision:fasterrcnn_resnet50_fpn", r"no network 'fasterrcnn_resnet50_fpn' that takes images"),
        ("torchvision:resnet50.V1", r"resnet50 has no weights 'V1'.* Known: IMAGENET1K_V1, IMAGENET1K_V2"),
        ("taskonomy:curvatur", r"unknown network 'taskonomy:curvatur'; did you mean taskonomy:curvature"),
        ("hub:", r"unknown network 'hub:'"),
    ],
)
def test_unknown_names_suggest_the_nearest(name, message):
    with pytest.raises(MurineError, match=message):
        zoo.load(f"{name}@random:0")


def test_preprocessing_is_that_of_the_weights():
    swag = zoo.skeleton("torchvision:vit_b_16.IMAGENET1K_SWAG_E2E_V1")[1]
    assert (swag.input_size, swag.interpolation) == ((384, 384), "bicubic")
    small = zoo.skeleton("torchvision:vit_b_16", input_size=64)[0]
    assert small(torch.zeros(1, 3, 64, 64, device="meta")).shape == (1, 1000)
    with pytest.raises(MurineError, match="takes square images only, not 64 x 96"):
        zoo.skeleton("torchvision:vit_b_16", input_size=(64, 96))
    task = zoo.skeleton("taskonomy:normal")[1]
    assert (task.input_size, task.mean, task.std) == ((256, 256), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


# ------------------------------------------------------------------------------- architectures


def _normalised(state, name, features):
    """Batch normalisation as it is after training."""
    mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    return functional.batch_norm(features, mean, variance, state[f"{name}.weight"], state[f"{name}.bias"])


def _random_state(module):
    """Weights and statistics that are nowhere 0 or 1."""
    with seeded(0):
        state = {
            name: torch.rand_like(value) + 0.5
            if value.dim() == 1
            else torch.randn_like(value) / value[0].numel() ** 0.5
            for name, value in module.state_dict().items()
            if value.is_floating_point()
        }
    module.load_state_dict(state, strict=False)
    return state


def test_taskonomys_encoder_is_the_published_one():
    """Written out: strides at the end of a stage, where the shortcut leaves pixels out."""
    network = zoo.load("taskonomy:edge_texture@random:0").module
    state = _random_state(network)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    features = functional.conv2d(functional.pad(images, (3, 3, 3, 3)), state["conv1.weight"], stride=2)
    features = functional.max_pool2d(_normalised(state, "bn1", features).relu(), 3, 2, ceil_mode=True)
    for stage, (n_blocks, last) in enumerate(((3, 2), (4, 2), (6, 1), (3, 1)), start=1):
        for block in range(n_blocks):
            name = f"layer{stage}.{block}"
            stride = last if block == n_blocks - 1 else 1
            inside = features
            for number, options in ((1, {}), (2, {"stride": stride, "padding": 1}), (3, {})):
                inside = functional.conv2d(inside, state[f"{name}.conv{number}.weight"], **options)
                inside = _normalised(state, f"{name}.bn{number}", inside)
                inside = inside.relu() if number < 3 else inside
            if block == 0:
                features = functional.conv2d(features, state[f"{name}.downsample.0.weight"])
                features = _normalised(state, f"{name}.downsample.1", features)
            features = (inside + features[:, :, ::stride, ::stride]).relu()
    features = functional.conv2d(features, state["compress1.weight"], padding=1)
    features = _normalised(state, "compress_bn", features).relu()
    expected = functional.group_norm(features, 8)
    with torch.no_grad():
        found = network(images)
    assert found.shape == (2, 8, 4, 4)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert network(torch.zeros(1, 3, 256, 256)).shape == (1, 8, 16, 16)


def test_cornet_s_is_the_published_one():
    network = hub.cornet_s().eval()
    state = _random_state(network)
    images = torch.randn(2, 3, 64, 64)
    features = _normalised(state, "V1.norm1", functional.conv2d(images, state["V1.conv1.weight"], stride=2, padding=3))
    features = functional.max_pool2d(features.relu(), 3, 2, padding=1)
    features = functional.conv2d(features, state["V1.conv2.weight"], padding=1)
    features = _normalised(state, "V1.norm2", features).relu()
    for area, times in (("V2", 2), ("V4", 4), ("IT", 2)):
        features = functional.conv2d(features, state[f"{area}.conv_input.weight"])
        for time in range(times):
            stride = 2 if time == 0 else 1
            shortcut = features
            if time == 0:
                shortcut = functional.conv2d(features, state[f"{area}.skip.weight"], stride=2)
                shortcut = _normalised(state, f"{area}.norm_skip", shortcut)
            inside = functional.conv2d(features, state[f"{area}.conv1.weight"])
            inside = _normalised(state, f"{area}.norm1_{time}", inside).relu()
            inside = functional.conv2d(inside, state[f"{area}.conv2.weight"], stride=stride, padding=1)
            inside = _normalised(state, f"{area}.norm2_{time}", inside).relu()
            inside = functional.conv2d(inside, state[f"{area}.conv3.weight"])
            features = (_normalised(state, f"{area}.norm3_{time}", inside) + shortcut).relu()
    expected = features.mean((2, 3)) @ state["decoder.linear.weight"].T + state["decoder.linear.bias"]
    with torch.no_grad():
        for _ in range(2):  # the stride of the first time comes back
            torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-4)
    names = [layer.name for layer in capture(network, images, layers="V4.*")]
    assert {"V4.conv2", "V4.conv2:4", "V4.norm2_3"} <= set(names)
    assert "V4.conv2:5" not in names


def test_half_of_ibns_channels_are_normalised_by_image():
    network = zoo.load("hub:resnet50_ibn_a@random:0").module
    own = sum(parameter.numel() for parameter in network.parameters())
    assert own == sum(parameter.numel() for parameter in torchvision.models.resnet50().parameters())
    seen = {}
    network.layer2[1].bn1.register_forward_hook(lambda _m, _args, output: seen.update(out=output.clone()))
    network(torch.randn(2, 3, 64, 64) + torch.tensor([0.0, 5.0])[:, None, None, None])
    first, second = seen["out"].split(64, dim=1)
    torch.testing.assert_close(first.mean((2, 3)), torch.zeros(2, 64), atol=1e-5, rtol=0)
    assert second.mean((2, 3)).abs().max() > 1e-3
    names = {name.rpartition(".bn1.")[0] for name in network.state_dict() if ".bn1.IN." in name}
    assert {name[:6] for name in names} == {"layer1", "layer2", "layer3"}
    assert len(names) == 13


def test_unet_has_the_parameters_of_the_published_one():
    network = zoo.load("hub:unet@random:0")
    assert sum(parameter.numel() for parameter in network.module.parameters()) == 7_763_041
    assert {
        "encoder1.enc1conv1.weight",
        "bottleneck.bottlenecknorm2.weight",
        "upconv4.bias",
        "decoder1.dec1conv2.weight",
    } < set(network.module.state_dict())
    with torch.no_grad():
        found = network.module(torch.randn(1, 3, 48, 64))
    assert found.shape == (1, 1, 48, 64)
    assert 0 < found.min() < found.max() < 1


# ------------------------------------------------------------------------------------- weights


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A server of files in ``tmp_path/files``, and an empty cache of torch."""
    monkeypatch.setattr(weight_downloads, "_TIMEOUT", 2.0)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "files"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def published(served, monkeypatch):
    """Publish a small network: `UNet` with fewer features."""
    folder, url = served
    monkeypatch.setattr(hub, "UNet", partial(hub.UNet, n_features=2))
    table = dict(published_weights.published_weights())
    monkeypatch.setattr(published_weights, "published_weights", lambda: table)

    def publish(state, layout="plain", digest="sha256", file="net.pth", wrap=lambda state: state):
        torch.save(wrap(state), folder / file)
        content = (folder / file).read_bytes()
        if digest in ("sha256", "md5"):
            digest = f"{digest}:{hashlib.new(digest, content).hexdigest()}"
        table["hub:unet"] = replace(table["hub:unet"], layout=layout, address=f"{url}/{file}", digest=digest)
        return hashlib.sha256(content).hexdigest()

    return publish


def _small():
    with seeded(7):
        return hub.UNet(n_features=2).eval()


def test_published_weights_are_fetched_once_and_verified(published, served, tmp_path):
    trained = _small()
    sha256 = published(trained.state_dict())
    network = zoo.load("hub:unet")
    assert (network.weights, network.role) == ("pretrained", "trained")
    for name, value in network.module.state_dict().items():
        assert torch.equal(value, trained.state_dict()[name])
    assert (tmp_path / "torch" / "hub" / "checkpoints" / "hub_unet_net.pth").is_file()
    (served[0] / "net.pth").unlink()
    assert zoo.load("hub:unet").digest == network.digest  # from the cache
    assert zoo.load(f"hub:unet@sha256:{sha256}").digest == network.digest
    with pytest.raises(MurineError, match=r"could not be fetched: .*404.*hub:unet@FILE.*hub:unet@random:0"):
        zoo.load(f"hub:unet@sha256:{'0' * 64}")


@pytest.mark.parametrize("digest", ["sha256:" + "0" * 64, "sha256:00000000", "md5:00000000"])
def test_other_bytes_than_published_are_refused_and_not_kept(published, tmp_path, digest):
    published(_small().state_dict(), digest=digest)
    with pytest.raises(MurineError, match=r"(its SHA-256 is|its MD5 is) \w+, "):
        zoo.load("hub:unet")
    assert not (tmp_path / "torch" / "hub" / "checkpoints" / "hub_unet_net.pth").exists()


def test_the_first_digits_of_a_digest_will_do(published):
    sha256 = published(_small().state_dict(), digest="")
    with pytest.raises(
        MurineError, match=r"nobody has published a digest .*give the one you trust: hub:unet@sha256:HEX"
    ):
        zoo.load("hub:unet")
    with pytest.raises(MurineError, match="is not a digest of weights; expected sha256: and 8 to 64"):
        zoo.load(f"hub:unet@sha256:{sha256[:7]}")
    assert zoo.load(f"hub:unet@sha256:{sha256[:8]}").weights == "pretrained"


def test_files_of_the_cache_that_are_others_stay(published, tmp_path):
    """They may be somebody's own."""
    published(_small().state_dict(), digest="md5")
    file = tmp_path / "torch" / "hub" / "checkpoints" / "hub_unet_net.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"mine")
    with pytest.raises(MurineError, match="is not the published file: its MD5 is"):
        zoo.load("hub:unet")
    assert file.read_bytes() == b"mine"


def _prefixed(prefix, state):
    return {f"{prefix}{name}": value for name, value in state.items()}


def _head(prefix):
    return {f"{prefix}weight": torch.zeros(2, 2), f"{prefix}bias": torch.zeros(2)}


def _vissl(state):
    model = {"trunk": _prefixed("_feature_blocks.", state), "heads": _head("0.")}
    return {"classy_state_dict": {"base_model": {"model": model, "meta": {"epoch": 1}}}, "phase_idx": 3}


def _moco(state):
    query = _prefixed("module.encoder_q.", state | _head("fc.0."))
    return {
        "epoch": 200,
        "state_dict": query | _prefixed("module.encoder_k.", state) | {"module.queue": torch.zeros(3)},
    }


def _swav(state):
    return _prefixed("module.", state | _head("projection_head.0.") | _head("prototypes."))


@pytest.mark.parametrize(
    ("layout", "wrap"),
    [("moco", _moco), ("swav", _swav), ("vissl", _vissl), ("headed", lambda state: state | _head("fc."))],
)
def test_trunks_come_out_of_what_self_supervised_training_wraps_them_in(published, tmp_path, layout, wrap):
    trained = _small()
    published(trained.state_dict(), layout=layout, wrap=wrap)
    images = torch.randn(1, 3, 32, 32)
    fetched = zoo.load("hub:unet")
    assert torch.equal(fetched.module(images), trained(images))
    own = zoo.load(f"hub:unet@{tmp_path / 'files' / 'net.pth'}")
    assert (own.weights, own.digest) == ("file:net.pth", fetched.digest)


def test_weights_that_do_not_fit_say_so(published):
    published(_small().state_dict(), layout="moco")
    with pytest.raises(MurineError, match=r"do not fit 'hub:unet': 1\d\d of the network's \d+ tensors are missing"):
        zoo.load("hub:unet")


def test_torchvisions_weights_are_verified_and_loaded_by_torchvision(served, tmp_path, monkeypatch):
    with seeded(3):
        trained = torchvision.models.squeezenet1_1()
    url = torchvision.models.SqueezeNet1_1_Weights.DEFAULT.url
    file = tmp_path / "torch" / "hub" / "checkpoints" / url.rpartition("/")[2]
    file.parent.mkdir(parents=True)
    torch.save(trained.state_dict(), file)
    with pytest.raises(MurineError, match=r"is not the published file: its SHA-256 is \w+, expected b8a52dc0 \.\.\."):
        zoo.load("squeezenet1_1")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    network = zoo.load(f"squeezenet1_1@sha256:{digest}")
    assert (network.name, network.weights) == ("torchvision:squeezenet1_1", "pretrained:IMAGENET1K_V1")
    assert all(torch.equal(value, trained.state_dict()[name]) for name, value in network.module.state_dict().items())
    save_file(trained.state_dict(), tmp_path / "own.safetensors")
    assert zoo.load(f"squeezenet1_1@{tmp_path / 'own.safetensors'}").digest == network.digest


def test_without_a_network_there_are_alternatives(served, monkeypatch):
    monkeypatch.setattr(weight_downloads, "_RETRIES", 0)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    for name in ("taskonomy:curvature", "torchvision:alexnet"):
        with pytest.raises(
            MurineError, match=rf"weights of '{name}' could not be fetched: .* {name}@FILE .*TORCH_HOME"
        ):
            zoo.load(name)


def test_the_digest_in_a_name():
    assert weight_downloads.digest_in_name("https://x.org/models/resnet18-f37072fd.pth") == "sha256:f37072fd"
    assert (
        weight_downloads.digest_in_name("https://x.org/models/mnasnet0.5_top1_67.823-3ffadce67e.pth")
        == "sha256:3ffadce67e"
    )
    assert weight_downloads.digest_in_name("https://x.org/models/resnet50.pth") == ""
    for row in published_weights.published_weights().values():
        told = weight_downloads.digest_in_name(row.address)
        assert not told or row.digest == told, row.name
    taskonomys = [row for name, row in published_weights.published_weights().items() if name.startswith("taskonomy:")]
    assert all(len(row.digest) == len("sha256:") + 64 for row in taskonomys)
