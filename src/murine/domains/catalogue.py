"""The registry of domains, and their names: ``mnist``, ``folder:PATH``, ``mnist+noise:3``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from murine.domains import archives, digits
from murine.domains import image_folders as folders
from murine.domains import mnist_m as blends
from murine.domains import official_sources as official
from murine.domains import rendered_fonts as typefaces
from murine.domains.corruptions import corrupted, parsed
from murine.domains.domain import PARTS, Domain, Identity
from murine.domains.preparation import Preparation, prepare
from murine.domains.raw_images import RawDomain
from murine.errors import MurineError
from murine.registry import Registry

#: Start of the name of a domain that is a folder of images.
FOLDER = "folder:"


@dataclass(frozen=True)
class DataFolders:
    """Folders of data; None stands for the default folder.

    Attributes
    ----------
    data
        The shared folder (default: ``$MURINE_SHARED``, else ``../shared``).
    cache
        The folder of fetched data (default: ``$MURINE_CACHE``, else the cache folder of the system).
    """

    data: Path | None = None
    cache: Path | None = None


@dataclass(frozen=True)
class DomainSource:
    """The source of a domain.

    Attributes
    ----------
    read
        A function from `DataFolders` to the domain before preparation.
    about
        A short description for lists.
    kind
        ``shared``: read from the shared folder. ``fetched``: fetched from official addresses. ``made``: made by murine.
    n_train, n_test
        Number of images in the two parts; None if it depends on the machine.
    licence
        Licence as its publisher states it.

    Examples
    --------
    >>> import numpy as np
    >>> def stripes(folders):
    ...     images = np.zeros((4, 16, 16), np.uint8)
    ...     images[:2, ::2] = images[2:, :, ::2] = 255
    ...     labels, parts = np.array([0, 0, 1, 1]), np.array(["train", "test"] * 2)
    ...     return RawDomain(images, labels, parts, np.array([""] * 4), ("horizontal", "vertical"), sources=())
    >>> source = DomainSource(stripes, "two kinds of stripes", n_train=2, n_test=2, licence="CC0")
    >>> source.read(DataFolders()).images.shape
    (4, 16, 16)
    >>> domains["rendered-fonts"].kind
    'made'
    """

    read: Callable[[DataFolders], RawDomain]
    about: str
    kind: str = "made"
    n_train: int | None = None
    n_test: int | None = None
    licence: str = "not stated"


#: All domains by name. Other packages add theirs as `DomainSource` in the entry-point group ``murine.domain``.
domains: Registry[DomainSource] = Registry("domain")


def _shared(read: Callable[[Path | None], RawDomain]) -> Callable[[DataFolders], RawDomain]:
    return lambda places: read(places.data)


def _cached(read: Callable[[Path | None], RawDomain]) -> Callable[[DataFolders], RawDomain]:
    return lambda places: read(places.cache)


_BUILT_IN = {
    "mnist": DomainSource(
        _shared(digits.mnist), "handwriting, pen; the first 12,000 training images", "shared", 12000, 10000, "MIT"
    ),
    "usps": DomainSource(_shared(digits.usps), "handwriting, envelopes, 16 x 16", "shared", 7291, 2007),
    "mnist-m": DomainSource(_shared(digits.mnist_m), "MNIST test digits in photographs; 2,000", "shared", 1000, 1000),
    "semeion": DomainSource(_shared(digits.semeion), "handwriting, two levels, no margin", "shared", 1274, 319, "MIT"),
    "fonts": DomainSource(_shared(digits.fonts), "print, 1,016 fonts, black on white", "shared", 8120, 2040),
    "street": DomainSource(_shared(digits.street), "cut from street photographs", "shared", 621, 264),
    "mnist-m-made": DomainSource(
        _shared(blends.mnist_m_made), "mnist blended into 16 photographs", "made", 12000, 10000
    ),
    "rendered-fonts": DomainSource(
        lambda _: typefaces.rendered_fonts(), "print, the fonts installed here", licence="fonts'"
    ),
    "mnist-official": DomainSource(_cached(official.mnist), "MNIST, complete", "fetched", 60000, 10000, "CC BY-SA 3.0"),
    "usps-official": DomainSource(_cached(official.usps), "USPS from libsvm", "fetched", 7291, 2007),
    "mnist-m-official": DomainSource(_cached(official.mnist_m), "MNIST-M, complete", "fetched", 59001, 9001),
    "svhn": DomainSource(
        _cached(official.svhn), "house numbers, photographs", "fetched", 73257, 26032, "non-commercial"
    ),
    "syndigits": DomainSource(
        _cached(official.syndigits), "rendered, like SVHN (SYN)", "fetched", 479400, 9553, "CC BY 4.0"
    ),
    "semeion-official": DomainSource(_cached(official.semeion), "Semeion from UCI", "fetched", 1274, 319, "CC BY 4.0"),
}

for _name, _source in _BUILT_IN.items():
    domains.register(_name)(_source)

names, describe = domains.names, domains.describe


def load_domain(
    name: str,
    *,
    preparation: Preparation | None = None,
    part: str | None = None,
    data: Path | None = None,
    cache: Path | None = None,
) -> Domain:
    """Load a domain and prepare its images.

    Parameters
    ----------
    name
        A registered name, or ``folder:PATH`` for a folder of images with a subfolder for each class. Any number of
        ``+CORRUPTION:STRENGTH`` may follow; they are applied from left to right.
    preparation
        How the images are prepared; None for the published default.
    part
        ``train`` or ``test`` to load only this part, which is faster; None for both.
    data, cache
        As in `DataFolders`.

    Returns
    -------
    domain
        Images of 32 x 32 pixels, unless ``preparation`` says otherwise.

    Raises
    ------
    MurineError
        If there is no such domain, or its files are missing, damaged or not the published ones.

    Examples
    --------
    >>> import numpy as np
    >>> from PIL import Image
    >>> for i, name in enumerate(["cat", "cat", "cat", "dog", "dog", "dog"]):
    ...     Path("animals", name).mkdir(parents=True, exist_ok=True)
    ...     Image.fromarray(np.full((20, 20), 40 * i, np.uint8)).save(f"animals/{name}/{i}.png")
    >>> load_domain("folder:animals")
    <Domain folder:animals: 6 images, 32 x 32 px, 2 classes>
    >>> load_domain("folder:animals+noise:3", part="train").name
    'folder:animals+noise:3'
    """
    base, steps = _spelt(name)
    if part not in (None, *PARTS):
        raise MurineError(f"there is no part {part!r} of a domain; expected train or test.")
    places = DataFolders(data, cache)
    raw = folders.image_folder(base.removeprefix(FOLDER)) if base.startswith(FOLDER) else _named(base).read(places)
    domain = _prepared(base, raw, preparation or Preparation(), part)
    for corruption, strength in steps:
        domain = corrupted(domain, corruption, strength)
    return domain


def require_name(name: str) -> None:
    """Refuse an unknown name before anything is read. Missing files are found later."""
    base, _ = _spelt(name)
    if not base.startswith(FOLDER):
        _named(base)


def _named(name: str) -> DomainSource:
    if name and name not in domains and Path(name).is_dir():
        raise MurineError(
            f"there is no domain {name!r}, but a folder of this name; if it holds images, give {FOLDER}{name}."
        )
    return domains[name]


def _spelt(name: str) -> tuple[str, list[tuple[str, int]]]:
    """Split ``mnist+noise:3`` into (mnist, [(noise, 3)]). The path of an existing folder may contain a ``+``."""
    if name.startswith(FOLDER) and Path(name.removeprefix(FOLDER)).expanduser().is_dir():
        return name, []
    base, *steps = name.split("+")
    return base, [parsed(step) for step in steps]


def _prepared(name: str, raw: RawDomain, preparation: Preparation, part: str | None) -> Domain:
    wanted = np.arange(len(raw.labels)) if part is None else np.flatnonzero(raw.parts == part)
    if not wanted.size:
        raise MurineError(f"{name!r} has no image{f' in its part {part!r}' if part else ''}.")
    images: NDArray[Any] | Sequence[NDArray[Any]]
    images = raw.images[wanted] if isinstance(raw.images, np.ndarray) else [raw.images[int(i)] for i in wanted]
    return Domain(
        name=name,
        images=prepare(images, preparation, polarity=raw.polarity, framed=raw.framed),
        labels=raw.labels[wanted],
        parts=raw.parts[wanted],
        groups=raw.groups[wanted],
        positions=wanted.astype(np.int64),
        classes=raw.classes,
        # Of a folder counts what is in it, not where it is.
        identity=Identity(
            name=FOLDER if name.startswith(FOLDER) else name,
            sources=raw.sources,
            preparation=preparation,
            part=part or "",
        ),
    )


def is_here(name: str, places: DataFolders) -> bool:
    """Whether the files of a registered domain are here; their content is not looked at."""
    kind = domains[name].kind
    if kind == "fetched" and name in archives.FILES:
        return archives.is_fetched(name, places.cache)
    try:
        if kind == "shared" or name == "mnist-m-made":
            digits.digits_folder(places.data)
        if name == "mnist-m-made":
            blends.backgrounds_folder(places.data)
    except MurineError:
        return False
    return True
