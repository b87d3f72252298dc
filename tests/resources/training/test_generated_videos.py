"""The real videos that generated ones are compared with: clips of a subset, read in children."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from internvid.generation.metrics.videos import MeasuredVideo, Reading, read_video
from resources.lake.store import Lake
from resources.training.evaluation_rows import checkpoint_named
from resources.training.generated_videos import clips_of_subset, read_in_children, videos_digest

SNAPSHOT = "corpus-test"


@pytest.fixture
def video(tmp_path: Path, synthetic_video: Callable[..., Path]) -> Path:
    return synthetic_video(tmp_path, "a.mp4")


@pytest.fixture
def lake(tmp_path: Path, new_lake: Callable[[Path], Lake]) -> Lake:
    """In a folder."""
    return new_lake(tmp_path / "lake")


@pytest.fixture
def with_subset(lake: Lake, video: Path) -> Lake:
    """A lake whose subset has three clips of a video; a fourth clip came after the snapshot."""
    clips = [
        {"clip_id": f"v_{n}", "video_id": "v", "start_seconds": float(n), "end_seconds": n + 1.0} for n in range(4)
    ]
    lake.upsert("raw_videos", pl.DataFrame([{"video_id": "v", "path": str(video)}]))
    lake.upsert("clips", pl.DataFrame(clips[:3]))
    lake.upsert("clip_captions", pl.DataFrame([{"clip_id": "v_1", "video_id": "v", "caption": "a disc"}]))
    lake.tag(SNAPSHOT)
    lake.upsert("clips", pl.DataFrame(clips[3:]))
    lake.upsert("subset_snapshots", pl.DataFrame([{"subset": "all", "snapshot": SNAPSHOT}]))
    rows = [{"subset_clip_id": f"all/v_{n}", "subset": "all", "clip_id": f"v_{n}", "video_id": "v"} for n in range(3)]
    lake.upsert("subsets", pl.DataFrame(rows))
    return lake


def test_clips_of_a_subset_are_spans_of_their_videos_with_captions(with_subset, video):
    clips = clips_of_subset(with_subset, "all", limit=10)
    assert {(clip.name, clip.path, clip.prompt, clip.start_seconds, clip.end_seconds) for clip in clips} == {
        ("v_0", video, None, 0.0, 1.0),
        ("v_1", video, "a disc", 1.0, 2.0),
        ("v_2", video, None, 2.0, 3.0),
    }
    assert clips_of_subset(with_subset, "all", limit=2) == clips[:2], "the same ones are drawn each time"
    with pytest.raises(ValueError, match="neither a folder nor a subset"):
        clips_of_subset(with_subset, "none", limit=2)


def test_clips_in_a_bucket_are_refused(with_subset):
    with_subset.delete("raw_videos", ["v"])
    with_subset.upsert("raw_videos", pl.DataFrame([{"video_id": "v", "path": "s3://bucket/a.mp4"}]))
    with_subset.tag("corpus-later")
    made = {"subset": "all", "snapshot": "corpus-later", "provenance": "2"}
    with_subset.upsert("subset_snapshots", pl.DataFrame([made]))
    with pytest.raises(ValueError, match="not on a disk of this machine"):
        clips_of_subset(with_subset, "all", limit=2)


def test_children_read_spans_and_return_errors(video, tmp_path):
    (tmp_path / "broken.mp4").write_text("an error page")
    wanted = [MeasuredVideo("span", video, None, 1.0, 2.0), MeasuredVideo("broken", tmp_path / "broken.mp4")]
    reading = Reading(4, "spread", (24, 32))
    (span, read), (broken, error) = read_in_children(wanted, reading, workers=1)
    assert (span.name, broken.name) == ("span", "broken")
    expected = read_video(str(video), 1.0, 2.0, reading)
    assert (read.frames == expected.frames).all()
    assert (read.frame_count, read.frames.shape) == (10, (4, 24, 32, 3))
    assert "text file" in str(error)


def test_the_digest_of_videos_changes_with_their_files_and_prompts(video):
    first = videos_digest([MeasuredVideo("a", video)])
    assert videos_digest([MeasuredVideo("a", video, "a disc")]) != first
    with video.open("ab") as file:
        file.write(b"more")
    assert videos_digest([MeasuredVideo("a", video)]) != first


def test_a_checkpoint_of_any_table_is_found_by_its_id(lake):
    chat = {"checkpoint_id": "chat-1", "chat": "chat-tiny|all", "weights_digest": "d", "path": "p"}
    lake.upsert("chat_checkpoints", pl.DataFrame([chat]))
    assert checkpoint_named(lake, "chat-1").model == "chat-tiny|all"
    with pytest.raises(ValueError, match="no row of checkpoints, chat_checkpoints"):
        checkpoint_named(lake, "chat-2")
