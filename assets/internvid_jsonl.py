"""`internvid_jsonl`: the dataset in the shape in which InternVid was released, for trainers that read that."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pyarrow as pa

from assets.corpus_snapshot import corpus_snapshot, newest_snapshot_name
from internvid.report.internvid_jsonl import write_internvid_jsonl
from resources.lake import Lake
from resources.published_files import publish
from resources.schema import EXPORTS
from resources.statements import statement

FILE = "internvid.jsonl"
ROWS_PER_READ = 10_000


@dg.asset(
    deps=[corpus_snapshot],
    group_name="corpus",
    kinds={"json"},
    description="Every captioned clip as a JSON line: YoutubeID, Start_timestamp, End_timestamp, Caption.",
)
def internvid_jsonl(context: dg.AssetExecutionContext, lake: Lake) -> dg.MaterializeResult:
    """One line is a captioned clip of the newest snapshot. Changes with the snapshot."""
    snapshot = newest_snapshot_name(lake)
    lines = 0

    def write(path: Path) -> None:
        nonlocal lines
        lines = export(lake, path, at=snapshot)

    path = publish(lake, FILE, write)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(snapshot),
        metadata={"path": dg.MetadataValue.path(path), "snapshot": snapshot, "dagster/row_count": lines},
    )


def export(
    lake: Lake,
    path: Path,
    *,
    at: str | None = None,
    subset: str | None = None,
    on_rows: Callable[[int], None] | None = None,
) -> int:
    """Writes the captioned clips, now or as of a snapshot, all or a subset's, in the order of video and time.

    Returns how many.
    """
    with lake.connect(["clip_captions", "clips", "raw_videos", "subsets"], at=at) as connection:
        clips = connection.sql(statement("operations/captioned_clips"), params={"subset": subset})
        reader = clips.to_arrow_reader(ROWS_PER_READ)
        return write_internvid_jsonl(reader, path, on_rows)


def note_export(lake: Lake, path: Path, *, subset: str | None, snapshot: str | None, clips: int) -> None:
    """Writes down that the file was given out: who forgets a video is told that it may hold it."""
    now = datetime.now(UTC)
    row = {
        "export_id": f"{path.resolve()}@{now.isoformat()}",
        "path": str(path.resolve()),
        "subset": subset,
        "snapshot": snapshot,
        "clips": clips,
        "written_at": now,
    }
    lake.upsert(EXPORTS.name, pa.Table.from_pylist([row], schema=EXPORTS.arrow))
