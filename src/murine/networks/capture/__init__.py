"""Run images through a network and reduce the output of every module to a kernel, so that no features are kept.

`capture` does all of it and returns a `CapturedLayer` for each output. It names the modules (`naming`), puts the
network into a known state (`state`), and shows a few images to find which axis of an output holds the images
(`probing`, `layout`). Then it shows all images, in groups if memory is short (`grouping`), with hooks (`forward`) that
reduce each output (`reducing`).
"""

from murine.networks.capture.channel_maps import channel_maps
from murine.networks.capture.grouping import affordable_images, image_groups
from murine.networks.capture.layers import CapturedLayer, Features, Reducer
from murine.networks.capture.naming import OUTPUT, chosen_modules
from murine.networks.capture.outputs import tensors_in, working_bytes
from murine.networks.capture.reducing import device_kernel
from murine.networks.capture.run import capture
from murine.networks.capture.windows import MapWindow, map_windows

__all__ = [
    "OUTPUT",
    "CapturedLayer",
    "Features",
    "MapWindow",
    "Reducer",
    "affordable_images",
    "capture",
    "channel_maps",
    "chosen_modules",
    "device_kernel",
    "image_groups",
    "map_windows",
    "tensors_in",
    "working_bytes",
]
