"""Every file of sql/statistics, over Lance tables small enough to count by hand, and over an empty lake."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import NormalDist
from typing import Any

import duckdb
import lance
import pyarrow as pa
import pytest

from resources.lake.schema import TABLES
from resources.lake.statements import header

TOTALS = sorted((Path(__file__).parents[2] / "sql" / "totals").glob("*.sql"))
STATISTICS = sorted((Path(__file__).parents[2] / "sql" / "statistics").glob("*.sql"))
NOON = datetime(2025, 1, 2, 12, tzinfo=UTC)
H264 = {"video_codec": "h264", "container": "mov", "pixel_format": "yuv420p"}

# Four videos: one whose header and packets say 400 s, of which 30 s were decoded; an upright one that states no
# duration, whose last clip ends at 900 s; one with neither duration nor clips; and a wide one of 200 s without clips.
LAKE: dict[str, list[dict[str, Any]]] = {
    "sources": [{"source_id": "s1", "written_at": NOON}],
    "raw_videos": [
        {
            "video_id": "v1",
            "source_id": "s1",
            "source": "file:///one.mp4",
            "width": 1280,
            "height": 720,
            "display_width": 1280,
        }
        | {
            "display_height": 720,
            "declared_seconds": 400.0,
            "duration_seconds": 400.0,
            "audio_codec": "aac",
            "written_at": NOON,
        }
        | H264,
        {"video_id": "v2", "source": "file:///two.webm", "width": 1280, "height": 720, "display_width": 720}
        | {"display_height": 1280, "video_codec": "vp9", "container": "matroska", "pixel_format": "yuv420p"},
        {"video_id": "v3", "source": "file:///three.mp4", "width": 320, "height": 240, "audio_codec": "aac"} | H264,
        {"video_id": "v4", "source": "file:///four.mp4", "width": 1280, "height": 536, "duration_seconds": 200.0}
        | H264,
    ],
    "clips": [
        {"clip_id": "c1", "video_id": "v1", "start_seconds": 0.0, "end_seconds": 2.0, "boundary": "start"}
        | {"cut_score": 0.0, "motion": 0.005, "stillness": 0.5, "pan_x": 0.01, "pan_y": 0.0, "zoom": 0.01}
        | {"moving_share": 0.25, "flags": ["still", "black"]},
        {"clip_id": "c2", "video_id": "v1", "start_seconds": 2.0, "end_seconds": 3.5, "boundary": "cut"}
        | {"cut_score": 30.0, "motion": 0.25, "stillness": 0.0, "pan_x": -0.5, "pan_y": 0.25, "zoom": 0.0}
        | {"moving_share": 0.5, "flags": []},
        {"clip_id": "c3", "video_id": "v1", "start_seconds": 10.0, "end_seconds": 30.0, "boundary": "cut"}
        | {"cut_score": 40.0, "motion": 2.0, "stillness": 0.0, "pan_x": 0.25, "pan_y": 0.0, "zoom": -1.0}
        | {"moving_share": math.nan, "flags": ["short_of_header"], "decode_errors": 7},
        {"clip_id": "c4", "video_id": "v2", "start_seconds": 0.0, "end_seconds": 100.0, "boundary": "start"}
        | {"cut_score": 0.0, "motion": math.nan, "pan_x": math.nan, "pan_y": 0.0, "zoom": 0.0, "flags": ["odd"]},
        {"clip_id": "c5", "video_id": "v2", "start_seconds": 890.0, "end_seconds": 900.0, "boundary": "wipe"}
        | {"cut_score": 20.0, "flags": []},
    ],
    "frames": [{"frame_id": "f1", "clip_id": "c1", "video_id": "v1", "jpeg": b"\xff\xd8", "written_at": NOON}],
    "frame_captions": [
        {"frame_caption_id": "f1/coarse", "scale": "coarse", "model": "A", "version": "A+1", "video_id": "v1"},
        {"frame_caption_id": "f2/coarse", "scale": "coarse", "model": "A", "version": "A+2", "video_id": "v2"},
        {"frame_caption_id": "f3/coarse", "scale": "coarse", "model": "B", "version": "B", "video_id": "v2"},
        {"frame_caption_id": "f1/fine", "scale": "fine", "model": None, "version": None, "video_id": "v1"},
    ],
    "clip_scores": [
        {"score_id": "c1/s", "clip_id": "c1", "score": "similarity", "model": "A", "value": 0.35, "written_at": NOON},
        {"score_id": "c2/s", "clip_id": "c2", "score": "similarity", "model": "A", "value": -0.05},
        {"score_id": "c3/s", "clip_id": "c3", "score": "similarity", "model": "A", "reason": "no caption"},
        {"score_id": "c1/a", "clip_id": "c1", "score": "aesthetic", "model": "B", "value": 4.59},
    ],
    "clip_captions": [
        {"clip_id": "c1", "video_id": "v1", "word_count": 9, "verbs": ["walk", "hold"], "nouns": ["dog"], "model": "S"}
        | {"caption": "A man walks a dog"},
        {"clip_id": "c2", "video_id": "v1", "word_count": 10, "verbs": ["hold"], "nouns": [], "model": "S"}
        | {"caption": "The Man holds"},
        {"clip_id": "c3", "video_id": "v1", "word_count": 31, "verbs": None, "nouns": ["dog", "cat"], "model": "S"}
        | {"caption": "Dogs, cats: 2 young dogs!"},
    ],
    "transcripts": [
        {"clip_id": "c1", "video_id": "v1", "text": "Hello dogs, hello", "language": "en"},
        {"clip_id": "c2", "video_id": "v1", "text": "我们看3D电影", "language": "zh"},
        {"clip_id": "c3", "video_id": "v1", "text": "", "language": None},
        {"clip_id": "c4", "video_id": "v2", "text": "Guten Tag", "language": None},
    ],
    "downloads": [{"source_id": "s1", "categories": ["Gaming", "Sports", "Gaming"]}],
    "subset_snapshots": [
        {"subset": "flt", "snapshot": "corpus-1"}
        | {
            "waterfall": json.dumps(
                [
                    {"condition": "clips", "meaning": "every clip", "removed": 0, "left": 4},
                    {"condition": "similar", "meaning": "0.3 at least", "removed": 3, "left": 1},
                ]
            )
        }
    ],
    "attempts": [
        {"attempt_id": "clips/1", "stage": "clips", "key": "v8", "label": "a.mp4", "outcome": "failed"}
        | {"error_class": "DecodeError", "message": "first", "tries": 1, "next_try_at": NOON, "written_at": NOON},
        {"attempt_id": "clips/2", "stage": "clips", "key": "v9", "label": "b.mp4", "outcome": "failed"}
        | {"error_class": "DecodeError", "message": "then", "tries": 3, "written_at": NOON + timedelta(hours=1)},
        {"attempt_id": "raw/1", "stage": "raw_videos", "key": "s9", "label": "c.mp4", "outcome": "skipped"}
        | {"error_class": "Duplicate", "message": "same as v1", "tries": 1, "written_at": NOON},
    ],
    # Three clips of ten, of two strata; one was judged twice, and one judgement is of no sample.
    "review_samples": [
        {"sample_clip_id": f"{clip}/r", "sample": "r", "kind": "review", "clip_id": clip, "population_clips": 10}
        | {"stratum": stratum, "stratum_clips": clips}
        for clip, stratum, clips in (("c1", "short", 8), ("c2", "short", 8), ("c3", "long", 2))
    ]
    + [
        {"sample_clip_id": f"{clip}/ab", "sample": "ab", "kind": "comparison", "clip_id": clip, "stratum": "all"}
        | {"stratum_clips": 9, "population_clips": 9}
        for clip in ("c1", "c2", "c3")
    ],
    "judgements": [
        {"judgement_id": f"{clip}/{number}", "sample": sample, "clip_id": clip, "what": "caption", "verdict": verdict}
        | {"model": "A", "judge": "ann", "written_at": NOON + timedelta(minutes=number)}
        for number, (sample, clip, verdict) in enumerate(
            (
                ("r", "c1", "wrong"),
                ("r", "c1", "good"),
                ("r", "c2", "wrong"),
                ("r", "c3", "partly"),
                (None, "c4", "good"),
            )
        )
    ]
    + [
        {"judgement_id": f"{clip}/ab", "sample": "ab", "clip_id": clip, "what": "comparison", "verdict": verdict}
        | {"model": "A", "other_model": "B", "shown_first": "a", "judge": "ann", "written_at": NOON}
        for clip, verdict in (("c1", "b"), ("c2", "a"), ("c3", "equal"))
    ]
    + [
        {"judgement_id": "c1/safe", "sample": "r", "clip_id": "c1", "what": "safety", "verdict": "safe", "judge": "ann"}
        | {"written_at": NOON}
    ],
    # Clips in two runs; captions by a model, and by none.
    "costs": [
        {"cost_id": "1/clips", "stage": "clips", "model": "", "units": 3, "wall_seconds": 2.0, "frames": 300}
        | {"written_at": NOON},
        {"cost_id": "2/clips", "stage": "clips", "model": "", "units": 1, "wall_seconds": 1.0, "frames": 60}
        | {"written_at": NOON + timedelta(hours=2)},
        {"cost_id": "1/c", "stage": "frame_captions", "model": "", "units": 5, "wall_seconds": 4.0}
        | {"written_at": NOON + timedelta(hours=1)},
        {"cost_id": "1/c/A", "stage": "frame_captions", "model": "A", "units": 5, "model_seconds": 2.5, "frames": 5}
        | {"prompt_tokens": 10, "output_tokens": 40, "device": "cuda:0", "written_at": NOON + timedelta(hours=1)},
        {"cost_id": "1/c/none", "stage": "frame_captions", "model": "none", "units": 5, "model_seconds": 0.0}
        | {"frames": 0, "written_at": NOON + timedelta(hours=1)},
    ],
}

GENDERS = [
    "man",
    "men",
    "woman",
    "women",
    "boy",
    "boys",
    "girl",
    "girls",
    "male",
    "female",
    "lady",
    "ladies",
    "guy",
    "guys",
    "gentleman",
    "gentlemen",
]
AGES = [
    "baby",
    "babies",
    "toddler",
    "toddlers",
    "child",
    "children",
    "kid",
    "kids",
    "teenager",
    "teenagers",
    "young",
    "adult",
    "adults",
    "old",
    "older",
    "elderly",
]
ORIGINS = [
    "african",
    "american",
    "arab",
    "asian",
    "caucasian",
    "chinese",
    "european",
    "hispanic",
    "indian",
    "japanese",
    "korean",
    "latina",
    "latino",
]


def wilson(share: float, judged: float) -> tuple[float, float]:
    """The 95 % interval of a share as its textbook form has it: the shares that are 1.96 deviations from this one."""
    # (share - p)^2 = z^2 p (1 - p) / judged is a quadratic equation for p.
    z_squared_over_n = NormalDist().inv_cdf(0.975) ** 2 / judged
    a, b, c = 1 + z_squared_over_n, -(2 * share + z_squared_over_n), share**2
    root = math.sqrt(b * b - 4 * a * c)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


# Weights 4, 4 and 2: they count as 10^2 / 36 judgements, more where 3 of 10 clips are all that were judged.
JUDGED = (3, 0.4, *wilson(0.4, 100 / 36 / 0.7), 0.2, 10, 1.0)

EXPECTED: dict[str, list[tuple]] = {
    "judged_precision": [
        ("caption", None, "r", *JUDGED),
        ("caption", "A", "r", *JUDGED),
        ("safety", None, "r", 1, 1.0, *wilson(1, 1 / (1 - 1 / 8)), None, 8, 0.8),
    ],
    "judged_comparisons": [
        ("ab", "A", "B", 3, 0.5, *wilson(0.5, 36 / 18 / (1 - 3 / 9)), 1 / 3, 0.5),
    ],
    "table_1": [
        (
            *(4, 5, 3, 1130 / 5, 133.5 / 5, 50 / 3, 1130 / 3600, 133.5 / 3600, 0.75, 1),
            *(7_100_000, 234_000_000, 11.7, 17.6, 760_300.0, 0.85),
        )
    ],
    "figure_3b_video_durations": [
        (1, "<5 min", 2, 2 / 3, 230 / 3600, 0.49),
        (2, "5–10 min", 0, 0.0, 0.0, 0.26),
        (3, "10–15 min", 0, 0.0, 0.0, None),
        (4, "15–20 min", 1, 1 / 3, 900 / 3600, None),
        (5, ">20 min", 0, 0.0, 0.0, 0.08),
    ],
    "figure_4a_clip_durations": [
        (1, "0–2 s", 1, 0.2, 0.2, None, None),
        (2, "2–4 s", 1, 0.2, 0.4, None, None),
        (3, "4–10 s", 0, 0.0, 0.4, None, 0.85),
        (4, "10–20 s", 1, 0.2, 0.6, None, None),
        (5, ">20 s", 2, 0.4, 1.0, None, 1.0),
    ],
    "figure_4b_caption_words": [
        (1, "0–10", 1, 1 / 3, 1 / 3, 0.34, 0.34),
        (2, "10–20", 1, 1 / 3, 2 / 3, 0.55, 0.89),
        (3, "20–30", 0, 0.0, 2 / 3, None, None),
        (4, ">30", 1, 1 / 3, 1.0, None, 1.0),
    ],
    "figure_4c_scores": [
        ("aesthetic", "B", 4.5, 1, 1.0),
        ("similarity", "A", -0.1, 1, 0.5),
        ("similarity", "A", 0.3, 1, 0.5),
    ],
    "actionness": [(3, 2, 2, 1.0, 1.0, 212_155, 109_485)],
    "top_verbs": [("hold", 2, 2 / 3), ("walk", 1, 1 / 3)],
    "top_nouns": [("dog", 2, 2 / 3), ("cat", 1, 1 / 3)],
    "resolutions": [
        (1, "2160p or more", 0, 0.0, None),
        (2, "1440p", 0, 0.0, None),
        (3, "1080p", 0, 0.0, None),
        (4, "720p", 3, 0.75, 0.85),
        (5, "480p", 0, 0.0, None),
        (6, "360p", 0, 0.0, None),
        (7, "less than 360p", 1, 0.25, 0.0),
    ],
    "codecs": [
        ("video", "h264", 3, 0.75),
        ("video", "vp9", 1, 0.25),
        ("audio", "aac", 2, 0.5),
        ("audio", "none", 2, 0.5),
        ("container", "mov", 3, 0.75),
        ("container", "matroska", 1, 0.25),
        ("pixel format", "yuv420p", 4, 1.0),
    ],
    "clip_flags": [
        ("none", 2, 0.4, 11.5 / 3600),
        ("too_short", 0, 0.0, 0.0),
        ("too_long", 0, 0.0, 0.0),
        ("still", 1, 0.2, 2 / 3600),
        ("wild", 0, 0.0, 0.0),
        ("black", 1, 0.2, 2 / 3600),
        ("interlaced", 0, 0.0, 0.0),
        ("short_of_header", 1, 0.2, 20 / 3600),
        ("odd", 1, 0.2, 100 / 3600),
    ],
    "boundaries": [
        ("start", 2, 0.4, None),
        ("cut", 2, 0.4, 35.0),
        ("fade", 0, 0.0, None),
        ("dissolve", 0, 0.0, None),
        ("split", 0, 0.0, None),
        ("wipe", 1, 0.2, 20.0),
    ],
    "motion": [
        (1, "<0.01", 1, 1 / 3, 0.5),
        (2, "0.01–0.03", 0, 0.0, None),
        (3, "0.03–0.1", 0, 0.0, None),
        (4, "0.1–0.3", 1, 1 / 3, 0.0),
        (5, "0.3–1", 0, 0.0, None),
        (6, ">1", 1, 1 / 3, 0.0),
    ],
    "camera": [
        (1, "still", 1, 0.2, 0.25),
        (2, "pans left", 1, 0.2, 0.5),
        (3, "pans right", 0, 0.0, None),
        (4, "tilts up", 0, 0.0, None),
        (5, "tilts down", 0, 0.0, None),
        (6, "zooms in", 0, 0.0, None),
        (7, "zooms out", 1, 0.2, None),
        (8, "not measured", 2, 0.4, None),
    ],
    "attempts_by_stage": [
        ("clips", "failed", "DecodeError", 2, 4, 1, NOON + timedelta(hours=1), "then"),
        ("raw_videos", "skipped", "Duplicate", 1, 1, 0, NOON, "same as v1"),
    ],
    "failures": [
        ("clips", "b.mp4", "v9", "DecodeError", "then", 3, None, NOON + timedelta(hours=1), None),
        ("clips", "a.mp4", "v8", "DecodeError", "first", 1, NOON, NOON, None),
    ],
    "costs_by_stage": [
        ("clips", "", 4, 3.0, None, 120.0, None, None, None),
        ("frame_captions", "", 5, 4.0, None, None, None, None, None),
        ("frame_captions", "A", 5, None, 2.5, 2.0, 10, 40, "cuda:0"),
    ],
    "captions_by_model": [
        ("clip", "S", 3, 1.0, 1, 0),
        ("coarse", "A", 2, 2 / 3, 2, 2),
        ("coarse", "B", 1, 1 / 3, 1, 1),
        ("fine", "unknown", 1, 1.0, 1, 0),
    ],
    "duplicates": [("bytes", 0, 0, None, None), ("packets", 0, 0, None, None), ("perceptual", 0, 0, None, None)],
    "sources_by_state": [(None, "done", None, None, 1, 1.0)],
    "figure_3a_languages": [("no speech", 2, 0.5, False), ("en", 1, 0.25, True), ("unknown", 1, 0.25, False)],
    "figure_3c_categories": [
        ("none stated", 3, 0.75, False),
        ("Gaming", 1, 0.25, True),
        ("Sports", 1, 0.25, True),
    ],
    "clip_duration_histogram": [(seconds, 1, 0.2) for seconds in (1, 2, 10, 20, 100)],
    "caption_length_histogram": [(words, 1, 1 / 3) for words in (9, 10, 31)],
    "figure_15_caption_words": [
        ("man", None, 2, 2 / 3),
        *(
            (word, "noun" if word == "dog" else None, 1, 1 / 3)
            for word in ["2", "a", "cats", "dog", "dogs", "holds", "the", "walks", "young"]
        ),
    ],
    "figure_16_spoken_words": [
        *(("zh", word, 1) for word in ("3d", "们看", "我们", "电影")),
        *(("en", word, 1) for word in ("dogs", "hello")),
    ],
    "demographic_words": [
        *(("gender", word, 2 * (word == "man"), 2 / 3 * (word == "man")) for word in GENDERS),
        *(("age", word, 1 * (word == "young"), 1 / 3 * (word == "young")) for word in AGES),
        *(("origin", word, 0, 0.0) for word in ORIGINS),
    ],
    "rarefaction": [(1, 1.0, 1.0), (2, 5 / 3, 5 / 3), (3, 2.0, 2.0)],
    "growth": [(date(2025, 1, 2), 1, 1, 3, 3, 30 / 3600, 1, 3, 3, 30 / 3600)],
    "costs_per_kept_clip": [
        ("clips", 3 / 3600, 2, 1.5, None, None, None),
        ("frame_captions", 4 / 3600, 2, 2.0, None, 25.0, None),
    ],
    "subset_waterfalls": [
        ("flt", "corpus-1", 1, "clips", "every clip", 0, 4, 1.0),
        ("flt", "corpus-1", 2, "similar", "0.3 at least", 3, 1, 0.25),
    ],
    "link_rot": [],
    "queries": [],
    "videos_by_clips": [
        ("v1", "file:///one.mp4", 3, 30.0, 23.5 / 3, 1.5, 20.0),
        ("v2", "file:///two.webm", 2, 900.0, 55.0, 10.0, 100.0),
        ("v3", "file:///three.mp4", 0, None, None, None, None),
        ("v4", "file:///four.mp4", 0, 200.0, None, None, None),
    ],
    "videos_short_of_header": [("file:///one.mp4", 400.0, 400.0, 30.0, 0.075, 7)],
    "table_sizes": [
        ("sources", 1, NOON),
        ("raw_videos", 4, NOON),
        ("clips", 5, None),
        ("frames", 1, NOON),
        ("frame_captions", 4, None),
        ("clip_captions", 3, None),
        ("clip_embeddings", 0, None),
        ("caption_embeddings", 0, None),
        ("clip_scores", 4, NOON),
        ("attempts", 3, NOON + timedelta(hours=1)),
    ],
}


def arrow_tables(rows: Mapping[str, list[dict[str, Any]]]) -> dict[str, pa.Table]:
    """Makes every table of the schema, all in one batch; missing values are null. All rows need a key."""
    return {
        name: pa.Table.from_pylist(
            [dict.fromkeys(table.column_names) | {table.partition: "batch"} | row for row in rows.get(name, [])],
            schema=table.arrow,
        )
        for name, table in TABLES.items()
    }


def database_over(tables: Mapping[str, Any]) -> duckdb.DuckDBPyConnection:
    """Returns a database with the tables by name, as the mart's asset makes one."""
    database = duckdb.connect()
    database.execute("set timezone = 'UTC'")
    for name, table in tables.items():
        database.register(name, table)
    for file in TOTALS:
        database.execute(f"create temp view {file.stem} as {file.read_text()}")
    return database


