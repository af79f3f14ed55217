"""Public data sets: list their content, plan a fetch, fetch, and make one recording of the fetched files.

A public data set is one object. The commands of `murine data` print what it returns, and take their options from it.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from murine.errors import MurineError, nearest
from murine.limits import Limits
from murine.literature import Citation
from murine.registry import Registry

if TYPE_CHECKING:
    import pandas as pd

    from murine.cortex.recording import Recording
    from murine.progress import AnyProgress
    from murine.stimuli import StimulusSet

#: What an option is for: the methods of a `PublicDataset` that understand it (`plan` stands for the fetch as well).
Use = Literal["list", "plan", "build", "images"]

#: Values of options by name. What was not given is absent, or has its default.
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class PublicOption:
    """One option of a public data set, which the command line shows as ``--name``.

    Attributes
    ----------
    name
        Letters and hyphens, as ``layer-scheme``.
    help
        What it does, in a phrase.
    uses
        The methods that understand it.
    kind
        ``str``, ``int``, or ``bool`` for a switch.
    many
        Whether it can be given several times; its value is then a tuple.
    default
        The value where it is not given; of a switch that can be turned off by ``negative``, None tells neither.
    choices
        The only values, where there are few; perhaps a registry.
    limits
        Of a number.
    parse
        Makes the value of what was given, and raises a `MurineError` where it cannot be meant.
    other_name
        A second name for it.
    negative
        The name of the opposite of a switch.

    Examples
    --------
    >>> PublicOption("area", "Only this area; repeat for more.", ("list", "build"), many=True).default_value
    ()
    """

    name: str
    help: str
    uses: tuple[Use, ...]
    kind: type[str] | type[int] | type[bool] = str
    many: bool = False
    default: Any = None
    choices: Collection[str] = ()
    limits: Limits | None = None
    parse: Callable[[Any], Any] | None = None
    other_name: str = ""
    negative: str = ""

    @property
    def default_value(self) -> Any:
        """The value if the option is not given."""
        if self.many:
            return ()
        return False if self.kind is bool and self.default is None and not self.negative else self.default

    def checked(self, value: Any) -> Any:
        """Return a given value, or raise an error that says what is wrong."""
        many = self.many and isinstance(value, Sequence) and not isinstance(value, str)
        values = tuple(value) if many else (value,)
        for each in values:
            if not isinstance(each, self.kind):
                raise MurineError(f"--{self.name} is {each!r}; expected {_KINDS[self.kind]}.")
            if self.choices and each not in self.choices:
                near = nearest(str(each), self.choices)
                raise MurineError(f"--{self.name} is {each!r}{near or '.'} Known: {', '.join(self.choices)}.")
            if self.limits is not None:
                self.limits.check(f"--{self.name}", each)  # type: ignore[arg-type]
        parsed = values if self.parse is None else tuple(map(self.parse, values))
        return parsed if self.many else parsed[0]


_KINDS: dict[type, str] = {str: "a text", int: "a whole number", bool: "true or false"}


@dataclass(frozen=True)
class DataAccess:
    """Access to the files of a public data set: folder, server, time limits and retries.

    Attributes
    ----------
    cache
        The folder of fetched data; None for the default (`murine.io.files.cache_folder`).
    endpoint
        Another server that has the same files, as ``http://localhost:9000``.
    check
        What a fetched file is compared with: ``etag``, or ``size`` where ETags are no digests.
    timeout, retries
        Seconds without a byte before a retry; attempts without progress.
    workers
        How many files are fetched at a time.
    refresh
        Fetch newer tables, and retry recordings that could not be made.
    dry_run
        Only the plan is wanted: nothing that is here may be deleted.

    Raises
    ------
    MurineError
        If the endpoint is no address.

    Examples
    --------
    >>> DataAccess(endpoint="http://localhost:9000").workers
    4
    """

    cache: Path | None = None
    endpoint: str = ""
    check: Literal["etag", "size"] = "etag"
    timeout: float = 30.0
    retries: int = 5
    workers: int = 4
    refresh: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.endpoint and not re.fullmatch(r"https?://[^/]+.*", self.endpoint):
            raise MurineError(f"--endpoint {self.endpoint!r} is no address; expected one as http://localhost:9000.")


@dataclass(frozen=True)
class Listing:
    """The content of a data set as a table.

    Attributes
    ----------
    table
        All columns, for other programs.
    shown
        What a terminal has room for; None: the same.
    note
        A sentence about the table; '' for none.
    """

    table: pd.DataFrame
    shown: pd.DataFrame | None = None
    note: str = ""


@dataclass(frozen=True)
class DownloadPlan:
    """The plan of a fetch.

    Attributes
    ----------
    lines
        The plan in words: how much is complete, how much will be fetched, and which files are kept.
    needs_consent
        Whether a person is to be asked first: files would be fetched, or kept ones deleted.
    access
        Where files come from.
    work
        What `PublicDataset.fetch` of the same data set needs to know.
    """

    lines: tuple[str, ...]
    needs_consent: bool
    access: DataAccess
    work: Any


@dataclass(frozen=True)
class DownloadResult:
    """The report of a fetch.

    Attributes
    ----------
    summary
        In one line: how much was done, and where it is.
    notes
        What else there is to know.
    failure
        What could not be done, and why; '' if everything was.
    can_build
        Whether there is something to make a recording of.
    """

    summary: str
    notes: tuple[str, ...] = ()
    failure: str = ""
    can_build: bool = True

    def require_all(self) -> None:
        """Raise a MurineError if something failed."""
        if self.failure:
            raise MurineError(self.failure)


class PublicDataset(ABC):
    """A data set that anybody can fetch.

    A subclass states what the attributes below are, and implements the methods. Their ``settings`` are what
    `read_options` returned: every option of that use, with its value or default. Packages add data sets through the
    entry-point group ``murine.public_dataset``; an entry is an object of a subclass.

    Attributes
    ----------
    name
        How commands name it.
    about
        One sentence.
    citations
        Whom to cite.
    licence
        The terms of use.
    options
        The options it understands.
    """

    name: str = ""
    about: str = ""
    citations: tuple[Citation, ...] = ()
    licence: str = ""
    options: tuple[PublicOption, ...] = ()

    def read_options(self, use: Use, given: Settings) -> dict[str, Any]:
        """Return the settings of a use: every option that it has, with its value or default.

        Raises
        ------
        MurineError
            If an option is none of this data set, or its value cannot be meant.
        """
        known = {option.name: option for option in self.options if use in option.uses}
        unknown = [name for name in given if name not in known]
        if unknown:
            have = ", ".join(f"--{name}" for name in known) or "no options"
            told = ", ".join(f"--{name}" for name in unknown)
            raise MurineError(f"{told}: not for {self.name}{_owners(unknown)}. {self.name} takes {have}.")
        return {
            name: option.checked(given[name]) if name in given else option.default_value
            for name, option in known.items()
        }

    def citation_text(self) -> str:
        """Return whom to cite and the terms of use, in one line."""
        cited = "; ".join(f"{citation.key}, {citation.link}" for citation in self.citations)
        return " ".join([*([f"Please cite {cited}."] if cited else []), *([self.licence] if self.licence else [])])

    @abstractmethod
    def list(self, access: DataAccess, settings: Settings, *, progress: AnyProgress | None = None) -> Listing:
        """List the content of the data set, fetched or not."""

    @abstractmethod
    def plan(self, access: DataAccess, settings: Settings, *, progress: AnyProgress | None = None) -> DownloadPlan:
        """Return the plan of a fetch; nothing large is fetched."""

    @abstractmethod
    def fetch(self, plan: DownloadPlan, *, progress: AnyProgress | None = None) -> DownloadResult:
        """Carry out a plan. Existing files are not fetched again; an interrupted fetch continues where it stopped."""

    @abstractmethod
    def build(self, access: DataAccess, settings: Settings, *, progress: AnyProgress | None = None) -> Recording:
        """Return one recording of the fetched files, without a network connection."""

    @abstractmethod
    def images(self, access: DataAccess, settings: Settings) -> StimulusSet:
        """Return the images that were shown, from the fetched files."""


public_datasets: Registry[PublicDataset] = Registry("public_dataset")
public_datasets.refer("allen", "murine.cortex.allen.two_photon_data:two_photon")
public_datasets.refer("allen-neuropixels", "murine.cortex.allen.neuropixels_data:neuropixels")


def find_public_dataset(name: str) -> PublicDataset:
    """Return a public data set by name.

    Raises
    ------
    MurineError
        If there is none of that name, or what a package has registered is no `PublicDataset`.

    Examples
    --------
    >>> find_public_dataset("allen").citations[0].key
    'de Vries et al. 2020'
    """
    found: Any = public_datasets[name]
    if not isinstance(found, PublicDataset):
        raise MurineError(
            f"the public data set {name!r} of another package is {found!r:.80}; expected an object of a subclass of "
            "PublicDataset. Update or uninstall that package."
        )
    return found


def usable_datasets() -> dict[str, PublicDataset]:
    """Return all public data sets by name; registered objects of other types are left out.

    Examples
    --------
    >>> sorted(usable_datasets())
    ['allen', 'allen-neuropixels']
    """
    return {name: found for name in public_datasets if isinstance(found := public_datasets[name], PublicDataset)}


def _owners(options: Sequence[str]) -> str:
    """Which other data sets have all of some options."""
    owners = [
        name
        for name, data_set in usable_datasets().items()
        if set(options) <= {option.name for option in data_set.options}
    ]
    return f", only for {' and '.join(owners)}" if owners else ""
