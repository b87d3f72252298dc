"""Runs in the daemon's queue. Where one waits that will do the same, no further one is requested.

There would be more of them each hour where runs take longer than they are apart.
"""

import dagster as dg

PARTITION = "dagster/partition"
SCHEDULE = "dagster/schedule_name"


def waiting_runs(instance: dg.DagsterInstance, job_name: str, schedule: str | None = None) -> list[dg.DagsterRun]:
    """Returns the runs of the job, or only those of a schedule, that have not begun: they will see all there is."""
    tags = {} if schedule is None else {SCHEDULE: schedule}
    return list(instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=[dg.DagsterRunStatus.QUEUED], tags=tags)))


def waiting_partitions(instance: dg.DagsterInstance, job_name: str) -> set[str]:
    """Returns the partitions for which a run of the job waits."""
    return {run.tags[PARTITION] for run in waiting_runs(instance, job_name) if PARTITION in run.tags}
