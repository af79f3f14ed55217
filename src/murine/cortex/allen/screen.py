"""The screen of the Allen Brain Observatory: which part of a template the mouse saw, and where.

The screen is flat and close, so pictures were bent before they were shown: seen from the eye, equal distances in the
picture are equal angles. A point of the screen at the distance r from its centre is seen at the angle atan(r / d) from
the line of sight (d: the distance of the eye), and shows the point of the picture at the distance d * atan(r / d) from
the centre, in the same direction: the azimuthal equidistant projection (specification, section 6.3).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64, UInt8

#: Rows and columns of the screen.
SCREEN = (1200, 1920)

#: Rows and columns of a natural scene's template, and where it lies on the screen before the warp: in the middle.
TEMPLATE = (918, 1174)
PLACE = (slice(141, 1059), slice(373, 1547))

#: Grey around the template.
GREY = 127

DISTANCE_CM = 15.0
DIAGONAL_CM = 61.214

#: Height and width of the screen's face, as the warp has them (pixels are square) and as the mask has them.
WARP_CM = (DIAGONAL_CM * SCREEN[0] / np.hypot(*SCREEN), DIAGONAL_CM * SCREEN[1] / np.hypot(*SCREEN))
MASK_CM = (32.5, 51.0)


def shown_from(face_cm: tuple[float, float] = WARP_CM) -> Float64[np.ndarray, "2 1200 1920"]:
    """Return the position on the flat picture that each pixel of the screen shows.

    Parameters
    ----------
    face_cm
        Height and width of the screen.

    Returns
    -------
    Row and column, relative to the pixel in row 600 and column 960, which counts as the centre, for each row and column
    of the screen.
    """
    rows, columns = (np.arange(n) - n / 2 for n in SCREEN)
    height, width = (cm / n for cm, n in zip(face_cm, SCREEN, strict=True))
    radius = np.hypot(height * rows[:, None], width * columns[None])
    # arc over radius tends to 1 in the centre
    shrink = np.divide(DISTANCE_CM * np.arctan2(radius, DISTANCE_CM), radius, where=radius > 0, out=np.ones(SCREEN))
    return np.stack([rows[:, None] * shrink, columns[None] * shrink])


def on_canvas(template: UInt8[np.ndarray, "918 1174"]) -> UInt8[np.ndarray, "1200 1920"]:
    """The template in the middle of a grey picture as large as the screen, its first row on top."""
    canvas = np.full(SCREEN, GREY, np.uint8)
    canvas[PLACE] = template
    return canvas


def warped(
    template: UInt8[np.ndarray, "918 1174"], origins: Float64[np.ndarray, "2 1200 1920"]
) -> UInt8[np.ndarray, "1200 1920"]:
    """Return a template as the screen showed it: warped to a sphere around the eye, with its corners cut off.

    Parameters
    ----------
    template
        Grey levels.
    origins
        `shown_from`, which is the same for all templates.

    Returns
    -------
    Grey levels of the screen, by cubic splines through the pixels (AllenSDK's answer for ``origin="upper"``).
    """
    from scipy.ndimage import map_coordinates

    canvas = on_canvas(template).astype(np.float64)
    height, width = SCREEN
    # the screen lies within the canvas, so the mode only affects the start of the splines
    levels = map_coordinates(canvas, origins + np.reshape((height / 2, width / 2), (2, 1, 1)), order=3, mode="constant")
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def visible() -> Bool[np.ndarray, "918 1174"]:
    """Return which pixels of a template the screen showed: AllenSDK's mask, 86 % of the pixels.

    A pixel counts as seen if some pixel of the screen comes from it, coordinates being cut off towards the centre. The
    mask takes the screen to be 51 x 32.5 cm, slightly less wide than the warp does.
    """
    rows, columns = np.trunc(shown_from(MASK_CM)).astype(np.int64)
    seen = np.zeros(SCREEN, dtype=bool)
    seen[rows + SCREEN[0] // 2, columns + SCREEN[1] // 2] = True
    return seen[PLACE]
