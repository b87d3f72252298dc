"""Decides the form of a subtitle file by what stands in it; the name of the file does not matter."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from internvid.speech.forms.json_cues import read_json
from internvid.speech.forms.marked_lines import (
    is_dialogue,
    is_lrc_line,
    is_microdvd_line,
    is_mpl2_line,
    is_tmp_line,
    read_ass,
    read_lrc,
    read_microdvd,
    read_mpl2,
    read_tmp,
)
from internvid.speech.forms.markup import read_sami, read_ttml, read_youtube_xml
from internvid.speech.forms.reading import Reading, UnreadableSubtitles
from internvid.speech.forms.timed_lines import is_timed_line, read_timed_lines

NO_TIME = "these are no subtitles: there is no time in it"
_HEAD_CHARACTERS = 65_536  # of a file, in which the element that names its form stands

# What cannot be read, by its first bytes or words; each is told by its name.
_PAGE = "a page of HTML"  # in place of a file that its server no longer has
_BINARY = (
    (0, b"\x00\x00\x01\xba", "VobSub's pictures (.sub)"),
    (0, b"PG", "PGS pictures of a Blu-ray (.sup)"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"7z\xbc\xaf", "a 7z archive"),
    (0, b"%PDF", "a PDF"),
    (3, b"STL", "EBU STL, a binary form of broadcasters"),
    (4, b"ftyp", "an MP4 file"),
    (0, b"\x1aE\xdf\xa3", "a Matroska file"),
)
_TEXTS = (
    (r"\s*Scenarist_SCC", "SCC, closed captions as codes"),
    (r"\s*#\s*VobSub index", "the index of VobSub's pictures (.idx)"),
    (r"\s*\{\\rtf", "RTF"),
    (r"\s*(?:<!--.*?-->\s*)*<!doctype html|\s*(?:<!doctype.*?>\s*)?<html", _PAGE),
    (r".*<window\b.*<time\b", "RealText"),
    (r".*<usfsubtitles\b", "USF"),
    (r"\s*FORMAT=(?:TIME|\d)", "MPSub"),
    (r"\s*#(?:T|TIMERES)\w*\s*\d+|\s*@\d+\s+@\d+", "JACOsub"),
    (r"\s*-->>\s*\d+", "AQTitle"),
    (r"\s*\d+,\d+,\"", "Phoenix Subtitle (PJS)"),
    (r"\s*\*PART", "Pinnacle's text"),
)
_OTHER_TEXTS = tuple((re.compile(form, re.IGNORECASE | re.DOTALL), name) for form, name in _TEXTS)

_LINE_FORMS: tuple[tuple[Callable[[str], bool], Callable[[str, float | None], Reading]], ...] = (
    (is_timed_line, read_timed_lines),
    (is_lrc_line, read_lrc),
    (is_microdvd_line, read_microdvd),
    (is_mpl2_line, read_mpl2),
    (is_tmp_line, read_tmp),
)


def refuse_binary(data: bytes) -> None:
    """Raises UnreadableSubtitles, with the name of the form, for bytes that are no text."""
    for start, mark, name in _BINARY:
        is_text = mark == b"PG" and b"\0" not in data[:16]  # PG-13 may begin a text
        if data[start : start + len(mark)] == mark and not is_text:
            raise UnreadableSubtitles(f"it is {name}, which is not read")


def read_cues(text: str, fps: float | None = None) -> list[Reading]:
    """Reads a subtitle file: its tracks, of which only SAMI has several.

    fps: frame rate of the video, for forms that count frames. Raises UnreadableSubtitles for text of another form, with
    its name where that is known.
    """
    body = text.lstrip()
    if not body:
        return [Reading("empty")]
    if body[0] in "{[" and (document := _document(body)) is not None:
        return [read_json(document)]
    if body[:6].upper() == "WEBVTT":
        return [read_timed_lines(text, fps)]
    head = body[:_HEAD_CHARACTERS]
    lowered = head.lower()
    if re.search(r"<\s*sami\b|<\s*sync\b", lowered):
        return read_sami(text, fps)
    if re.search(r"<(?:\w+:)?tt[\s>]", lowered):
        return [read_ttml(text, fps)]
    if re.search(r"<(?:timedtext|transcript)[\s>]", lowered):
        return [read_youtube_xml(text, fps)]
    if "[script info]" in lowered or any(map(is_dialogue, head.split("\n"))):
        return [read_ass(text, fps)]
    for form, name in _OTHER_TEXTS:
        if form.match(head):
            why = "there is no time in it" if name == _PAGE else "which is not read"
            raise UnreadableSubtitles(f"it is {name}, {why}")
    lines = text.split("\n")
    votes = [sum(map(is_form, lines)) for is_form, _ in _LINE_FORMS]
    if max(votes):
        return [_LINE_FORMS[votes.index(max(votes))][1](text, fps)]
    if lowered.startswith("<"):
        raise UnreadableSubtitles("it is XML of another kind than TTML, SAMI and YouTube's")
    raise UnreadableSubtitles(NO_TIME)


def _document(text: str) -> object | None:
    """Returns the parsed JSON; None where the text is none. Raises UnreadableSubtitles for JSON that is cut off."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        if re.match(r"\{\s*\"|\[\s*\{\s*\"", text):
            raise UnreadableSubtitles(f"it is JSON, but not readable as such: {error}") from error
        return None
