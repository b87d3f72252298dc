"""Reads the subtitles that came with a video: files beside it, and streams within it.

`internvid.speech.forms` reads the files, FFmpeg the streams; this module detects encodings, puts cues on the video's
clock and chooses. Subtitles are untrusted like the video itself: read them in a child process with limits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import av
import av.error
from av.stream import Discard, Disposition
from av.subtitles.stream import SubtitleStream

from internvid.speech.cues import Cue, RawCue, tidy_cues
from internvid.speech.forms.detection import read_cues, refuse_binary
from internvid.speech.forms.reading import Reading, UnreadableSubtitles
from internvid.speech.language import language_code, language_of
from internvid.speech.sidecars import tags_in_name
from internvid.video.probe import first_frame_seconds, open_video

Kind = Literal["uploaded", "embedded", "automatic"]

# Usual code page of a language, for text that is not Unicode. For other languages the bytes decide.
_CODE_PAGES = {
    **dict.fromkeys(("en", "de", "fr", "es", "it", "pt", "nl", "sv", "da", "no", "nb", "nn", "fi", "is"), "cp1252"),
    **dict.fromkeys(("pl", "cs", "sk", "hu", "ro", "hr", "sl", "bs", "sq"), "cp1250"),
    **dict.fromkeys(("ru", "uk", "bg", "be", "mk", "sr"), "cp1251"),
    **{"el": "cp1253", "tr": "cp1254", "he": "cp1255", "ar": "cp1256", "fa": "cp1256", "vi": "cp1258", "th": "cp874"},
    **{"lt": "cp1257", "lv": "cp1257", "et": "cp1257", "ja": "cp932", "ko": "cp949", "zh": "gb18030"},
}
_GUESSED = sorted({*_CODE_PAGES.values(), "big5"})
_MARKS = (  # at the beginning of a file
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_DAMAGED_SHARE = 0.5  # of the characters beyond ASCII: with more, the file is not damaged UTF-8 but no UTF-8

_TEXT_CODECS = {"mov_text", "subrip", "srt", "webvtt", "ass", "ssa", "text"}  # other codecs hold pictures
_LEAD_IN_SECONDS = 0.05  # of inaudible sound before the first picture, which its encoder needs to begin
_WORD_TIMES = re.compile(r"<\d+:\d\d(?::\d\d)?\.\d+>\s*<c")  # as YouTube's automatic captions mark each word
_MAX_FPS = 300.0  # beyond it the header's rate is that of a clock, not of pictures
_CLOCK_WRAP_SECONDS = 2**33 / 90_000  # after which the clock of MPEG-TS begins again


@dataclass(frozen=True)
class SubtitleFile:
    """A subtitle file. name: without folder. data: its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Subtitles:
    """Subtitles of a video. cues: in seconds from its first frame. origin: the file's name, or the stream's number.

    problems: what could not be read: cues of these subtitles, and files or streams that go before them.
    """

    kind: Kind
    origin: str
    language: str | None
    cues: list[Cue]
    problems: tuple[str, ...] = ()


def subtitles_of(path: str, name: str, files: Sequence[SubtitleFile], kinds: Sequence[str]) -> Subtitles | None:
    """Returns the best subtitles that came with the video at `path`; None if there are none with speech.

    name: the original name of the video's file, with which the subtitle files' names begin. kinds: accepted kinds, the
    best first.

    Candidates are ranked by kind, then by the spoken language: that of a file marked `-orig`, or the language tag of
    the sound stream. If the spoken language is unknown, the container's default stream comes first, then English, then
    the first by name. Subtitles of foreign speech only (`forced`) are not used. YouTube's own captions are automatic:
    files marked `-orig`, words with a time each, or rolling lines.
    An unreadable candidate is skipped for the next best. Raises UnreadableSubtitles if all others were unreadable, and
    as `internvid.video.probe.probe`.
    """
    problems: list[str] = []
    with open_video(path) as container:
        fps = _frame_rate(container)
        candidates: list[_Candidate] = [*_tracks(name, files, fps, problems), *_streams(path, container)]
        if set(kinds) <= {"embedded"}:
            problems.clear()  # of files that are not wanted
        original_languages = (candidate.language for candidate in candidates if candidate.is_original)
        spoken_language = next(original_languages, None) or _sound_language(container)
        usable = [candidate for candidate in candidates if candidate.kind in kinds and not candidate.is_forced]
        clock = _Clock.of(path, container) if usable else _Clock()
        for candidate in sorted(usable, key=lambda candidate: candidate.rank(kinds, spoken_language)):
            reading = candidate.read()
            if reading.complaint:
                problems.append(f"{candidate.origin}: {reading.complaint}")
            shift = clock.shift_of_stream if candidate.kind == "embedded" else clock.shift(reading)
            cues, is_rolling = tidy_cues(reading.cues, shift_seconds=shift, may_overlap=candidate.kind != "automatic")
            kind: Kind = "automatic" if is_rolling and candidate.kind == "uploaded" else candidate.kind
            if cues and kind in kinds:
                language = candidate.language or language_of(" ".join(cue.text for cue in cues))
                return Subtitles(kind, candidate.origin, language, cues, tuple(problems))
    if problems:
        raise UnreadableSubtitles("; ".join(problems))
    return None


