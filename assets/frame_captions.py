"""`frame_captions`: what a model says of a frame. Coarse: the clip's middle frame; fine: a frame of every second."""

from collections.abc import Iterator

import dagster as dg

from assets.ingest_batches import ingest_batches
from internvid.video.jpeg import rgb_of_jpeg
from resources.captioner import Captioner
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
from resources.schema import FRAME_CAPTIONS

FRAMES_PER_CHUNK = 64


def step(captioner: Captioner) -> Step:
    """Each scale has the version of its captioner; for now one captioner serves both."""
    version = {"coarse": captioner.version, "fine": captioner.version}
    return Step("frame_captions", "frame_captions_units", (Output(FRAME_CAPTIONS, version),), chunk=FRAMES_PER_CHUNK)


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
    context: dg.AssetExecutionContext, lake: Lake, captioner: Captioner
) -> Iterator[dg.MaterializeResult]:
    """One caption of one sampled frame, by the configured captioner. Changes when the frame or the captioner does."""
    yield from refresh(
        context,
        lake,
        step(captioner),
        lambda units: together_or_one_by_one(units, lambda some: caption(lake, captioner, some)),
        sample=lambda table: rows_sample(lake, table, context.partition_key),
    )


def caption(lake: Lake, captioner: Captioner, units: list[Unit]) -> list[Outcome]:
    """A row for each unit, a frame at a scale; a frame that serves both scales is captioned once."""
    frame_ids = list(dict.fromkeys(unit.label for unit in units))
    frames = lake.fetch("frames", frame_ids, ["frame_id", "clip_id", "video_id", "seconds", "jpeg"]).to_pylist()
    said = captioner.caption([rgb_of_jpeg(frame["jpeg"]) for frame in frames])
    by_frame = {frame["frame_id"]: (frame, captioned) for frame, captioned in zip(frames, said, strict=True)}
    outcomes: list[Outcome] = []
    for unit in units:
        frame, captioned = by_frame[unit.label]
        row = {
            "frame_caption_id": unit.key,
            "frame_id": frame["frame_id"],
            "clip_id": frame["clip_id"],
            "video_id": frame["video_id"],
            "scale": unit.variant,
            "seconds": frame["seconds"],
            "caption": captioned.caption,
            "model": captioner.model,
            "evidence": captioned.evidence,
        }
        outcomes.append(Done(unit, (Rows.of([row], FRAME_CAPTIONS),)))
    return outcomes
