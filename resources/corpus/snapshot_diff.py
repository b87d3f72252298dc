"""How two states of the lake differ: rows that were added, changed and removed, by table and reason.

A state is a snapshot, the lake as it is, or a snapshot that went with a forgotten video
(`resources.corpus.removed_snapshots`). It costs what changed between the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.catalog.names_of_sources import ID_LENGTH
from resources.corpus.removed_snapshots import Chain, chain_from, kept_changes, versions_in
from resources.corpus.row_changes import VersionGone, hashed, net_changes
from resources.incremental.provenance import digest
from resources.lake.schema import RAW_VIDEOS, TOMBSTONES, Table, pinned_tables
from resources.lake.statements import statement
from resources.lake.store import Lake

if TYPE_CHECKING:
    import duckdb


class SnapshotGone(ValueError):
    """The snapshot, or a version of it, was removed. The message says which."""


@dataclass(frozen=True)
class Difference:
    """Rows of a table that differ for one reason. kind: added, changed or removed.

    examples: some of their keys; of rows that only a removed snapshot had, `md5:` and the beginning of the key's hash.
    """

    table: str
    kind: str
    rows: int
    reason: str
    examples: tuple[str, ...]


def differences(lake: Lake, before: str, after: str | None) -> Iterator[Difference]:
    """Yields what differs between two snapshots, table by table in the order of the data. after: None: the lake now.

    Raises SnapshotGone where a snapshot, or a version of it, was removed and nothing of it was kept.
    """
    earlier = _chain(lake, before)
    later = _chain(lake, after) if after else Chain({})
    beside = {"new_videos": _hashes([]), "gone_videos": _hashes([]), "forgotten": _forgotten(lake)}
    if RAW_VIDEOS.name in earlier.versions:
        with _compared(lake, RAW_VIDEOS, earlier, later) as connection:
            videos = connection.sql(statement("corpus/snapshot_diff_videos")).fetchall()
            beside["new_videos"] = _hashes([key_hash for key_hash, is_new in videos if is_new])
            beside["gone_videos"] = _hashes([key_hash for key_hash, is_new in videos if not is_new])
    for table in pinned_tables():
        if table.name not in earlier.versions:
            continue  # younger than the snapshot
        with _compared(lake, table, earlier, later) as connection:
            for name, rows in beside.items():
                connection.register(name, rows)
            reasons = connection.sql(statement("corpus/snapshot_diff")).fetchall()
        for kind, reason, count, keys, hashes in reasons:
            examples = keys or _named(lake, table, later, hashes)
            yield Difference(table.name, kind, count, reason, tuple(examples))


@contextmanager
def _compared(lake: Lake, table: Table, earlier: Chain, later: Chain) -> Iterator[duckdb.DuckDBPyConnection]:
    kept = kept_changes(lake, earlier.steps, table.name)
    kept += kept_changes(lake, later.steps, table.name, is_reversed=True)
    try:
        with net_changes(lake, table, earlier.versions[table.name], later.versions.get(table.name), kept) as connection:
            yield connection
    except VersionGone as error:
        raise SnapshotGone(str(error)) from error


def _chain(lake: Lake, snapshot: str) -> Chain:
    if versions := versions_in(lake, snapshot):
        return Chain(versions)
    if chain := chain_from(lake, snapshot):
        return chain
    raise SnapshotGone(
        f"there is no snapshot {snapshot!r}: `internvid snapshot list` names those there are, and those removed by "
        "`internvid forget` with which something can be compared still"
    )


def _named(lake: Lake, table: Table, later: Chain, hashes: list[str]) -> list[str]:
    """Returns keys by their hashes: names of rows that the later state has, else the hashes."""
    rows = lake.dataset(table.name, later.versions.get(table.name)).scanner(columns=[table.key]).to_reader()
    with lake.connect([]) as connection:
        connection.register("rows", rows)
        # The name of the key comes from resources.lake.schema, never from data.
        names = connection.sql(
            f"select {table.key} from rows where {hashed(table.key)} in (select unnest($hashes::varchar[])) order by 1",
            params={"hashes": hashes},
        ).fetchall()
    return [name for (name,) in names] or [f"md5:{key_hash}" for key_hash in hashes]


def _forgotten(lake: Lake) -> pa.Table:
    """Returns hashes of the ids of all videos and sources that were forgotten."""
    rows = lake.query(
        "select kind, value from tombstones where kind in ('sha256', 'url')", tables=[TOMBSTONES.name]
    ).to_pylist()
    ids = [(row["value"] if row["kind"] == "sha256" else digest(row["value"]))[:ID_LENGTH] for row in rows]
    with lake.connect([]) as connection:
        connection.register("ids", pa.table({"id": pa.array(ids, pa.string())}))
        return connection.sql(f"select {hashed('id')} as key_hash from ids").to_arrow_table()


def _hashes(hashes: list[str]) -> pa.Table:
    return pa.table({"key_hash": pa.array(hashes, pa.string())})
