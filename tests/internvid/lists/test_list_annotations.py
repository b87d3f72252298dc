"""Released annotations: each form as it was released, and rows that cannot be used."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from internvid.lists.annotations import Annotation, read_annotations
from internvid.lists.rows import BadItem
from internvid.lists.times import seconds_of

WATCH = "https://www.youtube.com/watch?v="
INTERNVID = {
    "YoutubeID": "HdYoyzCSWyw",
    "Start_timestamp": "00:03:10.567",
    "End_timestamp": "00:03:11.200",
    "Caption": "woman using a computer mouse and keyboard",
}


def annotations(path: Path) -> list[Annotation | BadItem]:
    return [item for chunk in read_annotations(path) for item in chunk]


def write_csv(path: Path, *rows: list) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def test_internvid_as_released_with_either_name_of_its_score(tmp_path):
    path = tmp_path / "internvid.jsonl"
    lines = [
        INTERNVID | {"Aesthetic_Score": 4.58984375, "UMT_Score": 0.39794921875},
        INTERNVID | {"UMT-SIM": 0.25},
        INTERNVID | {"UMT_SIM": None},
    ]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    span = (f"{WATCH}HdYoyzCSWyw", 190.567, 191.2, "woman using a computer mouse and keyboard")
    assert annotations(path) == [
        Annotation(1, *span, {"aesthetic_score": 4.58984375, "umt_score": 0.39794921875}),
        Annotation(2, *span, {"umt_score": 0.25}),
        Annotation(3, *span, {}),
    ]


def test_internvid_as_parquet(tmp_path):
    path = tmp_path / "internvid.parquet"
    pq.write_table(pa.Table.from_pylist([INTERNVID | {"UMT-SIM": 0.25}]), path)
    assert annotations(path) == [
        Annotation(1, f"{WATCH}HdYoyzCSWyw", 190.567, 191.2, INTERNVID["Caption"], {"umt_score": 0.25})
    ]


def test_webvid_as_released_annotates_whole_videos(tmp_path):
    path = write_csv(
        tmp_path / "results_2M_val.csv",
        ["videoid", "contentUrl", "duration", "page_dir", "name"],
        [
            "21179416",
            "https://ak.picdn.net/21179416.mp4",
            "PT00H00M11S",
            "006001_006050",
            'Aerial, "shot" of\na lake',
        ],
        ["1", "https://ak.picdn.net/v/1.mp4", "PT00H01M00S", "006001_006050", ""],
    )
    assert annotations(path) == [
        Annotation(2, "https://ak.picdn.net/21179416.mp4", 0.0, None, 'Aerial, "shot" of\na lake', {}, 11.0),
        BadItem(4, "nothing stands in its column name"),
    ]


def test_panda_as_released_has_lists_of_spans_captions_and_scores(tmp_path):
    spans = "[['0:00:01.500', '0:00:09.250'], ['0:00:09.250', '0:00:09.250'], ['0:01:00.000', '0:01:02.000']]"
    captions = """["A man's dog.", 'Two cars', '']"""
    path = write_csv(
        tmp_path / "panda70m_testing.csv",
        ["videoID", "url", "timestamp", "caption", "matching_score"],
        ["HdYoyzCSWyw", f"{WATCH}HdYoyzCSWyw", spans, captions, "[0.43, 0.5, 0.6]"],
        ["2", f"{WATCH}2", spans, "['one']", "[0.43, 0.5, 0.6]"],
        ["3", f"{WATCH}3", "__import__('os').abort()", "['one']", "[0.43]"],
        ["4", f"{WATCH}4", "[['0:00:01.500']]", "['one']", "[0.43]"],
        ["5", f"{WATCH}5", "[]", "[]", "[]"],
        ["6", f"{WATCH}6", "[" * 5000, "[]", "[]"],
    )
    assert annotations(path) == [
        Annotation(2, f"{WATCH}HdYoyzCSWyw", 1.5, 9.25, "A man's dog.", {"matching_score": 0.43}),
        BadItem(2, "it ends at 9.25 s, where it begins (9.25 s)", 2),
        Annotation(2, f"{WATCH}HdYoyzCSWyw", 60.0, 62.0, None, {"matching_score": 0.6}),
        BadItem(3, "its lists differ in length: 3 spans, 3 ends, 1 captions, 3 matching_score"),
        BadItem(4, """its column timestamp is no list as Python writes one: "__import__('os').abort()\""""),
        BadItem(5, "its column timestamp should hold pairs of start and end, not ['0:00:01.500']"),
        BadItem(6, "it has no span"),
        BadItem(7, f"its column timestamp is no list as Python writes one: {'[' * 80!r}"),
    ]


