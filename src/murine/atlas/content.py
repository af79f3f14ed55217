"""The digest of the rows of a result: the same for the same numbers, in whatever kind of file they are kept."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def rows_digest(rows: pa.Table) -> str:
    """Return the SHA-256 of a table's values, with the names and types of its columns.

    Parameters
    ----------
    rows
        Columns of numbers, texts, booleans and lists of numbers. How they are cut into chunks does not matter.

    Examples
    --------
    >>> import pyarrow as pa
    >>> whole = pa.table({"layer": ["a", None], "score": [0.5, 0.25]})
    >>> rows_digest(whole) == rows_digest(pa.concat_tables([whole.slice(0, 1), whole.slice(1)]))
    True
    """
    total = hashlib.sha256()
    for field in rows.schema:
        total.update(f"{field.name}\0{field.type}\0".encode())
        column = rows.column(field.name).combine_chunks()
        for part in _parts(column):
            total.update(len(part).to_bytes(8, "little"))
            total.update(part)
    return total.hexdigest()


def _parts(column: Any) -> list[bytes]:
    """The bytes of a column: which values are null, and the others."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.ChunkedArray):  # combine_chunks of an empty table, and of older versions of pyarrow
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    missing = np.packbits(column.is_null().to_numpy(zero_copy_only=False)).tobytes()
    if pa.types.is_list(column.type):
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        return [missing, lengths.astype("<i8").tobytes(), *_parts(pc.list_flatten(column))]
    if pa.types.is_string(column.type):
        coded = pc.fill_null(column, "").dictionary_encode()
        levels = [text.encode("utf-8", "surrogatepass") for text in coded.dictionary.to_pylist()]
        codes = coded.indices.to_numpy(zero_copy_only=False).astype("<i4").tobytes()
        return [missing, codes, b"".join(len(level).to_bytes(8, "little") + level for level in levels)]
    return [
        missing,
        pc.fill_null(column, False if pa.types.is_boolean(column.type) else 0).to_numpy(zero_copy_only=False).tobytes(),
    ]
