"""Draws word clouds as SVG for an HTML page: words by size, in the page's fonts.

Places are found by the package wordcloud, with the sizes of letters in a font of this machine; the browser draws the
words in its own. A character that no font here has takes the room of a wide letter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from markupsafe import Markup

from internvid.report.fonts import font_at, shipped_font, without_glyph

WORDS = 120  # of a cloud: more are too small to read
_WIDTH, _HEIGHT = 440, 220
_MIN_POINTS, _MAX_POINTS = 8, 54
_WIDE = "Щ"  # of DejaVu Sans, as wide and high as a Chinese character


@dataclass(frozen=True)
class CloudWord:
    """A word of a cloud. count: number of texts that hold it. kind: noun, verb, or None for any other; its colour."""

    word: str
    count: int
    kind: str | None = None


def word_cloud(words: Sequence[CloudWord], *, description: str) -> Markup:
    """Returns an inline <svg> of the first words, the first the largest. The same words give the same cloud.

    description: for screen readers. Raises ValueError without words.
    """
    from wordcloud import WordCloud

    if not words:
        raise ValueError("a cloud needs at least one word")
    shown = {word.word: word for word in words[:WORDS]}
    measured = _measured(list(shown))
    cloud = WordCloud(
        font_path=shipped_font(),
        width=_WIDTH,
        height=_HEIGHT,
        margin=5,  # letters of the browser are a little wider or higher than those measured
        max_words=WORDS,
        min_font_size=_MIN_POINTS,
        max_font_size=_MAX_POINTS,
        prefer_horizontal=1.0,
        relative_scaling=0.5,
        random_state=0,
    )
    cloud.generate_from_frequencies({as_measured: shown[word].count for as_measured, word in measured.items()})
    texts = Markup("").join(
        _text(shown[measured[as_measured]], points, left, top + _ink_above_baseline(as_measured, points))
        for (as_measured, _), points, (top, left), _, _ in cloud.layout_
    )
    return Markup('<svg role="img" aria-label="{}" class="cloud" viewBox="0 0 {} {}">{}</svg>').format(
        description, _WIDTH, _HEIGHT, texts
    )


def _text(word: CloudWord, points: int, left: int, baseline: int) -> Markup:
    return Markup('<text x="{}" y="{}" font-size="{}" class="{}">{}</text>').format(
        left, baseline, points, word.kind or "other", word.word
    )


def _ink_above_baseline(text: str, points: int) -> int:
    """Returns the height of the highest letter: places are those of the ink, a page places the baseline."""
    return -round(font_at(shipped_font(), points).getbbox(text, anchor="ls")[1])


def _measured(words: list[str]) -> Mapping[str, str]:
    """Returns the words by the text whose size is measured for them; of different words different texts."""
    by_text: dict[str, str] = {}
    for word in words:
        missing = set(without_glyph(word))
        text = "".join(_WIDE if character in missing else character for character in word)
        while text in by_text:
            text += "\u200b"  # has no width
        by_text[text] = word
    return by_text


@cache
def stopwords_of(language: str) -> frozenset[str]:
    """Returns the words of the language that say nothing by themselves (the, of, and), in small letters."""
    import stopwordsiso

    return frozenset(stopwordsiso.stopwords(language)) if stopwordsiso.has_lang(language) else frozenset()
