"""`internvid why` as people call it: the story of a clip, of a video, and of what did not become one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from command import Done, internvid

from assets.stages import ingest_stages
from resources.catalog.web import source_id_of
from resources.corpus.forgetting.forgetting import url_of
from resources.corpus.lineage import story
from resources.incremental.provenance import digest
from resources.lake.schema import TABLES
from resources.lake.store import Lake

WHEN = datetime(2026, 1, 2, 12, tzinfo=UTC)
URL = "https://www.youtube.com/watch?v=aaaaaaaaaa1"
OTHER, THIRD, BROKEN = f"{URL[:-1]}2", f"{URL[:-1]}3", "file:///videos/broken.mp4"
SOURCE = source_id_of(URL)
VIDEO, CLIP = "1234567890abcdef", "1234567890abcdef_0_10"
SHA256 = f"{VIDEO}{'0' * 48}"
LATER = f"{CLIP}0"  # its id begins with the other's


def add(lake: Lake, table: str, *rows: dict[str, Any]) -> None:
    schema = TABLES[table].arrow
    made = {"version": f"{table}/1", "run_id": f"run of {table}", "provenance": "p", "unit_rows": 1, "written_at": WHEN}
    made = {name: value for name, value in made.items() if name in schema.names}
    lake.upsert(table, pa.Table.from_pylist([dict.fromkeys(schema.names) | made | row for row in rows], schema=schema))


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(root=str(tmp_path_factory.mktemp("why") / "lake"))
    lake.create_tables()
    web = {"kind": "web", "site": "youtube.com", "ingest_batch": "2026-01-02-0001"}
    add(
        lake,
        "sources",
        web
        | {"source_id": SOURCE, "uri": URL, "site_key": "aaaaaaaaaa1", "found_by": "f1"}
        | {"title": "Herons [bold]", "channel": "Weirs", "query_words": "heron fishing", "first_seen_at": WHEN},
        web | {"source_id": source_id_of(OTHER), "uri": OTHER},
        web | {"source_id": source_id_of(THIRD), "uri": THIRD},
        {"source_id": digest(BROKEN)[:16], "uri": BROKEN, "kind": "file"},
    )
    add(lake, "feeds", {"feed_id": "f1", "address": "ytsearch:heron fishing"})
    source = {"source_id": SOURCE}
    add(
        lake,
        "downloads",
        source
        | {"url": URL, "extractor": "youtube", "format": "136+140", "licence": "CC-BY", "downloader": "yt-dlp 2026"}
        | {"fetched_at": WHEN},
    )
    add(
        lake,
        "source_checks",
        source
        | {"check_id": f"{SOURCE}/1", "checked_at": WHEN, "is_available": False}
        | {"error_class": "Removed", "message": "Video unavailable"},
    )
    size = {"display_width": 640, "display_height": 360, "size_bytes": 12_000, "duration_seconds": 20.0}
    add(
        lake,
        "raw_videos",
        source
        | size
        | {"video_id": VIDEO, "source": URL, "path": "/media/a.mp4", "sha256": SHA256}
        | {"container": "mp4", "video_codec": "h264"},
    )
    for clip in (CLIP, LATER):
        of_clip = {"clip_id": clip, "video_id": VIDEO}
        add(
            lake,
            "clips",
            of_clip
            | {"start_seconds": 0.0, "end_seconds": 2.5, "clip_index": 0, "boundary": "cut"}
            | {"annotation_id": "them/1" if clip == CLIP else None, "flags": ["still"]},
        )
        add(
            lake,
            "frame_captions",
            of_clip
            | {"frame_caption_id": f"{clip}_5/fine", "scale": "fine", "seconds": 1.0}
            | {"caption": f"frame of {clip}", "model": "seer"},
        )
        add(lake, "clip_captions", of_clip | {"caption": f"A heron in {clip}.", "model": "merger"})
        add(lake, "transcripts", of_clip | {"text": f"words of {clip}", "language": "en"})
        add(
            lake,
            "clip_scores",
            of_clip | {"score_id": f"{clip}/aesthetics", "score": "aesthetics", "value": 5.25} | {"model": "taste"},
        )
        add(
            lake,
            "subsets",
            of_clip
            | {"subset_clip_id": f"flt/{clip}", "subset": "flt", "split": "train"}
            | {"weight": 0.5, "reason": "similar enough"},
        )
    add(
        lake,
        "annotations",
        source
        | {"annotation_id": "them/1", "dataset": "them", "start_seconds": 0.0}
        | {"end_seconds": 2.5, "caption": "theirs"},
    )
    add(
        lake,
        "duplicates",
        {"pair_id": f"{VIDEO}/2", "video_id": VIDEO, "other_video_id": "2", "kind": "perceptual"}
        | {"similarity": 0.97, "offset_seconds": 1.5, "kept": VIDEO, "why_kept": "it is larger"},
    )
    add(lake, "subset_snapshots", {"subset": "flt", "snapshot": "corpus-1"})
    add(lake, "checkpoints", {"checkpoint_id": "tiny-flt", "model": "tiny|flt", "subset": "flt", "snapshot": "gone"})
    tries = {"partition": "2026-01-02-0001", "error_class": "RateLimited", "tries": 2}
    add(
        lake,
        "attempts",
        tries
        | {"attempt_id": f"downloads/{source_id_of(OTHER)}", "stage": "downloads", "key": source_id_of(OTHER)}
        | {"outcome": "waiting", "message": "HTTP Error 429", "next_try_at": WHEN, "related_key": "youtube.com"},
        tries
        | {"attempt_id": f"raw_videos/{digest(BROKEN)[:16]}", "stage": "raw_videos", "key": digest(BROKEN)[:16]}
        | {"outcome": "failed", "error_class": "InvalidData", "message": "moov atom not found"},
        tries
        | {"attempt_id": f"clip_embeddings/{CLIP}", "stage": "clip_embeddings", "key": CLIP}
        | {"outcome": "failed", "error_class": "OutOfMemory", "message": "no room", "next_try_at": WHEN},
        tries
        | {"attempt_id": f"clip_embeddings/{LATER}", "stage": "clip_embeddings", "key": LATER}
        | {"outcome": "failed", "message": "of the other clip"},
    )
    add(
        lake,
        "tombstones",
        {"tombstone_id": "url:https://example.org/x", "kind": "url", "state": "done"}
        | {"value": "https://example.org/x", "reason": "asked to", "asked_at": WHEN},
    )
    return lake


def why(lake: Lake, *arguments: str) -> Done:
    return internvid("why", *arguments, lake=lake.root, COLUMNS="160")


def told(lake: Lake, *arguments: str) -> str:
    done = why(lake, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def test_a_clip_s_whole_lineage_stands_on_one_screen(lake: Lake):
    text = told(lake, CLIP)
    assert len(text.splitlines()) <= 50
    line = in_one_line(text)
    for part in (
        f"{CLIP}: 0.000 to 2.500 s, number 0, begins with a cut, flags: still",
        f"{URL} ({SOURCE}, batch 2026-01-02-0001)",
        "ytsearch:heron fishing, by the words 'heron fishing', first seen 2026-01-02 12:00:00",
        "Herons [bold], Weirs",
        "2026-01-02 12:00:00: not available: Removed: Video unavailable",
        "136+140, CC-BY (youtube, yt-dlp 2026, 2026-01-02 12:00:00)",
        "/media/a.mp4: 12.0 kB, 640x360, 20.000 s, mp4, h264, no sound",
        f"{SHA256} (video {VIDEO})",
        "│ clips │ 1 │ clips/1 │ │ run of c │ 2026-01-02 12:00:00 │",
        "│ clip_captions │ 1 │ clip_captions/1 │ merger │",
        "│ clip_embeddings │ │ failed: OutOfMemory: no",
        f"clip_embeddings {CLIP}: failed: OutOfMemory: no room (2 tries; tried again at 2026-01-02 12:00 UTC)",
        "│ fingerprints │ │ not yet │",
        f"captions: A heron in {CLIP}. (merger)",
        f"of frames: fine 1.0 s: frame of {CLIP}",
        f"transcripts: words of {CLIP} (en)",
        f"scores: aesthetics 5.25 (taste, {CLIP})",
        "imported as: them: 0.000 s to 2.500 s: theirs",
        f"copies: 2 (gone): perceptual, 97% the same; kept is {VIDEO}, it is larger",
        "subsets: flt (corpus-1): 1 clips in train, weight 0.5, similar enough",
        "models: tiny-flt: unknown: gone and the training's index were removed",
    ):
        assert part in line, f"{part}\n{text}"
    assert LATER not in text
    assert "of the other clip" not in text


@pytest.mark.parametrize("word", [VIDEO, URL, "https://youtu.be/aaaaaaaaaa1", "aaaaaaaaaa1", "/media/a.mp4"])
def test_a_video_is_found_by_any_of_its_names_and_told_with_all_its_clips(lake: Lake, word: str):
    found = story(lake, ingest_stages(), word, url_of(word))
    assert (found["source_id"], found["video_id"], found["clip_id"]) == (SOURCE, VIDEO, None)
    assert [row["clip_id"] for row in found["captions"]] == [CLIP, LATER]
    assert {stage["table"]: stage["rows"] for stage in found["stages"] if stage["rows"]} == {
        **dict.fromkeys(("downloads", "raw_videos"), 1),
        **dict.fromkeys(("clips", "frame_captions", "clip_captions", "transcripts", "clip_scores"), 2),
    }
    assert [(row["subset"], row["clips"]) for row in found["subsets"]] == [("flt", 2)]
    assert len(found["attempts"]) == 2


def test_what_is_missing_is_told_with_the_reason(lake: Lake):
    waiting = in_one_line(told(lake, source_id_of(OTHER)))
    reason = "waiting: RateLimited: HTTP Error 429 (the site is in a cooldown until 2026-01-02 12:00 UTC)"
    assert f"download not downloaded yet: {reason}" in waiting
    assert "file none: not yet" in waiting
    states = {stage["table"]: stage["state"] for stage in story(lake, ingest_stages(), source_id_of(THIRD))["stages"]}
    assert states["downloads"] == "not yet"
    states = {
        stage["table"]: stage["state"]
        for stage in story(lake, ingest_stages(), "broken", "file:///videos/broken.mp4")["stages"]
    }
    why_not = "(2 tries; not tried again by itself: `internvid retry --all`)"
    assert states["downloads"] == "nothing to do: it is a file"
    assert states["raw_videos"] == f"failed: InvalidData: moov atom not found {why_not}"


def test_for_programs_it_is_told_as_json(lake: Lake):
    found = json.loads(told(lake, CLIP, "--format", "json"))
    assert found["download"]["licence"] == "CC-BY"
    assert found["clip"]["written_at"] == WHEN.isoformat()
    assert found["scores"] == [
        {"score_id": f"{CLIP}/aesthetics", "clip_id": CLIP, "score": "aesthetics", "value": 5.25}
        | {"reason": None, "model": "taste"}
    ]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("nobody", "nothing here is called 'nobody'"),
        ("https://example.org/x", "this address was forgotten on 2026-01-02: asked to"),
    ],
)
def test_what_is_not_here_is_told_in_words(lake: Lake, word: str, said: str):
    done = why(lake, word)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())
