"""Released files of public data sets, row by row as they are published: the spans that are read of each."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from internvid.lists.annotations import Annotation, read_annotations
from internvid.lists.rows import BadItem

A, B = "QMi5Eu2O9vA", "-076WPWoCRE"
WATCH = "https://www.youtube.com/watch?v="

Span = tuple[str, float, float | None, str | None]


def written(path: Path, content: Any) -> Path:
    """Writes a list of rows in the format of the suffix, or another JSON document."""
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, content[0])
            writer.writeheader()
            writer.writerows(content)
    elif path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in content))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(content), path)
    else:
        path.write_text(json.dumps(content))
    return path


def read(path: Path) -> tuple[str, list[Span], list[int]]:
    """The form's name, the spans, and the rows that are refused."""
    forms = []
    items = [item for chunk in read_annotations(path, forms.append) for item in chunk]
    spans = [
        (item.url or item.clip or "", item.start_seconds, item.end_seconds, item.caption)
        for item in items
        if isinstance(item, Annotation)
    ]
    return forms[0].name, spans, [item.row for item in items if isinstance(item, BadItem)]


HD_VILA = {
    "video_id": A,
    "url": f"{WATCH}{A}",
    "clip": [
        {"clip_id": f"{A}.0.mp4", "span": ["00:00:00.000", "00:00:07.974"]},
        {"clip_id": f"{A}.1.mp4", "span": ["00:00:09.175", "00:00:15.040"]},
    ],
}
MSR_VTT = {
    "info": {"version": "1.0"},
    "videos": [
        {"category": 9, "url": f"{WATCH}{A}", "video_id": "video0", "start time": 137.72, "end time": 149.44, "id": 0},
        {"category": 1, "url": f"{WATCH}{B}", "video_id": "video1", "start time": 1.0, "end time": 9.5, "id": 1},
    ],
    "sentences": [
        {"caption": "a car is shown", "video_id": "video0", "sen_id": 0},
        {"caption": "a red car", "video_id": "video0", "sen_id": 1},
        {"caption": "a man sings", "video_id": "video1", "sen_id": 20},
    ],
}
DIDEMO = {
    "annotation_id": 21,
    "description": "a dog runs to the left",
    "dl_link": "https://www.flickr.com/video_download.gne?id=8586438041",
    "num_segments": 6,
    "times": [[0, 0], [2, 3], [2, 3], [1, 3]],
    "video": "43520843@N06_8586438041_ab8a9b0e9b.mov",
}
FINE_VIDEO = {
    "content_fine_category": "Cooking",
    "content_metadata": {
        "scenes": [
            {
                "sceneId": 1,
                "title": "Opening",
                "timestamps": {"start_timestamp": "00:00:00.000", "end_timestamp": "00:00:12.500"},
                "activities": [
                    {"description": "A cook peels onions.", "timestamp": {"start_timestamp": "00:00:01.000"}}
                ],
            },
            {"title": "End", "timestamps": {"start_timestamp": "00:00:12.500", "end_timestamp": "00:01:02.000"}},
        ]
    },
    "duration_seconds": 62,
    "original_video_filename": f"{B}.mp4",
}
FINE_VIDEO_SPANS = [
    (f"{WATCH}{B}", 0.0, 12.5, "Opening. A cook peels onions."),
    (f"{WATCH}{B}", 12.5, 62.0, "End"),
]
VRIPT = {
    "meta": {"video_id": B, "video_title": "x", "num_clips": 2, "integrity": True},
    "data": {
        f"{B}-Scene-001": {
            "video_id": B,
            "clip_id": f"{B}-Scene-001",
            "caption": {
                "shot_type": "Close-up",
                "camera_movement": "Static",
                "content": "A dog.",
                "scene_title": "Dog",
            },
            "voiceover": ["Hello"],
        },
    },
}
TALK = [{"from": "human", "value": "<video>\nDescribe it."}, {"from": "gpt", "value": "A dog runs."}]


