"""The atlas: a folder of results that is always whole.

``scores/<digest>.parquet`` holds the rows of a task, ``kernels/<digest>.npz`` the kernels of a network,
``matches/<digest>.parquet`` and ``maps/<digest>.parquet`` the rows of single units, ``generalization/<digest>.parquet``
those of networks that were trained here (`murine.generalization.results`). Files appear only by renaming a
finished temporary file, so whatever happens, a file that is there is complete."""

from __future__ import annotations

import glob
import json
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel

from murine.atlas.task import CaptureTask, ScoreTask, UnitsTask
from murine.errors import MurineError
from murine.files import appearing, read_npz
from murine.networks.capture import CapturedLayer
from murine.networks.kernel import LayerKernel

if TYPE_CHECKING:
    import duckdb


#: Folders of rows, which are also the tables of queries, and the commands that make them.
TABLES = {
    "scores": "murine score",
    "matches": "murine match",
    "maps": "murine maps",
    "generalization": "murine generalize --network",
}


class Atlas:
    """A folder of results; made when first written to."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def scores_file(self, task: ScoreTask) -> Path:
        return self.folder / "scores" / f"{task.digest}.parquet"

    def kernels_file(self, task: CaptureTask) -> Path:
        return self.folder / "kernels" / f"{task.digest}.npz"

    def done(self, task: ScoreTask) -> bool:
        return self.scores_file(task).exists()

    def write_scores(self, task: ScoreTask, rows: pd.DataFrame, provenance: dict[str, str]) -> None:
        """Write the rows of `score_layers`, with a column ``role``, for a task; columns they do not have are null.

        What identifies them is added as columns; the whole configuration and where it came from go into the file's
        metadata.
        """
        write_rows(self.scores_file(task), task, rows.assign(**_identity(task)), _schema(), provenance)

    def units_file(self, task: UnitsTask) -> Path:
        return self.folder / task.table / f"{task.digest}.parquet"

    def write_units(self, task: UnitsTask, rows: pd.DataFrame, provenance: dict[str, str]) -> None:
        """Write the rows of `match_layers` or `map_layers`, with a column ``role``, for a task; scores as float32."""
        schema = schema_of(UNITS_TABLES[task.table])
        write_rows(self.units_file(task), task, rows.assign(**_units_identity(task)), schema, provenance)

    def read_units(self, table: str, digest: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Read the rows of a task back, or some of their columns.

        Parameters
        ----------
        table
            ``matches`` or ``maps``.
        digest
            Of the task.

        Raises
        ------
        MurineError
            If there is no such file, or it is damaged.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = self.folder / table / f"{digest}.parquet"
        try:
            rows = pq.read_table(file, columns=None if columns is None else list(columns)).to_pandas()
        except FileNotFoundError:
            raise MurineError(f"there is no result {digest!r} in {str(file.parent)!r}.") from None
        except (pa.ArrowException, OSError) as error:
            raise MurineError(
                f"{str(file)!r} cannot be read ({error}): it is damaged. Delete it; the same command makes it again."
            ) from error
        return rows.astype(dict.fromkeys(rows.select_dtypes("float32"), "float64"))

    def export_units(self, table: str, digests: Sequence[str], file: Path) -> None:
        """Write the rows of several tasks into one file, ``.parquet`` or ``.csv``, one task after the other."""
        with appearing(file) as partial:
            if file.suffix == ".csv":
                for i, digest in enumerate(digests):
                    rows = self.read_units(table, digest)
                    rows.to_csv(partial, mode="a" if i else "w", header=not i, index=False)
                return
            import pyarrow as pa
            import pyarrow.parquet as pq

            schema = schema_of(UNITS_TABLES[table])
            with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
                for digest in digests:
                    rows = self.read_units(table, digest)
                    writer.write_table(pa.Table.from_pandas(rows, schema=schema, preserve_index=False))

    def write_kernels(self, task: CaptureTask, layers: list[CapturedLayer]) -> None:
        """Write kernels, the upper triangle of each; layers without one or with identical output only by name."""
        kept = [layer for layer in layers if layer.kernel is not None and not layer.same_as]
        n = kept[0].kernel.n_stimuli if kept and kept[0].kernel else 0
        rows, columns = np.triu_indices(n)
        kernels = [layer.kernel for layer in kept if layer.kernel is not None]
        about = [
            {"name": x.name, "depth": x.depth, "shape": x.shape, "flag": x.flag, "same_as": x.same_as} for x in layers
        ]
        with appearing(self.kernels_file(task)) as partial, partial.open("wb") as file:
            np.savez(
                file,
                layers=np.array(json.dumps(about)),
                kept=np.array([layer.name for layer in kept], dtype=str),
                covariance=np.array([kernel.covariance[rows, columns] for kernel in kernels]).reshape(
                    len(kept), len(rows)
                ),
                means=np.array([kernel.means for kernel in kernels]).reshape(len(kept), n),
            )

    def read_kernels(self, task: CaptureTask) -> list[CapturedLayer] | None:
        """Read kernels back; None where there are none."""
        if not self.kernels_file(task).exists():
            return None
        arrays = read_npz(self.kernels_file(task))
        missing = {"layers", "kept", "covariance", "means"} - set(arrays)
        if missing:
            raise MurineError(f"{str(self.kernels_file(task))!r} has lost its arrays {', '.join(sorted(missing))}.")
        means = np.asarray(arrays["means"], dtype=np.float64)
        n = means.shape[1]
        rows, columns = np.triu_indices(n)
        about = {entry["name"]: entry for entry in json.loads(str(arrays["layers"]))}
        kernels: dict[str, LayerKernel] = {}
        for i, name in enumerate(arrays["kept"].astype(str)):
            covariance = np.empty((n, n))
            covariance[rows, columns] = covariance[columns, rows] = arrays["covariance"][i]
            kernels[str(name)] = LayerKernel(covariance, means[i], int(np.prod(about[str(name)]["shape"])))
        return [
            CapturedLayer(**{**entry, "shape": tuple(entry["shape"])}, kernel=kernels.get(entry["same_as"] or name))
            for name, entry in about.items()
        ]

    def _connect(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        there = [table for table in TABLES if any((self.folder / table).glob("*.parquet"))]
        if not there:
            raise MurineError(
                f"there are no results in {str(self.folder)!r} yet; `murine score NETWORK --atlas {self.folder}` makes "
                "some."
            )
        connection = duckdb.connect()
        # Files from before there were columns that these name: null in their rows.
        connection.register("score_columns", _schema().empty_table())
        for table in there:
            pattern = f"{glob.escape(str(self.folder / table))}/*.parquet".replace("'", "''")
            more = " UNION ALL BY NAME SELECT * FROM score_columns" if table == "scores" else ""
            try:
                connection.execute(
                    f"CREATE TEMP VIEW {table} AS SELECT * FROM read_parquet('{pattern}', union_by_name=true){more}"
                )
            except duckdb.Error as error:
                raise MurineError(f"a file of results cannot be read: {error}") from error
        return connection

    def query(self, sql: str = "SELECT * FROM scores", parameters: list[Any] | None = None) -> pd.DataFrame:
        """Answer a question in SQL; the rows are the views ``scores``, ``matches``, ``maps`` and ``generalization``.

        Raises
        ------
        MurineError
            If there are no results, or DuckDB refuses the question.
        """
        import duckdb

        with self._connect() as connection:
            try:
                return connection.execute(sql, parameters or []).df()
            except duckdb.Error as error:
                for table, command in TABLES.items():
                    if f"Table with name {table} does not exist" in str(error):
                        raise MurineError(
                            f"there are no {table} in {str(self.folder)!r} yet; `{command} NETWORK --atlas "
                            f"{self.folder}` makes some."
                        ) from error
                raise MurineError(f"the query failed: {error}") from error

    def about(self, digest: str) -> dict[str, Any]:
        """The configuration and provenance of a result."""
        import pyarrow.parquet as pq

        files = [self.folder / table / f"{digest}.parquet" for table in TABLES]
        file = next((file for file in files if file.exists()), None)
        if file is None:
            raise MurineError(f"there is no result {digest!r} in {str(self.folder)!r}.")
        metadata = pq.read_schema(file).metadata or {}
        if b"murine.task" not in metadata:
            raise MurineError(f"{str(file)!r} was not written by murine: it does not tell its configuration.")
        return {key: json.loads(metadata[f"murine.{key}".encode()]) for key in ("task", "provenance")}


def provenance() -> dict[str, str]:
    """Versions of what computed a result: told, but no part of its identity."""
    packages = ("murine", "numpy", "scipy", "torch", "timm")
    return {
        **{name: version(name) for name in packages},
        "python": platform.python_version(),
        "system": platform.platform(),
    }


_COLUMNS: dict[str, str] = {
    **dict.fromkeys(("task", "network", "weights", "role", "network_digest", "input_size"), "string"),
    "method": "int32",
    **dict.fromkeys(("layer", "other_layer"), "string"),
    "layer_index": "int32",
    "depth": "float64",
    "n_units": "int64",
    **dict.fromkeys(("same_as", "flag", "cortex", "cortex_digest", "cortex_settings", "layers"), "string"),
    **dict.fromkeys(("site", "area", "cortical_layer"), "string"),
    **dict.fromkeys(("n_neuroids", "n_repetitions"), "int32"),
    **dict.fromkeys(("metric", "scale", "stimuli"), "string"),
    "n_stimuli": "int32",
    "split": "string",
    **dict.fromkeys(("score", "low", "high", "ceiling", "ceiling_low", "ceiling_high"), "float64"),
    **dict.fromkeys(("ceiled", "ceiled_low", "ceiled_high"), "float64"),
    "above_ceiling": "bool",
    **dict.fromkeys(("p_value", "p_best", "p_adjusted", "optimism"), "float64"),
    **dict.fromkeys(("layer_share",), "float64"),
    "chosen": "string",
    **dict.fromkeys(("n_bootstraps", "n_permutations", "seed"), "int32"),
    "over": "string",
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


def _identity(task: ScoreTask) -> dict[str, str | int]:
    """The columns that say which task a row belongs to."""
    height, width = task.capture.preprocessing.input_size
    return {
        "task": task.digest,
        "method": task.method,
        "network": task.network,
        "weights": task.weights,
        "network_digest": task.capture.network_digest,
        "input_size": f"{height}x{width}",
        "layers": task.capture.layers,
        "cortex": task.cortex.cortex,
        "cortex_digest": task.cortex_digest,
        "cortex_settings": task.cortex.digest,
        "n_bootstraps": task.n_bootstraps,
        "n_permutations": task.n_permutations,
        "seed": task.seed,
        "over": task.over,
        "n_subject_draws": task.n_subject_draws,
    }


def _units_identity(task: UnitsTask) -> dict[str, str | int]:
    height, width = task.preprocessing.input_size
    copied = ("network", "weights", "network_digest", "layers", "cortex", "cortex_digest", "n_shuffles", "seed")
    return {"task": task.digest, "input_size": f"{height}x{width}", **{key: getattr(task, key) for key in copied}}


def _schema() -> Any:
    """The one schema of scores, so that every file can be read with every other."""
    import pyarrow as pa

    samples = [pa.field(name, pa.list_(pa.float32())) for name in DRAWS]
    return pa.schema([*schema_of(_COLUMNS), *samples])


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
    """Write rows, columns they do not have as null, with the configuration and the provenance in the metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = rows.assign(**{name: None for name in schema.names if name not in rows})
    table = pa.Table.from_pandas(rows, schema=schema, preserve_index=False)
    about = {
        "murine.task": task.model_dump_json(),
        "murine.provenance": json.dumps(provenance, sort_keys=True),
    }
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **about})
    with appearing(file) as partial:
        pq.write_table(table, partial, compression="zstd")
