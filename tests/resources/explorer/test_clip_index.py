"""Counts and orders of the index of clips, against the same by polars."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from resources.explorer.clip_index import BINS, ClipIndex, Filters, WrongFilter
from resources.explorer.view import LakeViews
from resources.lake.store import Lake

CLIPS = 3_000
LANGUAGES = ("en", "es", "zh", None)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """Clips with what they are filtered by; a null is a clip without it."""
    random = np.random.default_rng(5)
    number = np.arange(CLIPS)
    return pl.DataFrame(
        {
            "clip_id": [f"{n % 50:016d}_{n:06d}" for n in number],
            "video_id": [f"{n % 50:016d}" for n in number],
            "start_seconds": (number // 50).astype(float),
            "seconds": random.exponential(5, CLIPS),
            "motion": [None if n % 11 == 0 else value for n, value in enumerate(random.random(CLIPS))],
            "flags": [(["still"] if n % 3 == 0 else []) + (["black"] if n % 7 == 0 else []) for n in number],
            "language": [LANGUAGES[n % 4] for n in number],
            "aesthetics": [None if n % 5 == 0 else value for n, value in enumerate(10 * random.random(CLIPS))],
            "ingest_batch": [f"b{n % 50 // 20}" for n in number],
        }
    )


@pytest.fixture(scope="module")
def index(rows, new_lake, tmp_path_factory) -> ClipIndex:
    lake: Lake = new_lake(tmp_path_factory.mktemp("indexed") / "lake")
    of_run = {"provenance": pl.lit("p")}
    clips = rows.with_columns(end_seconds=pl.col("start_seconds") + pl.col("seconds"), **of_run)
    lake.upsert("clips", clips.drop("seconds", "language", "aesthetics"))
    spoken = rows.filter(pl.col("language").is_not_null()).with_columns(text=pl.lit("said"), **of_run)
    lake.upsert("transcripts", spoken.select("clip_id", "video_id", "text", "language", "ingest_batch", "provenance"))
    scores = rows.select(
        pl.concat_str("clip_id", pl.lit("/aesthetics")).alias("score_id"),
        "clip_id",
        "video_id",
        pl.lit("aesthetics").alias("score"),
        pl.col("aesthetics").alias("value"),
        "ingest_batch",
        **of_run,
    )
    lake.upsert("clip_scores", scores)
    return ClipIndex(LakeViews(lake).newest())


def _left(rows: pl.DataFrame, filters: Filters, without: str | None = None) -> pl.DataFrame:
    conditions = [pl.lit(True)]
    for name, accepted in filters.words.items():
        if name == without:
            continue
        if name == "flag":
            values = pl.when(pl.col("flags").list.len() == 0).then(pl.lit(["none"])).otherwise(pl.col("flags"))
            conditions.append(values.list.set_intersection(pl.lit(list(accepted))).list.len() > 0)
        else:
            conditions.append(pl.col("ingest_batch" if name == "batch" else name).is_in(list(accepted)))
    for name, (low, high) in filters.ranges.items():
        if name == without:
            continue
        value = pl.col(name.removeprefix("score.")).cast(pl.Float32)
        conditions.append(value >= np.float32(low) if low is not None else value.is_not_null())
        conditions.append(value <= np.float32(high) if high is not None else value.is_not_null())
    return rows.filter(pl.all_horizontal(conditions))


FILTERS = [
    Filters(),
    Filters({"language": ("en", "zh")}),
    Filters({"flag": ("still",), "language": ("es",)}),
    Filters({"flag": ("none", "black")}, {"motion": (0.25, None)}),
    Filters({"batch": ("b1",)}, {"score.aesthetics": (2.5, 7.5), "seconds": (None, 6.0)}),
]


@pytest.mark.parametrize("filters", FILTERS, ids=range(len(FILTERS)))
def test_the_clips_that_filters_leave_and_the_counts_are_those_of_polars(index, rows, filters):
    left = _left(rows, filters)
    assert sorted(index.ids_of(np.flatnonzero(index.matching(filters)))) == sorted(left["clip_id"])
    facets, histograms = index.counted(filters)
    counted = {facet.name: {value: count for value, count in facet.counts if count} for facet in facets}
    spoken = _left(rows, filters, "language")["language"].drop_nulls().value_counts()
    assert counted["language"] == dict(spoken.iter_rows())
    flags = [flag for row in _left(rows, filters, "flag")["flags"].to_list() for flag in (row or ["none"])]
    assert counted["flag"] == {flag: flags.count(flag) for flag in set(flags)}
    assert {h.name: sum(h.counts) for h in histograms} == {
        "seconds": len(_left(rows, filters, "seconds")),
        "motion": _left(rows, filters, "motion")["motion"].count(),
        "score.aesthetics": _left(rows, filters, "score.aesthetics")["aesthetics"].count(),
    }


def test_a_histogram_divides_its_range_into_equal_bins(index, rows):
    (histogram,) = [each for each in index.counted(Filters())[1] if each.name == "score.aesthetics"]
    values = rows["aesthetics"].drop_nulls().to_numpy().astype(np.float32)
    assert (histogram.lowest, histogram.highest) == (values.min(), values.max())
    expected, _ = np.histogram(values.astype(float), BINS, (histogram.lowest, histogram.highest))
    assert np.abs(np.array(histogram.counts) - expected).sum() <= 2  # of a value on an edge


def test_pages_of_an_order_hold_every_clip_once(index, rows):
    everything = np.ones(index.clips, bool)
    for measure, descending in (("score.aesthetics", True), ("motion", False), (None, True), (None, False)):
        whole = index.ordered(everything, measure, descending=descending, count=index.clips)
        assert sorted(whole) == list(range(index.clips))
        paged = [
            index.ordered(everything, measure, descending=descending, count=end)[end - 500 :] for end in (500, 1000)
        ]
        assert np.concatenate(paged).tolist() == whole[:1000].tolist()
    best = index.ids_of(index.ordered(everything, "score.aesthetics", descending=True, count=10))
    assert best == rows.sort("aesthetics", descending=True, nulls_last=True)["clip_id"][:10].to_list()


def test_what_is_unknown_is_refused(index):
    for filters in (
        Filters({"language": ("xx",)}),
        Filters({"colour": ("red",)}),
        Filters({}, {"score.unknown": (1.0, None)}),
    ):
        with pytest.raises(WrongFilter):
            index.matching(filters)


def test_numbers_come_in_the_order_of_the_ids(index):
    ids = index.ids_of(np.array([17, 3, 2_999]))
    assert index.numbers_of([ids[0], "unknown", ids[1], ids[2]]).tolist() == [17, 3, 2_999]
