"""Answers in an atlas: the identity of an answer, and its rows in ``masquerade/<digest>.parquet``."""

from __future__ import annotations

import json
from typing import Any, Literal

import pandas as pd

from murine.atlas.identity import Identified
from murine.atlas.store import Atlas, provenance
from murine.atlas.tables import schema_of, write_rows
from murine.errors import MurineError
from murine.masquerade.result import MasqueradeResult
from murine.networks.preprocessing import Preprocessing

#: Increased whenever the same configuration gives other rows.
METHOD = 1

#: Folder of the rows, and name of their table.
TABLE = "masquerade"


class MasqueradeTask(Identified):
    """One network among the animals of one recording: names a file of rows."""

    kind: Literal["masquerade"] = "masquerade"
    method: int = METHOD
    network: str
    weights: str
    network_digest: str
    preprocessing: Preprocessing
    stimuli_digest: str
    layers: str
    cortex: str
    cortex_digest: str
    windows: str
    areas: tuple[str, ...]
    alpha: float
    n_twins: int
    seed: int


_FRAMES = ("areas", "animals", "pools")

_COLUMNS = {
    **dict.fromkeys(("task", "network_digest", "input_size", "cortex", "cortex_digest"), "string"),
    **dict.fromkeys(("area", "windows", "role", "network", "weights", "verdict", "reason"), "string"),
    **dict.fromkeys(("layer", "window"), "string"),
    **dict.fromkeys(("n_units", "n_candidates", "n_animals"), "float64"),
    **dict.fromkeys(("typicality", "mean", "deviation", "ratio", "ratio_error", "power_ratio"), "float64"),
    **dict.fromkeys(("t", "p_student", "p_pooled", "p", "p_nested", "p_first_half", "p_second_half"), "float64"),
    **dict.fromkeys(("share_rejected", "contrast", "contrast_error", "contrast_p", "alpha"), "float64"),
    "seed": "int32",
}


def masquerade_schema() -> Any:
    """Return the schema of the rows of answers."""
    return schema_of(_COLUMNS)


def write_result(atlas: Atlas, task: MasqueradeTask, result: MasqueradeResult) -> None:
    """Store an answer: its rows, and the tables of its animals in the metadata of the file."""
    height, width = task.preprocessing.input_size
    about = {"task": task.digest, "network_digest": task.network_digest, "input_size": f"{height}x{width}"}
    about |= {"cortex": task.cortex, "cortex_digest": task.cortex_digest}
    rows = result.table.assign(**about, alpha=task.alpha, seed=task.seed)
    frames = {name: json.dumps(getattr(result, name).to_dict("list")) for name in _FRAMES}
    write_rows(_file(atlas, task), task, rows, masquerade_schema(), {**provenance(), **frames})


def read_result(atlas: Atlas, task: MasqueradeTask) -> MasqueradeResult | None:
    """Return a stored answer; None if there is none or its file cannot be trusted.

    Raises
    ------
    MurineError
        If the file cannot be read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = _file(atlas, task)
    if not atlas.is_whole(file):
        return None
    try:
        rows = pq.read_table(file, schema=masquerade_schema()).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise MurineError(
            f"{str(file)!r} cannot be read ({error}): it is damaged. Delete it; the same command makes it again."
        ) from error
    stored = atlas.about(task.digest)["provenance"]
    areas, animals, pools = (pd.DataFrame(json.loads(stored[name])) for name in _FRAMES)
    from murine.masquerade.verdict_table import COLUMNS

    return MasqueradeResult(rows[list(COLUMNS)], areas, animals, pools, task.cortex, task.alpha)


def _file(atlas: Atlas, task: MasqueradeTask) -> Any:
    return atlas.folder / TABLE / f"{task.digest}.parquet"
