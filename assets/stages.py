"""The stages that work through ingest batches, in the order data flows: what `status`, the checks and the command line
go through.
"""

from typing import Any

from assets.captions import clip_captions, frame_captions
from assets.ingest import downloads, raw_videos
from assets.speech import speech, transcripts
from assets.vectors import clip_embeddings, clip_scores
from assets.video import clips, fingerprints
from resources.catalog.downloader import Downloader
from resources.incremental.refresh import Stage
from resources.lake.store import Lake
from resources.media.cut_detection import CutDetection
from resources.media.store import Media
from resources.models.aligner import Aligner
from resources.models.captioner import Captioner
from resources.models.scorers.scorer import Scorer
from resources.models.summariser import Summariser
from resources.models.transcriber import Transcriber
from resources.models.translator import Translator


def stages(
    lake: Lake | None,
    *,
    media: Media,
    downloader: Downloader,
    cut_detection: CutDetection,
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
) -> list[Stage]:
    """Each stage as configured, with the lake's active checkpoint; without a lake none is active."""
    active = None if lake is None else aligner.active(lake)
    captioners = frame_captions.by_scale(coarse_captioner, fine_captioner, clip_captioner)
    scorers = clip_scores.by_score(aesthetics, frame_text_similarity, text_overlay, watermark, safety)
    return [
        downloads.stage(downloader),
        raw_videos.stage(media),
        clips.stage(cut_detection),
        fingerprints.stage(lake, media, cut_detection),
        speech.stage(transcriber),
        transcripts.stage(translator),
        frame_captions.stage(captioners),
        clip_captions.stage(summariser),
        clip_embeddings.stage(aligner, active),
        clip_scores.stage(scorers, active),
    ]


PROVIDERS = tuple(name for name in stages.__annotations__ if name not in ("lake", "return"))  # the resources it needs


def stages_of(resources: Any) -> list[Stage]:
    """Of the resources of a Dagster context. Whoever goes through all stages needs them all."""
    return stages(resources.lake.store, **{name: getattr(resources, name) for name in PROVIDERS})
