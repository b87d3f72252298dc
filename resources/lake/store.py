"""The lake: every table of `resources.lake.schema` as a Lance table, on a disk or in a bucket, read through DuckDB.

Opening, reading, versions and tags belong here. What a write does to its table is `resources.lake.writes`, how clips
are ranked `resources.lake.search`, what keeps tables fast `resources.lake.maintenance`, which rows need work
`resources.incremental`.

Any number of processes may write at once: each method that writes makes one atomic commit, and a commit that loses a
race is tried again by Lance. Lance is not fork-safe: start processes by spawn, and open the lake inside them (a `Lake`
pickles, it holds no open file).
"""

from __future__ import annotations

import atexit
import logging
import re
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache, partial, reduce
from itertools import product
from operator import and_
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa

from resources.lake import search, writes
from resources.lake.credentials import with_keys
from resources.lake.format import begun, migrate
from resources.lake.lookup import rows_in_order_of_keys, rows_with_keys
from resources.lake.maintenance import (
    KEEP_VERSIONS_FOR,
    Maintenance,
    add_missing_columns,
    create_missing_indexes,
    index_new_rows,
    maintain,
    retried,
    tidy,
)
from resources.lake.paths import StoragePath, fsspec_options
from resources.lake.schema import CLIP_CAPTIONS, CLIP_EMBEDDINGS, TABLES, Table, pinned_tables
from resources.lake.totals import names_of_totals, totals_sql
from resources.lake.writes import Change

if TYPE_CHECKING:
    import duckdb
    import lance
    import numpy as np
    import polars as pl
    from lancedb import DBConnection

_LOGGER = logging.getLogger(__name__)

TABLES_OPENED_AT_A_TIME = 8  # in a bucket each waits for some requests
FIRST_VERSION = 1  # of every table: it has no rows
PIN = "forget-"  # tags that begin so are no snapshots: see resources.corpus.removed_snapshots
MAX_ALTERNATIVES = 8  # Lance's time to plan doubles with each: 15 ms for 10 values of a column, 1.5 s for 18

# Rows with the value, with one of the values of a list, or with a value from the first to the last of a pair.
Rows = str | list[str] | tuple[str, str]

# lance, duckdb, polars and lancedb are imported where they are used: together they take 3 s, and every process that
# loads the code location would wait for them.


