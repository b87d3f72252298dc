"""The lake: every table of `resources.schema` as a Lance table, on a disk or in a bucket, read through DuckDB.

Reading, writing, versions and search belong here; what the tables mean is `resources.schema`, which rows need work is
`resources.refresh`, and keeping the tables fast is `resources.maintenance`.

Any number of processes may write at once: each method that writes makes one atomic commit, and a commit that loses a
race is tried again by Lance. Lance is not fork-safe: start processes by spawn, and open the lake inside them (a `Lake`
pickles, it holds no open file).
"""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial, reduce
from itertools import chain
from operator import and_
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa

from resources.maintenance import Maintenance, add_missing_columns, create_missing_indexes, maintain
from resources.schema import CLIP_CAPTIONS, PINNED, RAW_VIDEOS, TABLES, Table

if TYPE_CHECKING:
    import duckdb
    import lance
    import numpy as np
    import polars as pl
    from lance.dataset import MergeInsertBuilder

# lance, duckdb, polars and lancedb are imported where they are used: together they take 3 s, and every process that
# loads the code location would wait for them.

KEYS_PER_READ = 10_000  # one IN list; bounds the memory of planning it

# What pylance 14.0.2 does with a merge whose key is marked as primary key and has an index that covers rows:
# * it is flat in the size of the table, where one without the index scans every key, some 60 ms per million rows;
# * a condition on the update makes it fail. So rows that need no update are left out before, by a look-up;
# * two merges that insert the same new key at once both insert it; without the index, one of them is done again. So
#   `upsert` looks for such doubles when somebody committed since it began, and leaves one row.
COMMIT_RETRIES = 30
COMMIT_TIMEOUT = timedelta(minutes=10)  # Lance gives up after 30 s, which thirty writers on one table can exceed

FOUND = pa.schema(
    [(name, pa.string()) for name in ("clip_id", "video_id", "caption", "model")] + [("score", pa.float64())]
)
CANDIDATES = 100  # of each ranking, before the two are joined
RANK_OFFSET = 10  # of reciprocal rank fusion; with the published 60, a hundred ranks differ too little to be weighed

# Two sources may hold the same video, and of two that are taken in at the same moment the first must keep the row.
# Only a condition within the commit can see to that, so here it is, without the index: 60 ms per million videos.
# In every other table the key begins with the unit, so that no two units make the same row.
MADE_BY_SEVERAL_UNITS = {RAW_VIDEOS.name}


@dataclass(frozen=True)
class Change:
    """What a write did, in rows. version: the table's version that holds it; None if there was nothing to write.

    Where two processes write the same keys at the same moment, a row may be counted by both or by neither.
    """

    added: int
    changed: int
    version: int | None
    removed: int = 0


