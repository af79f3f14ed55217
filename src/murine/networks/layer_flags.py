"""Flags of layers: why a layer of a network has no score. They stand in the column ``flag``.

`murine.networks.layer_kernel.LayerKernel.flag` decides those of its features, `murine.networks.capture.probing` those
of features that are no function of the image.
"""

from __future__ import annotations

#: Features are NaN or infinite.
NOT_FINITE = "not finite"

#: One unit has no correlation between images.
ONE_UNIT = "one unit"

#: All units have one value for some image.
CONSTANT_WITHIN = "constant within images"

#: All images have the same features.
SAME_FOR_ALL = "same for all images"

#: Features are complex numbers.
COMPLEX = "complex"

#: No axis of the output is as long as the number of images.
NO_AXIS = "no axis of images"

#: Features of an image change with the other images of the batch, for example because of batch statistics.
DEPENDS = "depends on the other images of the batch"

#: Features are drawn at random in every pass: dropout that stays on, for example.
RANDOM = "random"

#: Features change from pass to pass: a state that is not reset.
CHANGES = "changes from pass to pass"

#: Rows of the output are in another order than the images.
ORDER = "rows are not in the order of the images"

#: The order of the rows cannot be found.
UNCERTAIN = "order of rows is not known"
