"""The atlas: a folder of results whose files are always complete.

``scores/<digest>.parquet`` holds the rows of a task, ``kernels/<digest>.npz`` the kernels of a network,
``matches/<digest>.parquet`` and ``maps/<digest>.parquet`` the rows of single units, ``generalization/<digest>.parquet``
those of networks that were trained here (`murine.generalization.results`). Files appear only by renaming a
finished temporary file, so whatever happens, a file that is there is complete. Each is sealed
(`murine.atlas.checksums`): a file that is damaged, foreign or under another's name is left out with a warning and
counts as not done."""

from __future__ import annotations

import json
import logging
import platform
import zipfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from murine.atlas import failures, finished_work
from murine.atlas.checksums import blank_seal, check, seal
from murine.atlas.identity import CaptureTask, ScoreTask, UnitsTask
from murine.atlas.origins import origin
from murine.atlas.queries import answer, opened
from murine.atlas.tables import TABLES, UNITS_TABLES, schema_of, score_schema, write_rows
from murine.atlas.trusted_files import IDENTITY, TrustedFiles
from murine.errors import MurineError, some
from murine.io.files import atomic_write, read_npz
from murine.networks.layer_kernel import LayerKernel

if TYPE_CHECKING:
    import duckdb

    from murine.networks.capture import CapturedLayer
    from murine.networks.dependencies import Observation

log = logging.getLogger(__name__)


