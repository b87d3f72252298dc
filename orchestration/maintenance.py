"""What runs by the clock: keeping the tables fast, and publishing what has come in."""

import dagster as dg

from orchestration.jobs import check_lake, publish
from resources.lake import Lake


@dg.op(pool="index")
def optimize_tables(context: dg.OpExecutionContext, lake: Lake) -> None:
    """Compacts the tables, folds new rows into their indexes, and removes old versions that no snapshot pins."""
    lake.create_tables()
    for table, done in lake.optimize().items():
        context.log.info(f"{table}: {done}")


@dg.job(description="Compacts and indexes the tables and removes old versions. May run beside writers.")
def maintenance() -> None:
    optimize_tables()


maintenance_schedule = dg.ScheduleDefinition(
    name="nightly_maintenance",
    job=maintenance,
    cron_schedule="30 3 * * *",
    description="Keeps the tables fast and small.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
check_schedule = dg.ScheduleDefinition(
    name="nightly_check",
    job=check_lake,
    cron_schedule="0 4 * * *",
    description="Counts and keys over the whole lake.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
publish_schedule = dg.ScheduleDefinition(
    name="hourly_publish",
    job=publish,
    cron_schedule="0 * * * *",
    description="Pins what has come in and publishes it.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