class Lake(dg.ConfigurableResource):
    """The tables of the corpus under one folder or bucket prefix.

    root: a folder, or `s3://bucket/prefix`.
    storage_options: what Lance needs to reach the bucket (aws_endpoint, allow_http, aws_region, …). Dagster shows a
    resource's configuration to every user, so leave keys to the environment (AWS_ACCESS_KEY_ID, …) where it matters.
    """

    root: str = "lake"
    storage_options: dict[str, str] = {}

    def __reduce__(self) -> tuple:
        # Dagster's resources do not pickle by themselves.
        return partial(type(self), root=self.root, storage_options=self.storage_options), ()

    def uri(self, table: str) -> str:
        return f"{self.root.rstrip('/')}/{_declared(table).name}.lance"

    def exists(self) -> bool:
        """Whether tables have ever been created here."""
        return self._exists(TABLES["sources"])

    def create_tables(self) -> None:
        """Creates the tables and indexes that are missing. Any number of processes may do so at once."""
        for table in TABLES.values():
            self._create(table)

    def dataset(self, table: str, at: str | int | None = None) -> lance.LanceDataset:
        """The table at its newest version, or as it was at a tag or version. Raises ValueError if there is none."""
        import lance

        return lance.dataset(self.uri(table), version=at, storage_options=self.storage_options or None)

    def version(self, table: str) -> int:
        return self.dataset(table).version

    def upsert(self, table: str, rows: pa.Table | pl.DataFrame | pa.RecordBatchReader) -> Change:
        """Adds rows with new keys and replaces those that are there; in a table that a step fills, those that differ
        in provenance or batch. A stored video is replaced only by the source that brought it: the first keeps it.

        Columns are cast to the table's types, and missing ones are null. A RecordBatchReader is passed on batch by
        batch. If no row is left to write, nothing is committed. Where two processes add the same row at the same
        moment, readers may see it twice until the later of them is done.
        Raises ValueError for unknown columns, missing keys, and a key that `rows` holds twice.
        """
        declared = _declared(table)
        if declared.name in MADE_BY_SEVERAL_UNITS:
            return self._upsert_on_condition(declared, rows)
        dataset = self.dataset(table)
        read_version = dataset.version
        stored = _Stored(dataset, declared)
        source = Conformed(rows, declared, keep=stored.worth_writing)
        merge = _merge(dataset, declared).when_matched_update_all().when_not_matched_insert_all()
        change = _merged(dataset, merge, source)
        if change.version is not None and change.version > read_version + 1:
            stored.note_doubles(_present(dataset, declared, pa.array(source.seen, pa.string())))
        if stored.doubles:
            version = self._leave_one_of_each(declared, stored.doubles)
            return Change(max(0, change.added - len(stored.doubles)), change.changed, version)
        return change

    def insert_new(self, table: str, rows: pa.Table | pl.DataFrame | pa.RecordBatchReader) -> Change:
        """Adds the rows whose keys the table lacks: of two that insert the same key at once, the first wins.

        The cost grows with the table: some 60 ms per million rows. Raises as `upsert` does.
        """
        declared = _declared(table)
        dataset = self.dataset(table)
        merge = _merge(dataset, declared).use_index(False).when_not_matched_insert_all()
        return _merged(dataset, merge, Conformed(rows, declared, keep=partial(_absent, dataset, declared)))

    def delete(self, table: str, keys: Sequence[str]) -> int:
        """Deletes the rows with these keys in one commit. Returns how many there were."""
        declared = _declared(table)
        dataset = self.dataset(table)
        source = pa.table({declared.key: pa.array(sorted(set(keys)), pa.string())})
        if _present(dataset, declared, source[declared.key]).num_rows == 0:
            return 0
        # A merge rather than DELETE … WHERE key IN (…): one commit however many keys, and no key is ever quoted.
        return _merge(dataset, declared).when_matched_delete().execute(source)["num_deleted_rows"]

    def replace_batch(
        self, table: str, ingest_batch: str, rows: pa.Table | pl.DataFrame | pa.RecordBatchReader
    ) -> Change:
        """Makes `rows` the only rows of the batch, in one commit: others of that batch are deleted.

        The cost grows with the table (the whole key column is read); for daily work use `upsert` and `delete`.
        Raises as `upsert` does, and ValueError for rows of another batch.
        """
        declared = _declared(table)
        dataset = self.dataset(table)
        merge = (
            _merge(dataset, declared)
            .use_index(False)  # a merge that deletes what the source lacks reads every key in any case
            .when_matched_update_all("source.provenance IS DISTINCT FROM target.provenance")
            .when_not_matched_insert_all()
            .when_not_matched_by_source_delete(f"ingest_batch = {_sql_text(ingest_batch)}")
        )
        return _merged(dataset, merge, Conformed(rows, declared, only_batch=ingest_batch), even_if_empty=True)

    def fetch(self, table: str, keys: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
        """The rows with these keys, in their order. Raises KeyError naming keys that are missing."""
        import pyarrow.compute as pc

        declared = _declared(table)
        dataset = self.dataset(table)
        wanted = list(columns) if columns is not None else declared.column_names
        parts = []
        for asked in _parts(pa.array(keys, pa.string())):
            found = _present(dataset, declared, asked, wanted)
            positions = pc.index_in(asked, found[declared.key].combine_chunks())
            missing = asked.filter(positions.is_null())
            if len(missing):
                raise KeyError(f"{table} has no row with {declared.key} {_named(missing.to_pylist())}")
            parts.append(found.take(positions).select(wanted))
        return pa.concat_tables(parts) if parts else dataset.schema.empty_table().select(wanted)

    def known(self, table: str, keys: Sequence[str], columns: Sequence[str] = ()) -> pa.Table:
        """Those rows of the table that have one of the keys, in no order: the key and the columns. Found by the key's
        index, so however large the table is."""
        declared = _declared(table)
        return _present(self.dataset(table), declared, pa.array(keys, pa.string()), columns)

    def connect(
        self,
        tables: Iterable[str] | None = None,
        *,
        at: str | Mapping[str, int] | None = None,
        only: Mapping[str, str] | None = None,
        untrusted: bool = False,
    ) -> duckdb.DuckDBPyConnection:
        """DuckDB in memory with each table under its bare name, read-only.

        at: a tag, or a version per table (tables not named are at their newest; those that no tag pins, too).
        only: column -> value, for instance an ingest batch: of tables with such a column only those rows are visible.
        untrusted: for SQL of users: no file, network or extension, and no way to allow them again.
        The tables are as they were when connected. Filters and the choice of columns reach Lance.
        """
        import duckdb

        # Replacement scans would let SQL read any Python variable of the caller whose name it guesses.
        connection = duckdb.connect(config={"python_enable_replacements": False, "autoload_known_extensions": False})
        connection.execute("SET TimeZone = 'UTC'")
        for table in TABLES if tables is None else tables:
            version = self._version_at(table, at)
            relation = connection.from_arrow(self.dataset(table, version))
            for column, value in (only or {}).items():
                if column in _declared(table).column_names:
                    wanted = duckdb.ColumnExpression(column) == duckdb.ConstantExpression(value)
                    relation = relation.filter(wanted)
            relation.create_view(table)
        if untrusted:
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
        return connection

    def query(
        self,
        sql: str,
        parameters: Mapping[str, object] | list | None = None,
        *,
        tables: Iterable[str] | None = None,
        at: str | Mapping[str, int] | None = None,
        only: Mapping[str, str] | None = None,
    ) -> pa.Table:
        """The result of one statement over the tables, seen as by `connect`; None are those that it names.

        parameters: for $name or $1.
        """
        with self.connect(tables_in(sql) if tables is None else tables, at=at, only=only) as connection:
            return connection.sql(sql, params=parameters).to_arrow_table()

    def polars(
        self,
        table: str,
        *,
        at: str | int | None = None,
        columns: Sequence[str] | None = None,
        only: Mapping[str, str] | None = None,
    ) -> pl.DataFrame:
        """The table, or some of its columns or rows (`only`: column -> value), as a data frame."""
        import polars as pl
        import pyarrow.compute as pc

        conditions = [pc.field(column) == value for column, value in (only or {}).items()]
        chosen = reduce(and_, conditions) if conditions else None
        scanner = self.dataset(table, at).scanner(columns=None if columns is None else list(columns), filter=chosen)
        frame = pl.from_arrow(scanner.to_table())
        assert isinstance(frame, pl.DataFrame)
        return frame

    def tag(self, name: str, versions: Mapping[str, int] | None = None) -> dict[str, int]:
        """Pins every table of data under one name, at the given version or its newest; such versions are never removed.
        Tables that are made from snapshots are not pinned, they name the one that they were made from.

        Tagging again at the same versions completes what an interrupted call left.
        Returns the version of each table. Raises ValueError where the name already pins another version.
        """
        wanted = {table.name: self.dataset(table.name, (versions or {}).get(table.name)).version for table in PINNED}
        pinned = {table: self._tagged(table, name) for table in wanted}
        for table, version in wanted.items():
            if pinned[table] not in (None, version):
                raise ValueError(f"tag {name} pins {table} at version {pinned[table]}, not {version}")
        for table, version in wanted.items():
            if pinned[table] is None:
                self._pin(table, name, version)
        return wanted

    def tags(self) -> list[str]:
        """The names that pin every table of data, sorted."""
        carried = [set(self.dataset(table.name).tags.list()) for table in PINNED]
        return sorted(set.intersection(*carried))

    def optimize(self, *, keep_versions_for: timedelta = timedelta(days=7)) -> dict[str, Maintenance]:
        """Compacts and indexes every table and removes versions that are older and not tagged; writers may go on."""
        return {
            table.name: maintain(partial(self.dataset, table.name), table, keep_versions_for=keep_versions_for)
            for table in TABLES.values()
        }

    def search(
        self, text: str, *, limit: int = 10, vector: np.ndarray | None = None, vector_weight: float = 1.0
    ) -> pa.Table:
        """The clips that fit `text` best: clip_id, video_id, caption, model, score, best first.

        vector: the text's, [VECTOR_SIZE] float32 by the model that made clip_embeddings. Without it the captions are
        ranked by BM25, and score is that. With it the clips' own vectors are ranked too, and the two rankings are
        joined: score is the sum of weight / (10 + rank) over both (reciprocal rank fusion, Cormack et al. 2009), where
        the words' weight is 1.
        Rows written since the last maintenance are found too. Text without a word finds nothing by BM25.
        """
        if vector is None:
            return self._search_captions(text, limit)
        candidates = max(CANDIDATES, limit)
        rankings = (
            (1.0, self._search_captions(text, candidates)),
            (vector_weight, self._search_vectors(vector, candidates)),
        )
        scores: dict[str, float] = {}
        for weight, ranking in rankings:
            for rank, clip_id in enumerate(ranking["clip_id"].to_pylist(), start=1):
                scores[clip_id] = scores.get(clip_id, 0.0) + weight / (RANK_OFFSET + rank)
        best = [clip_id for clip_id, _ in sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:limit]]
        found = _present(
            self.dataset(CLIP_CAPTIONS.name),
            CLIP_CAPTIONS,
            pa.array(best, pa.string()),
            ["video_id", "caption", "model"],
        ).to_pylist()
        by_id = {row["clip_id"]: row for row in found}
        rows = [by_id[clip_id] | {"score": scores[clip_id]} for clip_id in best if clip_id in by_id]
        return pa.Table.from_pylist(rows, schema=FOUND)

    def _search_vectors(self, vector: np.ndarray, limit: int) -> pa.Table:
        """The clips whose frames' vector is nearest, best first."""
        nearest = {"column": "vector", "q": vector, "k": limit, "metric": "cosine", "refine_factor": 4}
        return self.dataset("clip_embeddings").to_table(
            columns=["clip_id", "_distance"], filter="kind = 'video'", nearest=nearest, prefilter=True
        )

    def _search_captions(self, text: str, limit: int) -> pa.Table:
        import lancedb
        from lancedb.query import MatchQuery

        create_missing_indexes(partial(self.dataset, CLIP_CAPTIONS.name), CLIP_CAPTIONS)
        lake = lancedb.connect(self.root, storage_options=self.storage_options or None)
        # A MatchQuery takes any text as words; a bare string would be parsed, and quotes in it could fail.
        words = MatchQuery(text, "caption")  # type: ignore[call-arg]  # its defaults are pydantic's, unseen by mypy
        found = (
            lake.open_table(CLIP_CAPTIONS.name)
            .search(words, query_type="fts")
            .select(["clip_id", "video_id", "caption", "model", "_score"])
            .limit(limit)
            .to_arrow()
        )
        return found.rename_columns(FOUND.names)

    def _version_at(self, table: str, at: str | Mapping[str, int] | None) -> str | int | None:
        if at is None or isinstance(at, str):
            return at if _declared(table) in PINNED else None
        return at.get(table)

    def _upsert_on_condition(self, table: Table, rows: pa.Table | pl.DataFrame | pa.RecordBatchReader) -> Change:
        dataset = self.dataset(table.name)
        merge = _merge(dataset, table).use_index(False).when_matched_update_all(_may_be_replaced(table))
        source = Conformed(rows, table, keep=_Stored(dataset, table).worth_writing)
        return _merged(dataset, merge.when_not_matched_insert_all(), source)

    def _leave_one_of_each(self, table: Table, doubles: set[str]) -> int:
        """Deletes all but one row of each of these keys, which two processes inserted at once. Returns the version."""
        for _ in range(COMMIT_RETRIES):
            dataset = self.dataset(table.name)
            copies = _present(dataset, table, pa.array(doubles, pa.string()), with_row_address=True)
            first = copies.group_by(table.key).aggregate([("_rowaddr", "min")])["_rowaddr_min"]
            extra = set(copies["_rowaddr"].to_pylist()) - set(first.to_pylist())
            if not extra:
                return dataset.version
            try:
                # No retry by Lance: it would delete what has these addresses after a compaction has moved the rows.
                dataset.delete(f"_rowaddr IN ({', '.join(map(str, extra))})", conflict_retries=0)
            except OSError as lost_race:
                if "concurrent writers" not in str(lost_race):
                    raise
                time.sleep(random.uniform(0.0, 0.1))
        raise TimeoutError(f"{table.name}: rows with {table.key} {_named(sorted(doubles))} are still there twice")

    def _create(self, table: Table) -> None:
        import lance

        if not self._exists(table):
            # Not write_dataset(mode="create"): of two at once, the later overwrites the earlier one's table, rows and
            # all. A commit without retries succeeds only as the first version.
            try:
                lance.LanceDataset.commit(
                    self.uri(table.name),
                    lance.LanceOperation.Overwrite(table.arrow, []),
                    max_retries=0,
                    storage_options=self.storage_options or None,
                )
            except OSError:
                if not self._exists(table):  # else another process made it since we looked
                    raise
        add_missing_columns(partial(self.dataset, table.name), table)
        create_missing_indexes(partial(self.dataset, table.name), table)

    def _exists(self, table: Table) -> bool:
        try:
            self.dataset(table.name)
        except ValueError as error:
            if "was not found" not in str(error):
                raise
            return False
        return True

    def _tagged(self, table: str, name: str) -> int | None:
        tag = self.dataset(table).tags.list().get(name)
        return None if tag is None else tag["version"]

    def _pin(self, table: str, name: str, version: int) -> None:
        try:
            self.dataset(table).tags.create(name, version)
        except ValueError:
            if self._tagged(table, name) != version:  # else another process pinned the same since we looked
                raise


