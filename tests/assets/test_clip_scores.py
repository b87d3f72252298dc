"""Scores of clips by real models, through Dagster: which frames they are of, what a change costs, and AES from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import polars as pl
import pytest
from tiny_scorers import random_head, tiny_classifier, tiny_clip

from internvid.viclip.frame_choice import middle_frames
from internvid.video.jpeg import rgb_of_jpeg
from orchestration.house import House, Work
from resources.aesthetics import ClipHeadAesthetics
from resources.frame_text_similarity import ClipFrameTextSimilarity
from resources.image_classifier import ImageClassifierScorer
from resources.scorer import ClipToScore, Scorer
from resources.subsets import select_subset, subset_named, waterfall


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    tiny_clip(folder / "clip")
    tiny_classifier(folder / "classifier", "sfw", "nsfw")
    random_head(folder / "one.pth", seed=1)
    random_head(folder / "two.pth", seed=2)
    return folder


def aesthetics(models: Path, head: str = "one.pth") -> ClipHeadAesthetics:
    return ClipHeadAesthetics(weights=str(models / "clip"), head=str(models / head), device="cpu")


def similarity(models: Path) -> ClipFrameTextSimilarity:
    return ClipFrameTextSimilarity(weights=str(models / "clip"), device="cpu")


def scores(house: House, score: str) -> dict[str, float | None]:
    rows = house.lake.polars("clip_scores").filter(pl.col("score") == score).sort("clip_id")
    return dict(rows.select("clip_id", "value").rows())


def frames(house: House) -> dict[str, list[np.ndarray]]:
    """clip_id -> its stored frames in order of time."""
    rows = house.lake.polars("frames").sort("clip_id", "pts")
    return {
        clip_id: [rgb_of_jpeg(jpeg) for jpeg in of_clip["jpeg"]]
        for (clip_id,), of_clip in rows.group_by("clip_id", maintain_order=True)
    }


def alone(scorer: Scorer, pictures: list[np.ndarray], caption: str | None = None) -> float:
    (value,) = scorer.score([ClipToScore("any", pictures, caption)])
    assert isinstance(value, float)
    return value


def ids(house: House, name: str, **values: object) -> list[str]:
    subset = subset_named(name)
    with house.lake.connect(subset.tables, untrusted=True) as connection:
        return select_subset(connection, subset, values).read_all()["clip_id"].to_pylist()


def test_scores_by_models_are_of_the_right_frames_and_aes_is_chosen_by_them(
    house: House, open_house: Callable[[], House], ingest: Callable[..., Work], folder: Path, models: Path
):
    doors = {"aesthetics": aesthetics(models), "frame_text_similarity": similarity(models)}
    doors["safety"] = ImageClassifierScorer(weights=str(models / "classifier"), labels=["nsfw"], device="cpu")
    house.resources |= doors
    work = ingest(house, folder)
    # Four clips: each has two scores more, and aesthetics anew; the others, and everything before, stay.
    assert {table: rows for table, rows in work.rows.items() if any(rows.values())} == {
        "clip_scores": {"added": 8, "changed": 4, "removed": 0}
    }
    stored = frames(house)
    assert len(stored) == 4
    four = {clip: sorted(set(middle_frames(len(all_), 4))) for clip, all_ in stored.items()}
    one = {clip: Random(clip).sample(range(len(all_)), 1)[0] for clip, all_ in stored.items()}
    captions = dict(house.lake.polars("clip_captions").select("clip_id", "caption").rows())
    of_four = {clip: [stored[clip][at] for at in chosen] for clip, chosen in four.items()}
    assert scores(house, "aesthetics") == pytest.approx(
        {clip: alone(doors["aesthetics"], pictures) for clip, pictures in of_four.items()}, abs=1e-5
    )
    assert scores(house, "safety") == pytest.approx(
        {clip: alone(doors["safety"], pictures) for clip, pictures in of_four.items()}, abs=1e-5
    )
    assert scores(house, "frame_text_similarity") == pytest.approx(
        {clip: alone(doors["frame_text_similarity"], [stored[clip][at]], captions[clip]) for clip, at in one.items()},
        abs=1e-5,
    )
    assert scores(house, "watermark") == {}

    rows = house.lake.polars("clip_scores").filter(pl.col("score") == "aesthetics")
    assert set(rows["model"]) == {"clip+one"}
    assert set(rows["revision"]) == {doors["aesthetics"].revision}
    costs = house.lake.polars("costs").filter(pl.col("model") == "clip+one")
    assert (costs["units"].sum(), costs["frames"].sum()) == (4, sum(map(len, four.values())))

    by_score = sorted(scores(house, "aesthetics").items(), key=lambda item: item[1])
    limit = by_score[2][1]
    assert sorted(ids(house, "aes", threshold=limit)) == sorted(clip for clip, _ in by_score[2:])
    subset = subset_named("aes")
    with house.lake.connect(subset.tables, untrusted=True) as connection:
        step = waterfall(connection, subset, {"threshold": limit})[-1]
    assert (step.condition, step.removed, step.left, step.is_unknown) == ("good_looking", 2, 2, False)
    # FLT by CLIPScore, since the lake has one: the best 30 % of four are two.
    by_score = sorted(scores(house, "frame_text_similarity").items(), key=lambda item: item[1])
    assert sorted(ids(house, "flt_clipscore")) == sorted(clip for clip, _ in by_score[2:])

    before = scores(house, "frame_text_similarity"), scores(house, "aesthetics")
    house = open_house()
    house.resources |= {**doors, "aesthetics": aesthetics(models, "two.pth")}
    work = ingest(house, folder)
    assert work.rows["clip_scores"] == {"added": 0, "changed": 4, "removed": 0}
    assert scores(house, "frame_text_similarity") == before[0]
    assert scores(house, "aesthetics") != pytest.approx(before[1], abs=1e-3)


def test_a_model_that_cannot_score_leaves_attempts_and_no_number(
    house: House, ingest: Callable[..., Work], folder: Path, models: Path
):
    classifier = ImageClassifierScorer(weights=str(models / "classifier"), labels=["gore"], device="cpu")
    measured = scores(house, "aesthetics")
    house.resources |= {"aesthetics": aesthetics(models, "missing.pth"), "safety": classifier}
    ingest(house, folder)
    failed = house.lake.polars("attempts").filter(pl.col("stage") == "clip_scores").select("error_class", "message")
    assert sorted(failed.rows()) == [
        *[("FileNotFoundError", f"there is no file {models / 'missing.pth'}")] * 4,
        *[("ValueError", "classifier has no label gore; it has sfw, nsfw")] * 4,
    ]
    assert scores(house, "safety") == {}
    assert scores(house, "aesthetics") == measured, "the last good ones stay"
