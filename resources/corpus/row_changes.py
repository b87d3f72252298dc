"""What two states of a table do not have in common, row by row, with each row and its key as hashes.

Only the fragments are read that the two versions do not have in common, so it costs what changed. Hashes of a state
that is gone (`resources.corpus.removed_snapshots`) are compared with those of one that is there, so they are md5, which
another version of DuckDB gives too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.lake.changes import changes, register
from resources.lake.schema import OF_THE_RUN, TEXT, Table
from resources.lake.statements import statement

if TYPE_CHECKING:
    import duckdb

    from resources.lake.store import Lake

OF_THE_WRITING = {*OF_THE_RUN, "first_seen_at"}  # and not of what a row is
KEPT = pa.schema(
    [
        ("key_hash", TEXT),
        ("video_hash", TEXT),
        ("content", TEXT),
        ("digest", TEXT),
        ("made_by", TEXT),
        ("state", pa.int32()),
    ]
)


class VersionGone(ValueError):
    """A version of a table was removed. The message says of which."""


def hashed(expression: str) -> str:
    """Returns SQL of the hash by which a key stands where its name may not: 20 hex digits."""
    return f"left(md5({expression}), 20)"


@contextmanager
def net_changes(
    lake: Lake, table: Table, since: int, now: int | None, kept: Sequence[pa.RecordBatch] = ()
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Gives a connection with the table `changes`: what sql/corpus/net_changes.sql selects, one row a key.

    since, now: versions of the table; None: its newest. kept: changes before `since` or after `now`, as `KEPT` has
    them. Raises VersionGone.
    """
    differing = changes(lake, table, since, lake.dataset(table.name, now))
    if differing is None:
        raise VersionGone(f"the version of {table.name} in the earlier snapshot was removed: nothing can be compared")
    with lake.connect([]) as connection:
        register(connection, differing, *_described(table))
        connection.register("kept", pa.Table.from_batches(kept, KEPT))
        connection.execute(f"create temp table changes as {statement('corpus/net_changes')}")
        yield connection


def _described(table: Table) -> tuple[list[str], str]:
    """Returns the columns to read, and the select list of what net_changes.sql reads.

    What a stage computed is known by its digest, which spares reading pictures and vectors.
    """
    # Names of columns cannot be bound; these come from resources.lake.schema, never from data.
    there = set(table.column_names)
    content = ["digest"] if "digest" in there else [name for name in table.column_names if name not in OF_THE_WRITING]
    made_by = [name for name in ("model", "version") if name in there]
    identity = sorted({*content, *({"provenance", "version"} & there)})
    video = hashed("video_id") if "video_id" in there else "null::varchar"
    maker = f"concat_ws(' ', {', '.join(made_by)})" if made_by else "null::varchar"
    select = (
        f"{table.key} as key, {hashed(table.key)} as key_hash, {video} as video_hash, {_md5(identity)} as content, "
        f"{_md5(content)} as digest, {maker} as made_by"
    )
    columns = [table.key, *content, *made_by, *identity, *({"video_id"} & there)]
    return list(dict.fromkeys(columns)), select


def _md5(columns: Sequence[str]) -> str:
    """Returns SQL of a hash of the columns, in which a null and a text with the same letters differ."""
    values = (f"coalesce({name}::varchar, chr(30))" for name in columns)
    return f"left(md5(concat_ws(chr(31), {', '.join(values)})), 16)"
