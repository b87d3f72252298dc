"""The services of deploy/compose.yaml, each a process with its very command: Postgres, a bucket, killed services."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from compose_services import Services, compose, values_of_the_example
from dagster_service import REPOSITORY_SELECTOR, SECONDS_TO_BACKFILL, SECONDS_TO_START, Service, free_port
from postgres_server import PASSWORD, PostgresServer, running_postgres

from resources.catalog.files import register
from resources.lake.store import Lake
from resources.media.store import Media

pytestmark = pytest.mark.slow(minutes=3)

SECONDS_WITHOUT_POSTGRES = 10
SECONDS_ON_A_BUSY_MACHINE = 720
ASSETS = ["raw_videos", "clips", "frames", "frame_captions", "clip_captions"]
BUCKET = "internvid"
INSTANCE = "{ instance { info } }"
DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { healthy } } } }"
RUNS = """
{ runsOrError { ... on Runs { results { runId status parentRunId tags { key value } } } } }
"""
LAUNCH_RUN = """
mutation ($run: ExecutionParams!) {
  launchPipelineExecution(executionParams: $run) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
EVENTS = """
query ($id: ID!) {
  logsForRun(runId: $id) { ... on EventConnection { events { __typename ... on MessageEvent { message } } } }
}
"""


@dataclass
class Cluster:
    services: Services
    ui: Service
    postgres: PostgresServer
    objects: Callable[[], set[str]]

    def runs(self) -> list[dict[str, Any]]:
        return self.ui.graphql(RUNS)["results"]

    def await_health(self, service: str) -> None:
        """Waits until the service answers, and then for what its healthcheck says, which takes seconds to ask."""
        ports = {"code-location": self.services.replacements["4000"], "webserver": self.services.replacements["3000"]}

        def answers() -> bool:
            if service == "daemon":
                daemons = self.ui.graphql(DAEMONS)["daemonHealth"]["allDaemonStatuses"]
                return all(daemon["healthy"] for daemon in daemons)
            self.services.require(service)
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", int(ports[service]))) == 0

        self.ui.wait(answers, seconds=SECONDS_TO_START)
        self.ui.wait(lambda: self.services.is_healthy(service), seconds=SECONDS_TO_START)

    def is_working(self) -> bool:
        return any(run["status"] == "STARTED" for run in self.runs())


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def cluster(
    postgres: PostgresServer, s3: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """Every service, started in the order in which Docker starts them, each once what it needs is healthy."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "inbox").mkdir()
    code_port, ui_port = free_port(), free_port()
    values = values_of_the_example(
        POSTGRES_PASSWORD=PASSWORD,
        AWS_ACCESS_KEY_ID=s3["aws_access_key_id"],
        AWS_SECRET_ACCESS_KEY=s3["aws_secret_access_key"],
        RAY_AUTH_TOKEN="of no use here",
    )
    file = compose("compose.yaml", values | {"FIRST_MODEL": "", "WORKERS": "1"})
    here = {
        "postgres:5432": f"127.0.0.1:{postgres.port}",
        "http://s3:8333": s3["aws_endpoint"],
        "code-location:4000": f"127.0.0.1:{code_port}",
        "4000": str(code_port),
        "3000": str(ui_port),
        "0.0.0.0": "127.0.0.1",
        "/home/internvid": str(folder),
        "/inbox": str(folder / "inbox"),
    }
    services = Services(file, here, folder)
    client = boto3.client(
        "s3",
        endpoint_url=s3["aws_endpoint"],
        region_name=s3["aws_region"],
        aws_access_key_id=s3["aws_access_key_id"],
        aws_secret_access_key=s3["aws_secret_access_key"],
    )

    def objects() -> set[str]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return {item["Key"] for page in pages for item in page.get("Contents", ())}

    lake = Lake(root=f"s3://{BUCKET}/lake", storage_options=s3)
    media = Media(root=f"{lake.root}/media", storage_options=s3, keep="import", workers=1)
    ui = Service(f"http://127.0.0.1:{ui_port}", lake, media, folder / "inbox")
    bucket = services.run("bucket")
    assert bucket.returncode == 0, bucket.stderr
    try:
        cluster = Cluster(services, ui, postgres, objects)
        services.start("code-location")
        cluster.await_health("code-location")
        services.start("webserver")
        services.start("daemon")
        for service in ("webserver", "daemon"):
            cluster.await_health(service)
        for sensor in ("registered_batches_sensor", "recompute_what_changed", "inbox_sensor"):
            ui.switch(sensor, on=False)  # they would take the batches by themselves
        yield cluster
    finally:
        services.stop_all()


@pytest.fixture(scope="module")
def batches(
    cluster: Cluster, synthetic_video: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """Three videos, each a batch."""
    folder = tmp_path_factory.mktemp("synthetic_videos")
    videos = [str(synthetic_video(folder, f"video_{number}.mp4", number)) for number in range(3)]
    registered = register(cluster.ui.lake, cluster.ui.media, videos, run_id="test", hours_per_batch=4 / 3600)
    for batch in sorted(registered.batches):
        cluster.ui.add_partition(batch)
    return sorted(registered.batches)


@pytest.mark.timeout(1200)
def test_postgres_is_killed_and_away_for_ten_seconds_and_a_backfill_loses_nothing(cluster, batches) -> None:
    ui, batches = cluster.ui, batches[:2]
    backfill = ui.launch_backfill(ASSETS, batches)
    ui.wait(cluster.is_working, seconds=SECONDS_TO_BACKFILL)
    cluster.postgres.kill()
    time.sleep(SECONDS_WITHOUT_POSTGRES)
    cluster.postgres.start()
    ended = ui.ended_backfill(backfill, seconds=SECONDS_ON_A_BUSY_MACHINE)

    if ended["status"] != "COMPLETED_SUCCESS":
        # Seldom, at one moment of a run's start, Dagster calls the run failed: then it is started again, as people do.
        print(ended, cluster.services.logs("daemon"), cluster.services.logs("code-location"), sep="\n")
        ended = ui.ended_backfill(ui.launch_backfill(ASSETS, batches), seconds=SECONDS_ON_A_BUSY_MACHINE)
    assert ended["status"] == "COMPLETED_SUCCESS", (ended, cluster.services.logs("code-location"))
    captions = ui.lake.query(
        "select ingest_batch, count(*) as captions from clip_captions group by all order by all",
        tables=["clip_captions"],
    ).to_pylist()
    assert captions == [{"ingest_batch": batch, "captions": 2} for batch in batches]
    stored = cluster.objects()
    paths = ui.lake.polars("raw_videos")["path"].to_list()
    assert all(path.startswith(f"s3://{BUCKET}/lake/media/") for path in paths)
    assert {path.removeprefix(f"s3://{BUCKET}/") for path in paths} <= stored
    assert not [key for key in stored if "conditional-write" in key]
    # Dagster's records are in Postgres, and nowhere else.
    (partitions,) = cluster.postgres.rows("select count(*) from dynamic_partitions")
    (succeeded,) = cluster.postgres.rows("select count(*) from runs where status = 'SUCCESS'")
    assert partitions == (3,)
    assert succeeded >= (2,)
    assert list(cluster.services.folder.rglob("*.db")) == []


@pytest.mark.timeout(1200)
def test_the_run_of_a_code_location_that_was_lost_ends_and_is_started_again(cluster, batches) -> None:
    ui, services = cluster.ui, cluster.services
    selector = {**REPOSITORY_SELECTOR, "pipelineName": "ingest"}
    tags = [{"key": "dagster/partition", "value": batches[2]}]
    run = {"selector": selector, "runConfigData": "{}", "mode": "default", "executionMetadata": {"tags": tags}}
    launched = ui.graphql(LAUNCH_RUN, run=run)
    assert launched["__typename"] == "LaunchRunSuccess", launched
    lost = launched["run"]["runId"]
    ui.wait(cluster.is_working, seconds=SECONDS_TO_START)

    os.killpg(services.processes["code-location"].pid, signal.SIGKILL)  # as its container goes, with all its processes
    services.stop("code-location")
    assert cluster.is_working()  # nobody has noticed
    services.start("code-location")
    cluster.await_health("code-location")

    def retried() -> dict[str, Any] | None:
        again = [run for run in cluster.runs() if run["parentRunId"] == lost]
        return again[0] if again and again[0]["status"] in ("SUCCESS", "FAILURE") else None

    assert ui.wait(retried, seconds=SECONDS_ON_A_BUSY_MACHINE)["status"] == "SUCCESS"
    by_id = {run["runId"]: run["status"] for run in cluster.runs()}
    assert by_id[lost] == "FAILURE"
    messages = [event.get("message", "") for event in ui.graphql(EVENTS, id=lost)["events"]]
    assert any("the code location that ran it was lost" in message for message in messages)
    assert ui.lake.polars("clip_captions", only={"ingest_batch": batches[2]}).height == 2


def test_no_password_and_no_key_is_shown_logged_or_written(cluster) -> None:
    shown = json.dumps(cluster.ui.graphql(INSTANCE))
    assert "max_concurrent_runs" in shown
    written = [path for path in cluster.services.folder.rglob("*") if path.is_file()]
    shown += "".join(path.read_text(errors="replace") for path in written)
    assert "env: INTERNVID_POSTGRES_URL" in shown
    for process in cluster.services.processes.values():
        shown += Path(f"/proc/{process.pid}/cmdline").read_text()
    assert PASSWORD not in shown
    (events,) = cluster.postgres.rows(f"select count(*) from event_logs where position('{PASSWORD}' in event) > 0")
    assert events == (0,)
