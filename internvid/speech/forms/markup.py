"""TTML (DFXP), SAMI and YouTube's XML: words between tags.

The tags are read by Python's HTML parser, which never gives up: files with an unclosed tag or a bare & are common.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

from internvid.speech.cues import RawCue
from internvid.speech.forms.clock import BadTime, ordinary
from internvid.speech.forms.reading import Reading, shown

_SPACES = re.compile(r"\s+")
_OFFSET = re.compile(r"(\d+(?:\.\d+)?)\s*(h|ms|m|s|f|t)", re.IGNORECASE)
_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d+)(?:[.,](\d+)|[:;](\d+)(?:\.(\d+))?)?")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_SYNC = re.compile(r"<\s*sync\b", re.IGNORECASE)
_SAMI_CLASS = re.compile(r"\.([\w-]+)\s*\{([^}]*)\}")
_SAMI_LANGUAGE = re.compile(r"\blang\s*:\s*([\w-]+)", re.IGNORECASE)
_MILLISECONDS = re.compile(r"\s*(-?\d+(?:\.\d+)?)\s*(?:ms)?\s*", re.IGNORECASE)


@dataclass
class _Element:
    name: str
    attributes: dict[str, str]
    line: int
    children: list[_Element | str] = field(default_factory=list)

    def words(self) -> str:
        """Returns the text within, with line breaks where it has <br>; other white space is one space."""
        parts = []
        for child in self.children:
            if isinstance(child, str):
                parts.append(_SPACES.sub(" ", child))
            elif child.name == "br":
                parts.append("\n")
            elif child.name != "metadata":
                parts.append(child.words())
        return "".join(parts)

    def elements(self) -> Iterator[_Element]:
        return (child for child in self.children if isinstance(child, _Element))


class _TagParser(HTMLParser):
    """A parser to which no element is special: HTML's own does not look for tags within <style> and <title>."""

    def set_cdata_mode(self, elem: str, **how: object) -> None:
        pass


