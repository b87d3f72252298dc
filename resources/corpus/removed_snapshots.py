"""Snapshots that went with a forgotten video: how they differ from the lake after it is kept, so that a later state can
still be compared with them.

A snapshot holds the video's rows and cannot be changed, so it goes as a whole. What stays of one that was named, that
something was made from, or that was the newest, is one row for each row in which it differs from the lake without the
video: hashes of the key and of what it said, no name and no content. That state of the lake is pinned by a tag. The pin
goes with the next video that it holds in the same way, so a removed snapshot is compared through a chain of pins, each
step of which was written once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from resources.corpus.row_changes import KEPT, net_changes
from resources.lake.schema import (
    CORPUS_SNAPSHOT,
    REMOVED_SNAPSHOTS,
    SNAPSHOT_CHANGES,
    pinned_tables,
)
from resources.lake.statements import statement
from resources.lake.store import PIN, Lake

KEPT_FOR = timedelta(days=30)  # a removed snapshot that nobody named
ROWS_PER_COMMIT = 100_000
KEYS_PER_DELETE = 10_000


@dataclass(frozen=True)
class Chain:
    """How to come from a snapshot to versions that are there.

    versions: version of each table that it has. steps: names under which changes are kept, from the snapshot on.
    """

    versions: dict[str, int]
    steps: tuple[str, ...] = field(default=())


def removed_snapshot_named(lake: Lake, name: str) -> str | None:
    """Returns the removed snapshot of that name or label, the last that had it; None where there is none."""
    rows = lake.query(
        "select snapshot from removed_snapshots where (snapshot = $name or label = $name) "
        "and not starts_with(snapshot, $pin) order by written_at desc limit 1",
        {"name": name, "pin": PIN},
        tables=[REMOVED_SNAPSHOTS.name],
    )
    return rows["snapshot"][0].as_py() if rows.num_rows else None


def removed_snapshots(lake: Lake) -> list[dict[str, Any]]:
    """Returns the removed snapshots that the lake can still be compared with, the last removed first."""
    return lake.query(
        "select snapshot, label, taken_at, written_at as removed_at from removed_snapshots "
        "where not starts_with(snapshot, $pin) order by written_at desc, snapshot",
        {"pin": PIN},
        tables=[REMOVED_SNAPSHOTS.name],
    ).to_pylist()


def versions_in(lake: Lake, snapshot: str) -> dict[str, int]:
    """Returns the version of each table in a snapshot that is there; empty for another."""
    rows = lake.query(
        "select table_name, table_version from corpus_snapshot where snapshot = $snapshot",
        {"snapshot": snapshot},
        tables=[CORPUS_SNAPSHOT.name],
    ).to_pylist()
    return {row["table_name"]: row["table_version"] for row in rows}


def chain_from(lake: Lake, snapshot: str) -> Chain | None:
    """Returns how a removed snapshot is compared; None where it is none, or a pin of its chain is gone."""
    steps: list[str] = []
    rows = {row["snapshot"]: row for row in _rows(lake)}
    if snapshot not in rows:
        return None
    tables, step = rows[snapshot]["tables"], snapshot
    while step in rows:
        steps.append(step)
        step = rows[step]["pin"]
    tags = {name: lake.dataset(name).tags.list().get(step) for name in tables}
    if any(tag is None for tag in tags.values()):
        return None
    return Chain({name: tag["version"] for name, tag in tags.items() if tag}, tuple(steps))


def kept_changes(lake: Lake, steps: Sequence[str], table: str, *, is_reversed: bool = False) -> list[pa.RecordBatch]:
    """Returns the changes of the table in the steps, as `KEPT` has them."""
    if not steps:
        return []
    with lake.connect([SNAPSHOT_CHANGES.name], only={"snapshot": list(steps)}) as connection:
        rows = connection.sql(
            statement("corpus/kept_changes"), params={"table": table, "sign": -1 if is_reversed else 1}
        )
        return rows.to_arrow_table().cast(KEPT).to_batches()


def keep_differences(lake: Lake, names: Sequence[str], *, run_id: str) -> list[str]:
    """Keeps how those of the snapshots and pins, which are removed next, differ from the lake as it is now.

    Returns the snapshots. One that an interrupted call was done with is left as it is.
    """
    done = {row["snapshot"]: row for row in _rows(lake)}
    wanted = [row for row in _worth_keeping(lake, names, done) if row["snapshot"] not in done]
    if not wanted:
        return []
    now = datetime.now(UTC)
    pin = f"{PIN}{now:%Y%m%dT%H%M%S%f}"
    after = lake.tag(pin)
    for row in wanted:
        _delete_changes(lake, [row["snapshot"]])  # of a call that was killed
        _write_changes(lake, row, after)
        made = {"pin": pin, "tables": sorted(row["versions"]), "run_id": run_id, "written_at": now}
        columns = {name: row[name] for name in ("snapshot", "label", "taken_at")}
        lake.upsert(REMOVED_SNAPSHOTS.name, pa.Table.from_pylist([columns | made], schema=REMOVED_SNAPSHOTS.arrow))
    return [row["snapshot"] for row in wanted if not row["snapshot"].startswith(PIN)]


def remove_expired(lake: Lake, *, older_than: timedelta = KEPT_FOR) -> None:
    """Removes what is kept of older snapshots without a name; and pins and changes that none is compared through."""
    rows = {row["snapshot"]: row for row in _rows(lake)}
    before = datetime.now(UTC) - older_than
    steps: set[str] = set()
    pins: set[str] = set()
    for name, row in rows.items():
        if name.startswith(PIN) or (row["label"] is None and row["written_at"] < before):
            continue
        while name in rows:
            steps.add(name)
            name = rows[name]["pin"]
        pins.add(name)
    lake.delete(REMOVED_SNAPSHOTS.name, sorted(rows.keys() - steps))
    _delete_changes(lake, sorted(_names_of_changes(lake) - steps))
    for table in pinned_tables():
        tags = lake.dataset(table.name).tags
        for name in tags.list():
            # One that was made just now may belong to a call that is not done.
            if name.startswith(PIN) and name not in pins and name < f"{PIN}{before:%Y%m%dT%H%M%S%f}":
                tags.delete(name)


def unname(lake: Lake, snapshot: str) -> None:
    """Takes the name of a removed snapshot."""
    import polars as pl

    rows = lake.polars(REMOVED_SNAPSHOTS.name).filter(pl.col("snapshot") == snapshot)
    lake.upsert(REMOVED_SNAPSHOTS.name, rows.with_columns(label=pl.lit(None, pl.String)))


def _rows(lake: Lake) -> list[dict[str, Any]]:
    return lake.query("select * from removed_snapshots", tables=[REMOVED_SNAPSHOTS.name]).to_pylist()


def _names_of_changes(lake: Lake) -> set[str]:
    rows = lake.query("select distinct snapshot from snapshot_changes", tables=[SNAPSHOT_CHANGES.name])
    return set(rows["snapshot"].to_pylist())


def _worth_keeping(lake: Lake, names: Sequence[str], done: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yields snapshots that somebody may ask for, and pins that removed snapshots are compared through."""
    snapshots = lake.query(statement("corpus/snapshots")).to_pylist()
    for number, row in enumerate(snapshots):
        if row["snapshot"] in names and (number == 0 or row["label"] or row["made_from_it"]):
            yield row | {"versions": versions_in(lake, row["snapshot"])}
    for pin in sorted({row["pin"] for row in done.values()} & set(names)):
        tags = {table.name: lake.dataset(table.name).tags.list().get(pin) for table in pinned_tables()}
        versions = {name: tag["version"] for name, tag in tags.items() if tag}
        yield {"snapshot": pin, "label": None, "taken_at": None, "versions": versions}


def _write_changes(lake: Lake, row: dict[str, Any], after: dict[str, int]) -> None:
    for table in pinned_tables():
        if table.name not in row["versions"]:
            continue  # younger than the snapshot
        with net_changes(lake, table, row["versions"][table.name], after[table.name]) as connection:
            changes = connection.sql(
                statement("corpus/changes_to_keep"), params={"snapshot": row["snapshot"], "table": table.name}
            )
            for batch in changes.to_arrow_reader(ROWS_PER_COMMIT):
                lake.upsert(SNAPSHOT_CHANGES.name, pa.Table.from_batches([batch]))


def _delete_changes(lake: Lake, snapshots: Sequence[str]) -> None:
    if not snapshots:
        return
    with lake.connect([SNAPSHOT_CHANGES.name], only={"snapshot": list(snapshots)}) as connection:
        keys = connection.sql("select change_id from snapshot_changes").to_arrow_reader(KEYS_PER_DELETE)
        chunks = [batch["change_id"].to_pylist() for batch in keys]
    for chunk in chunks:
        lake.delete(SNAPSHOT_CHANGES.name, chunk)
