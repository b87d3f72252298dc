"""A lake that changes at random, by batches: what is carried on over changes is compared with the whole."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from resources.lake.schema import TABLES
from resources.lake.store import Lake

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
WORDS = ("dog", "street", "kitchen", "wave", "car")


class ChangingLake:
    """Changes a lake at random, by batches, as stages and people do: rows come, change and go."""

    def __init__(self, lake: Lake, seed: int):
        self.lake = lake
        self.random = random.Random(seed)
        self.writes = 0
        self.batches: list[str] = []
        self.models = {}

    def change(self) -> None:
        """One to four changes."""
        for _ in range(self.random.randint(1, 4)):
            changes = [self.add_batch, self.change_rows, self.delete_rows, self.forget_batch, self.rename_model]
            self.random.choice(changes if self.batches else changes[:1])()

    def add_batch(self) -> None:
        batch = f"2026-01-01-{self.writes:04d}"
        self.batches.append(batch)
        for number in range(self.random.randint(1, 4)):
            self._write_video(batch, f"{batch}-{number}")

    def change_rows(self) -> None:
        """The rows of a video are computed again: other numbers, the same keys, and some more or fewer."""
        batch = self.random.choice(self.batches)
        self._write_video(batch, f"{batch}-0")

    def delete_rows(self) -> None:
        table = self.random.choice(
            ["raw_videos", "clips", "clip_captions", "frame_captions", "transcripts", "clip_scores", "attempts"]
        )
        keys = self.lake.polars(table)[TABLES[table].key].sort().to_list()
        self.lake.delete(table, self.random.sample(keys, min(len(keys), 3)))

    def forget_batch(self) -> None:
        batch = self.batches.pop(self.random.randrange(len(self.batches)))
        for name, table in TABLES.items():
            if table.partition in ("ingest_batch", "partition"):
                self.lake.delete(name, self.lake.polars(name, only={table.partition: batch})[table.key].to_list())

    def rename_model(self) -> None:
        rows = self.lake.polars("clip_captions").to_arrow()
        named = pa.array([f"model {self.writes}"] * len(rows), pa.string())
        self._upsert("clip_captions", rows.set_column(rows.schema.names.index("model"), "model", named).to_pylist())

    def _write_video(self, batch: str, video: str) -> None:
        chance = self.random
        in_batch = {"ingest_batch": batch}
        clips = range(chance.randint(0, 4))
        self._upsert(
            "sources",
            [
                {
                    "source_id": video,
                    "uri": video,
                    "kind": chance.choice(["file", "web"]),
                    "found_by": chance.choice(["f", None]),
                }
                | in_batch
            ],
        )
        self._upsert(
            "raw_videos",
            [
                {"video_id": video, "source_id": video, "source": video, "video_codec": chance.choice(["h264", "vp9"])}
                | {
                    "width": chance.choice([1280, 640]),
                    "height": 720,
                    "duration_seconds": chance.choice([None, 61.5, 700.25]),
                }
                | in_batch
            ],
        )
        self._upsert(
            "clips",
            [
                {
                    "clip_id": f"{video}_{number}",
                    "video_id": video,
                    "start_seconds": 0.0,
                    "end_seconds": chance.uniform(1, 30),
                }
                | {
                    "boundary": chance.choice(["start", "cut"]),
                    "cut_score": chance.uniform(0, 50),
                    "motion": chance.random(),
                }
                | {
                    "stillness": chance.random(),
                    "moving_share": chance.random(),
                    "pan_x": 0.1,
                    "pan_y": 0.0,
                    "zoom": 0.0,
                }
                | {"flags": chance.choice([None, [], ["still"], ["still", "black"]])}
                | {"annotation_id": chance.choice([None, None, "a"])}
                | in_batch
                for number in clips
            ],
        )
        self._upsert(
            "frames",
            [
                {"frame_id": f"{video}_{number}", "clip_id": f"{video}_{number}", "video_id": video} | in_batch
                for number in clips
            ],
        )
        self._upsert(
            "frame_captions",
            [
                {
                    "frame_caption_id": f"{video}_{number}/{scale}",
                    "video_id": video,
                    "scale": scale,
                    "version": chance.choice("12"),
                }
                | {"model": chance.choice(["A", "B"])}
                | in_batch
                for number in clips
                for scale in ("coarse", "fine")
            ],
        )
        self._upsert(
            "clip_captions",
            [
                {"clip_id": f"{video}_{number}", "video_id": video, "model": "S", "word_count": chance.randint(5, 35)}
                | {"caption": f"a {chance.choice(WORDS)}"}
                | {"nouns": chance.sample(WORDS, 2), "verbs": chance.choice([None, [], ["run"]])}
                | in_batch
                for number in clips
            ],
        )
        self._upsert(
            "transcripts",
            [
                {"clip_id": f"{video}_{number}", "video_id": video, "language": chance.choice(["en", "zh", None])}
                | {"text": chance.choice(["", "a dog barks", "狗在叫"])}
                | in_batch
                for number in clips
            ],
        )
        categories = chance.choice([None, ["Gaming"], ["Gaming", "Sports"]])
        self._upsert("downloads", [{"source_id": video, "categories": categories} | in_batch])
        self._upsert(
            "clip_scores",
            [
                {"score_id": f"{video}_{number}/s", "clip_id": f"{video}_{number}", "score": "s", "model": "M"}
                | {"value": chance.choice([None, chance.uniform(-1, 1)])}
                | in_batch
                for number in clips
            ],
        )
        self._upsert(
            "attempts",
            [
                {
                    "attempt_id": f"{stage}/{video}",
                    "stage": stage,
                    "key": video,
                    "outcome": chance.choice(["failed", "skipped"]),
                }
                | {
                    "error_class": chance.choice(["DecodeError", "ExactDuplicate"]),
                    "message": f"of write {self.writes}",
                }
                | {"tries": chance.randint(1, 5), "next_try_at": chance.choice([None, NOON]), "partition": batch}
                for stage in chance.sample(["clips", "raw_videos", "speech"], 2)
            ],
        )

    def _upsert(self, table: str, rows: list[dict[str, Any]]) -> None:
        self.writes += 1
        names = TABLES[table].column_names
        written = {"written_at": NOON + timedelta(minutes=self.writes), "provenance": str(self.writes), "unit_rows": 1}
        written |= {"digest": str(self.writes), "run_id": "run"}
        ours = {name: value for name, value in written.items() if name in names}
        full_rows = [dict.fromkeys(names) | row | ours for row in rows]
        if full_rows:
            self.lake.upsert(table, pa.Table.from_pylist(full_rows, schema=TABLES[table].arrow))
