"""The result of speech recognition, whichever model made it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from internvid.speech.cues import Cue
from internvid.speech.repetition import Lines, Repeated, repeated_windows
from internvid.speech.sound import Window

LANGUAGE_WINDOWS = 8  # the first windows of a video, from which its language is detected


@dataclass(frozen=True)
class Recognised:
    """Recognised speech. cues: in seconds from the video's first frame, in order. language: ISO 639-1; None if silent.

    output_tokens: number of tokens that the model generated. repeated: windows whose text was repetition and no speech;
    they have no cues.
    """

    language: str | None
    cues: list[Cue]
    output_tokens: int = 0
    repeated: tuple[Repeated, ...] = ()


class Recognition:
    """Collects what a model recognises in the windows of one video."""

    def __init__(self) -> None:
        self._cues: list[list[Cue]] = []
        self._lines: list[Lines] = []
        self.output_tokens = 0

    def add(self, window: Window, segments: Iterable[tuple[float, float, str]]) -> None:
        """Adds a window, in order of time. segments: (start, end, text), in seconds from the window's beginning."""
        cues = cues_within(window, segments)
        self._cues.append(cues)
        self._lines.append(Lines(window.start_seconds, window.seconds, [cue.text for cue in cues]))

    def recognised(self, language: str | None) -> Recognised:
        repeated = repeated_windows(self._lines)
        cues = [cue for number, cues in enumerate(self._cues) if number not in repeated for cue in cues]
        return Recognised(language, cues, self.output_tokens, tuple(repeated.values()))


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
