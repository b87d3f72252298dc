"""The export in InternVid's released form: every byte of a line, and an atomic write."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pyarrow as pa
import pytest

from internvid.report.internvid_jsonl import timestamp, write_internvid_jsonl, youtube_id

COLUMNS = {
    "video_id": pa.string(),
    "source": pa.string(),
    "start_seconds": pa.float64(),
    "end_seconds": pa.float64(),
    "caption": pa.string(),
    "aesthetic_score": pa.float32(),
    "umt_score": pa.float32(),
}


def batch(*rows: tuple, columns: int = 5) -> pa.RecordBatch:
    """Makes a batch with the first `columns` columns of COLUMNS, from tuples in that order."""
    schema = pa.schema(list(COLUMNS.items())[:columns])
    return pa.RecordBatch.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


def test_lines_have_the_released_shape_byte_by_byte(tmp_path: Path):
    path = tmp_path / "clips.jsonl"
    rows = [
        batch(
            ("v1", "https://www.youtube.com/watch?v=HdYoyzCSWyw", 190.567, 191.2, "woman using a mouse", 4.5, 0.25),
            ("0123456789abcdef", "file:///videos/dQw4w9WgXcQ.mp4", 0.0, 59.9996, 'naïve "名前"\n<b>', None, math.nan),
            columns=7,
        ),
        batch(("v3", None, 359_999.9994, 360_000.0, ""), columns=5),
    ]

    assert write_internvid_jsonl(rows, path) == 3

    assert path.read_text(encoding="utf-8") == (
        '{"YoutubeID":"HdYoyzCSWyw","Start_timestamp":"00:03:10.567","End_timestamp":"00:03:11.200",'
        '"Caption":"woman using a mouse","Aesthetic_Score":4.5,"UMT_Score":0.25}\n'
        '{"YoutubeID":"0123456789abcdef","Start_timestamp":"00:00:00.000","End_timestamp":"00:01:00.000",'
        '"Caption":"naïve \\"名前\\"\\n<b>"}\n'
        '{"YoutubeID":"v3","Start_timestamp":"99:59:59.999","End_timestamp":"100:00:00.000","Caption":""}\n'
    )
    assert [json.loads(line)["YoutubeID"] for line in path.open(encoding="utf-8")] == [
        "HdYoyzCSWyw",
        "0123456789abcdef",
        "v3",
    ]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "00:00:00.000"),
        (0.0004, "00:00:00.000"),
        (0.0006, "00:00:00.001"),
        (59.9994, "00:00:59.999"),
        (59.9996, "00:01:00.000"),
        (3599.9996, "01:00:00.000"),
        (3661.001, "01:01:01.001"),
        (363_599.5, "100:59:59.500"),
    ],
)
def test_a_timestamp_rounds_to_milliseconds_and_carries(seconds: float, expected: str):
    assert timestamp(seconds) == expected


@pytest.mark.parametrize("seconds", [-0.001, math.nan, math.inf])
def test_an_impossible_time_is_refused(seconds: float):
    with pytest.raises(ValueError, match="not a time within a video"):
        timestamp(seconds)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://www.youtube.com/watch?v=HdYoyzCSWyw", "HdYoyzCSWyw"),
        ("http://youtube.com/watch?list=PL1&v=-dYoyzCSWy_&t=3s#x", "-dYoyzCSWy_"),
        ("https://m.youtube.com/watch?v=HdYoyzCSWyw", "HdYoyzCSWyw"),
        ("https://youtu.be/HdYoyzCSWyw?t=3", "HdYoyzCSWyw"),
        ("https://www.youtube.com/shorts/HdYoyzCSWyw", "HdYoyzCSWyw"),
        ("https://www.youtube.com/watch?v=HdYoyzCSWywX", None),
        ("https://www.youtube.com/watch?v=short", None),
        ("https://www.youtube.com/@channel", None),
        ("https://notyoutube.com/watch?v=HdYoyzCSWyw", None),
        ("https://evil.example/https://youtu.be/HdYoyzCSWyw", None),
        ("file:///videos/HdYoyzCSWyw_00:00:01.000_00:00:02.000.mp4", None),
        ("", None),
    ],
)
def test_an_id_is_taken_from_youtube_pages_and_never_guessed(uri: str, expected: str | None):
    assert youtube_id(uri) == expected


def test_progress_is_told_after_each_batch_and_batches_are_taken_one_at_a_time(tmp_path: Path):
    row = ("v", "file:///a.mp4", 0.0, 1.0, "a")
    seen: list[object] = []

    def batches():
        for rows in (2, 0, 3):
            seen.append(f"asked for {rows}")
            yield batch(*[row] * rows)

    assert write_internvid_jsonl(batches(), tmp_path / "a.jsonl", on_rows=seen.append) == 5
    assert seen == ["asked for 2", 2, "asked for 0", 2, "asked for 3", 5]


def test_no_rows_give_an_empty_file_in_a_new_folder(tmp_path: Path):
    path = tmp_path / "new" / "a.jsonl"
    assert write_internvid_jsonl([], path) == 0
    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    "bad",
    [
        ("v", "file:///a.mp4", 0.0, 1.0, None),
        ("v", "file:///a.mp4", None, 1.0, "a"),
        ("v", "file:///a.mp4", 2.0, 1.0, "a"),
        ("v", "file:///a.mp4", math.nan, 1.0, "a"),
    ],
)
def test_a_row_that_cannot_be_written_leaves_the_old_file_and_nothing_else(tmp_path: Path, bad: tuple):
    path = tmp_path / "a.jsonl"
    path.write_text("old\n")
    with pytest.raises(ValueError, match="time"):
        write_internvid_jsonl([batch(("v", "", 0.0, 1.0, "good")), batch(bad)], path)
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"a.jsonl": "old\n"}


def test_a_missing_column_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match="columns missing: end_seconds, caption"):
        write_internvid_jsonl([batch(("v", "", 0.0), columns=3)], tmp_path / "a.jsonl")
