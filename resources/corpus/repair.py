"""Makes a damaged lake one that can be read, and whose lost rows are pending.

Rows of files that are lost are taken from older versions of the table, as far as these have them: compaction leaves
the files that it merged for a week. What no version has is gone from the table, so the units that it was made from are
pending, as after a row was deleted by hand, and the next run makes it again. An index is built from the rows.

A table of which no version can be opened is created again, empty, where a stage fills it.

What comes from outside cannot be made again: sources, feeds, annotations, what was forgotten. A table of those is only
repaired where older versions have all of its rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.corpus.damage import (
    HINT,
    ROWS_PER_READ,
    UNREADABLE,
    Damage,
    counted_versions,
    damage,
    identity,
    manifest,
)
from resources.corpus.published_export import INTERNVID_JSONL
from resources.corpus.snapshots import remove_snapshots
from resources.corpus.statistics import MART
from resources.incremental.batch_states import forget_batch_states
from resources.lake.maintenance import build_index, index_kinds, index_new_rows, retried
from resources.lake.paths import StoragePath
from resources.lake.published_files import withdraw
from resources.lake.schema import (
    ANNOTATIONS,
    BATCH_STATES,
    COMPARISONS,
    COPY_KEYS,
    DUPLICATES,
    EXPORTS,
    FEEDS,
    SOURCES,
    TABLES,
    TOMBSTONES,
    Table,
)
from resources.lake.vector_index import index_vectors

if TYPE_CHECKING:
    import lance

    from resources.lake.store import Lake

# Their rows come from outside, or say what left the lake.
GIVEN = {table.name for table in (SOURCES, FEEDS, ANNOTATIONS, TOMBSTONES, EXPORTS)}
# What a run of ingest does not make again by itself, and what does.
MADE_BY = {
    "subsets": "internvid subset make NAME",
    "subset_snapshots": "internvid subset make NAME",
    "checkpoints": "internvid train",
    "evaluations": "internvid train",
    "active_checkpoint": "internvid activate CHECKPOINT",
}
MAX_ROUNDS = 3  # what else is damaged is known once a table can be opened


class Irreparable(RuntimeError):
    """Rows that nothing in the lake can make again are lost. The message says what to do."""


def damages(lake: Lake, *, deep: bool = False) -> list[Damage]:
    """Returns what is damaged of each damaged table, in the order in which data flows. deep: reads every byte."""
    known = counted_versions(lake)
    tables = (damage(lake, table, deep=deep, known_version=known.get(table.name, 0)) for table in TABLES.values())
    return [of_table for of_table in tables if of_table]


def repair(lake: Lake, damaged: list[Damage], *, deep: bool = False) -> Iterator[str]:
    """Repairs the tables, and yields what was done, a line each. Nobody else may write meanwhile.

    Raises Irreparable for the first table of given rows of which some are lost; it stays as it is, and so do the tables
    after it.
    """
    for of_table in damaged:
        yield from _repair_table(lake, of_table, deep=deep)
    if any(of_table.loses_rows or of_table.older_versions for of_table in damaged):
        # They name versions by which nobody can tell any more what has changed since.
        if any(of_table.table == BATCH_STATES.name for of_table in damaged):
            lake.delete_all(BATCH_STATES.name)
        else:
            forget_batch_states(lake)
    if any(of_table.lost_versions for of_table in damaged):
        # They name versions, too, whose numbers other content will have.
        for name in (MART, INTERNVID_JSONL):
            if withdraw(lake, name):
                yield f"{name} was removed: the next publishing writes it again"
    if {of_table.table for of_table in damaged if of_table.loses_rows} & {DUPLICATES.name, COPY_KEYS.name}:
        lake.delete_all(COMPARISONS.name)  # so every video is compared again
        yield "every video is compared with all others again, to find copies: the next publishing does so"
    if tags := sorted({tag for of_table in damaged for tag in of_table.tags}):
        remove_snapshots(lake, tags)
        yield f"{len(tags):,} snapshots that can no longer be read were removed: {', '.join(tags)}"


def _repair_table(lake: Lake, of_table: Damage, *, deep: bool) -> Iterator[str]:
    table = TABLES[of_table.table]
    for _ in range(MAX_ROUNDS):
        if of_table.newest is None:
            if table.unit is None and table.name != BATCH_STATES.name:
                raise Irreparable(f"no version of {table.name} can be opened: restore the lake from a backup")
            StoragePath(lake.uri(table.name), lake.file_options).remove()
            lake.create_table(table.name)
            yield f"{table.name}: it was created again, without rows{_advice(table)}"
            return
        if of_table.lost_versions:
            if table.name in GIVEN and of_table.uncommitted:
                raise _irreparable(table, of_table.uncommitted)
            _remove_tags(lake, table, of_table.tags)
            _remove_manifests(lake, table, of_table.lost_versions)
            (StoragePath(lake.uri(table.name), lake.file_options) / HINT).remove()
            yield f"{table.name}: it is as it was at version {of_table.newest}{_advice(table)}"
        if of_table.fragments or of_table.addresses:
            saved = _without_lost_rows(lake, table, of_table)
            yield f"{table.name}: {saved:,} rows were taken from older versions, {of_table.rows - saved:,} are gone" + (
                _advice(table) if saved < of_table.rows else ""
            )
        if not of_table.lost_versions:
            _remove_tags(lake, table, of_table.tags)
        if of_table.older_versions:
            _remove_manifests(lake, table, of_table.older_versions)
            yield f"{table.name}: {len(of_table.older_versions):,} older versions were removed"
        if of_table.indexes:
            _rebuild_indexes(lake, table, of_table)
            yield f"{table.name}: {len(of_table.indexes):,} indexes were built again"
        if of_table.fragments:
            retried(partial(lake.dataset, table.name), partial(index_new_rows, table=table))
        of_table = damage(lake, table, deep=deep)
        if not of_table:
            return
    raise Irreparable(f"{table.name} could not be repaired: restore the lake from a backup")


def _advice(table: Table) -> str:
    if table.name in MADE_BY:
        return f"; `{MADE_BY[table.name]}` makes them again"
    return "" if table.unit is None else "; `internvid ingest` makes them again"


def _irreparable(table: Table, rows: int) -> Irreparable:
    return Irreparable(
        f"{rows:,} rows of {table.name} are lost, and nothing in the lake can make them again: {table.row_is}. Restore "
        "the lake from a backup (`internvid restore`), or move it away and begin with a new one; nothing of this table "
        "was changed"
    )


def _remove_manifests(lake: Lake, table: Table, versions: dict[int, str]) -> None:
    for version in versions:
        (StoragePath(lake.uri(table.name), lake.file_options) / manifest(version)).remove()


def _remove_tags(lake: Lake, table: Table, tags: list[str]) -> None:
    for tag in tags:
        lake.dataset(table.name).tags.delete(tag)


def _without_lost_rows(lake: Lake, table: Table, of_table: Damage) -> int:
    """Takes lost fragments and rows out of the table, and in the same commit puts in what older versions have of them.

    Returns how many rows these had.
    """
    import lance

    dataset, options = lake.dataset(table.name), lake.lance_options or None
    saved = 0

    def counted() -> Iterator[pa.RecordBatch]:
        nonlocal saved
        for batch in _rows_of_older_versions(lake, table, dataset, of_table):
            saved += batch.num_rows
            yield batch

    rows = pa.RecordBatchReader.from_batches(dataset.schema, counted())
    fragments = lance.fragment.write_fragments(rows, lake.uri(table.name), mode="append", storage_options=options)
    if table.name in GIVEN and saved < of_table.rows:
        raise _irreparable(table, of_table.rows - saved)
    change = lance.LanceOperation.Update(removed_fragment_ids=sorted(of_table.fragments), new_fragments=fragments)
    committed = lance.LanceDataset.commit(
        lake.uri(table.name), change, read_version=dataset.version, storage_options=options, max_retries=0
    )
    if of_table.addresses:
        committed.delete(f"_rowaddr IN ({', '.join(map(str, of_table.addresses))})", conflict_retries=0)
    return saved


def _rows_of_older_versions(
    lake: Lake, table: Table, dataset: lance.LanceDataset, of_table: Damage
) -> Iterator[pa.RecordBatch]:
    """Yields the lost rows as the newest versions that have them have them.

    Where no index says which keys were lost, these are the rows whose keys the table does not have.
    """
    whole = [fragment for fragment in dataset.get_fragments() if fragment.fragment_id not in of_table.fragments]
    wanted = set(of_table.keys)
    present = set() if wanted or not whole else _keys(dataset, table, whole)
    read = {identity(fragment) for fragment in dataset.get_fragments()}
    missing = of_table.rows - len(of_table.addresses)  # older rows are not what was altered
    for version in sorted((row["version"] for row in dataset.versions()), reverse=True):
        if missing <= 0 or version in of_table.older_versions:
            continue
        for fragment in lake.dataset(table.name, version).get_fragments():
            if identity(fragment) in read:
                continue
            read.add(identity(fragment))
            try:
                for batch in fragment.to_batches(columns=dataset.schema.names, batch_size=ROWS_PER_READ):
                    keys = batch.column(table.key).to_pylist()
                    chosen = [key not in present and (not wanted or key in wanted) for key in keys]
                    rows = batch.filter(pa.array(chosen, pa.bool_()))
                    present.update(rows.column(table.key).to_pylist())
                    missing -= rows.num_rows
                    yield from [rows] if rows.num_rows else []
            except UNREADABLE:
                continue  # it is lost, too, or lacks a column that the table got since


def _keys(dataset: lance.LanceDataset, table: Table, fragments: list[lance.LanceFragment]) -> set[str]:
    batches = dataset.scanner(columns=[table.key], fragments=fragments).to_batches()
    return {key for batch in batches for key in batch.column(table.key).to_pylist()}


def _rebuild_indexes(lake: Lake, table: Table, of_table: Damage) -> None:
    kinds = index_kinds(table, rows=lake.dataset(table.name).count_rows())
    names = {index.name: index.field_names for index in lake.dataset(table.name).describe_indices()}
    open_newest = partial(lake.dataset, table.name)
    for name in of_table.indexes:
        (column,) = names[name]
        if column in kinds:
            retried(open_newest, partial(build_index, column=column, kind=kinds[column]))
        else:
            lake.dataset(table.name).drop_index(name)  # of vectors, or one that nothing asks for
    retried(open_newest, partial(index_vectors, table=table))
