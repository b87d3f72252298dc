"""The inbox: a folder that is watched. What lands in it is registered, cut into batches and worked on."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pyarrow as pa

from assets import raw_videos
from assets.ingest_batches import ingest_batches
from assets.sources import Registered, inbox, register, video_files
from orchestration.jobs import ingest
from resources.lake import Lake
from resources.media import Media
from resources.refresh import pending_batches
from resources.statements import statement

SETTLED_SECONDS = 10.0  # a copy in progress was modified more recently; INTERNVID_INBOX_SETTLED_SECONDS overrides
SECONDS_BETWEEN_LOOKS = 30
FILES_PER_LOOK = 1_000  # new ones; reading their headers takes some 10 s, and Dagster ends a look after 60 s
REGISTRAR = "inbox_sensor"  # in sources.run_id: batches that others registered are theirs to run

SEEN = pa.schema([("uri", pa.string()), ("size_bytes", pa.int64()), ("modified_ns", pa.int64())])


@dg.sensor(
    job=ingest,
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    default_status=dg.DefaultSensorStatus.RUNNING
    if os.environ.get("INTERNVID_INBOX")
    else dg.DefaultSensorStatus.STOPPED,
    description="Registers what lands in INTERNVID_INBOX, cuts it into batches by hours of video and runs them.",
)
def inbox_sensor(context: dg.SensorEvaluationContext, lake: Lake, media: Media) -> dg.SensorResult | dg.SkipReason:
    """One run for each of its batches in which something is pending and was never asked for as it is now.

    What is new and what is pending is read from the tables, so a look that dies half-way is made good by the next.
    The cursor is the version of `sources` that was last acted on, and only spares the question of what is pending.
    """
    if not os.environ.get("INTERNVID_INBOX"):
        return dg.SkipReason("INTERNVID_INBOX is not set: there is no folder to watch")
    lake.create_tables()
    look = Look()
    if files := _unregistered(lake, look):
        register(lake, media, files, run_id=REGISTRAR)
    version = str(lake.version("sources"))
    requests = [] if version == context.cursor else _requests(lake, media)
    return dg.SensorResult(
        dynamic_partitions_requests=[ingest_batches.build_add_request([str(run.partition_key) for run in requests])]
        if requests
        else [],
        run_requests=requests,
        skip_reason=None if requests else f"nothing new: {look}",
        cursor=version,
    )


def _unregistered(lake: Lake, look: "Look") -> list[str]:
    """URIs of new and changed files, at most FILES_PER_LOOK: the others have their turn in the next looks."""
    seen = pa.Table.from_pylist(list(_settled_files(look)), schema=SEEN)
    with lake.connect(["sources"]) as connection:
        connection.register("seen", seen)
        found = connection.execute(statement("operations/unregistered"), {"files": FILES_PER_LOOK}).fetchall()
    return [uri for (uri,) in found]


@dataclass
class Look:
    """What lies in the inbox: video files, those of them modified so lately that they may still be being written,
    and files that are not video by their name.
    """

    videos: int = 0
    young: int = 0
    others: int = 0

    def __str__(self) -> str:
        return f"{self.videos:,} video files, {self.young:,} of them still being written; {self.others:,} other files"


def _settled_files(look: Look) -> Iterator[dict[str, object]]:
    settled_ns = 1e9 * float(os.environ.get("INTERNVID_INBOX_SETTLED_SECONDS", SETTLED_SECONDS))
    counted = Registered()
    for path in video_files([inbox()], counted):
        try:
            stat = path.stat()
        except FileNotFoundError:  # moved away meanwhile, or a link to nothing
            continue
        look.videos += 1
        # A file dated in the future was not written just now: its date is that of another clock.
        if abs(time.time_ns() - stat.st_mtime_ns) < settled_ns:
            look.young += 1
        else:
            yield {"uri": path.as_uri(), "size_bytes": stat.st_size, "modified_ns": stat.st_mtime_ns}
    look.others = counted.ignored


def _requests(lake: Lake, media: Media) -> list[dg.RunRequest]:
    """A run of each batch of the inbox in which something is pending; the same files never start a second run."""
    batches = lake.query(
        statement("operations/inbox_batches"),
        {"batches": pending_batches(lake, raw_videos.step(media)), "run_id": REGISTRAR},
        tables=["sources"],
    ).to_pylist()
    return [
        dg.RunRequest(partition_key=batch["ingest_batch"], run_key=f"{batch['ingest_batch']}/{batch['content']}")
        for batch in batches
    ]
