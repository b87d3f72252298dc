"""What a table's declaration consists of: the table, its columns, and the columns that several tables share.

Types are those that DuckDB filters through Lance: signed integers, float32/64, bool, string, timestamp, list<string>,
binary; and fixed-size float32 vectors, which can be read but not filtered. An unsigned integer, a large_string or a
struct makes a WHERE clause fail; float16 makes the table unreadable.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

TEXT = pa.string()
TEXTS = pa.list_(pa.string())
TIME = pa.timestamp("us", tz="UTC")

# Columns that say which run wrote a row and when, and not what the row is.
OF_THE_RUN = ("run_id", "written_at")

# One size for the vectors of all models, so that another model does not need another table: smaller ones fill the rest
# with zeros, which changes neither cosine nor distance. ViCLIP-L/14 has 768 dimensions, B/16 512.
VECTOR_SIZE = 768
VECTOR = pa.list_(pa.float32(), VECTOR_SIZE)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    meaning: what it holds, in one line, with its unit. derived_from: the columns that it is computed or copied from,
    as "table.column"; they may be of the same table. is_searched: whether vectors are looked up by nearness, so
    that maintenance indexes them.
    """

    name: str
    type: pa.DataType
    meaning: str
    nullable: bool = True
    derived_from: tuple[str, ...] = ()
    is_searched: bool = False


@dataclass(frozen=True)
class Table:
    """A Lance table.

    row_is: what one row is, in words.
    key: the column that identifies a row.
    unit: SQL for the input that a row was made from, mostly a column; None for a table that no stage fills.
    partition: the column that holds the Dagster partition.
    append_only: rows that a newer row of the same unit supersedes stay.
    depends_on: SQL for what tells a row from another state of it, where no stage makes it.
    parent: (column, table): the column holds a key of that table, or null. A row whose parent is gone is an orphan.
    pinned: whether a snapshot pins the table. Tables that are made from snapshots name the one that they were made
        from, and bookkeeping belongs to no version of the data: both are read as they are now.
    key_begins_with_video: the key begins with the video_id, so the index on the key finds all rows of a video.
    """

    name: str
    row_is: str
    key: str
    columns: tuple[Column, ...]
    unit: str | None = None
    partition: str | None = None
    append_only: bool = False
    depends_on: str = "provenance"
    parent: tuple[str, str] | None = None
    pinned: bool = True
    key_begins_with_video: bool = False

    @cached_property
    def arrow(self) -> pa.Schema:
        """The Arrow schema, with Lance's mark on the key: without it two racing merges insert the same row twice."""
        return pa.schema(
            pa.field(
                column.name,
                column.type,
                nullable=column.nullable,
                metadata={"lance-schema:unenforced-primary-key": "true"} if column.name == self.key else None,
            )
            for column in self.columns
        )

    @cached_property
    def column_names(self) -> list[str]:
        return [column.name for column in self.columns]

    @cached_property
    def content(self) -> pa.Schema:
        """The columns that a stage computes: all but those that say what made the row."""
        added_later = {self.partition, *(column.name for column in MADE_BY)} - {self.key}
        return pa.schema([field for field in self.arrow if field.name not in added_later])


def key(name: str, meaning: str, *, derived_from: tuple[str, ...] = ()) -> Column:
    """The column that identifies a row: text, never null."""
    return Column(name, TEXT, meaning, nullable=False, derived_from=derived_from)


def reference(name: str, target: str) -> Column:
    """A column that holds the key of another table. target: "table.column"."""
    return Column(name, TEXT, target.partition(".")[0], derived_from=(target,))


# What is read from the video file itself.
FILE = ("raw_videos.path",)

BATCH = Column("ingest_batch", TEXT, "the Dagster partition, YYYY-MM-DD-NNNN")

# The last columns of every derived table: the heart of the lake, see resources.incremental.
MADE_BY = (
    Column("digest", TEXT, "hash of the row's content; what depends on the row is recomputed only when this changes"),
    Column("provenance", TEXT, "hash of what decided this row: its inputs, the stage's version and settings"),
    Column("unit_rows", pa.int32(), "rows of this table made from the same input; fewer present: unfinished"),
    Column("version", TEXT, "the stage's version and settings in readable form"),
    Column("run_id", TEXT, "Dagster run that wrote the row"),
    Column("written_at", TIME, "when the row was written"),
)

# Of the model that made a row.
REVISION = Column(
    "revision", TEXT, "which state of that model: a commit, or a hash of its files; null where there is only one"
)

# Of a checkpoint that was trained on a subset.
TRAINED_ON = (
    Column("subset", TEXT, "what it was trained on (subsets)", derived_from=("subset_snapshots.subset",)),
    Column(
        "snapshot",
        TEXT,
        "the snapshot that the subset was selected from",
        derived_from=("subset_snapshots.snapshot",),
    ),
    Column("path", TEXT, "folder of its files"),
    Column("weights_digest", TEXT, "hash of its weights, configuration and vocabulary"),
)