class Lake(dg.ConfigurableResource):
    """The tables of the corpus under one folder or bucket prefix.

    root: a folder, or `s3://bucket/prefix`.
    storage_options: what Lance needs to reach the bucket (aws_endpoint, allow_http, aws_region, …). Dagster shows a
    resource's configuration to every user, so a key is a reference to the environment: `resources.lake.credentials`.
    """

    root: str = "lake"
    storage_options: dict[str, str] = {}

    def __reduce__(self) -> tuple:
        # Dagster's resources do not pickle by themselves.
        return partial(type(self), root=self.root, storage_options=self.storage_options), ()

    def uri(self, table: str) -> str:
        return f"{self.root.rstrip('/')}/{_definition(table).name}.lance"

    def file(self, name: str) -> StoragePath:
        """A file or folder that lies beside the tables."""
        return StoragePath(self.root, self.file_options) / name

    @property
    def file_options(self) -> dict[str, str]:
        """What fsspec needs to reach the lake's bucket."""
        return fsspec_options(self.lance_options)

    @property
    def lance_options(self) -> dict[str, str]:
        """What Lance needs to reach the lake's bucket, with its keys."""
        return with_keys(self.storage_options)

    def exists(self) -> bool:
        """Whether tables have ever been created here."""
        return self._existing(TABLES["sources"]) is not None

    def create_tables(self, note: Callable[[str], object] = _LOGGER.warning) -> None:
        """Creates the tables and indexes that are missing, and brings the lake to this program's format.

        Any number of processes may do so at once. Raises UnknownFormat for a lake that this program would misread.
        note: is told what a migration does to the lake.
        """
        number = begun(self)
        with ThreadPoolExecutor(TABLES_OPENED_AT_A_TIME) as threads:
            are_new = list(threads.map(self._create, TABLES.values()))
        self._pin_as_empty([table for table, is_new in zip(TABLES.values(), are_new, strict=True) if is_new])
        migrate(self, number, note)

    def create_table(self, table: str) -> None:
        """Creates the table and its indexes, where they are missing."""
        self._create(_definition(table))

    def dataset(self, table: str, at: str | int | None = None) -> lance.LanceDataset:
        """The table at its newest version, or as it was at a tag or version. Raises ValueError if there is none."""
        import lance

        return lance.dataset(self.uri(table), version=at, storage_options=self.lance_options or None)

    def version(self, table: str) -> int:
        return self.dataset(table).version

    def upsert(self, table: str, rows: pa.Table | pl.DataFrame | pa.RecordBatchReader) -> Change:
        """Adds rows with new keys and replaces those that are there; in a table that a stage fills, those that differ
        in provenance or batch. A stored video is replaced only by the source that brought it: the first keeps it.

        Columns are cast to the table's types, and missing ones are null. A RecordBatchReader is passed on batch by
        batch. If no row is left to write, nothing is committed. Where two processes add the same row at the same
        moment, readers may see it twice until the later of them is done. Some commits index and compact what is new.
        Raises ValueError for unknown columns, missing keys, and a key that `rows` holds twice.
        """
        definition = _definition(table)

        def write() -> Change:
            dataset = self.dataset(table)
            change = writes.upsert(dataset, partial(self.dataset, table), definition, rows)
            if change.version is not None:
                tidy(dataset, partial(self.dataset, table), definition)
            return change

        return self._written(rows, write)

    def insert_new(self, table: str, rows: pa.Table | pl.DataFrame | pa.RecordBatchReader) -> Change:
        """Adds the rows whose keys the table lacks: of two that insert the same key at once, the first wins.

        The cost grows with the table: some 60 ms per million rows. Raises as `upsert` does.
        """
        definition = _definition(table)

        def write() -> Change:
            dataset = self.dataset(table)
            change = writes.insert_new(dataset, definition, rows)
            if change.version is not None:
                tidy(dataset, partial(self.dataset, table), definition)
            return change

        return self._written(rows, write)

    def delete(self, table: str, keys: Sequence[str]) -> int:
        """Deletes the rows with these keys in one commit. Returns how many there were."""
        definition = _definition(table)
        return writes.until_committed(lambda: writes.delete(self.dataset(table), definition, keys))

    def delete_all(self, table: str) -> None:
        """Deletes every row of the table in one commit, without reading any."""
        self.dataset(table).delete("true")

    def index_new_rows(self, table: str) -> None:
        """Adds new rows to the table's indexes before the next maintenance does: where millions come at once."""
        retried(partial(self.dataset, table), partial(index_new_rows, table=_definition(table)))

    def replace_batch(
        self, table: str, ingest_batch: str, rows: pa.Table | pl.DataFrame | pa.RecordBatchReader
    ) -> Change:
        """Makes `rows` the only rows of the batch, in one commit: others of that batch are deleted.

        The cost grows with the table (the whole key column is read); for daily work use `upsert` and `delete`.
        Raises as `upsert` does, and ValueError for rows of another batch.
        """
        definition = _definition(table)
        return self._written(rows, lambda: writes.replace_batch(self.dataset(table), definition, ingest_batch, rows))

    @staticmethod
    def _written(rows: pa.Table | pl.DataFrame | pa.RecordBatchReader, write: Callable[[], Change]) -> Change:
        """Writes until it is committed; a stream of rows can be read only once."""
        return write() if isinstance(rows, pa.RecordBatchReader) else writes.until_committed(write)

    def fetch(self, table: str, keys: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
        """The rows with these keys, in their order. Raises KeyError naming keys that are missing."""
        definition = _definition(table)
        wanted = list(columns) if columns is not None else definition.column_names
        return rows_in_order_of_keys(self.dataset(table), definition, keys, wanted)

    def known(self, table: str, keys: Sequence[str], columns: Sequence[str] = (), *, by: str | None = None) -> pa.Table:
        """Those rows of the table that have one of the keys, in no order: the key and the columns. Found by the key's
        index, so however large the table is.

        by: another column that holds `keys`, text; one with an index (`resources.lake.maintenance.index_kinds`).
        """
        definition = _definition(table)
        return rows_with_keys(self.dataset(table), definition, pa.array(keys, pa.string()), columns, by=by)

    def connect(
        self,
        tables: Iterable[str] | None = None,
        *,
        at: str | Mapping[str, int] | None = None,
        only: Mapping[str, Rows] | None = None,
        memory_limit: str | None = None,
        untrusted: bool = False,
    ) -> duckdb.DuckDBPyConnection:
        """A session of DuckDB in memory with each table under its bare name, read-only.

        tables: names of tables, and of totals (`resources.lake.totals`), which are views over the tables that they
        read. None: all of both.
        at: a tag, or a version per table (tables not named are at their newest; those that no tag pins, too).
        only: column -> value, for instance an ingest batch, or a list of values, or the first and the last value of a
        range: of tables with such a column only those rows are visible.
        memory_limit: for instance "1GB"; the session is then the only one of its database, and what exceeds it goes to
        files in the temporary folder. None: that of the process.
        untrusted: for SQL of users: no file, network or extension, and no way to allow them again.
        The tables are as they were when connected. Filters and the choice of columns reach Lance.
        """
        # A database takes 20 ms to open, a session of one none. What follows from these two is set for a database.
        connection = _new_database() if untrusted or memory_limit else _database().cursor()
        if memory_limit:
            connection.execute("SET memory_limit = $1", [memory_limit])
        connection.execute("SET TimeZone = 'UTC'")
        named = [*TABLES, *names_of_totals()] if tables is None else list(tables)
        totals = [name for name in named if name in names_of_totals()]
        read_by_totals = [table for name in totals for table in tables_in(totals_sql(name))]
        for table in dict.fromkeys([*(name for name in named if name not in totals), *read_by_totals]):
            # Views of a session, for other sessions have tables of the same names.
            columns = _definition(table).column_names
            filters = {column: value for column, value in (only or {}).items() if column in columns}
            dataset = self.dataset(table, self._version_at(table, at))
            connection.register(f"{table}$all" if filters else table, dataset)
            if filters:
                scans = (f'select * from "{table}$all" where {rows}' for rows in _conditions(filters))
                connection.execute(f"create temp view {table} as {' union all '.join(scans)}")
        for name in totals:
            connection.execute(f"create temp view {name} as {totals_sql(name)}")  # the name of our own file
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
        only: Mapping[str, Rows] | None = None,
    ) -> pa.Table:
        """The result of one statement over the tables, seen as by `connect`; None are those that it names.

        parameters: for $name or $1.
        """
        named = [*tables_in(sql), *_totals_in(sql)] if tables is None else tables
        with self.connect(named, at=at, only=only) as connection:
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
        wanted = {
            table.name: self.dataset(table.name, (versions or {}).get(table.name)).version for table in pinned_tables()
        }
        pinned = {table: self._tagged(table, name) for table in wanted}
        for table, version in wanted.items():
            if pinned[table] not in (None, version):
                raise ValueError(f"tag {name} pins {table} at version {pinned[table]}, not {version}")
        for table, version in wanted.items():
            if pinned[table] is None:
                self._pin(table, name, version)
        return wanted

    def tags(self) -> list[str]:
        """The names of snapshots that pin every table of data, sorted. Pins after a forgetting (`PIN`) are none."""
        carried = [set(self.dataset(table.name).tags.list()) for table in pinned_tables()]
        return sorted(name for name in set.intersection(*carried) if not name.startswith(PIN))

    def optimize(self, *, keep_versions_for: timedelta = KEEP_VERSIONS_FOR) -> dict[str, Maintenance]:
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
        create_missing_indexes(partial(self.dataset, CLIP_CAPTIONS.name), CLIP_CAPTIONS)
        captions = self.dataset(CLIP_CAPTIONS.name)
        if vector is None:
            return search.search_captions(captions, text, limit)
        candidates = max(search.CANDIDATES, limit)
        by_words = search.search_captions(captions, text, candidates)
        by_vector = search.search_vectors(self.dataset(CLIP_EMBEDDINGS.name), vector, candidates)
        return search.fused(captions, [(1.0, by_words), (vector_weight, by_vector)], limit)

    def similar(self, clip_id: str, *, limit: int = 10, model_weight: float = 1.0) -> pa.Table:
        """The clips that look most like a clip: columns as of `search`, best first, without the clip itself.

        They are ranked by the classifier's vectors in clip_things, with the weight 1, and by the active model's in
        clip_embeddings; the rankings are joined as of `search`. Raises ValueError for a clip that has neither vector.
        """
        near = search.clips_like(self.dataset, clip_id, limit, model_weight)
        if near is None:
            raise ValueError(
                f"clip {clip_id} has no vector in clip_things or clip_embeddings: it is not here, or waits for one"
            )
        ranking = pa.table({"clip_id": pa.array(near, pa.string())})
        return search.fused(self.dataset(CLIP_CAPTIONS.name), [(1.0, ranking)], limit)

    def lancedb(self) -> DBConnection:
        """The lake's tables through LanceDB, for reading: `lake.lancedb().open_table("clip_captions")`.

        LanceDB is another engine on the same files. It reads, searches and filters as its documentation says; write
        through this class, which keeps keys unique and makes the columns that stages rely on.
        """
        import lancedb

        return lancedb.connect(self.root, storage_options=self.lance_options or None)

    def _version_at(self, table: str, at: str | Mapping[str, int] | None) -> str | int | None:
        if at is None or isinstance(at, str):
            return at if _definition(table).pinned else None
        return at.get(table)

    def _create(self, table: Table) -> bool:
        """Creates the table where it is missing, and its missing columns and indexes. Returns whether it is new."""
        import lance

        dataset = self._existing(table)
        is_new = dataset is None
        if dataset is None:
            self._require_new(table)
            # Not write_dataset(mode="create"): of two at once, the later overwrites the earlier one's table, rows and
            # all. A commit without retries succeeds only as the first version.
            try:
                dataset = lance.LanceDataset.commit(
                    self.uri(table.name),
                    lance.LanceOperation.Overwrite(table.arrow, []),
                    max_retries=0,
                    storage_options=self.lance_options or None,
                )
            except OSError:
                dataset = self._existing(table)
                if dataset is None:  # else another process made it since we looked
                    raise
        open_newest = partial(self.dataset, table.name)
        add_missing_columns(_opened_once(dataset, open_newest), table)
        create_missing_indexes(_opened_once(dataset, open_newest), table)
        return is_new

    def _pin_as_empty(self, new_tables: Sequence[Table]) -> None:
        """Adds tables that are younger than the lake to its snapshots, in which they are empty.

        A snapshot pins every table of data, so the snapshots of an earlier version of this software would be none.
        """
        new = [table for table in new_tables if table.pinned]
        older = [table for table in pinned_tables() if table not in new]
        if not new or not older:
            return
        names = set.intersection(*(set(self.dataset(table.name).tags.list()) for table in older))
        for table, name in product(new, sorted(names)):
            self._pin(table.name, name, FIRST_VERSION)

    def _require_new(self, table: Table) -> None:
        """Raises FileNotFoundError for a table with rows of which every version is gone: a new one would hide them."""
        uri = self.uri(table.name)
        if StoragePath(f"{uri}/data", self.file_options).files() and self._existing(table) is None:
            raise FileNotFoundError(f"Not found: {uri}/_versions, though there are files with rows")

    def _existing(self, table: Table) -> lance.LanceDataset | None:
        try:
            return self.dataset(table.name)
        except ValueError as error:
            if "was not found" not in str(error):
                raise
            return None

    def _tagged(self, table: str, name: str) -> int | None:
        tag = self.dataset(table).tags.list().get(name)
        return None if tag is None else tag["version"]

    def _pin(self, table: str, name: str, version: int) -> None:
        try:
            self.dataset(table).tags.create(name, version)
        except ValueError:
            if self._tagged(table, name) != version:  # else another process pinned the same since we looked
                raise


