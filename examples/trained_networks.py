"""Small trained networks, as examples of bringing your own network to murine.

murine takes any function that returns a PyTorch module, named as ``path/to/file.py:function``::

    murine score examples/trained_networks.py:squeezenet --against allen-neuropixels

Without arguments the function returns the trained network, with ``pretrained=False`` the same architecture with random
weights, drawn from torch's global generator, which the caller seeds. What the network wants to see is in the module's
``default_cfg``, in timm's convention; murine does the preprocessing.

The networks themselves are also known by name (``shared:squeezenet``). Their tables and weights are in the folder of
data: ``../shared/data``, or where MURINE_SHARED says.
"""

from __future__ import annotations

from torch import nn

from murine.networks.sources.shared_networks import build_shared


def squeezenet(pretrained: bool = True) -> nn.Module:
    """SqueezeNet 1.0, pruned and quantised by Deep Compression; its output is before the softmax."""
    return build_shared("squeezenet", pretrained)


def mobilenet_v1_025(pretrained: bool = True) -> nn.Module:
    """MobileNet V1 with a quarter of the channels; class 0 is the background."""
    return build_shared("mobilenet_v1_025", pretrained)


def mobilenet_v1_05(pretrained: bool = True) -> nn.Module:
    """MobileNet V1 with half of the channels; class 0 is the background."""
    return build_shared("mobilenet_v1_05", pretrained)


def mobilenet_v1_075(pretrained: bool = True) -> nn.Module:
    """MobileNet V1 with three quarters of the channels; class 0 is the background."""
    return build_shared("mobilenet_v1_075", pretrained)


def mobilenet_v1_pose(pretrained: bool = True) -> nn.Module:
    """The trunk of PoseNet: MobileNet V1 with three quarters of the channels and a stride of 16."""
    return build_shared("mobilenet_v1_pose", pretrained)


def mobilenet_v2(pretrained: bool = True) -> nn.Module:
    """MobileNet V2; class 0 is the background."""
    return build_shared("mobilenet_v2", pretrained)


def mobilenet_v2_retrained(pretrained: bool = True) -> nn.Module:
    """MobileNet V2 from another training on the same images."""
    return build_shared("mobilenet_v2_retrained", pretrained)


def mobilenet_v2_birds(pretrained: bool = True) -> nn.Module:
    """MobileNet V2 that tells birds apart."""
    return build_shared("mobilenet_v2_birds", pretrained)


def mobilenet_v2_insects(pretrained: bool = True) -> nn.Module:
    """MobileNet V2 that tells insects apart."""
    return build_shared("mobilenet_v2_insects", pretrained)


def mobilenet_v2_segmentation(pretrained: bool = True) -> nn.Module:
    """The trunk of DeepLab v3: MobileNet V2 with a stride of 16; the last blocks are dilated."""
    return build_shared("mobilenet_v2_segmentation", pretrained)


def mobilenet_v1_person(pretrained: bool = True) -> nn.Module:
    """MobileNet V1 with a quarter of the channels that tells whether a person is in the picture."""
    return build_shared("mobilenet_v1_person", pretrained)


def resnet8_cifar10(pretrained: bool = True) -> nn.Module:
    """ResNet-8 of the MLPerf Tiny benchmark."""
    return build_shared("resnet8_cifar10", pretrained)


def resnet20_cifar10(pretrained: bool = True) -> nn.Module:
    """ResNet-20 with shortcuts without weights; its output is before the softmax."""
    return build_shared("resnet20_cifar10", pretrained)


def efficientnet_lite0(pretrained: bool = True) -> nn.Module:
    """EfficientNet-Lite0 of timm."""
    return build_shared("efficientnet_lite0", pretrained)
