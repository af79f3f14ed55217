"""Kinds of layers, recognised by the name of the class or function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

#: Kinds of layers, each with the names of classes (of PyTorch, timm and torchvision) and of functions, in lower case
#: and without underscores at the ends.
_NAMES: dict[str, str] = {
    "convolution": "conv1d conv2d conv3d lazyconv1d lazyconv2d lazyconv3d",
    "transposed convolution": "convtranspose1d convtranspose2d convtranspose3d "
    "conv_transpose1d conv_transpose2d conv_transpose3d",
    "linear": "linear bilinear identitylinear",
    "embedding": "embedding embeddingbag",
    "recurrent": "rnn lstm gru rnncell lstmcell grucell",
    "attention": "multiheadattention scaled_dot_product_attention multi_head_attention_forward",
    "batch norm": "batchnorm1d batchnorm2d batchnorm3d syncbatchnorm frozenbatchnorm2d batchnormact2d "
    "frozenbatchnormact2d batch_norm",
    "layer norm": "layernorm layer_norm",
    "rms norm": "rmsnorm rmsnormfp32 simplenorm rms_norm",
    "group norm": "groupnorm group_norm",
    "instance norm": "instancenorm1d instancenorm2d instancenorm3d instance_norm",
    "local response norm": "localresponsenorm crossmaplrn2d local_response_norm",
    "relu": "relu relu6 rrelu",
    "leaky relu": "leakyrelu prelu leaky_relu",
    "gelu": "gelu gelutanh quickgelu",
    "silu": "silu swish swishme",
    "hard swish": "hardswish hardswishme",
    "other activation": "elu selu celu mish hardmish softplus softsign logsigmoid glu hardtanh threshold hardshrink "
    "softshrink tanhshrink",
    "sigmoid": "sigmoid hardsigmoid hardsigmoidme",
    "tanh": "tanh",
    "softmax": "softmax softmax2d softmin logsoftmax log_softmax radixsoftmax",
    "max pooling": "maxpool1d maxpool2d maxpool3d adaptivemaxpool1d adaptivemaxpool2d adaptivemaxpool3d "
    "fractionalmaxpool2d max_pool1d max_pool2d max_pool3d max_pool2d_with_indices adaptive_max_pool1d "
    "adaptive_max_pool2d adaptive_max_pool3d",
    "average pooling": "avgpool1d avgpool2d avgpool3d lppool1d lppool2d avg_pool1d avg_pool2d avg_pool3d blurpool2d",
    "adaptive average pooling": "adaptiveavgpool1d adaptiveavgpool2d adaptiveavgpool3d fastadaptiveavgpool "
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d",
    "dropout": "dropout dropout1d dropout2d dropout3d alphadropout alpha_dropout featurealphadropout dropblock2d",
    "drop path": "droppath stochasticdepth stochastic_depth",
    "padding": "zeropad1d zeropad2d zeropad3d constantpad1d constantpad2d constantpad3d reflectionpad1d "
    "reflectionpad2d reflectionpad3d replicationpad1d replicationpad2d replicationpad3d circularpad2d pad",
    "upsampling": "upsample upsamplingnearest2d upsamplingbilinear2d interpolate",
    "pixel shuffle": "pixelshuffle pixelunshuffle pixel_shuffle pixel_unshuffle channelshuffle channel_shuffle",
    "scale": "layerscale layerscale2d affine scale learnableaffineblock",
    "add": "add iadd radd",
    "multiply": "mul imul rmul multiply",
    "concatenation": "cat concat concatenate",
    "flatten": "flatten unflatten",
    "identity": "identity",
    "arrangement": "permute rearrange",
}

KIND_OF_NAME: dict[str, str] = {name: kind for kind, names in _NAMES.items() for name in names.split()}

#: All kinds of layers. Kinds of convolutions are recognised by their shape. ``separable convolution``, ``cropping``,
#: ``reshape`` and ``rescaling`` are layers of Keras that PyTorch has no module for.
KINDS: tuple[str, ...] = (
    *_NAMES,
    "pointwise convolution",
    "grouped convolution",
    "depthwise convolution",
    "separable convolution",
    "global average pooling",
    "cropping",
    "reshape",
    "rescaling",
    "other",
)


def kind_of_module(module: nn.Module) -> str:
    """Return the kind of a module, or '' for an unknown class.

    A class is recognised by the first of its bases that has a known name.
    """
    if type(module) is nn.Sequential and not len(module):
        return "identity"  # timm uses an empty Sequential as an Identity
    for base in type(module).__mro__:
        kind = KIND_OF_NAME.get(base.__name__.lower())
        if kind is not None:
            return _kind_of_convolution(module) if kind == "convolution" else kind
    return ""


def _kind_of_convolution(module: Any) -> str:
    return _kind_of_convolution_shape(int(module.groups), int(module.in_channels), tuple(module.kernel_size))


def _kind_of_convolution_shape(groups: int, channels: int, kernel: Sequence[int]) -> str:
    if groups > 1:
        return "depthwise convolution" if groups == channels else "grouped convolution"
    return "pointwise convolution" if all(size == 1 for size in kernel) else "convolution"


def kind_of_convolution_call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Return the kind of the call ``conv2d(input, weight, bias, stride, padding, dilation, groups)``."""
    weight = kwargs.get("weight", args[1] if len(args) > 1 else None)
    groups = kwargs.get("groups", args[6] if len(args) > 6 else 1)
    if not isinstance(weight, Tensor):
        return "convolution"
    return _kind_of_convolution_shape(int(groups), weight.shape[1] * int(groups), weight.shape[2:])
