"""Print, as JSON, the layers of the Keras networks among the 44 of Jalil, Qazi & Iqbal 2025, as Keras lists them.

    KERAS_BACKEND=torch python tools/list_keras_layers.py > keras.json

Runs in an environment of its own with Keras 3 and a backend (``numpy`` will do, with JAX beside it): Keras is no
dependency of murine. Networks are built without weights; their layers are in the order of ``model.layers``. What
becomes of the list: tools/spell_neurn44.py."""

from __future__ import annotations

import json
import sys

import keras

#: Name in the published heat map -> function of keras.applications.
MEMBERS = {
    "mobilenet": "MobileNet",
    "mobilenetv2": "MobileNetV2",
    "resnet50": "ResNet50",
    "resnet101": "ResNet101",
    "resnet152": "ResNet152",
    "resnet50v2": "ResNet50V2",
    "resnet101v2": "ResNet101V2",
    "resnet152v2": "ResNet152V2",
    "xception2": "Xception",
    "inceptionv3": "InceptionV3",
    "inceptionResnetv2": "InceptionResNetV2",
    "vgg16": "VGG16",
    "vgg19": "VGG19",
    "densenet121": "DenseNet121",
    "densenet169": "DenseNet169",
    "densenet201": "DenseNet201",
    "nasnetMobile": "NASNetMobile",
    "nasnetLarge": "NASNetLarge",
    **{f"efficientNetb{size}": f"EfficientNetB{size}" for size in range(8)},
}


def main() -> None:
    listed = {}
    for member, function in MEMBERS.items():
        model = getattr(keras.applications, function)(weights=None)
        layers = []
        for layer in model.layers:
            kind = type(layer).__name__
            layers.append(layer.activation.__name__ if kind == "Activation" else kind)
        listed[member] = {"function": function, "layers": layers}
        print(member, len(layers), file=sys.stderr, flush=True)
    json.dump({"keras": keras.__version__, "members": listed}, sys.stdout)


if __name__ == "__main__":
    main()
