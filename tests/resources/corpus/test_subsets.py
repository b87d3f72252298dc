"""Subsets on made lakes: a million clips (rows only) where size matters, else a few thousand."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from resources.corpus.subset_files import SubsetFiles
from resources.corpus.subsets import (
    COMMON_PARAMETERS,
    Subset,
    WaterfallRow,
    connected,
    read_subset,
    select_subset,
    split_sizes,
    subset_named,
    subsets,
    waterfall,
)
from resources.lake.statements import statement
from resources.lake.store import Lake

NAMES = ("aes", "all", "div", "flt", "flt_clipscore", "icl", "random", "unique")
TABLES = ("clips", "clip_captions", "frames", "raw_videos", "attempts", "clip_scores")


class MadeLake:
    """Tables of the lake in Arrow. Of ten clips in a row the first has no caption, the second no frame.

    sizes: clips of each video. decimals: of the scores; few make many ties. share_scored: clips with a row in
    clip_scores for both scores; of these one in a hundred is NaN, and one in a hundred null with a reason.
    """

    def __init__(self, sizes: np.ndarray, *, decimals: int = 12, share_scored: float = 0.9, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        videos = pa.array([f"{number:016x}" for number in range(len(sizes))])
        self.video_number = np.repeat(np.arange(len(sizes)), sizes)
        count = len(self.video_number)
        self.video_id = np.array(videos)[self.video_number].astype(str)
        self.clip_id = np.char.add(np.char.add(self.video_id, "_"), np.arange(count).astype(str))
        self.start = rng.uniform(0, 1000, count)
        self.end = self.start + rng.exponential(12, count)
        self.value = np.round(rng.normal(0.35, 0.05, count), decimals)
        self.value[rng.random(count) > share_scored] = np.inf  # stands for: no row
        self.value[rng.random(count) < 0.01] = np.nan
        self.is_null = rng.random(count) < 0.01
        remainder = np.arange(count) % 10
        self.in_pool = (remainder != 0) & (remainder != 1)
        self.known = np.isfinite(self.value) & ~self.is_null
        has_row = self.value != np.inf
        ids, video_ids = pa.array(self.clip_id), pa.array(self.video_id)
        clips = {"clip_id": ids, "video_id": video_ids, "start_seconds": self.start, "end_seconds": self.end}
        captions = {"clip_id": ids, "video_id": video_ids, "caption": pa.array(["a dog runs"] * count)}
        words = {name: pa.nulls(count, pa.list_(pa.string())) for name in ("nouns", "verbs")}
        values = pa.array(np.where(self.is_null, 0, self.value), mask=self.is_null)
        reasons = pa.array(np.where(self.is_null, "no picture", None).tolist(), pa.string())
        copies = min(1, max(0, len(sizes) - 1))
        self.tables = {
            "clips": pa.table(clips),
            "clip_captions": pa.table(captions | {"word_count": np.full(count, 3)} | words).filter(remainder != 0),
            "frames": pa.table({"clip_id": ids}).filter(remainder != 1),
            "raw_videos": pa.table({"video_id": videos, "source": videos}),
            "attempts": pa.table({name: pa.array([], pa.string()) for name in ("stage", "key", "error_class")}),
            "duplicates": pa.table(
                {
                    "video_id": videos[:copies],
                    "other_video_id": videos[1 : 1 + copies],
                    "kept": videos[:copies],
                    "why_kept": pa.array(["it is longer"] * copies, pa.string()),
                    "similarity": pa.array([0.9] * copies, pa.float64()),
                }
            ),
            "clip_scores": pa.concat_tables(
                pa.table({"clip_id": ids, "score": [name] * count, "value": values, "reason": reasons}).filter(has_row)
                for name in ("video_text_similarity", "aesthetics")
            ),
        }

    def connect(self, *, threads: int = 1, shuffled: bool = False) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(config={"threads": threads})
        rng = np.random.default_rng(1)
        for name, table in self.tables.items():
            rows = table.take(rng.permutation(table.num_rows)) if shuffled else table
            connection.from_arrow(rows).create_view(name)
        return connection


@pytest.fixture(scope="module")
def million() -> MadeLake:
    """A million clips of some 50,000 videos of 1 to 200 clips; scores of three decimals, so with thousands of ties."""
    sizes = np.minimum(np.random.default_rng(3).geometric(1 / 20, 60_000), 200)
    return MadeLake(sizes[: np.searchsorted(np.cumsum(sizes), 1_000_000)], decimals=3)


@pytest.fixture(scope="module")
def some() -> MadeLake:
    """Some 5,000 clips of 300 videos."""
    return MadeLake(np.random.default_rng(4).integers(1, 34, 300))


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., Subset]:
    """own("select …", "reads: [clip_scores]", …): the subset of a file with that statement and those header lines."""

    def written(sql: str, *header: str, name: str = "mine") -> Subset:
        file = tmp_path / f"{name}.sql"
        file.write_text("\n".join([*(f"-- {line}" for line in ("---", "title: Mine", *header, "---")), sql]))
        return read_subset(file)

    return written


def ids(connection: duckdb.DuckDBPyConnection, subset: Subset, **values: Any) -> list[str]:
    return select_subset(connection, subset, values).read_all()["clip_id"].to_pylist()


# --- the draw ---------------------------------------------------------------------------------------------------


def inclusion(weights: np.ndarray, drawn: int) -> np.ndarray:
    """The chance of each clip to be among the `drawn` of a weighted draw without replacement.

    Each waits for an exponential time with its weight as rate, and the first are drawn: all that come before t, which
    solves sum(1 - exp(-weight t)) = drawn. Exact but for terms of the order of one over the number of clips.
    """
    low, high = 0.0, 1.0
    while -np.expm1(-weights * high).sum() < drawn:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if -np.expm1(-weights * middle).sum() < drawn else (low, middle)
    return -np.expm1(-weights * high)


@pytest.mark.slow
def test_div_draws_clips_as_often_as_theory_says():
    """Two hundred seeds; classes are the clips of videos of one size, each within three standard errors.

    The seeds are fixed, so this does not fail by chance; were they not, it would once in sixty times.
    """
    clips_of_videos = np.array([1, 2, 5, 10, 50, 200])  # 1, 2, 3, 5, 8, 40 and 160 of which are in the pool
    made = MadeLake(np.repeat(clips_of_videos, 6_000 // clips_of_videos))
    drawn, seeds = 4_000, 200
    with made.connect() as connection:
        # What DIV says of each clip, once; the draw itself, which alone depends on the seed, two hundred times.
        weighted = select_subset(connection, subset_named("div")).read_all()
        connection.from_arrow(weighted.append_column("failed", pa.nulls(len(weighted), pa.int64()))).create("judged")
        draw = statement("selection/drawn")
        times = np.zeros(len(weighted), np.int64)
        order = np.array(weighted["clip_id"].to_pylist())
        sizes = np.rint(1 / weighted["weight"].to_numpy()).astype(int)
        classes = np.unique(sizes)
        by_seed = np.zeros((seeds, len(classes)))
        for seed in range(seeds):
            picked = connection.sql(draw, params={"seed": seed, "clips": drawn}).to_arrow_table()["clip_id"].to_pylist()
            positions = np.searchsorted(order, picked)
            assert len(set(picked)) == drawn
            times[positions] += 1
            by_seed[seed] = [np.count_nonzero(sizes[positions] == size) for size in classes]
        assert sorted(picked) == ids(connection, subset_named("div"), clips=drawn, seed=seeds - 1)

    assert len(classes) == 7
    expected = inclusion(1 / sizes, drawn)
    for number, size in enumerate(classes):
        of_class = sizes == size
        found, theory = by_seed[:, number], expected[of_class].sum()
        standard_error = found.std(ddof=1) / math.sqrt(seeds)
        assert abs(found.mean() - theory) <= 3 * standard_error, f"videos of {size} clips"
    # Seeds are independent: a clip is drawn a binomial number of times, neither more evenly nor less.
    spread = (times - seeds * expected) ** 2 / (seeds * expected * (1 - expected))
    assert spread.mean() == pytest.approx(1, abs=4 * math.sqrt(2 / len(times)))


def test_a_draw_is_the_one_that_the_documentation_describes(some: MadeLake):
    """The formula, once more in Python: the same clips, so the draw can be checked without this code."""
    pool = some.clip_id[some.in_pool].tolist()
    videos, first, clips = np.unique(some.video_id[some.in_pool], return_inverse=True, return_counts=True)

    def waits(clip_id: str, weight: float) -> float:
        u = (int(hashlib.md5(f"draw/7/{clip_id}".encode()).hexdigest()[:13], 16) + 0.5) / 2**52
        return -math.log(u) / weight

    turns = {clip_id: waits(clip_id, 1 / clips[video]) for clip_id, video in zip(pool, first, strict=True)}
    with some.connect() as connection:
        rows = select_subset(connection, subset_named("div"), {"clips": 500, "seed": 7}).read_all()
    assert rows["clip_id"].to_pylist() == sorted(sorted(turns, key=turns.__getitem__)[:500])
    assert len(videos) > 200  # else the weights would hardly matter
    weights = dict(zip(pool, (1 / clips[first]).tolist(), strict=True))
    assert rows["weight"].to_pylist() == [weights[clip_id] for clip_id in rows["clip_id"].to_pylist()]


def test_a_smaller_draw_is_part_of_a_larger_one_and_another_seed_draws_others(some: MadeLake):
    with some.connect() as connection:
        random = subset_named("random")
        few, many = (set(ids(connection, random, clips=clips)) for clips in (500, 1500))
        assert (len(few), len(many)) == (500, 1500)
        assert few < many
        other = set(ids(connection, random, clips=500, seed=43))
        assert 20 < len(few & other) < 120  # 500 of some 4,000: 62 by chance
        assert len(ids(connection, random, clips=0)) == 0
        everything = ids(connection, random, clips=10_000_000)
        assert everything == ids(connection, random) == ids(connection, subset_named("all"))
        assert everything == sorted(some.clip_id[some.in_pool])


@pytest.mark.slow
def test_a_snapshot_and_a_seed_make_the_same_subset_on_any_threads_and_in_any_order_of_rows(million: MadeLake):
    subset, values = subset_named("flt_clipscore"), {"clips": 100_000}
    made = []
    for options in ({"threads": 1}, {"threads": 2, "shuffled": True}):
        with million.connect(**options) as connection:
            made.append(select_subset(connection, subset, values).read_all())
    assert made[0].num_rows == 100_000
    assert made[0].equals(made[1])


@pytest.mark.parametrize("name", NAMES)
def test_every_subset_is_the_same_on_any_threads_and_in_any_order_of_rows(name: str, some: MadeLake):
    made = []
    for options in ({"threads": 1}, {"threads": 2}, {"threads": 2, "shuffled": True}):
        with some.connect(**options) as connection:
            values = {"clips": 300} | ({"threshold": 0.36} if name == "aes" else {})
            made.append(select_subset(connection, subset_named(name), values).read_all())
    assert made[0].num_rows == 300
    assert made[0].equals(made[1])
    assert made[0].equals(made[2])


# --- FLT and AES ------------------------------------------------------------------------------------------------


def highest(values: np.ndarray, share: float) -> np.ndarray:
    """Which values are among the highest `share` of all, those equal to the last of them included."""
    wanted = math.ceil(round(share * len(values), 6))
    return values >= np.sort(values)[len(values) - wanted] if wanted else np.zeros(len(values), bool)


def test_flt_keeps_exactly_the_highest_share_of_a_million_with_all_ties(million: MadeLake):
    ranked = million.in_pool & million.known
    kept = highest(million.value[ranked], 0.3)
    assert kept.sum() > round(0.3 * ranked.sum()) + 100  # there are ties to be kept
    with million.connect() as connection:
        assert ids(connection, subset_named("flt")) == sorted(million.clip_id[ranked][kept])


@pytest.mark.slow
def test_flt_by_its_makers_ranks_only_clips_of_fitting_length(million: MadeLake):
    seconds = million.end - million.start
    ranked = million.in_pool & million.known & (seconds >= 1) & (seconds <= 30)
    kept = highest(million.value[ranked], 0.3)
    with million.connect() as connection:
        rows = select_subset(connection, subset_named("flt_clipscore"), {"max_seconds": 30}).read_all()
    assert rows["clip_id"].to_pylist() == sorted(million.clip_id[ranked][kept])
    # A clip's weight counts the clips that were kept, and no others.
    _, first, clips = np.unique(million.video_id[ranked][kept], return_inverse=True, return_counts=True)
    weights = (1 / clips[first])[np.argsort(million.clip_id[ranked][kept])]
    np.testing.assert_allclose(rows["weight"].to_numpy(), weights, rtol=1e-12)


def test_flt_by_its_makers_goes_by_clipscore_where_a_clip_has_one_unless_told_otherwise():
    made = MadeLake(np.full(126, 1))  # 100 of them in the pool
    clip_ids = made.clip_id[made.in_pool].tolist()
    made.tables["clips"] = made.tables["clips"].set_column(3, "end_seconds", [made.start + 5])

    def chosen(clipscores: list[float | None], **values: Any) -> list[str]:
        made.tables["clip_scores"] = pa.table(
            {
                "clip_id": clip_ids * 2,
                "score": ["video_text_similarity"] * 100 + ["frame_text_similarity"] * 100,
                "value": pa.array([*np.linspace(0, 1, 100), *clipscores], pa.float64()),
                "reason": pa.array([None] * 200, pa.string()),
            }
        )
        with made.connect() as connection:
            return ids(connection, subset_named("flt_clipscore"), **values)

    falling = np.linspace(1, 0, 100).tolist()
    assert chosen(falling) == clip_ids[:30]
    assert chosen(falling, score="video_text_similarity") == clip_ids[70:]
    assert chosen([None] * 100) == clip_ids[70:]


@pytest.mark.parametrize("share", [0.0, 0.07, 0.1, 0.3, 0.999, 1.0])
def test_flt_keeps_the_share_to_the_clip_where_no_scores_are_equal(share: float):
    made = MadeLake(np.full(126, 1))  # 100 of them in the pool
    made.tables["clip_scores"] = pa.table(
        {
            "clip_id": made.clip_id[made.in_pool],
            "score": ["video_text_similarity"] * 100,
            "value": np.random.default_rng(0).permutation(100) / 100,
            "reason": pa.nulls(100, pa.string()),
        }
    )
    with made.connect() as connection:
        for name in ("flt", "flt_clipscore"):
            chosen = ids(connection, subset_named(name), share=share, **({"min_seconds": 0} if "_" in name else {}))
            assert len(chosen) == math.ceil(round(100 * share, 6))


def test_flt_draws_with_the_weights_of_the_pool_and_its_makers_with_those_of_what_is_kept(some: MadeLake):
    counts = dict(zip(*np.unique(some.video_id[some.in_pool], return_counts=True), strict=True))
    with some.connect() as connection:
        rows = select_subset(connection, subset_named("flt")).read_all().to_pylist()
        assert all(row["weight"] == 1 / counts[row["video_id"]] for row in rows)
        # Going down DIV's order of the pool and taking what is similar enough gives the same clips.
        order = ids(connection, subset_named("div"), clips=1000)
        kept = {row["clip_id"] for row in rows}
        some_of_them = [clip_id for clip_id in order if clip_id in kept]
        assert ids(connection, subset_named("flt"), clips=len(some_of_them)) == some_of_them


def test_a_threshold_takes_the_place_of_the_share(some: MadeLake):
    good = some.in_pool & some.known & (some.value >= 0.4)
    with some.connect() as connection:
        for name in ("flt", "aes"):
            assert ids(connection, subset_named(name), threshold=0.4) == sorted(some.clip_id[good])
        assert ids(connection, subset_named("aes")) == []  # no score reaches 4


# --- the split --------------------------------------------------------------------------------------------------


def sides(connection: duckdb.DuckDBPyConnection, name: str = "all", **values: Any) -> dict[str, str]:
    """The side of each video. Fails for a video on two sides."""
    found: dict[str, str] = {}
    for row in (
        select_subset(connection, subset_named(name), values).read_all().select(["video_id", "split"]).to_pylist()
    ):
        assert found.setdefault(row["video_id"], row["split"]) == row["split"]
    return found


@pytest.mark.slow
def test_a_million_rows_come_in_batches_with_no_video_on_two_sides_and_sides_of_their_shares(million: MadeLake):
    with million.connect() as connection:
        batches = list(select_subset(connection, subset_named("all")))
        assert max(batch.num_rows for batch in batches) <= 100_000
        rows = pa.Table.from_batches(batches)
        assert rows.schema.names == ["clip_id", "video_id", "split", "weight", "reason"]
        assert len(rows) == million.in_pool.sum()
        connection.from_arrow(rows).create_view("chosen")
        of_video = connection.sql(
            "select any_value(split) as split, count(distinct split) as sides from chosen group by video_id"
        ).to_arrow_table()
    assert set(of_video["sides"].to_pylist()) == {1}
    found = of_video["split"].to_numpy(zero_copy_only=False)
    for split, share in {"train": 0.8, "validation": 0.1, "test": 0.1}.items():
        assert np.mean(found == split) == pytest.approx(share, abs=3 * math.sqrt(share * (1 - share) / len(found)))


def test_a_video_is_on_the_same_side_in_every_subset_and_whatever_is_added(some: MadeLake):
    with some.connect() as connection:
        everywhere = sides(connection)
        assert set(everywhere.values()) == {"train", "validation", "test"}
        for name in ("div", "flt", "flt_clipscore"):
            chosen = sides(connection, name, clips=200)
            assert chosen.items() <= everywhere.items()
        assert sides(connection, split_seed=1) != everywhere
        half = MadeLake(np.random.default_rng(4).integers(1, 34, 300)[:150])
        with half.connect() as smaller:
            assert sides(smaller).items() <= everywhere.items()


@pytest.mark.parametrize(
    ("videos", "wanted"),
    [(1, {"train"}), (2, {"train", "test"}), (3, {"train", "validation", "test"}), (5, None), (12, None)],
)
def test_a_small_lake_has_videos_on_every_side(videos: int, wanted: set[str] | None):
    made = MadeLake(np.full(videos, 10))
    with made.connect() as connection:
        large = MadeLake(np.full(200, 10))
        with large.connect() as larger:
            for seed in range(6):
                found = sides(connection, split_seed=seed)
                assert set(found.values()) == (wanted or {"train", "validation", "test"})
                by_hash = sides(larger, split_seed=seed)
                moved = [video for video in found if found[video] != by_hash[video]]
                assert len(moved) <= 2 + (videos < 4)  # only to fill a side that would be empty


@pytest.mark.parametrize(
    ("validation", "test", "wanted"),
    [(0, 0, {"train"}), (0, 0.5, {"train", "test"}), (0.5, 0.5, {"validation", "test"}), (0, 1, {"test"})],
)
def test_a_side_that_is_given_no_share_stays_empty(validation: float, test: float, wanted: set[str], some: MadeLake):
    for made in (some, MadeLake(np.full(4, 10))):
        with made.connect() as connection:
            assert set(sides(connection, validation_share=validation, test_share=test).values()) == wanted


# --- the waterfall ----------------------------------------------------------------------------------------------


def adds_up(steps: list[WaterfallRow]) -> bool:
    return all(after.left == before.left - after.removed for before, after in itertools.pairwise(steps))


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_of_a_waterfall_add_up_to_the_subset(name: str, some: MadeLake):
    with some.connect() as connection:
        for values in ({}, {"clips": 100}):
            steps = waterfall(connection, subset_named(name), values)
            chosen = ids(connection, subset_named(name), **values)
            sizes = split_sizes(connection, subset_named(name), values)
            assert steps[0].left == len(some.clip_id)
            assert adds_up(steps)
            assert steps[-1].left == len(chosen) == sum(size["clips"] for size in sizes.values())
            for step in steps:
                assert len(step.examples) == min(2, step.removed)
                assert not {example.clip_id for example in step.examples} & set(chosen)


@pytest.mark.slow
def test_a_waterfall_counts_what_each_condition_removes_of_a_million(million: MadeLake):
    with million.connect() as connection:
        steps = waterfall(connection, subset_named("flt_clipscore"), {"max_seconds": 30, "clips": 1000})
    seconds = million.end - million.start
    pool = million.in_pool
    fitting = pool & (seconds >= 1) & (seconds <= 30)
    ranked = fitting & million.known
    kept = highest(million.value[ranked], 0.3).sum()
    nothing = np.arange(len(seconds)) % 10
    assert [(step.condition, step.is_unknown, step.removed) for step in steps] == [
        ("clips", False, 0),
        ("has a caption", False, np.count_nonzero(nothing == 0)),
        ("has a frame", False, np.count_nonzero(nothing == 1)),
        ("long_enough", False, np.count_nonzero(pool & (seconds < 1))),
        ("short_enough", False, np.count_nonzero(pool & (seconds > 30))),
        ("similar_enough", False, ranked.sum() - kept),
        ("similar_enough", True, (fitting & ~million.known).sum()),
        ("drawn", False, kept - 1000),
    ]
    assert adds_up(steps)
    assert steps[-1].left == 1000
    meanings = {step.condition: step.meaning for step in steps if not step.is_unknown}
    assert meanings["short_enough"] == "lasts at most 30.0 s"
    assert meanings["similar_enough"] == "the score at least null; if null, among the highest 0.3"


def test_scores_that_are_missing_are_told_from_low_ones_and_say_why(some: MadeLake):
    with some.connect() as connection:
        judged, unknown = waterfall(connection, subset_named("flt"), examples=1000)[3:]
    by_id = {clip_id: number for number, clip_id in enumerate(some.clip_id)}
    assert (judged.is_unknown, unknown.is_unknown) == (False, True)
    assert unknown.removed == (some.in_pool & ~some.known).sum()
    assert {example.clip_id for example in unknown.examples} == set(some.clip_id[some.in_pool & ~some.known])
    for example in unknown.examples:
        is_null = some.is_null[by_id[example.clip_id]] and some.value[by_id[example.clip_id]] != np.inf
        assert example.reason == ("no picture" if is_null else "no video_text_similarity yet")
        assert example.values["similarity"] is None
    for example in judged.examples[:50]:
        number = by_id[example.clip_id]
        assert example.values["similarity"] == some.value[number]
        assert (example.source, example.caption) == (some.video_id[number], "a dog runs")
        assert (example.start_seconds, example.end_seconds) == (some.start[number], some.end[number])
        assert re.fullmatch(r"video_text_similarity 0\.\d{4}, place \d+ of \d+", example.reason)


def test_without_any_score_nothing_is_kept_and_the_condition_says_so(some: MadeLake):
    with some.connect() as connection:
        steps = waterfall(connection, subset_named("flt"), {"score": "clip_score"})
        assert [(step.condition, step.is_unknown, step.removed, step.left) for step in steps[3:]] == [
            ("similar_enough", False, 0, some.in_pool.sum()),
            ("similar_enough", True, some.in_pool.sum(), 0),
        ]
        assert steps[-1].examples[0].reason == "no clip_score yet"
        assert ids(connection, subset_named("flt"), score="clip_score") == []


def test_an_empty_lake_has_empty_subsets(some: MadeLake):
    empty = MadeLake(np.array([1]))
    empty.tables = {name: table.slice(0, 0) for name, table in some.tables.items()}
    with empty.connect() as connection:
        for subset in subsets().values():
            assert ids(connection, subset) == []
            assert {step.left for step in waterfall(connection, subset)} == {0}
            assert sum(size["videos"] for size in split_sizes(connection, subset).values()) == 0


# --- a user's own -----------------------------------------------------------------------------------------------


def test_a_file_of_the_users_own_is_a_subset_like_any_other(own: Callable[..., Subset], some: MadeLake):
    subset = own(
        """select clip_id, 2 as weight, 'long' as reason, seconds > $shortest as "is long", seconds
        from pool where seconds < $longest;""",
        "description: >",
        "  Longer than most.",
        "  And not too long.",
        "parameters:",
        "  shortest: {type: double, default: 20, min: 0, max: 60, meaning: seconds}",
        "  longest: {type: double, default: 30, meaning: seconds}",
        "conditions:",
        "  is long: more than $shortest s",
    )
    assert (subset.title, subset.description) == ("Mine", "Longer than most. And not too long.")
    seconds = some.end - some.start
    with some.connect() as connection:
        assert ids(connection, subset, shortest=25) == sorted(
            some.clip_id[some.in_pool & (seconds > 25) & (seconds < 30)]
        )
        steps = waterfall(connection, subset, {"clips": 10})
        assert len(ids(connection, subset, clips=10)) == 10
    assert [(step.condition, step.removed) for step in steps[3:5]] == [
        ("returned", np.count_nonzero(some.in_pool & (seconds >= 30))),
        ("is long", np.count_nonzero(some.in_pool & (seconds <= 20))),
    ]
    assert steps[4].meaning == "more than 20.0 s"
    assert adds_up(steps)
    assert steps[-1].left == 10


def test_clips_outside_the_pool_are_in_no_subset(own: Callable[..., Subset], some: MadeLake):
    with some.connect() as connection:
        found = ids(connection, own("select clip_id, 1 as weight, '' as reason from clips"))
        assert found == sorted(some.clip_id[some.in_pool])


def test_copies_of_benchmark_videos_are_in_no_subset(own: Callable[..., Subset]):
    lake = MadeLake(np.array([10, 10, 10]))
    said = {"stage": ["fingerprints"] * 2, "key": ["0" * 16, f"{1:016x}"], "error_class": ["InBenchmark", "Torn"]}
    lake.tables["attempts"] = pa.table(said)
    with lake.connect() as connection:
        found = ids(connection, own("select clip_id, 1 as weight, '' as reason from pool"))
    assert found == sorted(lake.clip_id[lake.in_pool & (lake.video_number != 0)])


def test_own_files_are_found_in_their_folder(own: Callable[..., Subset], tmp_path: Path):
    subset = own("select clip_id, 1 as weight, '' as reason from pool")
    assert set(SubsetFiles().all()) == set(NAMES)
    files = SubsetFiles(folder=str(tmp_path))
    assert set(files.all()) == {*NAMES, "mine"}
    assert files.named("mine") == subset
    own("select 1", name="flt")
    with pytest.raises(ValueError, match=r"flt\.sql: there is a subset flt already; give the file another name"):
        files.all()
    with pytest.raises(ValueError, match=r"INTERNVID_SUBSETS names .*nowhere, which is not a folder"):
        SubsetFiles(folder=str(tmp_path / "nowhere")).all()


GOOD = "clip_id, 1 as weight, '' as reason"
X, SEED = "parameters:\n--   x: ", "parameters:\n--   seed: "


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select clip_id from pool", "returns no column weight and no reason; it must return clip_id, weight, reason"),
        (f"select {GOOD}, caption from pool where x > 1", 'column "x" not found'),
        (f"select {GOOD} from nowhere", "nowhere does not exist"),
        (
            f"select {GOOD} from pool where seconds > $least",
            "under parameters: least: {type: …, default: …, meaning: …}",
        ),
        (f"select {GOOD} from pool; select 1", "holds 2 statements"),
        ("drop table pool", "is one SELECT"),
        (f"selct {GOOD}", "syntax error"),
        (f"select {GOOD} from pool, range(2)", "twice"),
        ("select clip_id, 0 as weight, '' as reason from pool", "finite and above 0"),
        ("select clip_id, null as weight, '' as reason from pool", "finite and above 0"),
        ("select null as clip_id, 1 as weight, '' as reason from pool", "clip_id is null"),
    ],
)
def test_a_statement_that_cannot_be_used_is_refused_in_words(sql: str, said: str, own: Callable[..., Subset], some):
    subset = own(sql)
    with some.connect() as connection:
        for use in (select_subset, waterfall):
            with pytest.raises(ValueError, match=f"(?is)mine.sql: .*{re.escape(said)}"):
                use(connection, subset)


def test_a_condition_that_the_statement_lacks_is_refused(own: Callable[..., Subset], some: MadeLake):
    with some.connect() as connection, pytest.raises(ValueError, match="declares the condition is_long"):
        waterfall(connection, own(f"select {GOOD} from pool", "conditions: {is_long: long}"))


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (
            X + "{type: double, meaning: what}",
            "the field parameters.x.default is missing; write a parameter as NAME: ",
        ),
        (
            X + "{type: number, default: 1, meaning: what}",
            "x.type: Input should be 'bigint', 'double', 'text'",
        ),
        (X + "{type: bigint, default: 1.5, meaning: what}", "parameters.x: x takes a whole number, not 1.5"),
        (X + "{type: double, default: 2, min: 0, max: 1, meaning: what}", "parameters.x: x takes a number from 0 to 1"),
        (X + "{type: text, default: a, min: 0, meaning: what}", "parameters.x: only numbers have min and max"),
        (
            X + "{type: bigint, default: 1, meaning: what, least: 0}",
            "there is no field parameters.x.least; write a",
        ),
        (X + "{type: text, default: no, meaning: what}", "parameters.x: x takes text, not False"),
        (X + "1", "parameters.x: Input should be a valid dictionary or instance of Parameter, not 1"),
        (SEED + "{type: text, default: a, meaning: what}", "seed; declared again it must be a bigint"),
        (SEED + "{type: bigint, default: null, meaning: a}", "seed; declared again it must be a bigint with a default"),
        ("description: seconds\n-- reads: [nowhere]", "reads: there is no table 'nowhere'; there are sources"),
        (
            "needs: [clip_scores]",
            "there is no field needs; a header has the fields title, description, parameters",
        ),
        ("title: Another", "title is declared a second time"),
        ("reads: clip_scores", "reads: Input should be a valid list, not 'clip_scores'"),
        (
            "description: why: the reason",
            "this is no YAML: mapping values are not allowed here. Put a text",
        ),
        ("- title", "this is no YAML"),
    ],
)
def test_a_header_that_cannot_be_read_is_refused_with_line_and_field(
    header: str, said: str, own: Callable[..., Subset]
):
    with pytest.raises(ValueError, match=rf"mine\.sql, line [34]: .*{re.escape(said)}"):
        own("select 1", header)


def test_a_header_that_is_none_and_a_name_that_is_none_are_refused(tmp_path: Path):
    for name, text, said in (
        ("mine", "select 1", "mine.sql, line 1: the file must begin with a header: the lines `-- ---`, `-- title: …`"),
        ("mine", "-- ---\n-- title: T\nselect 1", "line 3: the header has no end: write the line `-- ---` above"),
        ("mine", "-- ---\n-- title: T", "line 2: the header has no end: write the line `-- ---` below"),
        ("mine", "-- ---\n-- reads: []\n-- ---\nselect 1", "line 2: the field title is missing; a header has"),
        ("mine", "-- ---\n-- Mine\n-- ---\nselect 1", "line 2: a header consists of fields: -- title: …"),
        ("My one", "-- ---\n-- title: T\n-- ---\nselect 1", "is named by"),
    ):
        (tmp_path / f"{name}.sql").write_text(text)
        with pytest.raises(ValueError, match=re.escape(said)):
            read_subset(tmp_path / f"{name}.sql")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"treshold": 0.3}, "flt has no parameter 'treshold'; it has score, share, threshold, clips, seed"),
        ({"share": "0.3"}, "share takes a number from 0 to 1, not '0.3'"),
        ({"share": 30}, "share takes a number from 0 to 1, not 30"),
        ({"share": math.nan}, "share takes a number from 0 to 1, not nan"),
        ({"share": None}, "share takes a number from 0 to 1, not None"),
        ({"clips": 2.5}, "clips takes a whole number of at least 0 or null, not 2.5"),
        ({"clips": True}, "clips takes a whole number"),
        ({"clips": -1}, "clips takes a whole number of at least 0"),
        ({"score": 3}, "score takes text, not 3"),
        ({"test_share": 0.7, "validation_share": 0.4}, "make 1.1 of all videos, more than 1"),
    ],
)
def test_values_that_a_parameter_does_not_take_are_refused(values: dict[str, Any], said: str, some: MadeLake):
    with some.connect() as connection, pytest.raises(ValueError, match=re.escape(said)):
        select_subset(connection, subset_named("flt"), values)


def test_settings_are_read_as_their_types():
    flt = subset_named("flt")
    given = flt.parsed(["share=0.5", "clips=1_000", "score=a=b", "threshold=null"])
    assert given == {"share": 0.5, "clips": 1000, "score": "a=b", "threshold": None}
    for wrong, said in (("share", "NAME=VALUE"), ("share=much", "share takes a number"), ("x=1", "no parameter 'x'")):
        with pytest.raises(ValueError, match=said):
            flt.parsed([wrong])


def test_a_version_names_what_differs_and_changes_with_values_and_statement_only(own: Callable[..., Subset]):
    flt = subset_named("flt")
    assert re.fullmatch(r"flt\+[0-9a-f]{8}", flt.version())
    assert re.fullmatch(r"flt\+share=0.5\+clips=10\+[0-9a-f]{8}", flt.version({"clips": 10, "share": 0.5}))
    assert flt.version({"share": 0.3}) == flt.version()
    plain = own(f"select {GOOD} from pool").version()
    assert own(f"-- why\nselect {GOOD} from pool", "description: More.").version() == plain
    assert own(f"select {GOOD} from pool where seconds > 1").version() != plain
    assert own(f"select {GOOD} from pool", SEED + "{type: bigint, default: 1, meaning: of the draw}").version() != plain


def test_the_common_parameters_are_those_of_every_subset():
    for subset in subsets().values():
        assert list(subset.parameters)[-len(COMMON_PARAMETERS) :] == [parameter.name for parameter in COMMON_PARAMETERS]


def test_sql_of_users_reads_neither_files_nor_the_network(
    own: Callable[..., Subset], tmp_path: Path, new_lake: Callable[[Path], Lake]
):
    secret = tmp_path / "secret.csv"
    secret.write_text("clip_id\nx\n")
    lake = new_lake(tmp_path / "lake")
    subset = own(f"select {GOOD} from read_csv('{secret}')")
    with connected(lake, subset, at=None) as connection:
        assert ids(connection, subset_named("all")) == []
        with pytest.raises(ValueError, match="disabled"):
            select_subset(connection, subset)
