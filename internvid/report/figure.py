"""A figure like the paper's Figure 1: clips with three frames, the caption with nouns in blue and verbs in green, and
the speech with its English beneath; as a page of HTML, or as a picture.

The page leaves fonts to the browser, so it shows any script. The picture is drawn with the fonts of this machine.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from internvid.report.fonts import Fonts, without_glyph
from internvid.report.pages import page_environment
from internvid.report.shown_clips import Run, ShownClip, caption_runs, for_a_page, spoken, spread
from internvid.text.search_terms import is_without_spaces

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

_FRAME_WIDTH_ON_PAGE = 480  # pixels: three fill the page on a screen of twice the density
_WIDTH, _MARGIN, _GAP = 1200, 28, 8  # pixels of the picture, around it, and between frames
_FRAME_HEIGHT = 300  # upper bound, for upright frames
_INK, _MUTED, _PAPER, _LINE = "#22252a", "#6a6d73", "#ffffff", "#d9d6ce"
_DIRECTIONS = ("L", "R", "AL")  # of letters: from the left, from the right, Arabic ones
_COLOURS = {"noun": "#1f5fbf", "verb": "#1c7a3c", None: _INK}
_CAPTION_POINTS, _SPEECH_POINTS, _META_POINTS = 25, 20, 15


def figure_html(clips: Sequence[ShownClip], *, title: str) -> str:
    """Returns one self-contained page. Captions, speech and names are untrusted: they are escaped."""
    shown = [for_a_page(clip, frame_width=_FRAME_WIDTH_ON_PAGE) for clip in clips]
    return page_environment().get_template("figure.html").render(title=title, clips=shown)


def figure_png(clips: Sequence[ShownClip]) -> bytes:
    """Returns the figure as a PNG. Characters that no font of this machine has are drawn as boxes: `undrawn`."""
    from PIL import Image

    cards = [_card(clip) for clip in clips]
    height = sum(card.height for card in cards) + _MARGIN * (len(cards) + 1)
    figure = Image.new("RGB", (_WIDTH, height), _PAPER)
    top = _MARGIN
    for card in cards:
        figure.paste(card, (_MARGIN, top))
        top += card.height + _MARGIN
    file = io.BytesIO()
    figure.save(file, "PNG", optimize=True)
    return file.getvalue()


def undrawn(clip: ShownClip) -> list[str]:
    """Returns the characters of the clip's texts that `figure_png` cannot draw on this machine."""
    return without_glyph("".join([clip.caption, clip.video, *(text for line in spoken(clip) for text in line)]))


def _card(clip: ShownClip) -> Image:
    """Draws a clip: its frames, and the lines of its texts below."""
    from PIL import Image, ImageDraw

    width = _WIDTH - 2 * _MARGIN
    strip = _strip(clip.jpegs, width)
    runs_of_caption: list[Run] = list(caption_runs(clip.caption)) or [("(no caption)", None)]
    texts: list[tuple[Fonts, list[Run], str, int]] = [(Fonts(_CAPTION_POINTS), runs_of_caption, _INK, 0)]
    for number, (label, text) in enumerate(spoken(clip)):
        texts.append((Fonts(_SPEECH_POINTS), [(f"{label}: {text}", None)], _MUTED if number else _INK, 18))
    texts.append((Fonts(_META_POINTS), [(f"{clip.video} · {clip.span} · {clip.model}", None)], _MUTED, 0))
    blocks = [(fonts, colour, indent, _lines(runs, fonts, width - indent)) for fonts, runs, colour, indent in texts]
    height = strip.height + sum(10 + fonts.line_height * len(lines) for fonts, _, _, lines in blocks) + 10
    card = Image.new("RGB", (width, height), _PAPER)
    card.paste(strip, (0, 0))
    draw = ImageDraw.Draw(card)
    top = strip.height + 6
    for fonts, colour, indent, lines in blocks:
        if indent:
            draw.line((4, top + 4, 4, top + fonts.line_height * len(lines)), fill=_LINE, width=4)
        for line in lines:
            baseline = top + round(1.05 * fonts.points)
            _draw_line(draw, line, fonts, colour, left=indent, right=width, baseline=baseline)
            top += fonts.line_height
        top += 10
    return card


