"""What runs by the clock: keeping the tables fast, publishing what has come in, and collecting from the web."""

from datetime import timedelta

import dagster as dg

from orchestration.settings import Settings
from orchestration.waiting import waiting_runs

RUNNING, STOPPED = dg.DefaultScheduleStatus.RUNNING, dg.DefaultScheduleStatus.STOPPED

# What `hourly_publish` promises of the assets that it makes: a warning after one publication that did not come.
PUBLISHED_HOURLY = dg.FreshnessPolicy.time_window(warn_window=timedelta(hours=2), fail_window=timedelta(hours=4))


def build_schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """Builds the schedules. Those that collect from the web start by themselves only where the settings say so."""
    collecting = RUNNING if settings.collect else STOPPED
    return [
        _schedule(
            name="hourly_publish",
            job_name="publish",
            cron_schedule="0 * * * *",
            description="Pins what has come in and publishes it.",
            status=RUNNING,
        ),
        _schedule(
            name="nightly_maintenance",
            job_name="maintenance",
            cron_schedule="30 3 * * *",
            description="Keeps the tables fast and small.",
            status=RUNNING,
        ),
        _schedule(
            name="nightly_check",
            job_name="check_lake",
            cron_schedule="0 4 * * *",
            description="Counts and keys over the whole lake.",
            status=RUNNING,
        ),
        _schedule(
            name="daily_discovery",
            job_name="discover",
            cron_schedule=settings.discover_cron,
            description="Finds new videos on the web.",
            status=collecting,
        ),
        _schedule(
            name="weekly_source_check",
            job_name="check_sources",
            cron_schedule=settings.check_cron,
            description="Finds out which videos have gone from the web.",
            status=collecting,
        ),
    ]


def _schedule(
    name: str, job_name: str, cron_schedule: str, description: str, status: dg.DefaultScheduleStatus
) -> dg.ScheduleDefinition:
    """Builds a schedule that requests no run while its last one waits for its turn."""

    def request(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if waiting := waiting_runs(context.instance, job_name, schedule=name):
            return dg.SkipReason(f"the run {waiting[0].run_id} of an earlier time still waits for its turn")
        return dg.RunRequest()

    return dg.ScheduleDefinition(
        name=name,
        job_name=job_name,
        cron_schedule=cron_schedule,
        description=description,
        default_status=status,
        execution_fn=request,
    )
