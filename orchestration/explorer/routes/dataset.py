"""The dataset as a whole: its statistics, what subsets keep, thresholds, a map of its vectors, two snapshots."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlencode

import numpy as np
from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from internvid.report.report import SECTIONS, Chart, headline
from orchestration.explorer.forms import OneForm, judge_of, see
from orchestration.explorer.navigation import Entry
from orchestration.explorer.page import OnePage, Page, bad_request, not_found
from orchestration.explorer.routes.judging import estimates
from orchestration.explorer.routes.search import cards_of
from orchestration.explorer.search_state import parsed
from resources.corpus.snapshot_diff import SnapshotGone, differences
from resources.corpus.subsets import Subset, connected, shown, waterfall
from resources.explorer import thresholds
from resources.explorer.clip_index import ClipIndex, WrongFilter
from resources.explorer.published_statistics import PublishedStatistics, published_statistics
from resources.explorer.side_by_side import side_by_side
from resources.explorer.thresholds import NotSaved, Thresholds
from resources.explorer.vector_map import methods, tables, values_of, vector_map
from resources.explorer.view import TookTooLong, within
from resources.lake.statements import statement

router = APIRouter()
NAVIGATION = Entry(2, "Dataset", "/dataset", "d")

PARTS = (
    ("/dataset", "Statistics"),
    ("/dataset/subsets", "Subsets"),
    ("/dataset/thresholds", "Thresholds"),
    ("/dataset/map", "Map"),
    ("/dataset/compare", "Compare"),
)
# Plots whose rows are values of a filter of the search.
FILTER_OF_PLOT = {"Spoken languages": "language", "Categories": "category", "Flags": "flag"}
UNKNOWN_VALUES = ("no speech", "none stated", "no flag")  # of plots, which no filter has
BOUNDS = re.compile(r"[<>]?(\d+)(?:–(\d+))? s")
EXAMPLES = 6  # of what a condition removed
WATERFALL_SECONDS = 20.0
CLIPS_LISTED = 48  # of a part of the map
PAIRS_SHOWN = 10
FAILURES_SHOWN = 100
ROWS_OF_PLOT = 200
MAX_CORNERS = 400  # of a lasso


@router.get("/dataset")
def statistics(page: OnePage, section: str = "durations") -> Response:
    """The published statistics: figures, and the plots of one section."""
    published = published_statistics(page.explorer.lake)
    titles = {name: title for name, (title, _) in SECTIONS.items()} | {"failures": "Failures", "judged": "Judged"}
    if section not in titles:
        raise not_found("section of the statistics", section)
    tables = published.tables if published else {}
    return _html(
        page,
        "dataset/statistics.html",
        title="Dataset",
        published=published,
        figures=headline(tables) if published else [],
        titles=titles,
        section=section,
        charts=_charts(published, section) if published and section in SECTIONS else [],
        attempts=tables.get("attempts_by_stage", []) if section == "failures" else [],
        failures=tables.get("failures", [])[:FAILURES_SHOWN] if section == "failures" else [],
        estimates=estimates(page) if section == "judged" else [],
    )


@router.get("/dataset/subsets")
def list_of_subsets(page: OnePage) -> Response:
    """Every subset with its file, and what it was last made of."""
    made = {row["subset"]: row for row in page.view.query(statement("explorer/made_subsets")).to_pylist()}
    return _html(page, "dataset/subsets.html", title="Subsets", subsets=_subsets(page).values(), made=made)


@router.get("/dataset/subsets/{name}")
def one_subset(page: OnePage, name: str) -> Response:
    """What each condition of a subset removes of the lake as it is, with clips; with values of its parameters."""
    subset = _subsets(page).get(name)
    if subset is None:
        raise not_found("subset", name)
    given = {key: value for key, value in page.request.query_params.multi_items() if value != "" and key != "saved"}
    import duckdb

    try:
        values = subset.parsed(f"{key}={value}" for key, value in given.items())
        with connected(page.view, subset, at=None) as connection:
            rows = within(
                connection, lambda: waterfall(connection, subset, values, examples=EXAMPLES), WATERFALL_SECONDS
            )
    except (ValueError, duckdb.Error) as error:
        if isinstance(error.__cause__, duckdb.InterruptException):
            raise TookTooLong(f"the subset was stopped after {WATERFALL_SECONDS:.0f} s") from error
        raise bad_request(f"{error}") from error
    examples = list({example.clip_id: example for row in rows for example in row.examples})
    cards = {card["clip_id"]: card for card in cards_of(page.view, examples)}
    return _html(
        page,
        "dataset/subset.html",
        title=f"Subset {name}",
        subset=subset,
        parameters=[
            {"parameter": parameter, "value": shown(subset.values(values)[parameter.name])}
            for parameter in subset.parameters.values()
        ],
        rows=rows,
        cards=cards,
        is_saved="saved" in page.request.query_params,
    )


@router.get("/dataset/thresholds")
def move_thresholds(page: OnePage) -> Response:
    """What thresholds would leave of the lake, and the file of the subset that they make."""
    index = page.explorer.indexes.newest()
    chosen = _thresholds(index, page.request.query_params.multi_items())
    rows = thresholds.waterfall_of(index, chosen)
    left = thresholds.left_by(index, chosen)
    _, histograms = index.counted(thresholds.as_filters(chosen), thresholds.pool_of(index))
    try:
        text, why_no_file = thresholds.subset_file(chosen, title="…"), ""
    except NotSaved as reason:
        text, why_no_file = "", str(reason)
    kept = index.ids_of(thresholds.some_of(left, EXAMPLES))
    removed = index.ids_of(thresholds.some_of(thresholds.pool_of(index) & ~left, EXAMPLES))
    return _html(
        page,
        "dataset/thresholds.html",
        title="Thresholds",
        histograms=[histogram for histogram in histograms if histogram.lowest < histogram.highest],
        chosen=chosen,
        rows=rows,
        text=text,
        why_no_file=why_no_file,
        kept=cards_of(index.view, kept),
        removed=cards_of(index.view, removed),
        fields=_fields(chosen),
        folder=page.explorer.settings.subsets,
    )


@router.post("/dataset/thresholds/save")
def save_thresholds(page: OnePage, form: OneForm) -> Response:
    """Saves the thresholds as a subset of the user's own, and shows it."""
    index = page.explorer.indexes.newest()
    name, title = form.text("name"), form.text("title")
    given = [(key, value) for key, value in form.items() if key not in ("name", "title")]
    chosen = _thresholds(index, given)
    left = thresholds.waterfall_of(index, chosen)[-1].left
    description = f"Saved from the explorer by {judge_of(page.request)}; {left:,} clips were left then."
    try:
        text = thresholds.subset_file(chosen, title=title or name or "Thresholds", description=description)
        thresholds.save(page.view, page.explorer.settings.subsets, name, text)
    except NotSaved as reason:
        raise bad_request(f"The subset was not saved: {reason}.") from reason
    return see(f"/dataset/subsets/{quote(name)}?saved")


