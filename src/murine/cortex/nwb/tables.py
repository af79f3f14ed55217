"""Tables of NWB 2: columns with one value a row, ragged columns, and rows that another table refers to."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from murine.io.hdf5 import Tree

#: Numbers and text that can be a column.
_PLAIN = "biufSO"


def ragged_bounds(tree: Tree, path: str, n_rows: int) -> Int[np.ndarray, " n_bounds"]:
    """Read the limits of a ragged column: row i of it holds the values from limit i to limit i + 1."""
    shape = tree.dataset(path, None, _PLAIN).shape
    n_values = shape[0] if shape else 0
    ends = tree.array(f"{path}_index", (n_rows,), "iu")
    # Differences of unsigned numbers wrap around, so order is compared directly.
    if (ends[1:] < ends[:-1]).any() or (n_rows and (ends[0] < 0 or int(ends[-1]) != n_values)):
        found = "limits out of order" if (ends[1:] < ends[:-1]).any() else f"limits from {ends[0]} to {ends[-1]}"
        tree.refuse(f"{path}_index", found, f"limits that rise to {n_values}, the length of {path}")
    return np.concatenate([[0], ends.astype(np.int64)])


def plain_columns(tree: Tree, table: str, n_rows: int) -> list[str]:
    """Return the names of the columns with one number or text for each row, in the order of the table.

    Left out are ids, ragged columns, columns with several values a row, and references to rows of other tables.
    """
    stored = tree.names(table)
    named = [str(name) for name in np.ravel(tree.attribute(table, "colnames")) if name is not None]
    found = []
    for name in dict.fromkeys([*(name for name in named if name in stored), *stored]):
        path = f"{table}/{name}"
        ragged = f"{name}_index" in stored or (name.endswith("_index") and name.removesuffix("_index") in stored)
        if name == "id" or ragged or tree.referred(path, "table") or not tree.is_dataset(path, (n_rows,), _PLAIN):
            continue
        found.append(name)
    return found


def column(tree: Tree, path: str, n_rows: int) -> np.ndarray:
    """Read a column with one number or text for each row."""
    if tree.dataset(path, (n_rows,), _PLAIN).dtype.kind in "SO":
        return np.array(tree.texts(path, (n_rows,)), dtype=object)
    return tree.array(path, (n_rows,), "biuf")


def row_ids(tree: Tree, table: str) -> np.ndarray:
    """Read the ids of the rows of a table."""
    return tree.array(f"{table}/id", (None,), "iu")


def labels_of_rows(
    tree: Tree, table: str, n_rows: int, rows: Int[np.ndarray, " n_chosen"] | None = None
) -> dict[str, np.ndarray]:
    """Read all plain columns of a table, of some rows or of all, with ``neuroid_id`` from its ids."""
    chosen = np.arange(n_rows) if rows is None else rows
    found = {"neuroid_id": row_ids(tree, table)[chosen]}
    for name in plain_columns(tree, table, n_rows):
        if name not in ("neuroid_id", "stimulus_id", "repetition"):
            found[name] = column(tree, f"{table}/{name}", n_rows)[chosen]
    return found
