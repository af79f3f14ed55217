"""Capture: every module's output from one forward pass, reduced to a kernel as it appears and then dropped.

`capture` is the entry. A capture names the modules (`naming`), puts the network in a known state (`state`), shows a few
images to find out how outputs belong to images (`probing`, `layout`), then shows all of them, in groups if need be
(`grouping`), with hooks (`forward`) that reduce what they see (`reducing`)."""

from murine.networks.capture.grouping import affordable_images, image_groups
from murine.networks.capture.layers import CapturedLayer, Features, Reducer
from murine.networks.capture.naming import OUTPUT, chosen_modules
from murine.networks.capture.outputs import tensors_in, working_bytes
from murine.networks.capture.reducing import device_kernel
from murine.networks.capture.run import capture

__all__ = [
    "OUTPUT",
    "CapturedLayer",
    "Features",
    "Reducer",
    "affordable_images",
    "capture",
    "chosen_modules",
    "device_kernel",
    "image_groups",
    "tensors_in",
    "working_bytes",
]
