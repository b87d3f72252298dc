"""Fonts for text that is drawn into a picture: each character in the first font that has it.

First comes DejaVu Sans, which ships in matplotlib's wheel: letters of Latin, Greek, Cyrillic, Arabic, Hebrew, Armenian
and Georgian. Other scripts are drawn if a font of the machine has them. A page of HTML needs none of this: there the
browser chooses.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

_UPRIGHT = ("Regular", "Book", "Roman", "Normal", "Medium")
_NO_LETTERS = "LastResort"  # has a box for every character
_DRAWN_BY_NO_FONT = ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs")  # spaces, controls, marks of direction


class Fonts:
    """The fonts at one size. points: height of text in pixels."""

    def __init__(self, points: int) -> None:
        self.points = points
        self._widths: dict[str, float] = {}

    def runs(self, text: str) -> Iterator[tuple[str, FreeTypeFont]]:
        """Yields the text in pieces, each with its font: the first one where no font has the characters."""
        begun, path = "", _paths()[0]
        for character in text:
            # Marks and spaces stay with what they follow, or the two would be shaped apart.
            follows = unicodedata.category(character) in (*_DRAWN_BY_NO_FONT, "Mn", "Mc", "Me")
            chosen = path if follows and begun else _path_for(character) or _paths()[0]
            if begun and chosen != path:
                yield begun, self._font(path)
                begun = ""
            begun, path = begun + character, chosen
        if begun:
            yield begun, self._font(path)

    def width(self, text: str) -> float:
        """Returns the width in pixels."""
        if text not in self._widths:
            self._widths[text] = sum(font.getlength(part) for part, font in self.runs(text))
        return self._widths[text]

    @property
    def line_height(self) -> int:
        return round(1.4 * self.points)

    def _font(self, path: str) -> FreeTypeFont:
        return font_at(path, self.points)


def without_glyph(text: str) -> list[str]:
    """Returns the characters of the text that no font of this machine has, each once, in order."""
    return [
        character
        for character in dict.fromkeys(text)
        if unicodedata.category(character) not in _DRAWN_BY_NO_FONT and _path_for(character) is None
    ]


def scripts_of(characters: list[str]) -> list[str]:
    """Returns the scripts of characters by the first words of their Unicode names: CJK, HANGUL, THAI."""
    return sorted({unicodedata.name(character, "UNNAMED").split(" ")[0] for character in characters})


@cache
def font_at(path: str, points: int) -> FreeTypeFont:
    """Returns the font at that size."""
    from PIL import ImageFont

    return ImageFont.truetype(path, points)


def shipped_font() -> str:
    """Returns the path of DejaVu Sans."""
    import matplotlib

    return str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))


@cache
def _paths() -> list[str]:
    """Returns the fonts of this machine in the order in which they are tried."""
    from matplotlib.font_manager import findSystemFonts

    return [shipped_font(), *(path for path in sorted(findSystemFonts()) if _NO_LETTERS not in path)]


@cache
def _path_for(character: str) -> str | None:
    return next((path for path in _paths() if ord(character) in _characters_of(path)), None)


@cache
def _characters_of(path: str) -> frozenset[int]:
    """Returns the code points that the font draws; none of one that is bold, italic, or cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
        font_at(path, 12)  # one of coloured pictures opens at its own sizes only
    except (OSError, RuntimeError):
        return frozenset()
    is_upright = font.style_name in _UPRIGHT
    return frozenset(font.get_charmap()) if is_upright or path == _paths()[0] else frozenset()