class Atlas:
    """A folder of results; it is created at the first write.

    Attributes
    ----------
    folder
        The folder. Copy it, or put it on a shared file system, to use the results elsewhere.

    Examples
    --------
    >>> import murine
    >>> scores = murine.score("pixels", "simulated", n_bootstraps=20, n_permutations=20, atlas="results")
    >>> atlas = Atlas("results")
    >>> atlas
    <Atlas 'results': 1 result>
    >>> atlas.leaderboard().network.tolist()
    ['pixels']
    >>> atlas.query("SELECT DISTINCT site FROM scores ORDER BY site").site.tolist()
    ['SIMam', 'SIMl', 'SIMp']
    >>> atlas.about(scores.results[0].tasks[0])["task"]["metric"]
    'rsa-pearson'
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._trusted = TrustedFiles(self.folder)
        self._told: set[Path] = set()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def __repr__(self) -> str:
        n = sum(1 for table in TABLES for _ in (self.folder / table).glob("[!.]*.parquet"))
        return f"<Atlas {str(self.folder)!r}: {n} result{'s' * (n != 1)}>"

    def leaderboard(self, *, cortex: str | None = None, metric: str | None = None) -> pd.DataFrame:
        """Rank networks for every data set and metric (`murine.atlas.leaderboard.leaderboards`).

        Raises
        ------
        MurineError
            If there are no such results.
        """
        from murine.atlas.leaderboard import leaderboards

        return leaderboards(self, cortex=cortex, metric=metric)

    def scores_file(self, task: ScoreTask) -> Path:
        return self.folder / "scores" / f"{task.digest}.parquet"

    def kernels_file(self, task: CaptureTask) -> Path:
        return self.folder / "kernels" / f"{task.digest}.npz"

    def done(self, task: ScoreTask) -> bool:
        return self.is_whole(self.scores_file(task))

    def is_whole(self, file: Path) -> bool:
        """Whether a file of results exists and has a valid seal; a damaged file is reported once."""
        try:
            reason = self._trusted.defect(file)
        except FileNotFoundError:
            return False
        if reason and file not in self._told:
            self._told.add(file)
            log.warning("%r does not count: %s. It is computed again.", str(file), reason)
        return not reason

    def write_scores(self, task: ScoreTask, rows: pd.DataFrame, provenance: dict[str, str]) -> None:
        """Write the rows of `score_layers`, with a column ``role``, for a task; columns they do not have are null.

        What identifies them is added as columns; the whole configuration and where it came from go into the file's
        metadata.
        """
        write_rows(self.scores_file(task), task, rows.assign(**_identity(task)), score_schema(), provenance)

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
            check(file)
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
        with atomic_write(file) as partial:
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
        target = self.kernels_file(task)
        with atomic_write(target) as partial:
            with partial.open("wb") as file:
                np.savez(
                    file,
                    layers=np.array(json.dumps(about)),
                    kept=np.array([layer.name for layer in kept], dtype=str),
                    covariance=np.array([kernel.covariance[rows, columns] for kernel in kernels]).reshape(
                        len(kept), len(rows)
                    ),
                    means=np.array([kernel.means for kernel in kernels]).reshape(len(kept), n),
                )
            with zipfile.ZipFile(partial, "a") as archive:
                archive.comment = blank_seal(target).encode()
            seal(partial, target)

    def read_kernels(self, task: CaptureTask) -> list[CapturedLayer] | None:
        """Read kernels back; None where there are none.

        Raises
        ------
        MurineError
            If the file is damaged, or is not of this task.
        """
        from murine.networks.capture import CapturedLayer

        try:
            check(self.kernels_file(task))
        except FileNotFoundError:
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

    def identities(self) -> pd.DataFrame:
        """Return what each result of the table ``scores`` is of: a row with the columns `IDENTITY`, ``seal, file``."""
        files = self.files().get("scores", [])
        rows = [{**about, "file": file} for file in files if (about := self._trusted.identity(file)) is not None]
        self._trusted.save()
        return pd.DataFrame(rows, columns=[*IDENTITY, "seal", "file"])

    def files(self) -> dict[str, list[Path]]:
        """The files of every table that has some, without those that cannot be trusted."""
        found: dict[str, list[Path]] = {}
        left_out: dict[Path, str] = {}
        for table in TABLES:
            # Files that begin with a point are not results: macOS creates ._NAME for NAME on other file systems.
            for file in sorted(f for f in (self.folder / table).glob("*.parquet") if not f.name.startswith(".")):
                try:
                    reason = self._trusted.defect(file)
                except OSError as error:
                    reason = f"it cannot be read: {error.strerror}"
                if reason:
                    left_out[file] = reason
                else:
                    found.setdefault(table, []).append(file)
        self._trusted.save([*left_out, *(file for several in found.values() for file in several)])
        if new := {file: reason for file, reason in left_out.items() if file not in self._told}:
            self._told.update(new)
            texts = [f"{str(file)!r} ({reason})" for file, reason in new.items()]
            log.warning("left out %s. The command that made a result makes it again.", some(texts))
        return found

    def answered(self, request: str) -> tuple[str, ...] | None:
        """The digests of the scores that answered a request, if they are all there (`murine.atlas.finished_work`)."""
        tasks = finished_work.find(self.folder / "requests", request)
        if not tasks or not all(self.is_whole(self.folder / "scores" / f"{task}.parquet") for task in tasks):
            return None
        return tasks

    def add_request(self, request: str, seen: Observation, tasks: Sequence[str]) -> None:
        """Record which scores answer a request. An error in writing the record is ignored."""
        try:
            finished_work.add(self.folder / "requests", request, seen, tasks)
        except MurineError as error:
            log.warning("%s", error)

    def add_failure(self, asked: dict[str, str], reason: str) -> None:
        """Record that a task failed (`murine.atlas.failures`)."""
        failures.add(self.folder / "failures", asked, reason)

    def remove_failure(self, asked: dict[str, str]) -> None:
        """Delete the record of a failure, because the task is done now."""
        failures.remove(self.folder / "failures", asked)

    def failures(self) -> pd.DataFrame:
        """Return the failures with their reasons, the latest first."""
        return failures.read(self.folder / "failures")

    def query(
        self, sql: str = "SELECT * FROM scores", parameters: Sequence[Any] = (), **tables: pd.DataFrame
    ) -> pd.DataFrame:
        """Run an SQL query.

        The tables are ``scores``, ``matches``, ``maps``, ``generalization`` and those given.

        The question can read these and nothing else, and change nothing. Files that cannot be trusted are left out,
        with a warning.

        Raises
        ------
        MurineError
            If there are no results, or DuckDB refuses the question.
        """
        with self.opened() as connection:
            try:
                return answer(connection, sql, parameters, **tables)
            except MurineError as error:
                for table, command in TABLES.items():
                    if f"Table with name {table} does not exist" in str(error):
                        raise MurineError(
                            f"there are no {table} in {str(self.folder)!r} yet; `{command} NETWORK --atlas "
                            f"{self.folder}` makes some."
                        ) from error
                raise

    @contextmanager
    def opened(self, tasks: Collection[str] | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """Answer all questions of the block from the files that are there at its start: opening them takes longest.

        Parameters
        ----------
        tasks
            Only these results of the table ``scores``; by default all.

        Raises
        ------
        MurineError
            If there are no results.
        """
        if self._connection is not None:
            yield self._connection
            return
        files = self.files()
        if not files:
            raise MurineError(
                f"there are no results in {str(self.folder)!r} yet; `murine score NETWORK --atlas {self.folder}` makes "
                "some."
            )
        if tasks is not None:
            wanted = set(tasks)
            files["scores"] = [file for file in files.get("scores", []) if file.stem in wanted]
        with opened(files) as self._connection:
            try:
                yield self._connection
            finally:
                self._connection = None

    def about(self, digest: str) -> dict[str, Any]:
        """Return the configuration and provenance of a result (`murine.atlas.origins.origin`)."""
        return origin(self.folder, digest)


def provenance() -> dict[str, str]:
    """Return the versions of the software that computed a result: recorded, but not part of its identity."""
    return {
        **_versions(),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


@cache
def _versions() -> dict[str, str]:
    """Of packages: each is read from a file, and none changes while this runs."""
    return {name: version(name) for name in ("murine", "numpy", "scipy", "torch", "timm")}


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
        "normalise_neurons": task.normalise_neurons,
        "normalise_features": task.capture.normalise,
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
