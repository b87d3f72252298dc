"""The clips of an export, read some batches at a time, in their order."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from lake_copies import IN_A_FOLDER

from resources.corpus.exports import selection as selecting
from resources.corpus.exports.selection import Selection, selected_clips
from resources.lake.store import Lake

SNAPSHOT = "corpus-made"
BATCHES, VIDEOS, CLIPS = 5, 3, 4  # videos of a batch, clips of a video
SPLITS = ("validation", "train", "test")


def _fill(lake: Lake) -> None:
    keys = [(batch, video, clip) for batch in range(BATCHES) for video in range(VIDEOS) for clip in range(CLIPS)]
    clips = pl.DataFrame(
        {
            "clip_id": [f"b{batch}v{video}_{9 - clip}" for batch, video, clip in keys],
            "video_id": [f"b{batch}v{video}" for batch, video, _ in keys],
            "ingest_batch": [f"2026-01-0{batch + 1}-0001" for batch, _, _ in keys],
            "provenance": ["p"] * len(keys),
        }
    )
    spans = clips.with_columns(start_seconds=pl.Series([float(clip) for _, _, clip in keys]))
    lake.upsert("clips", spans.with_columns(end_seconds=pl.col("start_seconds") + 1))
    lake.upsert(
        "clip_captions", clips.with_columns(caption=pl.concat_str(pl.lit("of "), "clip_id"), digest=pl.lit("d"))
    )
    videos = clips.select("video_id", "ingest_batch", "provenance").unique()
    lake.upsert("raw_videos", videos.with_columns(source_id=pl.col("video_id"), source=pl.lit("file:///a.mp4")))
    for score, value in (("aesthetics", 4.5), ("safety", 0.5)):
        named = clips.with_columns(score_id=pl.concat_str("clip_id", pl.lit(f"/{score}")), score=pl.lit(score))
        lake.upsert("clip_scores", named.with_columns(value=pl.lit(value), model=pl.lit("made")))
    chosen = [number for number, (batch, _, _) in enumerate(keys) if batch != 2]  # a batch without any
    subset = (
        clips[chosen]
        .select("clip_id", "video_id", "provenance")
        .with_columns(
            subset=pl.lit("mine"),
            subset_clip_id=pl.concat_str(pl.lit("mine/"), "clip_id"),
            split=pl.Series([SPLITS[keys[number][1]] for number in chosen]),
        )
    )
    lake.upsert("subsets", subset)
    lake.tag(SNAPSHOT)


def _rows(lake: Lake, subset: str | None) -> list[dict[str, Any]]:
    with selected_clips(lake, Selection(SNAPSHOT, subset)) as (count, rows):
        listed = list(rows)
    assert len(listed) == count
    return listed


def _place(row: dict[str, Any]) -> tuple[int, str, float]:
    return ("train", "validation", "test").index(row["split"]), row["video_id"], row["start_seconds"]


@IN_A_FOLDER
def test_clips_are_in_order_with_their_scores_whatever_the_size_of_the_parts(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(lake)
    whole = {subset: _rows(lake, subset) for subset in (None, "mine")}
    assert [len(rows) for rows in whole.values()] == [BATCHES * VIDEOS * CLIPS, (BATCHES - 1) * VIDEOS * CLIPS]
    for rows in whole.values():
        in_order = sorted(rows, key=_place)
        assert rows == in_order
        assert {tuple(row["scores"].items()) for row in rows} == {(("aesthetics", 4.5), ("safety", 0.5))}
    for clips, batches in ((1, 64), (2 * CLIPS, 64), (20_000, 2)):
        monkeypatch.setattr(selecting, "CLIPS_PER_PART", clips)
        monkeypatch.setattr(selecting, "BATCHES_PER_PART", batches)
        assert {subset: _rows(lake, subset) for subset in whole} == whole