@dataclass(frozen=True)
class _Clock:
    """The times of a video by its container's clock, in seconds.

    file_origin: where players begin, which is the zero of a subtitle file. end: None if unknown. is_broadcast: whether
    the clock is that of MPEG-TS, which an X-TIMESTAMP-MAP names.
    """

    first_frame: float = 0.0
    file_origin: float = 0.0
    end: float | None = None
    is_broadcast: bool = False

    @staticmethod
    def of(path: str, container: av.container.InputContainer) -> _Clock:
        first_frame = first_frame_seconds(path)
        start = (container.start_time or 0) / av.time_base
        lasts = container.duration
        return _Clock(
            first_frame,
            first_frame if abs(start - first_frame) < _LEAD_IN_SECONDS else start,
            start + lasts / av.time_base if lasts else None,
            "mpegts" in container.format.name,
        )

    @property
    def shift_of_stream(self) -> float:
        return -self.first_frame

    def shift(self, reading: Reading) -> float:
        """Returns what to add to a file's times to count from the first frame.

        A map of HLS names a time of MPEG-TS. In a container with another clock, downloaders may have moved the pictures
        to zero without the words: the map is not applied where only without it the words lie within the video.
        """
        shift = self.file_origin - self.first_frame
        mapped = reading.clock_seconds
        if mapped is None:
            return shift
        if self.is_broadcast:
            periods = round((mapped - self.first_frame) / _CLOCK_WRAP_SECONDS)
            return mapped - periods * _CLOCK_WRAP_SECONDS - self.first_frame
        last = max((cue.start_seconds for cue in reading.cues if cue.start_seconds is not None), default=0.0)
        lasts = None if self.end is None else self.end - self.file_origin
        if lasts is not None and last < lasts <= last + mapped:
            return shift
        return shift + mapped


def _frame_rate(container: av.container.InputContainer) -> float | None:
    """Returns the pictures per second by the header, for subtitles that count them; None if it cannot be true."""
    for stream in container.streams.video:
        for rate in (stream.average_rate, stream.guessed_rate):
            if rate and 1 <= rate <= _MAX_FPS:
                return float(rate)
    return None


class _Candidate:
    """Subtitles that may be chosen."""

    kind: Kind
    origin: str
    language: str | None
    is_original: bool = False
    is_forced: bool = False
    is_default: bool = False

    def rank(self, kinds: Sequence[str], spoken_language: str | None) -> tuple[Any, ...]:
        """Returns a sort key, lowest first. spoken_language: ISO 639-1, None if unknown."""
        is_foreign = spoken_language is not None and self.language != spoken_language
        language_rank = 1 if self.language is None else 2 * is_foreign
        return kinds.index(self.kind), language_rank, not self.is_default, self.language != "en", self.origin

    def read(self) -> Reading:
        raise NotImplementedError


class _Track(_Candidate):
    """A track of a subtitle file."""

    def __init__(self, video: str, file: SubtitleFile, reading: Reading, *, has_word_times: bool) -> None:
        tags = tags_in_name(video, file.name)
        self.origin = file.name
        self.reading = reading
        self.language = tags.language or language_code(reading.language)
        self.is_original, self.is_forced = tags.is_original, tags.is_forced
        is_automatic = tags.is_automatic or has_word_times or reading.is_automatic
        self.kind = "automatic" if is_automatic else "uploaded"

    def read(self) -> Reading:
        return self.reading


