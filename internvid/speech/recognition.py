"""The result of speech recognition, whichever model made it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from internvid.speech.cues import Cue
from internvid.speech.sound import Window

LANGUAGE_WINDOWS = 8  # the first windows of a video, from which its language is detected


@dataclass(frozen=True)
class Recognised:
    """Recognised speech. cues: in seconds from the video's first frame, in order. language: ISO 639-1; None if silent.

    output_tokens: number of tokens that the model generated.
    """

    language: str | None
    cues: list[Cue]
    output_tokens: int = 0


def cues_within(window: Window, segments: Iterable[tuple[float, float, str]]) -> list[Cue]:
    """Converts a model's segments of a window to cues; drops those in the silence that the window is padded with.

    segments: (start, end, text), in seconds from the window's beginning.
    """
    cues = []
    for start, end, text in segments:
        text = " ".join(text.split())
        start, end = max(0.0, start), min(end, window.seconds)
        if text and start < end:
            cues.append(Cue(window.start_seconds + start, window.start_seconds + end, text))
    return cues