def test_howto100m_as_released_is_one_document_of_videos(tmp_path):
    path = tmp_path / "caption.json"
    path.write_text(
        json.dumps(
            {
                "HdYoyzCSWyw": {"start": [8.37, 12], "end": [11.2, 13.5], "text": ["hello everyone", "cut it"]},
                "no id": {"start": [1], "end": [2], "text": ["a"]},
            }
        )
    )
    good = annotations(path)[:2]
    assert good == [
        Annotation(1, f"{WATCH}HdYoyzCSWyw", 8.37, 11.2, "hello everyone", {}),
        Annotation(1, f"{WATCH}HdYoyzCSWyw", 12.0, 13.5, "cut it", {}),
    ]
    (bad,) = annotations(path)[2:]
    assert isinstance(bad, BadItem)
    assert (bad.row, "no id" in bad.why) == (2, True)


def test_any_list_of_url_start_end_and_caption_whose_bad_rows_are_told(tmp_path):
    path = write_csv(
        tmp_path / "spans.csv",
        ["url", "start", "end", "text", "score"],
        ["https://a.example/1", "1.5", "00:00:03", "a dog", "0.5"],
        ["https://a.example/1", "5", "3", "a dog", ""],
        ["https://a.example/1", "soon", "3", "a dog", ""],
        ["https://a.example/1", "", "3", "a dog", ""],
        ["https://a.example/1", "-1", "3", "a dog", ""],
        ["", "1", "3", "a dog", ""],
        ["https://a.example/1", "1", "3", "a dog", "high"],
        ["https://a.example/2", "4", "", "", "nan"],
    )
    assert annotations(path) == [
        Annotation(2, "https://a.example/1", 1.5, 3.0, "a dog", {"score": 0.5}),
        BadItem(3, "it ends at 3 s, before it begins (5 s)"),
        BadItem(4, "not a time: 'soon'; write seconds, or HH:MM:SS.mmm"),
        BadItem(5, "nothing stands in its column start"),
        BadItem(6, "not a time within a video: '-1'"),
        BadItem(7, "nothing stands in its column url"),
        BadItem(8, "its score is no number: 'high'"),
        Annotation(9, "https://a.example/2", 4.0, None, None, {}),
    ]


def test_a_list_that_names_no_span_and_no_caption_is_no_annotation(tmp_path):
    path = write_csv(tmp_path / "HowTo100M_v1.csv", ["video_id", "category_1", "rank"], ["nVbIUDjzWY4", "Cars", "27"])
    with pytest.raises(ValueError, match=r"category_1, rank, video_id.*start and end"):
        annotations(path)


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        (9.943, 9.943),
        ("9.943", 9.943),
        ("00:00:09.943", 9.943),
        ("00:00:09,943", 9.943),
        ("1:02", 62.0),
        ("100:00:00", 360_000.0),
        ("PT00H00M30S", 30.0),
        ("P1DT1.5S", 86_401.5),
    ],
)
def test_times_in_every_form(time, seconds):
    assert seconds_of(time) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize("time", ["", "P", "1:2:3:4", "nan", "inf", True, None, "-0:01", [1]])
def test_what_is_no_time_is_told(time):
    with pytest.raises(ValueError, match="not a time"):
        seconds_of(time)
