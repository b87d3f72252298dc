"""Statistics of 10,000 clips are what Polars computes of the same rows, in another way."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest
from test_statistics import STATISTICS, arrow_tables, database_over

CLIPS, VIDEOS = 10_000, 500
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
NOUNS = ["dog", "street", "kitchen", "man", "woman", "wave"]
VERBS = ["run", "cook", "turn", "hold"]


def made_rows() -> dict[str, list[dict[str, Any]]]:
    """Rows of every table that the statistics read, at random but always the same."""
    chance = random.Random(0)
    videos = [f"v{number:03d}" for number in range(VIDEOS)]
    clips, captions, transcripts, scores = [], [], [], []
    for number in range(CLIPS):
        clip = {"clip_id": f"c{number:05d}", "video_id": videos[number % VIDEOS]}
        start = chance.uniform(0, 900)
        clips.append(
            clip
            | {"start_seconds": start, "end_seconds": start + chance.choice([0.5, 3.0, 9.99, 15.0, 21.5, 200.0])}
            | {"boundary": chance.choice(["start", "cut", "fade"]), "motion": chance.choice([0.005, 0.05, 0.5, None])}
            | {"flags": chance.choice([[], [], ["still"], ["still", "black"]]), "cut_score": 30.0}
            | {"annotation_id": chance.choice([None, None, None, "a"]), "pan_x": chance.choice([0.0, 0.5, -0.5])}
            | {"pan_y": 0.0, "zoom": 0.0, "moving_share": 0.25, "stillness": 0.5}
        )
        nouns, verbs = chance.sample(NOUNS, chance.randint(0, 3)), chance.sample(VERBS, chance.randint(0, 2))
        words = ["A", *nouns, *verbs, chance.choice(["young", "Red", "a"]), f"word{int(chance.paretovariate(1)):d}"]
        captions.append(
            clip | {"caption": " ".join(words) + ".", "word_count": len(words), "nouns": nouns, "verbs": verbs}
        )
        if number % 3 == 0:
            language = chance.choice(["en", "de", "ru", None])
            transcripts.append(clip | {"language": language, "text": " ".join(chance.choices(NOUNS, k=4)) + "!"})
        scores.append({"score_id": clip["clip_id"], "score": "aesthetics", "model": "m", "value": chance.uniform(0, 9)})
    categories = [["Gaming"], ["Sports", "Gaming"], ["Music"], None]
    sizes = [(1280, 720), (640, 360), (1920, 1080), (320, 240)]
    return {
        "sources": [
            {"source_id": f"s{number}", "kind": "file", "first_seen_at": NOON + timedelta(hours=7 * number)}
            for number in range(VIDEOS + 3)
        ],
        "downloads": [
            {"source_id": f"s{number}", "categories": chance.choice(categories)} for number in range(0, VIDEOS, 2)
        ],
        "raw_videos": [
            {"video_id": video, "source_id": f"s{number}", "duration_seconds": chance.choice([None, 100.0, 2_000.0])}
            | dict(zip(("width", "height"), chance.choice(sizes), strict=True))
            | {"video_codec": chance.choice(["h264", "vp9"]), "audio_codec": None, "container": "mov"}
            for number, video in enumerate([*videos, "v-without-clips"])
        ],
        "clips": clips,
        "clip_captions": captions,
        "transcripts": transcripts,
        "clip_scores": scores,
        "attempts": [
            {"attempt_id": str(number), "stage": "clips", "key": str(number), "outcome": "failed", "tries": 2}
            | {"error_class": chance.choice(["DecodeError", "TooLarge"]), "written_at": NOON}
            for number in range(200)
        ],
        "costs": [
            {"cost_id": str(number), "stage": "clips", "model": "", "wall_seconds": 1.5, "processor_seconds": 2.5}
            | {"bytes_written": 1_000, "written_at": NOON}
            for number in range(40)
        ],
    }


@pytest.fixture(scope="module")
def lake() -> tuple[duckdb.DuckDBPyConnection, dict[str, pl.DataFrame]]:
    tables = arrow_tables(made_rows())
    return database_over(tables), {name: pl.from_arrow(table) for name, table in tables.items()}


def answers(name: str, lake: tuple[duckdb.DuckDBPyConnection, Any]) -> list[dict[str, Any]]:
    (file,) = (file for file in STATISTICS if file.stem == name)
    return lake[0].sql(file.read_text()).to_arrow_table().to_pylist()


def counts_of(rows: list[dict[str, Any]], label: str, number: str) -> dict[Any, int]:
    """Returns the numbers by label, without those that are nought."""
    return {row[label]: row[number] for row in rows if row[number]}


def test_table_1(lake):
    (row,) = answers("table_1", lake)
    clips, videos, captions = (lake[1][name] for name in ("clips", "raw_videos", "clip_captions"))
    cut = clips.filter(pl.col("annotation_id").is_null())
    of_videos = videos.join(cut.group_by("video_id").agg(pl.col("end_seconds").max()), "video_id", "left")
    seconds = of_videos.select(pl.coalesce("end_seconds", "duration_seconds")).to_series()
    of_cut = captions.join(cut.select("clip_id"), "clip_id")
    assert row["videos"] == videos.height
    assert row["clips"] == cut.height
    assert row["captions"] == of_cut.height
    assert row["video_hours"] == pytest.approx(seconds.sum() / 3600, rel=1e-9)
    assert row["mean_clip_seconds"] == pytest.approx((cut["end_seconds"] - cut["start_seconds"]).mean(), rel=1e-6)
    assert row["mean_caption_words"] == pytest.approx(of_cut["word_count"].mean())
    assert row["share_720p_or_more"] == pytest.approx((videos["height"] >= 720).mean())


def test_durations_lengths_and_resolutions(lake):
    clips = lake[1]["clips"].filter(pl.col("annotation_id").is_null())
    seconds = clips["end_seconds"] - clips["start_seconds"]
    labels = ["0–2 s", "2–4 s", "4–10 s", "10–20 s", ">20 s"]
    buckets = seconds.cut([2, 4, 10, 20], labels=labels, left_closed=True).value_counts()
    rows = answers("figure_4a_clip_durations", lake)
    assert counts_of(rows, "bucket", "clips") == dict(buckets.rows())
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    whole = seconds.floor().clip(upper_bound=120).cast(pl.Int32).value_counts()
    assert counts_of(answers("clip_duration_histogram", lake), "from_seconds", "clips") == dict(whole.rows())

    captions = lake[1]["clip_captions"].join(clips.select("clip_id"), "clip_id")
    lengths = dict(captions["word_count"].value_counts().rows())
    assert counts_of(answers("caption_length_histogram", lake), "words", "captions") == lengths
    in_buckets = Counter("0–10" if length < 10 else "10–20" for length in captions["word_count"])
    assert counts_of(answers("figure_4b_caption_words", lake), "bucket", "captions") == dict(in_buckets)

    heights = {720: "720p", 360: "360p", 1080: "1080p", 240: "less than 360p"}
    by_height = lake[1]["raw_videos"]["height"].replace_strict(heights).value_counts()
    assert counts_of(answers("resolutions", lake), "resolution", "videos") == dict(by_height.rows())


def test_languages_and_categories(lake):
    spoken = (
        lake[1]["transcripts"]
        .with_columns(pl.col("language").fill_null("unknown"))
        .group_by("video_id", "language")
        .len()
        .sort("len", "language", descending=[True, False])
        .unique("video_id", keep="first", maintain_order=True)
    )
    of_videos = lake[1]["raw_videos"].join(spoken, "video_id", "left")["language"].fill_null("no speech")
    assert counts_of(answers("figure_3a_languages", lake), "language", "videos") == dict(
        of_videos.value_counts().rows()
    )
    stated = lake[1]["downloads"].explode("categories")
    joined = lake[1]["raw_videos"].join(stated, "source_id", "left")["categories"].fill_null("none stated")
    rows = answers("figure_3c_categories", lake)
    assert counts_of(rows, "category", "videos") == dict(joined.value_counts().rows())
    assert rows[0]["share"] == pytest.approx(rows[0]["videos"] / lake[1]["raw_videos"].height)


def test_scores_flags_and_boundaries(lake):
    values = lake[1]["clip_scores"]["value"]
    steps = Counter(round(math.floor(value * 10) / 10, 1) for value in values)
    rows = answers("figure_4c_scores", lake)
    assert {round(row["from_value"], 1): row["clips"] for row in rows} == steps
    flags = lake[1]["clips"].with_columns(
        pl.when(pl.col("flags").list.len() == 0).then(pl.lit(["none"])).otherwise("flags").alias("flags")
    )
    assert counts_of(answers("clip_flags", lake), "flag", "clips") == dict(
        flags["flags"].explode().value_counts().rows()
    )
    cut = lake[1]["clips"].filter(pl.col("annotation_id").is_null())
    assert counts_of(answers("boundaries", lake), "boundary", "clips") == dict(cut["boundary"].value_counts().rows())


def words_of(frame: pl.DataFrame, text: str) -> pl.DataFrame:
    """Returns the rows with one word each, of a row every word once."""
    words = [sorted(set(re.findall(r"\w+", value.lower()))) for value in frame[text]]
    return frame.with_columns(pl.Series("word", words)).explode("word")


def test_words_of_captions_and_of_speech(lake):
    captions = words_of(lake[1]["clip_captions"], "caption")
    expected = captions.group_by("word").len().sort("len", "word", descending=[True, False]).head(1_000)
    rows = answers("figure_15_caption_words", lake)
    assert [(row["word"], row["captions"]) for row in rows] == expected.rows()
    assert {row["word"] for row in rows if row["part"] == "noun"} == set(NOUNS)
    by_word = dict(expected.rows())
    for row in answers("demographic_words", lake):
        assert row["captions"] == by_word.get(row["word"], 0)
    assert counts_of(answers("demographic_words", lake), "word", "captions").keys() == {"man", "woman", "young"}
    speech = words_of(lake[1]["transcripts"].filter(pl.col("language").is_not_null()), "text")
    spoken = speech.group_by("language", "word").len()
    rows = answers("figure_16_spoken_words", lake)
    assert {(row["language"], row["word"]): row["clips"] for row in rows} == {
        (language, word): clips for language, word, clips in spoken.rows()
    }


def test_nouns_and_verbs_and_the_curve_of_them(lake):
    captions = lake[1]["clip_captions"]
    held = {part: Counter(captions[f"{part}s"].explode().drop_nulls()) for part in ("noun", "verb")}
    assert counts_of(answers("top_nouns", lake), "noun", "captions") == held["noun"]
    assert counts_of(answers("top_verbs", lake), "verb", "captions") == held["verb"]
    (words,) = answers("actionness", lake)
    assert (words["captions"], words["unique_verbs"], words["unique_nouns"]) == (CLIPS, len(VERBS), len(NOUNS))
    rows = answers("rarefaction", lake)
    assert [row["captions"] for row in rows] == [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, CLIPS]
    for row in rows:
        for part in ("noun", "verb"):
            drawn = row["captions"]
            exact = sum(1 - math.comb(CLIPS - n, drawn) / math.comb(CLIPS, drawn) for n in held[part].values())
            assert row[f"unique_{part}s"] == pytest.approx(exact, rel=1e-6)


def test_growth_failures_and_costs(lake):
    clips = lake[1]["clips"].group_by("video_id").agg(pl.len().alias("clips"))
    sources = lake[1]["sources"].with_columns(pl.col("first_seen_at").dt.date().alias("day"))
    by_day = (
        sources.join(lake[1]["raw_videos"], "source_id", "left")
        .join(clips, "video_id", "left")
        .group_by("day")
        .agg(pl.len(), pl.col("video_id").count(), pl.col("clips").sum())
        .sort("day")
        .with_columns(pl.col("clips").cum_sum().alias("clips_until_then"))
    )
    rows = answers("growth", lake)
    names = ("day", "sources", "videos", "clips", "clips_until_then")
    assert [tuple(row[name] for name in names) for row in rows] == by_day.rows()
    failures = dict(lake[1]["attempts"]["error_class"].value_counts().rows())
    assert counts_of(answers("attempts_by_stage", lake), "error_class", "inputs") == failures
    kept = lake[1]["clips"].filter(pl.col("flags").list.len() == 0).height
    (cost,) = answers("costs_per_kept_clip", lake)
    assert cost["kept_clips"] == kept
    assert cost["wall_seconds_per_clip"] == pytest.approx(60 / kept)
    assert cost["processor_seconds_per_clip"] == pytest.approx(100 / kept)
    assert cost["bytes_per_clip"] == pytest.approx(40_000 / kept)
