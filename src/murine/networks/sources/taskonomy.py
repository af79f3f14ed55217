"""The encoders of Taskonomy: one architecture, trained on 24 tasks.

Zamir et al. 2018 (arXiv:1804.08328) trained it in TensorFlow. Sax et al. 2018 (arXiv:1812.11971) published the weights
for PyTorch. The parameters have the same names here, so that the published files can be loaded.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from murine.networks.sources.published_weights import PublishedSource

#: The preprocessing of the images: 256 x 256 pixels, scaled to [-1, 1].
CONFIG: dict[str, Any] = {
    "input_size": (3, 256, 256),
    "mean": (0.5, 0.5, 0.5),
    "std": (0.5, 0.5, 0.5),
    "interpolation": "bilinear",
}

#: The clusters of tasks that Conwell et al. 2021 use, as in their file task_typology.csv.
CLUSTERS = {
    "2D": ("autoencoding", "edge_texture", "inpainting", "keypoints2d", "segment_unsup2d"),
    "3D": (
        *("curvature", "depth_euclidean", "depth_zbuffer", "edge_occlusion", "keypoints3d", "reshading"),
        "segment_unsup25d",
    ),
    "geometric": (
        *("egomotion", "fixated_pose", "jigsaw", "nonfixated_pose", "point_matching", "room_layout"),
        "vanishing_point",
    ),
    "semantic": ("class_object", "class_scene", "segment_semantic"),
    "other": ("denoising", "normal"),
}

#: Width and number of blocks of each stage, and the stride of its last block.
_STAGES = ((64, 3, 2), (128, 4, 2), (256, 6, 1), (512, 3, 1))


class Encoder(nn.Module):
    """A ResNet-50 with the strides in the last block of each stage, and a final convolution to 8 channels.

    Images (n, 3, 256, 256) become features (n, 8, 16, 16), standardised within each channel of each image.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        n_channels = 64
        for number, (width, n_blocks, stride) in enumerate(_STAGES, start=1):
            inputs = [n_channels, *[4 * width] * (n_blocks - 1)]
            strides = [*[1] * (n_blocks - 1), stride]
            blocks = (_Bottleneck(*size) for size in zip(inputs, [width] * n_blocks, strides, strict=True))
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
            n_channels = 4 * width
        self.compress1 = nn.Conv2d(n_channels, 8, 3, padding=1, bias=False)
        self.compress_bn = nn.BatchNorm2d(8)
        self.relu1 = nn.ReLU(inplace=True)
        self.groupnorm = nn.GroupNorm(8, 8, affine=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features (n, 8, height / 16, width / 16) of images (n, 3, height, width)."""
        features = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for number in range(1, len(_STAGES) + 1):
            features = self.get_submodule(f"layer{number}")(features)
        return self.groupnorm(self.relu1(self.compress_bn(self.compress1(features))))


class _Bottleneck(nn.Module):
    """Three convolutions and a shortcut.

    The shortcut is a 1 x 1 convolution if the number of channels changes, and skips pixels if the stride is 2.
    """

    def __init__(self, n_inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if n_inputs != 4 * width:
            self.downsample = nn.Sequential(nn.Conv2d(n_inputs, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width))
        elif stride != 1:
            self.downsample = nn.Sequential(nn.MaxPool2d(1, stride=stride))

    def forward(self, inputs: Tensor) -> Tensor:
        features = self.relu(self.bn1(self.conv1(inputs)))
        features = self.relu(self.bn2(self.conv2(features)))
        features = self.bn3(self.conv3(features))
        shortcut = inputs if self.downsample is None else self.downsample(inputs)
        return self.relu(features + shortcut)


class TaskonomySource(PublishedSource):
    """The 24 encoders of Taskonomy."""

    about = "Encoders of one architecture, trained on 24 visual tasks (Taskonomy)."
    citation = "Zamir et al. 2018, arXiv:1804.08328; weights: Sax et al. 2018, arXiv:1812.11971"
    builders = {"taskonomy_encoder": Encoder}  # noqa: RUF012
    config = CONFIG
