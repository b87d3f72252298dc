"""`internvid figure` as people call it: a picture or a page of clips, and what it says of those that it cannot show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest
from command import internvid, refused, succeeded
from PIL import Image

from resources.lake.schema import TABLES
from resources.lake.store import Lake

VIDEO = "1234567890abcdef"
CLIPS = [f"{VIDEO}_{number}_{number + 1}" for number in range(3)]
SPEECH = "Ένα σκυλί τρέχει \U00010600\U00010601"  # Linear A: no font of a usual machine has it
JPEG = cv2.imencode(".jpg", np.full((90, 160, 3), 90, np.uint8))[1].tobytes()


def add(lake: Lake, table: str, *rows: dict[str, Any]) -> None:
    schema = TABLES[table].arrow
    of_all = {"ingest_batch": "2026-01-02-0001", "video_id": VIDEO}
    of_all = {name: value for name, value in of_all.items() if name in schema.names}
    lake.upsert(
        table, pa.Table.from_pylist([dict.fromkeys(schema.names) | of_all | row for row in rows], schema=schema)
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Three clips, of which the last has no frames; the second says something in Greek and Linear A."""
    lake = Lake(root=str(tmp_path_factory.mktemp("figure") / "lake"))
    lake.create_tables()
    add(lake, "raw_videos", {"source": "file:///videos/street%20%5Bred%5D.mp4"})
    for number, clip in enumerate(CLIPS):
        span = {"start_seconds": 2.0 * number, "end_seconds": 2.0 * number + 2, "clip_index": number}
        add(lake, "clips", {"clip_id": clip, "boundary": "cut", "flags": []} | span)
        add(lake, "clip_captions", {"clip_id": clip, "caption": f"A dog runs <b>{number}</b>.", "model": "m"})
        for frame in range(5 if number < 2 else 0):
            about = {"clip_id": clip, "frame_id": f"{clip}_{frame}", "seconds": float(frame)}
            add(lake, "frames", about | {"is_middle": frame == 2, "jpeg": JPEG})
    add(lake, "transcripts", {"clip_id": CLIPS[1], "text": SPEECH, "language": "el", "english": "A dog runs."})
    return lake


def test_clips_come_in_the_order_asked_for_as_a_page_that_escapes_them(lake: Lake, tmp_path: Path):
    page = tmp_path / "new" / "page.html"
    assert "2 clips in" in succeeded(internvid("figure", CLIPS[1], CLIPS[0], "--out", page, lake=lake.root))
    html = page.read_text()
    assert html.index(CLIPS[1]) < html.index(f"{VIDEO}_0_1</div>")
    assert html.count("<img") == 6
    assert "&lt;" in html
    assert "<b>" not in html
    assert html.index(SPEECH) < html.rindex("A dog runs.")
    assert "street [red].mp4" in html


def test_a_picture_is_written_and_what_no_font_can_draw_is_named(lake: Lake, tmp_path: Path):
    done = internvid("figure", *CLIPS[:2], "--out", tmp_path / "a.png", lake=lake.root)
    succeeded(done)
    assert Image.open(tmp_path / "a.png").size[0] == 1200
    text = " ".join(done.stderr.split())
    assert f"{CLIPS[1]}: no font here has 2 of its characters (LINEAR)" in text
    assert CLIPS[0] not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "clips has no row with clip_id 'nothing'"),
        ([CLIPS[0], CLIPS[2]], f"clips have no frames: {CLIPS[2]}"),
        ([CLIPS[0], "--out", "figure.pdf"], "figure.pdf ends in neither .png nor .html"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_its_name(lake: Lake, arguments: list[str], message: str):
    assert message in refused(internvid("figure", *arguments, lake=lake.root))
