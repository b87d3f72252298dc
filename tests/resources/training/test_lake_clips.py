"""Clips read from the lake for training: what stands in the tables at the snapshot, in every process."""

import multiprocessing
import pickle
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from torch.utils.data import DataLoader, Dataset

from internvid.video.jpeg import rgb_of_jpeg
from resources.lake.store import Lake
from resources.training.lake_clips import ROWS_PER_BATCH, LakeClips, index_clips

SNAPSHOT = "corpus-test"
FRAMES = 5


def jpeg(number: int, height: int = 16, width: int = 24) -> bytes:
    """A picture like no other number's."""
    grey = np.linspace(0, 255, height * width).reshape(height, width, 1)
    colour = [number * 37 % 256, number * 91 % 256, number * 151 % 256]
    return cv2.imencode(".jpg", (grey / 2 + np.array(colour) / 2).astype(np.uint8))[1].tobytes()


def frames_of(clip: int, *, look: int = 0, height: int = 16) -> pl.DataFrame:
    """Its frames, not in order of time. look: other pictures for another."""
    order = [3, 0, 4, 1, 2]
    return pl.DataFrame(
        {
            "frame_id": [f"c{clip}_{at}" for at in order],
            "clip_id": f"c{clip}",
            "video_id": f"v{clip // 2}",
            "seconds": [float(at) for at in order],
            "width": 24,
            "height": height,
            "jpeg": [jpeg(1000 * look + 10 * clip + at, height) for at in order],
            "ingest_batch": f"b{clip // 4}",
            "provenance": f"{look}",
        }
    )


def add_clips(lake: Lake, numbers: range) -> None:
    """Rows of clips, their captions and their frames, two clips a video."""
    rows = pl.DataFrame({"clip_id": [f"c{n}" for n in numbers], "video_id": [f"v{n // 2}" for n in numbers]})
    lake.upsert("clips", rows)
    lake.upsert("clip_captions", rows.with_columns(caption=pl.lit("clip ") + pl.col("clip_id")))
    lake.upsert("frames", pl.concat([frames_of(n) for n in numbers]))


def indexed(lake: Lake, folder: Path, clip_ids: list[str], **options: int) -> LakeClips:
    index = index_clips(lake, clip_ids, folder / "clips.arrow", snapshot=SNAPSHOT)
    return LakeClips(lake, index.path, SNAPSHOT, **options)


def read_directly(lake: Lake, clip_id: str, chosen: list[int]) -> np.ndarray:
    jpegs = lake.fetch("frames", [f"{clip_id}_{at}" for at in chosen], ["jpeg"])["jpeg"].to_pylist()
    return np.stack([rgb_of_jpeg(one) for one in jpegs])


