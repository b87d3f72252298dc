"""SRT, WebVTT, SBV, SubViewer, Spruce's STL and the like: a line with two times, and below it the words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from internvid.speech.cues import RawCue
from internvid.speech.forms.clock import TIME, BadTime, ordinary, seconds_in
from internvid.speech.forms.reading import Reading, shown

_HEADS = r"(?:>|&gt;|》|›|»|〉|⟩)"
_ARROWS = r"[→⇒⟶➔➜➝➞➡⇨⟹]\ufe0f?"
_DASHES = r"[-‐-―─━=~_‾]"
_ARROW = rf"\s*(?:(?:{_DASHES}|\s)*{_HEADS}+|(?:{_DASHES}|\s)*{_ARROWS})\s*"
_BEFORE = r"[\s\[(<]*(?:\d+\s*[.):]?\s+)?"
_FIRST, _SECOND = TIME.format("a_"), TIME.format("b_")
_WITH_ARROW = re.compile(rf"{_BEFORE}{_FIRST}{_ARROW}{_SECOND}(?P<rest>(?![\d:.,]).*|)")
_WITHOUT_END = re.compile(rf"{_BEFORE}{_FIRST}{_ARROW}(?P<rest>)")
_WITH_COMMA = re.compile(rf"\s*{_FIRST}\s*,\s*{_SECOND}(?P<rest>\s*(?:,.*)?)")
# Two times with anything else between them are times only where a cue begins: "10:00 - 11:00" may be said, too.
_WITH_ANYTHING = re.compile(rf"{_BEFORE}{_FIRST}(?:\s*(?:{_DASHES}|[/|;])+\s*|\s+to\s+|\s+){_SECOND}(?P<rest>\s*)")
_FORMS = (_WITH_ARROW, _WITH_COMMA, _WITHOUT_END)
_SECONDS_ONLY = re.compile(rf"\s*(?P<a>-?\d+[.,]\d+)\s*s?{_ARROW}(?P<b>\d+[.,]\d+)\s*s?(?P<rest>\s*)")

_HAS_ARROW = re.compile(rf"{_DASHES}\s*{_HEADS}|{_ARROWS}")
_LIKE_A_TIME = re.compile(r"\d\s*[:.,;]\s*\w|\w\s*[:.,;]\s*\d")
_LIKE_A_CLOCK = re.compile(r"(?!.*[^\W\d]{3}.*[-‐-―→=])[^>→]*\w\s*[:;]\s*\w")  # before an arrow, and no words there
_POINTS_FOR_COLONS = re.compile(r"\b(\d{1,2})\.(\d{2})\.(\d{2})(?=[.,:]\d{1,3}\b)")
_BEGINS_LIKE_A_TIME = re.compile(r"\W*[\dOoIl]{1,2}\s*[:.;]\s*[\dOoIl]{1,2}\s*[:.;,]\s*[\dOoIl]{1,3}\b")

_SETTING = re.compile(r"\s*(?:align|line|position|size|vertical|region|[XY][12]|[ADLST])\s*:\s*\S+", re.IGNORECASE)
_NUMBER = re.compile(r"\s*#?(\d+)[.:)]?\s*")
_HEADER = re.compile(r"WEBVTT(?:\s.*)?", re.IGNORECASE)
_COMMENT = re.compile(r"NOTE(?:\s.*)?|STYLE\s*|REGION(?:\s.*)?|Region:.*")
_LANGUAGE = re.compile(r"Language:\s*(\S+)", re.IGNORECASE)
_MAP = re.compile(r"X-TIMESTAMP-MAP\s*=\s*(.+)", re.IGNORECASE)
_TICKS_PER_SECOND = 90_000  # of MPEG-TS
_NO_WORDS = re.compile(r"\[[^\]]*\].*|\{[^}]*\}.*|[$].*|//.*|;.*|\*+")  # heads of SubViewer and Spruce's files


@dataclass(frozen=True)
class _Times:
    start: float
    end: float | None
    rest: str


@dataclass
class _Block:
    """The lines from one line with times to the next. times: None: these could not be read, or there are none."""

    line: int
    times: _Times | None
    lines: list[tuple[int, str]] = field(default_factory=list)  # number and text; those without text too


def is_timed_line(line: str) -> bool:
    """Says whether the line has the two times of a cue, or begins one."""
    line = ordinary(line)
    return any(form.fullmatch(line) for form in (*_FORMS, _WITH_ANYTHING, _SECONDS_ONLY)) or bool(
        _HAS_ARROW.search(line) and _LIKE_A_TIME.search(line)
    )


def read_timed_lines(text: str, fps: float | None = None) -> Reading:
    """Reads cues of a line with times and lines of words. fps: of the video, for times that count frames.

    Blank lines may be anywhere. A line of digits right above the times is the cue's number where the file numbers its
    cues; in WebVTT any line that stands there alone is the cue's name.
    """
    return _Reader(text, fps).read()


class _Reader:
    def __init__(self, text: str, fps: float | None) -> None:
        self.lines = text.split("\n")
        self.fps = fps
        self.is_webvtt = bool(_HEADER.fullmatch(text.lstrip().split("\n", 1)[0]))
        self.reading = Reading("WebVTT" if self.is_webvtt else "SRT")
        self.numbered: bool | None = None  # known with the first times
        self.named = False
        self.last_number = 0
        self.head_end = 0
        self.offset = 0.0  # of an X-TIMESTAMP-MAP, relative to the file's first
        self.block = _Block(0, None)

    def read(self) -> Reading:
        position = 0
        while position < len(self.lines):
            position = self._take(position)
        self._end_block()
        return self.reading

    def _take(self, position: int) -> int:
        """Reads the line at that position. Returns the position of the next."""
        line = ordinary(self.lines[position])
        after_blank = position in (0, self.head_end) or not self.lines[position - 1].strip()
        if not line.strip():
            self.block.lines.append((position, ""))
            return position + 1
        if self.is_webvtt and after_blank and _HEADER.fullmatch(line.strip()):
            self._end_block()
            return self._skip_header(position + 1)
        if self.is_webvtt and after_blank and _COMMENT.fullmatch(line.strip()):
            return self._skip_comment(position)
        begins = after_blank or bool(_NUMBER.fullmatch(self.lines[position - 1]))
        try:
            times = self._times(line, begins)
        except BadTime as error:
            self._begin_block(position, None)
            self.reading.lose(position + 1, f"{error}: {shown(line)}")
        else:
            if times is not None:
                self._begin_block(position, times)
            elif after_blank and self._is_a_cue_without_times(position):
                self._end_block()
                self.reading.lose(
                    position + 1, f"there are no times below its number: {shown(self.lines[position + 1])}"
                )
                self.last_number += 1
                self.block = _Block(position, None)
            else:
                self.block.lines.append((position, self.lines[position]))
        return position + 1

    def _times(self, line: str, begins: bool) -> _Times | None:
        """Returns the times of the line; None without. begins: whether a cue may begin here. Raises BadTime."""
        forms = (*_FORMS, _WITH_ANYTHING) if begins else _FORMS
        line = _POINTS_FOR_COLONS.sub(r"\1:\2:\3", line)
        match = next(filter(None, (form.fullmatch(line) for form in forms)), None)
        if match is not None:
            if match.re is _WITH_COMMA and self.reading.form == "SRT":
                self.reading.form = "SBV"
            end = None if match.re is _WITHOUT_END else seconds_in(match, "b_", self.fps)
            return _Times(seconds_in(match, "a_", self.fps), end, _words_after(match["rest"]))
        if begins and (match := _SECONDS_ONLY.fullmatch(line)):
            start, end = (float(match[name].replace(",", ".")) for name in "ab")
            return _Times(start, end, "")
        has_arrow = _HAS_ARROW.search(line)
        is_meant = has_arrow and (_LIKE_A_CLOCK.match(line) or (begins and _LIKE_A_TIME.search(line)))
        if is_meant or (begins and _BEGINS_LIKE_A_TIME.match(line)):
            raise BadTime("its times cannot be read")
        below_number = bool(self.block.lines) and bool(_NUMBER.fullmatch(self.block.lines[-1][1]))
        if has_arrow and begins and below_number:
            raise BadTime("its times cannot be read")
        return None

    def _is_a_cue_without_times(self, position: int) -> bool:
        """Says whether the line is the next cue's number, and words follow where its times should be."""
        number = _NUMBER.fullmatch(self.lines[position])
        if number is None or self.numbered is False or int(number[1]) != self.last_number + 1:
            return False
        below = self.lines[position + 1] if position + 1 < len(self.lines) else ""
        if not below.strip():
            return False
        try:
            return self._times(ordinary(below), True) is None
        except BadTime:
            return False  # the line of times is counted, when it is its turn

    def _begin_block(self, position: int, times: _Times | None) -> None:
        self._take_name(position)
        self._end_block()
        self.block = _Block(position, times)
        if times is not None and times.rest:
            self.block.lines.append((position, times.rest))

    def _take_name(self, position: int) -> None:
        """Takes the line right above the times out of the block before, where it is the cue's number or name."""
        lines = self.block.lines
        while len(lines) > 1 and not lines[-1][1].strip() and self._is_next_number(lines):
            lines.pop()  # blank lines between the number and the times
        above = lines[-1][1] if lines else ""
        number = _NUMBER.fullmatch(above) if above.strip() else None
        stands_alone = len(lines) < 2 or not lines[-2][1].strip()
        has_words = self.block.times is None or any(text.strip() for _, text in lines[:-1])
        if self.numbered is None:
            self.numbered = number is not None
            self.named = bool(above.strip()) and number is None and self.is_webvtt
        if number is not None and (self.numbered or (stands_alone and has_words)):
            lines.pop()
            self.last_number = int(number[1])
            return
        self.last_number += 1
        if above.strip() and self.is_webvtt and stands_alone and (has_words or self.named):
            lines.pop()

    def _is_next_number(self, lines: list[tuple[int, str]]) -> bool:
        """Says whether the last line with words is the number that the next cue has."""
        last = next((text for _, text in reversed(lines) if text.strip()), "")
        number = _NUMBER.fullmatch(last)
        return number is not None and self.numbered is not False and int(number[1]) == self.last_number + 1

    def _end_block(self) -> None:
        block, words = self.block, [text for _, text in self.block.lines]
        if block.times is not None:
            if self.reading.form == "SBV":
                words = [word.replace("[br]", "\n").replace("[BR]", "\n") for word in words]
            end = None if block.times.end is None else block.times.end + self.offset
            self.reading.cues.append(RawCue(block.times.start + self.offset, end, "\n".join(words).strip("\n")))
        elif not self.reading.cues and not self.reading.unread:
            stray = [
                (line, text) for line, text in block.lines if text.strip() and not _NO_WORDS.fullmatch(text.strip())
            ]
            if stray:
                self.reading.lose(stray[0][0] + 1, f"there are no times for {shown(stray[0][1])}")
        self.block = _Block(block.line, None)

    def _skip_header(self, position: int) -> int:
        while position < len(self.lines) and (line := self.lines[position]).strip():
            if self._is_timed(line) or _NUMBER.fullmatch(line):
                self.head_end = position  # a cue right below the head
                break
            if match := _LANGUAGE.match(line.strip()):
                self.reading.language = self.reading.language or match[1]
            elif match := _MAP.match(line.strip()):
                self._map_clock(position, match[1])
            position += 1
        return position

    def _map_clock(self, position: int, pairs: str) -> None:
        """Reads an X-TIMESTAMP-MAP: MPEGTS, in 90 kHz, and LOCAL, a time of the cues, are the same time."""
        values = {
            name.strip().upper(): value.strip() for name, _, value in (p.partition(":") for p in pairs.split(","))
        }
        local = re.compile(TIME.format("")).fullmatch(ordinary(values.get("LOCAL", "0:00")))
        ticks = values.get("MPEGTS", "0")
        if local is None or not ticks.isdecimal():
            self.reading.lose(position + 1, f"its X-TIMESTAMP-MAP cannot be read: {shown(pairs)}")
            return
        zero = int(ticks) / _TICKS_PER_SECOND - seconds_in(local, "", self.fps)
        if self.reading.clock_seconds is None:
            self.reading.clock_seconds = zero
        self.offset = zero - self.reading.clock_seconds

    def _skip_comment(self, position: int) -> int:
        """Skips to the end of a comment or style. A style may have blank lines within its braces."""
        is_style = self.lines[position].strip().upper() == "STYLE"
        depth = 0
        while position < len(self.lines):
            line = self.lines[position]
            if self._is_timed(line) or (not line.strip() and (not is_style or depth <= 0)):
                break
            depth += line.count("{") - line.count("}")
            position += 1
        return position

    def _is_timed(self, line: str) -> bool:
        return any(form.fullmatch(ordinary(line)) for form in (_WITH_ARROW, _WITHOUT_END))


def _words_after(rest: str) -> str:
    """Returns the words on the line of the times, without the cue's settings."""
    rest = rest.lstrip("]) \t,")
    while match := _SETTING.match(rest):
        rest = rest[match.end() :]
    return rest.strip()
