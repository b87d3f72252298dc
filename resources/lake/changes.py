"""What differs between two versions of a table: the fragments that the two do not have in common; of a fragment in
which rows were deleted, these rows alone.

Whoever keeps a digest of an earlier version reckons that of a later one from these rows, on both sides: rows that
compaction merely moved go and come, and cancel out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from resources.lake.schema import MADE_BY, Table
from resources.lake.statements import statement

if TYPE_CHECKING:
    import duckdb
    import lance

    from resources.lake.store import Lake


MAX_ADDRESSES = 10_000  # deleted rows that are read by themselves; of more, the whole fragments are read
PARTITIONS_AT_A_TIME = 50  # some 100,000 clips: an index finds their rows, and these fit into memory


@dataclass(frozen=True)
class Fragments:
    """Some fragments of a table at one version, whole, and some rows of others, by their addresses."""

    dataset: lance.LanceDataset
    fragments: Sequence[lance.LanceFragment]
    addresses: Sequence[int] = ()

    def rows(self, columns: Sequence[str]) -> pa.RecordBatchReader | None:
        """Streams these columns of the rows; None where there is no row."""
        scanners = []
        if self.fragments:
            scanners.append(self.dataset.scanner(columns=list(columns), fragments=list(self.fragments)))
        if self.addresses:
            chosen = f"_rowaddr in ({', '.join(map(str, self.addresses))})"
            scanners.append(self.dataset.scanner(columns=list(columns), filter=chosen))
        if not scanners:
            return None
        batches = (batch for scanner in scanners for batch in scanner.to_batches())
        return pa.RecordBatchReader.from_batches(scanners[0].projected_schema, batches)


def whole(dataset: lance.LanceDataset) -> Fragments:
    return Fragments(dataset, dataset.get_fragments())


def changes(lake: Lake, table: Table, since: int, now: lance.LanceDataset) -> tuple[Fragments, Fragments] | None:
    """Returns what the version `since` has and `now` has not, and the reverse: by files, and by deleted rows.

    None where that version was removed.
    """
    earlier = _at(lake, table, since)
    if earlier is None:
        return None
    before, after = (
        {_identity(fragment): fragment for fragment in dataset.get_fragments()} for dataset in (earlier, now)
    )
    gone = {identity.files: before[identity] for identity in before.keys() - after.keys()}
    new = {identity.files: after[identity] for identity in after.keys() - before.keys()}
    addresses: tuple[list[int], list[int]] = ([], [])
    for files in gone.keys() & new.keys():  # the same rows, of which others are deleted
        left, came = _deleted_rows(gone[files], new[files])
        if len(left) + len(came) + len(addresses[0]) + len(addresses[1]) <= MAX_ADDRESSES:
            addresses[0].extend(left)
            addresses[1].extend(came)
            del gone[files], new[files]
    return Fragments(earlier, list(gone.values()), addresses[0]), Fragments(now, list(new.values()), addresses[1])


class _Identity(NamedTuple):
    files: str
    deletions: str


def _identity(fragment: lance.LanceFragment) -> _Identity:
    """Returns what two fragments with the same rows have in common: their files, and which of the rows are deleted."""
    described = fragment.metadata.to_json()
    deletions = described.pop("deletion_file", None)
    return _Identity(json.dumps(described, sort_keys=True), json.dumps(deletions, sort_keys=True))


def _deleted_rows(before: lance.LanceFragment, after: lance.LanceFragment) -> tuple[list[int], list[int]]:
    """Returns addresses of the rows that only one of two states of a fragment has. It reads no column: some 20 ms for
    a million rows.
    """
    import numpy as np

    left, came = (
        fragment.scanner(columns=[], with_row_address=True).to_table()["_rowaddr"].to_numpy()
        for fragment in (before, after)
    )
    return (
        np.setdiff1d(left, came, assume_unique=True).tolist(),
        np.setdiff1d(came, left, assume_unique=True).tolist(),
    )


def compare(
    lake: Lake,
    table: Table,
    since: int,
    now: lance.LanceDataset,
    columns: Sequence[str],
    select: str,
    name: str,
) -> list[Any] | None:
    """Returns the rows of the statement `sql/<name>.sql`. It reads `gone` and `new`: `select`, an SQL text, of these
    columns of the rows that only one of the two versions may have. None where the earlier version was removed.
    """
    differing = changes(lake, table, since, now)
    if differing is None:
        return None
    with lake.connect([]) as connection:
        register(connection, differing, columns, select)
        return connection.sql(statement(name)).fetchall()


def register(
    connection: duckdb.DuckDBPyConnection,
    differing: tuple[Fragments, Fragments],
    columns: Sequence[str],
    select: str,
) -> None:
    """Registers what `changes` returned as the views `gone` and `new`, which can be read once: `select`, an SQL text,
    of these columns.
    """
    for view, fragments in zip(("gone", "new"), differing, strict=True):
        _register(connection, view, fragments, columns, select)


def changed_partitions(lake: Lake, table: Table, since: int | None, version: int) -> set[str | None] | None:
    """Returns the partitions of which the table has other rows at `version` than it had at the version `since`; None
    where that cannot be told: without an earlier version, or where it was removed.
    """
    if since == version:
        return set()
    if since is None or table.partition is None:
        return None
    made_by = [column.name for column in MADE_BY]
    # What a stage computed is known by its digest, which spares reading it.
    is_of_stage = set(made_by) <= set(table.column_names)
    columns = [table.key, *made_by] if is_of_stage else table.column_names
    # Names of columns cannot be bound; these come from resources.lake.schema, never from data.
    select = f"'' as stage, {table.partition} as partition, hash({', '.join(columns)}) as content"
    now = lake.dataset(table.name, version)
    rows = compare(lake, table, since, now, [table.partition, *columns], select, "incremental/changed_partitions")
    return None if rows is None else {partition for _, partition in rows}


def in_parts(partitions: Iterable[str]) -> Iterator[list[str]]:
    """Yields the partitions in order, so many at a time as are read together."""
    ordered = sorted(partitions)
    for start in range(0, len(ordered), PARTITIONS_AT_A_TIME):
        yield ordered[start : start + PARTITIONS_AT_A_TIME]


def _register(
    connection: duckdb.DuckDBPyConnection, view: str, fragments: Fragments, columns: Sequence[str], select: str
) -> None:
    columns = list(dict.fromkeys(columns))
    rows = fragments.rows(columns)
    if rows is None:
        arrow = fragments.dataset.schema
        rows = pa.schema([arrow.field(column) for column in columns]).empty_table().to_reader()
    connection.register(f"{view}$rows", rows)
    connection.execute(f'create temp view {view} as select {select} from "{view}$rows"')


def _at(lake: Lake, table: Table, version: int) -> lance.LanceDataset | None:
    try:
        return lake.dataset(table.name, version)
    except ValueError as error:
        if "not found" not in str(error).lower():
            raise
        return None
