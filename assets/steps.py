"""The steps that work through ingest batches, in the order data flows: what `status`, the checks and the command line
go through.
"""

from assets import clip_captions, clip_embeddings, clip_scores, clips, frame_captions, raw_videos
from resources.aligner import Aligner
from resources.captioner import Captioner
from resources.cutter import Cutter
from resources.lake import Lake
from resources.media import Media
from resources.refresh import Step
from resources.summariser import Summariser

DOORS = ("media", "cutter", "captioner", "summariser", "aligner")  # the resources that `steps` needs


def steps(
    lake: Lake | None,
    *,
    media: Media,
    cutter: Cutter,
    captioner: Captioner,
    summariser: Summariser,
    aligner: Aligner,
) -> list[Step]:
    """Each step as configured, with the lake's active checkpoint; without a lake none is active."""
    active = None if lake is None else aligner.active(lake)
    return [
        raw_videos.step(media),
        clips.step(cutter),
        frame_captions.step(captioner),
        clip_captions.step(summariser),
        clip_embeddings.step(aligner, active),
        clip_scores.step(active),
    ]
