"""Subtitles that came with a video: files beside it, and streams within it.

FFmpeg reads SRT, WebVTT, ASS and what containers hold; YouTube's json3 and the encodings of strangers are read here.
Like the video itself, this is material from strangers: to be read in a child process with limits.
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

from internvid.speech.cues import Cue, RawCue, tidied
from internvid.speech.language import language_code, language_of
from internvid.speech.sidecars import name_tells
from internvid.video.probe import first_frame_seconds, open_video

Kind = Literal["uploaded", "embedded", "automatic"]

# What a language is written in where it is not Unicode. For others the bytes decide.
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
_DAMAGED_SHARE = 0.5  # of the characters beyond ASCII: more, and the file is not damaged UTF-8 but something else

_TEXT_CODECS = {"mov_text", "subrip", "srt", "webvtt", "ass", "ssa", "text"}  # others are pictures
_LEAD_IN_SECONDS = 0.05  # of sound before the first picture: what its encoder needs to begin, not heard
_WORD_TIMES = re.compile(r"<\d+:\d\d(?::\d\d)?\.\d+>\s*<c")  # as YouTube's automatic captions mark each word
_VTT_LANGUAGE = re.compile(r"^Language:\s*(\S+)", re.MULTILINE)
_TIMES = re.compile(r"\d:\d\d[.,:]\d+\s*-->|^Dialogue:", re.MULTILINE)


class UnreadableSubtitles(ValueError):
    """Subtitles from which nothing can be read. The message names the file or stream, and what is wrong."""


@dataclass(frozen=True)
class SubtitleFile:
    """name: of the file. data: its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Subtitles:
    """cues: by the video's own time, from its first frame. origin: the file's name, or the number of the stream."""

    kind: Kind
    origin: str
    language: str | None
    cues: list[Cue]


def subtitles_of(path: str, name: str, files: Sequence[SubtitleFile], kinds: Sequence[str]) -> Subtitles | None:
    """The best subtitles that came with the video at `path`; None where there are none, or nothing is said in them.

    name: of the video's file where it was found, which the subtitle files' names begin with. kinds: which will do, the
    best first.

    The best kind wins, then what is in the language that is spoken: that of a file marked as `-orig`, or of the sound
    by its stream's tag. Where that is not known the container's default stream wins, then English, then the first by
    name. Subtitles of foreign lines only (`forced`) are not used. YouTube's own captions are automatic: files marked as
    `-orig`, words with a time each, or lines that roll.
    A file from which nothing can be read is passed over for the next best. Raises UnreadableSubtitles where only such
    are left, and as `internvid.video.probe.probe`.
    """
    problems = []
    with open_video(path) as container:
        candidates: list[_Candidate] = [*(_File(name, file) for file in files), *_streams(path, container)]
        own = next((one.language for one in candidates if one.is_original), None) or _spoken(container)
        usable = [one for one in candidates if one.kind in kinds and not one.is_forced]
        first_frame = first_frame_seconds(path) if usable else 0.0
        shown_from = _shown_from(container, first_frame)
        for one in sorted(usable, key=lambda one: one.rank(kinds, own)):
            shift = (0.0 if one.kind == "embedded" else shown_from) - first_frame
            try:
                raw = list(one.read())
            except UnreadableSubtitles as error:
                problems.append(f"{one.origin}: {error}")
                continue
            cues, is_rolling = tidied(raw, shift_seconds=shift, may_overlap=one.kind != "automatic")
            kind: Kind = "automatic" if is_rolling and one.kind == "uploaded" else one.kind
            if cues and kind in kinds:
                language = one.language or language_of(" ".join(cue.text for cue in cues))
                return Subtitles(kind, one.origin, language, cues)
    if problems:
        raise UnreadableSubtitles("; ".join(problems))
    return None


class _Candidate:
    """Subtitles that may be chosen; read only if they are."""

    kind: Kind
    origin: str
    language: str | None
    is_original: bool = False
    is_forced: bool = False
    is_default: bool = False

    def rank(self, kinds: Sequence[str], own_language: str | None) -> tuple[Any, ...]:
        is_other = 1 if self.language is None else 2 * (own_language is not None and self.language != own_language)
        return kinds.index(self.kind), is_other, not self.is_default, self.language != "en", self.origin

    def read(self) -> Iterable[RawCue]:
        """Raises UnreadableSubtitles."""
        raise NotImplementedError


