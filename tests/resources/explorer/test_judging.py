"""Samples for people to judge, what they said, and what it says about the whole."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from lake_copies import IN_A_FOLDER

from resources.corpus.snapshots import take_snapshot
from resources.corpus.subsets import connected, read_subset, select_subset
from resources.explorer.judging import (
    REST,
    Draw,
    NothingToDraw,
    NotJudgeable,
    allocation,
    caption_digest,
    draw,
    judgements_of,
    merged,
    pair_of,
    places,
    record,
    record_comparison,
    samples,
    undo,
)
from resources.lake.schema import JUDGEMENTS, REVIEW_SAMPLES
from resources.lake.statements import statement
from resources.lake.store import Lake


def fill(lake: Lake, clips: int, *, model: str = "m1", caption: str = "a dog runs") -> list[str]:
    """Writes videos of ten clips of 1, 3 or 30 s each, captioned; every second has an aesthetic score. Returns ids."""
    ids = [f"{number // 10:016x}_{number}" for number in range(clips)]
    video_ids = [clip_id[:16] for clip_id in ids]
    same = {"video_id": video_ids, "provenance": ["p"] * clips, "digest": [f"{model}{caption}"] * clips}
    seconds = [(1.0, 3.0, 30.0)[number % 3] for number in range(clips)]
    clips_rows = {"clip_id": ids, "start_seconds": [0.0] * clips, "end_seconds": seconds, "version": ["cut"] * clips}
    lake.upsert("clips", pl.DataFrame(clips_rows | same))
    captions = {"clip_id": ids, "caption": [f"{caption} {number}" for number in range(clips)], "model": [model] * clips}
    lake.upsert("clip_captions", pl.DataFrame(captions | same | {"provenance": [model + caption] * clips}))
    scored = [number for number in range(clips) if number % 2]
    scores = {
        "score_id": [f"{ids[number]}/aesthetics" for number in scored],
        "clip_id": [ids[number] for number in scored],
        "score": ["aesthetics"] * len(scored),
        "value": [number / clips for number in scored],
        "provenance": ["p"] * len(scored),
    }
    lake.upsert("clip_scores", pl.DataFrame(scores))
    return ids


def rows_of(lake: Lake, sample: str) -> pl.DataFrame:
    return lake.polars(REVIEW_SAMPLES.name, only={"sample": sample}).sort("position")


# --- samples ------------------------------------------------------------------------------------------------------


@IN_A_FOLDER
def test_a_sample_has_clips_of_every_stratum_in_proportion_and_no_clip_twice(lake):
    fill(lake, 300)
    rows = rows_of(lake, draw(lake, Draw(60), drawn_by="ann"))
    assert rows["clip_id"].n_unique() == rows.height == 60
    assert rows["position"].to_list() == list(range(1, 61))
    assert set(rows["population_clips"]) == {300}
    of_strata = rows.group_by("stratum").agg(pl.len().alias("drawn"), pl.col("stratum_clips").first())
    assert of_strata["stratum_clips"].sum() == 300
    assert of_strata.height == 12, "three durations, and three scores or none"
    assert of_strata["drawn"].min() >= 2
    assert "no category · 2–4 s · aesthetics low · m1" in of_strata["stratum"].to_list()
    for drawn, clips in of_strata.select("drawn", "stratum_clips").iter_rows():
        assert abs(drawn - 60 * clips / 300) < 2


@IN_A_FOLDER
def test_the_strata_are_what_their_names_say(lake):
    ids = fill(lake, 60)
    rows = rows_of(lake, draw(lake, Draw(60, strata_by=("duration",)), drawn_by="ann"))
    seconds = {clip_id: (1.0, 3.0, 30.0)[number % 3] for number, clip_id in enumerate(ids)}
    in_words = {1.0: "0–2 s", 3.0: "2–4 s", 30.0: ">20 s"}
    assert {row["clip_id"]: row["stratum"] for row in rows.to_dicts()} == {
        clip_id: in_words[seconds[clip_id]] for clip_id in ids
    }


@IN_A_FOLDER
def test_the_same_seed_draws_the_same_clips_in_the_same_order_and_another_seed_others(lake):
    fill(lake, 100)
    first, again, other = (
        rows_of(lake, draw(lake, Draw(20, seed=seed), drawn_by="ann"))["clip_id"].to_list() for seed in (1, 1, 2)
    )
    assert first == again != other


def test_more_strata_than_a_sample_can_hold_are_made_one():
    sizes = {f"s{number:02}": 100 - number for number in range(40)}
    strata = merged(sizes, 5)
    assert list(strata) == ["s00", "s01", "s02", "s03", REST]
    assert sum(strata.values()) == sum(sizes.values())
    assert merged({"a": 1, "b": 2}, 5) == {"b": 2, "a": 1}
    assert merged(sizes, 0) == {REST: sum(sizes.values())}


@pytest.mark.parametrize("clips", [1, 2, 3, 7, 20, 99, 250])
def test_an_allocation_adds_up_and_gives_no_stratum_more_than_it_has(clips):
    sizes = {"large": 100, "middle": 30, "small": 3, "single": 1}
    allotted = allocation(sizes, clips)
    assert sum(allotted.values()) == min(clips, 134)
    assert all(0 <= allotted[stratum] <= size for stratum, size in sizes.items())
    if clips >= 7:
        assert all(allotted[stratum] >= min(2, size) for stratum, size in sizes.items())


@IN_A_FOLDER
def test_a_sample_of_a_subset_has_its_clips_alone(lake):
    ids = fill(lake, 40)
    of_subset = {"subset_clip_id": [f"s/{clip_id}" for clip_id in ids[:5]], "subset": ["s"] * 5, "clip_id": ids[:5]}
    lake.upsert("subsets", pl.DataFrame(of_subset))
    rows = rows_of(lake, draw(lake, Draw(20, subset="s"), drawn_by="ann"))
    assert set(rows["clip_id"]) == set(ids[:5])
    with pytest.raises(NothingToDraw, match="no clip has a caption in the subset other"):
        draw(lake, Draw(20, subset="other"), drawn_by="ann")


@pytest.mark.parametrize("wanted", [Draw(0), Draw(1001), Draw(5, strata_by=("colour",))])
@IN_A_FOLDER
def test_a_draw_that_cannot_be_is_refused(lake, wanted):
    with pytest.raises(ValueError, match=r"a sample has 1 to 1,000 clips|no strata by colour"):
        draw(lake, wanted, drawn_by="ann")


# --- judgements ---------------------------------------------------------------------------------------------------


@IN_A_FOLDER
def test_judgements_say_who_when_and_whose_caption_it_was(lake):
    ids = fill(lake, 3)
    record(lake, ids[0], {"caption": "partly", "cut": "good", "safety": "unsafe"}, judge=" ann ", sample="s")
    rows = {row["what"]: row for row in lake.polars(JUDGEMENTS.name).to_dicts()}
    assert {what: (row["verdict"], row["model"]) for what, row in rows.items()} == {
        "caption": ("partly", "m1"),
        "cut": ("good", "cut"),
        "safety": ("unsafe", None),
    }
    assert {(row["judge"], row["sample"], row["video_id"]) for row in rows.values()} == {("ann", "s", ids[0][:16])}
    assert rows["caption"]["judged_digest"] == "m1a dog runs"
    assert all(row["written_at"] is not None for row in rows.values())
    assert [row["what"] for row in judgements_of(lake, ids[1])] == []


@IN_A_FOLDER
def test_what_is_no_verdict_or_of_no_clip_is_refused_and_nothing_is_written(lake):
    ids = fill(lake, 1)
    for clip_id, verdicts, judge in [
        (ids[0], {"caption": "excellent"}, "ann"),
        (ids[0], {"colour": "good"}, "ann"),
        (ids[0], {"comparison": "a"}, "ann"),
        (ids[0], {}, "ann"),
        (ids[0], {"caption": "good"}, "  "),
        ("gone", {"caption": "good"}, "ann"),
    ]:
        with pytest.raises(NotJudgeable):
            record(lake, clip_id, verdicts, judge=judge)
    assert lake.polars(JUDGEMENTS.name).height == 0


@IN_A_FOLDER
def test_a_caption_that_was_written_again_since_it_was_shown_is_not_judged(lake):
    (clip_id,) = fill(lake, 1)
    shown = caption_digest(lake, clip_id)
    fill(lake, 1, model="m2", caption="a cat sleeps")
    with pytest.raises(NotJudgeable, match="captioned again since you saw it"):
        record(lake, clip_id, {"caption": "good"}, judge="ann", shown_digest=shown)
    assert lake.polars(JUDGEMENTS.name).height == 0
    record(lake, clip_id, {"caption": "good"}, judge="ann", shown_digest=caption_digest(lake, clip_id))
    assert lake.polars(JUDGEMENTS.name)["model"].to_list() == ["m2"]


@IN_A_FOLDER
def test_progress_counts_clips_of_each_judge_and_undo_takes_back_the_last_one(lake):
    fill(lake, 30)
    sample = draw(lake, Draw(6), drawn_by="ann")
    clips = [place.clip_id for place in places(lake, sample, "ann")]
    for clip_id in clips[:3]:
        record(lake, clip_id, {"caption": "good", "cut": "good"}, judge="ann", sample=sample)
    record(lake, clips[0], {"caption": "wrong"}, judge="bob", sample=sample)
    assert [place.is_judged for place in places(lake, sample, "ann")] == [True] * 3 + [False] * 3
    assert undo(lake, judge="ann", sample=sample) == clips[2]
    assert [place.is_judged for place in places(lake, sample, "ann")] == [True] * 2 + [False] * 4
    (row,) = samples(lake, "bob")
    assert (row["clips"], row["judged"], row["judged_by_judge"]) == (6, 2, 1)
    assert undo(lake, judge="bob", sample=None) is None, "of no sample"
    record(lake, clips[1], {"caption": "good"}, judge="bob")
    record(lake, clips[2], {"caption": "good"}, judge="bob")
    assert undo(lake, judge="bob", sample=None, clip_id=clips[1]) == clips[1]
    assert [row["judge"] for row in judgements_of(lake, clips[1])] == ["ann"] * 2
    assert undo(lake, judge="bob", sample=sample) == clips[0]
    assert undo(lake, judge="bob", sample=sample) is None


@IN_A_FOLDER
def test_a_subset_can_leave_out_what_was_judged_wrong(lake, tmp_path):
    ids = fill(lake, 4)
    lake.upsert("frames", pl.DataFrame({"frame_id": [f"{i}_0" for i in ids], "clip_id": ids, "provenance": ["p"] * 4}))
    record(lake, ids[1], {"caption": "wrong"}, judge="ann")
    record(lake, ids[2], {"caption": "good"}, judge="ann")
    file = tmp_path / "judged.sql"
    file.write_text(
        "-- ---\n-- title: Not judged wrong\n-- reads: [judgements]\n-- ---\n"
        "select clip_id, clip_id not in (select clip_id from judgements where verdict = 'wrong') as not_wrong, "
        "1 as weight, 'not judged wrong' as reason from pool"
    )
    subset = read_subset(file)
    with connected(lake, subset, at=None) as connection:
        assert select_subset(connection, subset).read_all()["clip_id"].to_pylist() == [ids[0], ids[2], ids[3]]


@IN_A_FOLDER
def test_a_snapshot_keeps_the_judgements_as_they_were(lake):
    ids = fill(lake, 2)
    record(lake, ids[0], {"caption": "good"}, judge="ann")
    snapshot, _, _ = take_snapshot(lake, run_id="test")
    record(lake, ids[1], {"caption": "good"}, judge="ann")
    later, _, is_new = take_snapshot(lake, run_id="test")
    assert is_new
    counts = [lake.query("select count(*) as n from judgements", at=at)["n"].to_pylist() for at in (snapshot, later)]
    assert counts == [[1], [2]]


# --- comparisons --------------------------------------------------------------------------------------------------


@IN_A_FOLDER
def test_two_captions_of_a_clip_are_compared_without_their_names_in_an_order_by_chance(lake):
    ids = fill(lake, 40, model="m1")
    snapshot, _, _ = take_snapshot(lake, run_id="test")
    fill(lake, 30, model="m2", caption="a cat sleeps")
    sample = draw(lake, Draw(20, snapshot=snapshot), drawn_by="ann")
    rows = rows_of(lake, sample)
    assert set(rows["clip_id"]) <= set(ids[:30]), "the others have the same caption in both"
    assert set(rows["population_clips"]) == {30}
    assert {stratum.split(" · ")[-1] for stratum in rows["stratum"]} == {"m1 / m2", REST}

    first_of: Counter[str] = Counter()
    for position, clip_id in enumerate(rows["clip_id"]):
        pair = pair_of(lake, sample, clip_id, "ann")
        assert pair is not None
        assert pair == pair_of(lake, sample, clip_id, "ann")
        assert (pair.caption_a[:5], pair.caption_b[:5]) == ("a dog", "a cat")
        assert set(pair.as_shown) == {pair.caption_a, pair.caption_b}
        first_of[pair.shown_first] += 1
        chosen = "equal" if position < 5 else "first" if pair.as_shown[0].startswith("a cat") else "second"
        record_comparison(lake, pair, chosen, judge="ann", sample=sample)
    assert min(first_of.values()) >= 4
    (row,) = lake.query(statement("statistics/judged_comparisons")).to_pylist()
    assert (row["model_a"], row["model_b"], row["judged"], row["share_b"]) == ("m1", "m2", 20, 1.0)
    fill(lake, 30, model="m3", caption="a bird sings")
    later = pair_of(lake, sample, pair.clip_id, "ann")
    assert later is not None
    with pytest.raises(NotJudgeable, match="captioned again since you saw it"):
        record_comparison(lake, later, "first", judge="ann", sample=sample, shown_digest=pair.digest)
    with pytest.raises(NotJudgeable, match="'both' is none of first, second, equal"):
        record_comparison(lake, pair, "both", judge="ann", sample=sample)


@IN_A_FOLDER
def test_without_two_different_captions_there_is_nothing_to_compare(lake):
    fill(lake, 5)
    snapshot, _, _ = take_snapshot(lake, run_id="test")
    with pytest.raises(NothingToDraw, match="no clip has another caption in the lake now"):
        draw(lake, Draw(5, snapshot=snapshot), drawn_by="ann")
    with pytest.raises(NothingToDraw, match="there is no snapshot 'corpus-nope'"):
        draw(lake, Draw(5, snapshot="corpus-nope"), drawn_by="ann")


# --- what judgements say about the whole --------------------------------------------------------------------------


def test_the_interval_holds_the_truth_in_95_of_100_samples():
    """A thousand samples of a made population whose shares are known, judged in part: an independent check."""
    chance = random.Random(7)
    population = {"common": (6_000, 0.9), "some": (800, 0.6), "rare": (40, 0.2)}
    truth = sum(size * share for size, share in population.values()) / 6_840
    verdicts = {
        stratum: ["good"] * round(size * share) + ["wrong"] * (size - round(size * share))
        for stratum, (size, share) in population.items()
    }
    allotted = allocation({stratum: size for stratum, (size, _) in population.items()}, 100)
    drawn: list[dict[str, Any]] = []
    judged: list[dict[str, Any]] = []
    for number in range(1_000):
        of_sample = [
            (stratum, verdict)
            for stratum, clips in allotted.items()
            for verdict in chance.sample(verdicts[stratum], clips)
        ]
        chance.shuffle(of_sample)
        for position, (stratum, verdict) in enumerate(of_sample[:80]):
            about = {"sample": f"s{number}", "clip_id": f"c{position}"}
            size = population[stratum][0]
            drawn.append(about | {"stratum": stratum, "stratum_clips": size, "population_clips": 6_840})
            judged.append(about | {"judgement_id": f"{number}/{position}", "what": "caption", "verdict": verdict})
    with duckdb.connect() as connection:
        connection.register("review_samples", pa.Table.from_pylist(drawn, schema=REVIEW_SAMPLES.arrow))
        connection.register("judgements", pa.Table.from_pylist(judged, schema=JUDGEMENTS.arrow))
        estimates = connection.sql(f"from ({statement('statistics/judged_precision')}) where model is null").pl()
    assert estimates.height == 1_000
    holds_truth = estimates.filter(pl.col("low") <= truth, pl.col("high") >= truth).height / 1_000
    assert 0.93 <= holds_truth <= 0.985
    assert estimates["share"].mean() == pytest.approx(truth, abs=0.005)
    unweighted = pl.DataFrame(judged).select(pl.col("verdict") == "good").to_series().mean()
    assert abs(unweighted - truth) > 0.005, "the sample has more of rare strata than the whole: weights matter"
    assert (estimates["high"] - estimates["low"]).mean() < 0.2


@pytest.mark.parametrize("kind", ["review", "comparison"])
def test_one_judgement_says_little_of_as_many_clips_as_the_paper_has(kind):
    drawn = {"sample_clip_id": "c/s", "sample": "s", "kind": kind, "clip_id": "c", "stratum": "all"}
    drawn |= {"stratum_clips": 234_000_000, "population_clips": 234_000_000}
    judged = {"judgement_id": "c/1", "sample": "s", "clip_id": "c"}
    judged |= {"what": "caption", "verdict": "good"} if kind == "review" else {"what": "comparison", "verdict": "b"}
    name, share = ("judged_precision", "share") if kind == "review" else ("judged_comparisons", "share_b")
    with duckdb.connect() as connection:
        connection.register("review_samples", pa.Table.from_pylist([drawn], schema=REVIEW_SAMPLES.arrow))
        connection.register("judgements", pa.Table.from_pylist([judged], schema=JUDGEMENTS.arrow))
        row = connection.sql(statement(f"statistics/{name}")).to_arrow_table().to_pylist()[0]
    # Of one good one, the interval reaches down to 1 / (1 + z^2).
    assert (row[share], row["low"], row["high"]) == (1.0, pytest.approx(1 / (1 + 1.959964**2), rel=1e-6), 1.0)
