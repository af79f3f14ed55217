"""Networks that were built before: their stored kernels are found without building them again.

``networks/<digest>.json`` belongs to one network at one input size. As in `murine.atlas.finished_work`, the digest
covers all that the network is built from and that is known without building it, and the file holds what it was seen to
be made from. A new metric, other neurons or another recording of the same images then needs only the kernels.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from murine.atlas import finished_work
from murine.errors import MurineError
from murine.networks.preprocessing import Preprocessing

if TYPE_CHECKING:
    from murine.atlas.sweep import SweepSettings
    from murine.networks.dependencies import Observation
    from murine.networks.spec import NetworkSpec

log = logging.getLogger(__name__)


class NetworkIdentity(BaseModel):
    """What names the results of a network.

    Attributes
    ----------
    name, weights, role, digest, preprocessing
        As in `murine.networks.network.Network`.
    layers
        The layers whose outputs are captured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    weights: str
    role: str
    digest: str
    preprocessing: Preprocessing
    layers: str


def building_digest(settings: SweepSettings, spec: NetworkSpec) -> str | None:
    """Return the name of a network's record; None if the files that it is built from are unknown."""
    content = finished_work.building_content(settings, spec)
    return None if content is None else finished_work.record_digest(content)


def find(atlas: Path, digest: str | None) -> tuple[NetworkIdentity, Observation] | None:
    """Return a network that was built before and what it was made from; None if there is none or it has changed."""
    record = None if digest is None else finished_work.find_record(atlas / "networks", digest)
    if record is None:
        return None
    seen, (text, *_) = record
    try:
        return NetworkIdentity.model_validate_json(text), seen
    except ValidationError:
        return None


def add(atlas: Path, digest: str | None, seen: Observation, identity: NetworkIdentity) -> None:
    """Record a network, if all files that it is built from are known and unchanged. An error in writing is ignored."""
    if digest is None:
        return
    try:
        finished_work.add(atlas / "networks", digest, seen, [identity.model_dump_json()])
    except MurineError as error:
        log.warning("%s", error)
