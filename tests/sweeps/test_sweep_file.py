"""Sweep files: what they stand for, and what is said of wrong ones."""

from __future__ import annotations

import pytest

from murine.errors import MurineError
from murine.sweeps.run import in_shard, prepared
from murine.sweeps.sweep_file import read_sweep


def units_of(**content):
    return [str(unit) for unit in prepared(read_sweep({"controls": False, "data": "simulated", **content}))[1]]


def test_every_list_is_combined_with_every_other():
    found = units_of(
        networks=["resnet18", "pixels"],
        weights=["random:0", "random:1"],
        variants=["plain", "neurn(k=3)@input"],
        input_sizes=[32, "native"],
        seeds=[0, 1],
    )
    # resnet18: 2 weights x 2 variants; pixels has neither weights nor variants; each under 2 seeds x 2 sizes.
    assert len(found) == len(set(found)) == (2 * 2 + 1) * 4
    assert "resnet18+neurn(k=3)@input@random:1 (native, seed 1)" in found


def test_a_network_is_not_repeated():
    assert units_of(networks=["pixels", "pixels", "pixel*"]) == ["pixels"]


def test_twins_are_of_trained_networks_only():
    assert units_of(networks=["resnet18", "resnet10t@random:5"], twins=2) == [
        "resnet18",
        "resnet18@random:0",
        "resnet18@random:1",
        "resnet10t@random:5",
    ]


def test_single_values_stand_for_lists():
    a = read_sweep({"networks": "pixels", "data": "simulated", "input_sizes": "48x64", "metrics": "rsa-pearson"})
    b = read_sweep(
        {"networks": ["pixels"], "data": [{"name": "simulated"}], "input_sizes": [(48, 64)], "metrics": ["rsa-pearson"]}
    )
    assert a == b
    assert a.settings()[0].input_size == (48, 64)


def test_settings_are_those_of_the_command():
    from murine.atlas.task_options import sweep_settings

    sweep = read_sweep(
        {
            "networks": "pixels",
            "data": {"name": "simulated", "by": "area", "select": {"area": ["SIMl", "SIMp"]}, "min_reliability": 0.1},
            "normalise": "both",
            "bootstraps": 7,
            "seeds": 3,
        }
    )
    (mine,) = sweep.settings()
    (command,) = sweep_settings(
        "simulated",
        by="area",
        select={"area": ["SIMp", "SIMl"]},
        min_reliability=0.1,
        n_splits=100,
        metric="rsa-pearson",
        protocol="murine",
        normalise="both",
        normalise_neurons=None,
        normalise_features=None,
        dissimilarity="pearson",
        n_bootstraps=7,
        n_permutations=1000,
        over="",
        seed=3,
        layers="own",
        input_sizes=None,
        data=None,
        stimuli=None,
        batch_size=None,
        device="auto",
    )
    assert (mine.cortex, mine.metrics, mine.scoring, mine.treatments, mine.input_size) == (
        command.cortex,
        command.metrics,
        command.scoring,
        command.treatments,
        command.input_size,
    )


def test_a_published_protocol():
    (settings,) = read_sweep({"networks": "pixels", "data": "simulated", "protocol": "conwell2021"}).settings()
    assert settings.metrics == ("conwell2021",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"networks": "pixels"}, "'data' is missing"),
        ({"network": "pixels", "data": "simulated"}, "did you mean networks"),
        ({"networks": [], "data": "simulated"}, "networks"),
        ({"networks": "pixels", "data": []}, "data"),
        ({"networks": "pixels", "data": {"name": "simulated", "areas": "VISp"}}, "there is no key 'data.0.areas'"),
        ({"networks": "pixels", "data": "simulated", "twins": -1}, "twins is -1"),
        ({"networks": "pixels", "data": "simulated", "input_sizes": "big"}, "HEIGHTxWIDTH"),
        ({"networks": "pixels", "data": "simulated", "threads": 0}, "threads is 0"),
        ({"networks": "pixels", "data": "simulated", "bootstraps": -3}, "bootstraps"),
        ({"networks": "pixels", "data": "simulated", "seeds": -1}, "seeds"),
        ({"networks": "pixels", "data": "simulated", "normalise": "some"}, "some"),
        ({"networks": "no-such-network*", "data": "simulated"}, "no network matches"),
        ({"networks": "resnet18", "data": "simulated", "variants": "neurm"}, "neurm"),
        ({"networks": "pixels", "data": "simulated", "protocol": "conwell2020"}, "no protocol"),
    ],
)
def test_wrong_content_is_refused_in_words(content, said):
    with pytest.raises(MurineError) as error:
        prepared(read_sweep(content))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("networks: [pixels\ndata: simulated\n", "line 2 is no YAML"),
        ("networks: !!python/object/apply:os.system [ls]\n", "is no YAML"),
        ("- pixels\n", "expected keys with values"),
        ("", "expected keys with values"),
        ("networks: *missing\n", "is no YAML"),
    ],
)
def test_malformed_files_are_refused_with_the_line(tmp_path, text, said):
    file = tmp_path / "sweep.yaml"
    file.write_text(text)
    with pytest.raises(MurineError) as error:
        read_sweep(file)
    assert said in str(error.value)
    assert "sweep.yaml" in str(error.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(MurineError, match="there is no file"):
        read_sweep(tmp_path / "missing.yaml")
    with pytest.raises(MurineError, match="cannot be read"):
        read_sweep(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"networks: \xff\xfe\n")
    with pytest.raises(MurineError):
        read_sweep(tmp_path / "latin.yaml")


def test_shards_divide_the_networks():
    specs = read_sweep({"networks": "resnet*", "data": "simulated", "weights": "random:0"}).specs()
    parts = [in_shard(specs, f"{i}/7") for i in range(7)]
    assert sorted(str(spec) for part in parts for spec in part) == sorted(map(str, specs))
    # A hash spreads them: no shard has more than three times its share.
    assert max(map(len, parts)) < 3 * len(specs) / 7
    assert in_shard(specs[3:], "2/7") == [spec for spec in in_shard(specs, "2/7") if spec in specs[3:]]


@pytest.mark.parametrize("shard", ["1", "7/7", "-1/3", "a/b", "0/0", "1/2/3", "0/99999999"])
def test_wrong_shards_are_refused(shard):
    with pytest.raises(MurineError, match="I/N"):
        in_shard([], shard)
