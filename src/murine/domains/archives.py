"""The official archives of digits: their addresses and digests, and how they are fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from murine import download
from murine.download import Remote, Transfer
from murine.download.ledger import digest_of
from murine.errors import MurineError, nearest
from murine.io.files import cache_folder
from murine.progress import TransferProgress


@dataclass(frozen=True)
class ArchiveFile:
    """A file as its authors publish it, with its addresses, size and digests.

    Attributes
    ----------
    name
        Name of the file, here and in addresses that are folders.
    addresses
        Addresses of the file, in the order in which they are tried.
    size
        Size in bytes; None if it was not published.
    sha256, md5
        Digests that were published elsewhere than on the server; at least one.
    """

    name: str
    addresses: tuple[str, ...]
    size: int | None = None
    sha256: str = ""
    md5: str = ""


_MNIST = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
_SVHN = "http://ufldl.stanford.edu/housenumbers/"
_USPS = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"
_SYN = "https://media.githubusercontent.com/media/domainadaptation/datasets/91ff02225a73db330883843bc41ee3aca59a19d9/synth/"

#: Files of each domain. Sizes and SHA-256 of MNIST and SVHN are those of TensorFlow Datasets
#: (``url_checksums/mnist.txt``, ``svhn_cropped.txt``), MD5 of MNIST, SVHN, USPS and Semeion those of torchvision. The
#: MD5 of MNIST-M's archive is the same in PyTorch Adapt, for a mirror, and in DeepMind's NEVIS, for its authors'
#: address. The SHA-256 of SynDigits are those with which ``domainadaptation/datasets`` keeps them (Git LFS).
FILES: dict[str, tuple[ArchiveFile, ...]] = {
    "mnist-official": tuple(
        ArchiveFile(name, tuple(place + name for place in _MNIST), size, sha256, md5)
        for name, size, sha256, md5 in (
            (
                "train-images-idx3-ubyte.gz",
                9912422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            ),
            (
                "train-labels-idx1-ubyte.gz",
                28881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "d53e105ee54ea40749a09fcbcd1e9432",
            ),
            (
                "t10k-images-idx3-ubyte.gz",
                1648877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "9fb629c4189551a2d022fa330f9573f3",
            ),
            (
                "t10k-labels-idx1-ubyte.gz",
                4542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                "ec29112dd5afa0611ce80d1b7f02629c",
            ),
        )
    ),
    "svhn": (
        ArchiveFile(
            "train_32x32.mat",
            (_SVHN + "train_32x32.mat",),
            182040794,
            "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
            "e26dedcc434d2e4c54c9b2d4a06d8373",
        ),
        ArchiveFile(
            "test_32x32.mat",
            (_SVHN + "test_32x32.mat",),
            64275384,
            "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
            "eb5a983be6a315427106f1b164d9cef3",
        ),
    ),
    "usps-official": (
        ArchiveFile("usps.bz2", (_USPS + "usps.bz2",), md5="ec16c51db3855ca6c91edd34d0e9b197"),
        ArchiveFile("usps.t.bz2", (_USPS + "usps.t.bz2",), md5="8ea070ee2aca1ac39742fdd1ef5ed118"),
    ),
    "mnist-m-official": (
        ArchiveFile(
            "mnist_m.tar.gz",
            (
                "https://cornell.box.com/shared/static/jado7quprg6hzzdubvwzh9umr75damwi",
                "https://drive.google.com/uc?export=download&id=0B_tExHiYS-0veklUZHFYT19KYjg&confirm=t",
            ),
            md5="859df31c91afe82e80e5012ba928f279",
        ),
    ),
    "syndigits": (
        ArchiveFile(
            "synth_train_32x32.mat",
            (_SYN + "synth_train_32x32.mat",),
            895578032,
            "e0e0924ecd0c0b5a55ed6485aaa7d39937af982397717b89a3d91777aca9433c",
        ),
        ArchiveFile(
            "synth_test_32x32.mat",
            (_SYN + "synth_test_32x32.mat",),
            17851156,
            "6285fe9a1c6f27b379a47263907a37899b59ce86948fd343a5b904435cde5bcc",
        ),
    ),
    "semeion-official": (
        ArchiveFile(
            "semeion.data",
            (
                "https://archive.ics.uci.edu/ml/machine-learning-databases/semeion/semeion.data",
                "http://archive.ics.uci.edu/ml/machine-learning-databases/semeion/semeion.data",
            ),
            md5="cb545d371d2ce14ec121470795a77432",
        ),
    ),
}


def archive_folder(domain: str, cache: Path | None = None) -> Path:
    """Return the folder of a domain's files in a cache (`murine.io.files.cache_folder`)."""
    return cache_folder(cache) / "digits" / domain


