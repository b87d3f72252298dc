"""`clip_scores`: what models think of a clip. Scores, never deletions: what to leave out is the choice of a subset."""

from collections.abc import Iterator
from random import Random
from typing import Any

import dagster as dg
import pyarrow as pa

from assets.clip_captions import clip_captions
from assets.clip_embeddings import clip_embeddings
from assets.ingest_batches import ingest_batches
from internvid.video.jpeg import rgb_of_jpeg
from resources.aligner import ActiveCheckpoint, Aligner
from resources.costs import Cost
from resources.door import stopwatch
from resources.lake import Lake
from resources.refresh import (
    Done,
    Failed,
    Outcome,
    Output,
    Rows,
    Step,
    Unit,
    batch_counts_spec,
    refresh,
    together_or_one_by_one,
)
from resources.samples import rows_sample
from resources.schema import CLIP_SCORES
from resources.scorer import ClipToScore, NoScore, Scorer
from resources.statements import statement

SIMILARITY = "video_text_similarity"  # cosine of the clip's vector and its caption's, by the active checkpoint
SIMILARITY_VERSION = "cosine-1"

DECLARED = pa.schema([("score", pa.string()), ("rests_on", pa.string())])

Scorers = dict[str, Scorer]  # by the name of the score


def by_score(
    aesthetics: Scorer, frame_text_similarity: Scorer, text_overlay: Scorer, watermark: Scorer, safety: Scorer
) -> Scorers:
    """aesthetics: how good it looks. frame_text_similarity: of one frame and the caption. text_overlay: share of the
    picture under written text. watermark, safety: how probable a watermark, an unsafe picture is. Those without a
    model are left out: a row for each clip that says nothing would be the largest table of the lake, and a subset's
    condition on such a score tells that it is not there.
    """
    scorers = {
        "aesthetics": aesthetics,
        "frame_text_similarity": frame_text_similarity,
        "text_overlay": text_overlay,
        "watermark": watermark,
        "safety": safety,
    }
    return {score: scorer for score, scorer in scorers.items() if scorer.is_set}


def step(scorers: Scorers, active: ActiveCheckpoint | None) -> Step:
    """Each score has the version of its scorer. The similarity rests on the vectors alone: it needs no version of the
    model that made them, and is there once a checkpoint is active.
    """
    versions = {SIMILARITY: SIMILARITY_VERSION}
    rests_on = {} if active is None else {SIMILARITY: "vectors"}
    for score, scorer in scorers.items():
        versions[score] = f"{scorer.version}+{scorer.frames}-{scorer.frame_choice}-frames"
        rests_on[score] = "frames and caption" if scorer.reads_caption else "frames"
    declared = pa.table({"score": list(rests_on), "rests_on": list(rests_on.values())}, DECLARED)
    chunk = max((scorer.clips_per_call for scorer in scorers.values()), default=1024) * len(versions)
    return Step("clip_scores", "clip_scores_units", (Output(CLIP_SCORES, versions),), chunk=chunk, declared=declared)


@dg.asset(
    partitions_def=ingest_batches,
    deps=[dg.AssetKey("clips"), dg.AssetKey("frames"), clip_captions, clip_embeddings],
    group_name="vectors",
    pool="score",
    kinds={"lance"},
    check_specs=[batch_counts_spec("clip_scores")],
    description="Scores of each clip, by one model each: similarity to its caption, aesthetics, text overlay, safety.",
)
def clip_scores(
    context: dg.AssetExecutionContext,
    lake: Lake,
    aligner: Aligner,
    aesthetics: Scorer,
    frame_text_similarity: Scorer,
    text_overlay: Scorer,
    watermark: Scorer,
    safety: Scorer,
) -> Iterator[dg.MaterializeResult]:
    """One row is a score of a clip. Changes when what it is computed from does."""
    scorers = by_score(aesthetics, frame_text_similarity, text_overlay, watermark, safety)
    yield from refresh(
        context,
        lake,
        step(scorers, aligner.active(lake)),
        lambda units: together_or_one_by_one(units, lambda some: score(lake, scorers, some)),
        sample=lambda table: rows_sample(lake, table, context.partition_key),
    )


