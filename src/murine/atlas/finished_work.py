"""Finished work is recognised before a network is built: what was asked for before, and which results answer it.

``requests/<digest>.json`` belongs to one network and one sweep. The digest covers everything that the results depend on
and that is known without building the network: the request itself, the program and its packages, and fingerprints of
the files of the data (`murine.io.fingerprints`). The file lists the files and settings that building the network read,
and the names of its results. If any of these is in doubt, no file is written, and the network is built again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from murine.cortex.file_names import files_read, is_data_file
from murine.errors import MurineError
from murine.io.data_folder import data_folder
from murine.io.files import atomic_write, read_json
from murine.io.fingerprints import fingerprint, fingerprint_of_all
from murine.io.software import program_state
from murine.networks.spec import NetworkSpec, controls, is_user_file, seed_of

if TYPE_CHECKING:
    from murine.atlas.sweep import SweepSettings
    from murine.networks.dependencies import Observation


def data_fingerprint(settings: SweepSettings) -> str | None:
    """Return a text that changes whenever the data of a sweep may have changed; None if this cannot be known."""
    files = _data_files(settings)
    return None if files is None else fingerprint_of_all(files)


def _data_files(settings: SweepSettings) -> list[Path] | None:
    """All files that the data of a sweep are read from; None where they are not known."""
    name = settings.cortex.cortex
    if is_data_file(name):
        return None if settings.stimuli is None else [*files_read(name), settings.stimuli]
    from murine.cortex.dataset_sources import known_source

    source = known_source(name)
    if source is None or source.folders is None:
        return None
    if not source.folders:
        return []
    try:
        root = data_folder(settings.data)
    except MurineError:
        return None  # it is told by whoever loads the data
    return [root / folder for folder in source.folders]


def request_digest(settings: SweepSettings, spec: NetworkSpec, data: str | None) -> str | None:
    """Return the name of a request; None if the files that the network is built from are unknown.

    Parameters
    ----------
    data
        As `data_fingerprint`, from before the data were read.
    """
    building = building_content(settings, spec)
    if data is None or building is None:
        return None
    content: dict[str, Any] = {
        **building,
        "cortex": settings.cortex.model_dump(mode="json"),
        "metrics": settings.metrics,
        "treatments": settings.treatments,
        "settings": asdict(settings.scoring),
        "data": data,
    }
    return record_digest(content)


def record_digest(content: dict[str, Any]) -> str:
    """Return the name of the record of some content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def building_content(settings: SweepSettings, spec: NetworkSpec) -> dict[str, Any] | None:
    """Return what the kernels of a network depend on, beside the images; None if its files are unknown."""
    network = _network(spec)
    if network is None:
        return None
    return {
        "choice": [spec.name, spec.weights, spec.variant],
        "network": network,
        "layers": settings.layers,
        "input_size": settings.input_size,
        "program": program_state(),
    }


def _network(spec: NetworkSpec) -> list[Any] | None:
    """Facts about a network that are known before it is built; None if they are not sufficient."""
    if is_user_file(spec.name):
        if spec.weights and not spec.weights.startswith("random:") and not Path(spec.weights).is_file():
            return None
        found = [str(Path.cwd())]
        return found if not Path(spec.weights or "/").is_file() else [*found, *_file(spec.weights)]
    if spec.name in controls:
        return []
    try:
        random = seed_of(spec.weights) is not None
    except MurineError:
        return None
    if random or spec.weights.startswith("sha256:"):
        return []
    # Published weights come from a cache that others fill.
    return _file(spec.weights) or None if Path(spec.weights or "/").is_file() else None


def _file(path: str) -> list[Any]:
    found = fingerprint(path)
    return [str(Path(path).resolve()), *found] if found else []


def find(folder: Path, digest: str) -> tuple[str, ...] | None:
    """Return the digests of the results that answer a request; None if there are none or the network changed."""
    record = find_record(folder, digest)
    return None if record is None else record[1]


def find_record(folder: Path, digest: str) -> tuple[Observation, tuple[str, ...]] | None:
    """Return what a network was seen to be made from, and the texts recorded for it; None if it has changed."""
    from murine.networks.dependencies import Observation

    try:
        about = read_json(folder / f"{digest}.json")
        seen = Observation({path: tuple(found) for path, found in about["files"].items()}, about["environment"])
        tasks = tuple(map(str, about["tasks"]))
        intact = about["check"] == _check(digest, seen, tasks)
    except (MurineError, KeyError, TypeError, AttributeError):
        return None
    return (seen, tasks) if intact and seen.holds() else None


def add(folder: Path, digest: str, seen: Observation, tasks: Sequence[str]) -> None:
    """Record which results answer a request, if all files that the network is built from are known and unchanged."""
    if not (seen.complete and seen.holds()):
        return
    about = {
        "files": seen.files,
        "environment": seen.environment,
        "tasks": list(tasks),
        "check": _check(digest, seen, tasks),
    }
    with atomic_write(folder / f"{digest}.json") as partial:
        partial.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _check(digest: str, seen: Observation, tasks: Sequence[str]) -> str:
    content = json.dumps([digest, seen.files, seen.environment, list(tasks)], sort_keys=True)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()
