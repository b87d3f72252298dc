"""`internvid subset` as people call it: real processes on a small lake of real tables."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from command import Done, cells, internvid, refused, succeeded

from assets.corpus.corpus_snapshot import take_snapshot
from resources.lake.schema import TABLES
from resources.lake.store import Lake

# The clips of five videos, 4 each, in the pool; a sixth video has one clip without a caption. Scores are 0.05, 0.10, …
SIMILAR = "video_text_similarity at least 0.3; if null, among the highest 0.3"
VIDEOS = [f"video{number}" for number in range(6)]


def rows(table: str, rows: list[dict[str, Any]]) -> pa.Table:
    schema = TABLES[table].arrow
    return pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in rows], schema=schema)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(root=str(tmp_path_factory.mktemp("subsets") / "lake"))
    lake.create_tables()
    clips = [(f"{video}_{clip}", video, clip) for video in VIDEOS[:5] for clip in range(4)]
    times = {"provenance": "made", "digest": "made", "unit_rows": 1}
    said = [
        {"clip_id": clip_id, "video_id": video, "start_seconds": 10.0 * clip, "end_seconds": 10.0 * clip + 5} | times
        for clip_id, video, clip in [*clips, ("video5_0", "video5", 0)]
    ]
    lake.upsert("clips", rows("clips", said))
    lake.upsert(
        "raw_videos",
        rows(
            "raw_videos",
            [{"video_id": video, "source": f"file:///videos/{video}%20[red].mp4"} | times for video in VIDEOS],
        ),
    )
    captions = [
        {"clip_id": clip_id, "video_id": video, "caption": f"[bold]dog {clip_id}"} | times
        for clip_id, video, _ in clips
    ]
    lake.upsert("clip_captions", rows("clip_captions", captions))
    frames = [{"frame_id": f"{one['clip_id']}_0", "clip_id": one["clip_id"], "jpeg": b"x"} | times for one in said]
    lake.upsert("frames", rows("frames", frames))
    name, _, _ = take_snapshot(lake, run_id="test")
    (Path(lake.root) / "snapshot").write_text(name)
    scores = [
        {"score_id": f"{clip_id}/video_text_similarity", "clip_id": clip_id, "score": "video_text_similarity"}
        | {"value": 0.05 * (number + 1)}
        | times
        for number, (clip_id, _, _) in enumerate(clips[:16])
    ]
    lake.upsert("clip_scores", rows("clip_scores", scores))
    return lake


def subset(*arguments: str, lake: Lake | None = None, **environment: str) -> Done:
    return internvid("subset", *arguments, lake=lake.root if lake else None, **environment)


def test_list_names_the_subsets_and_their_parameters(tmp_path: Path):
    (tmp_path / "dogs.sql").write_text(
        "-- ---\n-- title: Dogs [red]\n"
        "-- parameters: {word: {type: text, default: dog, meaning: to look for}}\n-- ---\n"
        "select clip_id, 1 as weight, '' as reason from pool"
    )
    text = succeeded(subset("list", INTERNVID_SUBSETS=str(tmp_path)))
    for line in (
        "dogs  Dogs [red]",
        "    word=dog  to look for",
        "    share=0.3  of the scored",
        "    clips=null  how many",
    ):
        assert f"\n{line}" in text
    assert [line.split("  ")[0] for line in text.splitlines() if line[:1] != " "] == [
        *("aes", "all", "div", "flt", "flt_clipscore", "icl", "random", "unique", "dogs"),
        "every subset",
    ]


def test_preview_prints_the_waterfall_with_examples_and_the_split_and_writes_nothing(lake: Lake):
    before = {table: lake.version(table) for table in TABLES}
    text = succeeded(subset("preview", "flt", "--set", "threshold=0.3", "--set", "clips=10", lake=lake))
    assert "flt: FLT as the paper has it" in text
    assert cells(text) == [
        ["condition", "removes", "leaves", "in words"],
        ["clips", "0", "21", "every clip of the lake"],
        ["has a caption", "1", "20", "the pool of every subset: a clip that has a caption"],
        ["has a frame", "0", "20", "the pool of every subset: a clip that has a frame"],
        ["similar_enough", "5", "15", SIMILAR],
        ["similar_enough: unknown", "4", "11", "unknown: a value that it compares is missing"],
        ["drawn", "1", "10", "among the 10 that are drawn"],
        ["split", "clips", "videos"],
        *([split, *numbers] for split, *numbers in cells(text)[8:11]),
        ["all", "10", cells(text)[11][2]],
    ]
    assert [row[0] for row in cells(text)[8:11]] == ["train", "validation", "test"]
    assert sum(int(row[1]) for row in cells(text)[8:11]) == 10
    assert "removed by similar_enough, 2 of 5:\n" in text
    assert re.search(r"\n  video\d_\d  video\d \[red\]\.mp4 \d0\.0-\d5\.0 s: \[bold\]dog video\d_\d\n", text)
    assert re.search(
        r"\n    video_text_similarity 0\.\d{4}, place \d+ of 16; similarity 0\.\d+, clips_of_video 4\n", text
    )
    assert "    no video_text_similarity yet; similarity unknown, clips_of_video 4\n" in text
    assert re.search(r"\nversion flt\+threshold=0\.3\+clips=10\+[0-9a-f]{8}\n", text)
    assert {table: lake.version(table) for table in TABLES} == before


def test_preview_sees_the_lake_as_it_was_at_a_snapshot(lake: Lake):
    snapshot = (Path(lake.root) / "snapshot").read_text()
    text = succeeded(subset("preview", "flt", "--at", snapshot, "--examples", "0", lake=lake))
    assert ["similar_enough: unknown", "20", "0", "unknown: a value that it compares is missing"] in cells(text)
    assert "no video_text_similarity yet" not in text
    assert "'no-such'" in refused(subset("preview", "flt", "--at", "no-such", lake=lake))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "there is no subset 'nothing'; there are aes, all, div, flt, flt_clipscore, icl, random"),
        (["flt", "--set", "treshold=0.3"], "flt has no parameter 'treshold'; it has score, share, threshold"),
        (["flt", "--set", "share=a lot"], "share takes a number from 0 to 1, not 'a lot'"),
        (["flt", "--set", "share"], "write NAME=VALUE"),
    ],
)
def test_what_cannot_be_previewed_is_told_in_words(arguments: list[str], said: str, lake: Lake):
    assert said in refused(subset("preview", *arguments, lake=lake))


def test_a_file_of_the_users_own_is_previewed_without_access_to_files(lake: Lake, tmp_path: Path):
    select = "select clip_id, 1 as weight, '' as reason, contains(caption, $word) as has_word from"
    header = (
        "-- ---\n-- title: Mine\n-- parameters: {word: {type: text, default: video1, meaning: to look for}}\n-- ---\n"
    )
    (tmp_path / "mine.sql").write_text(f"{header}{select} pool")
    (tmp_path / "thief.sql").write_text(f"{header}{select} read_csv('/etc/passwd')")
    text = succeeded(subset("preview", "mine", lake=lake, INTERNVID_SUBSETS=str(tmp_path)))
    assert ["has_word", "16", "4", ""] in cells(text)
    assert "disabled" in refused(subset("preview", "thief", lake=lake, INTERNVID_SUBSETS=str(tmp_path)))


def test_a_mistyped_lake_is_an_error_and_makes_no_new_one(tmp_path: Path):
    missing = Lake(root=str(tmp_path / "lke"))
    assert "there is no lake at" in refused(subset("preview", "all", lake=missing))
    assert not Path(missing.root).exists()