def tables_in(sql: str) -> list[str]:
    """The lake's tables whose names stand in the statement: opening one takes some requests where it is in a bucket."""
    words = set(re.findall(r"\w+", sql))
    return [name for name in TABLES if name in words]


class Conformed:
    """Rows as their table wants them: its columns in its order, cast to its types, every key present and only once.

    keep: which of the conformed rows are worth writing; gets a part of them and returns some of it.
    source: those rows, as a table, or as a stream if that is what was given. is_empty: there are none.
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
        self.seen: set[str] = set()
        self.error: ValueError | None = None
        self.source: pa.Table | pa.RecordBatchReader
        if isinstance(rows, pa.RecordBatchReader):
            parts = (keep(self._checked(pa.Table.from_batches([part]))) for part in rows)
            batches = (batch for part in parts for batch in part.to_batches() if batch.num_rows)
            first = next(batches, None)
            self.is_empty = first is None
            head = [] if first is None else [first]
            self.source = pa.RecordBatchReader.from_batches(self.schema, self._remembering(chain(head, batches)))
        else:
            self.source = keep(self._checked(rows if isinstance(rows, pa.Table) else rows.to_arrow()))
            self.is_empty = self.source.num_rows == 0

    def _remembering(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches; an error is kept, since Lance reports one of its source as an OSError that wraps the text."""
        try:
            yield from batches
        except ValueError as error:
            self.error = error
            raise

    def _checked(self, rows: pa.Table) -> pa.Table:
        name, key = self.table.name, self.table.key
        unknown = [column for column in rows.column_names if column not in self.table.column_names]
        if unknown:
            raise ValueError(f"{name} has no column {_named(unknown)}")
        cast = pa.table([self._column(rows, field) for field in self.schema], schema=self.schema)
        if cast[key].null_count:
            raise ValueError(f"{name}: {cast[key].null_count} rows have no {key}")
        keys = cast[key].to_pylist()
        twice = [value for value, count in Counter(keys).items() if count > 1 or value in self.seen]
        if twice:
            raise ValueError(f"{name}: {key} given twice: {_named(twice)}")
        self.seen.update(keys)
        if self.only_batch is not None:
            others = set(cast["ingest_batch"].unique().to_pylist()) - {self.only_batch}
            if others:
                raise ValueError(f"{name}: rows of batch {_named(list(others))} given for {self.only_batch}")
        return cast

    def _column(self, rows: pa.Table, field: pa.Field) -> pa.ChunkedArray | pa.Array:
        if field.name in rows.column_names:
            try:
                return rows[field.name].cast(field.type)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise ValueError(f"{self.table.name}: column {field.name}: {error}") from error
        if not field.nullable:
            raise ValueError(f"{self.table.name}: column {field.name} is missing")
        return pa.nulls(rows.num_rows, field.type)


