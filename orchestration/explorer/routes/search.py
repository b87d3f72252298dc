"""Search: clips by text, example and filters, with the counts of every filter."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from internvid.text.languages import NAMES
from orchestration.explorer.navigation import Entry
from orchestration.explorer.page import OnePage, bad_request, body_of, explorer_of, not_found
from orchestration.explorer.search_state import SearchState, parsed, sorted_by
from resources.explorer.clip_index import ClipIndex, Facet, WrongFilter
from resources.explorer.query_vectors import NoVectors, QueryVectors
from resources.explorer.ranking import NOTHING, Ranked, by_examples, by_text
from resources.explorer.view import LakeView
from resources.lake.search import ExampleVector, vectors_of

router = APIRouter()
NAVIGATION = Entry(1, "Search", "/", "s")

CLIPS_PER_PAGE = 24
VALUES_SHOWN = 7  # of a facet before the rest is folded away
MAX_VALUES_SHOWN = 60


@dataclass(frozen=True)
class Results:
    """The clips of a page of results. total: of all its pages. is_best: whether only the best of more are listed.

    among: [clips] bool, the clips that are counted; None: all.
    """

    clip_ids: list[str]
    total: int
    is_best: bool
    notes: list[str]
    among: np.ndarray | None


@router.get("/")
def search(page: OnePage) -> Response:
    """The clips that the address asks for."""
    started = time.perf_counter()
    explorer = page.explorer
    index = explorer.indexes.newest()
    try:
        state = parsed(page.request.query_params.multi_items(), index.facets, index.titles_of_measures())
        results = _results(index, explorer.query_vectors, state)
        facets, histograms = index.counted(state.filters, results.among)
    except WrongFilter as error:
        raise bad_request(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
    cards = cards_of(index.view, results.clip_ids)
    return page.html(
        "search.html",
        title=_title(state),
        state=state,
        results=results,
        cards=cards,
        example=_example(index.view, state),
        facets=[_shown(facet) for facet in facets if facet.counts],
        histograms=[histogram for histogram in histograms if histogram.lowest < histogram.highest],
        measures=index.titles_of_measures(),
        clips=index.clips,
        pages=max(1, -(-results.total // CLIPS_PER_PAGE)),
        per_page=CLIPS_PER_PAGE,
        milliseconds=1000 * (time.perf_counter() - started),
    )


@router.post("/pictures")
async def take_picture(request: Request) -> Response:
    """Takes a picture, the body, to search by it. Answers with its name."""
    explorer = explorer_of(request)
    file = await body_of(request)
    try:
        view = await run_in_threadpool(explorer.views.newest)
        name = await run_in_threadpool(explorer.query_vectors.take_picture, view, file)
    except NoVectors as reason:
        return JSONResponse({"problem": f"Clips cannot be found by a picture now: {reason}."}, 409)
    except ValueError as error:
        return JSONResponse({"problem": f"{error}"}, 400)
    return JSONResponse({"picture": name})


@router.get("/pictures/{name}")
def picture(request: Request, name: str) -> Response:
    """A picture that was searched by."""
    kept = explorer_of(request).query_vectors.picture(name)
    if kept is None:
        raise not_found("picture", name)
    return Response(kept.jpeg, media_type="image/jpeg")


def cards_of(view: LakeView, clip_ids: list[str]) -> list[dict[str, Any]]:
    """Returns what the macro `clip_cards` shows of clips, in their order. Clips that are not there are left out."""
    clips = {
        row["clip_id"]: row
        for row in view.known("clips", clip_ids, ["video_id", "start_seconds", "end_seconds", "flags"]).to_pylist()
    }
    captioned = view.known("clip_captions", clip_ids, ["caption"]).to_pylist()
    captions = {row["clip_id"]: row["caption"] for row in captioned}
    names = video_names(view, sorted({row["video_id"] for row in clips.values()}))
    return [
        clips[clip_id] | {"caption": captions.get(clip_id), "video": names.get(clips[clip_id]["video_id"], "")}
        for clip_id in clip_ids
        if clip_id in clips
    ]


def video_names(view: LakeView, video_ids: list[str]) -> dict[str, str]:
    """Returns the title of each video, or the name of its file."""
    videos = view.known("raw_videos", video_ids, ["source", "source_id"]).to_pylist()
    sources = view.known("sources", sorted({row["source_id"] for row in videos}), ["title"]).to_pylist()
    titles = {row["source_id"]: row["title"] for row in sources}
    return {row["video_id"]: titles.get(row["source_id"]) or name_of(row["source"]) for row in videos}


def name_of(uri: str) -> str:
    """Returns the name of the file at an address, readable; the address where it has none."""
    return unquote(PurePosixPath(urlsplit(uri).path).name, errors="replace") or uri


def _results(index: ClipIndex, vectors: QueryVectors, state: SearchState) -> Results:
    matching = index.matching(state.filters)
    first = (state.page - 1) * CLIPS_PER_PAGE
    if not state.is_ranked:
        measure, descending = sorted_by(state.sort)
        numbers = index.ordered(matching, measure, descending=descending, count=first + CLIPS_PER_PAGE)[first:]
        return Results(index.ids_of(numbers), int(matching.sum()), False, [], None)
    ranked = _ranked(index, vectors, state, matching)
    listed = np.zeros(index.clips, bool)
    listed[ranked.numbers] = True
    numbers = ranked.numbers
    if state.sort != "best":
        measure, descending = sorted_by(state.sort)
        numbers = index.ordered(listed, measure, descending=descending, count=len(numbers))
    among = listed.copy()
    among[ranked.candidates] = True
    is_best = len(numbers) < (int(matching.sum()) if state.is_filtered else index.clips)
    clip_ids = index.ids_of(numbers[first : first + CLIPS_PER_PAGE])
    return Results(clip_ids, len(numbers), is_best, ranked.notes, among)


def _ranked(index: ClipIndex, vectors: QueryVectors, state: SearchState, matching: np.ndarray) -> Ranked:
    if state.like:
        examples = vectors_of(index.view.dataset, state.like, vectors.weight(index.view))
        if not examples:
            if not index.view.known("clips", [state.like]).num_rows:
                raise not_found("clip", state.like)
            return Ranked(NOTHING, NOTHING, ["This clip has no vector yet: nothing can be compared with it."])
        ranked = by_examples(index, examples, matching, filtered=state.is_filtered)
        return ranked.without(index.numbers_of([state.like]))
    if state.picture:
        picture = vectors.picture(state.picture)
        if picture is None:
            return Ranked(NOTHING, NOTHING, ["The picture is no longer kept here: give it again."])
        return by_examples(index, [ExampleVector(picture.vector)], matching, filtered=state.is_filtered)
    return by_text(index, vectors, state.text, matching, filtered=state.is_filtered)


def _example(view: LakeView, state: SearchState) -> dict[str, Any] | None:
    cards = cards_of(view, [state.like]) if state.like else []
    return cards[0] if cards else None


def _shown(facet: Facet) -> dict[str, Any]:
    """Returns what the page shows of a facet: values that are chosen always, of the others those with most clips."""
    labels = NAMES if facet.header.values == "languages" else {}
    values = [
        {"value": value, "label": labels.get(value, value), "count": count, "chosen": value in facet.chosen}
        for value, count in facet.counts
    ]
    shown = [entry for number, entry in enumerate(values) if number < VALUES_SHOWN or entry["chosen"]]
    rest = [entry for entry in values if entry not in shown]
    return {
        "name": facet.name,
        "title": facet.header.title,
        "description": facet.header.description,
        "shown": shown,
        "more": rest[:MAX_VALUES_SHOWN],
        "left_out": max(0, len(rest) - MAX_VALUES_SHOWN),
        "is_chosen": bool(facet.chosen),
    }


def _title(state: SearchState) -> str:
    if state.text:
        return f"“{state.text[:60]}”"
    return "Similar clips" if state.is_ranked else "Search"
