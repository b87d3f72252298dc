"""`clip_embeddings`: vectors of clips and of their captions in one space, by the active checkpoint."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import dagster as dg
import pyarrow as pa

from assets.active_checkpoint import active_checkpoint
from assets.clip_captions import clip_captions
from assets.ingest_batches import ingest_batches
from internvid.video.jpeg import rgb_of_jpeg
from resources.aligner import ActiveCheckpoint, Aligner
from resources.costs import Cost
from resources.door import stopwatch
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
from resources.schema import CLIP_EMBEDDINGS, VECTOR_SIZE
from resources.statements import statement

if TYPE_CHECKING:
    import numpy as np

    from internvid.viclip.encoder import Encoder

KINDS = ("video", "caption")


def step(aligner: Aligner, active: ActiveCheckpoint | None) -> Step:
    """Nothing to do until a checkpoint is active; another one makes every vector anew."""
    version = "no checkpoint" if active is None else aligner.version(active)
    declared = pa.table({"kind": pa.array([] if active is None else list(KINDS), pa.string())})
    outputs = (Output(CLIP_EMBEDDINGS, dict.fromkeys(KINDS, version)),)
    return Step("clip_embeddings", "clip_embeddings_units", outputs, chunk=64, declared=declared)


@dg.asset(
    partitions_def=ingest_batches,
    deps=[dg.AssetKey("frames"), clip_captions, active_checkpoint],
    group_name="vectors",
    pool="embed",
    kinds={"lance", "torch"},
    check_specs=[batch_counts_spec("clip_embeddings")],
    description="ViCLIP vectors of each clip's frames and of its caption, by the active checkpoint.",
)
def clip_embeddings(context: dg.AssetExecutionContext, lake: Lake, aligner: Aligner) -> Iterator[dg.MaterializeResult]:
    """One row is a vector of a clip or of its caption. Changes when frames, caption or the active checkpoint do."""
    active = aligner.active(lake)
    if active is None:
        context.log.info("no checkpoint is active, so nothing is embedded: train one or activate one")

    def embed_units(units: list[Unit]) -> Iterator[Outcome]:
        assert active is not None, "without a checkpoint there are no units"
        encoder = aligner.encoder(lake, active)
        return together_or_one_by_one(units, lambda some: embed(lake, encoder, active, some, aligner.clips_per_call))

    yield from refresh(
        context,
        lake,
        step(aligner, active),
        embed_units,
        sample=lambda table: rows_sample(lake, table, context.partition_key),
    )


def embed(
    lake: Lake, encoder: "Encoder", active: ActiveCheckpoint, units: list[Unit], clips_per_call: int
) -> list[Outcome]:
    """A row for each unit, a clip's frames or its caption."""
    vectors: dict[str, np.ndarray] = {}
    costs: dict[str, Cost] = {}
    of_video = [unit for unit in units if unit.variant == "video"]
    of_caption = [unit for unit in units if unit.variant == "caption"]
    for first in range(0, len(of_video), clips_per_call):
        some = of_video[first : first + clips_per_call]
        videos = _pictures(lake, [unit.label for unit in some], encoder.frames)
        with stopwatch() as watch:
            vectors |= zip((unit.key for unit in some), encoder.encode_videos(videos), strict=True)
        cost = Cost(active.checkpoint_id, str(encoder.device), watch.seconds / len(some), frames=encoder.frames)
        costs |= dict.fromkeys((unit.key for unit in some), cost)
    if of_caption:
        captions = lake.fetch("clip_captions", [unit.label for unit in of_caption], ["caption"])["caption"].to_pylist()
        with stopwatch() as watch:
            vectors |= zip((unit.key for unit in of_caption), encoder.encode_texts(captions), strict=True)
        cost = Cost(active.checkpoint_id, str(encoder.device), watch.seconds / len(of_caption))
        costs |= dict.fromkeys((unit.key for unit in of_caption), cost)
    outcomes: list[Outcome] = []
    video_ids = lake.fetch("clips", [unit.label for unit in units], ["video_id"])["video_id"].to_pylist()
    for unit, video_id in zip(units, video_ids, strict=True):
        vector = vectors[unit.key]
        row = {
            "embedding_id": unit.key,
            "clip_id": unit.label,
            "video_id": video_id,
            "kind": unit.variant,
            "model": active.checkpoint_id,
            "dimensions": len(vector),
            "vector": padded(vector),
        }
        outcomes.append(Done(unit, (Rows.of([row], CLIP_EMBEDDINGS),), cost=costs[unit.key]))
    return outcomes


def padded(vector: "np.ndarray") -> "np.ndarray":
    """The vector at the size of the lake's, [VECTOR_SIZE] float32. Raises ValueError for a larger one."""
    import numpy as np

    if len(vector) > VECTOR_SIZE:
        raise ValueError(f"the model's vectors have {len(vector)} dimensions, more than the lake's {VECTOR_SIZE}")
    return np.pad(vector, (0, VECTOR_SIZE - len(vector))).astype(np.float32)


def _pictures(lake: Lake, clip_ids: Sequence[str], wanted: int) -> "list[np.ndarray]":
    """Frames of each clip, from the middle of each of `wanted` equal parts of those it has:
    [frames, height, width, 3] uint8.
    """
    import numpy as np

    from internvid.viclip.frame_choice import middle_frames

    rows = lake.query(statement("operations/frames_of_clips"), {"clip_ids": list(clip_ids)}, tables=["frames"])
    of_clip = dict(zip(rows["clip_id"].to_pylist(), rows["frame_ids"].to_pylist(), strict=True))
    chosen = {
        clip_id: [of_clip[clip_id][at] for at in middle_frames(len(of_clip[clip_id]), wanted)] for clip_id in clip_ids
    }
    frame_ids = sorted({frame_id for frames in chosen.values() for frame_id in frames})
    jpegs = lake.fetch("frames", frame_ids, ["jpeg"])["jpeg"].to_pylist()
    pictures = {frame_id: rgb_of_jpeg(jpeg) for frame_id, jpeg in zip(frame_ids, jpegs, strict=True)}
    return [np.stack([pictures[frame_id] for frame_id in chosen[clip_id]]) for clip_id in clip_ids]
