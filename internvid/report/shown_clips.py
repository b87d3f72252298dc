"""Clips as the report and `internvid figure` show them: frames, the caption with its nouns and verbs, the speech."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from markupsafe import Markup

from internvid.report.contact_sheet import data_uri, smaller_jpeg
from internvid.text.languages import NAMES

SPEECH_CHARACTERS = 400  # of a clip's speech that are shown: some thirty seconds of it
_FRAME_WIDTH = 240  # pixels: a strip of four fills a card of the page
_FRAMES_A_CLIP = 4


@dataclass(frozen=True)
class ShownClip:
    """A clip to show. video: its readable name. jpegs: frames in order of time, as JPEG files.

    speech: what is said in it, in `language` (ISO 639-1 code; None where unknown). english: the speech in English; None
    where there is none, for the reason `why_no_english`.
    """

    clip_id: str
    video: str
    start_seconds: float
    end_seconds: float
    caption: str
    model: str
    jpegs: list[bytes]
    flags: list[str] = field(default_factory=list)
    speech: str | None = None
    language: str | None = None
    english: str | None = None
    why_no_english: str | None = None

    @property
    def span(self) -> str:
        return f"{clock(self.start_seconds)} – {clock(self.end_seconds)}"


# Text with the part of speech that it is shown as; None: neither noun nor verb, or not known.
Run = tuple[str, Literal["noun", "verb"] | None]


def caption_runs(caption: str) -> Iterator[Run]:
    """Yields the whole caption in pieces: nouns, verbs, and what is between. Without a tagger it is one piece."""
    from internvid.captions.words import tagged_words

    position = 0
    for word in tagged_words(caption):
        if word.start > position:
            yield caption[position : word.start], None
        yield caption[word.start : word.end], word.part
        position = word.end
    if position < len(caption):
        yield caption[position:], None


def marked(caption: str) -> Markup:
    """Returns the caption with its nouns and verbs in elements of these classes; all of it is escaped."""
    return Markup("").join(_marked(text, part) for text, part in caption_runs(caption))


def spoken(clip: ShownClip) -> list[tuple[str, str]]:
    """Returns the lines of a clip's speech with their labels: as spoken, and in English where that is another text."""
    speech = _shortened(clip.speech or "")
    if not speech:
        return []
    language = NAMES.get(clip.language or "", clip.language) or "language unknown"
    english = _shortened(clip.english or "")
    if english == speech:
        return [(f"Speech ({language})", speech)]
    if not english:
        return [(f"Speech ({language})", speech), ("English", f"({clip.why_no_english or 'not translated'})")]
    return [(f"Speech ({language})", speech), ("English", english)]


def for_a_page(clip: ShownClip, *, frame_width: int = _FRAME_WIDTH) -> dict[str, Any]:
    """Returns what the template clip.html prints; every text is escaped."""
    small = [smaller_jpeg(jpeg, width=frame_width) for jpeg in spread(clip.jpegs)]
    return {
        "clip": clip,
        "caption": marked(clip.caption),
        "speech": spoken(clip),
        "pictures": [None if jpeg is None else data_uri(jpeg) for jpeg in small],
    }


def spread(jpegs: list[bytes]) -> list[bytes]:
    """Returns the frames that are shown, evenly spread where there are more."""
    if len(jpegs) <= _FRAMES_A_CLIP:
        return jpegs
    last = len(jpegs) - 1
    return [jpegs[round(index * last / (_FRAMES_A_CLIP - 1))] for index in range(_FRAMES_A_CLIP)]


def clock(seconds: float) -> str:
    """Formats a time: 1:02:03.4, or 2:03.4 below an hour; truncated to tenths, not rounded."""
    tenths = int(seconds * 10 + 1e-6)
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{tenths / 10:04.1f}" if hours else f"{minutes}:{tenths / 10:04.1f}"


def _marked(text: str, part: str | None) -> Markup:
    return Markup('<span class="{}">{}</span>').format(part, text) if part else Markup("{}").format(text)


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SPEECH_CHARACTERS else line[: SPEECH_CHARACTERS - 1].rstrip() + "…"