def _opened_once(
    dataset: lance.LanceDataset, open_newest: Callable[[], lance.LanceDataset]
) -> Callable[[], lance.LanceDataset]:
    """Opens by returning what is open already, and only after that again: in a bucket it takes some requests."""
    opened = iter([dataset])
    return lambda: next(opened, None) or open_newest()


def tables_in(sql: str) -> list[str]:
    """The lake's tables whose names stand in the statement: opening one takes some requests where it is in a bucket."""
    words = _words_in(sql)
    return [name for name in TABLES if name in words]


def _totals_in(sql: str) -> list[str]:
    words = _words_in(sql)
    return [name for name in names_of_totals() if name in words]


def _words_in(sql: str) -> set[str]:
    """Returns the words of the statement without comments and string literals, which may contain a table's name."""
    return set(re.findall(r"\w+", re.sub(r"--[^\n]*|'[^']*'", "", sql)))


def _new_database() -> duckdb.DuckDBPyConnection:
    import duckdb

    # Replacement scans would let SQL read any Python variable of the caller whose name it guesses.
    config = {"python_enable_replacements": False, "autoload_known_extensions": False}
    # What exceeds the limit of memory would else go to a folder beside the files of the user; and one that closes
    # removes its folder, so each has its own.
    folder = Path(tempfile.gettempdir()) / f"internvid-duckdb-{uuid.uuid4().hex}"
    return duckdb.connect(config={**config, "temp_directory": str(folder)})


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """The database in memory of this process: its sessions share threads and the limit of memory, and no table."""
    # Python cannot collect what a database and the tables registered in it hold of each other: DuckDB would print that
    # it leaked, as the last words of a command.
    atexit.register(_database.cache_clear)
    return _new_database()


def _conditions(filters: Mapping[str, Rows]) -> Iterator[str]:
    """Yields conditions of which every chosen row meets exactly one, each short enough for Lance to plan."""
    for values in product(*(_in_short_lists(value) for value in filters.values())):
        yield " and ".join(map(_condition, filters, values))


def _in_short_lists(value: Rows) -> Iterator[Rows]:
    if not isinstance(value, list):
        yield value
        return
    distinct = list(dict.fromkeys(value))
    for start in range(0, max(len(distinct), 1), MAX_ALTERNATIVES):
        yield distinct[start : start + MAX_ALTERNATIVES]


def _condition(column: str, value: Rows) -> str:
    if isinstance(value, str):
        return f"{column} = {writes.sql_text(value)}"
    if isinstance(value, list):  # `in` does not reach Lance's index, alternatives do
        return "(" + " or ".join(["false", *(_condition(column, each) for each in value)]) + ")"
    first, last = value
    return f"{column} between {writes.sql_text(first)} and {writes.sql_text(last)}"


def _definition(table: str) -> Table:
    if table not in TABLES:
        raise KeyError(f"no table {table!r}; there are {', '.join(TABLES)}")
    return TABLES[table]