def _may_be_replaced(table: Table) -> str:
    """The condition on a row of the source and the one it matches, in Lance's SQL."""
    differs = " OR ".join(f"(source.{name} IS DISTINCT FROM target.{name})" for name in ("provenance", table.partition))
    return f"(source.{table.unit} = target.{table.unit}) AND ({differs})"


class _Stored:
    """What the table held, before a write, of the rows to be written. doubles: keys that it holds more than once."""

    def __init__(self, dataset: lance.LanceDataset, table: Table) -> None:
        self.dataset = dataset
        self.table = table
        self.doubles: set[str] = set()

    def worth_writing(self, rows: pa.Table) -> pa.Table:
        """Of a table that a step fills: the rows that are not in it, in their partition and at their provenance."""
        import pyarrow.compute as pc

        if self.table.unit is None:
            return rows
        key = self.table.key
        # By partition, not by key: 5 ms against 100 ms for 5,000 clips among 10 million. Rows of a batch lie together,
        # while keys, being hashes, are spread over all pages of their index.
        assert self.table.partition is not None, f"{self.table.name} is filled by a step, so it has partitions"
        partitions = rows[self.table.partition].unique().drop_null()
        found = self.dataset.scanner(
            columns=[key, "provenance"], filter=pc.field(self.table.partition).isin(partitions)
        ).to_table()
        found = found.filter(pc.is_in(found[key], rows[key].combine_chunks()))
        self.note_doubles(found)
        at = pc.index_in(rows[key], found[key].combine_chunks())
        return rows.filter(pc.invert(pc.equal(rows["provenance"], found["provenance"].take(at)).fill_null(False)))

    def note_doubles(self, found: pa.Table) -> None:
        counts = Counter(found[self.table.key].to_pylist())
        self.doubles.update(value for value, count in counts.items() if count > 1)


