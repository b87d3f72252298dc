"""The lakehouse through its web interface: what a click in the UI sends, and what is in the lake afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dagster_service import REPOSITORY_SELECTOR, Service

from assets.sources import register

PARTITIONED = ["raw_videos", "clips", "frames", "frame_captions", "clip_captions"]
SECONDS_TO_BACKFILL = 360

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
  runOrError(runId: $id) {
    ... on Run { status stepStats { stepKey status } tags { key value } }
  }
}
"""


@pytest.fixture(scope="module")
def batches(service: Service, films: list[Path]) -> list[str]:
    """Three films registered as three batches, each known to Dagster as a partition."""
    registered = register(
        service.lake, service.media, [str(film) for film in films[:3]], run_id="test", hours_per_batch=5 / 3600
    )
    batches = sorted(registered.batches)
    for batch in batches:
        added = service.graphql(ADD_PARTITION, repository=REPOSITORY_SELECTOR, key=batch)
        assert added["__typename"] == "AddDynamicPartitionSuccess", added
    return batches


@pytest.mark.timeout(400)
def test_a_backfill_of_three_batches_from_the_ui_ends_with_captions_of_every_clip(
    service: Service, batches: list[str]
) -> None:
    assert len(batches) == 3
    launched = service.graphql(
        LAUNCH_BACKFILL,
        backfill={
            "assetSelection": [{"path": [asset]} for asset in PARTITIONED],
            "partitionNames": batches,
            "fromFailure": False,
            "tags": [],
        },
    )
    assert launched["__typename"] == "LaunchBackfillSuccess", launched

    def ended() -> dict[str, Any] | None:
        backfill = service.graphql(BACKFILL, id=launched["backfillId"])
        return None if backfill["status"] in ("REQUESTED", "CANCELING", "FAILING") else backfill

    backfill = service.wait(ended, seconds=SECONDS_TO_BACKFILL)

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
