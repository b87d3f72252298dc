"""The lakehouse through its web interface: what a click in the UI sends, and what is in the lake afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster_service import REPOSITORY_SELECTOR, SECONDS_TO_BACKFILL, Service

from resources.catalog.files import register

pytestmark = pytest.mark.slow(minutes=3)

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


@pytest.fixture(scope="module")
def batches(
    service: Service, synthetic_video: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[str]]:
    """Four videos registered as four batches, each known to Dagster as a partition.

    The sensors that would take the batches by themselves are switched off.
    """
    for sensor in SENSORS_OF_BATCHES:
        service.switch(sensor, on=False)
    folder = tmp_path_factory.mktemp("synthetic_videos")
    synthetic_videos = [str(synthetic_video(folder, f"film_{number}.mp4", number)) for number in range(4)]
    registered = register(service.lake, service.media, synthetic_videos, run_id="test", hours_per_batch=4 / 3600)
    for batch in sorted(registered.batches):
        service.add_partition(batch)
    yield sorted(registered.batches)
    for sensor in SENSORS_OF_BATCHES:
        service.switch(sensor, on=True)


@pytest.mark.timeout(400)
def test_a_backfill_of_three_batches_from_the_ui_ends_with_captions_of_every_clip(
    service: Service, batches: list[str]
) -> None:
    batches = batches[:3]
    backfill = service.backfilled(PARTITIONED, batches)

    assert backfill["status"] == "COMPLETED_SUCCESS", backfill
    assert {
        status["assetKey"]["path"][0]: (status["numPartitionsTargeted"], status["numPartitionsMaterialized"])
        for status in backfill["assetBackfillData"]["assetBackfillStatuses"]
    } == dict.fromkeys(PARTITIONED, (3, 3))
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
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": batches[3]}]},
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
        row["video_codec"] for row in service.lake.polars("raw_videos", only={"ingest_batch": batches[3]}).to_dicts()
    ] == ["h264"]


def shown(service: Service, asset: str, batch: str) -> dict[str, dict[str, Any]]:
    """The metadata that the UI shows of an asset's batch, by label."""
    node = service.graphql(METADATA, asset={"path": [asset]}, partitions=[batch])
    (materialization,) = node["latestMaterializationByPartition"]
    return {entry["label"]: entry for entry in materialization["metadataEntries"]}
