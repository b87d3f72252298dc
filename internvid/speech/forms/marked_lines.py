"""LRC, MicroDVD, MPL2, TMPlayer and SubStation Alpha: each line has its times and its words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from internvid.speech.cues import RawCue
from internvid.speech.forms.clock import TIME, BadTime, frames_to_seconds, ordinary, seconds_in
from internvid.speech.forms.reading import Reading, shown

_LRC_TAG = re.compile(rf"\s*\[\s*{TIME.format('')}\s*\]")
_LRC_BAD_TAG = re.compile(r"\s*\[[^\]A-Za-z]*\d[^\]]*[:.][^\]]*\]?")
_LRC_FACT = re.compile(r"\s*\[\s*([#A-Za-z_]+)\s*:(.*)\]\s*")
_FRAMES = re.compile(r"\s*\{\s*(\d+)\s*\}\s*\{\s*(\d*)\s*\}(.*)")
_FRAMES_DEFAULT = re.compile(r"\s*\{DEFAULT\}.*", re.IGNORECASE)
_FRAMES_STYLE = re.compile(r"\{[A-Za-z]:[^}]*\}")
_TENTHS = re.compile(r"\s*\[\s*(-?\d+)\s*\]\s*\[\s*(\d*)\s*\](.*)")
_TMP = re.compile(r"\s*(?P<hours>\d{1,2}):(?P<minutes>\d\d):(?P<seconds>\d\d)(?:,\d)?\s*[:= ](?P<words>.*)")
_RATE = re.compile(r"\s*(\d{1,3}(?:[.,]\d+)?)\s*(?:fps)?\s*", re.IGNORECASE)
_ASS_TIME = re.compile(TIME.format(""))
_ASS_FIELDS = ("layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text")
_DIALOGUE = re.compile(r"\s*Dialogue\s*:(.*)", re.IGNORECASE)
_FORMAT = re.compile(r"\s*Format\s*:(.*)", re.IGNORECASE)
_SECTION = re.compile(r"\s*\[(.+)\]\s*")


def numbered_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yields the lines that are not blank, with their numbers from 1."""
    return ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())


# --- LRC ----------------------------------------------------------------------------------------------------------


def is_lrc_line(line: str) -> bool:
    return bool(_LRC_TAG.match(ordinary(line)))


def read_lrc(text: str, fps: float | None = None) -> Reading:
    """Reads lyrics: [minutes:seconds.hundredths]words; a line that is sung several times has several times before it.

    A time without words ends the words before it. [offset:milliseconds] makes all words come earlier. A line without a
    time belongs to a time that stands alone above it.
    """
    reading = Reading("LRC")
    offset = 0.0
    sung: list[RawCue] = []
    stands_alone = False
    for number, line in numbered_lines(text):
        if fact := _LRC_FACT.fullmatch(line):
            if fact[1].lower() == "offset":
                try:
                    offset = float(fact[2]) / 1000
                except ValueError:
                    reading.lose(number, f"its offset is no number: {shown(line)}")
            elif fact[1].lower() in ("la", "lang", "language"):
                reading.language = fact[2].strip()
            continue
        starts, words = _lrc_times(ordinary(line), line)
        if not starts or _LRC_BAD_TAG.match(words):
            if stands_alone and not _LRC_BAD_TAG.match(words):
                sung[-1] = replace(sung[-1], text=f"{sung[-1].text}\n{words}")
            else:
                reading.lose(number, f"it has no time that can be read: {shown(line)}")
            continue
        stands_alone = not words.strip()
        sung += [RawCue(start, None, words) for start in starts]
    sung.sort(key=lambda cue: cue.start_seconds or 0.0)
    following = [*sung[1:], None]
    for cue, after in zip(sung, following, strict=True):
        if cue.text.strip():
            ended = after.start_seconds if after is not None and not after.text.strip() else None
            start = None if cue.start_seconds is None else cue.start_seconds - offset
            reading.cues.append(RawCue(start, None if ended is None else ended - offset, cue.text))
    return reading


def _lrc_times(readable: str, line: str) -> tuple[list[float], str]:
    """Returns the times before the words, and the words."""
    starts, position = [], 0
    while match := _LRC_TAG.match(readable, position):
        hours, minutes, seconds, part = (match[name] or "0" for name in ("hours", "minutes", "seconds", "part"))
        if match["hours"] and not match["part"]:  # [00:01:50] is one and a half seconds here
            hours, minutes, seconds, part = "0", hours, minutes, seconds
        starts.append(3600.0 * int(hours) + 60 * int(minutes) + int(seconds) + int(part) / 10 ** len(part))
        position = match.end()
    return starts, line[position:]


