"""The lakehouse through its web interface: what a click in the UI sends, and what is in the lake afterwards."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster_service import HOME, KEY, LAKE, REPOSITORY_SELECTOR, SECONDS_TO_BACKFILL, Service, running_service

from assets.stages import ingest_stages
from orchestration.cli.session import RunSummary, Session
from orchestration.settings import Settings
from resources.catalog.files import register
from resources.catalog.locations import RUN_ID
from resources.lake.store import Lake

pytestmark = pytest.mark.slow(minutes=5)

SECONDS_TO_CAPTIONS = 240
TABLES = [table.name for stage in ingest_stages() for table in stage.outputs]
PARTITIONED = ["raw_videos", "clips", "frames", "frame_captions", "clip_captions"]

LAUNCH_RUN = """
mutation ($run: ExecutionParams!) {
  launchPipelineExecution(executionParams: $run) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on PythonError { message }
  }
}
"""
RUN = """
query ($id: ID!) {
  runOrError(runId: $id) { ... on Run { status stepStats { stepKey status } } }
}
"""
SENSORS_OF_BATCHES = ("registered_batches_sensor", "recompute_what_changed")
METADATA = """
query ($asset: AssetKeyInput!, $partitions: [String!]) {
  assetNodeOrError(assetKey: $asset) {
    ... on AssetNode {
      latestMaterializationByPartition(partitions: $partitions) {
        metadataEntries {
          label
          ... on MarkdownMetadataEntry { mdStr }
          ... on TableMetadataEntry { table { schema { columns { name } } records } }
        }
      }
    }
  }
}
"""

RUNS_OF_BATCH = """
query ($filter: RunsFilter!) {
  runsOrError(filter: $filter) {
    ... on Runs { results { status jobName tags { key value } assetSelection { path } } }
  }
}
"""
RESOURCES = """
query ($repository: RepositorySelector!) {
  allTopLevelResourceDetailsOrError(repositorySelector: $repository) {
    ... on ResourceDetailsList {
      results {
        name
        configFields { name defaultValueAsJson }
        configuredValues { key value type }
      }
    }
  }
}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture(scope="module")
def batches(
    service: Service, synthetic_video: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """Three videos registered as three batches, as by the command line, each known to Dagster as a partition.

    The sensors that would take the batches by themselves are switched off.
    """
    for sensor in SENSORS_OF_BATCHES:
        service.switch(sensor, on=False)
    folder = tmp_path_factory.mktemp("synthetic_videos")
    synthetic_videos = [str(synthetic_video(folder, f"film_{number}.mp4", number)) for number in range(3)]
    registered = register(service.lake, service.media, synthetic_videos, run_id=RUN_ID, hours_per_batch=4 / 3600)
    for batch in sorted(registered.batches):
        service.add_partition(batch)
    return sorted(registered.batches)


def test_no_key_is_in_what_the_ui_shows_of_the_resources(service: Service) -> None:
    details = service.graphql(RESOURCES, repository=REPOSITORY_SELECTOR)["results"]
    assert "lake" in {resource["name"] for resource in details}
    assert "env:INTERNVID_STORAGE_OPTIONS" in json.dumps(details)
    assert KEY not in json.dumps(details)


@pytest.mark.timeout(400)
def test_a_file_copied_into_the_inbox_of_a_running_service_ends_as_captions_by_one_run(
    service: Service, synthetic_video: Callable[..., Path], tmp_path: Path
) -> None:
    shutil.copy(synthetic_video(tmp_path, "landed.mp4", 7), service.inbox)

    def batch_with_captions() -> str | None:
        rows = service.lake.query(
            "select ingest_batch from sources inner join clip_captions using (ingest_batch) "
            "where uri like '%/landed.mp4' group by ingest_batch having count(*) = 2",
            tables=["sources", "clip_captions"],
        ).to_pylist()
        return rows[0]["ingest_batch"] if rows else None

    batch = service.wait(batch_with_captions, seconds=SECONDS_TO_CAPTIONS)

    # Another tick that finds nothing new: the file was registered, and its batch requested, once.
    ticks_before = len(service.ticks("inbox_sensor"))
    service.wait(lambda: len(service.ticks("inbox_sensor")) > ticks_before, seconds=120)
    requested = [
        key for tick in service.ticks("registered_batches_sensor") for key in tick["runKeys"] if key.startswith(batch)
    ]
    assert len(requested) == 1
    runs = service.graphql(RUNS_OF_BATCH, filter={"tags": [{"key": "dagster/partition", "value": batch}]})["results"]
    assert len(runs) == 1, runs


@pytest.mark.timeout(400)
def test_a_backfill_of_two_batches_from_the_ui_ends_with_captions_of_every_clip(
    service: Service, batches: list[str]
) -> None:
    batches = batches[:2]
    backfill = service.backfilled(PARTITIONED, batches)

    assert backfill["status"] == "COMPLETED_SUCCESS", backfill
    assert {
        status["assetKey"]["path"][0]: (status["numPartitionsTargeted"], status["numPartitionsMaterialized"])
        for status in backfill["assetBackfillData"]["assetBackfillStatuses"]
    } == dict.fromkeys(PARTITIONED, (2, 2))
    clips = service.lake.query(
        "select ingest_batch, count(clip_id) as clips, count(caption) as captions "
        "from clips left join clip_captions using (clip_id, ingest_batch) "
        "where ingest_batch in (select unnest($batches)) group by ingest_batch order by ingest_batch",
        {"batches": batches},
        tables=["clips", "clip_captions"],
    ).to_pylist()
    assert clips == [{"ingest_batch": batch, "clips": 2, "captions": 2} for batch in batches]

    sheet = shown(service, "frames", batches[0])["contact_sheet"]["mdStr"]
    assert "data:image/jpeg;base64," in sheet
    assert r"1. film\_0\.mp4, 0\.0 to 1\.5 s" in sheet  # there were no captions yet
    sample = shown(service, "clip_captions", batches[0])["sample"]["table"]
    assert [column["name"] for column in sample["schema"]["columns"]] == ["caption", "nouns", "verbs", "clip_id"]
    assert len(sample["records"]) == 2


@pytest.mark.timeout(400)
def test_one_batch_of_one_asset_can_be_materialised_from_the_ui(service: Service, batches: list[str]) -> None:
    launched = service.graphql(
        LAUNCH_RUN,
        run={
            "selector": {
                **REPOSITORY_SELECTOR,
                "pipelineName": "__ASSET_JOB",
                "assetSelection": [{"path": ["raw_videos"]}],
            },
            "runConfigData": "{}",
            "mode": "default",
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": batches[2]}]},
        },
    )
    assert launched["__typename"] == "LaunchRunSuccess", launched

    def ended() -> dict[str, Any] | None:
        run = service.graphql(RUN, id=launched["run"]["runId"])
        return run if run["status"] in ("SUCCESS", "FAILURE", "CANCELED") else None

    run = service.wait(ended, seconds=SECONDS_TO_BACKFILL)
    assert run["status"] == "SUCCESS"
    assert {"stepKey": "raw_videos", "status": "SUCCESS"} in run["stepStats"]
    assert [
        row["video_codec"] for row in service.lake.polars("raw_videos", only={"ingest_batch": batches[2]}).to_dicts()
    ] == ["h264"]


@pytest.mark.timeout(1500)
def test_a_batch_ingested_in_the_terminal_and_one_backfilled_in_the_ui_are_the_same(
    service: Service,
    batches: list[str],  # the sensors are off
    tmp_path: Path,
    synthetic_video: Callable[..., Path],
    whole_tables: Callable[..., dict[str, Any]],
) -> None:
    videos = [str(synthetic_video(tmp_path, f"video_{number}.mp4", number)) for number in (8, 9)]
    in_terminal = Session(Settings(lake=str(tmp_path / LAKE), dagster_home=str(tmp_path / HOME), workers=1))
    (tmp_path / HOME).mkdir()
    (terminal_batch,) = register(in_terminal.lake, in_terminal.media, videos, run_id=RUN_ID).batches
    (ui_batch,) = register(service.lake, service.media, videos, run_id=RUN_ID).batches

    summary = RunSummary()
    in_terminal.run_pending_batches(summary)
    assert summary.is_well
    service.add_partition(ui_batch)
    backfill = service.backfilled(TABLES, [ui_batch])
    assert backfill["status"] == "COMPLETED_SUCCESS", backfill

    def rows(lake: Lake, batch: str) -> dict[str, dict[str, Any]]:
        return {
            table: {key: row for key, row in rows.items() if row.pop("ingest_batch") == batch}
            for table, rows in whole_tables(lake, *TABLES).items()
        }

    assert rows(service.lake, ui_batch) == rows(in_terminal.lake, terminal_batch)
    with dg.DagsterInstance.from_config(str(service.inbox.parent / HOME)) as instance:
        assert events(instance, ui_batch) == events(in_terminal.instance, terminal_batch)


def events(instance: dg.DagsterInstance, batch: str) -> tuple[set[Any], set[Any]]:
    """Materializations of the batch, with the names of their metadata, and results of its checks."""
    materializations, checks = set(), set()
    for run in instance.get_runs():
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
            made = entry.asset_materialization
            assert made is not None
            if made.partition == batch:
                data_version = (made.tags or {})["dagster/data_version"]
                materializations.add((made.asset_key.to_user_string(), data_version, frozenset(made.metadata)))
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
            check = entry.get_dagster_event().asset_check_evaluation_data
            if check.partition == batch:
                checks.add((check.asset_key.to_user_string(), check.check_name, check.passed))
    assert materializations
    return materializations, checks


def shown(service: Service, asset: str, batch: str) -> dict[str, dict[str, Any]]:
    """The metadata that the UI shows of an asset's batch, by label."""
    node = service.graphql(METADATA, asset={"path": [asset]}, partitions=[batch])
    (materialization,) = node["latestMaterializationByPartition"]
    return {entry["label"]: entry for entry in materialization["metadataEntries"]}
