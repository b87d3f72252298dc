"""`corpus_snapshot`: the state of the whole lake, pinned. Where the ingest batches come together.

Statistics, subsets and checkpoints are made from a snapshot, so they can say exactly what from, and can be made again.
"""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pyarrow as pa

from resources.lake import Lake
from resources.refresh import digest
from resources.schema import CORPUS_SNAPSHOT, PINNED, Table
from resources.statements import statement

IN_SNAPSHOT = (
    *("downloads", "raw_videos", "clips", "frames", "fingerprints", "speech", "transcripts"),
    *("frame_captions", "clip_captions", "clip_embeddings", "clip_scores"),
)  # what a run of an ingest batch fills; the snapshot waits for `duplicates` as well


@dg.asset(
    deps=[dg.AssetKey(name) for name in (*IN_SNAPSHOT, "duplicates")],
    group_name="corpus",
    kinds={"lance"},
    description="The pinned version of every table of data: what statistics, subsets and checkpoints are made from.",
)
def corpus_snapshot(context: dg.AssetExecutionContext, lake: Lake) -> dg.MaterializeResult:
    """One row is the version of one table in a snapshot. Changes when any table's rows do."""
    name, rows, is_new = take_snapshot(lake, run_id=context.run_id)
    context.log.info(f"{'new snapshot' if is_new else 'nothing changed since'} {name}")
    records = [
        dg.TableRecord({key: str(row[key]) for key in ("table_name", "table_version", "row_count")}) for row in rows
    ]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(name),
        metadata={"snapshot": name, "is_new": is_new, "tables": dg.MetadataValue.table(records)},
    )


def take_snapshot(lake: Lake, *, run_id: str) -> tuple[str, list[dict[str, Any]], bool]:
    """Pins every table of data as it is now; a lake that holds what the newest snapshot holds gets no new one.

    Returns the snapshot's name, its rows, and whether it is new.
    """
    now = datetime.now(UTC)
    rows = [_table_now(lake, table) for table in PINNED]
    newest = newest_snapshot(lake)
    if newest and _digests(newest) == _digests(rows):
        return newest[0]["snapshot"], rows, False
    name = f"corpus-{now:%Y%m%dT%H%M%S}-{digest(_digests(rows))[:8]}"
    lake.tag(name, {row["table_name"]: row["table_version"] for row in rows})
    made = {"snapshot": name, "run_id": run_id, "written_at": now}
    rows = [row | made | {"snapshot_table": f"{name}/{row['table_name']}"} for row in rows]
    lake.upsert(CORPUS_SNAPSHOT.name, pa.Table.from_pylist(rows, schema=CORPUS_SNAPSHOT.arrow))
    return name, rows, True


def is_current(lake: Lake) -> bool:
    """Whether the newest snapshot shows all that the tables hold."""
    newest = newest_snapshot(lake)
    return bool(newest) and _digests(newest) == _digests([_table_now(lake, table) for table in PINNED])


def newest_snapshot(lake: Lake) -> list[dict[str, Any]]:
    """The newest snapshot's name, time and digest of each table: a row each; none where there is no snapshot yet."""
    return lake.query(statement("operations/newest_snapshot"), tables=[CORPUS_SNAPSHOT.name]).to_pylist()


def newest_snapshot_name(lake: Lake) -> str:
    """Name of the newest snapshot. Raises dg.Failure where none was made yet."""
    rows = newest_snapshot(lake)
    if not rows:
        raise dg.Failure("there is no snapshot yet: materialise corpus_snapshot first")
    return rows[0]["snapshot"]


def _digests(rows: list[dict[str, Any]]) -> dict[str, str]:
    return {row["table_name"]: row["digest"] for row in rows}


def _table_now(lake: Lake, table: Table) -> dict[str, Any]:
    version = lake.version(table.name)
    with lake.connect([table.name], at={table.name: version}) as connection:
        # Names of tables and columns cannot be bound; these come from resources.schema, never from data.
        connection.execute(
            f"create temp view rows as select {table.key} as key, {table.rests_on} as provenance from {table.name}"
        )
        row_count, hashed = connection.sql(statement("operations/table_digest")).fetchall()[0]
    return {"table_name": table.name, "table_version": version, "row_count": row_count, "digest": hashed}