def fetch_domain(
    domain: str,
    *,
    cache: Path | None = None,
    mirrors: Sequence[str] = (),
    retries: int = 3,
    timeout: float = 30.0,
    pause: float = 0.5,
    progress: TransferProgress | None = None,
) -> list[Path]:
    """Fetch the missing files of a domain, and compare all of them with the published digests.

    Parameters
    ----------
    domain
        A name in `FILES`.
    cache
        Folder of fetched data (default: ``$MURINE_CACHE``, else the cache folder of the system).
    mirrors
        Folders on servers that are tried first. They need not be trusted, because the digests are checked.
    retries, timeout, pause
        As in `murine.download.fetch`, for every address.
    progress
        Shows the bytes.

    Returns
    -------
    files
        In the order of `FILES`.

    Raises
    ------
    MurineError
        If the domain has no files to fetch, or no address has the right file. The message lists the addresses.

    Examples
    --------
    >>> [file.name for file in FILES["usps-official"]]
    ['usps.bz2', 'usps.t.bz2']
    >>> fetch_domain("mnist")
    Traceback (most recent call last):
        ...
    murine.errors.MurineError: there is nothing to fetch for 'mnist'; did you mean mnist-official? ...
    """
    folder = archive_folder(domain, cache)
    files = _files(domain)
    for file in files:
        addresses = (*(f"{mirror.rstrip('/')}/{file.name}" for mirror in mirrors), *file.addresses)
        _obtain(file, folder / file.name, addresses, domain, retries, timeout, pause, progress)
    return [folder / file.name for file in files]


def _obtain(
    file: ArchiveFile,
    target: Path,
    addresses: tuple[str, ...],
    domain: str,
    retries: int,
    timeout: float,
    pause: float,
    progress: TransferProgress | None,
) -> None:
    reasons = []
    for address in addresses:
        # ETags of these servers are no digests; where only an MD5 is published, it is compared here.
        transfer = Transfer(Remote(address, size=file.size, sha256=file.sha256), target)
        outcome = download.fetch(
            [transfer], retries=retries, timeout=timeout, pause=pause, check="size", progress=progress
        )[0]
        if outcome.state == "failed":
            reasons.append(outcome.reason)
            continue
        record = download.read_record(target)
        if record is not None and (file.sha256 or record.md5 == file.md5):
            return
        found = record.md5 if record else "unknown"
        if outcome.state == "present":  # somebody has put it there
            raise MurineError(
                f"{str(target)!r} is not the published file: its MD5 is {found}, expected {file.md5}. Delete it, and "
                f"`murine domains fetch {domain}` gets the right one."
            )
        download.remove(target)
        reasons.append(f"its MD5 is {found}, expected {file.md5} ({address})")
    listed = "".join(f"\n  {reason}" for reason in reasons)
    digest = f"SHA-256 {file.sha256}" if file.sha256 else f"MD5 {file.md5}"
    raise MurineError(
        f"{file.name} of {domain!r} could not be fetched:{listed}\nTry again later, give another address with --mirror "
        f"URL, or put the file ({digest}) into {str(target.parent)!r} yourself."
    )


def require_fetchable(domain: str) -> None:
    """Refuse a domain without files to fetch."""
    _files(domain)


def is_fetched(domain: str, cache: Path | None = None) -> bool:
    """Return whether the files of a domain are there. Their content is not checked."""
    return all((archive_folder(domain, cache) / file.name).is_file() for file in _files(domain))


def fetched(domain: str, cache: Path | None = None) -> tuple[dict[str, Path], tuple[tuple[str, str], ...]]:
    """Return the files of a domain by name, and their names with SHA-256.

    A file that has changed since it was fetched is read and compared with the published digest.

    Raises
    ------
    MurineError
        If a file is missing or is not the published one.
    """
    folder = archive_folder(domain, cache)
    if not is_fetched(domain, cache):
        size = sum(file.size or 0 for file in _files(domain))
        amount = f" ({size / 1e6:,.0f} MB)" if size else ""
        raise MurineError(
            f"the domain {domain!r} has not been fetched to {str(folder)!r}. `murine domains fetch {domain}` does that"
            f"{amount}; MURINE_CACHE or --cache names another folder."
        )
    sources = []
    for file in _files(domain):
        path = folder / file.name
        record = download.read_record(path)
        if record is None or not download.untouched(path):
            digests = digest_of(path)
            sha256, md5 = digests.sha256, digests.md5
        else:
            sha256, md5 = record.sha256, record.md5
        if (file.sha256 and sha256 != file.sha256) or (file.md5 and md5 != file.md5):
            expected = f"SHA-256 {file.sha256}" if file.sha256 else f"MD5 {file.md5}"
            raise MurineError(
                f"{str(path)!r} is not the published file: its SHA-256 is {sha256} and its MD5 {md5}, expected "
                f"{expected}. Delete it, and `murine domains fetch {domain}` gets the right one."
            )
        sources.append((file.name, sha256))
    return {file.name: folder / file.name for file in _files(domain)}, tuple(sources)


def _files(domain: str) -> tuple[ArchiveFile, ...]:
    if domain not in FILES:
        raise MurineError(
            f"there is nothing to fetch for {domain!r}{nearest(domain, FILES) or '.'} These are fetched: "
            f"{', '.join(sorted(FILES))}."
        )
    return FILES[domain]
