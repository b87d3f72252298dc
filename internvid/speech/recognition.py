"""What a model recognises in speech."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from internvid.speech.cues import Cue
from internvid.speech.sound import Window

LANGUAGE_WINDOWS = 8  # the first ones of a video, in which its language is looked for


@dataclass(frozen=True)
class Recognised:
    """cues: by the video's own time, in order. language: ISO 639-1; None where nothing was said. output_tokens: that
    the model wrote.
    """

    language: str | None
    cues: list[Cue]
    output_tokens: int = 0


def cues_within(window: Window, segments: Iterable[tuple[float, float, str]]) -> list[Cue]:
    """Cues of (start, end, text) as a model gives them, in seconds of the window; without those that it heard in the
    silence that a window is filled up with.
    """
    cues = []
    for start, end, text in segments:
        text = " ".join(text.split())
        start, end = max(0.0, start), min(end, window.seconds)
        if text and start < end:
            cues.append(Cue(window.start_seconds + start, window.start_seconds + end, text))
    return cues
