"""Cues: what is said between two times. Cleans raw cues of any origin, completes them and puts them in order.

Parsing a subtitle format belongs in `subtitles`; this module repairs what all formats get wrong.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

MIN_SECONDS = 1.0  # duration of a cue without a stated end
CHARACTERS_PER_SECOND = 15.0  # speed of reading subtitles aloud; estimates the duration of a cue without an end
MAX_BREAK_SECONDS = 0.5  # a line that is shown again after a longer break is said again
# At least this share of a rolling track's cues repeat a line and add a new one; in other tracks hardly any do.
ROLLING_SHARE = 0.4

_DRAWING = re.compile(r"\{[^}]*\\p[1-9]")
_OVERRIDE = re.compile(r"\{\\[^}]*\}")
# Names of tags, of WebVTT, SRT and what converters leave of other forms. Other words between < and > are said:
# "I <3 NY. >> Me too." Attributes have a value, but in <v Fred>, <lang en> and <c.yellow>.
_NAMES = (
    "b|i|u|s|c|v|lang|ruby|rt|rp|rb|font|span|p|br|em|strong|small|big|sub|sup|strike|del|ins|tt|tts|center|div|a|body|"
    "html|head|sync|sami|text|blink|color|style|q|h[1-6]|ul|li|img"
)
_ATTRIBUTE = r"""\s+[\w:-]+\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s<>"']*)"""
_TAG = re.compile(
    rf"<\s*/\s*(?:{_NAMES})\s*>|</?>|<\s*(?:{_NAMES})(?:\.[^\s<>]*)?(?:{_ATTRIBUTE})*\s*/?\s*>|"
    r"<(?:v|lang)(?:\.[^\s<>]*)?\s+[^<>]*>|<font\s[^<>]*>|<\d+:\d\d(?:[:.,]\d+)*>",
    re.IGNORECASE,
)
_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_NO_SPEECH = re.compile(r"(?:\s|[-♪♫♬#*]|\[[^\]]*\]|\([^)]*\)|（[^）]*）|【[^】]*】)*")


@dataclass(frozen=True)
class Cue:
    """Text said between two times, in seconds."""

    start_seconds: float
    end_seconds: float
    text: str


@dataclass(frozen=True)
class RawCue:
    """A cue as a file has it. start_seconds, end_seconds: possibly in wrong order, negative or NaN; None if not stated.

    text: with markup and line breaks.
    """

    start_seconds: float | None
    end_seconds: float | None
    text: str


@dataclass(frozen=True)
class _Lines:
    start: float
    end: float
    lines: list[str]


def tidy_cues(raw: Iterable[RawCue], *, shift_seconds: float = 0.0, may_overlap: bool = True) -> tuple[list[Cue], bool]:
    """Cleans cues: returns them in order of time, without markup and without speech-free cues, and whether they rolled.

    A rolling track shows each line twice, as captioning machines do: first at the bottom, then above the next line. A
    line is kept only where it is new.
    shift_seconds: added to all times; parts before 0 are then cut off. may_overlap: whether two people may speak at the
    same time; if not, and in rolling tracks, a cue ends where the next begins.
    """
    cues = sorted((cue for raw_cue in raw if (cue := _read(raw_cue, shift_seconds))), key=lambda cue: cue.start)
    is_rolling = _is_rolling(cues)
    if is_rolling:
        cues = _unrolled(cues)
    cues = [cue for cue in cues if not _NO_SPEECH.fullmatch(" ".join(cue.lines))]
    cues = _with_ends(cues, may_overlap=may_overlap and not is_rolling)
    shifted = [Cue(cue.start, cue.end, " ".join(cue.lines)) for cue in cues if cue.end > 0]
    return _without_doubles([replace(cue, start_seconds=max(0.0, cue.start_seconds)) for cue in shifted]), is_rolling


def plain_lines(text: str) -> list[str]:
    """Returns the non-empty lines of the text without tags, entities, drawings and invisible characters."""
    if _DRAWING.search(text):
        return []
    text = _OVERRIDE.sub("", text.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " "))
    text = _INVISIBLE.sub("", html.unescape(_TAG.sub("", text)))
    return [stripped for line in text.splitlines() if (stripped := " ".join(line.split()))]


def _read(raw: RawCue, shift: float) -> _Lines | None:
    if raw.start_seconds is None or not math.isfinite(raw.start_seconds):
        return None
    end = math.nan if raw.end_seconds is None else raw.end_seconds
    lines = plain_lines(raw.text)
    return _Lines(raw.start_seconds + shift, end + shift, lines) if lines else None


def _repeated(shown: _Lines, cue: _Lines) -> int:
    """Returns how many of the cue's first lines equal the last lines of the cue `shown` right before it."""
    if shown.end + MAX_BREAK_SECONDS < cue.start:  # False if the end is NaN
        return 0
    max_lines = min(len(shown.lines), len(cue.lines))
    return next((n for n in range(max_lines, 0, -1) if shown.lines[-n:] == cue.lines[:n]), 0)


def _is_rolling(cues: Sequence[_Lines]) -> bool:
    rolled = [0 < _repeated(shown, cue) < len(cue.lines) for shown, cue in pairwise(cues)]
    return len(rolled) > 1 and sum(rolled) >= ROLLING_SHARE * len(rolled)


def _unrolled(cues: Sequence[_Lines]) -> list[_Lines]:
    kept = list(cues[:1])
    for shown, cue in pairwise(cues):
        new = cue.lines[_repeated(shown, cue) :]
        if new:
            kept.append(replace(cue, lines=new))
    return kept


def _with_ends(cues: Sequence[_Lines], *, may_overlap: bool) -> list[_Lines]:
    """Estimates the end of a cue without a valid one from the time to read it, and not after the next cue begins."""
    ended = []
    next_start = last_start = math.inf  # next_start: first start after this cue's; cues may begin at the same time
    for cue in reversed(cues):
        next_start, last_start = (next_start if cue.start == last_start else last_start), cue.start
        end = cue.end
        if not math.isfinite(end) or end <= cue.start:
            letters = sum(map(len, cue.lines))
            end = min(cue.start + max(MIN_SECONDS, letters / CHARACTERS_PER_SECOND), next_start)
        ended.append(replace(cue, end=end if may_overlap else min(end, next_start)))
    return ended[::-1]


def _without_doubles(cues: Iterable[Cue]) -> list[Cue]:
    """Merges cues of equal text at overlapping times: a style drawn in two layers, a file joined to itself."""
    kept: list[Cue] = []
    last_index: dict[str, int] = {}  # text -> index in `kept` of its last cue
    for cue in cues:
        index = last_index.get(cue.text)
        if index is not None and cue.start_seconds < kept[index].end_seconds:
            kept[index] = replace(kept[index], end_seconds=max(kept[index].end_seconds, cue.end_seconds))
        else:
            last_index[cue.text] = len(kept)
            kept.append(cue)
    return kept
