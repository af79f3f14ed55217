"""SQL queries over the files of an atlas, which can read these files and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from murine.atlas.tables import score_schema
from murine.errors import MurineError

if TYPE_CHECKING:
    import duckdb
    import pandas as pd


@contextmanager
def opened(files: Mapping[str, Sequence[Path]]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open files for SQL queries, which see only these tables and no other file, variable or setting.

    Parameters
    ----------
    files
        Parquet files by the name of the table that they make up.

    Raises
    ------
    MurineError
        If a file cannot be read.
    """
    import duckdb

    with duckdb.connect() as connection:
        _create_views(connection, files)
        _lock(connection, [file for several in files.values() for file in several])
        yield connection


def answer(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] = (), **tables: pd.DataFrame
) -> pd.DataFrame:
    """Run an SQL query, which cannot change anything.

    Parameters
    ----------
    connection
        From `opened`.
    sql
        One SELECT (or EXPLAIN) in the dialect of DuckDB.
    parameters
        Values for ``?`` in the question.
    tables
        More tables, for this question alone.

    Raises
    ------
    MurineError
        If the question is none, or DuckDB refuses it.
    """
    import duckdb

    for name, table in tables.items():
        connection.register(name, table)
    try:
        _refuse_all_but_questions(connection.extract_statements(sql))
        return connection.execute(sql, list(parameters)).df()
    except duckdb.Error as error:
        raise MurineError(f"the query failed: {error}") from error
    finally:
        for name in tables:
            connection.unregister(name)


def _create_views(connection: duckdb.DuckDBPyConnection, files: Mapping[str, Sequence[Path]]) -> None:
    import duckdb

    # Files from before there were columns that these name: null in their rows.
    connection.register("score_columns", score_schema().empty_table())
    for table, several in files.items():
        more = " UNION ALL BY NAME SELECT * FROM score_columns" if table == "scores" else ""
        paths = ", ".join(map(_quoted, several))
        try:
            connection.execute(
                f"CREATE TEMP VIEW {table} AS SELECT * FROM read_parquet([{paths}], union_by_name=true){more}"
            )
        except duckdb.Error as error:
            raise MurineError(f"a file of results cannot be read: {error}") from error


def _lock(connection: duckdb.DuckDBPyConnection, readable: Sequence[Path]) -> None:
    """Forbid everything but reading these files."""
    connection.execute("SET python_enable_replacements = false")
    connection.execute(f"SET allowed_paths = [{', '.join(map(_quoted, readable))}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _refuse_all_but_questions(statements: Sequence[duckdb.Statement]) -> None:
    from duckdb import StatementType

    if len(statements) != 1:
        raise MurineError(
            f'the query holds {len(statements) or "no"} statements; expected one, as "SELECT network, max(score) '
            'FROM scores GROUP BY network".'
        )
    # PIVOT is several statements in one.
    if statements[0].type not in (StatementType.SELECT, StatementType.EXPLAIN, StatementType.MULTI):
        raise MurineError(
            f"the query is a {statements[0].type.name} statement; results are read only, so expected a SELECT."
        )


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
