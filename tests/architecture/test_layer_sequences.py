"""Layer sequences: published strings, PyTorch's own graph of a network, and networks written in other styles."""

import pytest
import timm
import torch
from small_networks import Functions, Modules
from torch import nn
from torchvision import models

from murine.architecture.forward_trace import trace_layers
from murine.architecture.layer_sequences import layer_sequence
from murine.architecture.vocabulary import Vocabulary, vocabularies
from murine.errors import MurineError

#: Published in the alignment grids of Jalil, Qazi & Iqbal 2025.
VGG = {"vgg16": "CCMCCMCCCMCCCMCCCMLLL", "vgg19": "CCMCCMCCCCMCCCCMCCCCMLLL"}

VGG11 = "CRMCRMCRCRMCRCRMCRCRMALRDLRDL"


def build(name, **options):
    with torch.device("meta"):
        return models.get_model(name, weights=None, **options)


def test_published_strings():
    assert layer_sequence(build("vgg11")) == VGG11
    for name, published in VGG.items():
        assert layer_sequence(build(name), vocabulary="keras") == published


#: What a node of torch.fx's graph is written as in the vocabulary ``fine``: an independent list, by class and function.
CLASSES = {
    nn.BatchNorm2d: "B",
    nn.ReLU: "R",
    nn.ReLU6: "R",
    nn.Linear: "L",
    nn.Dropout: "D",
    nn.MaxPool2d: "M",
    nn.AvgPool2d: "A",
    nn.AdaptiveAvgPool2d: "a",
    nn.SiLU: "U",
    nn.Sigmoid: "F",
}

FUNCTIONS = {"relu": "R", "cat": "J", "add": "P", "mul": "m", "max_pool2d": "M", "avg_pool2d": "A", "dropout": "D"}

FUNCTIONS |= {"adaptive_avg_pool2d": "a", "iadd": "P", "mean": "a"}


def letter_of_convolution(module):
    if module.groups > 1:
        return "w" if module.groups == module.in_channels else "g"
    return "c" if module.kernel_size == (1, 1) else "C"


def spelled_by_fx(module):
    letters = []
    for node in torch.fx.symbolic_trace(module).graph.nodes:
        if node.op == "call_module":
            child = module.get_submodule(node.target)
            if isinstance(child, nn.Conv2d):
                letters.append(letter_of_convolution(child))
            elif type(child) in CLASSES:
                letters.append(CLASSES[type(child)])
        elif node.op in ("call_function", "call_method"):
            name = node.target if isinstance(node.target, str) else node.target.__name__
            n_terms = sum(isinstance(x, torch.fx.Node) for x in node.args)
            if name == "cat":
                n_terms = len(node.args[0])
            if name in FUNCTIONS and not (name in ("add", "mul", "cat") and n_terms < 2):
                letters.append(FUNCTIONS[name])
    return "".join(letters)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {}),
        ("densenet121", {}),
        ("shufflenet_v2_x0_5", {}),
        ("inception_v3", {"init_weights": False, "aux_logits": False, "transform_input": False}),
    ],
)
def test_order_is_that_of_the_graph_of_torch_fx(name, options):
    module = build(name, **options).eval()
    assert layer_sequence(module, vocabulary="fine") == spelled_by_fx(module)


def test_calls_of_functions_give_the_string_of_modules():
    x = torch.rand(2, 3, 16, 16)
    a, b = Modules(), Functions()
    b.load_state_dict(a.state_dict())
    torch.testing.assert_close(a.eval()(x), b.eval()(x))
    for vocabulary in vocabularies:
        assert layer_sequence(a, x, vocabulary=vocabulary) == layer_sequence(b, x, vocabulary=vocabulary)
    assert layer_sequence(a, x, vocabulary="fine") == "CBRMwPR"
    assert layer_sequence(b, x, vocabulary="paper") == "CBRMCR"
    assert [layer.is_function for layer in trace_layers(b, x)] == [True] * 7


def test_only_an_activation_of_the_convolution_itself_is_part_of_it():
    convolution, relu = nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()

    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution, self.relu = convolution, relu

        def forward(self, x):
            return self.convolution(x) + self.relu(x)  # the ReLU comes next, but is of the images

    x = torch.rand(2, 3, 8, 8)
    assert layer_sequence(nn.Sequential(convolution, relu), x, vocabulary="keras") == "C"
    assert layer_sequence(Branches(), x, vocabulary="keras") == "CRP"


def test_poolings_that_pool_nothing_are_no_layers_of_keras():
    same, other = (nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(size)) for size in (8, 4))
    x = torch.rand(2, 3, 8, 8)
    assert layer_sequence(same, x, vocabulary="keras") == "C"
    assert layer_sequence(other, x, vocabulary="keras") == "CA"
    assert layer_sequence(nn.AvgPool2d(3, 1, 1), x, vocabulary="keras") == "A"  # it smooths


def test_transformers_are_read_though_pytorch_has_a_fast_way_past_their_parts():
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu")
    network = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    assert layer_sequence(network, torch.rand(2, 5, 16), vocabulary="fine") == "QDPNLGDLDPN" * 2


def test_gates_and_gains_are_told_apart():
    """Squeeze-and-excitation multiplies features by features, layer scale by parameters."""
    with torch.device("meta"):
        gated, scaled = timm.create_model("mobilenetv3_small_050"), timm.create_model("convnext_atto")
    assert layer_sequence(gated, vocabulary="fine").count("m") == 9
    assert layer_sequence(scaled, vocabulary="fine").count("m") == 0


def test_modules_of_unknown_classes_are_told_by_what_they_call():
    class Squash(nn.Module):
        def forward(self, x):
            return torch.tanh(x)

    class Halve(nn.Module):
        def forward(self, x):
            return x / 2

    network, x = nn.Sequential(nn.Conv2d(3, 4, 3), Squash(), Halve()), torch.rand(2, 3, 8, 8)
    assert layer_sequence(network, x, vocabulary="fine") == "CW?"
    assert layer_sequence(network, x, vocabulary=Vocabulary({"convolution": "C", "other": "?"})) == "C??"


def test_a_network_that_cannot_be_run():
    with pytest.raises(MurineError, match=r"Linear fails on an input of 3 x 224 x 224 .*RuntimeError"):
        layer_sequence(nn.Linear(7, 2))
    with pytest.raises(MurineError, match="sequence of Identity is empty"):
        layer_sequence(nn.Identity(), torch.rand(2, 3, 8, 8))


def test_strings_do_not_depend_on_the_number_of_images():
    network = Modules()
    for vocabulary in vocabularies:
        spelled = {layer_sequence(network, torch.rand(n, 3, 16, 16), vocabulary=vocabulary) for n in (2, 3, 7)}
        assert len(spelled) == 1
