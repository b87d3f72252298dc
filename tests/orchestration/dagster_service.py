"""The lakehouse as it is deployed: the webserver and the daemon of `workspace.yaml`, each a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from orchestration.instance import dagster_home
from orchestration.settings import Settings
from resources.lake.store import Lake
from resources.media.store import Media

REPOSITORY = Path(__file__).resolve().parents[2]
REPOSITORY_SELECTOR = {"repositoryLocationName": "internvid", "repositoryName": "__repository__"}
SECONDS_TO_START = 120
KEY = "a key that nobody may see"  # of a bucket that is not used
HOME, LAKE = "dagster_home", "lake"  # within the service's folder
SECONDS_TO_STOP = 30
SECONDS_TO_BACKFILL = 360

SENSOR_STATE = """
query ($sensor: SensorSelector!) {
  sensorOrError(sensorSelector: $sensor) { __typename ... on Sensor { sensorState { id status } } }
}
"""
START_SENSOR = """
mutation ($sensor: SensorSelector!) {
  startSensor(sensorSelector: $sensor) { __typename ... on PythonError { message } }
}
"""
STOP_SENSOR = """
mutation ($id: String!) { stopSensor(id: $id) { __typename ... on PythonError { message } } }
"""
TICKS = """
query ($sensor: SensorSelector!) {
  sensorOrError(sensorSelector: $sensor) {
    ... on Sensor { sensorState { ticks(limit: 100) { timestamp status runKeys } } }
  }
}
"""
ADD_PARTITION = """
mutation ($repository: RepositorySelector!, $key: String!) {
  addDynamicPartition(repositorySelector: $repository, partitionsDefName: "ingest_batch", partitionKey: $key) {
    __typename
    ... on PythonError { message }
  }
}
"""
LAUNCH_BACKFILL = """
mutation ($backfill: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $backfill) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
BACKFILL = """
query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill {
      status
      error { message }
      assetBackfillData {
        assetBackfillStatuses {
          ... on AssetPartitionsStatusCounts {
            assetKey { path }
            numPartitionsTargeted
            numPartitionsMaterialized
          }
        }
      }
    }
  }
}
"""

Found = TypeVar("Found")


@dataclass(frozen=True)
class Service:
    """A running webserver and daemon: where they listen, their lake, and the folder that they watch."""

    url: str
    lake: Lake
    media: Media
    inbox: Path

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """The one field that the query asks for. Raises AssertionError for a query that GraphQL refuses."""
        request = urllib.request.Request(
            f"{self.url}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        (field,) = answer["data"].values()
        return field

    def answers(self) -> bool:
        try:
            return self.graphql("{ version }") != ""
        except (urllib.error.URLError, ConnectionError):
            return False

    def wait(self, until: Callable[[], Found | None], *, seconds: float) -> Found:
        """What `until` returns once it is something. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := until():
                return found
            time.sleep(1)
        raise TimeoutError(f"not within {seconds} s")

    def add_partition(self, batch: str) -> None:
        added = self.graphql(ADD_PARTITION, repository=REPOSITORY_SELECTOR, key=batch)
        assert added["__typename"] == "AddDynamicPartitionSuccess", added

    def switch(self, sensor: str, *, on: bool) -> None:
        """Switches a sensor on or off, as the switch in the UI does."""
        selector = {**REPOSITORY_SELECTOR, "sensorName": sensor}
        if on:
            started = self.graphql(START_SENSOR, sensor=selector)
            assert started["__typename"] == "Sensor", started
        else:
            state = self.graphql(SENSOR_STATE, sensor=selector)["sensorState"]
            stopped = self.graphql(STOP_SENSOR, id=state["id"])
            assert stopped["__typename"] == "StopSensorMutationResult", stopped
            # A tick in progress may see what is registered from now on.
            self.wait(
                lambda: "STARTED" not in {tick["status"] for tick in self.ticks(sensor)}, seconds=SECONDS_TO_START
            )

    def ticks(self, sensor: str) -> list[dict[str, Any]]:
        state = self.graphql(TICKS, sensor={**REPOSITORY_SELECTOR, "sensorName": sensor})["sensorState"]
        return state["ticks"]

    def backfilled(self, assets: Sequence[str], batches: Sequence[str]) -> dict[str, Any]:
        """A backfill of the assets in the batches, as it ended."""
        return self.ended_backfill(self.launch_backfill(assets, batches))

    def launch_backfill(self, assets: Sequence[str], batches: Sequence[str]) -> str:
        """The id of the backfill."""
        launched = self.graphql(
            LAUNCH_BACKFILL,
            backfill={
                "assetSelection": [{"path": [asset]} for asset in assets],
                "partitionNames": batches,
                "fromFailure": False,
                "tags": [],
            },
        )
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return launched["backfillId"]

    def ended_backfill(self, backfill_id: str, *, seconds: float = SECONDS_TO_BACKFILL) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            backfill = self.graphql(BACKFILL, id=backfill_id)
            return None if backfill["status"] in ("REQUESTED", "CANCELING", "FAILING") else backfill

        return self.wait(ended, seconds=seconds)


@contextmanager
def running_service(folder: Path, settings: Mapping[str, str] | None = None) -> Iterator[Service]:
    """`dagster-webserver` and `dagster-daemon` on the lake and the inbox of the folder, which are made where missing.

    settings: further environment variables.
    """
    home, inbox = folder / HOME, folder / "inbox"
    home.mkdir(exist_ok=True)
    inbox.mkdir(exist_ok=True)
    lake = Lake(root=str(folder / LAKE))
    dagster_home(Settings(lake=lake.root, dagster_home=str(home)))
    lake.create_tables()
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "INTERNVID_LAKE": lake.root,
        "INTERNVID_INBOX": str(inbox),
        "INTERNVID_INBOX_SETTLED_SECONDS": "2",
        "INTERNVID_WORKERS": "1",
        "INTERNVID_STORAGE_OPTIONS": json.dumps({"aws_secret_access_key": KEY}),
        **(settings or {}),
    }
    port = free_port()
    webserver = ["dagster-webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    daemon = ["dagster-daemon", "run", "-w", "workspace.yaml"]
    with running(webserver, environment, folder) as server:
        service = Service(f"http://127.0.0.1:{port}", lake, Media(root=str(folder / "media"), workers=1), inbox)

        def answers() -> bool:
            assert server.poll() is None, f"it ended by itself: {(folder / 'dagster-webserver.log').read_text()}"
            return service.answers()

        service.wait(answers, seconds=SECONDS_TO_START)
        # The daemon only now: two processes that make the same new SQLite files at once stumble over each other.
        with running(daemon, environment, folder):
            yield service


@contextmanager
def running(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen]:
    """The process, until it is ended with all that it started."""
    program = Path(sys.executable).parent / command[0]
    with open(folder / f"{command[0]}.log", "wb") as log:
        process = subprocess.Popen(
            [str(program), *command[1:]],
            cwd=REPOSITORY,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            # First the process alone, which ends its code servers itself: ticks in progress wait for theirs otherwise.
            process.terminate()
            try:
                process.wait(SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            finally:
                _signal_group(process.pid, signal.SIGKILL)


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return  # all of it has ended


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
