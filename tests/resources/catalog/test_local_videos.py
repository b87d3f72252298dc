"""Spans of released lists are attached to local files by the ids in their names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from internvid.lists.annotations import Annotation
from resources.catalog.annotations import import_annotations, preview
from resources.catalog.local_videos import LocalVideos
from resources.lake.store import Lake
from resources.media.store import Media

WATCH = "https://www.youtube.com/watch?v="
A, B, C = "QMi5Eu2O9vA", "-076WPWoCRE", "dQw4w9WgXcQ"


@pytest.mark.parametrize(
    ("file", "url", "clip", "span"),
    [
        (f"{A}.mp4", WATCH + A, None, (1.0, 2.0)),
        (f"{B}.webm", WATCH + B, None, (1.0, 2.0)),
        (f"deep/A title [{B}].mp4", WATCH + B, None, (1.0, 2.0)),
        (f"A title ({A}).mkv", WATCH + A, None, (1.0, 2.0)),
        (f"A title-{A}.mp4", WATCH + A, None, (1.0, 2.0)),
        (f"20200131_{A}.mp4", WATCH + A, None, (1.0, 2.0)),
        (f"{A} - A title.mp4", WATCH + A, None, (1.0, 2.0)),
        (f"v_{A}.mp4", WATCH + A, None, (1.0, 2.0)),
        ("videos/0001.mp4", "videos/0001.mp4", None, (1.0, 2.0)),
        ("0001.webm", "train/0001.mp4", None, (1.0, 2.0)),
        ("x@N06_1.mov.mp4", "x@N06_1.mov", None, (1.0, 2.0)),
        ("stock-1.mp4", "https://a.example/videos/stock-1.mp4", None, (1.0, 2.0)),
        ("video0.mp4", WATCH + A, "video0", (0.0, None)),  # cut out for the span
        (f"{A}.0.mp4", WATCH + A, f"{A}.0.mp4", (0.0, None)),
        (f"{A}.1.mp4", WATCH + A, f"{A}.0.mp4", None),  # another part of the video
        (f"{A}_12.mp4", WATCH + A, None, None),
        (f"{A}-Scene-001.mp4", WATCH + A, None, None),
        (f"{C}.mp4", WATCH + A, None, None),
        (f"{A}.txt", WATCH + A, None, None),
    ],
)
def test_a_file_is_found_by_the_id_in_its_name(
    tmp_path: Path, file: str, url: str, clip: str | None, span: tuple[float, float | None] | None
) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.touch()
    videos = LocalVideos(tmp_path)
    asked = Annotation(1, url, 1.0, 2.0, "x", clip=clip)
    attached, missing = videos.attach([asked])
    assert (len(videos.present), len(videos.wanted)) == (int(span is not None), 1)
    if span is None:
        assert (attached, missing) == ([], [asked])
    else:
        assert [(each.url, each.start_seconds, each.end_seconds) for each in attached] == [(str(path), *span)]


def test_spans_of_local_files_are_imported_and_the_others_are_told(
    tmp_path: Path, new_lake: Callable[[Path], Lake], synthetic_video: Callable[..., Path]
) -> None:
    lake, media = new_lake(tmp_path / "lake"), Media(root=str(tmp_path / "media"))
    folder = tmp_path / "videos"
    folder.mkdir()
    synthetic_video(folder, f"A title [{A}].mp4")
    path = tmp_path / "list.jsonl"
    rows = [
        {"url": WATCH + A, "start": 0.5, "end": 2, "caption": "a circle"},
        {"url": WATCH + A, "start": 1, "end": 2.5, "caption": "noise"},
        {"url": WATCH + B, "start": 0.5, "end": 2, "caption": "a dog"},
        {"url": WATCH + A, "start": 2, "end": 1, "caption": "back"},
    ]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    seen = preview(path, LocalVideos(folder))
    assert (seen.form, seen.spans, seen.refused, seen.missing) == ("a span a row", 2, 1, 1)
    assert seen.first_refused == (4, "it ends at 1 s, before it begins (2 s)")

    videos = LocalVideos(folder)
    imported = import_annotations(lake, path, "set-1", "r1", videos=videos, media=media)
    assert (imported.rows, imported.new, imported.bad, imported.missing, imported.sources_new) == (4, 2, 1, 1, 1)
    (source,) = lake.polars("sources").to_dicts()
    assert source["uri"].endswith(f"%5B{A}%5D.mp4")
    assert set(lake.polars("annotations")["source_id"]) == {source["source_id"]}
    told = lake.polars("attempts").sort("key").select("stage", "error_class", "message").rows()
    assert told == [
        ("annotations", "VideoNotFound", f"{WATCH}{B}: no file in {folder} is named after it"),
        ("annotations", "BadRow", "it ends at 1 s, before it begins (2 s)"),
    ]
    again = import_annotations(lake, path, "set-1", "r2", videos=LocalVideos(folder), media=media)
    assert (again.unchanged, again.new, again.sources_new) == (2, 0, 0)


def test_the_file_of_a_clip_is_needed_where_the_list_has_no_span(
    tmp_path: Path, new_lake: Callable[[Path], Lake], synthetic_video: Callable[..., Path]
) -> None:
    lake, media = new_lake(tmp_path / "lake"), Media(root=str(tmp_path / "media"))
    folder = tmp_path / "clips"
    folder.mkdir()
    synthetic_video(folder, f"{A}-Scene-0014.mp4")
    path = tmp_path / "vidgen.json"
    path.write_text(json.dumps([{"vid": f"{A}-Scene-0014", "caption": "a circle"}]))
    imported = import_annotations(lake, path, "vidgen", "r1")
    assert (imported.new, imported.bad) == (0, 1)
    assert "--videos" in lake.polars("attempts")["message"][0]
    imported = import_annotations(lake, path, "vidgen", "r2", videos=LocalVideos(folder), media=media)
    assert (imported.new, imported.bad, imported.missing) == (1, 0, 0)
    assert lake.polars("annotations").select("start_seconds", "end_seconds", "caption").rows() == [
        (0, None, "a circle")
    ]
    assert lake.polars("attempts").height == 0


def test_relative_paths_start_at_the_list(
    tmp_path: Path, new_lake: Callable[[Path], Lake], synthetic_video: Callable[..., Path]
) -> None:
    from resources.catalog.files import register

    lake, media = new_lake(tmp_path / "lake"), Media(root=str(tmp_path / "media"))
    (tmp_path / "set" / "train").mkdir(parents=True)
    synthetic_video(tmp_path / "set" / "train", "0001.mp4")
    (tmp_path / "set" / "metadata.csv").write_text("file_name,text\ntrain/0001.mp4,a circle\n")
    register(lake, media, [str(tmp_path / "set" / "train")], run_id="r0")
    imported = import_annotations(lake, tmp_path / "set" / "metadata.csv", "mine", "r1")
    assert (imported.new, imported.bad) == (1, 0)
