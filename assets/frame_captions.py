"""`frame_captions`: what a model says of a frame. Coarse: the clip's middle frame; fine: a frame of every second; and,
where a captioner that sees several frames is set, clip: those of every second, together.
"""

from collections.abc import Iterator

import dagster as dg

from assets.ingest_batches import ingest_batches
from internvid.captions.measured import FrameCaption
from resources.captioner import Captioner
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
from resources.schema import FRAME_CAPTIONS
from resources.statements import statement

Captioners = dict[str, Captioner]  # by scale


def by_scale(coarse_captioner: Captioner, fine_captioner: Captioner, clip_captioner: Captioner) -> Captioners:
    captioners = {"coarse": coarse_captioner, "fine": fine_captioner, "clip": clip_captioner}
    return {scale: captioner for scale, captioner in captioners.items() if captioner.is_set}


def step(captioners: Captioners) -> Step:
    """Each scale has the version of its captioner: another fine captioner leaves the coarse captions as they are."""
    outputs = (Output(FRAME_CAPTIONS, {scale: captioner.version for scale, captioner in captioners.items()}),)
    chunk = max(captioner.frames_per_call for captioner in captioners.values())
    return Step("frame_captions", "frame_captions_units", outputs, chunk=chunk)


@dg.asset(
    partitions_def=ingest_batches,
    deps=[dg.AssetKey("frames")],
    group_name="captions",
    pool="caption",
    kinds={"lance"},
    check_specs=[batch_counts_spec("frame_captions")],
    description="One caption of one frame by one model, with what it rests on.",
)
def frame_captions(
    context: dg.AssetExecutionContext,
    lake: Lake,
    coarse_captioner: Captioner,
    fine_captioner: Captioner,
    clip_captioner: Captioner,
) -> Iterator[dg.MaterializeResult]:
    """One caption of one sampled frame, by its scale's captioner. Changes when the frame or that captioner does."""
    captioners = by_scale(coarse_captioner, fine_captioner, clip_captioner)
    yield from refresh(
        context,
        lake,
        step(captioners),
        lambda units: together_or_one_by_one(units, lambda some: caption(lake, captioners, some)),
        sample=lambda table: rows_sample(lake, table, context.partition_key),
    )


def caption(lake: Lake, captioners: Captioners, units: list[Unit]) -> list[Outcome]:
    """A row for each unit, a frame at a scale or a clip."""
    outcomes: dict[str, Outcome] = {}
    for scale, captioner in captioners.items():
        of_scale = [unit for unit in units if unit.variant == scale and unit.key not in outcomes]
        if scale == "clip":
            outcomes |= {unit.key: _of_clip(lake, captioner, unit) for unit in of_scale}
        elif of_scale:
            # A captioner that serves both scales captions a frame of both once.
            same = {name for name, other in captioners.items() if name != "clip" and other == captioner}
            outcomes |= _of_frames(lake, captioner, [unit for unit in units if unit.variant in same])
    return [outcomes[unit.key] for unit in units]


def _of_frames(lake: Lake, captioner: Captioner, units: list[Unit]) -> dict[str, Outcome]:
    frame_ids = list(dict.fromkeys(unit.label for unit in units))
    frames = lake.fetch("frames", frame_ids, ["frame_id", "clip_id", "video_id", "seconds", "jpeg"]).to_pylist()
    with stopwatch() as watch:
        said = captioner.caption([frame.pop("jpeg") for frame in frames])
    seconds = watch.seconds / len(units)
    by_frame = {frame["frame_id"]: (frame, caption) for frame, caption in zip(frames, said, strict=True)}
    return {unit.key: _outcome(captioner, unit, *by_frame[unit.label], seconds, frames=1) for unit in units}


def _of_clip(lake: Lake, captioner: Captioner, unit: Unit) -> Outcome:
    """A caption of the clip's frames of every second, seen at once."""
    (clip,) = lake.fetch("clips", [unit.label], ["clip_id", "video_id", "start_seconds"]).to_pylist()
    frame_ids = lake.query(statement("operations/fine_frames_of_clip"), {"clip_id": unit.label})["frame_id"].to_pylist()
    jpegs = lake.fetch("frames", frame_ids, ["jpeg"])["jpeg"].to_pylist()
    said: FrameCaption | Exception
    with stopwatch() as watch:
        try:
            said = captioner.caption_together(jpegs)
        except Exception as error:  # noqa: BLE001 - the boundary: whatever a clip raises is that clip's failure
            said = error
    of = {"frame_id": None, "clip_id": unit.label, "video_id": clip["video_id"], "seconds": clip["start_seconds"]}
    return _outcome(captioner, unit, of, said, watch.seconds, frames=len(jpegs))


def _outcome(
    captioner: Captioner,
    unit: Unit,
    of: dict[str, object],
    said: FrameCaption | Exception,
    seconds: float,
    *,
    frames: int,
) -> Outcome:
    """of: the row's keys and time."""
    if isinstance(said, Exception):
        return Failed(unit, said, Cost.of(captioner, seconds, frames=frames))
    row = {
        "frame_caption_id": unit.key,
        **of,
        "scale": unit.variant,
        "model": captioner.model,
        "revision": captioner.revision,
        **vars(said),
    }
    cost = Cost.of(captioner, seconds, frames=frames, said=said)
    return Done(unit, (Rows.of([row], FRAME_CAPTIONS),), cost=cost)
