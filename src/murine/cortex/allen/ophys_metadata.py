"""Metadata in the file of a two-photon experiment: mouse, imaging plane, time, version of the pipeline."""

from __future__ import annotations

import re
from typing import Any

from murine.cortex.allen import transgenic
from murine.io.hdf5 import Tree

#: Where metadata are, by AllenSDK's names of them.
METADATA = {
    "ophys_experiment_id": "general/session_id",
    "experiment_container_id": "general/experiment_container_id",
    "session_type": "general/session_type",
    "genotype": "general/subject/genotype",
    "sex": "general/subject/sex",
    "age_days": "general/subject/age",
    "targeted_structure": "general/optophysiology/imaging_plane_1/location",
    "imaging_depth_um": "general/optophysiology/imaging_plane_1/imaging depth",
    "excitation_lambda": "general/optophysiology/imaging_plane_1/excitation_lambda",
    "indicator": "general/optophysiology/imaging_plane_1/indicator",
    "fov": "general/fov",
    "device": "general/devices/2-photon microscope",
    "specimen_name": "general/specimen_name",
    "session_start_time": "session_start_time",
}
_NUMBERS = ("ophys_experiment_id", "experiment_container_id", "age_days", "imaging_depth_um")


def session_metadata(tree: Tree) -> dict[str, Any]:
    """Read the metadata of the session, with AllenSDK's names; missing values are left out.

    Raises
    ------
    MurineError
        If a number is none; the message names the path inside the file.
    """
    about: dict[str, Any] = {key: tree.text(path) for key, path in METADATA.items() if path in tree}
    for key in _NUMBERS:
        if key in about:
            number = re.match(r"\s*(\d{1,18})(?!\d)", about[key])
            if number is None:
                tree.refuse(METADATA[key], repr(about[key]), "a number, or a number with its unit")
            about[key] = int(number[1])
    if "genotype" in about:
        about["cre_line"] = transgenic.cre_line(about["genotype"].split(";")[0])
    if "device" in about:
        name = re.search(r"(\S+) Please", about["device"])
        about["device_name"] = name[1] if name else ""
        about["device"] = about["device"].split(". ")[0]
    about["pipeline_version"] = pipeline_version(tree)
    return about


def pipeline_version(tree: Tree) -> str:
    """Return the last text of ``general/generated_by``; 0.9 if there is none."""
    path = "general/generated_by"
    return (tree.texts(path, None) or ["0.9"])[-1] if path in tree else "0.9"
