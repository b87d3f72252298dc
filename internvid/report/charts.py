"""Draws charts as SVG for an HTML page, in the page's fonts and colours: bars, histograms, lines.

A bar chart reads like a table: label, bar, share, and the published share beside it if there is one. What to draw is
decided in `report`.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# matplotlib needs a colour; the page has CSS variables, which differ in dark mode. These placeholders are replaced.
_STAND_INS = {
    "#010101": "var(--ink)",
    "#020202": "var(--muted)",
    "#030303": "var(--bar)",
    "#040404": "var(--paper)",
    "#050505": "var(--rail)",
}


@dataclass(frozen=True)
class _Colours:
    """The colours of a chart. paper: of what the paper published."""

    ink: str
    muted: str
    bar: str
    paper: str
    rail: str


_OF_THE_PAGE = _Colours(*_STAND_INS)
_ON_WHITE = _Colours("#22252a", "#6a6d73", "#4d7196", "#b4602a", "#efece5")
_WIDTH_INCHES = 3.7  # 266 pt: the page shows it 280 to 340 px wide, so that text is read at 10 to 12 px
_ROW_INCHES = 0.24
_PLOT_INCHES = 2.0  # height of a histogram or of lines
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


@dataclass(frozen=True)
class Column:
    """A column of a histogram: its step begins at `start`. share: 0 to 1."""

    start: float
    share: float


@dataclass(frozen=True)
class Line:
    """A line of a plot. points: (x, y), in order of x; both above 0."""

    label: str
    points: Sequence[tuple[float, float]]


def bar_chart(bars: Sequence[Bar], *, description: str) -> Markup:
    """Returns an inline <svg>. description: for screen readers. Raises ValueError without bars."""
    return _svg(lambda colours: _bars(bars, colours), description)


def histogram(columns: Sequence[Column], *, step: float, unit: str, description: str) -> Markup:
    """Returns an inline <svg> of columns, each `step` wide. unit: of the axis. Raises ValueError without columns."""
    return _svg(lambda colours: _columns(columns, step, unit, colours), description)


def line_chart(lines: Sequence[Line], *, x_label: str, description: str) -> Markup:
    """Returns an inline <svg> of lines on two logarithmic axes. Raises ValueError without points."""
    return _svg(lambda colours: _lines(lines, x_label, colours), description)


def bar_picture(bars: Sequence[Bar], *, title: str) -> bytes:
    """Returns the bar chart as a PNG, on white, for pages that show no SVG. Raises ValueError without bars."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with _style():
        figure = _bars(bars, _ON_WHITE, title=title)
        file = io.BytesIO()
        FigureCanvasAgg(figure).print_png(file, metadata={"Software": None})
    return file.getvalue()


def _svg(draw: Callable[[_Colours], Figure], description: str) -> Markup:
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    with _style():
        file = io.StringIO()
        no_metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
        FigureCanvasSVG(draw(_OF_THE_PAGE)).print_svg(file, metadata=no_metadata)
    return _for_the_page(file.getvalue(), description)


@contextmanager
def _style() -> Iterator[None]:
    import matplotlib

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
        yield


def _bars(bars: Sequence[Bar], colours: _Colours, *, title: str | None = None) -> Figure:
    if not bars:
        raise ValueError("a chart needs at least one bar")
    from matplotlib.figure import Figure

    has_published = any(bar.published is not None for bar in bars)
    heads = (1 if has_published else 0) + (1 if title else 0)
    rows = len(bars) + heads  # one row for the column heads
    labels = [_shortened(bar.label) for bar in bars]
    height_inches = rows * _ROW_INCHES + 0.06
    bars_from = (max(map(len, labels)) * _CHARACTER_INCHES + 0.12) / _WIDTH_INCHES
    bars_to = 1 - (1.25 if has_published else 0.68) / _WIDTH_INCHES
    max_share = max(max(bar.share, bar.published or 0) for bar in bars) or 1
    figure = Figure(figsize=(_WIDTH_INCHES, height_inches))
    figure.patch.set_alpha(0 if title is None else 1)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 1), ylim=(rows - 0.5, -0.5))
    axes.axis("off")

    def share_to_x(share: float) -> float:
        return bars_from + (bars_to - bars_from) * share / max_share

    if title is not None:
        axes.text(0, 0, title, ha="left", va="center", color=colours.ink, weight="bold")
    if has_published:
        axes.text(1 - 0.62 / _WIDTH_INCHES, heads - 1, "here", ha="right", va="center", color=colours.muted)
        axes.text(1, heads - 1, "paper", ha="right", va="center", color=colours.paper)
    for row, (bar, label) in enumerate(zip(bars, labels, strict=True), start=heads):
        axes.text(0, row, label, ha="left", va="center", color=colours.ink)
        axes.barh(row, bars_to - bars_from, left=bars_from, height=0.52, color=colours.rail, clip_on=False)
        width = share_to_x(bar.share) - bars_from
        axes.barh(row, width, left=bars_from, height=0.52, color=colours.bar, clip_on=False)
        text_to = 1 - 0.62 / _WIDTH_INCHES if has_published else 1
        axes.text(text_to, row, bar.text, ha="right", va="center", color=colours.ink)
        if bar.published is not None:
            x = share_to_x(bar.published)
            axes.plot([x, x], [row - 0.38, row + 0.38], color=colours.paper, linewidth=2.2, clip_on=False)
        if has_published:
            axes.text(1, row, bar.published_text, ha="right", va="center", color=colours.paper)
    return figure


