"""Provenance: hashes of what a row was computed from and of its content.

Only hashing and the columns of the hashes belong here; sql/incremental/state.sql compares them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from resources.lake.schema import Table


def digest(*parts: object) -> str:
    """Returns a hash of plain values, stable between runs and machines: 32 hex digits."""
    return hashlib.md5(json.dumps(parts, sort_keys=True, default=str).encode(), usedforsecurity=False).hexdigest()


def with_provenance(batch: pa.RecordBatch, table: Table, columns: Mapping[str, Any]) -> pa.RecordBatch:
    """Returns the computed rows in the table's column order, with a digest of each row and the given columns.

    columns: one value for each column of `MADE_BY` except digest, and for the partition's column.
    """
    arrays = {name: batch.column(name) for name in batch.schema.names}
    arrays["digest"] = pa.array(row_digests(batch), pa.string())
    for name, value in columns.items():
        arrays[name] = pa.repeat(pa.scalar(value, table.arrow.field(name).type), batch.num_rows)
    return pa.RecordBatch.from_pydict({name: arrays[name] for name in table.column_names}, schema=table.arrow)


def row_digests(batch: pa.RecordBatch) -> list[str]:
    """Returns a hash of each row's own content. Binary values and vectors are hashed as bytes, the rest as JSON."""
    columns = {name: _hashable(batch.column(name)) for name in sorted(batch.schema.names)}
    digests = []
    for index in range(batch.num_rows):
        hashed = hashlib.md5(usedforsecurity=False)
        for name, values in columns.items():
            value = values[index]
            hashed.update(name.encode())
            hashed.update(value if isinstance(value, bytes) else json.dumps(value, default=str).encode())
        digests.append(hashed.hexdigest())
    return digests


def _hashable(column: pa.Array) -> list[Any]:
    if not pa.types.is_fixed_size_list(column.type):
        return column.to_pylist()
    vectors = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), column.type.list_size)
    return [vector.tobytes() for vector in vectors]
