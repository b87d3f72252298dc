"""Reads the subtitles that came with a video: files beside it, and streams within it.

FFmpeg parses SRT, WebVTT, ASS and embedded streams; this module parses YouTube's json3 and detects text encodings.
Subtitles are untrusted like the video itself: read them in a child process with limits.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import av
import av.error
from av.stream import Discard, Disposition
from av.subtitles.stream import SubtitleStream

from internvid.speech.cues import Cue, RawCue, tidy_cues
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
_VTT_LANGUAGE = re.compile(r"^Language:\s*(\S+)", re.MULTILINE)
_CUE_TIMES = re.compile(r"\d:\d\d[.,:]\d+\s*-->|^Dialogue:", re.MULTILINE)


class UnreadableSubtitles(ValueError):
    """The subtitles cannot be read. The message names the file or stream, and the reason."""


@dataclass(frozen=True)
class SubtitleFile:
    """A subtitle file. name: without folder. data: its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Subtitles:
    """Subtitles of a video. cues: in seconds from its first frame. origin: the file's name, or the stream's number."""

    kind: Kind
    origin: str
    language: str | None
    cues: list[Cue]


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
    problems = []
    with open_video(path) as container:
        candidates: list[_Candidate] = [*(_File(name, file) for file in files), *_streams(path, container)]
        original_languages = (candidate.language for candidate in candidates if candidate.is_original)
        spoken_language = next(original_languages, None) or _sound_language(container)
        usable = [candidate for candidate in candidates if candidate.kind in kinds and not candidate.is_forced]
        first_frame = first_frame_seconds(path) if usable else 0.0
        file_origin = _subtitle_file_origin(container, first_frame)
        for candidate in sorted(usable, key=lambda candidate: candidate.rank(kinds, spoken_language)):
            shift = (0.0 if candidate.kind == "embedded" else file_origin) - first_frame
            try:
                raw = list(candidate.read())
            except UnreadableSubtitles as error:
                problems.append(f"{candidate.origin}: {error}")
                continue
            cues, is_rolling = tidy_cues(raw, shift_seconds=shift, may_overlap=candidate.kind != "automatic")
            kind: Kind = "automatic" if is_rolling and candidate.kind == "uploaded" else candidate.kind
            if cues and kind in kinds:
                language = candidate.language or language_of(" ".join(cue.text for cue in cues))
                return Subtitles(kind, candidate.origin, language, cues)
    if problems:
        raise UnreadableSubtitles("; ".join(problems))
    return None


class _Candidate:
    """Subtitles that may be chosen; they are read only then."""

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

    def read(self) -> Iterable[RawCue]:
        """Yields the cues. Raises UnreadableSubtitles."""
        raise NotImplementedError


class _File(_Candidate):
    def __init__(self, video: str, file: SubtitleFile) -> None:
        tags = tags_in_name(video, file.name)
        self.origin = file.name
        self.text = text_of(file.data, tags.language)
        self.events = _json3_events(self.text)
        self.language = tags.language or self._vtt_language()
        self.is_original, self.is_forced = tags.is_original, tags.is_forced
        has_word_times = bool(_WORD_TIMES.search(self.text)) or any(map(_is_recognised, self.events or ()))
        self.kind = "automatic" if tags.is_automatic or has_word_times else "uploaded"

    def _vtt_language(self) -> str | None:
        match = _VTT_LANGUAGE.search(self.text[:1000])
        return language_code(match[1]) if match and self.text.startswith("WEBVTT") else None

    def read(self) -> Iterable[RawCue]:
        if self.events is not None:
            return [_json3_cue(event) for event in self.events]
        if self.text.strip() and not self.text.startswith("WEBVTT") and not _CUE_TIMES.search(self.text):
            raise UnreadableSubtitles("these are no subtitles: there is no time in it")
        return _decoded(self.text)