def _absent(dataset: lance.LanceDataset, table: Table, rows: pa.Table) -> pa.Table:
    """The rows whose keys the table lacks."""
    import pyarrow.compute as pc

    found = _present(dataset, table, rows[table.key])
    return rows.filter(pc.invert(pc.is_in(rows[table.key], found[table.key].combine_chunks())))


def _present(
    dataset: lance.LanceDataset,
    table: Table,
    keys: pa.Array | pa.ChunkedArray,
    columns: Iterable[str] = (),
    *,
    with_row_address: bool = False,
) -> pa.Table:
    """Those rows of the table that have one of the keys, in no order: the key and the columns."""
    import pyarrow.compute as pc

    wanted = list(dict.fromkeys([table.key, *columns]))
    parts = [
        dataset.scanner(
            columns=wanted, filter=pc.field(table.key).isin(part), with_row_address=with_row_address
        ).to_table()
        for part in _parts(keys)
    ]
    return pa.concat_tables(parts) if parts else dataset.schema.empty_table().select(wanted)


def _parts(keys: pa.Array | pa.ChunkedArray) -> Iterator[pa.Array]:
    flat = keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys
    return (flat.slice(start, KEYS_PER_READ) for start in range(0, len(flat), KEYS_PER_READ))


def _merge(dataset: lance.LanceDataset, table: Table) -> MergeInsertBuilder:
    return dataset.merge_insert(table.key).conflict_retries(COMMIT_RETRIES).retry_timeout(COMMIT_TIMEOUT)


def _merged(
    dataset: lance.LanceDataset,
    merge: MergeInsertBuilder,
    rows: Conformed,
    *,
    even_if_empty: bool = False,
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


def _declared(table: str) -> Table:
    if table not in TABLES:
        raise KeyError(f"no table {table!r}; there are {', '.join(TABLES)}")
    return TABLES[table]


def _sql_text(value: str) -> str:
    """A text literal of Lance's SQL: only the quote is special in it."""
    return "'" + value.replace("'", "''") + "'"


def _named(values: list) -> str:
    more = f" and {len(values) - 5} more" if len(values) > 5 else ""
    return ", ".join(repr(value) for value in values[:5]) + more
