"""Writing rows to one table of the lake: each function makes one atomic commit, and tries it again after a lost race.

Only what a write does to its table belongs here; which tables there are, and where, is `resources.lake.store`.

What pylance 14.0.2 does with a merge whose key is marked as primary key and has an index that covers rows:

* it is flat in the size of the table, where one without the index scans every key, some 60 ms per million rows;
* a condition on the update makes it fail. So rows that need no update are removed before, by a query;
* two merges that insert the same new key at once both insert it; without the index, one of them is done again. So
  `upsert` searches for such doubles when another process committed since it began, and keeps one row.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa

from resources.lake.lookup import first_few, rows_with_keys, rows_with_new_keys
from resources.lake.maintenance import LOST_EVERY_RACE
from resources.lake.schema import RAW_VIDEOS, Table

if TYPE_CHECKING:
    import lance
    import polars as pl
    from lance.dataset import MergeInsertBuilder

ROWS_PER_BATCH = 8192  # of what Lance reads and writes at once
COMMIT_RETRIES = 30
# Lance gives up after 30 s, which eight writers on one table can exceed on a busy machine; its innermost loop does so
# whatever it is told.
COMMIT_TIMEOUT = timedelta(minutes=10)

# Two sources may hold the same video, and of two that are ingested at the same moment the first must keep the row.
# Only a condition within the commit can ensure that, so here it is, without the index: 60 ms per million videos.
# In every other table the key begins with the unit, so that no two units make the same row.
MADE_BY_SEVERAL_UNITS = {RAW_VIDEOS.name}


Written = TypeVar("Written")


@dataclass(frozen=True)
class Change:
    """What a write did, in rows. version: the table's version that holds it; None if there was nothing to write.

    Where two processes write the same keys at the same moment, a row may be counted by both or by neither.
    """

    added: int
    changed: int
    version: int | None
    removed: int = 0


def until_committed(write: Callable[[], Written]) -> Written:
    """Returns what `write` does, which opens its table each time: it is done again where Lance has given up, since
    others committed all the time. After COMMIT_TIMEOUT that is an error.
    """
    end = time.monotonic() + COMMIT_TIMEOUT.total_seconds()
    while True:
        try:
            return write()
        except OSError as lost_races:
            if LOST_EVERY_RACE not in str(lost_races) or time.monotonic() > end:
                raise
        time.sleep(random.uniform(0.0, 1.0))


def upsert(
    dataset: lance.LanceDataset,
    open_newest: Callable[[], lance.LanceDataset],
    table: Table,
    rows: pa.Table | pl.DataFrame | pa.RecordBatchReader,
) -> Change:
    """Adds rows with new keys and replaces those that are there, as `Lake.upsert` says.

    open_newest: opens the table at its newest version; called where doubles have to be removed.
    """
    if table.name in MADE_BY_SEVERAL_UNITS:
        return _upsert_on_condition(dataset, table, rows)
    read_version = dataset.version
    stored = _StoredRows(dataset, table)
    source = Conformed(rows, table, keep=stored.worth_writing)
    change = _execute(dataset, _merge(dataset, table).when_matched_update_all().when_not_matched_insert_all(), source)
    if change.version is not None and change.version > read_version + 1:
        stored.note_doubles(rows_with_keys(dataset, table, pa.array(source.keys, pa.string())))
    if stored.doubles:
        version = _leave_one_row_of_each(open_newest, table, stored.doubles)
        return Change(max(0, change.added - len(stored.doubles)), change.changed, version)
    return change


def insert_new(
    dataset: lance.LanceDataset, table: Table, rows: pa.Table | pl.DataFrame | pa.RecordBatchReader
) -> Change:
    """Adds the rows whose keys the table lacks, as `Lake.insert_new` says."""
    source = Conformed(rows, table, keep=partial(rows_with_new_keys, dataset, table))
    return _execute(dataset, _merge(dataset, table).use_index(False).when_not_matched_insert_all(), source)


def delete(dataset: lance.LanceDataset, table: Table, keys: Sequence[str]) -> int:
    """Deletes the rows with these keys in one commit. Returns how many there were."""
    source = pa.table({table.key: pa.array(sorted(set(keys)), pa.string())})
    if rows_with_keys(dataset, table, source[table.key]).num_rows == 0:
        return 0
    # A merge rather than DELETE … WHERE key IN (…): one commit however many keys, and no key is ever quoted.
    return _merge(dataset, table).when_matched_delete().execute(source)["num_deleted_rows"]


def replace_batch(
    dataset: lance.LanceDataset,
    table: Table,
    ingest_batch: str,
    rows: pa.Table | pl.DataFrame | pa.RecordBatchReader,
) -> Change:
    """Makes `rows` the only rows of the batch in one commit, as `Lake.replace_batch` says."""
    merge = (
        _merge(dataset, table)
        .use_index(False)  # a merge that deletes what the source lacks reads every key in any case
        .when_matched_update_all("source.provenance IS DISTINCT FROM target.provenance")
        .when_not_matched_insert_all()
        .when_not_matched_by_source_delete(f"ingest_batch = {sql_text(ingest_batch)}")
    )
    return _execute(dataset, merge, Conformed(rows, table, only_batch=ingest_batch), even_if_empty=True)


class Conformed:
    """Rows as their table wants them: its columns in its order, cast to its types, every key present and only once.

    keep: which of the conformed rows are worth writing; gets a part of them and returns some of it.
    source: those rows, as a table, or as a stream if that is what was given. is_empty: there are none.
    keys: of the rows that were read so far, also those that are not worth writing.
    """

    def __init__(
        self,
        rows: pa.Table | pl.DataFrame | pa.RecordBatchReader,
        table: Table,
        *,
        keep: Callable[[pa.Table], pa.Table] = lambda rows: rows,
        only_batch: str | None = None,
    ) -> None:
        self.table = table
        self.schema = table.arrow
        self.only_batch = only_batch
        self.keys: set[str] = set()
        self.error: ValueError | None = None
        self.source: pa.Table | pa.RecordBatchReader
        if isinstance(rows, pa.RecordBatchReader):
            parts = (keep(self._checked(pa.Table.from_batches([part]))) for part in rows)
            batches = (batch for part in parts for batch in _in_own_buffers(part) if batch.num_rows)
            first = next(batches, None)
            self.is_empty = first is None
            head = [] if first is None else [first]
            self.source = pa.RecordBatchReader.from_batches(self.schema, self._remembering(chain(head, batches)))
        else:
            kept = keep(self._checked(rows if isinstance(rows, pa.Table) else rows.to_arrow()))
            self.source = pa.Table.from_batches(_in_own_buffers(kept), schema=self.schema)
            self.is_empty = self.source.num_rows == 0

    def _remembering(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches; an error is kept, since Lance reports one of its source as an OSError that wraps the text."""
        try:
            yield from batches
        except ValueError as error:
            self.error = error
            raise

    def _checked(self, rows: pa.Table) -> pa.Table:
        name = self.table.name
        unknown = [column for column in rows.column_names if column not in self.table.column_names]
        if unknown:
            raise ValueError(f"{name} has no column {first_few(unknown)}")
        cast = pa.table([self._column(rows, field) for field in self.schema], schema=self.schema)
        self._check_keys(cast[self.table.key])
        if self.only_batch is not None:
            wrong_batches = set(cast["ingest_batch"].unique().to_pylist()) - {self.only_batch}
            if wrong_batches:
                raise ValueError(f"{name}: rows of batch {first_few(list(wrong_batches))} given for {self.only_batch}")
        return cast

    def _check_keys(self, column: pa.ChunkedArray) -> None:
        name, key = self.table.name, self.table.key
        if column.null_count:
            raise ValueError(f"{name}: {column.null_count} rows have no {key}")
        keys = column.to_pylist()
        repeated = [value for value, count in Counter(keys).items() if count > 1 or value in self.keys]
        if repeated:
            raise ValueError(f"{name}: {key} given twice: {first_few(repeated)}")
        self.keys.update(keys)

    def _column(self, rows: pa.Table, field: pa.Field) -> pa.ChunkedArray | pa.Array:
        if field.name in rows.column_names:
            try:
                return rows[field.name].cast(field.type)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise ValueError(f"{self.table.name}: column {field.name}: {error}") from error
        if not field.nullable:
            raise ValueError(f"{self.table.name}: column {field.name} is missing")
        return pa.nulls(rows.num_rows, field.type)


