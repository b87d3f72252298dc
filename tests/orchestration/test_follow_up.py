"""What the sensors request: batches of registered sources, each once, and batches in which something is due."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pyarrow as pa
from queued_runs import queue

from orchestration.schedules import build_schedules
from orchestration.sensors import MAX_RUNS_PER_TICK, build_sensors
from orchestration.settings import Settings
from orchestration.waiting import PARTITION, SCHEDULE
from resources.catalog.batching import MAX_HOURS_PER_BATCH
from resources.catalog.downloader import sites_in_cooldown
from resources.catalog.locations import RUN_ID
from resources.catalog.web import WebSource, register_web
from resources.lake.schema import ATTEMPTS
from resources.lake.store import Lake


def find(lake: Lake, count: int, *, name: str = "found", run_id: str = "of the daemon") -> set[str]:
    """Registers that many videos, each as long as a batch at most, so each in one of its own; the batches."""
    sources = [
        WebSource(f"https://example.org/{name}{number}", seconds=3600 * MAX_HOURS_PER_BATCH) for number in range(count)
    ]
    return register_web(lake, sources, found_by=None, run_id=run_id).batches


def poll(
    name: str, lake: Lake, cursor: str | None = None, waiting: Sequence[str] = ()
) -> tuple[list[dg.RunRequest], str | None]:
    """A tick of the sensor: the runs that it requests, and its new cursor. waiting: batches whose runs are queued."""
    instance = dg.DagsterInstance.ephemeral()
    for batch in waiting:
        queue(instance, "ingest", {PARTITION: batch})
    sensor = {sensor.name: sensor for sensor in build_sensors(Settings(lake=lake.root))}[name]
    with dg.build_sensor_context(cursor=cursor, instance=instance, resources={"lake": lake}) as context:
        result = sensor(context)
    if isinstance(result, dg.SkipReason):
        return [], cursor
    assert isinstance(result, dg.SensorResult)
    return list(result.run_requests or []), result.cursor


def attempt(lake: Lake, name: str, partition: str, outcome: str, *, minutes: float | None) -> None:
    next_try_at = None if minutes is None else datetime.now(UTC) + timedelta(minutes=minutes)
    row = {"attempt_id": f"downloads/{name}", "stage": "downloads", "key": name, "outcome": outcome}
    row |= {"partition": partition, "next_try_at": next_try_at}
    lake.upsert("attempts", pa.Table.from_pylist([row], schema=ATTEMPTS.arrow))


def test_every_batch_of_found_sources_is_asked_for_once_though_all_were_found_in_one_moment(lake: Lake) -> None:
    batches = find(lake, MAX_RUNS_PER_TICK + 30)
    cursor, asked = None, []
    for expected in (MAX_RUNS_PER_TICK, 30, 0):
        requests, cursor = poll("registered_batches_sensor", lake, cursor)
        assert len(requests) == expected
        asked += [request.partition_key for request in requests]
    assert sorted(asked) == sorted(batches)
    more = find(lake, 2, name="more")
    requests, _ = poll("registered_batches_sensor", lake, cursor)
    assert {request.partition_key for request in requests} == more


def test_sources_that_come_after_the_clock_was_set_back_are_asked_for(lake: Lake) -> None:
    find(lake, 1)
    _, cursor = poll("registered_batches_sensor", lake)
    assert cursor is not None
    time, _, batch = cursor.partition(" ")
    ahead = datetime.fromisoformat(time) + timedelta(days=365)
    later = find(lake, 2, name="later")
    requests, cursor = poll("registered_batches_sensor", lake, f"{ahead.isoformat()} {batch}")
    assert {request.partition_key for request in requests} > later, "and what was asked for, under the same run key"
    assert poll("registered_batches_sensor", lake, cursor) == ([], cursor)


def test_what_the_command_line_takes_in_and_runs_is_not_asked_for(lake: Lake) -> None:
    find(lake, 2, run_id=RUN_ID)
    assert poll("registered_batches_sensor", lake) == ([], None)


def test_what_waits_for_a_time_of_a_clock_that_was_set_back_is_asked_for(lake: Lake) -> None:
    attempt(lake, "site", "2026-01-01-0001", "waiting", minutes=60 * 24 * 365)
    assert poll("retry_sensor", lake) == ([], None)
    rows = lake.polars("attempts").with_columns(pl.lit(datetime.now(UTC) + timedelta(days=364)).alias("written_at"))
    lake.upsert("attempts", rows)
    requests, _ = poll("retry_sensor", lake)
    assert [request.partition_key for request in requests] == ["2026-01-01-0001"]
    assert sites_in_cooldown(lake) == {}


def test_a_batch_is_asked_for_again_when_the_time_of_something_in_it_has_come(lake: Lake) -> None:
    attempt(lake, "due", "2026-01-01-0001", "failed", minutes=-1)
    attempt(lake, "left alone until now", "2026-01-01-0002", "waiting", minutes=-2)
    attempt(lake, "later", "2026-01-01-0003", "failed", minutes=5)
    attempt(lake, "never", "2026-01-01-0004", "failed", minutes=None)
    attempt(lake, "of a plan", "actions", "failed", minutes=-1)
    requests, _ = poll("retry_sensor", lake)
    assert [request.partition_key for request in requests] == ["2026-01-01-0002", "2026-01-01-0001"]
    again, _ = poll("retry_sensor", lake)
    assert [request.run_key for request in again] == [request.run_key for request in requests], "asked for once"


def test_a_batch_whose_run_waits_in_the_queue_is_not_asked_for_again(lake: Lake) -> None:
    attempt(lake, "a", "2026-11-28-0001", "failed", minutes=-1)
    attempt(lake, "b", "2026-11-28-0002", "failed", minutes=-1)
    requests, _ = poll("retry_sensor", lake, waiting=["2026-11-28-0001"])
    assert [request.partition_key for request in requests] == ["2026-11-28-0002"]


def test_a_schedule_whose_last_run_waits_in_the_queue_asks_for_no_further_one(tmp_path: Path) -> None:
    instance = dg.DagsterInstance.local_temp(str(tmp_path))
    schedules = {schedule.name: schedule for schedule in build_schedules(Settings())}

    def asked(name: str) -> int:
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=datetime.now(UTC))
        return len(schedules[name].evaluate_tick(context).run_requests or [])

    assert {name: asked(name) for name in schedules} == dict.fromkeys(schedules, 1)
    queue(instance, "publish", {SCHEDULE: "hourly_publish"})
    queue(instance, "maintenance", {})  # that somebody asked for
    assert {name: asked(name) for name in schedules} == dict.fromkeys(schedules, 1) | {"hourly_publish": 0}
