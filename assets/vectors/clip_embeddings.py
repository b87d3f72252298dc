"""`clip_embeddings`: vectors of clips in the space that they share with captions, by the active checkpoint."""

import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from internvid.video.jpeg import rgb_of_jpeg
from resources.incremental.costs import Cost
from resources.incremental.declaration import Configuration, CostDrivers, StageRun, StageScope, stage
from resources.incremental.stage import Done, Outcome, Rows, Unit, together_or_one_by_one
from resources.lake.schema import CLIP_EMBEDDINGS
from resources.lake.statements import statement
from resources.models.aligner import ActiveCheckpoint, Aligner, padded, require_telling_apart
from resources.models.provider import stopwatch

if TYPE_CHECKING:
    import numpy as np

    from internvid.video_text.folders import LoadedEncoder

SECONDS_BETWEEN_LINES = 60.0


def configure(scope: StageScope, *, aligner: Aligner) -> Configuration:
    """There are no units until a checkpoint is active. After a change of the checkpoint every vector is recomputed."""
    active = None if scope.lake is None else aligner.active(scope.lake)
    version = "no checkpoint" if active is None else aligner.version(active)
    models = pa.table({"model": pa.array([] if active is None else [active.checkpoint_id], pa.string())})
    return Configuration(({"": version},), aligner.clips_per_chunk, models)


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
    run: StageRun, encoder: "LoadedEncoder", active: ActiveCheckpoint, units: list[Unit], clips_per_call: int | None
) -> list[Outcome]:
    """Embeds the frames of each unit, a clip."""
    from internvid.viclip.frame_choice import middle_frames

    clip_ids = [unit.key for unit in units]
    video_ids = run.lake.fetch("clips", clip_ids, ["video_id"])["video_id"].to_pylist()
    clips = _StoredClips(run, clip_ids)
    with stopwatch() as watch:
        # Frames are read and decoded in it: on a GPU, while earlier clips are computed.
        vectors = encoder.encode_clips(clips, range(len(units)), batch_size=clips_per_call)
    # What went in is read again only where all vectors are equal.
    picks = ((clip, middle_frames(int(count), encoder.frames)) for clip, count in enumerate(clips.frame_counts))
    require_telling_apart(active, vectors, (tuple(clips.jpegs([pick])[0]) for pick in picks))
    say_now_and_then(run, encoder)
    spent = watch.spent / len(units)
    cost = Cost(
        active.checkpoint_id, str(encoder.device), spent.seconds, spent.processor_seconds, frames=encoder.frames
    )
    return [
        Done(unit, (Rows.of([vector_row(unit.key, video_id, active, vector)], CLIP_EMBEDDINGS),), cost=cost)
        for unit, video_id, vector in zip(units, video_ids, vectors, strict=True)
    ]


_last_line: dict[str, float] = {}  # the run that wrote it -> when, by the monotonic clock


def say_now_and_then(run: StageRun, encoder: "LoadedEncoder") -> None:
    """Logs whether the device waits for frames: after a run's first chunk, and then about once a minute."""
    now = time.monotonic()
    if now - _last_line.get(run.run_id, -math.inf) >= SECONDS_BETWEEN_LINES:
        _last_line.clear()
        _last_line[run.run_id] = now
        run.log(f"embedding on {encoder.device} in {encoder.precision}: {encoder.use()}")


def vector_row(clip_id: str, video_id: str, active: ActiveCheckpoint, vector: "np.ndarray") -> dict[str, object]:
    """Returns a row of a table of vectors."""
    return {
        "clip_id": clip_id,
        "video_id": video_id,
        "model": active.checkpoint_id,
        "dimensions": len(vector),
        "vector": padded(vector),
    }


class _StoredClips:
    """The stored frames of clips, as the encoder reads them: the middle frames of equal parts of the clip."""

    def __init__(self, run: StageRun, clip_ids: Sequence[str]) -> None:
        import numpy as np

        rows = run.query(statement("inputs/frames_of_clips"), {"clip_ids": list(clip_ids)})
        of_clip = dict(zip(rows["clip_id"].to_pylist(), rows["frame_ids"].to_pylist(), strict=True))
        self.lake = run.lake
        self.frame_ids = [of_clip[clip_id] for clip_id in clip_ids]
        self.frame_counts = np.array([len(frame_ids) for frame_ids in self.frame_ids], np.int32)

    def frames(self, picks: Sequence[tuple[int, Sequence[int]]]) -> "list[np.ndarray]":
        """Returns [frames, height, width, 3] uint8 for each pick, as `internvid.viclip.clips.Clips` says."""
        import numpy as np

        clips = []
        for jpegs in self.jpegs(picks):
            pictures = {jpeg: rgb_of_jpeg(jpeg) for jpeg in set(jpegs)}  # a repeated frame is decoded once
            clips.append(np.stack([pictures[jpeg] for jpeg in jpegs]))
        return clips

    def jpegs(self, picks: Sequence[tuple[int, Sequence[int]]]) -> list[list[bytes]]:
        """Returns the chosen frames of each pick as they are stored."""
        chosen = [[self.frame_ids[clip][at] for at in positions] for clip, positions in picks]
        frame_ids = sorted({frame_id for frames in chosen for frame_id in frames})
        stored = self.lake.fetch("frames", frame_ids, ["jpeg"])["jpeg"].to_pylist()
        jpeg_of = dict(zip(frame_ids, stored, strict=True))
        return [[jpeg_of[frame_id] for frame_id in frames] for frames in chosen]