def score(lake: Lake, scorers: Scorers, units: list[Unit]) -> list[Outcome]:
    """A row for each unit, a score of a clip. Frames are read and decoded once for all scores."""
    outcomes: dict[str, Outcome] = {}
    similar = [unit for unit in units if unit.variant == SIMILARITY]
    if similar:
        outcomes |= {outcome.unit.key: outcome for outcome in similarities(lake, similar)}
    of_frames = [unit for unit in units if unit.variant != SIMILARITY]
    if of_frames:
        clips = _clips(lake, {unit.label: None for unit in of_frames})
        choices = _Frames(lake, list(clips))
        for name, scorer in scorers.items():
            of_score = [unit for unit in of_frames if unit.variant == name]
            outcomes |= {outcome.unit.key: outcome for outcome in _by_scorer(scorer, of_score, clips, choices)}
    return [outcomes[unit.key] for unit in units]


def _by_scorer(
    scorer: Scorer, units: list[Unit], clips: dict[str, dict[str, Any]], frames: "_Frames"
) -> Iterator[Outcome]:
    if not units:
        return
    to_score = [ClipToScore(unit.label, frames.of(unit.label, scorer), clips[unit.label]["caption"]) for unit in units]
    with stopwatch() as watch:
        values = scorer.score(to_score)
    for unit, clip, value in zip(units, to_score, values, strict=True):
        cost = Cost.of(scorer, watch.seconds / len(units), frames=len(clip.frames))
        if isinstance(value, Exception) and not isinstance(value, NoScore):
            yield Failed(unit, value, cost)
            continue
        row = {
            "score_id": unit.key,
            "clip_id": unit.label,
            "video_id": clips[unit.label]["video_id"],
            "score": unit.variant,
            "value": None if isinstance(value, NoScore) else float(value),
            "reason": str(value) if isinstance(value, NoScore) else None,
            "model": scorer.model,
            "revision": scorer.revision,
        }
        yield Done(unit, (Rows.of([row], CLIP_SCORES),), cost=cost)


def _clips(lake: Lake, clip_ids: dict[str, None]) -> dict[str, dict[str, Any]]:
    """video_id and caption of each clip."""
    rows = lake.query(
        "select clips.clip_id, clips.video_id, clip_captions.caption from clips "
        "left join clip_captions using (clip_id) where clips.clip_id in (select unnest($clip_ids))",
        {"clip_ids": list(clip_ids)},
    ).to_pylist()
    return {row["clip_id"]: row for row in rows}


class _Frames:
    """The stored frames of some clips, read and decoded when first asked for."""

    def __init__(self, lake: Lake, clip_ids: list[str]) -> None:
        self.lake = lake
        rows = lake.query(statement("operations/frames_of_clips"), {"clip_ids": clip_ids})
        self.of_clip = dict(zip(rows["clip_id"].to_pylist(), rows["frame_ids"].to_pylist(), strict=True))
        self.pictures: dict[str, Any] = {}

    def of(self, clip_id: str, scorer: Scorer) -> list[Any]:
        """As many as the scorer looks at, [height, width, 3] uint8; fewer where the clip has fewer."""
        from internvid.viclip.frame_choice import middle_frames

        there = self.of_clip[clip_id]
        if scorer.frame_choice == "random":
            random = Random(clip_id)
            chosen = sorted(random.sample(range(len(there)), min(scorer.frames, len(there))))
        else:
            chosen = sorted(set(middle_frames(len(there), scorer.frames)))
        wanted = [there[at] for at in chosen]
        missing = [frame_id for frame_id in wanted if frame_id not in self.pictures]
        if missing:
            jpegs = self.lake.fetch("frames", missing, ["jpeg"])["jpeg"].to_pylist()
            self.pictures |= {frame_id: rgb_of_jpeg(jpeg) for frame_id, jpeg in zip(missing, jpegs, strict=True)}
        return [self.pictures[frame_id] for frame_id in wanted]


def similarities(lake: Lake, units: list[Unit]) -> list[Done]:
    """A row for each unit, a clip: the cosine of its frames' vector and its caption's."""
    import numpy as np

    vectors = {}
    for kind in ("video", "caption"):
        keys = [f"{unit.label}/{kind}" for unit in units]
        rows = lake.fetch("clip_embeddings", keys, ["vector", "model", "video_id"]).combine_chunks()
        vectors[kind] = rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(units), -1)
    cosines = np.einsum("nd,nd->n", vectors["video"], vectors["caption"]).astype(float)
    outcomes: list[Done] = []
    of_clip = rows.select(["model", "video_id"]).to_pylist()
    for unit, cosine, known in zip(units, cosines, of_clip, strict=True):
        row = {
            "score_id": unit.key,
            "clip_id": unit.label,
            "video_id": known["video_id"],
            "score": unit.variant,
            "value": float(cosine),
            "reason": None,
            "model": known["model"],
            "revision": None,
        }
        outcomes.append(Done(unit, (Rows.of([row], CLIP_SCORES),)))
    return outcomes
