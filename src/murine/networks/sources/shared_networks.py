"""Small trained networks whose weights lie in the folder of data, so that no download is needed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from murine.errors import MurineError
from murine.io.data_folder import data_folder
from murine.networks.sources.source import NetworkSource

Triple = tuple[float, float, float]

_SIGNED: tuple[Triple, Triple] = ((128 / 255,) * 3, (128 / 255,) * 3)  # (x - 128) / 128 for x from 0 to 255
_HALVES: tuple[Triple, Triple] = ((127 / 255,) * 3, (127.5 / 255,) * 3)  # (x - 127) / 127.5
_UNSCALED: tuple[Triple, Triple] = ((0.0,) * 3, (1 / 255,) * 3)  # x from 0 to 255
_UNIT: tuple[Triple, Triple] = ((0.0,) * 3, (1.0,) * 3)  # x / 255
_IMAGENET = ("object classification", "ImageNet, 1000 classes")
_CIFAR10 = ("object classification", "CIFAR-10, 10 classes")


@dataclass(frozen=True)
class SharedNetwork:
    """A trained network of the folder of data.

    Attributes
    ----------
    file
        Its files in the folder of data, without their endings.
    side
        Height and width of its images in pixels.
    scale
        Mean and standard deviation of its images, with pixels from 0 to 1.
    task, data
        What it was trained for, and on which images.
    family
        Networks of one family have the same architecture up to the last layers.
    channel_order, interpolation
        Of its images.
    n_rows
        The number of rows of its table that are its trunk; None for all.
    digest
        The sha256 of the file of weights.
    """

    file: str
    side: int
    scale: tuple[Triple, Triple]
    task: str
    data: str
    family: str
    digest: str
    channel_order: str = "RGB"
    interpolation: str = "bilinear"
    n_rows: int | None = None

    @property
    def config(self) -> dict[str, Any]:
        """The preprocessing with timm's keys, and task and data of training."""
        about: dict[str, Any] = {"input_size": (3, self.side, self.side), "interpolation": self.interpolation}
        about |= {"crop_pct": 1.0, "mean": self.scale[0], "std": self.scale[1]}
        about |= {"task": self.task, "training_data": self.data}
        return about if self.channel_order == "RGB" else about | {"channel_order": self.channel_order}


_V2 = "mobilenet_v2"
SHARED_NETWORKS = {
    "squeezenet": SharedNetwork(
        "pretrained_nets/squeezenet_v1.0_imagenet",
        227,
        ((104 / 255, 117 / 255, 123 / 255), (1 / 255,) * 3),
        *_IMAGENET,
        "squeezenet",
        "4cf7f2c912b0cc9ace85d7c54919cc73a1a13402089350efc4bdabe632a6167c",
        channel_order="BGR",
    ),
    "mobilenet_v1_025": SharedNetwork(
        "pretrained_nets/mobilenet_v1_0.25_128_imagenet",
        128,
        _SIGNED,
        *_IMAGENET,
        "mobilenet_v1_0.25",
        "0ac9058848982644814073632f6a12e7d1030d81075779ce86d242c52e321079",
    ),
    "mobilenet_v1_05": SharedNetwork(
        "pretrained_nets/mobilenet_v1_0.5_160_imagenet",
        160,
        _SIGNED,
        *_IMAGENET,
        "mobilenet_v1_0.5",
        "293aa26a5f36b50902bb01cdef2d1f9fca5b284c198da68e4a47f4c046e0f962",
    ),
    "mobilenet_v1_075": SharedNetwork(
        "matched_backbones/mobilenet_v1_0.75_192_imagenet",
        192,
        _SIGNED,
        *_IMAGENET,
        "mobilenet_v1_0.75",
        "83eb0e8908c6db1d284ee5f9edb7e008e49ef44ccc66b973873809a06071c746",
    ),
    # The last two rows of its table are heads. The original adds a row and a column of zeros below and right of images
    # of odd size, so that their windows lie as those of images of even size do here.
    "mobilenet_v1_pose": SharedNetwork(
        "matched_backbones/mobilenet_v1_0.75_pose",
        192,
        _SIGNED,
        "human pose",
        "COCO key points",
        "mobilenet_v1_0.75",
        "aee40c5d3b7e039b619ebcb89ab6f41e885598a546dab0bb0b29454b2f3ab8ce",
        n_rows=27,
    ),
    _V2: SharedNetwork(
        "pretrained_nets/mobilenet_v2_1.0_224_imagenet",
        224,
        _SIGNED,
        *_IMAGENET,
        _V2,
        "0f665e5c48d37d51cf530a38477baea9f54ab6180df867d60d6aa9f57bd4690d",
    ),
    "mobilenet_v2_retrained": SharedNetwork(
        "matched_backbones/mobilenet_v2_1.0_224_imagenet_tf2",
        224,
        _HALVES,
        *_IMAGENET,
        _V2,
        "a33f0f86e1fc181a69107e9a7332dbe0d34b73768eb7c2542231384fda6c3e14",
    ),
    "mobilenet_v2_birds": SharedNetwork(
        "pretrained_nets/mobilenet_v2_1.0_224_inat_birds",
        224,
        _SIGNED,
        "bird species classification",
        "iNaturalist, 964 birds and background",
        _V2,
        "2f5cf239c0d6773481f02c5319a192f6aba162519eb7bd86535a6a08d28d72ff",
    ),
    "mobilenet_v2_insects": SharedNetwork(
        "matched_backbones/mobilenet_v2_1.0_224_inat_insects",
        224,
        _SIGNED,
        "insect species classification",
        "iNaturalist, 1,021 insects and background",
        _V2,
        "ceaa1aaa028cdcb30f1380a0f4d5e96c7fee5902bbdfb703a8f9d60586d48f91",
    ),
    "mobilenet_v2_segmentation": SharedNetwork(
        "matched_backbones/mobilenet_v2_1.0_segmentation",
        224,
        _SIGNED,
        "semantic segmentation",
        "PASCAL VOC, 21 classes",
        _V2,
        "5461249a6dc92ec195355bd672ec0c40d46dad7b502cb7dbd05c0b6c36451ed8",
    ),
    "mobilenet_v1_person": SharedNetwork(
        "pretrained_nets/mobilenet_v1_0.25_96_person",
        96,
        _UNIT,
        "person detection",
        "Visual Wake Words, 2 classes",
        "mobilenet_v1_0.25",
        "41e97b9b896295478f655d44c200149778433216060e1f93619f66bedc85c937",
    ),
    "resnet8_cifar10": SharedNetwork(
        "pretrained_nets/resnet8_cifar10",
        32,
        _UNSCALED,
        *_CIFAR10,
        "resnet8",
        "ccf3e3152647e1715c69dba9e28958e715ed86f0aa820edbb1c77f64f05e5e72",
    ),
    "resnet20_cifar10": SharedNetwork(
        "pretrained_nets/resnet20_cifar10",
        32,
        ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        *_CIFAR10,
        "resnet20",
        "02926273efb1deadb6dc654c7087baea932ef2026d9f854680d6858146d85838",
    ),
    "efficientnet_lite0": SharedNetwork(
        "efficientnet_lite0/efficientnet_lite0_imagenet",
        224,
        ((0.5,) * 3, (0.5,) * 3),
        *_IMAGENET,
        "efficientnet_lite0",
        "38a7ab1ab5cc1c0f67cc5fe93e308f2536e5de0df00d0fd93ac200684d95f2fd",
        interpolation="bicubic",
    ),
}