def _columns(columns: Sequence[Column], step: float, unit: str, colours: _Colours) -> Figure:
    if not columns:
        raise ValueError("a histogram needs at least one column")
    figure, axes = _axes(colours)
    starts, shares = [column.start for column in columns], [column.share for column in columns]
    axes.bar(starts, shares, width=0.94 * step, align="edge", color=colours.bar, clip_on=False)
    first, end = min(starts), max(starts) + step
    axes.set(xlim=(first, max(end, first + 5 * step)), ylim=(0, max(shares) * 1.08 or 1))
    _grid(axes, colours, axes.get_yticks()[1:-1].tolist())
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:.3g} %")
    axes.set_xlabel(unit, color=colours.muted)
    return figure


def _lines(lines: Sequence[Line], x_label: str, colours: _Colours) -> Figure:
    points = [point for line in lines for point in line.points]
    if not points:
        raise ValueError("a plot of lines needs points")
    figure, axes = _axes(colours)
    axes.set(xscale="log", yscale="log")
    axes.set_xlim(min(x for x, _ in points), max(max(x for x, _ in points), 10))
    axes.set_ylim(min(1.0, *(y for _, y in points)), 1.6 * max(10.0, *(y for _, y in points)))
    axes.minorticks_off()
    _grid(axes, colours, [y for y in axes.get_yticks() if axes.get_ylim()[0] < y < axes.get_ylim()[1]])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: _power_of_ten(value))
    for line, colour in zip(lines, (colours.bar, colours.paper), strict=False):
        axes.plot([x for x, _ in line.points], [y for _, y in line.points], color=colour, linewidth=2, clip_on=False)
        x, y = line.points[-1]
        axes.annotate(
            line.label, (x, y), xytext=(-4, 5), textcoords="offset points", ha="right", color=colour, clip_on=False
        )
    axes.set_xlabel(x_label, color=colours.muted)
    return figure


def _axes(colours: _Colours) -> tuple[Figure, Axes]:
    """Returns a figure with axes that have labels and no frame. Marks at the axes would be shared definitions."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH_INCHES, _PLOT_INCHES))
    figure.patch.set_alpha(0)
    axes = figure.add_axes((0.14, 0.2, 0.84, 0.76))
    axes.patch.set_alpha(0)
    axes.tick_params(which="both", bottom=False, left=False, colors=colours.muted)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set(color=colours.rail, clip_on=False)
    return figure, axes


def _grid(axes: Axes, colours: _Colours, heights: Sequence[float]) -> None:
    for height in heights:
        axes.plot(axes.get_xlim(), (height, height), color=colours.rail, linewidth=0.8, zorder=0.5, clip_on=False)


def _power_of_ten(value: float) -> str:
    """Formats an axis' number: 1, 10, 100, 1 k, 10 k, 1 M."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


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
    """Removes ids (charts would share them), font family and empty rotation; colours become CSS variables.

    Styles become attributes, which pages may have whose policy forbids styles within them.
    """
    tag = re.sub(r' id="[^"]*"| transform="rotate\(-?0 [^"]*"|font-family: [^;"]*;?', "", tag)
    tag = re.sub(r' style="([^"]*)"', lambda style: _as_attributes(style[1]), tag)
    return re.sub(r"#0[0-9]{5}", lambda color: _STAND_INS.get(color[0], color[0]), tag)


def _as_attributes(style: str) -> str:
    declarations = (declaration.partition(":") for declaration in style.split(";") if declaration.strip())
    return "".join(f' {name.strip()}="{value.strip()}"' for name, _, value in declarations)


def _shortened(label: str) -> str:
    line = " ".join(label.split())
    return line if len(line) <= _LABEL_CHARACTERS else line[: _LABEL_CHARACTERS - 1] + "…"
