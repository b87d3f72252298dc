"""What differs between two versions of a table: the fragments that the two do not have in common.

Whoever keeps a digest of an earlier version reckons that of a later one from these fragments alone, on both sides:
rows that compaction merely moved go and come, and cancel out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from resources.lake.schema import MADE_BY, Table
from resources.lake.statements import statement

if TYPE_CHECKING:
    import duckdb
    import lance

    from resources.lake.store import Lake


PARTITIONS_AT_A_TIME = 50  # some 100,000 clips: an index finds their rows, and these fit into memory


@dataclass(frozen=True)
class Fragments:
    """Some fragments of a table at one version."""

    dataset: lance.LanceDataset
    fragments: Sequence[lance.LanceFragment]

    def rows(self, columns: Sequence[str]) -> pa.RecordBatchReader | None:
        """Streams these columns of the rows; None where there is no fragment."""
        if not self.fragments:
            return None
        return self.dataset.scanner(columns=list(columns), fragments=list(self.fragments)).to_reader()


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
        {json.dumps(fragment.metadata.to_json(), sort_keys=True): fragment for fragment in dataset.get_fragments()}
        for dataset in (earlier, now)
    )
    return (
        Fragments(earlier, [fragment for identity, fragment in before.items() if identity not in after]),
        Fragments(now, [fragment for identity, fragment in after.items() if identity not in before]),
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
