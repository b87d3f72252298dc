"""Runs that wait in the daemon's queue."""

from uuid import uuid4

import dagster as dg
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin


def queue(instance: dg.DagsterInstance, job_name: str, tags: dict[str, str]) -> None:
    """Puts a run of the job there."""
    origin = RemoteJobOrigin(
        RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("internvid"), "__repository__"), job_name
    )
    instance.add_run(
        dg.DagsterRun(
            job_name,
            run_id=str(uuid4()),
            status=dg.DagsterRunStatus.QUEUED,
            tags=tags,
            remote_job_origin=origin,
        )
    )
