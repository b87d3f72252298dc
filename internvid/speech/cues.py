"""A cue: what is said between two times. Raw cues of any origin, made clean, whole and in order.

What a format looks like is `subtitles`' concern; here is what all of them get wrong.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

SHORTEST_SECONDS = 1.0  # of a cue that has no length of its own
CHARACTERS_PER_SECOND = 15.0  # at which subtitles are read aloud; gives such a cue its length
LONGEST_BREAK_SECONDS = 0.5  # after which a line that stands there again is said again
ROLLING_SHARE = 0.4  # of a rolling track's cues show a line again and a new one below; in others hardly any does

_DRAWING = re.compile(r"\{[^}]*\\p[1-9]")
_OVERRIDE = re.compile(r"\{\\[^}]*\}")
_TAG = re.compile(r"</?[a-zA-Z0-9][^<>]*>|</?>")
_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_NOT_SAID = re.compile(r"(?:\s|[-♪♫♬#*]|\[[^\]]*\]|\([^)]*\)|（[^）]*）|【[^】]*】)*")


@dataclass(frozen=True)
class Cue:
    """What is said between two times, in seconds."""

    start_seconds: float
    end_seconds: float
    text: str


@dataclass(frozen=True)
class RawCue:
    """As a file has it. start_seconds, end_seconds: possibly in wrong order, negative or NaN; None where not stated.
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


def tidied(raw: Iterable[RawCue], *, shift_seconds: float = 0.0, may_overlap: bool = True) -> tuple[list[Cue], bool]:
    """The cues in order of time, without markup, empty ones, and what is no speech; and whether the track was rolling.

    A rolling track shows each line twice, as captioning machines do: new below, then above the next one. Each line is
    kept where it is new. shift_seconds: is added to all times; what then lies before 0 is cut off. may_overlap: two may
    speak at once; else, and in rolling tracks, a cue ends where the next begins.
    """
    cues = sorted((cue for one in raw if (cue := _read(one, shift_seconds))), key=lambda cue: cue.start)
    is_rolling = _rolls(cues)
    if is_rolling:
        cues = _unrolled(cues)
    cues = [cue for cue in cues if not _NOT_SAID.fullmatch(" ".join(cue.lines))]
    cues = _with_ends(cues, may_overlap=may_overlap and not is_rolling)
    whole = [Cue(cue.start, cue.end, " ".join(cue.lines)) for cue in cues if cue.end > 0]
    return _without_doubles([replace(cue, start_seconds=max(0.0, cue.start_seconds)) for cue in whole]), is_rolling


def plain_lines(text: str) -> list[str]:
    """The text's lines without tags, entities, drawings and invisible characters; none that is empty."""
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
    """How many of the cue's first lines are the last ones of what was shown right before."""
    if shown.end + LONGEST_BREAK_SECONDS < cue.start:  # not where the end is NaN
        return 0
    most = min(len(shown.lines), len(cue.lines))
    return next((n for n in range(most, 0, -1) if shown.lines[-n:] == cue.lines[:n]), 0)


def _rolls(cues: Sequence[_Lines]) -> bool:
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
    """A cue without an end, or with one before its start, ends when it is read, and before the next begins."""
    ended = []
    later = after = math.inf  # later: when the next cue begins; after: the same for a cue that begins with this one
    for cue in reversed(cues):
        later, after = (later if cue.start == after else after), cue.start
        end = cue.end
        if not math.isfinite(end) or end <= cue.start:
            letters = sum(map(len, cue.lines))
            end = min(cue.start + max(SHORTEST_SECONDS, letters / CHARACTERS_PER_SECOND), later)
        ended.append(replace(cue, end=end if may_overlap else min(end, later)))
    return ended[::-1]


def _without_doubles(cues: Iterable[Cue]) -> list[Cue]:
    """The same words said at overlapping times are said once: a style drawn in two layers, a file joined to itself."""
    kept: list[Cue] = []
    said: dict[str, int] = {}  # words -> where in `kept` they were said last
    for cue in cues:
        at = said.get(cue.text)
        if at is not None and cue.start_seconds < kept[at].end_seconds:
            kept[at] = replace(kept[at], end_seconds=max(kept[at].end_seconds, cue.end_seconds))
        else:
            said[cue.text] = len(kept)
            kept.append(cue)
    return kept
