"""A lake of rows for tests of the explorer's pages: clips with pictures, captions, scores, vectors, and two snapshots.

No video stands behind it, so its clips do not play.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from resources.corpus.snapshots import take_snapshot
from resources.corpus.statistics import publish_mart
from resources.lake.schema import TABLES
from resources.lake.store import Lake

BATCH = "2026-01-01-0001"
CLIPS_PER_VIDEO = 6
CLUSTERS = ("red", "green", "blue")  # of vectors, and the colour of their clips' pictures
HARMLESS = '<script>document.title = "run"</script> "a\' & b שלום 🎬'


def fill(lake: Lake, clips: int) -> tuple[str, list[str]]:
    """Writes the rows: captions by the model first, then by second. Returns the snapshot with the first, and ids."""
    ids = [f"{number // CLIPS_PER_VIDEO:016x}_{number}" for number in range(clips)]
    videos = sorted({clip_id[:16] for clip_id in ids})
    _write(
        lake,
        "sources",
        [{"source_id": video, "uri": f"file:///{video}.mp4", "kind": "file", "title": HARMLESS} for video in videos],
    )
    _write(
        lake,
        "raw_videos",
        [
            {"video_id": video, "source_id": video, "source": f"file:///{video}.mp4", "path": f"/gone/{video}.mp4"}
            | {
                "sha256": video * 4,
                "container": "mp4",
                "video_codec": "h264",
                "duration_seconds": 60.0,
                "size_bytes": 9,
            }
            | {"width": 320, "height": 180, "display_width": 320, "display_height": 180}
            for video in videos
        ],
    )
    _write(
        lake,
        "clips",
        [
            {"clip_id": clip_id, "video_id": clip_id[:16], "start_seconds": 0.0, "boundary": "cut", "version": "cut"}
            | {"end_seconds": (1.0, 3.0, 12.0)[number % 3], "flags": ["still"] if number % 9 == 0 else []}
            | {"motion": number / clips, "digest": f"clip {number}"}
            for number, clip_id in enumerate(ids)
        ],
    )
    _write(
        lake,
        "frames",
        [
            {"frame_id": f"{clip_id}_0", "clip_id": clip_id, "video_id": clip_id[:16], "seconds": 0.5, "pts": 1}
            | {"is_middle": True, "is_fine": True, "jpeg": picture(CLUSTERS[number % 3])}
            for number, clip_id in enumerate(ids)
        ],
    )
    scores = [
        {"score_id": f"{clip_id}/{score}", "clip_id": clip_id, "video_id": clip_id[:16], "score": score, "model": "m"}
        | {"value": value}
        for number, clip_id in enumerate(ids)
        for score, value in (("aesthetics", number * 10 / clips), ("video_text_similarity", (number % 7) / 7))
    ]
    _write(lake, "clip_scores", scores)
    chance = np.random.default_rng(0)
    centres = np.eye(768, dtype=np.float32)[: len(CLUSTERS)]
    vectors = [
        {"clip_id": clip_id, "video_id": clip_id[:16], "model": "viclip", "dimensions": 768}
        | {"vector": (centres[number % 3] + chance.normal(0, 0.004, 768)).astype(np.float32).tolist()}
        for number, clip_id in enumerate(ids)
    ]
    _write(lake, "clip_embeddings", vectors)
    caption(lake, ids, "first", "A dog runs on a street")
    snapshot, _, _ = take_snapshot(lake, run_id="test")
    caption(lake, ids[: clips // 2], "second", HARMLESS)
    newest, _, _ = take_snapshot(lake, run_id="test")
    publish_mart(lake, newest, lambda text: None)
    return snapshot, ids


def caption(lake: Lake, clip_ids: list[str], model: str, text: str) -> None:
    """Captions the clips by that model; each says its number."""
    _write(
        lake,
        "clip_captions",
        [
            {"clip_id": clip_id, "video_id": clip_id[:16], "caption": f"{text} {clip_id.split('_')[1]}", "model": model}
            | {"word_count": 7, "nouns": ["dog", "street"], "verbs": ["run"], "digest": f"{model} {clip_id}"}
            | {"provenance": model}
            for clip_id in clip_ids
        ],
    )


def picture(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (320, 180), colour).save(file, "JPEG")
    return file.getvalue()


def _write(lake: Lake, table: str, rows: list[dict[str, Any]]) -> None:
    schema = TABLES[table].arrow
    made = {"provenance": "made", "unit_rows": 1, "ingest_batch": BATCH, "written_at": datetime.now(UTC)}
    common = dict.fromkeys(schema.names) | {name: value for name, value in made.items() if name in schema.names}
    lake.upsert(table, pa.Table.from_pylist([common | row for row in rows], schema=schema))
