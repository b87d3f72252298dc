"""Videos and clips as browsers read them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import polars as pl
import pytest

LARGE = 5 << 30
PLACES = {0: b"first", (4 << 30) + 7: b"beyond", LARGE - 4: b"last"}


def _video(served) -> tuple[str, bytes]:
    row = served.lake.query("select video_id, path from raw_videos where source like '%harbour%'").to_pylist()[0]
    return f"/videos/{row['video_id']}/file", Path(row["path"]).read_bytes()


def test_a_video_is_given_as_a_whole_or_in_part(served):
    path, content = _video(served)
    whole = served.get(path)
    assert (whole.status, whole.body) == (200, content)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["accept-ranges"] == "bytes"
    size = len(content)
    for asked, start, end in (("0-", 0, size), ("0-0", 0, 1), ("100-299", 100, 300), ("-50", size - 50, size)):
        part = served.get(path, Range=f"bytes={asked}")
        assert (part.status, part.body) == (206, content[start:end])
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert part.headers["content-length"] == str(end - start)
    beyond = served.get(path, Range=f"bytes={size}-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    head = served.get(path, "HEAD", Range="bytes=0-9")
    assert (head.status, head.body, head.headers["content-length"]) == (206, b"", "10")
    tag = whole.headers["etag"]
    assert served.get(path, If_None_Match=tag).status == 304
    assert served.get(path, Range="bytes=0-9", If_Range=tag).status == 206
    assert served.get(path, Range="bytes=0-9", If_Range='"another"').body == content


def test_parts_that_are_read_at_once_are_the_video(served):
    path, content = _video(served)
    step = max(1, len(content) // 40)
    asked = [f"bytes={start}-{start + step - 1}" for start in range(0, len(content), step)]
    with ThreadPoolExecutor(12) as threads:
        parts = list(threads.map(lambda part: served.get(path, Range=part).body, asked))
    assert b"".join(parts) == content


def test_a_video_of_more_than_four_gigabytes_is_read_at_any_place(copied, serve, tmp_path):
    served = serve(copied)
    large = tmp_path / "large.mp4"
    with large.open("wb") as file:
        file.truncate(LARGE)
        for place, text in PLACES.items():
            file.seek(place)
            file.write(text[: LARGE - place])
    path, _ = _video(served)
    video_id = path.split("/")[2]
    rows = served.lake.polars("raw_videos").filter(pl.col("video_id") == video_id)
    changed = {"path": str(large), "size_bytes": LARGE, "provenance": "large"}
    served.lake.upsert("raw_videos", rows.with_columns(*(pl.lit(value).alias(key) for key, value in changed.items())))
    for place, text in PLACES.items():
        part = served.get(path, Range=f"bytes={place}-{min(place + len(text), LARGE) - 1}")
        assert (part.status, part.body) == (206, text[: LARGE - place])
        assert part.headers["content-range"].endswith(f"/{LARGE}")
    assert served.get(path, Range="bytes=-4").body == b"last"
    assert served.get(path, "HEAD").headers["content-length"] == str(LARGE)
    assert served.get(path, Range=f"bytes={LARGE}-").status == 416


def test_another_file_at_the_path_of_a_video_is_not_given(copied, serve, tmp_path):
    served = serve(copied)
    path, _ = _video(served)
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret")
    rows = served.lake.polars("raw_videos").with_columns(path=pl.lit(str(secret)), provenance=pl.lit("changed"))
    served.lake.upsert("raw_videos", rows)
    answer = served.get(path)
    assert answer.status == 404
    assert "has changed" in answer.text
    secret.unlink()
    assert "not where it was" in served.get(path).text


@pytest.mark.parametrize("video_codec", ["h264", "mpeg2video"], ids=["copied", "encoded"])
def test_a_clip_that_browsers_do_not_play_is_converted(copied, serve, video_codec):
    served = serve(copied)
    rows = served.lake.polars("raw_videos").with_columns(
        container=pl.lit("matroska,webm"), video_codec=pl.lit(video_codec), provenance=pl.lit("changed")
    )
    served.lake.upsert("raw_videos", rows)
    clip = served.lake.query("select * from clips where clip_index = 1 order by clip_id limit 1").to_pylist()[0]
    assert served.get(f"/videos/{clip['video_id']}/file").status == 404
    found = json.loads(served.get(f"/clips/{clip['clip_id']}/playable").body)
    assert found["src"] == f"/clips/{clip['clip_id']}/converted.mp4"
    assert found["end"] - found["start"] == pytest.approx(clip["end_seconds"] - clip["start_seconds"])
    file = served.get(found["src"])
    assert file.headers["content-type"] == "video/mp4"
    (copied / "clip.mp4").write_bytes(file.body)
    with av.open(str(copied / "clip.mp4")) as container:
        frames = [frame.time for frame in container.decode(video=0)]
    shown = [time for time in frames if found["start"] - 1e-3 <= time < found["end"] - 1e-3]
    assert len(shown) == clip["end_frame"] - clip["start_frame"]
    assert served.get(found["src"], Range="bytes=4-7").body == b"ftyp"


def test_a_clip_that_many_ask_for_is_converted_once_and_no_crowd_waits(copied, serve):
    served = serve(copied)
    rows = served.lake.polars("raw_videos").with_columns(container=pl.lit("avi"), provenance=pl.lit("changed"))
    served.lake.upsert("raw_videos", rows)
    path = served.lake.query("select clip_id from clips order by clip_id")["clip_id"][0].as_py()
    with ThreadPoolExecutor(30) as threads:
        answers = list(threads.map(lambda _: served.get(f"/clips/{path}/playable"), range(30)))
    by_status = {status: [each.body for each in answers if each.status == status] for status in (200, 503)}
    assert sum(map(len, by_status.values())) == 30
    assert len(set(by_status[200])) == 1
    assert all(b"Try again" in body for body in by_status[503])
    assert len(list(served.explorer.playback._folder.glob("*.mp4"))) == 1
