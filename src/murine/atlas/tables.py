"""The tables of an atlas: which columns they have, and how their files are written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel

from murine.atlas.checksums import blank_seal, seal
from murine.io.files import atomic_write

#: Folders of rows, which are also the tables of queries, and the commands that make them.
TABLES = {
    "scores": "murine score",
    "matches": "murine match",
    "maps": "murine maps",
    "generalization": "murine generalize --network",
    "masquerade": "murine masquerade",
}

_SCORE_COLUMNS: dict[str, str] = {
    **dict.fromkeys(("task", "network", "weights", "role", "network_digest", "input_size"), "string"),
    "method": "int32",
    **dict.fromkeys(("layer", "other_layer"), "string"),
    "layer_index": "int32",
    "depth": "float64",
    "n_units": "int64",
    **dict.fromkeys(("same_as", "flag", "cortex", "cortex_digest", "cortex_settings", "layers"), "string"),
    **dict.fromkeys(("site", "area", "cortical_layer", "site_flag"), "string"),
    **dict.fromkeys(("n_neuroids", "n_repetitions"), "int32"),
    **dict.fromkeys(("metric", "normalise_neurons", "normalise_features", "scale", "stimuli"), "string"),
    "n_stimuli": "int32",
    "split": "string",
    **dict.fromkeys(("score", "low", "high", "plain", "chance", "ceiling", "ceiling_low", "ceiling_high"), "float64"),
    **dict.fromkeys(("ceiled", "ceiled_low", "ceiled_high"), "float64"),
    "above_ceiling": "bool",
    **dict.fromkeys(("p_value", "p_best", "p_adjusted", "optimism"), "float64"),
    "layer_share": "float64",
    "chosen": "string",
    **dict.fromkeys(("n_bootstraps", "n_permutations", "seed"), "int32"),
    **dict.fromkeys(("over", "layer_choice"), "string"),
    **dict.fromkeys(("n_subject_draws", "n_animals"), "int32"),
    **dict.fromkeys(("low_subjects", "high_subjects", "low_both", "high_both"), "float64"),
    **dict.fromkeys(("ceiled_low_both", "ceiled_high_both"), "float64"),
}

#: Columns of bootstrap draws: lists of numbers.
DRAWS = ("draws", "without_one", "draws_both", "draws_subjects")


_UNITS_COLUMNS: dict[str, str] = {
    **dict.fromkeys(("task", "network", "weights", "role", "network_digest", "input_size"), "string"),
    "layer": "string",
    "layer_index": "int32",
    "depth": "float32",
    "n_units": "int64",
    **dict.fromkeys(("cortex", "cortex_digest", "layers"), "string"),
    **dict.fromkeys(("neuroid_id", "area", "cortical_layer", "cell_class", "cre_line", "donor"), "string"),
    "best_unit": "int64",
    **dict.fromkeys(("n_shuffles", "seed"), "int32"),
    "flag": "string",
}

_MATCH_COLUMNS: dict[str, str] = {
    **_UNITS_COLUMNS,
    **dict.fromkeys(("r_train", "r_test", "r_train_shuffled", "r_test_shuffled", "ceiling"), "float32"),
    **dict.fromkeys(("overlap", "overlap_shuffled"), "float32"),
    "assigned_unit": "int64",
    **dict.fromkeys(("assigned_r_train", "assigned_r_test", "assigned_gap"), "float32"),
    **dict.fromkeys(("assigned_r_train_shuffled", "assigned_r_test_shuffled"), "float32"),
}

_MAP_COLUMNS: dict[str, str] = {
    **_UNITS_COLUMNS,
    "side": "int32",
    **dict.fromkeys(("unit_maps", "normalisation"), "string"),
    "centred": "bool",
    **dict.fromkeys(("rmse_best", "rmse_mean", "rmse_best_shuffled", "rmse_mean_shuffled", "p_value"), "float32"),
}

#: Tables of single units and their columns.
UNITS_TABLES = {"matches": _MATCH_COLUMNS, "maps": _MAP_COLUMNS}


def score_schema() -> Any:
    """Return the common schema of all files of scores, so that they can be read together."""
    import pyarrow as pa

    samples = [pa.field(name, pa.list_(pa.float32())) for name in DRAWS]
    return pa.schema([*schema_of(_SCORE_COLUMNS), *samples])


def schema_of(columns: dict[str, str]) -> Any:
    """The schema of a table: names of columns to ``string``, ``bool``, or a number's type as numpy calls it."""
    import pyarrow as pa

    kinds: dict[str, Callable[[], Any]] = {
        "string": pa.string,
        "int32": pa.int32,
        "int64": pa.int64,
        "float32": pa.float32,
        "float64": pa.float64,
        "bool": pa.bool_,
    }
    return pa.schema([pa.field(name, kinds[kind]()) for name, kind in columns.items()])


def write_rows(file: Path, task: BaseModel, rows: pd.DataFrame, schema: Any, provenance: dict[str, str]) -> None:
    """Write rows and seal the file.

    Columns that the rows do not have are null. The configuration and the provenance are in the metadata.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = rows.assign(**{name: None for name in schema.names if name not in rows})
    table = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
    about = {
        "murine.task": task.model_dump_json(),
        "murine.provenance": json.dumps(provenance, sort_keys=True),
        "murine.seal": blank_seal(file),
    }
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **about})
    with atomic_write(file) as partial:
        pq.write_table(table, partial, compression="zstd")
        seal(partial, file)