@router.get("/dataset/map")
def show_map(page: OnePage, method: str = "pca", colour: str = "", vectors: str = "") -> Response:
    """A map of the clips' vectors, and the clips of the part that is chosen."""
    made = _map(page, method, vectors)
    corners = page.request.query_params.get("inside", "")
    chosen = made.inside(_corners(corners)) if corners else []
    scores = page.view.query("select distinct score from clip_scores order by score limit 50")["score"].to_pylist()
    return _html(
        page,
        "dataset/map.html",
        title="Map of the vectors",
        made=made,
        method=method,
        methods=methods(),
        tables=tables(page.view),
        colour=colour,
        scores=scores,
        corners=corners,
        chosen=len(chosen),
        cards=cards_of(page.view, chosen[:CLIPS_LISTED]),
    )


@router.get("/dataset/map/points")
def points(page: OnePage, method: str = "pca", colour: str = "", vectors: str = "") -> Response:
    """The points of the map, and the score that colours them."""
    made = _map(page, method, vectors)
    values = values_of(page.view, made, colour) if colour else None
    known = np.array([value for value in values or [] if value is not None])
    return JSONResponse(
        {
            "points": np.round(made.points, 4).astype(float).tolist(),
            "values": values,
            # The extremes are left out: one clip would else take all the colours.
            "range": np.round(np.quantile(known, [0.02, 0.98]), 4).tolist() if len(known) else None,
        }
    )