def same(found: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    return len(found) == len(expected) and all(map(np.array_equal, found, expected))


@pytest.fixture
def folder_lake(tmp_path: Path, new_lake: Callable[[Path], Lake]) -> Lake:
    """Six clips of three videos in a folder, tagged."""
    lake = new_lake(tmp_path / "lake")
    add_clips(lake, range(6))
    lake.tag(SNAPSHOT)
    return lake


def test_frames_are_those_that_direct_reads_gave_at_the_snapshot_whatever_is_done_before_and_after_it(
    lake: Lake, tmp_path: Path
):
    add_clips(lake, range(6))
    lake.upsert("frames", pl.concat([frames_of(1, look=1), frames_of(4, look=1)]))
    lake.delete("frames", ["c0_0", "c0_3", *(f"c2_{at}" for at in range(FRAMES))])
    lake.optimize(keep_versions_for=timedelta(0))
    lake.upsert("frames", frames_of(3, look=2))
    lake.delete("frames", ["c1_4", "c5_2"])
    lake.tag(SNAPSHOT)

    left = {"c5": [0, 1, 3, 4], "c0": [1, 2, 4], "c4": [0, 1, 2, 3, 4], "c1": [0, 1, 2, 3], "c3": [0, 1, 2, 3, 4]}
    picks = [(2, [0, 4, 2]), (0, [3]), (1, [2, 2, 0]), (4, [1, 3]), (3, [3, 0]), (2, [4])]
    ids = list(left)
    expected = [read_directly(lake, ids[clip], [left[ids[clip]][at] for at in chosen]) for clip, chosen in picks]

    clips = indexed(lake, tmp_path, ids)
    assert clips.clip_ids(range(5)) == ids
    assert clips.frame_counts.tolist() == [len(frames) for frames in left.values()]
    assert same(clips.frames(picks), expected)

    lake.upsert("frames", pl.concat([frames_of(clip, look=7) for clip in range(6)]))
    lake.delete("frames", [f"c3_{at}" for at in range(FRAMES)])
    lake.delete("clips", ["c5"])
    lake.upsert("clip_captions", pl.DataFrame({"clip_id": ["c4"], "caption": ["another"], "provenance": ["new"]}))
    lake.optimize(keep_versions_for=timedelta(0))
    assert same(clips.frames(picks), expected)
    again = indexed(lake, tmp_path, ids)
    assert same(again.frames(picks), expected)
    assert again.captions([2]) == ["clip c4"]


def test_clips_stand_in_the_order_given_and_those_left_out_are_counted_by_reason(folder_lake: Lake, tmp_path: Path):
    lake = folder_lake
    add_clips(lake, range(6, 10))
    lake.delete("frames", [f"c6_{at}" for at in range(FRAMES)])
    blank = pl.DataFrame({"clip_id": ["c7", "c8"], "video_id": ["v3", "v4"], "caption": [None, " "]})
    lake.upsert("clip_captions", blank.with_columns(provenance=pl.lit("blank")))
    lake.tag("later")

    asked = ["c9", "gone", "c0", "c6", "c7", "c5", "c8", "c4"]
    index = index_clips(lake, pa.chunked_array([asked[:3], asked[3:]]), tmp_path / "new" / "i.arrow", snapshot="later")
    assert (index.clips, index.left_out) == (4, {"no caption": 2, "no frames": 1, "not in the snapshot": 1})
    clips = LakeClips(lake, index.path, "later")
    assert clips.clip_ids([3, 0, 1, 2]) == ["c4", "c9", "c0", "c5"]
    assert clips.captions([0, 2]) == ["clip c9", "clip c5"]
    videos = clips.video_numbers
    assert videos.dtype == np.int64
    assert videos[2] == videos[3]  # c5 and c4 are of one video
    assert len({videos[0], videos[1], videos[2]}) == 3
    assert [path.name for path in index.path.parent.iterdir()] == ["i.arrow"]


def test_an_index_that_makes_no_sense_is_refused_and_leaves_no_file(folder_lake: Lake, tmp_path: Path):
    path = tmp_path / "index" / "clips.arrow"
    with pytest.raises(ValueError, match="clips given twice: c1"):
        index_clips(folder_lake, ["c1", "c2", "c1"], path, snapshot=SNAPSHOT)
    with pytest.raises(ValueError, match=r"none of 1 clips can be read at corpus-test: \{'not in the snapshot': 1\}"):
        index_clips(folder_lake, ["gone"], path, snapshot=SNAPSHOT)
    assert list(path.parent.iterdir()) == []
    index_clips(folder_lake, ["c1"], path, snapshot=SNAPSHOT)
    with pytest.raises(ValueError, match="was made from corpus-test, not from another"):
        LakeClips(folder_lake, path, "another")


def test_an_index_of_more_clips_than_one_batch_holds_gives_each_clip_its_own_frames(
    tmp_path: Path, new_lake: Callable[[Path], Lake]
):
    lake = new_lake(tmp_path / "lake")
    count = ROWS_PER_BATCH + 2_000
    clips = pl.DataFrame({"clip_id": [f"c{n}" for n in range(count)]}).with_columns(
        video_id=pl.lit("v") + pl.col("clip_id"), caption=pl.lit("some words")
    )
    # Two frames, or three of every third clip: batches of clips and of frames do not end together.
    frames = clips.with_row_index().join(pl.DataFrame({"frame": [0, 1, 2]}), how="cross")
    frames = frames.filter((pl.col("frame") < 2) | (pl.col("index") % 3 == 0))
    frames = frames.sample(fraction=1.0, shuffle=True, seed=0).select(
        "clip_id",
        "video_id",
        frame_id=pl.col("clip_id") + "_" + pl.col("frame").cast(pl.String),
        seconds=pl.col("frame").cast(pl.Float64),
        width=pl.lit(1),
        height=pl.lit(1),
    )
    lake.upsert("clips", clips.drop("caption"))
    lake.upsert("clip_captions", clips)
    lake.upsert("frames", frames)
    lake.tag(SNAPSHOT)

    order = np.random.default_rng(0).permutation(count)
    index = index_clips(lake, [f"c{n}" for n in order], tmp_path / "clips.arrow", snapshot=SNAPSHOT)
    held = pa.ipc.open_file(index.path).read_all()
    places = held["frame_rows"].combine_chunks().flatten()
    found = lake.dataset("frames", SNAPSHOT).take(places, columns=["frame_id"])["frame_id"].to_pylist()
    assert held["clip_id"].num_chunks > 1
    assert found == [f"c{n}_{at}" for n in order for at in range(2 if n % 3 else 3)]


class Read(Dataset):
    def __init__(self, clips: LakeClips) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, clip: int) -> tuple[str, np.ndarray]:
        return self.clips.captions([clip])[0], self.clips.frames([(clip, [1, 0, 3])])[0]


