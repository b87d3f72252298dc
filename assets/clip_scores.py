"""`clip_scores`: what models think of a clip. Scores, never deletions: what to leave out is the choice of a subset."""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa

from assets.clip_embeddings import clip_embeddings
from assets.ingest_batches import ingest_batches
from resources.aligner import ActiveCheckpoint, Aligner
from resources.lake import Lake
from resources.refresh import (
    Done,
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

SIMILARITY = "video_text_similarity"
SIMILARITY_VERSION = "cosine-1"


def step(active: ActiveCheckpoint | None) -> Step:
    """The similarity rests on the vectors alone: it needs no version of the model that made them."""
    declared = pa.table({"score": pa.array([] if active is None else [SIMILARITY], pa.string())})
    outputs = (Output(CLIP_SCORES, {SIMILARITY: SIMILARITY_VERSION}),)
    return Step("clip_scores", "clip_scores_units", outputs, chunk=1024, declared=declared)


@dg.asset(
    partitions_def=ingest_batches,
    deps=[dg.AssetKey("clips"), clip_embeddings],
    group_name="vectors",
    kinds={"lance"},
    check_specs=[batch_counts_spec("clip_scores")],
    description="Video-text similarity of each clip and its caption, by the active checkpoint.",
)
def clip_scores(context: dg.AssetExecutionContext, lake: Lake, aligner: Aligner) -> Iterator[dg.MaterializeResult]:
    """One row is a score of a clip. Changes when what it is computed from does."""
    yield from refresh(
        context,
        lake,
        step(aligner.active(lake)),
        lambda units: together_or_one_by_one(units, lambda some: similarities(lake, some)),
        sample=lambda table: rows_sample(lake, table, context.partition_key),
    )


def similarities(lake: Lake, units: list[Unit]) -> list[Outcome]:
    """A row for each unit, a clip: the cosine of its frames' vector and its caption's."""
    import numpy as np

    vectors = {}
    for kind in ("video", "caption"):
        keys = [f"{unit.label}/{kind}" for unit in units]
        rows = lake.fetch("clip_embeddings", keys, ["vector", "model", "video_id"]).combine_chunks()
        vectors[kind] = rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(units), -1)
    cosines = np.einsum("nd,nd->n", vectors["video"], vectors["caption"]).astype(float)
    outcomes: list[Outcome] = []
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
        }
        outcomes.append(Done(unit, (Rows.of([row], CLIP_SCORES),)))
    return outcomes
