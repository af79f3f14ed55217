"""The Python interface: the same numbers as the command line, for names, files and objects in memory."""

from __future__ import annotations

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import small_cortex
import torch
from torch import nn

import murine as package
from murine.cortex.simulated import simulate, synthetic_scenes
from murine.networks.code_identity import module_digest
from murine.networks.transforms import config_from_transform

FEW = {"n_bootstraps": 20, "n_permutations": 20, "n_splits": 2}
AS_OPTIONS = ("--bootstraps", 20, "--permutations", 20, "--splits", 2)

SAME = ["score", "low", "high", "ceiling", "ceiled", "ceiled_low", "ceiled_high", "p_value", "optimism"]


class Toy(nn.Module):
    """A small network with a setting of its own."""

    def __init__(self, seed: int = 0, scale: float = 2.0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv, self.act, self.scale = nn.Conv2d(3, 8, 5, 2), nn.ReLU(), scale

    def forward(self, images):
        return self.act(self.conv(images)) * self.scale


@pytest.fixture(scope="module")
def data():
    """Forty images, three sites, six repetitions."""
    return load_small(40)


def load_small(n_stimuli):
    stimuli = synthetic_scenes()
    cortex = simulate(stimuli.select(stimuli.ids[:n_stimuli]), n_neuroids=12, n_repetitions=6)
    return package.load_data(cortex.recording, stimuli=cortex.stimuli)


def exactly_equal(first: pd.DataFrame, second: pd.DataFrame) -> None:
    assert len(first) == len(second) > 0
    for column in SAME:
        np.testing.assert_array_equal(first[column].to_numpy(), second[column].to_numpy(), err_msg=column)


# --------------------------------------------------------------------------- what there is


def test_the_package_offers_the_public_names_and_nothing_else():
    code = "import sys, murine; print(*dir(murine)); print('torch' in sys.modules, murine.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names, rest = done.stdout.splitlines()
    expected = (
        "Atlas Dataset MurineError Network NeuRN NeuRNTransform NeuralRDMs Recording Scores StimulusSet __version__ "
        "capture compare datasets domains insert is_it_a_mouse load_data load_network metrics networks neurn report "
        "score studies sweep"
    )
    assert names == expected
    assert rest.split() == ["False", package.__version__]
    for name in names.split():
        assert getattr(package, name) is not None


def test_every_public_object_says_what_it_is_in_one_line(data, tmp_path):
    atlas = package.Atlas(tmp_path / "atlas")
    scores = package.score(package.load_network(Toy(), mean=0.5, std=0.5, input_size=32), data, atlas=atlas, **FEW)
    layers = package.capture(Toy(), data.stimuli)
    for thing in (data, data.stimuli, data.responses, scores, atlas, layers[0], layers[0].kernel):
        assert repr(thing).startswith("<")
        assert "\n" not in repr(thing)


# --------------------------------------------------------------------------- the same numbers


def test_a_named_network_has_the_numbers_of_the_command_line(murine, tmp_path):
    atlas = tmp_path / "atlas"
    ran = murine("score", "resnet18@random:0", "--input-size", 32, "--no-controls", "--atlas", atlas, *AS_OPTIONS)
    assert ran.code == 0
    theirs = package.Atlas(atlas).query("SELECT * FROM scores ORDER BY site, layer_index, split, chosen")
    network = package.load_network("resnet18@random:0", input_size=32)
    ours = package.score(network, package.load_data("simulated"), **FEW).to_frame()
    exactly_equal(ours.sort_values(["site", "layer_index", "split", "chosen"], kind="stable"), theirs)


def test_what_the_command_stored_is_not_computed_again(murine, tmp_path):
    atlas = tmp_path / "atlas"
    murine("score", "resnet18@random:0", "--input-size", 32, "--no-controls", "--atlas", atlas, *AS_OPTIONS)
    by_name = package.compare(["resnet18@random:0"], input_size=32, controls=False, atlas=atlas, **FEW)
    loaded = package.load_network("resnet18@random:0", input_size=32)
    in_memory = package.score(loaded, package.load_data("simulated"), atlas=atlas, **FEW)
    assert [result.state for result in (*by_name.results, *in_memory.results)] == ["done", "done"]


def test_a_recording_in_memory_and_its_file_have_the_same_numbers(data, murine, tmp_path):
    data.responses.write(tmp_path / "mouse.nc")
    data.stimuli.write(tmp_path / "images.npz")
    options = ("--against", tmp_path / "mouse.nc", "--stimuli", tmp_path / "images.npz", "--no-controls")
    ran = murine("score", "pixels", *options, "--atlas", tmp_path / "atlas", *AS_OPTIONS)
    assert ran.code == 0
    theirs = package.Atlas(tmp_path / "atlas").query("SELECT * FROM scores ORDER BY site, layer_index, split, chosen")
    ours = package.score("pixels", data, **FEW).to_frame()
    exactly_equal(ours.sort_values(["site", "layer_index", "split", "chosen"], kind="stable"), theirs)


def test_a_module_in_memory_and_the_same_in_a_file_have_the_same_scores(data, tmp_path):
    folder = tmp_path / "nets"
    small_cortex.write(folder)
    from_file = package.load_network(f"{folder}/nets.py:conv@random:3", input_size=32)
    mean, std = from_file.preprocessing.mean, from_file.preprocessing.std
    in_memory = package.load_network(from_file.module, name="conv", mean=mean, std=std, input_size=32)
    assert in_memory.digest != from_file.digest
    first, second = (package.score(network, data, **FEW).to_frame() for network in (from_file, in_memory))
    exactly_equal(first, second)


# --------------------------------------------------------------------------- identity


def test_a_module_is_known_again_by_code_structure_settings_and_weights(data, tmp_path):
    atlas = tmp_path / "atlas"

    def state(module: nn.Module) -> str:
        network = package.load_network(module, mean=0.5, std=0.5, input_size=32)
        (result,) = package.score(network, data, atlas=atlas, **FEW).results
        return result.state

    assert state(Toy()) == "computed"
    assert state(Toy()) == "done"
    assert state(Toy(seed=1)) == "computed"
    assert state(Toy(scale=3.0)) == "computed"


@pytest.mark.parametrize(
    "change",
    [
        lambda toy: setattr(toy.conv, "stride", (1, 1)),
        lambda toy: setattr(toy, "extra", torch.ones(2)),
        lambda toy: setattr(toy, "forward", lambda images: images),
        lambda toy: toy.register_forward_hook(lambda module, inputs, output: -output),
        lambda toy: setattr(toy, "act", nn.Tanh()),
        lambda toy: toy.conv.weight.data.mul_(2),
    ],
)
def test_whatever_changes_the_output_changes_the_digest(change):
    toy = Toy()
    before = module_digest(toy, "toy")
    assert module_digest(Toy(), "toy") == before
    change(toy)
    assert module_digest(toy, "toy") != before
    assert module_digest(Toy(), "another name") != before


FUNCTIONS = """
from torch import nn
SCALE = {scale}
def helper(x):
    return x {operation} SCALE
class Net(nn.Module):
    def forward(self, x):
        return helper(x)
"""


def test_functions_that_the_code_calls_belong_to_the_identity():
    def digest(**words: object) -> str:
        space: dict = {"__name__": "notebook"}
        exec(FUNCTIONS.format(**words), space)
        return module_digest(space["Net"](), "net")

    same = digest(scale=2, operation="*")
    assert digest(scale=2, operation="*") == same
    assert digest(scale=3, operation="*") != same
    assert digest(scale=2, operation="+") != same


# --------------------------------------------------------------------------- preprocessing


def test_preprocessing_is_read_from_timm_and_torchvision():
    timm = pytest.importorskip("timm")
    transforms = pytest.importorskip("torchvision.transforms")
    config = timm.data.resolve_data_config({}, model=timm.create_model("resnet18"))
    read = config_from_transform(config)
    assert read["input_size"] == (3, 224, 224)
    steps = transforms.Compose(
        [
            transforms.Resize(72),
            transforms.CenterCrop(64),
            transforms.ToTensor(),
            transforms.Normalize((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)),
        ]
    )
    network = package.load_network(Toy(), transform=steps)
    assert network.preprocessing.input_size == (64, 64)
    assert network.preprocessing.mean == (0.1, 0.2, 0.3)
    assert network.preprocessing.std == (0.4, 0.5, 0.6)
    assert package.load_network(Toy(), transform=steps, input_size=48).preprocessing.input_size == (48, 48)
    made = timm.data.create_transform(**config)
    assert config_from_transform(made) == {
        "input_size": (3, 224, 224),
        "mean": config["mean"],
        "std": config["std"],
        "interpolation": config["interpolation"],
    }
    preset = pytest.importorskip("torchvision.models").ResNet18_Weights.IMAGENET1K_V1.transforms()
    assert config_from_transform(preset) == {
        "input_size": (3, 224, 224),
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "interpolation": "bilinear",
    }


class Processor:
    """What image processors of Hugging Face tell."""

    image_mean, image_std, do_normalize, do_rescale, rescale_factor = [0.5] * 3, [0.25] * 3, True, True, 1 / 255
    size, resample, do_center_crop = {"height": 96, "width": 128}, 3, False


def test_preprocessing_is_read_from_an_image_processor():
    expected = {"mean": (0.5,) * 3, "std": (0.25,) * 3, "input_size": (3, 96, 128), "interpolation": "bicubic"}
    assert config_from_transform(Processor()) == expected
    other = Processor()
    other.do_rescale = False
    with pytest.raises(package.MurineError, match="does not scale pixels to the range from 0 to 1"):
        config_from_transform(other)


def test_a_transform_that_cannot_be_read_is_refused():
    transforms = pytest.importorskip("torchvision.transforms")
    with pytest.raises(package.MurineError, match="has a step RandomRotation, which murine cannot repeat"):
        config_from_transform(transforms.Compose([transforms.RandomRotation(10)]))
    with pytest.raises(package.MurineError, match="the transform is a int, which murine cannot read; expected"):
        config_from_transform(3)


def test_what_was_assumed_of_a_module_is_said(caplog):
    package.load_network(Toy())
    said = " ".join(caplog.messages)
    assert "Toy does not say how its images are normalised, so pixels go in from 0 to 1. Give mean= and std=" in said
    assert "Toy does not say its input size, so images have 224 x 224 px. Give input_size=" in said


# --------------------------------------------------------------------------- Scores


@pytest.fixture(scope="module")
def scores(data):
    networks = [package.load_network(Toy(), mean=0.5, std=0.5, input_size=32), "pixels"]
    return package.compare(networks, data, controls=False, **FEW)


def test_the_table_has_a_row_for_each_network_and_site(scores, data):
    table = scores.table
    assert len(table) == 2 * 3
    assert set(table.chosen) == {"nested"}
    rows = scores.rows
    for row in table.itertuples():
        mine = rows[(rows.network == row.network) & (rows.site == row.site) & (rows.chosen == "nested")]
        assert mine[mine.stimuli == "all"].score.item() == row.score
    best = scores.best()
    assert list(best.site) == sorted(set(table.site))
    assert (best.set_index("site").ceiled == table.groupby("site").ceiled.max()).all()


def test_differences_are_those_of_the_ranking(scores):
    (row,) = scores.differences().to_dict("records")
    value = scores.leaderboard.set_index("network").value
    assert row["difference"] == pytest.approx(value[row["network"]] - value[row["other"]], abs=1e-12)
    assert row["difference"] >= 0
    assert row["low"] <= row["difference"] <= row["high"]
    assert row["differs"] == (row["low"] > 0)


def test_scores_are_told_shown_drawn_and_written(scores, tmp_path):
    words = scores.summary()
    assert words.count("of the noise ceiling of simulated cortex") == 2
    assert "both as they are" in words
    assert "layers chosen on other images" in words
    page = scores._repr_html_()
    assert "<table" in page
    assert "Toy" in page
    pd.testing.assert_frame_equal(
        pd.read_csv(scores.to_csv(tmp_path / "scores.csv"))[["site", "score"]], scores.table[["site", "score"]]
    )
    with mpl.rc_context({"backend": "agg"}):
        ranking = scores.plot()
        assert [text.get_text() for text in ranking.get_yticklabels()] != []
        profile = package.Scores(
            scores.rows[scores.rows.network == "Toy"], lambda: scores.rows[scores.rows.network == "Toy"]
        ).plot()
        assert {text.get_text() for text in profile.get_legend().get_texts()} == set(scores.table.site)
        with pytest.raises(package.MurineError, match="there are no scores with metric 'cka'; there are rsa-pearson"):
            scores.plot(metric="cka")
        import matplotlib.pyplot as plt

        plt.close("all")


class Broken(nn.Module):
    def forward(self, images):
        raise RuntimeError("no idea what to do")


def test_a_network_that_fails_is_told_and_the_others_are_scored(data, caplog):
    broken = package.load_network(Broken(), mean=0.5, std=0.5, input_size=32)
    found = package.compare([broken, "pixels"], data, controls=False, **FEW)
    assert list(found.failures) == ["Broken@in memory"]
    assert "no idea what to do" in found.failures["Broken@in memory"]
    assert any("1 of 2 networks could not be scored" in message for message in caplog.messages)
    assert set(found.table.network) == {"pixels"}
    with pytest.raises(package.MurineError, match="no idea what to do"):
        package.score(broken, data, **FEW)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda data: package.compare([], data), "no network was given"),
        (lambda data: package.compare("pixels", data), r"expected a list, as \['pixels'\]"),
        (lambda data: package.score("pixels", data.responses), "the data are a Recording; expected a name, a file or"),
        (lambda data: package.score("pixels", data, metric="rsa-pearsn"), "unknown metric 'rsa-pearsn'"),
        (lambda data: package.score("pixels", data, by="aria"), "aria"),
        (lambda data: package.score("pixels", data, protocol="mine"), "there is no protocol 'mine'"),
        (lambda data: package.score("pixels", data, over="cells"), "over is 'cells'"),
        (lambda data: package.score("pixels", data, stimuli="images"), "give them to load_data"),
        (lambda data: package.load_network(3), "the network is a int; expected a torch.nn.Module or a name"),
        (lambda data: package.load_network("resnet18@random:0", mean=0.5), "only for a module in memory"),
        (lambda data: package.load_network(Toy(), mean=(1, 2)), "its mean has 2 values"),
        (lambda data: package.load_data("nothing.nc"), "there is no file 'nothing.nc'"),
        (lambda data: package.load_data(data.responses), "came without images; give them with stimuli="),
        (lambda data: package.load_data(3), "the data are a int; expected a name, a file, a Recording"),
    ],
)
def test_wrong_input_is_told_in_words(data, call, message):
    with pytest.raises(package.MurineError, match=message):
        call(data)


def test_no_network_of_the_wrong_ids_is_scored(data):
    with pytest.raises(package.MurineError, match="20 of 40 stimuli have no image"):
        package.load_data(data.responses, stimuli=load_small(20).stimuli)