def tuples(rows: duckdb.DuckDBPyRelation) -> list[tuple]:
    return [tuple(row.values()) for row in rows.to_arrow_table().to_pylist()]


@pytest.fixture(scope="module")
def small_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """LAKE in real Lance tables."""
    root = tmp_path_factory.mktemp("lake")
    with database_over(
        {name: lance.write_dataset(table, root / f"{name}.lance") for name, table in arrow_tables(LAKE).items()}
    ) as database:
        yield database


@pytest.fixture(scope="module")
def empty_lake() -> Iterator[duckdb.DuckDBPyConnection]:
    with database_over(arrow_tables({})) as database:
        yield database


def test_every_file_has_an_expectation_here():
    assert {file.stem for file in STATISTICS} == set(EXPECTED) | {"table_1_published"}


@pytest.mark.parametrize("file", STATISTICS, ids=lambda file: file.stem)
def test_a_file_is_one_statement_under_a_title(file: Path):
    text = file.read_text()
    title = header(f"statistics/{file.stem}").title
    assert not title.endswith(".")
    assert len(title) <= 90
    assert len(duckdb.extract_statements(text)) == 1


@pytest.mark.parametrize("name", EXPECTED)
def test_the_small_lake_is_counted_as_by_hand(name: str, small_lake: duckdb.DuckDBPyConnection):
    query = next(file for file in STATISTICS if file.stem == name).read_text()
    expected = [
        tuple(pytest.approx(value, rel=1e-9) if isinstance(value, float) else value for value in row)
        for row in EXPECTED[name]
    ]
    assert tuples(small_lake.sql(query)) == expected


