"""Draws bar charts as SVG for an HTML page, in the page's fonts and colours.

A chart reads like a table: label, bar, share, and the published share beside it if there is one. What to draw is
decided in `report`.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

# matplotlib needs a colour; the page has CSS variables, which differ in dark mode. These placeholders are replaced.
_STAND_INS = {
    "#010101": "var(--ink)",
    "#020202": "var(--muted)",
    "#030303": "var(--bar)",
    "#040404": "var(--paper)",
    "#050505": "var(--rail)",
}
_INK, _MUTED, _BAR, _PAPER, _RAIL = _STAND_INS
_WIDTH_INCHES = 3.7  # 266 pt: the page shows it 280 to 340 px wide, so that text is read at 10 to 12 px
_ROW_INCHES = 0.24
_FONT_POINTS = 9.5
_LABEL_CHARACTERS = 20
_CHARACTER_INCHES = 0.085  # mean advance of DejaVu Sans at 9.5 pt: wider than the page's fonts, so labels fit


@dataclass(frozen=True)
class Bar:
    """A row of a chart. share: 0 to 1. text: the printed share. published: the paper's share, None if unknown."""

    label: str
    share: float
    text: str
    published: float | None = None
    published_text: str = ""


def bar_chart(bars: Sequence[Bar], *, description: str) -> Markup:
    """Returns an inline <svg>. description: for screen readers. Raises ValueError without bars."""
    if not bars:
        raise ValueError("a chart needs at least one bar")
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    has_published = any(bar.published is not None for bar in bars)
    rows = len(bars) + (1 if has_published else 0)  # one row for the column heads
    labels = [_shortened(bar.label) for bar in bars]
    height_inches = rows * _ROW_INCHES + 0.06
    bars_from = (max(map(len, labels)) * _CHARACTER_INCHES + 0.12) / _WIDTH_INCHES
    bars_to = 1 - (1.25 if has_published else 0.68) / _WIDTH_INCHES
    max_share = max(max(bar.share, bar.published or 0) for bar in bars) or 1

    with (
        matplotlib.rc_context(
            {
                "svg.fonttype": "none",  # text stays text: the page's font, selectable, and small
                "font.size": _FONT_POINTS,
                "text.parse_math": False,  # a $ in a noun is a dollar
            }
        ),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # the page has other fonts than matplotlib
        figure = Figure(figsize=(_WIDTH_INCHES, height_inches))
        figure.patch.set_alpha(0)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, 1), ylim=(rows - 0.5, -0.5))
        axes.axis("off")

        def share_to_x(share: float) -> float:
            return bars_from + (bars_to - bars_from) * share / max_share

        if has_published:
            axes.text(1 - 0.62 / _WIDTH_INCHES, 0, "here", ha="right", va="center", color=_MUTED)
            axes.text(1, 0, "paper", ha="right", va="center", color=_PAPER)
        for row, (bar, label) in enumerate(zip(bars, labels, strict=True), start=rows - len(bars)):
            axes.text(0, row, label, ha="left", va="center", color=_INK)
            axes.barh(row, bars_to - bars_from, left=bars_from, height=0.52, color=_RAIL, clip_on=False)
            axes.barh(row, share_to_x(bar.share) - bars_from, left=bars_from, height=0.52, color=_BAR, clip_on=False)
            text_to = 1 - 0.62 / _WIDTH_INCHES if has_published else 1
            axes.text(text_to, row, bar.text, ha="right", va="center", color=_INK)
            if bar.published is not None:
                x = share_to_x(bar.published)
                axes.plot([x, x], [row - 0.38, row + 0.38], color=_PAPER, linewidth=2.2, clip_on=False)
            if has_published:
                axes.text(1, row, bar.published_text, ha="right", va="center", color=_PAPER)

        file = io.StringIO()
        no_metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        FigureCanvasSVG(figure).print_svg(file, metadata=no_metadata)
    return _for_the_page(file.getvalue(), description)


def _for_the_page(document: str, description: str) -> Markup:
    """Returns the <svg> element without prolog, namespaces and size, in the page's colours and font."""
    svg = document[document.index("<svg") :]
    opening, body = svg.split(">", 1)
    view_box = re.search(r'viewBox="([-\d. ]+)"', opening)
    if view_box is None:
        raise ValueError("matplotlib wrote an SVG without viewBox")
    body = re.sub(r"<metadata>.*?</metadata>|<defs>.*?</defs>", "", body, flags=re.DOTALL)
    body = re.sub(r"<[^>]*>", lambda tag: _tag_for_the_page(tag[0]), body)
    return Markup('<svg role="img" aria-label="{}" viewBox="{}">{}').format(
        description, view_box[1], Markup(body.strip())
    )


def _tag_for_the_page(tag: str) -> str:
    """Removes ids (charts would share them), font family and empty rotation; colours become CSS variables."""
    tag = re.sub(r' id="[^"]*"| transform="rotate\(-?0 [^"]*"|font-family: [^;"]*;?', "", tag)
    return re.sub(r"#0[0-9]{5}", lambda color: _STAND_INS.get(color[0], color[0]), tag)


def _shortened(label: str) -> str:
    line = " ".join(label.split())
    return line if len(line) <= _LABEL_CHARACTERS else line[: _LABEL_CHARACTERS - 1] + "…"