class _Parser(_TagParser):
    """Builds a tree; names are lower case and without their namespace."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = _Element("", {}, 1)
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = _Element(_local(tag), {_local(name): value or "" for name, value in attrs}, self.getpos()[0])
        self.open[-1].children.append(element)
        if element.name != "br":
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if _local(tag) != "br":
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        name = _local(tag)
        depth = next((depth for depth in range(len(self.open) - 1, 0, -1) if self.open[depth].name == name), None)
        if depth is not None:
            del self.open[depth:]

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)

    def unknown_decl(self, data: str) -> None:
        if data.startswith("CDATA["):
            self.handle_data(data.removeprefix("CDATA["))


def _local(name: str) -> str:
    return name.rpartition(":")[2].lower()


def _parsed(text: str) -> _Element:
    parser = _Parser()
    parser.feed(text)
    parser.close()
    return parser.root


def _find(element: _Element, name: str) -> Iterator[_Element]:
    for child in element.elements():
        if child.name == name:
            yield child
        else:
            yield from _find(child, name)


# --- TTML ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Interval:
    """When an element is shown. end: None: as long as what it stands in. is_stated: whether any time was stated."""

    start: float
    end: float | None
    is_stated: bool


def read_ttml(text: str, fps: float | None = None) -> Reading:
    """Reads TTML, with or without namespaces: clock times, frames, ticks; times within times."""
    reading = Reading("TTML")
    root = next(_find(_parsed(text), "tt"), None)
    if root is None:
        reading.lose(1, "it has no element tt")
        return reading
    reading.language = root.attributes.get("lang") or None
    clock = _TtmlClock(root.attributes, fps)
    for body in root.elements():
        if body.name == "body":
            reading.language = body.attributes.get("lang") or reading.language
            _read_timed(reading, clock, body, _Interval(0.0, None, False))
    return reading


class _TtmlClock:
    """Parses time expressions by the rates that the root states."""

    def __init__(self, attributes: dict[str, str], fps: float | None) -> None:
        multiplier = re.findall(r"\d+", attributes.get("frameratemultiplier", "1 1"))
        scale = int(multiplier[0]) / int(multiplier[1]) if len(multiplier) == 2 and int(multiplier[1]) else 1.0
        stated = float(attributes.get("framerate") or 0)
        self.frames = (stated or fps or 30.0) * (scale if stated else 1.0)  # 30 is the standard's own
        self.subframes = float(attributes.get("subframerate") or 1)
        ticks = float(attributes.get("tickrate") or 0)
        self.ticks = ticks or (stated * scale * self.subframes if stated else 1.0)

    def seconds(self, expression: str) -> float:
        """Raises BadTime."""
        text = ordinary(expression).strip()
        if match := _OFFSET.fullmatch(text):
            unit = match[2].lower()
            rate = {"f": self.frames, "t": self.ticks}.get(unit)
            return float(match[1]) / rate if rate else float(match[1]) * _SECONDS[unit]
        if match := _CLOCK.fullmatch(text):
            total = 3600.0 * int(match[1] or 0) + 60 * int(match[2]) + int(match[3])
            if match[4]:
                total += int(match[4]) / 10 ** len(match[4])
            if match[5]:
                total += (int(match[5]) + int(match[6] or 0) / self.subframes) / self.frames
            return total
        raise BadTime(f"its time {shown(expression)} cannot be read")


def _read_timed(reading: Reading, clock: _TtmlClock, element: _Element, within: _Interval) -> float | None:
    """Reads the cues of the element. Returns when it ends, for what follows it in turn; None if that is not stated."""
    try:
        interval = _interval(clock, element, within)
    except BadTime as error:
        for lost in _paragraphs(element):
            if lost.words().strip():
                reading.lose(lost.line, str(error))
        return None
    timed = [child for child in element.elements() if child.name in ("div", "p", "span")]
    if element.name in ("p", "span") and not any(_has_times(child) for child in _descendants(element)):
        words = element.words()
        if words.strip():
            if interval.is_stated:
                reading.cues.append(RawCue(interval.start, interval.end, words))
            else:
                reading.lose(element.line, f"there are no times for {shown(words)}")
        return interval.end
    if element.name == "p" and interval.is_stated:
        # Words beside those with times of their own are shown all the time.
        loose = "".join(child if isinstance(child, str) else "" for child in element.children)
        if loose.strip():
            reading.cues.append(RawCue(interval.start, interval.end, _SPACES.sub(" ", loose).strip()))
    elif element.name == "p" and "".join(child for child in element.children if isinstance(child, str)).strip():
        reading.lose(element.line, "there are no times for some of its words")
    in_turn = element.attributes.get("timecontainer", "par").lower() == "seq"
    start, last = interval.start, interval.end
    for child in timed:
        ended = _read_timed(reading, clock, child, _Interval(start, interval.end, interval.is_stated))
        if in_turn and ended is not None:
            start = last = ended
    return interval.end if interval.end is not None else last


def _interval(clock: _TtmlClock, element: _Element, within: _Interval) -> _Interval:
    """Raises BadTime. Times count from the beginning of what the element stands in."""
    begin, end, lasts = (element.attributes.get(name) for name in ("begin", "end", "dur"))
    lasts = lasts or element.attributes.get("duration")
    start = within.start + (clock.seconds(begin) if begin else 0.0)
    ends = [moment for moment in (within.end,) if moment is not None]
    if end:
        ends.append(within.start + clock.seconds(end))
    if lasts:
        ends.append(start + clock.seconds(lasts))
    return _Interval(start, min(ends, default=None), within.is_stated or bool(begin or end or lasts))


def _has_times(element: _Element) -> bool:
    return any(element.attributes.get(name) for name in ("begin", "end", "dur"))


def _descendants(element: _Element) -> Iterator[_Element]:
    for child in element.elements():
        yield child
        yield from _descendants(child)


def _paragraphs(element: _Element) -> list[_Element]:
    return [element] if element.name in ("p", "span") else list(_find(element, "p"))


# --- YouTube's XML ------------------------------------------------------------------------------------------------


def read_youtube_xml(text: str, fps: float | None = None) -> Reading:
    """Reads <text start= dur=> in seconds, and <p t= d=> in milliseconds, whose <s> are words that a machine heard."""
    reading = Reading("YouTube's XML")
    root = _parsed(text)
    for element in (*_find(root, "text"), *_find(root, "p")):
        start, lasts, scale = (
            (element.attributes.get("start"), element.attributes.get("dur"), 1.0)
            if "start" in element.attributes
            else (element.attributes.get("t"), element.attributes.get("d"), 0.001)
        )
        words = element.words()
        if any({"t", "ac"} & word.attributes.keys() for word in element.elements() if word.name == "s"):
            reading.is_automatic = True
        if not words.strip():
            continue
        try:
            begin = float(start or "none") * scale
            reading.cues.append(RawCue(begin, begin + float(lasts) * scale if lasts else None, words))
        except ValueError:
            reading.lose(element.line, f"its times cannot be read: {shown(words)}")
    return reading


# --- SAMI ---------------------------------------------------------------------------------------------------------


def read_sami(text: str, fps: float | None = None) -> list[Reading]:
    """Reads <SYNC Start=milliseconds><P Class=…>words, a track for each class: a file may have several languages.

    A paragraph ends where the next of its class begins; one without words clears the picture.
    """
    first = _SYNC.search(text)
    head = text[: first.start()] if first else text
    languages = {
        name.lower(): match[1] for name, style in _SAMI_CLASS.findall(head) if (match := _SAMI_LANGUAGE.search(style))
    }
    parser = _SamiParser(head.count("\n"))
    parser.feed(text[len(head) :])
    parser.close()
    parser.end_paragraph()
    by_class: dict[str, list[_Paragraph]] = {}
    for paragraph in parser.paragraphs:
        by_class.setdefault(paragraph.name, []).append(paragraph)
    return [_track(paragraphs, languages.get(name)) for name, paragraphs in by_class.items()] or [Reading("SAMI")]


@dataclass(frozen=True)
class _Paragraph:
    """A paragraph of SAMI. name: of its class. start, end: in seconds, None where not stated or unreadable."""

    name: str
    start: float | None
    end: float | None
    line: int
    words: str


def _track(paragraphs: list[_Paragraph], language: str | None) -> Reading:
    reading = Reading("SAMI", language=language)
    next_start: float | None = None
    cues = []
    for paragraph in reversed(paragraphs):
        has_words = bool(paragraph.words.replace("\xa0", " ").strip())
        if paragraph.start is not None:
            if has_words:
                end = next_start if paragraph.end is None else paragraph.end
                cues.append(RawCue(paragraph.start, end, paragraph.words))
            next_start = paragraph.start
        elif has_words:
            reading.lose(paragraph.line, f"its Start cannot be read: {shown(paragraph.words)}")
    reading.cues = cues[::-1]
    reading.unread.reverse()
    return reading


class _SamiParser(_TagParser):
    """Collects the paragraphs. Nothing needs to be closed."""

    def __init__(self, lines_before: int) -> None:
        super().__init__(convert_charrefs=True)
        self.lines_before = lines_before
        self.paragraphs: list[_Paragraph] = []
        self._start: float | None = None
        self._end: float | None = None
        self._class = ""
        self._line = 1
        self._words: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "sync":
            self.end_paragraph()
            self._start, self._end = (_milliseconds(attributes.get(name)) for name in ("start", "end"))
            self._class, self._line = "", self.lines_before + self.getpos()[0]
            self._words = []
        elif tag == "p":
            name = attributes.get("class", "").lower()
            is_other = name != self._class and (self._class or "".join(self._words or ()).strip())
            if self._words is not None and is_other:
                self.end_paragraph()
                self._words = []
            elif self._words:
                self._words.append("\n")
            self._class = name
        elif tag == "br" and self._words is not None:
            self._words.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("sync", "body", "sami"):
            self.end_paragraph()

    def handle_data(self, data: str) -> None:
        if self._words is not None:
            self._words.append(_SPACES.sub(" ", data) if data.strip() else " ")

    def end_paragraph(self) -> None:
        if self._words is not None:
            words = "".join(self._words)
            self.paragraphs.append(_Paragraph(self._class, self._start, self._end, self._line, words))
        self._words = None


def _milliseconds(value: str | None) -> float | None:
    match = _MILLISECONDS.fullmatch(value or "")
    return float(match[1]) / 1000 if match else None