def build_shared(name: str, pretrained: bool = True) -> nn.Module:
    """Build a network of `SHARED_NETWORKS`.

    Parameters
    ----------
    name
        A key of `SHARED_NETWORKS`.
    pretrained
        Whether it gets the stored weights. Otherwise they are drawn from torch's global generator, by He's rule for
        all but EfficientNet, which has timm's.

    Returns
    -------
    network
        In evaluation mode. Its ``default_cfg`` states its preprocessing with timm's keys.

    Raises
    ------
    MurineError
        If its files are not in the folder of data, or the weights are not those that are expected.
    """
    about = SHARED_NETWORKS[name]
    network = _module(name, about, pretrained)
    network.default_cfg = about.config  # type: ignore[assignment]
    return network.eval()


def _module(name: str, about: SharedNetwork, pretrained: bool) -> nn.Module:
    from safetensors.torch import load_file

    from murine.networks.cifar_resnet import CifarResNet
    from murine.networks.layer_tables import from_table, randomise

    if name == "resnet20_cifar10":
        network: nn.Module = CifarResNet()
        if pretrained:
            network.load_state_dict(load_file(_stored(about, ".safetensors")))
        else:
            randomise(network)
        return network
    if name == "efficientnet_lite0":
        import timm

        network = timm.create_model("tf_efficientnet_lite0")
        if pretrained:
            network.load_state_dict(load_file(_stored(about, ".safetensors")))
        return network
    return from_table(_stored(about, ".layers.csv"), _stored(about, ".npz"), pretrained, about.n_rows)


def _stored(about: SharedNetwork, ending: str) -> Path:
    """Return the path of a file of a network; refuse a file of weights that is not the published one."""
    file = data_folder() / f"{about.file}{ending}"
    if not file.is_file():
        raise MurineError(f"{str(file)!r} is missing; expected the files {about.file}.* in the folder of data.")
    if ending != ".layers.csv":
        found = hashlib.sha256(file.read_bytes()).hexdigest()
        if found != about.digest:
            raise MurineError(
                f"{str(file)!r} is not the published file: its SHA-256 is {found}, expected {about.digest}. It may be "
                "truncated; copy it again."
            )
    return file


class SharedSource(NetworkSource):
    """Trained networks of the folder of data."""

    about = "Small trained networks whose weights lie in the folder of data (MURINE_SHARED): no download is needed."
    citation = "google-coral/test_data, SqueezeNet-Deep-Compression, mlcommons/tiny, pytorch_resnet_cifar10 on GitHub"
    licence = "BSD or Apache-2.0, as the README beside the files says"

    def architectures(self) -> Sequence[str]:
        return list(SHARED_NETWORKS)

    def create(self, architecture: str, tag: str, input_size: tuple[int, int] | None) -> nn.Module:
        return build_shared(architecture, pretrained=False)

    def create_trained(
        self, architecture: str, tag: str, input_size: tuple[int, int] | None, digest: str = ""
    ) -> tuple[nn.Module, str]:
        expected = SHARED_NETWORKS[architecture].digest
        if digest and digest.removeprefix("sha256:") != expected:
            raise MurineError(
                f"the weights of {self.full_name(architecture)!r} have the digest sha256:{expected}, not {digest}."
            )
        return build_shared(architecture), "pretrained"

    def facts(self, architecture: str, tag: str) -> dict[str, Any]:
        about = SHARED_NETWORKS[architecture]
        return {
            "family": about.family,
            "weights": "pretrained",
            "task": about.task,
            "data": about.data,
            "input_size": (about.side, about.side),
            "origin": "the README beside the file",
        }
