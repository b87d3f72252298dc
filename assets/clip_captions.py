"""`clip_captions`: a clip's caption, summarised from the captions of its frames; or the one it was imported with."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import dagster as dg

from assets.frame_captions import frame_captions
from assets.ingest_batches import ingest_batches
from internvid.captions.summary import ClipMeasures, ClipSummary, TimedCaption
from internvid.captions.words import nouns_and_verbs
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
from resources.samples import contact_sheet, rows_sample
from resources.schema import CLIP_CAPTIONS
from resources.statements import statement
from resources.summariser import Summariser

IMPORTED = "imported"  # variant of the clips that came with a caption
WORDS_VERSION = "hanta-1.2"  # nouns and verbs are part of the row, so their tagger is part of its version
MEASURES = ("motion", "stillness", "blackness", "pan_x", "pan_y", "zoom", "moving_share", "mover_x", "mover_y")


def step(summariser: Summariser) -> Step:
    """The version names the summariser, if one is asked, and the tagger of nouns and verbs."""
    versions = {"": f"{summariser.version}+{WORDS_VERSION}", IMPORTED: f"{IMPORTED}+{WORDS_VERSION}"}
    outputs = (Output(CLIP_CAPTIONS, versions),)
    return Step("clip_captions", "clip_captions_units", outputs, chunk=summariser.clips_per_call)


@dg.asset(
    partitions_def=ingest_batches,
    deps=[dg.AssetKey("clips"), dg.AssetKey("annotations"), frame_captions],
    group_name="captions",
    pool="caption",
    kinds={"lance"},
    check_specs=[batch_counts_spec("clip_captions")],
    description="A clip's caption, summarised from its frame captions and motion, or imported; with nouns and verbs.",
)
def clip_captions(
    context: dg.AssetExecutionContext, lake: Lake, summariser: Summariser
) -> Iterator[dg.MaterializeResult]:
    """One row is a clip's caption. Changes when the clip, a caption of its frames or the summariser does."""
    batch = context.partition_key

    def sample(table: str) -> dict[str, dg.MetadataValue]:
        return contact_sheet(lake, batch) | rows_sample(lake, table, batch)

    yield from refresh(
        context,
        lake,
        step(summariser),
        lambda units: caption(lake, summariser, units, batch),
        sample=sample,
    )


def caption(lake: Lake, summariser: Summariser, units: list[Unit], ingest_batch: str) -> Iterator[Outcome]:
    """A row for each unit, a clip: summarised, or as imported."""
    yield from as_imported(lake, [unit for unit in units if unit.variant == IMPORTED])
    to_summarise = [unit for unit in units if unit.variant != IMPORTED]
    if to_summarise:
        yield from together_or_one_by_one(to_summarise, lambda some: summarise(lake, summariser, some, ingest_batch))


def as_imported(lake: Lake, units: list[Unit]) -> Iterator[Outcome]:
    """The caption that was released with the clip's span. The dataset stands for the model."""
    clips = lake.fetch("clips", [unit.key for unit in units], ["video_id", "annotation_id"]).to_pylist()
    annotations = lake.fetch(
        "annotations", [clip["annotation_id"] for clip in clips], ["dataset", "caption"]
    ).to_pylist()
    for unit, clip, annotation in zip(units, clips, annotations, strict=True):
        row = {
            "clip_id": unit.key,
            "video_id": clip["video_id"],
            "caption": annotation["caption"],
            "model": annotation["dataset"],
            "revision": None,
            "status": "success",
            "prompt_tokens": None,
            "output_tokens": None,
            "evidence": None,
            **vars(nouns_and_verbs(annotation["caption"])),
        }
        yield Done(unit, (Rows.of([row], CLIP_CAPTIONS),))


def summarise(lake: Lake, summariser: Summariser, units: list[Unit], ingest_batch: str) -> list[Outcome]:
    """A row for each unit, a clip."""
    clip_ids = [unit.key for unit in units]
    columns = ["clip_id", "video_id", "start_seconds", "end_seconds", *MEASURES]
    clips = lake.fetch("clips", clip_ids, columns).to_pylist()
    rows = lake.query(
        statement("operations/frame_captions_of_clips"),
        {"clip_ids": clip_ids},
        tables=["frame_captions"],
        only={"ingest_batch": ingest_batch},
    ).to_pylist()
    captions = {clip_id: list(of_clip) for clip_id, of_clip in groupby(rows, key=lambda row: row["clip_id"])}
    to_summarise = [(_measures(clip), _timed(clip, captions[clip["clip_id"]])) for clip in clips]
    with stopwatch() as watch:
        summaries = summariser.summarise(to_summarise)
    seconds = watch.seconds / len(units)
    return [
        _outcome(summariser, unit, clip, summary, seconds)
        for unit, clip, summary in zip(units, clips, summaries, strict=True)
    ]


def _measures(clip: dict[str, Any]) -> ClipMeasures:
    return ClipMeasures(clip["end_seconds"] - clip["start_seconds"], *(clip[name] for name in MEASURES))


def _timed(clip: dict[str, Any], captions: list[dict[str, Any]]) -> list[TimedCaption]:
    return [
        TimedCaption(
            seconds=row["seconds"] - clip["start_seconds"],
            scale=row["scale"],
            caption=row["caption"],
            evidence=row["evidence"],
            model=row["model"],
        )
        for row in captions
    ]


def _outcome(
    summariser: Summariser, unit: Unit, clip: dict[str, Any], summary: ClipSummary | Exception, seconds: float
) -> Outcome:
    if isinstance(summary, Exception):
        return Failed(unit, summary, Cost.of(summariser, seconds))
    row = {
        "clip_id": unit.key,
        "video_id": clip["video_id"],
        "model": summariser.model,
        "revision": summariser.revision,
        **vars(summary),
        **vars(nouns_and_verbs(summary.caption)),
    }
    return Done(unit, (Rows.of([row], CLIP_CAPTIONS),), cost=Cost.of(summariser, seconds, said=summary))
