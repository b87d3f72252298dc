"""Statistics of 10,000 clips are what Polars computes of the same rows, in another way."""

from __future__ import annotations

import json
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
MODELS = [("A", "A 1"), ("A", "A 2"), ("B", "B 1"), (None, None)]
WATERFALLS: dict[str, list[dict[str, Any]]] = {
    "all": [{"condition": "clips", "meaning": "every clip", "removed": 0, "left": 10}],
    "flt": [
        {"condition": "clips", "meaning": "every clip", "removed": 0, "left": 10},
        {"condition": "similar", "meaning": "0.3 at least", "removed": 6, "left": 4},
    ],
}


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
            | {"pan_y": chance.choice([0.0, 0.3, -0.7]), "zoom": chance.choice([0.0, 0.01, 1.5, -1.5, None])}
            | {"moving_share": chance.choice([0.25, 0.75, None]), "stillness": chance.choice([0.5, 1.0, None])}
            | {"decode_errors": number % 7}
        )
        if number % 41 == 0:
            clips[-1]["flags"] = [*clips[-1]["flags"], "short_of_header"]
        nouns, verbs = chance.sample(NOUNS, chance.randint(0, 3)), chance.sample(VERBS, chance.randint(0, 2))
        words = ["A", *nouns, *verbs, chance.choice(["young", "Red", "a"]), f"word{int(chance.paretovariate(1)):d}"]
        captions.append(
            clip
            | {"caption": " ".join(words) + ".", "word_count": len(words), "nouns": nouns, "verbs": verbs}
            | dict(zip(("model", "version"), chance.choice(MODELS), strict=True))
        )
        if number % 3 == 0:
            language = chance.choice(["en", "de", "ru", None])
            transcripts.append(clip | {"language": language, "text": " ".join(chance.choices(NOUNS, k=4)) + "!"})
        scores.append({"score_id": clip["clip_id"], "score": "aesthetics", "model": "m", "value": chance.uniform(0, 9)})
    categories = [["Gaming"], ["Sports", "Gaming"], ["Music"], None]
    sizes = [(1280, 720), (640, 360), (1920, 1080), (320, 240)]
    return {
        "sources": [
            {"source_id": f"s{number}", "kind": "web" if number % 2 == 0 else "file"}
            | {"first_seen_at": NOON + timedelta(hours=7 * number), "found_by": f"feed{number % 8}"}
            for number in range(VIDEOS + 3)
        ],
        "downloads": [
            {"source_id": f"s{number}", "categories": chance.choice(categories)}
            | {"fetched_at": NOON + timedelta(hours=7 * number + 1)}
            for number in range(0, VIDEOS, 2)
        ],
        "source_checks": [
            {"source_id": f"s{chance.randrange(0, VIDEOS, 2)}", "checked_at": NOON + timedelta(days=200, hours=number)}
            | chance.choice(
                [
                    {"is_available": True, "error_class": None},
                    {"is_available": False, "error_class": "RemovedVideo"},
                    {"is_available": None, "error_class": "NetworkError"},
                ]
            )
            for number in range(600)
        ],
        "feeds": [
            {"feed_id": f"feed{number}", "kind": "search", "phrase": ["dog", "cat", "sea"][number % 3]}
            | {"refused": "not allowed" if number % 4 == 0 else None}
            for number in range(7)
        ],
        "feed_polls": [{"feed_id": f"feed{chance.randrange(8)}", "entries": chance.randrange(30)} for _ in range(100)],
        "frame_captions": [
            {"frame_caption_id": str(number), "video_id": videos[number % VIDEOS]}
            | {"scale": chance.choice(["coarse", "fine"])}
            | dict(zip(("model", "version"), chance.choice(MODELS), strict=True))
            for number in range(5_000)
        ],
        "duplicates": [
            {"duplicate_id": str(number), "kind": chance.choice(["packets", "perceptual"])}
            | dict(zip(("video_id", "other_video_id"), chance.sample(videos, 2), strict=True))
            | {"similarity": chance.uniform(0.5, 1)}
            for number in range(300)
        ],
        "subset_snapshots": [
            {"subset": subset, "snapshot": "corpus-1", "waterfall": json.dumps(waterfall)}
            for subset, waterfall in WATERFALLS.items()
        ],
        "raw_videos": [
            {"video_id": video, "source_id": f"s{number}", "duration_seconds": chance.choice([None, 100.0, 2_000.0])}
            | dict(zip(("width", "height"), chance.choice(sizes), strict=True))
            | {"video_codec": chance.choice(["h264", "vp9", None]), "audio_codec": chance.choice(["aac", None])}
            | {"container": "mov", "pixel_format": "yuv420p", "declared_seconds": 1_000.0, "source": f"file:///{video}"}
            for number, video in enumerate([*videos, "v-without-clips"])
        ],
        "clips": clips,
        "clip_captions": captions,
        "transcripts": transcripts,
        "clip_scores": scores,
        "attempts": [
            {"attempt_id": str(number), "stage": "clips", "key": str(number), "outcome": "failed", "tries": 2}
            | {"error_class": chance.choice(["DecodeError", "TooLarge"]), "message": f"said {number}"}
            | {"written_at": NOON + timedelta(minutes=number * 7 % 1_000)}
            for number in range(800)
        ],
        "costs": [
            {"cost_id": str(number), "stage": "clips", "model": "", "wall_seconds": 1.5, "processor_seconds": 2.5}
            | {"bytes_written": 1_000, "written_at": NOON, "units": number, "frames": 10 * number}
            for number in range(40)
        ]
        + [
            {"cost_id": f"model {number}", "stage": "clips", "model": "A", "model_seconds": 0.1 * number}
            | {"written_at": NOON, "units": 1, "frames": 2, "prompt_tokens": 3, "output_tokens": 4}
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


def test_camera_and_motion(lake):
    clips = lake[1]["clips"].with_columns(
        pan=pl.col("pan_x").abs().cast(pl.Float64),
        tilt=pl.col("pan_y").abs().cast(pl.Float64),
        edge=(2 ** pl.col("zoom").abs().cast(pl.Float64) - 1) / 2,
    )
    unknown = pl.any_horizontal(pl.col("pan", "tilt", "edge").is_null())
    largest = pl.max_horizontal("pan", "tilt", "edge")
    camera = (
        pl.when(unknown)
        .then(pl.lit("not measured"))
        .when(largest < 0.02)
        .then(pl.lit("still"))
        .when(pl.col("pan") == largest)
        .then(pl.when(pl.col("pan_x") > 0).then(pl.lit("pans right")).otherwise(pl.lit("pans left")))
        .when(pl.col("tilt") == largest)
        .then(pl.when(pl.col("pan_y") > 0).then(pl.lit("tilts down")).otherwise(pl.lit("tilts up")))
        .otherwise(pl.when(pl.col("zoom") > 0).then(pl.lit("zooms in")).otherwise(pl.lit("zooms out")))
    )
    expected = clips.group_by(camera.alias("camera")).agg(pl.len(), pl.col("moving_share").mean())
    rows = answers("camera", lake)
    assert counts_of(rows, "camera", "clips") == dict(expected.select("camera", "len").rows())
    assert len(expected) == 8, "each of the movements is there"
    shares = dict(expected.select("camera", "moving_share").rows())
    assert {row["camera"]: row["mean_moving_share"] for row in rows} == pytest.approx(shares)
    labels = ["<0.01", "0.01–0.03", "0.03–0.1", "0.1–0.3", "0.3–1", ">1"]
    buckets = clips["motion"].cut([0.01, 0.03, 0.1, 0.3, 1], labels=labels, left_closed=True)
    expected = clips.with_columns(bucket=buckets).drop_nulls("bucket").group_by("bucket")
    rows = answers("motion", lake)
    assert counts_of(rows, "bucket", "clips") == dict(expected.len().rows())
    means = dict(expected.agg(pl.col("stillness").mean()).rows())
    assert {row["bucket"]: row["mean_stillness"] for row in rows if row["clips"]} == pytest.approx(means)


def test_videos_by_format_duration_and_clips(lake):
    videos, clips = lake[1]["raw_videos"], lake[1]["clips"].filter(pl.col("annotation_id").is_null())
    rows = answers("codecs", lake)
    for kind, column, none in (("video", "video_codec", "unknown"), ("audio", "audio_codec", "none")):
        names = dict(videos[column].fill_null(none).value_counts().rows())
        assert {row["name"]: row["videos"] for row in rows if row["kind"] == kind} == names
    assert [(row["name"], row["share"]) for row in rows if row["kind"] == "container"] == [("mov", 1.0)]

    seconds = pl.col("end_seconds") - pl.col("start_seconds")
    of_clips = clips.group_by("video_id").agg(
        pl.len().alias("clips"),
        pl.col("end_seconds").max().alias("end"),
        seconds.mean().alias("mean"),
        seconds.min().alias("min"),
        seconds.max().alias("max"),
    )
    each = videos.join(of_clips, "video_id", "left").with_columns(
        clips=pl.col("clips").fill_null(0), seconds=pl.coalesce("end", "duration_seconds")
    )
    labels = ["<5 min", "5–10 min", "10–15 min", "15–20 min", ">20 min"]
    buckets = each["seconds"].drop_nulls().cut([300, 600, 900, 1_200], labels=labels, left_closed=True)
    assert counts_of(answers("figure_3b_video_durations", lake), "bucket", "videos") == dict(
        buckets.value_counts().rows()
    )
    most = each.sort(["clips", "video_id"], descending=[True, False]).head(50)
    rows = answers("videos_by_clips", lake)
    assert [(row["video_id"], row["clips"], row["seconds"]) for row in rows] == most.select(
        "video_id", "clips", "seconds"
    ).rows()
    for name in ("mean", "min", "max"):
        assert [row[f"{name}_clip_seconds"] for row in rows] == pytest.approx(most[name].to_list(), abs=1e-6)


def test_videos_short_of_their_header(lake):
    cut = lake[1]["clips"].filter(pl.col("annotation_id").is_null())
    short = (
        cut.group_by("video_id")
        .agg(
            pl.col("end_seconds").max().alias("decoded"),
            pl.col("decode_errors").max(),
            pl.col("flags").list.contains("short_of_header").any().alias("is_short"),
        )
        .filter("is_short")
        .join(lake[1]["raw_videos"], "video_id")
        .with_columns(told=pl.max_horizontal("declared_seconds", "duration_seconds"))
        .with_columns(missing=pl.col("told") - pl.col("decoded"))
        .sort(["missing", "video_id"], descending=[True, False])
        .head(100)
    )
    assert len(short) == 100
    rows = answers("videos_short_of_header", lake)
    assert [(row["source"], row["decode_errors"]) for row in rows] == short.select("source", "decode_errors").rows()
    assert [row["share"] for row in rows] == pytest.approx((short["decoded"] / short["told"]).to_list())


def test_captions_by_model(lake):
    of_clips = lake[1]["clip_captions"].with_columns(kind=pl.lit("clip"))
    of_frames = lake[1]["frame_captions"].with_columns(kind=pl.col("scale"))
    expected = (
        pl.concat([of[["kind", "model", "version", "video_id"]] for of in (of_clips, of_frames)])
        .with_columns(pl.col("model").fill_null("unknown"))
        .group_by("kind", "model")
        .agg(pl.len(), pl.col("version").drop_nulls().n_unique())
    )
    rows = answers("captions_by_model", lake)
    assert {(row["kind"], row["model"], row["captions"], row["versions"]) for row in rows} == set(expected.rows())
    total = dict(expected.group_by("kind").agg(pl.col("len").sum()).rows())
    assert all(row["share"] == pytest.approx(row["captions"] / total[row["kind"]]) for row in rows)


def test_sources_by_state_and_by_the_phrase_that_found_them(lake):
    stored = lake[1]["raw_videos"].select("source_id", "video_id")
    clips = lake[1]["clips"].group_by("video_id").agg(pl.len().alias("clips"))
    sources = (
        lake[1]["sources"]
        .join(stored.join(clips, "video_id", "left"), "source_id", "left")
        .join(lake[1]["downloads"].select("source_id", fetched="fetched_at"), "source_id", "left")
    )
    done = pl.col("video_id").is_not_null()
    expected = sources.group_by("kind", pl.when(done).then(pl.lit("done")).otherwise(pl.lit("pending")).alias("state"))
    rows = answers("sources_by_state", lake)
    assert {(row["kind"], row["state"], row["sources"]) for row in rows} == set(expected.len().rows())
    assert {row["stage"] for row in rows if row["state"] == "pending"} == {"downloads", "raw_videos"}
    assert sum(row["share"] for row in rows) == pytest.approx(1)

    polls = lake[1]["feed_polls"].group_by("feed_id").agg(pl.len().alias("polls"), pl.col("entries").sum())
    brought = sources.group_by(feed_id="found_by").agg(
        pl.len().alias("sources"), pl.col("fetched").count(), pl.col("video_id").count(), pl.col("clips").sum()
    )
    by_phrase = (
        lake[1]["feeds"]
        .join(polls, "feed_id", "left")
        .join(brought, "feed_id", "left")
        .group_by("phrase")
        .agg(
            pl.len().alias("searches"),
            pl.col("refused").count(),
            pl.col("polls", "entries", "sources", "fetched", "video_id", "clips").sum(),
        )
    )
    names = ("phrase", "searches", "refused", "polls", "entries", "sources", "downloads", "videos", "clips")
    rows = answers("queries", lake)
    assert {tuple(row[name] for name in names) for row in rows} == set(by_phrase.rows())
    assert [row["share"] for row in rows] == [row["videos"] / row["sources"] for row in rows]


def test_link_rot(lake):
    checks = lake[1]["source_checks"].filter(pl.col("is_available").is_not_null())
    available = pl.when("is_available").then(pl.lit("available")).otherwise("error_class")
    told = pl.concat(
        [
            lake[1]["downloads"].select("source_id", at="fetched_at", reason=pl.lit("available")),
            checks.select("source_id", at="checked_at", reason=available),
        ]
    ).join(lake[1]["sources"].filter(pl.col("kind") == "web"), "source_id")
    last: dict[tuple[str, int], tuple[datetime, str]] = {}
    for row in told.to_dicts():
        first, at = row["first_seen_at"], row["at"]
        months = (at.year - first.year) * 12 + at.month - first.month
        if (at.day, at.time()) < (first.day, first.time()):
            months -= 1
        last[row["source_id"], max(months, 0)] = max(
            last.get((row["source_id"], max(months, 0)), (NOON, "")), (at, row["reason"])
        )
    expected = Counter((months, reason) for (_, months), (_, reason) in last.items())
    rows = answers("link_rot", lake)
    assert {(row["months_since_first_seen"], row["reason"]): row["sources"] for row in rows} == expected
    assert len(expected) > 6


def test_copies_waterfalls_failures_costs_and_sizes(lake):
    pairs = lake[1]["duplicates"]
    by_kind = pairs.group_by("kind").agg(pl.len(), pl.col("similarity").mean(), pl.col("similarity").min().alias("min"))
    rows = {row["kind"]: row for row in answers("duplicates", lake)}
    for kind, count, mean, least in by_kind.rows():
        assert (rows[kind]["pairs"], rows[kind]["min_similarity"]) == (count, least)
        assert rows[kind]["mean_similarity"] == pytest.approx(mean)
    assert rows["bytes"]["pairs"] == 0

    listed = [
        (subset, place, step["condition"], step["removed"], step["left"], step["left"] / steps[0]["left"])
        for subset, steps in sorted(WATERFALLS.items())
        for place, step in enumerate(steps, 1)
    ]
    names = ("subset", "position", "condition", "removed", "clips_left", "share")
    assert [tuple(row[name] for name in names) for row in answers("subset_waterfalls", lake)] == listed

    attempts = lake[1]["attempts"].sort(["written_at", "attempt_id"], descending=[True, False]).head(500)
    rows = answers("failures", lake)
    assert [row["written_at"] for row in rows] == attempts["written_at"].to_list()
    assert {row["message"] for row in rows} <= set(lake[1]["attempts"]["message"])

    whole, of_model = answers("costs_by_stage", lake)
    assert (whole["inputs"], whole["wall_seconds"], whole["frames_per_second"]) == (780, 60.0, 7_800 / 60)
    assert (of_model["model"], of_model["prompt_tokens"], of_model["output_tokens"]) == ("A", 120, 160)
    assert of_model["model_seconds"] == pytest.approx(78)

    rows = answers("table_sizes", lake)
    assert {row["table_name"]: row["row_count"] for row in rows} == {
        row["table_name"]: lake[1][row["table_name"]].height for row in rows
    }
