"""How two snapshots differ: rows that were added, changed and removed, by table and reason.

Only the fragments are read that the two versions of a table do not have in common, so it costs what changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from resources.lake.changes import compare
from resources.lake.schema import CORPUS_SNAPSHOT, OF_THE_RUN, RAW_VIDEOS, Table, pinned_tables
from resources.lake.store import Lake

OF_THE_WRITING = {*OF_THE_RUN, "first_seen_at"}  # and not of what a row is


class SnapshotGone(ValueError):
    """A version of the snapshot was removed. The message says which."""


@dataclass(frozen=True)
class Difference:
    """Rows of a table that differ for one reason. kind: added, changed or removed. examples: some of their keys."""

    table: str
    kind: str
    rows: int
    reason: str
    examples: tuple[str, ...]


def versions_of(lake: Lake, snapshot: str) -> dict[str, int]:
    """Returns the version of each table in a snapshot. Raises SnapshotGone for one that is not there."""
    rows = lake.query(
        "select table_name, table_version from corpus_snapshot where snapshot = $snapshot",
        {"snapshot": snapshot},
        tables=[CORPUS_SNAPSHOT.name],
    ).to_pylist()
    if not rows:
        raise SnapshotGone(
            f"there is no snapshot {snapshot!r}: `internvid snapshot list` names those there are; `internvid forget` "
            "removes those that may hold the video"
        )
    return {row["table_name"]: row["table_version"] for row in rows}


def differences(lake: Lake, before: str, after: str | None) -> Iterator[Difference]:
    """Yields what differs between two snapshots, table by table in the order of the data. after: None: the lake now.

    Raises SnapshotGone where a snapshot, or a version of it, was removed.
    """
    earlier = versions_of(lake, before)
    later = versions_of(lake, after) if after else {}
    videos = {"new_videos": _keys([]), "gone_videos": _keys([])}
    if RAW_VIDEOS.name in earlier:
        described = [RAW_VIDEOS.key], f"{RAW_VIDEOS.key} as key"
        rows = _compared(lake, RAW_VIDEOS, earlier, later, described, "corpus/snapshot_diff_keys", {})
        videos = {
            "new_videos": _keys([new for _, new in rows if new is not None]),
            "gone_videos": _keys([gone for gone, _ in rows if gone is not None]),
        }
    for table in pinned_tables():
        if table.name not in earlier:
            continue  # younger than the snapshot
        rows = _compared(lake, table, earlier, later, _described(table), "corpus/snapshot_diff", videos)
        for kind, reason, count, examples in rows:
            yield Difference(table.name, kind, count, reason, tuple(examples))


def _compared(
    lake: Lake,
    table: Table,
    earlier: dict[str, int],
    later: dict[str, int],
    described: tuple[list[str], str],
    name: str,
    beside: dict[str, pa.Table],
) -> list[tuple]:
    if earlier[table.name] == later.get(table.name):
        return []
    now = lake.dataset(table.name, later.get(table.name))
    rows = compare(lake, table, earlier[table.name], now, *described, name, beside=beside)
    if rows is None:
        raise SnapshotGone(f"the version of {table.name} in the earlier snapshot was removed: nothing can be compared")
    return rows


def _described(table: Table) -> tuple[list[str], str]:
    """Returns the columns to read, and the select list of what snapshot_diff.sql reads.

    What a stage computed is known by its digest, which spares reading pictures and vectors.
    """
    # Names of columns cannot be bound; these come from resources.lake.schema, never from data.
    there = set(table.column_names)
    content = ["digest"] if "digest" in there else [name for name in table.column_names if name not in OF_THE_WRITING]
    made_by = [name for name in ("model", "version") if name in there]
    identity = [*content, *({"provenance", "version"} & there)]
    video = "video_id" if "video_id" in there else "null"
    maker = f"concat_ws(' ', {', '.join(made_by)})" if made_by else "null"
    select = (
        f"{table.key}::varchar as key, {video}::varchar as video, hash({', '.join(sorted(set(identity)))}) as content, "
        f"hash({', '.join(content)}) as digest, {maker}::varchar as made_by"
    )
    columns = [table.key, *content, *made_by, *identity, *({"video_id"} & there)]
    return list(dict.fromkeys(columns)), select


def _keys(keys: list[str]) -> pa.Table:
    return pa.table({"key": pa.array(keys, pa.string())})
