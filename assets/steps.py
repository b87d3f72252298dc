"""The steps that work through ingest batches, in the order data flows: what `status`, the checks and the command line
go through.
"""

from typing import Any

from assets import (
    clip_captions,
    clip_embeddings,
    clip_scores,
    clips,
    downloads,
    fingerprints,
    frame_captions,
    raw_videos,
    speech,
    transcripts,
)
from resources.aligner import Aligner
from resources.captioner import Captioner
from resources.cutter import Cutter
from resources.downloader import Downloader
from resources.lake import Lake
from resources.media import Media
from resources.refresh import Step
from resources.scorer import Scorer
from resources.summariser import Summariser
from resources.transcriber import Transcriber
from resources.translator import Translator


def steps(
    lake: Lake | None,
    *,
    media: Media,
    downloader: Downloader,
    cutter: Cutter,
    transcriber: Transcriber,
    translator: Translator,
    coarse_captioner: Captioner,
    fine_captioner: Captioner,
    clip_captioner: Captioner,
    summariser: Summariser,
    aligner: Aligner,
    aesthetics: Scorer,
    frame_text_similarity: Scorer,
    text_overlay: Scorer,
    watermark: Scorer,
    safety: Scorer,
) -> list[Step]:
    """Each step as configured, with the lake's active checkpoint; without a lake none is active."""
    active = None if lake is None else aligner.active(lake)
    captioners = frame_captions.by_scale(coarse_captioner, fine_captioner, clip_captioner)
    scorers = clip_scores.by_score(aesthetics, frame_text_similarity, text_overlay, watermark, safety)
    return [
        downloads.step(downloader),
        raw_videos.step(media),
        clips.step(cutter),
        fingerprints.step(lake, media, cutter),
        speech.step(transcriber),
        transcripts.step(translator),
        frame_captions.step(captioners),
        clip_captions.step(summariser),
        clip_embeddings.step(aligner, active),
        clip_scores.step(scorers, active),
    ]


DOORS = tuple(name for name in steps.__annotations__ if name not in ("lake", "return"))  # the resources it needs


def steps_of(resources: Any) -> list[Step]:
    """Of the resources of a Dagster context. Whoever goes through all steps needs them all."""
    return steps(resources.lake, **{name: getattr(resources, name) for name in DOORS})
