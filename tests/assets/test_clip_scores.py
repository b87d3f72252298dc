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
from orchestration.cli.session import RunSummary, Session
from resources.corpus.subsets import connected, select_subset, subset_named, waterfall
from resources.incremental.faults import SystemFault
from resources.models.scorers.aesthetics import ClipHeadAesthetics
from resources.models.scorers.frame_text_similarity import ClipFrameTextSimilarity
from resources.models.scorers.image_classifier import ImageClassifierScorer
from resources.models.scorers.scorer import ClipToScore, Scorer

pytestmark = pytest.mark.slow


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


def scores(session: Session, score: str) -> dict[str, float | None]:
    rows = session.lake.polars("clip_scores").filter(pl.col("score") == score).sort("clip_id")
    return dict(rows.select("clip_id", "value").rows())


def frames(session: Session) -> dict[str, list[np.ndarray]]:
    """clip_id -> its stored frames in order of time."""
    rows = session.lake.polars("frames").sort("clip_id", "pts")
    return {
        clip_id: [rgb_of_jpeg(jpeg) for jpeg in of_clip["jpeg"]]
        for (clip_id,), of_clip in rows.group_by("clip_id", maintain_order=True)
    }


def alone(scorer: Scorer, pictures: list[np.ndarray], caption: str | None = None) -> float:
    (value,) = scorer.score([ClipToScore("any", pictures, caption)])
    assert isinstance(value, float)
    return value


def ids(session: Session, name: str, **values: object) -> list[str]:
    subset = subset_named(name)
    with connected(session.lake, subset, at=None) as connection:
        return select_subset(connection, subset, values).read_all()["clip_id"].to_pylist()


def test_scores_by_models_are_of_the_right_frames_and_aes_is_chosen_by_them(
    session: Session, open_session: Callable[[], Session], ingest: Callable[..., RunSummary], folder: Path, models: Path
):
    providers = {"aesthetics": aesthetics(models), "frame_text_similarity": similarity(models)}
    providers["safety"] = ImageClassifierScorer(weights=str(models / "classifier"), labels=["nsfw"], device="cpu")
    session.resources |= providers
    summary = ingest(session, folder)
    # Four clips: each has a score more, and aesthetics and safety anew; the others, and everything before, stay.
    assert {table: rows for table, rows in summary.rows.items() if any(rows.values())} == {
        "clip_scores": {"added": 4, "changed": 8, "removed": 0}
    }
    stored = frames(session)
    assert len(stored) == 4
    four = {clip: sorted(set(middle_frames(len(all_), 4))) for clip, all_ in stored.items()}
    one = {clip: Random(clip).sample(range(len(all_)), 1)[0] for clip, all_ in stored.items()}
    captions = dict(session.lake.polars("clip_captions").select("clip_id", "caption").rows())
    of_four = {clip: [stored[clip][at] for at in chosen] for clip, chosen in four.items()}
    assert scores(session, "aesthetics") == pytest.approx(
        {clip: alone(providers["aesthetics"], pictures) for clip, pictures in of_four.items()}, abs=1e-5
    )
    assert scores(session, "safety") == pytest.approx(
        {clip: alone(providers["safety"], pictures) for clip, pictures in of_four.items()}, abs=1e-5
    )
    assert scores(session, "frame_text_similarity") == pytest.approx(
        {
            clip: alone(providers["frame_text_similarity"], [stored[clip][at]], captions[clip])
            for clip, at in one.items()
        },
        abs=1e-5,
    )
    assert scores(session, "watermark") == {}

    rows = session.lake.polars("clip_scores").filter(pl.col("score") == "aesthetics")
    assert set(rows["model"]) == {"clip+one"}
    assert set(rows["revision"]) == {providers["aesthetics"].revision}
    costs = session.lake.polars("costs").filter(pl.col("model") == "clip+one")
    assert (costs["units"].sum(), costs["frames"].sum()) == (4, sum(map(len, four.values())))

    by_score = sorted(scores(session, "aesthetics").items(), key=lambda item: item[1])
    limit = by_score[2][1]
    assert sorted(ids(session, "aes", threshold=limit)) == sorted(clip for clip, _ in by_score[2:])
    subset = subset_named("aes")
    with connected(session.lake, subset, at=None) as connection:
        stage = waterfall(connection, subset, {"threshold": limit})[-1]
    assert (stage.condition, stage.removed, stage.left, stage.is_unknown) == ("good_looking", 2, 2, False)
    # FLT by CLIPScore, since the lake has one: the best 30 % of four are two.
    by_score = sorted(scores(session, "frame_text_similarity").items(), key=lambda item: item[1])
    assert sorted(ids(session, "flt_clipscore")) == sorted(clip for clip, _ in by_score[2:])

    before = scores(session, "frame_text_similarity"), scores(session, "aesthetics")
    session = open_session()
    session.resources |= {**providers, "aesthetics": aesthetics(models, "two.pth")}
    summary = ingest(session, folder)
    assert summary.rows["clip_scores"] == {"added": 0, "changed": 4, "removed": 0}
    assert scores(session, "frame_text_similarity") == before[0]
    assert scores(session, "aesthetics") != pytest.approx(before[1], abs=1e-3)


def test_a_model_that_cannot_be_loaded_ends_the_run_with_one_message_and_leaves_the_clips_pending(
    session: Session, open_session: Callable[[], Session], models: Path
):
    measured, safety = scores(session, "aesthetics"), scores(session, "safety")
    assert len(safety) == 4
    classifier = ImageClassifierScorer(weights=str(models / "classifier"), labels=["gore"], device="cpu")
    for name, scorer, why in (
        ("aesthetics", aesthetics(models, "missing.pth"), f"there is no file {models / 'missing.pth'}"),
        ("safety", classifier, "classifier has no label gore; it has sfw, nsfw"),
    ):
        session = open_session()
        session.resources[name] = scorer
        summary = RunSummary()
        with pytest.raises(SystemFault, match=r"^clip_scores: "):
            session.run_pending_batches(summary)
        (message,) = summary.failed_runs.values()
        assert message.startswith(f"clip_scores: {scorer.model} cannot be loaded: ")
        assert why in message
        assert session.counts()["clip_scores"]["pending"] == 4
    assert session.lake.polars("attempts").filter(pl.col("stage") == "clip_scores").is_empty()
    assert scores(session, "safety") == safety
    assert scores(session, "aesthetics") == measured, "the last good ones stay"