def _tracks(video: str, files: Sequence[SubtitleFile], fps: float | None, problems: list[str]) -> list[_Track]:
    """Reads the files. Adds those that are no subtitles to the problems."""
    tracks = []
    for file in files:
        try:
            refuse_binary(file.data)
            text = text_of(file.data, tags_in_name(video, file.name).language)
            readings = read_cues(text, fps)
        except UnreadableSubtitles as error:
            problems.append(f"{file.name}: {error}")
            continue
        has_word_times = bool(_WORD_TIMES.search(text))
        for reading in readings:
            track = _Track(video, file, reading, has_word_times=has_word_times)
            if len(readings) > 1:  # languages in one file: then each track has its own
                track.language = language_code(reading.language) or track.language
            tracks.append(track)
    return tracks


class _Stream(_Candidate):
    kind = "embedded"

    def __init__(self, path: str, stream: SubtitleStream) -> None:
        self.path, self.number = path, stream.index
        self.origin = f"stream {stream.index}"
        self.language = language_code(stream.language)
        self.is_forced = bool(stream.disposition & Disposition.forced)
        self.is_default = bool(stream.disposition & Disposition.default)

    def read(self) -> Reading:
        """Reads from a container of its own, in which all other streams can be discarded."""
        with open_video(self.path) as container:
            for stream in container.streams:
                stream.discard = Discard.default if stream.index == self.number else Discard.all
            stream = container.streams[self.number]
            assert isinstance(stream, SubtitleStream)
            return _stream_cues(container, stream)


def _streams(path: str, container: av.container.InputContainer) -> list[_Stream]:
    return [
        _Stream(path, stream)
        for stream in container.streams.subtitles
        if stream.codec_context is not None and stream.codec_context.name in _TEXT_CODECS
    ]


def _sound_language(container: av.container.InputContainer) -> str | None:
    """Returns the language tag of the sound stream as a code."""
    sound = container.streams.best("audio")
    return None if sound is None else language_code(sound.language)


def _stream_cues(container: av.container.InputContainer, stream: SubtitleStream) -> Reading:
    """Reads cues with the container's times. A packet that does not decode is counted, by its number."""
    assert stream.time_base is not None
    reading = Reading(stream.codec_context.name if stream.codec_context else "a stream")
    for number, packet in enumerate(container.demux(stream), start=1):
        if packet.pts is None:
            if packet.size:
                reading.lose(number, "its packet has no time")
            continue
        try:
            lines = [part.dialogue.decode(errors="replace") for part in packet.decode() if hasattr(part, "dialogue")]
        except av.error.FFmpegError as error:
            reading.lose(number, f"its packet does not decode: {error}")
            continue
        start = float(packet.pts * stream.time_base)
        end = start + float(packet.duration * stream.time_base) if packet.duration else None
        reading.cues.append(RawCue(start, end, "\n".join(lines)))
    return reading


# --- encodings ----------------------------------------------------------------------------------------------------


def text_of(data: bytes, language: str | None = None) -> str:
    """Decodes a file's bytes; line ends become \\n, and NUL characters are left out.

    Detects any form of Unicode, also damaged; else a code page, from the language if the bytes do not decide.
    Never fails: an undecodable byte becomes a replacement character.
    """
    text = _decode_text(data, language).replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")
    return text.lstrip("\ufeff").replace("\u2028", "\n").replace("\x85", "\n")


def _decode_text(data: bytes, language: str | None) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    if (encoding_without_mark := _wide_encoding(data)) is not None:
        return data.decode(encoding_without_mark, errors="replace")
    data = data.replace(b"\0", b"")
    text = data.decode("utf-8", errors="replace")
    damaged = text.count("\ufffd")
    if damaged <= _DAMAGED_SHARE * sum(character > "\x7f" for character in text):
        return text
    if language in _CODE_PAGES:
        return data.decode(_CODE_PAGES[language], errors="replace")
    from charset_normalizer import from_bytes

    guesses = from_bytes(data, cp_isolation=_GUESSED)
    # Latin code pages differ in a few letters: the right one gives text in a language that uses it.
    fitting = (guess for guess in guesses if _CODE_PAGES.get(language_of(str(guess)) or "") == guess.encoding)
    guessed = next(fitting, guesses.best())
    return data.decode("cp1252", errors="replace") if guessed is None else str(guessed)


def _wide_encoding(data: bytes) -> str | None:
    """Returns UTF-16's name for text without a mark: every second byte of Latin letters, digits and line ends is 0.

    NUL bytes of a damaged file, or at its end, stand at even and odd places alike.
    """
    body = data.rstrip(b"\0")
    even, odd = body[::2].count(0), body[1::2].count(0)
    if max(even, odd) * 8 <= len(body) or min(even, odd) * 4 > max(even, odd):
        return None
    return "utf-16-be" if even > odd else "utf-16-le"
