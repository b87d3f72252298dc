"""The clips of a subset as a data set: those of its snapshot and split, with their weights."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from test_lake_clips import add_clips, frames_of, read_directly

from internvid.data import ClipBatch
from internvid.evaluation.decode import frames_at
from resources.corpus.lineage import training_indexes
from resources.lake.store import Lake
from resources.training.dataset import clip_dataset, subset_clips
from resources.training.video_clips import VideoClips

SNAPSHOT = "corpus-test"


@pytest.fixture
def subset_lake(tmp_path: Path, new_lake: Callable[[Path], Lake]) -> Lake:
    """Twelve clips of six videos; nine of them are in the subset `mine`, the last two as its test split."""
    lake = new_lake(tmp_path / "lake")
    add_clips(lake, range(12))
    lake.tag(SNAPSHOT)
    numbers = [*range(7), 10, 11]
    rows = pl.DataFrame(
        {
            "subset_clip_id": [f"mine/c{number}" for number in numbers],
            "subset": "mine",
            "clip_id": [f"c{number}" for number in numbers],
            "video_id": [f"v{number // 2}" for number in numbers],
            "split": ["train"] * 7 + ["test"] * 2,
            "weight": [1.0 + number for number in numbers],
        }
    )
    lake.upsert("subsets", rows)
    made = pl.DataFrame({"subset": ["mine"], "snapshot": [SNAPSHOT], "provenance": ["p1"]})
    lake.upsert("subset_snapshots", made)
    return lake


def batches(lake: Lake, **settings) -> list[ClipBatch]:
    return list(clip_dataset(lake, "mine", batch_size=3, frames=2, size=8, rank=0, ranks=1, **settings))


def test_an_epoch_has_the_subsets_clips_of_the_split_with_captions_weights_and_frames(subset_lake: Lake):
    loaded = batches(subset_lake, split="test")
    assert sorted(clip_id for batch in loaded for clip_id in batch.clip_ids) == ["c10", "c11"]
    (batch,) = loaded
    assert batch.captions == [f"clip {clip_id}" for clip_id in batch.clip_ids]
    assert batch.weights.tolist() == [1.0 + int(clip_id[1:]) for clip_id in batch.clip_ids]
    assert batch.frames.shape == (2, 2, 3, 8, 8)
    for clip_id, frames in zip(batch.clip_ids, batch.frames, strict=True):
        stored = read_directly(subset_lake, clip_id, [0, 1, 2, 3, 4])
        # A crop has about the mean of its picture, and no other clip's.
        assert abs(float(frames.float().mean()) - float(stored.mean())) < 40


def test_training_clips_are_without_held_out_videos_as_for_a_model_of_the_lake(subset_lake: Lake):
    from resources.corpus.held_out import clips_to_train_on

    chosen, held_out = clips_to_train_on(subset_lake, "mine", SNAPSHOT)
    assert len(chosen) + held_out == 7
    loaded = [clip_id for batch in batches(subset_lake) for clip_id in batch.clip_ids]
    assert sorted(loaded) == chosen["clip_id"].to_pylist()


def test_rows_are_those_of_the_snapshot_and_the_index_is_made_once_where_forgetting_looks(subset_lake: Lake):
    before = batches(subset_lake, split="test")
    (index,) = training_indexes(subset_lake, ["c10"])  # an id is as long as it is here
    written = index.path.stat().st_mtime_ns
    subset_lake.upsert("frames", frames_of(10, look=7))
    again = batches(subset_lake, split="test")
    assert index.path.stat().st_mtime_ns == written
    assert all(np.array_equal(a.frames, b.frames) for a, b in zip(before, again, strict=True))


def test_a_subset_that_is_not_there_is_named(subset_lake: Lake):
    with pytest.raises(ValueError, match="the subset 'yours' has not been made yet"):
        clip_dataset(subset_lake, "yours")
    with pytest.raises(ValueError, match="the subset 'mine' has no clip in validation"):
        clip_dataset(subset_lake, "mine", split="validation")


def test_frames_may_be_decoded_from_the_videos_between_the_cuts(
    subset_lake: Lake, tmp_path: Path, synthetic_video: Callable[..., Path]
):
    path = synthetic_video(tmp_path, "video.mp4")
    whole = frames_at(str(path), None, None, range)
    subset_lake.upsert("raw_videos", pl.DataFrame({"video_id": ["v5"], "path": [str(path)], "provenance": ["p"]}))
    spans = pl.DataFrame(
        {
            "clip_id": ["c10", "c11"],
            "video_id": ["v5", "v5"],
            "start_seconds": [0.0, 0.4],
            "end_seconds": [0.4, 0.8],
            "start_frame": [0, 10],
            "end_frame": [10, 20],
            "provenance": ["p", "p"],
        }
    )
    subset_lake.upsert("clips", spans)
    subset_lake.tag("corpus-videos")
    clips = subset_clips(subset_lake, "mine", snapshot="corpus-videos", split="test")
    of_videos = pickle.loads(pickle.dumps(VideoClips(subset_lake, clips, "corpus-videos")))
    assert of_videos.frame_counts.tolist() == [10, 10]
    first, second = of_videos.frames([(0, [0, 3, 9]), (1, [0, 12])])
    inside = [round(0.4 * rate_of(path)), len(whole)]
    assert np.array_equal(first[:2], whole[[0, 3]])
    assert np.array_equal(second[0], whole[inside[0]])
    loaded = batches(subset_lake, snapshot="corpus-videos", split="test", decode_videos=True)
    assert loaded[0].frames.shape == (2, 2, 3, 8, 8)


def rate_of(path: Path) -> float:
    import av

    with av.open(str(path)) as container:
        return float(container.streams.video[0].average_rate)