class _File(_Candidate):
    def __init__(self, video: str, file: SubtitleFile) -> None:
        tells = name_tells(video, file.name)
        self.origin = file.name
        self.text = text_of(file.data, tells.language)
        self.events = _json3_events(self.text)
        self.language = tells.language or self._language_in_it()
        self.is_original, self.is_forced = tells.is_original, tells.is_forced
        has_word_times = bool(_WORD_TIMES.search(self.text)) or any(map(_is_recognised, self.events or ()))
        self.kind = "automatic" if tells.is_automatic or has_word_times else "uploaded"

    def _language_in_it(self) -> str | None:
        found = _VTT_LANGUAGE.search(self.text[:1000])
        return language_code(found[1]) if found and self.text.startswith("WEBVTT") else None

    def read(self) -> Iterable[RawCue]:
        if self.events is not None:
            return [_json3_cue(event) for event in self.events]
        if self.text.strip() and not self.text.startswith("WEBVTT") and not _TIMES.search(self.text):
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
        """From a container of its own, so that all else in it can be passed over."""
        with open_video(self.path) as container:
            for stream in container.streams:
                stream.discard = Discard.default if stream.index == self.number else Discard.all
            stream = container.streams[self.number]
            assert isinstance(stream, SubtitleStream)
            yield from _cues_of(container, stream)


def _streams(path: str, container: av.container.InputContainer) -> list[_Stream]:
    return [
        _Stream(path, stream)
        for stream in container.streams.subtitles
        if stream.codec_context is not None and stream.codec_context.name in _TEXT_CODECS
    ]


def _shown_from(container: av.container.InputContainer, first_frame: float) -> float:
    """Where players begin, in seconds by the container's clock: a subtitle file counts from there."""
    start = (container.start_time or 0) / av.time_base
    return first_frame if abs(start - first_frame) < _LEAD_IN_SECONDS else start


def _spoken(container: av.container.InputContainer) -> str | None:
    """The language of the sound, as its stream is tagged."""
    sound = container.streams.best("audio")
    return None if sound is None else language_code(sound.language)


# --- what FFmpeg reads --------------------------------------------------------------------------------------------


def _decoded(text: str) -> Iterator[RawCue]:
    """Cues of SRT, WebVTT or ASS: which of them it is is told by the text, not by the file's name."""
    if text.startswith("WEBVTT"):
        form = "webvtt"
    else:
        form = "ass" if "[Script Info]" in text or "\nDialogue:" in text else "srt"
    try:
        with av.open(io.BytesIO(text.encode()), "r", format=form) as container:
            yield from _cues_of(container, container.streams.subtitles[0])
    except (av.error.FFmpegError, IndexError) as error:
        raise UnreadableSubtitles(f"FFmpeg cannot read it as {form}: {error}") from error


def _cues_of(container: av.container.InputContainer, stream: SubtitleStream) -> Iterator[RawCue]:
    """Times as the container has them. A packet that does not decode is passed over."""
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
    """Those that show words; None for what is no json3."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        events = json.loads(text)["events"]
        return [event for event in events if event.get("segs") and all(isinstance(seg, dict) for seg in event["segs"])]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _is_recognised(event: dict[str, Any]) -> bool:
    """Only captions by machine have a time or a confidence for each word, or add to a line that stands already."""
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
    """The text that a file's bytes stand for, with line ends as \\n: Unicode in any form, also damaged, or a code page,
    which the language tells if the bytes do not. Never fails: what stands for nothing becomes a replacement character.
    """
    return _unmarked(data, language).replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")


def _unmarked(data: bytes, language: str | None) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, errors="replace")
    if data.count(0) > len(data) / 8:  # UTF-16 without a mark: in Latin text every other byte is 0
        return data.decode("utf-16-be" if data[:1] == b"\0" else "utf-16-le", errors="replace")
    text = data.decode("utf-8", errors="replace")
    damaged = text.count("\ufffd")
    if damaged <= _DAMAGED_SHARE * sum(character > "\x7f" for character in text):
        return text
    if language in _CODE_PAGES:
        return data.decode(_CODE_PAGES[language], errors="replace")
    from charset_normalizer import from_bytes

    guesses = from_bytes(data, cp_isolation=_GUESSED)
    # Latin code pages differ in a few letters: the right one makes words of a language that is written in it.
    fitting = (guess for guess in guesses if _CODE_PAGES.get(language_of(str(guess)) or "") == guess.encoding)
    guessed = next(fitting, guesses.best())
    return data.decode("cp1252", errors="replace") if guessed is None else str(guessed)
