"""`clip_embeddings`: vectors of clips in the space that they share with captions, by the active checkpoint."""

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


def configure(scope: StageScope, *, aligner: Aligner) -> Configuration:
    """There are no units until a checkpoint is active. After a change of the checkpoint every vector is recomputed."""
    active = None if scope.lake is None else aligner.active(scope.lake)
    version = "no checkpoint" if active is None else aligner.version(active)
    models = pa.table({"model": pa.array([] if active is None else [active.checkpoint_id], pa.string())})
    return Configuration(({"": version},), parameters=models)


@stage(
    group="vectors",
    outputs=(CLIP_EMBEDDINGS,),
    configure=configure,
    pool="embed",
    kinds=("lance", "pytorch"),
    resources=("aligner",),
    reads=("active_checkpoint",),
    samples={CLIP_EMBEDDINGS.name: ("model", "dimensions", "clip_id")},
    cost=CostDrivers(requests={"aligner": "clip_vectors"}),
    workers="gpu",
)
def clip_embeddings(run: StageRun, units: list[Unit], *, aligner: Aligner) -> Iterator[Outcome]:
    """ViCLIP vectors of each clip's frames, by the active checkpoint. Search compares a query's vector with them.

    Changes when frames or the active checkpoint do.
    """
    active = aligner.active(run.lake)
    assert active is not None, "without a checkpoint there are no units"
    encoder = aligner.encoder(run.lake, active)
    yield from together_or_one_by_one(units, lambda chunk: embed(run, encoder, active, chunk, aligner.clips_per_call))


def embed(
    run: StageRun, encoder: "Encoder", active: ActiveCheckpoint, units: list[Unit], clips_per_call: int
) -> list[Outcome]:
    """Embeds the frames of each unit, a clip."""
    outcomes: list[Outcome] = []
    video_ids = run.lake.fetch("clips", [unit.key for unit in units], ["video_id"])["video_id"].to_pylist()
    for first in range(0, len(units), clips_per_call):
        clips = units[first : first + clips_per_call]
        videos = _pictures(run, [unit.key for unit in clips], encoder.frames)
        with stopwatch() as watch:
            vectors = encoder.encode_videos(videos)
        spent = watch.spent / len(clips)
        cost = Cost(
            active.checkpoint_id,
            str(encoder.device),
            spent.seconds,
            spent.processor_seconds,
            frames=encoder.frames,
        )
        of_clips = video_ids[first : first + clips_per_call]
        for unit, video_id, vector in zip(clips, of_clips, vectors, strict=True):
            row = vector_row(unit.key, video_id, active, vector)
            outcomes.append(Done(unit, (Rows.of([row], CLIP_EMBEDDINGS),), cost=cost))
    return outcomes


def vector_row(clip_id: str, video_id: str, active: ActiveCheckpoint, vector: "np.ndarray") -> dict[str, object]:
    """Returns a row of a table of vectors."""
    return {
        "clip_id": clip_id,
        "video_id": video_id,
        "model": active.checkpoint_id,
        "dimensions": len(vector),
        "vector": padded(vector),
    }


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