@router.get("/dataset/compare")
def compare(page: OnePage, a: str = "", b: str = "", seed: int = 1, rows: bool = False) -> Response:
    """Two snapshots, or a snapshot and the lake as it is: captions of the same clips, and which rows differ."""
    snapshots = list(reversed(page.view.tags()))
    a = a or (snapshots[0] if snapshots else "")
    for name in (a, b):
        if name and name not in snapshots:
            raise not_found("snapshot", name)
    compared = side_by_side(page.view, a, b or None, clips=PAIRS_SHOWN, seed=seed) if a else None
    cards = (
        {card["clip_id"]: card for card in cards_of(page.view, [pair["clip_id"] for pair in compared.pairs])}
        if compared
        else {}
    )
    try:
        differing = list(differences(page.view, a, b or None)) if a and rows else None
    except SnapshotGone as error:
        raise bad_request(f"{error}.") from error
    return _html(
        page,
        "dataset/compare.html",
        title="Compare snapshots",
        snapshots=snapshots,
        a=a,
        b=b,
        seed=seed,
        compared=compared,
        cards=cards,
        differing=differing,
    )


def _charts(published: PublishedStatistics, section: str) -> list[dict[str, Any]]:
    """Returns the plots of a section with their rows: label, number, and the search for the clips behind it."""
    return [
        {
            "chart": chart,
            "rows": [
                (_label(chart, label), number, _search(chart, label)) for label, number in chart.rows[:ROWS_OF_PLOT]
            ],
        }
        for chart in published.charts(section)
    ]


def _label(chart: Chart, label: str | float) -> str:
    return label if isinstance(label, str) else f"{label:g} – {label + (chart.width or 0):g}"


def _search(chart: Chart, label: str | float) -> str | None:
    """Returns the address of the search for the clips that a row of a plot counts; None where there is none."""
    if isinstance(label, float | int):
        score = chart.title.lower().replace(" ", "_")
        measure = "seconds" if chart.title == "Clip durations by the second" else f"score.{score}"
        if chart.title == "Caption lengths by the word":
            return None
        # A step holds its lower bound and not its upper one; a filter holds both.
        highest = round(label + (chart.width or 0), 6) - 1e-4
        return "/?" + urlencode({f"min.{measure}": f"{label:.6g}", f"max.{measure}": f"{highest:.6g}"})
    if chart.title in FILTER_OF_PLOT and label not in UNKNOWN_VALUES:
        return "/?" + urlencode({FILTER_OF_PLOT[chart.title]: label})
    if chart.title == "Clip durations" and (bounds := BOUNDS.fullmatch(label)):
        from_seconds, to_seconds = bounds.groups()
        below = {"max.seconds": f"{float(to_seconds) - 1e-4:.6g}"} if to_seconds else {}
        asked = {"min.seconds": from_seconds} | below
        return "/?" + urlencode(asked)
    return None


def _html(page: Page, template: str, *, title: str, **values: Any) -> Response:
    return page.html(template, title=title, parts=PARTS, **values)


def _subsets(page: Page) -> dict[str, Subset]:
    try:
        return page.explorer.resources["subset_files"].all()
    except ValueError as error:
        raise bad_request(f"A subset's file cannot be read: {error}") from error


def _thresholds(index: ClipIndex, given: list[tuple[str, str]]) -> Thresholds:
    switches = ("unflagged", "not_judged_wrong")
    try:
        state = parsed([(name, value) for name, value in given if name not in switches], [], index.titles_of_measures())
    except WrongFilter as error:
        raise bad_request(f"There is no such threshold: {error}.") from error
    on = {name for name, value in given if name in switches and value}
    return Thresholds(state.filters.ranges, "unflagged" in on, "not_judged_wrong" in on)


def _fields(chosen: Thresholds) -> list[tuple[str, str]]:
    """Returns the fields of a form that holds the thresholds."""
    fields = [
        (f"{bound}.{name}", repr(value))
        for name, bounds in chosen.bounded.items()
        for bound, value in zip(("min", "max"), bounds, strict=True)
        if value is not None
    ]
    switches = {"unflagged": chosen.unflagged, "not_judged_wrong": chosen.not_judged_wrong}
    return fields + [(name, "1") for name, is_on in switches.items() if is_on]


def _map(page: Page, method: str, table: str) -> Any:
    try:
        return vector_map(page.view, method, table)
    except ValueError as error:
        raise bad_request(f"{error}.") from error


def _corners(text: str) -> list[tuple[float, float]]:
    """Reads corners of a polygon, as "x,y x,y". Raises 400."""
    try:
        numbers = [[float(number) for number in corner.split(",")] for corner in text.split()[: MAX_CORNERS + 1]]
        corners = [(x, y) for x, y in numbers]
    except ValueError:
        raise bad_request("the part of the map is given as x,y x,y") from None
    if not 2 <= len(corners) <= MAX_CORNERS or not np.isfinite(corners).all():
        raise bad_request(f"a part of the map has 2 to {MAX_CORNERS} corners")
    return corners
