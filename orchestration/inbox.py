"""The inbox: a folder that is watched. What lands in it is registered, cut into batches and worked on."""

import os

import dagster as dg

from assets.ingest_batches import ingest_batches
from assets.sources import inbox, register
from orchestration.jobs import ingest
from resources.lake import Lake
from resources.media import Media
from resources.refresh import digest

SETTLED_SECONDS = float(os.environ.get("INTERNVID_INBOX_SETTLED_SECONDS", "10"))  # a copy in progress is younger
SECONDS_BETWEEN_LOOKS = 30


@dg.sensor(
    job=ingest,
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    default_status=dg.DefaultSensorStatus.RUNNING
    if os.environ.get("INTERNVID_INBOX")
    else dg.DefaultSensorStatus.STOPPED,
    description="Registers what lands in INTERNVID_INBOX, cuts it into batches by hours of video and runs them.",
)
def inbox_sensor(context: dg.SensorEvaluationContext, lake: Lake, media: Media) -> dg.SensorResult | dg.SkipReason:
    """One run for each batch that has new or changed files. The tables remember what was seen; there is no cursor."""
    if not os.environ.get("INTERNVID_INBOX"):
        return dg.SkipReason("INTERNVID_INBOX is not set: there is no folder to watch")
    registered = register(lake, media, [inbox()], run_id="inbox_sensor", settled_seconds=SETTLED_SECONDS)
    if not registered.batches:
        return dg.SkipReason(f"nothing new: {registered.found} files known, {registered.ignored} are not video")
    batches = sorted(registered.batches)
    return dg.SensorResult(
        dynamic_partitions_requests=[ingest_batches.build_add_request(batches)],
        run_requests=[
            dg.RunRequest(partition_key=batch, run_key=f"{batch}/{_content(lake, batch)}") for batch in batches
        ],
    )


def _content(lake: Lake, ingest_batch: str) -> str:
    """A hash of the batch's files as last seen: the same files never start a second run."""
    rows = lake.query(
        "select provenance from sources order by source_id", tables=["sources"], ingest_batch=ingest_batch
    )
    return digest(rows["provenance"].to_pylist())