@pytest.mark.slow
def test_two_spawned_workers_read_what_this_process_reads_and_are_sent_less_than_two_kilobytes(
    folder_lake: Lake, tmp_path: Path
):
    clips = indexed(folder_lake, tmp_path, [f"c{n}" for n in range(6)])
    here = [Read(clips)[n] for n in range(6)]
    assert len(pickle.dumps(clips)) < 2_000
    loader = DataLoader(Read(clips), batch_size=None, num_workers=2, multiprocessing_context="spawn")
    there = [(caption, frames.numpy()) for caption, frames in loader]
    assert [caption for caption, _ in there] == [caption for caption, _ in here]
    assert same([frames for _, frames in there], [frames for _, frames in here])


def _tell(work: Callable[[], object], said: multiprocessing.SimpleQueue) -> None:
    try:
        work()
        said.put("it worked")
    except RuntimeError as error:
        said.put(str(error))


@pytest.mark.filterwarnings("ignore::UserWarning")  # Lance warns of any fork
def test_a_forked_process_is_told_to_be_spawned_rather_than_left_hanging(folder_lake: Lake, tmp_path: Path):
    clips = indexed(folder_lake, tmp_path, ["c0"])
    clips.frames([(0, [0])])
    fork = multiprocessing.get_context("fork")
    said = fork.SimpleQueue()
    child = fork.Process(target=_tell, args=(lambda: clips.frames([(0, [0])]), said))
    child.start()
    assert said.get() == "Lance is not fork-safe: start processes that read clips by spawn"
    child.join()


def test_pictures_larger_than_needed_are_decoded_smaller_but_never_below_what_is_needed(
    tmp_path: Path, new_lake: Callable[[Path], Lake]
):
    lake = new_lake(tmp_path / "lake")
    add_clips(lake, range(2))
    lake.upsert("frames", frames_of(0, look=1, height=160).with_columns(width=pl.lit(24), height=pl.lit(160)))
    lake.upsert("frames", frames_of(1, look=1, height=18).with_columns(width=pl.lit(24), height=pl.lit(18)))
    lake.tag(SNAPSHOT)
    whole = indexed(lake, tmp_path, ["c0", "c1"]).frames([(0, [2]), (1, [2])])
    halved = indexed(lake, tmp_path, ["c0", "c1"], short_side=10).frames([(0, [2]), (1, [2])])
    assert [video.shape for video in whole] == [(1, 160, 24, 3), (1, 18, 24, 3)]
    assert [video.shape for video in halved] == [(1, 80, 12, 3), (1, 18, 24, 3)]
    mean_of_four = whole[0][0].reshape(80, 2, 12, 2, 3).mean(axis=(1, 3))
    assert np.abs(halved[0][0] - mean_of_four).max() < 6
    assert np.array_equal(halved[1], whole[1])


def test_a_clip_whose_video_changes_its_size_comes_in_one_size(tmp_path: Path, new_lake: Callable[[Path], Lake]):
    lake = new_lake(tmp_path / "lake")
    add_clips(lake, range(1))
    lake.upsert("frames", frames_of(0, look=1, height=32).filter(pl.col("seconds") > 2))
    lake.tag(SNAPSHOT)
    (small, large) = indexed(lake, tmp_path, ["c0"]).frames([(0, [1, 3]), (0, [3, 1])])
    assert (small.shape, large.shape) == ((2, 16, 24, 3), (2, 32, 24, 3))
    assert np.array_equal(small[0], read_directly(lake, "c0", [1])[0])
    assert np.array_equal(large[0], read_directly(lake, "c0", [3])[0])
    assert np.abs(small[1].astype(float).mean() - large[0].mean()) < 3


def test_a_picture_that_cannot_be_read_is_an_error(tmp_path: Path, new_lake: Callable[[Path], Lake]):
    lake = new_lake(tmp_path / "lake")
    add_clips(lake, range(1))
    lake.upsert("frames", frames_of(0, look=1).with_columns(jpeg=pl.lit(b"no picture")))
    lake.tag(SNAPSHOT)
    with pytest.raises(ValueError, match=r"not a readable JPEG \(10 bytes\)"):
        indexed(lake, tmp_path, ["c0"]).frames([(0, [0])])
