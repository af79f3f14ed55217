"""A domain of digits rendered with the fonts installed on this machine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from murine.domains.raw_images import DIGITS, RawDomain, drawn_parts
from murine.errors import MurineError

if TYPE_CHECKING:
    from PIL import ImageFont

#: Seed of the random changes and of the split.
SEED = 0

#: Number of images of every digit with every font. The first is upright and centred.
VARIANTS = 8

#: Side of a rendered image.
_SIDE = 64


@dataclass(frozen=True)
class Typeface:
    """A font file that draws the ten digits.

    Attributes
    ----------
    family, style
        As the file tells.
    file
        Where it is.
    sha256
        Of its bytes.
    """

    family: str
    style: str
    file: Path
    sha256: str

    @property
    def group(self) -> str:
        """The first two words of the family (*Sans* and *Sans Mono* of one maker are alike); Knuth's are one."""
        words = self.family.split()[:2]
        return "Computer Modern" if len(words) == 1 and words[0].startswith("cm") else " ".join(words)


def rendered_fonts(files: list[Path] | None = None) -> RawDomain:
    """Digits in black on white, 64 x 64, with every installed font that draws digits: `VARIANTS` of each.

    All variants except the first are rotated (up to 12 degrees), resized (44 to 64 px) and moved (up to 4 px) at
    random. A font is used if it is readable and most of its digits are more similar to the same digits of a plain font
    than to other digits; this excludes fonts of symbols. Of two files with the same name, the one with the smaller
    digest is used. A fifth of the families is drawn as the test part. The images depend on the fonts of the machine;
    the digests of the fonts are part of the identity.

    Parameters
    ----------
    files
        Fonts to try (None: those of the system, and those that come with Matplotlib).
    """
    from PIL import Image, ImageDraw

    faces = typefaces(installed() if files is None else files)
    if len({face.group for face in faces}) < 2:
        raise MurineError(
            f"found {len(faces)} fonts that draw digits, of fewer than two families; install some (as the package "
            "fonts-dejavu or fonts-liberation), or take the domain 'fonts'."
        )
    images, labels, groups = [], [], []
    for face in faces:
        rng = np.random.default_rng([SEED, int(face.sha256[:8], 16)])
        for label, digit in enumerate(DIGITS):
            for variant in range(VARIANTS):
                turn, size, x, y = rng.uniform((-12, 44, -4, -4), (12, 64, 4, 4)) if variant else (0, 60, 0, 0)
                canvas = Image.new("L", (_SIDE, _SIDE), 255)
                font = _font(face.file, round(size))
                left, top, right, bottom = ImageDraw.Draw(canvas).textbbox((0, 0), digit, font=font)
                corner = (_SIDE / 2 + x - (left + right) / 2, _SIDE / 2 + y - (top + bottom) / 2)
                ImageDraw.Draw(canvas).text(corner, digit, fill=0, font=font)
                turned = canvas.rotate(turn, Image.Resampling.BILINEAR, fillcolor=255)
                images.append(np.asarray(turned))
                labels.append(label)
                groups.append(f"family-{face.group}")
    stratum = np.zeros(len(labels), dtype=np.int64)  # every family has all digits
    sources = tuple((f"{face.family} {face.style}", face.sha256) for face in faces)
    grouped = np.array(groups)
    return RawDomain(
        np.stack(images),
        np.array(labels, dtype=np.int64),
        drawn_parts(stratum, grouped, SEED),
        grouped,
        DIGITS,
        sources,
        polarity="black-on-white",
    )


def installed() -> list[Path]:
    """Return the font files of the system, and those that come with Matplotlib."""
    import matplotlib
    from matplotlib import font_manager

    own = (Path(matplotlib.get_data_path()) / "fonts" / "ttf").glob("*.ttf")
    return sorted({*map(Path, font_manager.findSystemFonts()), *own})


def typefaces(files: list[Path]) -> list[Typeface]:
    """Return the fonts that draw digits, one for each family and style, sorted by these."""
    from PIL import ImageFont

    plain = _shapes(ImageFont.load_default(40))
    found: dict[tuple[str, str], Typeface] = {}
    for file in files:
        try:
            font = _font(file, 40)
            family, style = font.getname()
            if not _draws_digits(_shapes(font), plain):
                continue
            face = Typeface(family or file.stem, style or "", file, hashlib.sha256(file.read_bytes()).hexdigest())
        except (OSError, ValueError, SyntaxError):  # no font, or of an unknown kind
            continue
        name = (face.family, face.style)
        if name not in found or face.sha256 < found[name].sha256:
            found[name] = face
    return [found[name] for name in sorted(found)]


def _font(file: Path, size: int) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.truetype(str(file), size)


def _shapes(font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> NDArray[np.float64]:
    """Return the ink of every digit in a box of 16 x 16 pixels, standardised, (10, 256); zeros for empty digits."""
    from PIL import Image, ImageDraw

    shapes = np.zeros((len(DIGITS), 256))
    for i, digit in enumerate(DIGITS):
        canvas = Image.new("L", (96, 96))
        ImageDraw.Draw(canvas).text((24, 24), digit, fill=255, font=font)
        if box := canvas.getbbox():
            shape = np.asarray(canvas.crop(box).resize((16, 16), Image.Resampling.BOX), dtype=np.float64).ravel()
            shapes[i] = (shape - shape.mean()) / (shape.std() + 1e-9)
    return shapes


def _draws_digits(shapes: NDArray[np.float64], plain: NDArray[np.float64]) -> bool:
    likeness = shapes @ plain.T
    return bool(shapes.any(axis=1).all()) and int((likeness.argmax(axis=1) == np.arange(len(DIGITS))).sum()) >= 6
