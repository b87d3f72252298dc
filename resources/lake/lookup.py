"""Reading rows of one open table by their keys, however large the table is: through the index on the key."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.lake.schema import Table

if TYPE_CHECKING:
    import lance
    import pyarrow.compute as pc

KEYS_PER_READ = 10_000  # one IN list; bounds the memory of planning it


def begins_with(column: str, prefix: str) -> pc.Expression:
    """Returns the condition as a range: an index on the column finds the rows."""
    import pyarrow.compute as pc

    return (pc.field(column) >= prefix) & (pc.field(column) < f"{prefix}\U0010ffff")


def rows_with_keys(
    dataset: lance.LanceDataset,
    table: Table,
    keys: pa.Array | pa.ChunkedArray,
    columns: Iterable[str] = (),
    *,
    by: str | None = None,
    with_row_address: bool = False,
) -> pa.Table:
    """Returns the rows that have one of the keys, in no order: the key and the columns.

    by: the column that holds `keys`; the table's key unless given. It should have an index.
    """
    import pyarrow.compute as pc

    names = list(dict.fromkeys([table.key, *columns]))
    parts = [
        dataset.scanner(
            columns=names, filter=pc.field(by or table.key).isin(part), with_row_address=with_row_address
        ).to_table()
        for part in _parts(keys)
    ]
    return pa.concat_tables(parts) if parts else dataset.schema.empty_table().select(names)


def rows_in_order_of_keys(
    dataset: lance.LanceDataset, table: Table, keys: Sequence[str], columns: Sequence[str]
) -> pa.Table:
    """Returns a row for each key, in the order of the keys. Raises KeyError naming keys that are missing."""
    import pyarrow.compute as pc

    parts = []
    for part in _parts(pa.array(keys, pa.string())):
        rows = rows_with_keys(dataset, table, part, columns)
        positions = pc.index_in(part, rows[table.key].combine_chunks())
        missing = part.filter(positions.is_null())
        if len(missing):
            raise KeyError(f"{table.name} has no row with {table.key} {first_few(missing.to_pylist())}")
        parts.append(rows.take(positions).select(columns))
    return pa.concat_tables(parts) if parts else dataset.schema.empty_table().select(columns)


def rows_with_new_keys(dataset: lance.LanceDataset, table: Table, rows: pa.Table) -> pa.Table:
    """Returns those of `rows` whose keys the table lacks."""
    import pyarrow.compute as pc

    stored = rows_with_keys(dataset, table, rows[table.key])
    return rows.filter(pc.invert(pc.is_in(rows[table.key], stored[table.key].combine_chunks())))


def first_few(values: list) -> str:
    """The first five values and how many more there are, for an error message."""
    more = f" and {len(values) - 5} more" if len(values) > 5 else ""
    return ", ".join(repr(value) for value in values[:5]) + more


def _parts(keys: pa.Array | pa.ChunkedArray) -> Iterator[pa.Array]:
    flat = keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
    return (flat.slice(start, KEYS_PER_READ) for start in range(0, len(flat), KEYS_PER_READ))
