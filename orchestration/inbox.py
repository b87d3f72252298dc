"""The inbox: a folder that is watched. What lands in it is registered, cut into batches and worked on."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
import pyarrow as pa

from assets.ingest_batches import ingest_batches
from assets.sources import Registered, is_video, register, seen_now, video_files
from internvid.speech.sidecars import SidecarFinder
from orchestration.jobs import ingest
from resources.lake import Lake
from resources.media import Media
from resources.statements import statement

SETTLED_SECONDS = 10.0  # a copy in progress was modified more recently; INTERNVID_INBOX_SETTLED_SECONDS overrides it
SECONDS_BETWEEN_LOOKS = 30
FILES_PER_LOOK = 500  # new ones: their headers are read, which takes some seconds, and Dagster ends a look after 60 s
REGISTRAR = "inbox_sensor"  # stands in sources.run_id; what others register is theirs to run

SEEN = pa.schema(
    [
        ("uri", pa.string()),
        ("size_bytes", pa.int64()),
        ("modified_ns", pa.int64()),
        ("subtitles_seen", pa.string()),
    ]
)


@dg.sensor(
    job=ingest,
    minimum_interval_seconds=SECONDS_BETWEEN_LOOKS,
    default_status=dg.DefaultSensorStatus.RUNNING
    if os.environ.get("INTERNVID_INBOX")
    else dg.DefaultSensorStatus.STOPPED,
    description="Registers what lands in INTERNVID_INBOX, cuts it into batches by hours of video and runs them.",
)
def inbox_sensor(context: dg.SensorEvaluationContext, lake: Lake, media: Media) -> dg.SensorResult | dg.SkipReason:
    """One run for each batch in which the inbox has new or changed files.

    What to register and what to run is read from the tables, so a look that dies between the two is made good by the
    next: the cursor is when the last whole look began, and everything registered since is asked for. That asks for
    most batches twice; the run key, made from the batch's files, lets each state of a batch start one run only.
    """
    inbox = os.environ.get("INTERNVID_INBOX")
    if not inbox:
        return dg.SkipReason("INTERNVID_INBOX is not set: there is no folder to watch")
    began = datetime.now(UTC)
    look = Look()
    lake.create_tables()
    events = []
    if files := _unregistered(lake, inbox, look):
        registered = register(lake, media, files, run_id=REGISTRAR)
        found = {"files_new": registered.new, "files_changed": registered.changed}
        events = [dg.AssetMaterialization("sources", metadata=found)]
    since = datetime.fromisoformat(context.cursor) if context.cursor else datetime.fromtimestamp(0, UTC)
    batches = lake.query(
        statement("operations/inbox_batches"), {"run_id": REGISTRAR, "since": since}, tables=["sources"]
    ).to_pylist()
    if not batches:
        return dg.SensorResult(skip_reason=f"nothing new: {look}", cursor=began.isoformat())
    return dg.SensorResult(
        dynamic_partitions_requests=[ingest_batches.build_add_request([batch["ingest_batch"] for batch in batches])],
        run_requests=[
            dg.RunRequest(partition_key=batch["ingest_batch"], run_key=f"{batch['ingest_batch']}/{batch['content']}")
            for batch in batches
        ],
        asset_events=events,
        cursor=began.isoformat(),
    )


@dataclass
class Look:
    """What lies in the inbox. young: modified so lately that it may still be being written."""

    videos: int = 0
    young: int = 0
    other_files: int = 0

    def __str__(self) -> str:
        return f"{self.videos:,} video files, {self.young:,} of them too young; {self.other_files:,} other files"


def _unregistered(lake: Lake, inbox: str, look: Look) -> list[str]:
    """URIs of new and changed files, at most FILES_PER_LOOK: the others have their turn in the next looks."""
    seen = pa.Table.from_pylist(list(_settled_files(inbox, look)), schema=SEEN)
    with lake.connect(["sources"]) as connection:
        connection.register("seen", seen)
        found = connection.execute(statement("operations/unregistered"), {"files": FILES_PER_LOOK}).fetchall()
    return [uri for (uri,) in found]


def _settled_files(inbox: str, look: Look) -> Iterator[dict[str, object]]:
    settled_ns = 1e9 * float(os.environ.get("INTERNVID_INBOX_SETTLED_SECONDS", SETTLED_SECONDS))
    found = Registered()
    sidecars = SidecarFinder(is_video)
    for path in video_files([inbox], found):
        try:
            seen = seen_now(path, sidecars)
            written = [seen["modified_ns"], *(file.stat().st_mtime_ns for file in sidecars.of(path))]
        except FileNotFoundError:  # moved away meanwhile, or a link to nothing
            continue
        look.videos += 1
        # A file dated in the future was not written just now: its date is that of another clock.
        if any(abs(time.time_ns() - modified_ns) < settled_ns for modified_ns in written):
            look.young += 1
        else:
            yield {name: seen[name] for name in SEEN.names}
    look.other_files = found.ignored