# --- MicroDVD, MPL2, TMPlayer -------------------------------------------------------------------------------------


def is_microdvd_line(line: str) -> bool:
    return bool(_FRAMES.fullmatch(line))


def is_mpl2_line(line: str) -> bool:
    return bool(_TENTHS.fullmatch(line))


def is_tmp_line(line: str) -> bool:
    return bool(_TMP.fullmatch(line))


def read_microdvd(text: str, fps: float | None = None) -> Reading:
    """Reads {first frame}{last frame}words. A first line of the kind {1}{1}23.976 gives the frame rate.

    fps: of the video, for files without that line.
    """
    reading = Reading("MicroDVD")
    stated: float | None = None

    def cue(match: re.Match[str]) -> RawCue | None:
        nonlocal stated
        start, end, words = int(match[1]), match[2], match[3]
        rate = _RATE.fullmatch(words)
        if rate and stated is None and not reading.cues and (not end or int(end) == start) and start <= 1:
            stated = float(rate[1].replace(",", "."))
            return None
        seconds = frames_to_seconds(start, stated or fps)
        plain = _FRAMES_STYLE.sub("", words)
        return RawCue(seconds, frames_to_seconds(int(end), stated or fps) if end else None, _piped(plain))

    return _read_each(reading, text, _FRAMES, cue, skip=_FRAMES_DEFAULT)


def read_mpl2(text: str, fps: float | None = None) -> Reading:
    """Reads [start][end]words, in tenths of a second."""
    return _read_each(
        Reading("MPL2"),
        text,
        _TENTHS,
        lambda match: RawCue(int(match[1]) / 10, int(match[2]) / 10 if match[2] else None, _piped(match[3])),
    )


def read_tmp(text: str, fps: float | None = None) -> Reading:
    """Reads hours:minutes:seconds:words; a cue ends where the next begins."""

    def cue(match: re.Match[str]) -> RawCue:
        hours, minutes, seconds = (int(match[name]) for name in ("hours", "minutes", "seconds"))
        return RawCue(3600.0 * hours + 60 * minutes + seconds, None, _piped(match["words"]))

    return _read_each(Reading("TMPlayer"), text, _TMP, cue)


def _piped(words: str) -> str:
    """Returns the words with line breaks for |, and without the / that marks a slanted line."""
    return "\n".join(line.strip().removeprefix("/") for line in words.split("|"))


def _read_each(
    reading: Reading,
    text: str,
    form: re.Pattern[str],
    cue: Callable[[re.Match[str]], RawCue | None],
    *,
    skip: re.Pattern[str] | None = None,
) -> Reading:
    """Reads a cue of every line. cue: None for a line that is none; it may raise BadTime."""
    for number, line in numbered_lines(text):
        match = form.fullmatch(line)
        if match is None:
            if skip is None or not skip.fullmatch(line):
                reading.lose(number, f"it has no time that can be read: {shown(line)}")
            continue
        try:
            read = cue(match)
        except BadTime as error:
            reading.lose(number, f"{error}: {shown(line)}")
        else:
            if read is not None:
                reading.cues.append(read)
    return reading


# --- SubStation Alpha -----------------------------------------------------------------------------------------------


def is_dialogue(line: str) -> bool:
    return bool(_DIALOGUE.fullmatch(line))


def read_ass(text: str, fps: float | None = None) -> Reading:
    """Reads the Dialogue lines, by the order of fields that the section of events states."""
    reading = Reading("ASS")
    fields: tuple[str, ...] = _ASS_FIELDS
    section = "events"
    for number, line in numbered_lines(text):
        if heading := _SECTION.fullmatch(line):
            section = heading[1].strip().lower()
        elif (stated := _FORMAT.fullmatch(line)) and section == "events":
            names = tuple(name.strip().lower() for name in stated[1].split(","))
            fields = names if {"start", "end", "text"} <= set(names) else fields
        elif dialogue := _DIALOGUE.fullmatch(line):
            values = dialogue[1].split(",", len(fields) - 1)
            cells = dict(zip(fields, values, strict=False))
            times = [_ASS_TIME.fullmatch(ordinary(cells.get(name, "").strip())) for name in ("start", "end")]
            if len(values) < len(fields) or times[0] is None or times[1] is None:
                reading.lose(number, f"its fields or times cannot be read: {shown(line)}")
                continue
            try:
                start, end = (seconds_in(time, "", fps) for time in times if time is not None)
            except BadTime as error:
                reading.lose(number, f"{error}: {shown(line)}")
            else:
                reading.cues.append(RawCue(start, end, cells["text"]))
    return reading
