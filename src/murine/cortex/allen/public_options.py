"""Options that both public data sets of the Allen Institute understand, and where their files are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from murine.cortex.public_data import DataAccess, PublicOption
from murine.errors import MurineError
from murine.limits import COUNT, INPUT_SIZE

if TYPE_CHECKING:
    from murine.cortex.allen.archive import Archive
    from murine.cortex.allen.templates import Templates
    from murine.stimuli import StimulusSet

    Held = TypeVar("Held", bound=Archive)
    Value = TypeVar("Value")


def height_and_width(text: str) -> tuple[int, int] | None:
    """``231x295`` -> (231, 295); None for an empty text."""
    if not text:
        return None
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isascii() and part.isdecimal() and len(part) <= 18 for part in parts):
        raise MurineError(f"--scene-size {text!r} is not understood; expected HEIGHTxWIDTH, as 231x295.")
    height, width = map(int, parts)
    for part in (height, width):
        INPUT_SIZE.check("--scene-size", part)
    return height, width


#: The terms that both data sets come under.
TERMS = "Terms of use: https://alleninstitute.org/terms-of-use."

AREA = PublicOption("area", "Only this area (VISp); repeat for more.", ("list", "plan", "build"), many=True)
SESSIONS = PublicOption(
    "sessions",
    "Only this session (two-photon: experiment) id; repeat for more.",
    ("list", "plan", "build"),
    int,
    many=True,
    other_name="experiments",
)
LIMIT = PublicOption("limit", "At most so many sessions.", ("plan", "build"), int, limits=COUNT)
KEEP_RAW = PublicOption(
    "keep-raw",
    "Keep raw files, or delete each when its recordings are made, also those that were kept before. [default: delete "
    "those that this command fetches]",
    ("plan",),
    bool,
    negative="reduce",
)
IMAGES = (
    PublicOption("warp", "Images as the screen showed them: warped for its angle.", ("images",), bool),
    PublicOption("mask", "Images with grey where the screen ended.", ("images",), bool),
    PublicOption(
        "scene-size",
        "Reduce images to HEIGHTxWIDTH, as 231x295; default: as stored.",
        ("images",),
        parse=height_and_width,
    ),
)


def opened(kind: type[Held], access: DataAccess) -> Held:
    """Return the folder of a data set in the cache, with the bucket that it is fetched from."""
    from murine.cortex.allen.archive import BUCKET, default_folder
    from murine.download import Bucket

    return kind(
        default_folder(access.cache),
        bucket=Bucket(BUCKET, endpoint=access.endpoint),
        check=access.check,
        timeout=access.timeout,
        retries=access.retries,
    )


def scene_images(templates: Templates, settings: Mapping[str, Any]) -> StimulusSet:
    """Return the images that were shown, as options ask for them."""
    return templates.stimuli(warp=settings["warp"], mask=settings["mask"], size=settings["scene-size"])


def one_of(values: Sequence[Value], option: str, default: Value) -> Value:
    """Return the only value of an option that `fetch` takes several times, and the default where it was not given."""
    if len(values) > 1:
        raise MurineError(f"one recording is made of one {option}; it was given {len(values)} times.")
    return values[0] if values else default
