"""Removes runs from Dagster's history, which shows rows: samples, captions, contact sheets, names in logs.

A run is removed as a whole, with its events and logs, because single events cannot be separated. Its results stay
materialised: for each partition that it materialised last, a new event without the samples replaces its event.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import dagster as dg

RUNS_PER_READ = 100
SECONDS_FOR_OTHERS = 60.0  # upper bound on the time that another process locks a SQLite file
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
    """Returns ids of the queued and running runs, which may still write what they have in memory."""
    return [run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=list(UNFINISHED)))]


def runs_that_show(
    instance: dg.DagsterInstance, *, partitions: set[str], texts: Sequence[str], since: datetime | None
) -> list[str]:
    """Returns ids of ended runs of these partitions, and of runs whose events or configuration contain a text.

    since: lower bound on the time of such runs.
    """
    return [
        run.run_id
        for run in _ended_runs(instance, since)
        if run.tags.get(PARTITION_TAG) in partitions or _mentions(instance, run, texts)
    ]


def remove_runs(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> None:
    """Removes the runs, their events and logs. An interrupted removal can be repeated with the remaining runs."""
    removed = set(run_ids)
    for run_id in run_ids:
        for materialization in _materializations(instance, run_id):
            _report_again(instance, materialization, removed)
    for run_id in run_ids:
        _remove_checks(instance, run_id)
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        # Events first: a run without events is found again, events without a run are not.
        instance.event_log_storage.delete_events(run_id)
        instance.delete_run(run_id)


def scrub_files(instance: dg.DagsterInstance) -> None:
    """Rewrites SQLite files, which contain deleted rows until the space is reused. Other databases do so themselves."""
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
    parts = [str(run.run_config), str(run.tags)]
    parts += [dg.serialize_value(entry) for entry in instance.all_logs(run.run_id)]
    return any(text in part for part in parts for text in texts)


def _materializations(instance: dg.DagsterInstance, run_id: str) -> Iterator[dg.AssetMaterialization]:
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        materialization = entry.asset_materialization
        if materialization is not None:
            yield materialization


def _report_again(instance: dg.DagsterInstance, materialization: dg.AssetMaterialization, removed: set[str]) -> None:
    """Reports the materialization again, without its metadata, if its last event is of a run that is removed."""
    filter_ = dg.AssetRecordsFilter(
        asset_key=materialization.asset_key,
        asset_partitions=None if materialization.partition is None else [materialization.partition],
    )
    last = instance.fetch_materializations(filter_, limit=1).records
    if not last or last[0].run_id not in removed:
        return
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            materialization.asset_key,
            partition=materialization.partition,
            description="what this showed was removed with something that was forgotten",
            tags={name: value for name, value in (materialization.tags or {}).items() if name in DATA_TAGS},
        )
    )


def _remove_checks(instance: dg.DagsterInstance, run_id: str) -> None:
    """Removes results of checks in the run, which Dagster stores beside the events and does not remove with them."""
    from sqlalchemy import text

    storage = instance.event_log_storage
    # Dagster removes them with a whole asset only, so this names a table of its SQL storages. An instance that keeps
    # its events elsewhere has no such connection.
    if hasattr(storage, "index_connection"):
        with storage.index_connection() as connection:
            connection.execute(text("delete from asset_check_executions where run_id = :run_id"), {"run_id": run_id})
