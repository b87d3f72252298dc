"""What Dagster keeps of its runs shows rows: samples, captions, contact sheets, names in logs. Removing such runs.

A run goes as a whole, with its events and its logs: what it reported cannot be told apart event by event. What it made
stays made: for each partition that it was the last to materialise, an event of its own says so.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import dagster as dg

RUNS_PER_READ = 100
SECONDS_FOR_OTHERS = 60.0  # that a process may keep a SQLite file locked
PARTITION_TAG = "dagster/partition"
DATA_TAGS = ("dagster/data_version", "dagster/code_version")  # of a materialization, beside which run made it
UNFINISHED = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def unfinished_runs(instance: dg.DagsterInstance) -> list[str]:
    """Ids of the runs that wait or go on: what they hold in memory they may still write."""
    return [run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=list(UNFINISHED)))]


def runs_that_show(
    instance: dg.DagsterInstance, *, partitions: set[str], texts: Sequence[str], since: datetime | None
) -> list[str]:
    """Ids of the ended runs of these partitions, whose pictures may show anything of them, and of those in whose
    events or configuration one of the texts stands. since: when the first such run can have been.
    """
    return [
        run.run_id
        for run in _ended_runs(instance, since)
        if run.tags.get(PARTITION_TAG) in partitions or _mentions(instance, run, texts)
    ]


def remove_runs(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> None:
    """Removes the runs, their events and logs. Killed half-way and called again with those left, it ends the same."""
    removed = set(run_ids)
    for run_id in run_ids:
        for materialization in _materializations(instance, run_id):
            _say_again(instance, materialization, removed)
    for run_id in run_ids:
        _remove_checks(instance, run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        # Events first: a run without events is found again, events without a run are not.
        instance.event_log_storage.delete_events(run_id)
        instance.delete_run(run_id)


def scrub_files(instance: dg.DagsterInstance) -> None:
    """SQLite keeps what was deleted in its files until it has use for the space: writes them anew. Other databases see
    to that themselves.
    """
    if not isinstance(instance, dg.DagsterInstance) or instance.is_ephemeral:
        return
    for path in sorted(Path(instance.root_directory).rglob("*.db")):
        connection = sqlite3.connect(path, timeout=SECONDS_FOR_OTHERS, isolation_level=None)
        try:
            connection.execute("pragma wal_checkpoint(truncate)")
            connection.execute("vacuum")
            connection.execute("pragma wal_checkpoint(truncate)")
        finally:
            connection.close()


def _ended_runs(instance: dg.DagsterInstance, since: datetime | None) -> Iterator[dg.DagsterRun]:
    cursor = None
    while runs := instance.get_runs(dg.RunsFilter(created_after=since), cursor=cursor, limit=RUNS_PER_READ):
        yield from (run for run in runs if run.is_finished)
        cursor = runs[-1].run_id


def _mentions(instance: dg.DagsterInstance, run: dg.DagsterRun, texts: Sequence[str]) -> bool:
    from dagster._serdes import serialize_value

    told = [str(run.run_config), str(run.tags)]
    told += [serialize_value(entry) for entry in instance.all_logs(run.run_id)]
    return any(text in one for one in told for text in texts)


def _materializations(instance: dg.DagsterInstance, run_id: str) -> Iterator[dg.AssetMaterialization]:
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        materialization = entry.asset_materialization
        if materialization is not None:
            yield materialization


def _say_again(instance: dg.DagsterInstance, said: dg.AssetMaterialization, removed: set[str]) -> None:
    """That the asset is made, if none but a run that is to be removed says so; without what it showed."""
    filter_ = dg.AssetRecordsFilter(
        asset_key=said.asset_key, asset_partitions=None if said.partition is None else [said.partition]
    )
    last = instance.fetch_materializations(filter_, limit=1).records
    if not last or last[0].run_id not in removed:
        return
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            said.asset_key,
            partition=said.partition,
            description="what this showed was removed with something that was forgotten",
            tags={name: value for name, value in (said.tags or {}).items() if name in DATA_TAGS},
        )
    )


def _remove_checks(instance: dg.DagsterInstance, run_id: str) -> None:
    """What checks reported in the run: Dagster keeps it beside the events, and does not remove it with them."""
    from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
    from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

    storage = instance.event_log_storage
    if isinstance(storage, SqlEventLogStorage):
        with storage.index_connection() as connection:
            connection.execute(AssetCheckExecutionsTable.delete().where(AssetCheckExecutionsTable.c.run_id == run_id))
