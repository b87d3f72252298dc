"""`clip_embeddings`: vectors of clips and of their captions in a shared space, by the active checkpoint."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from internvid.video.jpeg import rgb_of_jpeg
from resources.incremental.costs import Cost
from resources.incremental.declaration import Configuration, CostDrivers, StageRun, StageScope, stage
from resources.incremental.stage import Done, Outcome, Rows, Unit, together_or_one_by_one
from resources.lake.schema import CLIP_EMBEDDINGS, VECTOR_SIZE
from resources.lake.statements import statement
from resources.models.aligner import ActiveCheckpoint, Aligner
from resources.models.provider import stopwatch

if TYPE_CHECKING:
    import numpy as np

    from internvid.viclip.encoder import Encoder

KINDS = ("video", "caption")


def configure(scope: StageScope, *, aligner: Aligner) -> Configuration:
    """There are no units until a checkpoint is active. After a change of the checkpoint every vector is recomputed."""
    active = None if scope.lake is None else aligner.active(scope.lake)
    version = "no checkpoint" if active is None else aligner.version(active)
    kinds = pa.table({"kind": pa.array([] if active is None else list(KINDS), pa.string())})
    return Configuration((dict.fromkeys(KINDS, version),), parameters=kinds)


@stage(
    group="vectors",
    outputs=(CLIP_EMBEDDINGS,),
    configure=configure,
    pool="embed",
    kinds=("lance", "pytorch"),
    resources=("aligner",),
    reads=("active_checkpoint",),
    samples={CLIP_EMBEDDINGS.name: ("kind", "model", "dimensions", "clip_id")},
    cost=CostDrivers(requests={"aligner": "vectors"}),
)
def clip_embeddings(run: StageRun, units: list[Unit], *, aligner: Aligner) -> Iterator[Outcome]:
    """ViCLIP vectors of each clip's frames and of its caption, by the active checkpoint.

    Changes when frames, caption or the active checkpoint do.
    """
    active = aligner.active(run.lake)
    assert active is not None, "without a checkpoint there are no units"
    encoder = aligner.encoder(run.lake, active)
    yield from together_or_one_by_one(units, lambda chunk: embed(run, encoder, active, chunk, aligner.clips_per_call))


def embed(
    run: StageRun, encoder: "Encoder", active: ActiveCheckpoint, units: list[Unit], clips_per_call: int
) -> list[Outcome]:
    """Embeds each unit, a clip's frames or its caption."""
    vectors: dict[str, np.ndarray] = {}
    costs: dict[str, Cost] = {}
    of_video = [unit for unit in units if unit.variant == "video"]
    of_caption = [unit for unit in units if unit.variant == "caption"]
    for first in range(0, len(of_video), clips_per_call):
        batch = of_video[first : first + clips_per_call]
        videos = _pictures(run, [unit.label for unit in batch], encoder.frames)
        with stopwatch() as watch:
            vectors |= zip((unit.key for unit in batch), encoder.encode_videos(videos), strict=True)
        cost = Cost(active.checkpoint_id, str(encoder.device), watch.seconds / len(batch), frames=encoder.frames)
        costs |= dict.fromkeys((unit.key for unit in batch), cost)
    if of_caption:
        clip_ids = [unit.label for unit in of_caption]
        captions = run.lake.fetch("clip_captions", clip_ids, ["caption"])["caption"].to_pylist()
        with stopwatch() as watch:
            vectors |= zip((unit.key for unit in of_caption), encoder.encode_texts(captions), strict=True)
        cost = Cost(active.checkpoint_id, str(encoder.device), watch.seconds / len(of_caption))
        costs |= dict.fromkeys((unit.key for unit in of_caption), cost)
    outcomes: list[Outcome] = []
    video_ids = run.lake.fetch("clips", [unit.label for unit in units], ["video_id"])["video_id"].to_pylist()
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
    """Pads the vector with zeros to [VECTOR_SIZE] float32. Raises ValueError for a larger vector."""
    import numpy as np

    if len(vector) > VECTOR_SIZE:
        raise ValueError(f"the model's vectors have {len(vector)} dimensions, more than the lake's {VECTOR_SIZE}")
    return np.pad(vector, (0, VECTOR_SIZE - len(vector))).astype(np.float32)


def _pictures(run: StageRun, clip_ids: Sequence[str], wanted: int) -> "list[np.ndarray]":
    """Returns `wanted` frames of each clip, [frames, height, width, 3] uint8.

    The clip's stored frames are divided into `wanted` equal parts; the middle frame of each part is taken.
    """
    import numpy as np

    from internvid.viclip.frame_choice import middle_frames

    rows = run.query(statement("inputs/frames_of_clips"), {"clip_ids": list(clip_ids)})
    of_clip = dict(zip(rows["clip_id"].to_pylist(), rows["frame_ids"].to_pylist(), strict=True))
    chosen = {
        clip_id: [of_clip[clip_id][at] for at in middle_frames(len(of_clip[clip_id]), wanted)] for clip_id in clip_ids
    }
    frame_ids = sorted({frame_id for frames in chosen.values() for frame_id in frames})
    jpegs = run.lake.fetch("frames", frame_ids, ["jpeg"])["jpeg"].to_pylist()
    pictures = {frame_id: rgb_of_jpeg(jpeg) for frame_id, jpeg in zip(frame_ids, jpegs, strict=True)}
    return [np.stack([pictures[frame_id] for frame_id in chosen[clip_id]]) for clip_id in clip_ids]