class _Stream(_Candidate):
    kind = "embedded"

    def __init__(self, path: str, stream: SubtitleStream) -> None:
        self.path, self.number = path, stream.index
        self.origin = f"stream {stream.index}"
        self.language = language_code(stream.language)
        self.is_forced = bool(stream.disposition & Disposition.forced)
        self.is_default = bool(stream.disposition & Disposition.default)

    def read(self) -> Iterable[RawCue]:
        """Reads from a container of its own, in which all other streams can be discarded."""
        with open_video(self.path) as container:
            for stream in container.streams:
                stream.discard = Discard.default if stream.index == self.number else Discard.all
            stream = container.streams[self.number]
            assert isinstance(stream, SubtitleStream)
            yield from _stream_cues(container, stream)


def _streams(path: str, container: av.container.InputContainer) -> list[_Stream]:
    return [
        _Stream(path, stream)
        for stream in container.streams.subtitles
        if stream.codec_context is not None and stream.codec_context.name in _TEXT_CODECS
    ]


def _subtitle_file_origin(container: av.container.InputContainer, first_frame: float) -> float:
    """Returns where players begin, in seconds by the container's clock: the zero of a subtitle file's times."""
    start = (container.start_time or 0) / av.time_base
    return first_frame if abs(start - first_frame) < _LEAD_IN_SECONDS else start


def _sound_language(container: av.container.InputContainer) -> str | None:
    """Returns the language tag of the sound stream as a code."""
    sound = container.streams.best("audio")
    return None if sound is None else language_code(sound.language)


# --- formats that FFmpeg parses --------------------------------------------------------------------------------------


def _decoded(text: str) -> Iterator[RawCue]:
    """Yields the cues of SRT, WebVTT or ASS. The text decides which format it is, not the file's name."""
    if text.startswith("WEBVTT"):
        form = "webvtt"
    else:
        form = "ass" if "[Script Info]" in text or "\nDialogue:" in text else "srt"
    try:
        with av.open(io.BytesIO(text.encode()), "r", format=form) as container:
            yield from _stream_cues(container, container.streams.subtitles[0])
    except (av.error.FFmpegError, IndexError) as error:
        raise UnreadableSubtitles(f"FFmpeg cannot read it as {form}: {error}") from error


def _stream_cues(container: av.container.InputContainer, stream: SubtitleStream) -> Iterator[RawCue]:
    """Yields cues with the container's times. A packet that does not decode is skipped."""
    assert stream.time_base is not None
    for packet in container.demux(stream):
        if packet.pts is None:
            continue
        try:
            lines = [part.dialogue.decode(errors="replace") for part in packet.decode() if hasattr(part, "dialogue")]
        except av.error.FFmpegError:
            continue
        start = float(packet.pts * stream.time_base)
        end = start + float(packet.duration * stream.time_base) if packet.duration else None
        yield RawCue(start, end, "\n".join(lines))


# --- json3 --------------------------------------------------------------------------------------------------------


def _json3_events(text: str) -> list[dict[str, Any]] | None:
    """Returns the events with text; None if the text is not json3."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        events = json.loads(text)["events"]
        return [event for event in events if event.get("segs") and all(isinstance(seg, dict) for seg in event["segs"])]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _is_recognised(event: dict[str, Any]) -> bool:
    """Whether a machine made the event: only then it has a time or confidence a word, or appends to a line."""
    return bool(event.get("aAppend")) or any("acAsrConf" in seg or "tOffsetMs" in seg for seg in event["segs"])


def _json3_cue(event: dict[str, Any]) -> RawCue:
    try:
        text = "".join(str(seg.get("utf8") or "") for seg in event["segs"])
        start = float(event["tStartMs"]) / 1000
        lasts = event.get("dDurationMs")
        return RawCue(start, None if lasts is None else start + float(lasts) / 1000, text)
    except (KeyError, TypeError, ValueError):
        return RawCue(None, None, "")


# --- encodings ----------------------------------------------------------------------------------------------------


def text_of(data: bytes, language: str | None = None) -> str:
    """Decodes a file's bytes; line ends become \\n.

    Detects any form of Unicode, also damaged; else a code page, from the language if the bytes do not decide.
    Never fails: an undecodable byte becomes a replacement character.
    """
    return _decode_text(data, language).replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")


def _decode_text(data: bytes, language: str | None) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    if data.count(0) > len(data) / 8:  # UTF-16 without a mark: in Latin text every second byte is 0
        return data.decode("utf-16-be" if data[:1] == b"\0" else "utf-16-le", errors="replace")
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