def _in_own_buffers(rows: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yields the rows in batches as Lance reads them.

    Lance cuts larger ones, and counts every slice as the whole that it lies in against the memory of a merge: 100,000
    rows of 25 MB are refused as more than 300.
    """
    for batch in rows.to_batches(max_chunksize=ROWS_PER_BATCH):
        yield pa.record_batch([pa.concat_arrays([column]) for column in batch.columns], schema=batch.schema)


class _StoredRows:
    """The rows that a table held before a write. doubles: keys that it holds more than once."""

    def __init__(self, dataset: lance.LanceDataset, table: Table) -> None:
        self.dataset = dataset
        self.table = table
        self.doubles: set[str] = set()

    def worth_writing(self, rows: pa.Table) -> pa.Table:
        """Of a table that a stage fills: the rows that are not in it, in their partition and at their provenance."""
        import pyarrow.compute as pc

        if self.table.unit is None:
            return rows
        key = self.table.key
        # By partition, not by key: 5 ms against 100 ms for 5,000 clips among 10 million. Rows of a batch lie together,
        # while keys, being hashes, are spread over all pages of their index.
        assert self.table.partition is not None, f"{self.table.name} is filled by a stage, so it has partitions"
        partitions = rows[self.table.partition].unique().drop_null()
        stored = self.dataset.scanner(
            columns=[key, "provenance"], filter=pc.field(self.table.partition).isin(partitions)
        ).to_table()
        stored = stored.filter(pc.is_in(stored[key], rows[key].combine_chunks()))
        self.note_doubles(stored)
        at = pc.index_in(rows[key], stored[key].combine_chunks())
        return rows.filter(pc.invert(pc.equal(rows["provenance"], stored["provenance"].take(at)).fill_null(False)))

    def note_doubles(self, rows: pa.Table) -> None:
        counts = Counter(rows[self.table.key].to_pylist())
        self.doubles.update(value for value, count in counts.items() if count > 1)


def _upsert_on_condition(
    dataset: lance.LanceDataset, table: Table, rows: pa.Table | pl.DataFrame | pa.RecordBatchReader
) -> Change:
    """An upsert that replaces a row only with one of the same unit, by a condition within the commit."""
    differs = " OR ".join(f"(source.{name} IS DISTINCT FROM target.{name})" for name in ("provenance", table.partition))
    may_be_replaced = f"(source.{table.unit} = target.{table.unit}) AND ({differs})"
    merge = _merge(dataset, table).use_index(False).when_matched_update_all(may_be_replaced)
    source = Conformed(rows, table, keep=_StoredRows(dataset, table).worth_writing)
    return _execute(dataset, merge.when_not_matched_insert_all(), source)


def _leave_one_row_of_each(open_newest: Callable[[], lance.LanceDataset], table: Table, doubles: set[str]) -> int:
    """Deletes all but one row of each of these keys, which two processes inserted at once. Returns the version."""
    for _ in range(COMMIT_RETRIES):
        dataset = open_newest()
        copies = rows_with_keys(dataset, table, pa.array(doubles, pa.string()), with_row_address=True)
        first = copies.group_by(table.key).aggregate([("_rowaddr", "min")])["_rowaddr_min"]
        extra = set(copies["_rowaddr"].to_pylist()) - set(first.to_pylist())
        if not extra:
            return dataset.version
        try:
            # No retry by Lance: it would delete what has these addresses after a compaction has moved the rows.
            dataset.delete(f"_rowaddr IN ({', '.join(map(str, extra))})", conflict_retries=0)
        except OSError as lost_race:
            if LOST_EVERY_RACE not in str(lost_race):
                raise
            time.sleep(random.uniform(0.0, 0.1))
    raise TimeoutError(f"{table.name}: rows with {table.key} {first_few(sorted(doubles))} are still there twice")


def _merge(dataset: lance.LanceDataset, table: Table) -> MergeInsertBuilder:
    return dataset.merge_insert(table.key).conflict_retries(COMMIT_RETRIES).retry_timeout(COMMIT_TIMEOUT)


def _execute(
    dataset: lance.LanceDataset, merge: MergeInsertBuilder, rows: Conformed, *, even_if_empty: bool = False
) -> Change:
    if rows.is_empty and not even_if_empty:
        return Change(0, 0, None)
    try:
        counts = merge.execute(rows.source)
    except OSError:
        if rows.error is not None:
            raise rows.error from None
        raise
    # A merge moves its dataset on to the version it committed.
    return Change(counts["num_inserted_rows"], counts["num_updated_rows"], dataset.version, counts["num_deleted_rows"])


def sql_text(value: str) -> str:
    """A text literal of the SQL of Lance and DuckDB: only the quote is special in it."""
    return "'" + value.replace("'", "''") + "'"