@pytest.mark.parametrize(
    ("name", "rows", "form", "spans"),
    [
        (
            "internvid.jsonl",
            [
                {
                    "YoutubeID": A,
                    "Start_timestamp": "00:03:10.567",
                    "End_timestamp": "00:03:11.200",
                    "Caption": "x",
                    "UMT_Score": 0.4,
                }
            ],
            "InternVid",
            [(f"{WATCH}{A}", 190.567, 191.2, "x")],
        ),
        (
            "webvid.csv",
            [
                {
                    "videoid": 1,
                    "contentUrl": "https://a.example/1.mp4",
                    "duration": "PT00H00M11S",
                    "page_dir": "0",
                    "name": "a lake",
                }
            ],
            "WebVid",
            [("https://a.example/1.mp4", 0.0, None, "a lake")],
        ),
        (
            "panda.csv",
            [
                {
                    "videoID": A,
                    "url": f"{WATCH}{A}",
                    "timestamp": "[['0:00:01.500', '0:00:09.250'], ['0:00:09.250', '0:00:12.000']]",
                    "caption": "['a', 'b']",
                    "matching_score": "[0.4, 0.5]",
                }
            ],
            "Panda-70M",
            [(f"{WATCH}{A}", 1.5, 9.25, "a"), (f"{WATCH}{A}", 9.25, 12.0, "b")],
        ),
        (
            "howto.json",
            {A: {"start": [1.5, 3], "end": [2, 4], "text": ["a", "b"]}},
            "HowTo100M",
            [(f"{WATCH}{A}", 1.5, 2.0, "a"), (f"{WATCH}{A}", 3.0, 4.0, "b")],
        ),
        (
            "hdvila_part0.jsonl",
            [HD_VILA],
            "HD-VILA",
            [(f"{WATCH}{A}", 0.0, 7.974, None), (f"{WATCH}{A}", 9.175, 15.04, None)],
        ),
        (
            "hdvila.parquet",
            [HD_VILA],
            "HD-VILA",
            [(f"{WATCH}{A}", 0.0, 7.974, None), (f"{WATCH}{A}", 9.175, 15.04, None)],
        ),
        (
            "train.json",
            {f"v_{A}": {"duration": 82.73, "timestamps": [[0.83, 19.86], [17.37, 60.81]], "sentences": ["a", " b"]}},
            "ActivityNet Captions",
            [(f"{WATCH}{A}", 0.83, 19.86, "a"), (f"{WATCH}{A}", 17.37, 60.81, "b")],
        ),
        (
            "train_data.json",
            [DIDEMO, DIDEMO | {"dl_link": None, "times": [[5, 5], [0, 1]]}],
            "DiDeMo",
            [
                (DIDEMO["dl_link"], 10.0, 20.0, "a dog runs to the left"),
                (DIDEMO["video"], 25.0, 30.0, "a dog runs to the left"),
            ],
        ),
        (
            "train_val_videodatainfo.json",
            MSR_VTT,
            "MSR-VTT",
            [
                (f"{WATCH}{A}", 137.72, 149.44, "a car is shown"),
                (f"{WATCH}{A}", 137.72, 149.44, "a red car"),
                (f"{WATCH}{B}", 1.0, 9.5, "a man sings"),
            ],
        ),
        (
            "OpenVid-1M.csv",
            [
                {
                    "video": "celebv_--3XqfnWvDM_0.mp4",
                    "caption": "a woman",
                    "aesthetic score": 5.1,
                    "motion score": 3.9,
                    "temporal consistency score": 0.99,
                    "camera motion": "static",
                    "frame": 76,
                    "fps": 25,
                    "seconds": 3.04,
                }
            ],
            "OpenVid-1M",
            [("celebv_--3XqfnWvDM_0.mp4", 0.0, None, "a woman")],
        ),
        (
            "Koala_36M_1.csv",
            [
                {
                    "videoID": f"{A}_12",
                    "url": f"{WATCH}{A}",
                    "timestamp": "['0:00:06.400', '0:00:13.680']",
                    "caption": "a man",
                    "training suitability score": 3.9,
                }
            ],
            "Koala-36M",
            [(f"{WATCH}{A}", 6.4, 13.68, "a man")],
        ),
        (
            "koala.parquet",
            [
                {
                    "videoID": f"{A}_12",
                    "url": f"{WATCH}{A}",
                    "timestamp": ["0:00:06.400", "0:00:13.680"],
                    "caption": "a man",
                }
            ],
            "Koala-36M",
            [(f"{WATCH}{A}", 6.4, 13.68, "a man")],
        ),
        (f"{B}.json", FINE_VIDEO, "FineVideo", FINE_VIDEO_SPANS),
        ("finevideo.parquet", [{"mp4": b"x", "json": FINE_VIDEO}], "FineVideo", FINE_VIDEO_SPANS),
        (
            "VidGen_1M_video_caption.json",
            [{"vid": f"{A}-Scene-0014", "caption": "a dog"}],
            "VidGen-1M",
            [(f"{A}-Scene-0014", 0.0, None, "a dog")],
        ),
        (
            "miradata_v1.csv",
            [
                {
                    "clip_id": 0,
                    "source": "youtube",
                    "video_url": f"{WATCH}{A}",
                    "video_id": A,
                    "timestamp": "['00:01:10.030', '00:02:10.030']",
                    "fps": 30,
                    "short_caption": "dog",
                    "dense_caption": "a long dog",
                }
            ],
            "MiraData",
            [(f"{WATCH}{A}", 70.03, 130.03, "a long dog")],
        ),
        (
            "miradata_v0.csv",
            [
                {
                    "index": "000000_1-2",
                    "video_id": A,
                    "start_frame": 30,
                    "end_frame": 90,
                    "fps": 30.0,
                    "short_caption": "dog",
                }
            ],
            "MiraData",
            [(f"{WATCH}{A}", 1.0, 3.0, "dog")],
        ),
        (f"{B}_caption.json", VRIPT, "Vript", [(f"{WATCH}{B}", 0.0, None, "A dog.")]),
        ("vript_captions.jsonl", [VRIPT, VRIPT], "Vript", [(f"{WATCH}{B}", 0.0, None, "A dog.")] * 2),
        (
            "metadata.csv",
            [{"file_name": "train/0001.mp4", "text": "a dog"}],
            "VideoFolder",
            [("train/0001.mp4", 0.0, None, "a dog")],
        ),
        (
            "metadata.jsonl",
            [{"file_name": "0001.mp4", "caption": "a dog"}],
            "VideoFolder",
            [("0001.mp4", 0.0, None, "a dog")],
        ),
        (
            "talks.json",
            [{"id": "1", "video": "academic/0001.mp4", "conversations": TALK}],
            "talks about videos",
            [("academic/0001.mp4", 0.0, None, "A dog runs.")],
        ),
        (
            "messages.jsonl",
            [
                {
                    "videos": ["a.mp4", "b.mp4"],
                    "messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "A dog."}],
                }
            ],
            "talks about videos",
            [("a.mp4", 0.0, None, "A dog."), ("b.mp4", 0.0, None, "A dog.")],
        ),
        (
            "paths.csv",
            [{"video_path": "clips/a.mp4", "caption": "a dog"}],
            "captions of whole videos",
            [("clips/a.mp4", 0.0, None, "a dog")],
        ),
        (
            "youcookii.json",
            {
                "database": {
                    A: {
                        "duration": 300,
                        "video_url": f"{WATCH}{A}",
                        "annotations": [{"segment": [41, 54], "id": 0, "sentence": "peel"}],
                    }
                }
            },
            "YouCook2",
            [(f"{WATCH}{A}", 41.0, 54.0, "peel")],
        ),
        (
            "vatex.json",
            [{"videoID": f"{B}_000084_000094", "enCap": ["a", "b"], "chCap": ["甲"]}],
            "VATEX",
            [(f"{WATCH}{B}", 84.0, 94.0, "a"), (f"{WATCH}{B}", 84.0, 94.0, "b")],
        ),
        (
            "highlights.jsonl",
            [{"qid": 1, "query": "a dog", "duration": 150, "vid": f"{A}_210.0_360.0", "relevant_windows": [[82, 150]]}],
            "QVHighlights",
            [(f"{WATCH}{A}", 292.0, 360.0, "a dog")],
        ),
        (
            "kinetics.csv",
            [{"label": "juggling", "youtube_id": A, "time_start": 10, "time_end": 20, "split": "train"}],
            "a span a row",
            [(f"{WATCH}{A}", 10.0, 20.0, "juggling")],
        ),
        (
            "msvd.csv",
            [{"VideoID": A, "Start": 8, "End": 16, "Language": "English", "Description": "a dog"}],
            "a span a row",
            [(f"{WATCH}{A}", 8.0, 16.0, "a dog")],
        ),
        (
            "vast.jsonl",
            [
                {
                    "clip_id": f"{A}.3",
                    "clip_span": ["00:00:01.000", "00:00:03.500"],
                    "url": f"{WATCH}{A}",
                    "vast_cap": "a dog",
                }
            ],
            "Koala-36M",
            [(f"{WATCH}{A}", 1.0, 3.5, "a dog")],
        ),
        (
            "bare.csv",
            [{"video": B, "start": 1, "end": 2, "caption": "x"}],
            "a span a row",
            [(f"{WATCH}{B}", 1.0, 2.0, "x")],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_a_released_file_gives_its_spans(tmp_path: Path, name: str, rows: Any, form: str, spans: list[Span]) -> None:
    read_as, found, refused = read(written(tmp_path / name, rows))
    assert read_as.partition(" (")[0] == form
    assert [(url, caption) for url, _, _, caption in found] == [(url, caption) for url, _, _, caption in spans]
    for (_, start, end, _), (_, expected_start, expected_end, _) in zip(found, spans, strict=True):
        assert (start, end) == pytest.approx((expected_start, expected_end))
    assert refused == []


@pytest.mark.parametrize(
    ("name", "good", "bad", "why"),
    [
        ("a.jsonl", HD_VILA, HD_VILA | {"clip": [{"clip_id": "x"}]}, "objects with a span"),
        ("a.jsonl", HD_VILA, {"video_id": A}, "not as rows of HD-VILA"),
        ("a.json", DIDEMO, DIDEMO | {"times": []}, "times is empty"),
        ("a.jsonl", VRIPT, VRIPT | {"data": [1]}, "meta and data should be objects"),
        ("a.jsonl", FINE_VIDEO, FINE_VIDEO | {"content_metadata": {"scenes": []}}, "no scenes"),
        (
            "a.jsonl",
            {"vid": "x-Scene-1", "caption": "a"},
            {"vid": "", "caption": "a"},
            "nothing stands in its column vid",
        ),
        ("a.jsonl", {"videos": ["a.mp4"], "caption": "a"}, {"videos": [], "caption": "a"}, "no video"),
    ],
)
def test_a_row_that_is_not_as_the_others_is_refused_with_the_reason(
    tmp_path: Path, name: str, good: dict, bad: dict, why: str
) -> None:
    path = written(tmp_path / name, [good, bad, good])
    items = [item for chunk in read_annotations(path) for item in chunk]
    (refused,) = [item for item in items if isinstance(item, BadItem)]
    assert refused.row == 2
    assert why in refused.why
    assert len(items) >= 3
