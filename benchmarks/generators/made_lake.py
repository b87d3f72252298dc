"""Makes a lake of as many videos as asked for, by the stages themselves, with rows that no model computed.

    python benchmarks/generators/made_lake.py LAKE --videos 2000 [--videos-per-batch 100]

Sources, units, provenances, commits and attempts are the product's own (`process_pending` on the configured stages).
Only the functions of the stages are replaced: a video has 20 clips, a clip 5 frames with pictures of 50 bytes. Nothing
is spoken, and no model is active, so there are no vectors. Made again on the same lake, it adds what is missing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from orchestration.cli.session import Session
from orchestration.settings import Settings
from resources.incremental.declaration import configured_stages
from resources.incremental.provenance import digest
from resources.incremental.runner import process_pending
from resources.incremental.stage import Done, Outcome, Rows, Skipped, Stage, Unit
from resources.lake.schema import TABLES
from resources.lake.store import Lake

CLIPS_PER_VIDEO, FRAMES_PER_CLIP, SECONDS_PER_CLIP = 20, 5, 10
SUBJECTS = ("a dog", "two people", "a red car", "a street at night", "a kitchen", "waves", "a mountain", "a crowd")
ACTIONS = ("runs", "stands", "turns left", "is filmed from above", "moves slowly", "fills the picture")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("lake", type=Path)
    arguments.add_argument("--videos", type=int, required=True)
    arguments.add_argument("--videos-per-batch", type=int, default=100)
    given = arguments.parse_args()
    started = time.monotonic()
    make(Session(Settings(lake=str(given.lake))), given.videos, given.videos_per_batch)
    print(f"{given.videos:,} videos in {time.monotonic() - started:,.0f} s")


def make(session: Session, videos: int, videos_per_batch: int = 100) -> None:
    """Registers the videos, runs every stage on each batch, and keeps the tables as the nightly maintenance does."""
    stages = configured_stages(session.lake, session.stages, session.resources)
    for number, first in enumerate(range(0, videos, videos_per_batch)):
        batch = f"2026-01-01-{number + 1:04d}"
        register(session.lake, batch, range(first, min(videos, first + videos_per_batch)))
        run_stages(session.lake, stages, batch)
        if number % 100 == 99:
            session.lake.optimize()
    session.lake.optimize()


def register(lake: Lake, batch: str, numbers: range) -> None:
    """Registers videos as `internvid ingest` does files, without the files."""
    rows = [
        {
            "source_id": digest(number),
            "uri": f"file:///made/{number:09d}.mp4",
            "kind": "file",
            "estimated_seconds": float(CLIPS_PER_VIDEO * SECONDS_PER_CLIP),
            "first_seen_at": datetime.now(UTC),
            "written_at": datetime.now(UTC),
            "ingest_batch": batch,
            "provenance": digest("made", number),
            "run_id": "made",
        }
        for number in numbers
    ]
    lake.upsert("sources", pa.Table.from_pylist(rows, schema=TABLES["sources"].arrow))


def run_stages(lake: Lake, stages: list[Stage], batch: str) -> None:
    for stage in stages:
        compute = MADE.get(stage.name, _nothing)
        larger = replace(stage, chunk_size=100_000)
        process_pending(
            lake, larger, lambda units, compute=compute: map(compute, units), partition=batch, run_id="made"
        )


def _rows(table: str, *rows: dict[str, Any]) -> Rows:
    definition = TABLES[table]
    columns = dict.fromkeys(definition.content.names)
    return Rows.of([columns | row for row in rows], definition)


def _raw_video(unit: Unit) -> Outcome:
    row = {"video_id": unit.key[:16], "source_id": unit.key, "source": unit.label, "path": unit.label}
    of_file = {"sha256": unit.key * 2, "container": "mp4", "video_codec": "h264", "width": 1280, "height": 720}
    seconds = {"duration_seconds": float(CLIPS_PER_VIDEO * SECONDS_PER_CLIP), "fps": 25.0}
    return Done(unit, (_rows("raw_videos", row | of_file | seconds | {"size_bytes": 20_000_000}),))


def _clips(unit: Unit) -> Outcome:
    clips = [
        {
            "clip_id": f"{unit.key}_{number:03d}",
            "video_id": unit.key,
            "clip_index": number,
            "start_seconds": float(number * SECONDS_PER_CLIP),
            "end_seconds": float((number + 1) * SECONDS_PER_CLIP),
            "boundary": "cut" if number else "start",
            "flags": [],
        }
        for number in range(CLIPS_PER_VIDEO)
    ]
    return Done(unit, (_rows("clips", *clips), _rows("frames", *(frame for clip in clips for frame in _frames(clip)))))


def _frames(clip: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for number in range(FRAMES_PER_CLIP):
        picture = digest(clip["clip_id"], number)
        yield {
            "frame_id": f"{clip['clip_id']}_{number}",
            "clip_id": clip["clip_id"],
            "video_id": clip["video_id"],
            "seconds": clip["start_seconds"] + 2 * number,
            "pts": number,
            "is_middle": number == FRAMES_PER_CLIP // 2,
            "is_fine": number % 2 == 0,
            "jpeg": (picture + picture)[:50].encode(),
        }


def _fingerprint(unit: Unit) -> Outcome:
    return Done(unit, (_rows("fingerprints", {"video_id": unit.key, "frames": 0, "seconds": b"", "hashes": b""}),))


def _frame_caption(unit: Unit) -> Outcome:
    owner, _, scale = unit.key.rpartition("/")
    clip = owner if scale == "clip" else owner.rpartition("_")[0]
    row = {"frame_caption_id": unit.key, "clip_id": clip, "video_id": clip.partition("_")[0], "scale": scale}
    made = {"frame_id": None if scale == "clip" else owner, "caption": _caption(unit), "model": "made"}
    return Done(unit, (_rows("frame_captions", row | made | {"status": "success"}),))


def _clip_caption(unit: Unit) -> Outcome:
    row = {"clip_id": unit.key, "video_id": unit.key.partition("_")[0], "caption": _caption(unit), "model": "made"}
    return Done(unit, (_rows("clip_captions", row | {"status": "success", "word_count": 6}),))


def _score(unit: Unit) -> Outcome:
    clip, _, score = unit.key.rpartition("/")
    row = {"score_id": unit.key, "clip_id": clip, "video_id": clip.partition("_")[0], "score": score, "model": "made"}
    return Done(unit, (_rows("clip_scores", row | {"value": int(digest(unit.key)[:4], 16) / 65_536}),))


def _caption(unit: Unit) -> str:
    number = int(digest(unit.key)[:8], 16)
    return f"{SUBJECTS[number % len(SUBJECTS)]} {ACTIONS[number // 8 % len(ACTIONS)]}"


def _nothing(unit: Unit) -> Outcome:
    return Skipped(unit, "NothingThere", "made without it")


MADE: dict[str, Callable[[Unit], Outcome]] = {
    "raw_videos": _raw_video,
    "clips": _clips,
    "fingerprints": _fingerprint,
    "frame_captions": _frame_caption,
    "clip_captions": _clip_caption,
    "clip_scores": _score,
}


if __name__ == "__main__":
    main()
