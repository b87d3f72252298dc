"""`clip_scores`: scores of clips by models. No clip is deleted because of a score: a subset chooses by scores."""

from collections.abc import Iterator
from random import Random
from typing import Any

import pyarrow as pa

from internvid.video.jpeg import rgb_of_jpeg
from resources.incremental.costs import Cost
from resources.incremental.declaration import Configuration, CostDrivers, StageRun, StageScope, stage
from resources.incremental.stage import Done, Failed, Outcome, Rows, Unit, together_or_one_by_one
from resources.lake.schema import CLIP_SCORES
from resources.lake.statements import statement
from resources.lake.store import Lake
from resources.models.aligner import Aligner
from resources.models.provider import stopwatch
from resources.models.scorers.scorer import ClipToScore, NoScore, Scorer

SIMILARITY = "video_text_similarity"  # cosine of the clip's vector and its caption's, by the active checkpoint
SIMILARITY_VERSION = "cosine-1"

PARAMETERS = pa.schema([("score", pa.string()), ("depends_on", pa.string())])

Scorers = dict[str, Scorer]  # by the name of the score

SCORERS = ("aesthetics", "frame_text_similarity", "text_overlay", "watermark", "safety")


def enabled_scorers(scorers: Scorers) -> Scorers:
    """Returns the scorers that are enabled, by the name of their score.

    aesthetics: how good the clip looks. frame_text_similarity: cosine of one frame and the caption. text_overlay: share
    of the picture under written text. watermark, safety: probability of a watermark, of an unsafe picture. A score
    whose scorer is not enabled has no rows: empty rows for each clip would be the largest table of the lake, and a
    subset's condition on such a score reports that the score is missing.
    """
    return {score: scorers[score] for score in SCORERS if scorers[score].is_enabled}


def configure(scope: StageScope, *, aligner: Aligner, **scorers: Scorer) -> Configuration:
    """Each score has the version of its scorer.

    The similarity depends only on the vectors, whose provenance covers the model. It is computed once a checkpoint is
    active.
    """
    enabled = enabled_scorers(scorers)
    has_vectors = scope.lake is not None and aligner.active(scope.lake) is not None
    versions = {SIMILARITY: SIMILARITY_VERSION}
    depends_on = {SIMILARITY: "vectors"} if has_vectors else {}
    for score, scorer in enabled.items():
        versions[score] = f"{scorer.version}+{scorer.frames}-{scorer.frame_choice}-frames"
        depends_on[score] = "frames and caption" if scorer.reads_caption else "frames"
    parameters = pa.table({"score": list(depends_on), "depends_on": list(depends_on.values())}, PARAMETERS)
    chunk_size = max((scorer.clips_per_call for scorer in enabled.values()), default=1024) * len(versions)
    return Configuration((versions,), chunk_size, parameters)


@stage(
    group="vectors",
    outputs=(CLIP_SCORES,),
    configure=configure,
    pool="score",
    kinds=("lance", "pytorch"),
    providers=SCORERS,
    resources=("aligner",),
    variants={score: score for score in SCORERS},
    samples={CLIP_SCORES.name: ("score", "value", "model", "clip_id")},
    cost=CostDrivers(requests=dict.fromkeys(SCORERS, "clips")),
    workers="gpu",
)
def clip_scores(
    run: StageRun,
    units: list[Unit],
    *,
    aligner: Aligner,
    aesthetics: Scorer,
    frame_text_similarity: Scorer,
    text_overlay: Scorer,
    watermark: Scorer,
    safety: Scorer,
) -> Iterator[Outcome]:
    """Scores of each clip, by one model each: similarity to its caption, aesthetics, text overlay, safety.

    No clip is deleted because of a score: a subset chooses by scores. A score changes when its inputs do.
    """
    scorers = enabled_scorers(
        {
            "aesthetics": aesthetics,
            "frame_text_similarity": frame_text_similarity,
            "text_overlay": text_overlay,
            "watermark": watermark,
            "safety": safety,
        }
    )
    yield from together_or_one_by_one(units, lambda chunk: score(run, scorers, chunk))


def score(run: StageRun, scorers: Scorers, units: list[Unit]) -> list[Outcome]:
    """Scores each unit, a score of a clip. Frames are read and decoded once for all scores."""
    outcomes: dict[str, Outcome] = {}
    similar = [unit for unit in units if unit.variant == SIMILARITY]
    if similar:
        outcomes |= {outcome.unit.key: outcome for outcome in similarities(run.lake, similar)}
    of_frames = [unit for unit in units if unit.variant != SIMILARITY]
    if of_frames:
        clips = _clips(run, {unit.label: None for unit in of_frames})
        choices = _Frames(run, list(clips))
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
        cost = Cost.of(scorer, watch.spent / len(units), frames=len(clip.frames))
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


def _clips(run: StageRun, clip_ids: dict[str, None]) -> dict[str, dict[str, Any]]:
    """Returns video_id and caption of each clip, by clip id."""
    rows = run.query(
        "select clips.clip_id, clips.video_id, clip_captions.caption from clips "
        "left join clip_captions using (clip_id) where clips.clip_id in (select unnest($clip_ids))",
        {"clip_ids": list(clip_ids)},
    ).to_pylist()
    return {row["clip_id"]: row for row in rows}


class _Frames:
    """The stored frames of clips, each read and decoded when it is first used."""

    def __init__(self, run: StageRun, clip_ids: list[str]) -> None:
        self.lake = run.lake
        rows = run.query(statement("inputs/frames_of_clips"), {"clip_ids": clip_ids})
        self.of_clip = dict(zip(rows["clip_id"].to_pylist(), rows["frame_ids"].to_pylist(), strict=True))
        self.pictures: dict[str, Any] = {}

    def of(self, clip_id: str, scorer: Scorer) -> list[Any]:
        """Returns up to `scorer.frames` frames of the clip, [height, width, 3] uint8."""
        from internvid.viclip.frame_choice import middle_frames

        frame_ids = self.of_clip[clip_id]
        if scorer.frame_choice == "random":
            random = Random(clip_id)
            chosen = sorted(random.sample(range(len(frame_ids)), min(scorer.frames, len(frame_ids))))
        else:
            chosen = sorted(set(middle_frames(len(frame_ids), scorer.frames)))
        wanted = [frame_ids[position] for position in chosen]
        missing = [frame_id for frame_id in wanted if frame_id not in self.pictures]
        if missing:
            jpegs = self.lake.fetch("frames", missing, ["jpeg"])["jpeg"].to_pylist()
            self.pictures |= {frame_id: rgb_of_jpeg(jpeg) for frame_id, jpeg in zip(missing, jpegs, strict=True)}
        return [self.pictures[frame_id] for frame_id in wanted]


def similarities(lake: Lake, units: list[Unit]) -> list[Done]:
    """Computes for each unit, a clip, the cosine of its frames' vector and its caption's vector."""
    import numpy as np

    vectors = {}
    clip_ids = [unit.label for unit in units]
    for table in ("clip_embeddings", "caption_embeddings"):
        rows = lake.fetch(table, clip_ids, ["vector", "model", "video_id"]).combine_chunks()
        vectors[table] = rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(units), -1)
    cosines = np.einsum("nd,nd->n", vectors["clip_embeddings"], vectors["caption_embeddings"]).astype(float)
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
