"""The partitioned steps in the order data flows: what `status`, the checks and the command line go through."""

from assets import clip_captions, clips, frame_captions, raw_videos
from resources.captioner import Captioner
from resources.cutter import Cutter
from resources.media import Media
from resources.refresh import Step
from resources.summariser import Summariser


def steps(*, media: Media, cutter: Cutter, captioner: Captioner, summariser: Summariser) -> list[Step]:
    """Each partitioned step as configured."""
    return [
        raw_videos.step(media),
        clips.step(cutter),
        frame_captions.step(captioner),
        clip_captions.step(summariser),
    ]
