"""Snapshots: the state of every table of data, pinned under one name.

Statistics, subsets and checkpoints are computed from a snapshot, so they are reproducible.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pyarrow as pa

from resources.corpus.content import Content, content
from resources.corpus.removed_snapshots import remove_expired
from resources.incremental.provenance import digest
from resources.lake.maintenance import KEEP_VERSIONS_FOR
from resources.lake.schema import CORPUS_SNAPSHOT, Table, pinned_tables
from resources.lake.statements import statement
from resources.lake.store import Lake


def take_snapshot(lake: Lake, *, run_id: str) -> tuple[str, list[dict[str, Any]], bool]:
    """Pins every table of data as it is now. A lake that has not changed since the newest snapshot gets no new one.

    Returns the snapshot's name, its rows, and whether it is new.
    """
    now = datetime.now(UTC)
    newest = newest_snapshot(lake)
    if newest:  # the one that is taken last is the newest, though the clock was set back since the one before it
        now = max(now, newest[0]["written_at"] + timedelta(microseconds=1))
    rows = _rows_now(lake, newest)
    if newest and _digests(newest) == _digests(rows):
        return newest[0]["snapshot"], rows, False
    name = f"corpus-{now:%Y%m%dT%H%M%S}-{digest(_digests(rows))[:8]}"
    lake.tag(name, {row["table_name"]: row["table_version"] for row in rows})
    made = {"snapshot": name, "run_id": run_id, "written_at": now}
    rows = [row | made | {"snapshot_table": f"{name}/{row['table_name']}"} for row in rows]
    lake.upsert(CORPUS_SNAPSHOT.name, pa.Table.from_pylist(rows, schema=CORPUS_SNAPSHOT.arrow))
    return name, rows, True


def is_current(lake: Lake) -> bool:
    """Says whether the tables have not changed since the newest snapshot."""
    newest = newest_snapshot(lake)
    return bool(newest) and _digests(newest) == _digests(_rows_now(lake, newest))


def content_now(lake: Lake, table: Table) -> Content:
    """Returns the content of the table as it is now, reckoned from the newest snapshot."""
    before = next((_content(row) for row in newest_snapshot(lake) if row["table_name"] == table.name), None)
    return content(lake, table, before)


def newest_snapshot(lake: Lake) -> list[dict[str, Any]]:
    """Returns the newest snapshot: one row per table, with its name and time; empty where there is no snapshot yet."""
    return lake.query(statement("corpus/newest_snapshot"), tables=[CORPUS_SNAPSHOT.name]).to_pylist()


def newest_snapshot_name(lake: Lake) -> str:
    """Returns the name of the newest snapshot. Raises dg.Failure where there is none."""
    rows = newest_snapshot(lake)
    if not rows:
        raise dg.Failure("there is no snapshot yet: materialise corpus_snapshot first")
    return rows[0]["snapshot"]


def remove_unused_snapshots(lake: Lake, *, older_than: timedelta = KEEP_VERSIONS_FOR) -> list[str]:
    """Removes the snapshots that are older and that no subset, checkpoint or export was made from, but the newest.

    A snapshot each hour would else keep every row once for each time that compaction wrote it. Returns their names.
    What was kept of snapshots that a forgetting removed goes too, once nobody may ask for it.
    """
    before = datetime.now(UTC) - older_than
    older = lake.query(statement("corpus/snapshots")).to_pylist()[1:]  # than the newest
    unused = [row for row in older if row["taken_at"] < before and not (row["label"] or row["made_from_it"])]
    names = sorted(row["snapshot"] for row in unused)
    remove_snapshots(lake, names)
    remove_expired(lake)
    return names


def name_snapshot(lake: Lake, snapshot: str, label: str | None) -> None:
    """Gives the snapshot a name, by which it is kept, or with None takes it. Of two with one name, the last has it."""
    import polars as pl

    chosen = pl.col("snapshot") == snapshot
    had_it = pl.col("label").eq_missing(pl.lit(label, pl.String)) & pl.col("label").is_not_null()
    named = pl.when(chosen).then(pl.lit(label, pl.String)).otherwise(None)
    rows = lake.polars(CORPUS_SNAPSHOT.name).filter(chosen | had_it)
    lake.upsert(CORPUS_SNAPSHOT.name, rows.with_columns(label=named))


def snapshot_named(lake: Lake, name: str) -> str | None:
    """Returns the snapshot of that name or label; None where there is none."""
    rows = lake.query(
        "select snapshot from corpus_snapshot where snapshot = $name or label = $name",
        {"name": name},
        tables=[CORPUS_SNAPSHOT.name],
    )
    return min(set(rows["snapshot"].to_pylist()) & set(lake.tags()), default=None)


def remove_snapshots(lake: Lake, names: Sequence[str]) -> None:
    """Removes the snapshots, so that maintenance may remove the versions that only they pin."""
    rows = lake.query(
        "select snapshot_table from corpus_snapshot where snapshot in (select unnest($names::varchar[]))",
        {"names": sorted(names)},
        tables=[CORPUS_SNAPSHOT.name],
    )
    # Rows first: a snapshot that is named has all of its tags.
    lake.delete(CORPUS_SNAPSHOT.name, rows["snapshot_table"].to_pylist())
    for table in pinned_tables():
        tags = lake.dataset(table.name).tags
        for name in set(names) & set(tags.list()):
            tags.delete(name)


def _digests(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {row["table_name"]: row["digest"] for row in rows}


def _content(row: dict[str, Any]) -> Content:
    return Content(row["table_version"], row["row_count"], row["digest"])


def _rows_now(lake: Lake, newest: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the tables as they are now, reckoned from the newest snapshot, whose versions are pinned."""
    before = {row["table_name"]: _content(row) for row in newest}
    contents = {table.name: content(lake, table, before.get(table.name)) for table in pinned_tables()}
    return [
        {"table_name": name, "table_version": now.version, "row_count": now.row_count, "digest": now.digest}
        for name, now in contents.items()
    ]