def _strip(jpegs: list[bytes], width: int) -> Image:
    """Draws the frames side by side, in one height."""
    import cv2
    import numpy as np
    from PIL import Image

    decoded = (cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB) for jpeg in spread(jpegs) if jpeg)
    pictures = [Image.fromarray(picture) for picture in decoded if picture is not None]
    if not pictures:
        return Image.new("RGB", (width, 40), _LINE)
    room = width - _GAP * (len(pictures) - 1)
    height = min(_FRAME_HEIGHT, int(room / sum(picture.width / picture.height for picture in pictures)))
    strip = Image.new("RGB", (width, height), _PAPER)
    left = 0
    for picture in pictures:
        resized = picture.resize((max(1, round(picture.width * height / picture.height)), height))
        strip.paste(resized, (left, 0))
        left += resized.width + _GAP
    return strip


def _lines(runs: Iterable[Run], fonts: Fonts, width: float) -> list[list[Run]]:
    """Breaks text into lines at spaces; where a script has none, or a word is wider than a line, anywhere."""
    lines: list[list[Run]] = [[]]
    used = 0.0
    for unit in _units(runs):
        wide = sum(fonts.width(text) for text, _ in unit)
        parts = [unit] if wide <= width else [[(piece, part)] for text, part in unit for piece in _characters(text)]
        for part_of_unit in parts:
            wide = sum(fonts.width(text) for text, _ in part_of_unit)
            if used + wide > width and lines[-1]:
                (first, part), *rest = part_of_unit
                part_of_unit = [(first.lstrip(), part), *rest]
                wide = sum(fonts.width(text) for text, _ in part_of_unit)
                lines.append([])
                used = 0.0
            lines[-1] += part_of_unit
            used += wide
    return lines


def _units(runs: Iterable[Run]) -> Iterator[list[Run]]:
    """Yields what stays together on a line: a word, the space before it and its punctuation, in any colours."""
    unit: list[Run] = []
    for piece, part in _words(runs):
        if unit and (piece[0].isspace() or is_without_spaces(piece)):
            yield unit
            unit = []
        unit.append((piece, part))
    if unit:
        yield unit


def _words(runs: Iterable[Run]) -> Iterator[Run]:
    """Yields words with the space before them; of scripts without spaces, characters."""
    for text, part in runs:
        begun = ""
        for character in text:
            if character.isspace() and begun.strip():
                yield from _divided(begun, part)
                begun = ""
            begun += " " if character.isspace() else character
        yield from _divided(begun, part)


def _divided(word: str, part: str | None) -> Iterator[Run]:
    for piece in _characters(word) if is_without_spaces(word) else [word] if word else []:
        yield piece, part  # type: ignore[misc]  # it came from a Run


def _characters(word: str) -> list[str]:
    """Returns the characters, each with the marks that belong to it."""
    characters: list[str] = []
    for character in word:
        if characters and unicodedata.category(character) in ("Mn", "Mc", "Me"):
            characters[-1] += character
        else:
            characters.append(character)
    return characters


def _draw_line(
    draw: ImageDraw, line: list[Run], fonts: Fonts, colour: str, *, left: int, right: int, baseline: int
) -> None:
    """Draws a line, from the right where its first letter is of a script that is written from the right."""
    joined: list[Run] = []
    for text, part in line:  # neighbours in one colour are one piece, so that they are shaped together
        if joined and joined[-1][1] == part:
            joined[-1] = joined[-1][0] + text, part
        else:
            joined.append((text, part))
    is_from_right = next(
        (
            direction != "L"
            for text, _ in joined
            for c in text
            if (direction := unicodedata.bidirectional(c)) in _DIRECTIONS
        ),
        False,
    )
    x = float(right if is_from_right else left)
    for text, part in joined:
        for piece, font in fonts.runs(text):
            wide = font.getlength(piece)
            x -= wide if is_from_right else 0.0
            draw.text((x, baseline), piece, font=font, fill=_COLOURS[part] if part else colour, anchor="ls")
            x += 0.0 if is_from_right else wide
