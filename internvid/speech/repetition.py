"""Finds the windows of a video in which speech recognition wrote the same again and again, as Whisper does over music.

Whisper's own limit on the compression ratio finds long loops (Radford et al. 2022, section 4.5). A line that fills a
window, and then the next one, compresses no better than speech: so lines are compared within a window, and windows
within the video. And some lines stand under so many videos that Whisper writes them wherever it hears nothing.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

MAX_COMPRESSION_RATIO = 2.4  # of Whisper: speech has 1.0 to 1.8
MIN_BYTES = 60  # of a text whose compression tells something
MAX_SAME_LINES = 3  # in a row: "No. No. No." is said by people
MAX_SAME_WINDOWS = 2  # of a video, with the same words and no others
MIN_LETTERS = 6  # of those words: "Yes." may be all that is said, several times
MIN_LETTERS_PER_SECOND = 2.0  # people speak 10 to 20; a credit that stands in a window of music has fewer

# What stands under videos, and is rarely said: Whisper writes it for sound without speech, in any language.
_CREDITS = re.compile(
    r"thank(s| you)( you)?( so much| very much)?( all)?( for (watching|listening|your attention))?|"
    r"(please )?(like and )?subscribe( to (my|our|the) channel)?|(see|i'll see) you (in the next|next) (video|time)|"
    r"bye( bye)?|you|(subtitles|captions|transcription|transcript) by .*|.*amara\.?\s?org.*|"
    r"untertitel(ung)? .*|vielen dank( fürs zuschauen)?|sous-?titr(es|age) .*|merci d'avoir regardé.*|"
    r"subt[ií]tulos .*|gracias por ver.*|¡?suscr[ií]bete.*|legendas .*|obrigado por assistir.*|sottotitoli .*|"
    r"grazie per la visione.*|ondertitel(d|ing) .*|napisy .*|субтитры .*|редактор субтитров.*|продолжение следует.*|"
    r"спасибо за просмотр.*|ご視聴ありがとうございました.*|チャンネル登録.*|字幕.*|中文字幕.*|请不吝点赞.*|"
    r"請不吝點贊.*|謝謝(觀看|大家).*|谢谢(观看|大家).*|(다음 영상에서 만나요|시청해 ?주셔서 감사합니다|구독).*",
    re.IGNORECASE,
)
_PUNCTUATION = re.compile(r"[^\w\s'.-]+|(?<!\w)[.'-]+|[.'-]+(?!\w)")


@dataclass(frozen=True)
class Lines:
    """What was recognised in a window. start_seconds: of the window. lines: in order of time."""

    start_seconds: float
    seconds: float
    lines: Sequence[str]


@dataclass(frozen=True)
class Repeated:
    """A window whose text is no speech. why: what was measured, and the beginning of the text."""

    start_seconds: float
    end_seconds: float
    why: str


def repeated_windows(windows: Sequence[Lines]) -> dict[int, Repeated]:
    """Returns position -> why, for the windows of one video that hold repetition and no speech."""
    texts = [plain(" ".join(window.lines)) for window in windows]
    counts = Counter(text for text in texts if len(text) >= MIN_LETTERS)
    return {
        number: Repeated(window.start_seconds, window.start_seconds + window.seconds, f"{why}: {_shown(window.lines)}")
        for number, (window, text) in enumerate(zip(windows, texts, strict=True))
        if (why := _why(window, text, counts[text]))
    }


def compression_ratio(text: str) -> float:
    """The size of a text over its size when compressed, as Whisper measures it."""
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def plain(text: str) -> str:
    """The words of a text, without case and punctuation."""
    return " ".join(_PUNCTUATION.sub(" ", text.casefold()).split())


def _why(window: Lines, text: str, windows_with_text: int) -> str | None:
    """Says why the window holds no speech; None where it may."""
    if len(text.encode()) >= MIN_BYTES and (ratio := compression_ratio(text)) > MAX_COMPRESSION_RATIO:
        return f"its text compresses {ratio:.1f} times, speech at most {MAX_COMPRESSION_RATIO:g} times"
    same = max((sum(1 for _ in run) for _, run in groupby(map(plain, window.lines))), default=0)
    if same > MAX_SAME_LINES:
        return f"one line comes {same} times in a row"
    if windows_with_text > MAX_SAME_WINDOWS:
        return f"{windows_with_text} windows of the video have these words and no others"
    if text and _CREDITS.fullmatch(text) and len(text) < MIN_LETTERS_PER_SECOND * window.seconds:
        return f"a line that Whisper writes over music is all of {window.seconds:.0f} s"
    return None


def _shown(lines: Iterable[str]) -> str:
    text = " ".join(lines)
    return repr(text if len(text) <= 100 else f"{text[:99]}…")