@pytest.mark.parametrize("file", STATISTICS, ids=lambda file: file.stem)
def test_an_empty_lake_gives_the_same_columns_and_counts_of_zero(
    file: Path, small_lake: duckdb.DuckDBPyConnection, empty_lake: duckdb.DuckDBPyConnection
):
    full = small_lake.sql(file.read_text())
    empty = empty_lake.sql(file.read_text()).to_arrow_table()

    assert empty.schema == full.to_arrow_table().schema
    counts = {
        "videos",
        "clips",
        "captions",
        "inputs",
        "row_count",
        "unique_verbs",
        "unique_nouns",
        "pairs",
        "videos_left_out",
    }
    if file.stem != "table_1_published":
        for name in counts & set(empty.column_names):
            assert set(empty[name].to_pylist()) <= {0}
    for name in ("share", "share_up_to_here"):
        if name in empty.column_names:
            assert set(empty[name].to_pylist()) <= {None}


def test_the_published_rows_agree_with_table_1_s_constants(empty_lake: duckdb.DuckDBPyConnection):
    folder = STATISTICS[0].parent
    ours = tuples(empty_lake.sql((folder / "table_1.sql").read_text()))[0]
    published = empty_lake.sql((folder / "table_1_published.sql").read_text()).to_arrow_table().to_pylist()
    internvid = published[-1]

    assert [row["dataset"] for row in published if row["clips"] > 100_000_000] == [
        "HowTo100M",
        "HD-VILA-100M",
        "YT-Temporal-180M",
        "InternVid",
    ]
    assert ours[10:15] == tuple(
        internvid[name] for name in ("videos", "clips", "clip_seconds", "caption_words", "video_hours")
    )
    assert internvid["video_hours"] * 3600 / internvid["clips"] == pytest.approx(internvid["clip_seconds"], abs=0.05)
