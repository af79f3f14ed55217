"""Vocabularies: which layers get a letter, and which files are refused."""

import json

import pytest
import torch
from small_networks import Functions

from murine.architecture.layer_kinds import KINDS
from murine.architecture.layer_sequences import layer_sequence
from murine.architecture.vocabulary import load_vocabulary, vocabularies
from murine.errors import MurineError


def test_every_kind_has_a_letter_or_is_left_out_on_purpose():
    for vocabulary in map(load_vocabulary, vocabularies):
        left_out = set(KINDS) - set(vocabulary.letters)
        assert left_out <= {"flatten", "identity", "arrangement", "dropout", "drop path", "scale"}
        assert set(vocabulary.legend) == set(vocabulary.letters.values())


def test_vocabularies_are_read_from_files(tmp_path):
    file = tmp_path / "coarse.json"
    letters = {"x": ["convolution", "pointwise convolution", "depthwise convolution"], "o": "max pooling"}
    file.write_text(json.dumps({"letters": letters, "functions": True}))
    x = torch.rand(2, 3, 16, 16)
    assert layer_sequence(Functions(), x, vocabulary=str(file)) == "xox"
    file.write_text(json.dumps({"letters": letters, "functions": ["convolution"]}))
    assert layer_sequence(Functions(), x, vocabulary=file) == "x"
    file.write_text(json.dumps({"letters": letters}))
    with pytest.raises(MurineError, match="sequence of Functions is empty: of the 7 layers that ran"):
        layer_sequence(Functions(), x, vocabulary=file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "has no 'letters'"),
        ([], "has no 'letters'"),
        ({"letters": {"C": ["konvolution"]}}, "unknown kinds of layers konvolution"),
        ({"letters": {"CC": ["convolution"]}}, "one visible character"),
        ({"letters": {"-": ["convolution"]}}, "one visible character"),
        ({"letters": {"C": ["convolution"], "D": ["convolution"]}}, "or has a letter"),
        ({"letters": {"C": 3}}, "not a kind of layer"),
        ({"letters": {"C": "convolution"}, "function": True}, "unknown keys function"),
        ({"letters": {"C": "convolution"}, "functions": "all"}, "or a list of kinds"),
        ({"letters": {"C": "convolution"}, "functions": [3]}, "unknown kinds of layers 3"),
        ({"letters": {"C": "convolution"}, "fuses": 1}, "expected true or false for fuses"),
    ],
)
def test_wrong_vocabularies_are_refused(tmp_path, content, message):
    file = tmp_path / "words.json"
    file.write_text(json.dumps(content))
    with pytest.raises(MurineError, match=message):
        load_vocabulary(file)


def test_unknown_vocabulary():
    with pytest.raises(MurineError, match=r"unknown vocabulary 'papper'; did you mean paper\?"):
        load_vocabulary("papper")
