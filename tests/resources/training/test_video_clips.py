"""Clips that are decoded from their videos in child processes: from a disk or a bucket, and what cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from test_lake_clips import add_clips

from internvid.evaluation.decode import frames_at
from internvid.video.probe import UnreadableVideo
from resources.lake.paths import StoragePath
from resources.lake.store import Lake
from resources.training.lake_clips import LakeClips, index_clips
from resources.training.video_clips import VideoClips, read_in_children

SNAPSHOT = "corpus-videos"


@pytest.fixture
def clips(lake: Lake, tmp_path: Path, synthetic_video: Callable[..., Path]) -> VideoClips:
    """Two clips of each of three videos beside the lake's tables. The second video is broken, the third is gone."""
    whole = synthetic_video(tmp_path, "video.mp4")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(whole.read_bytes()[:2000])
    paths = [lake.file(f"media/{name}.mp4") for name in ("whole", "broken", "gone")]
    for file, path in zip((whole, broken), paths, strict=False):
        put(file, path)
    add_clips(lake, range(6))
    videos = {"video_id": ["v0", "v1", "v2"], "path": [str(path) for path in paths], "provenance": "p"}
    lake.upsert("raw_videos", pl.DataFrame(videos))
    spans = {
        "clip_id": [f"c{number}" for number in range(6)],
        "video_id": [f"v{number // 2}" for number in range(6)],
        "start_seconds": [0.0, 1.5] * 3,
        "end_seconds": [1.5, 3.0] * 3,
        "start_frame": [0, 15] * 3,
        "end_frame": [15, 30] * 3,
        "provenance": "p",
    }
    lake.upsert("clips", pl.DataFrame(spans))
    lake.tag(SNAPSHOT)
    index = index_clips(lake, spans["clip_id"], tmp_path / "clips.arrow", snapshot=SNAPSHOT)
    return VideoClips(lake, LakeClips(lake, index.path, SNAPSHOT), SNAPSHOT)


def put(file: Path, path: StoragePath) -> None:
    copy = file.with_suffix(".copy")
    copy.write_bytes(file.read_bytes())
    path.put(copy)


def test_videos_are_read_wherever_they_are_and_an_unreadable_one_is_an_error_of_its_clips(clips, tmp_path):
    picks = [(clip, [0, 3, 20]) for clip in (0, 1, 2, 3, 4, 5, 0)]
    read = list(read_in_children(clips, picks, workers=2))
    whole = frames_at(str(tmp_path / "video.mp4"), None, None, range)
    assert np.array_equal(read[0], whole[[0, 3, 14]])
    assert np.array_equal(read[1], whole[[15, 18, 29]])
    assert [type(outcome) for outcome in read[2:6]] == [UnreadableVideo] * 2 + [FileNotFoundError] * 2
    assert np.array_equal(read[6], read[0])
