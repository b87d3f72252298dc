"""Facts of made clips, as the embedded models would have measured them."""

import json
from typing import Any

from internvid.captions import measured, summary
from internvid.captions.summary import ClipMeasures, TimedCaption
from internvid.dialogue.facts import ClipFacts

STILL = {"motion": 0.1, "stillness": 0.0, "blackness": 0.0, "pan_x": 0.0, "pan_y": 0.0, "zoom": 0.0}
STILL |= {"moving_share": 0.0, "mover_x": 0.0, "mover_y": 0.0}


def colour(name: str, share: float = 0.8) -> dict[str, Any]:
    thing = f"mostly {name}"
    return {"kind": "colours", "about": "colours", "thing": thing, "place": "", "text": thing, "measure": {name: share}}


def region(thing: str, place: str, count: int = 1) -> dict[str, Any]:
    about = f"region {thing.split()[-2]}"
    text = f"{thing} {place}".strip()
    return {"kind": "region", "about": about, "thing": thing, "place": place, "text": text, "measure": {"count": count}}


def clip(
    number: int, *frames: list[dict[str, Any]], seconds: float = 4.0, speech: str | None = None, **measures: float
) -> ClipFacts:
    """A clip that begins where the one before it ends. frames: the phrases of each."""
    start = number * seconds
    return ClipFacts(
        clip_id=f"v_{number}",
        start_seconds=start,
        end_seconds=start + seconds,
        caption=f"caption {number}",
        caption_model=summary.MODEL,
        measures=ClipMeasures(seconds, **(STILL | measures)),
        boundary="cut" if number else "start",
        frames=tuple(
            TimedCaption(start + index, "fine", "A picture.", json.dumps({"phrases": phrases}), measured.MODEL)
            for index, phrases in enumerate(frames)
        ),
        speech=speech,
    )


def captioned(number: int, *captions: str, model: str = "vl", **measures: float) -> ClipFacts:
    """A clip whose frames a captioner described that names things."""
    made = clip(number, **measures)
    frames = tuple(
        TimedCaption(made.start_seconds + index, "fine", text, None, model) for index, text in enumerate(captions)
    )
    return ClipFacts(**{**vars(made), "caption_model": "vl", "caption": captions[0], "frames": frames})
