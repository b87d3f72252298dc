"""Judging: samples of clips are drawn, reviewed by keyboard, and estimated from."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import Response

from orchestration.explorer.clip_cards import card_of
from orchestration.explorer.forms import Form, OneForm, judge_of, remember_judge, see
from orchestration.explorer.navigation import Entry
from orchestration.explorer.page import OnePage, Page, bad_request, not_found
from orchestration.explorer.routes.media import clip_of, video_of
from resources.explorer import judging
from resources.explorer.judging import Draw, NotJudgeable, Place
from resources.explorer.playback import played_as
from resources.lake.statements import statement

router = APIRouter()
NAVIGATION = Entry(3, "Judge", "/judge", "j")

CLIPS_AT_FIRST = 100


@router.get("/judge")
def overview(page: OnePage) -> Response:
    """The samples, what they say, and forms to draw others."""
    judge = judge_of(page.request)
    lake = page.explorer.lake  # a page after a judgement shows it; the view may be a second old
    scores = lake.query("select distinct score from clip_scores order by score limit 50")["score"].to_pylist()
    subsets = lake.query("select subset from subset_snapshots order by subset limit 200")["subset"].to_pylist()
    return page.html(
        "judging/overview.html",
        title="Judge",
        judge=judge,
        samples=judging.samples(lake, judge),
        estimates=estimates(page),
        comparisons=lake.query(statement("statistics/judged_comparisons")).to_pylist(),
        strata=judging.STRATA,
        scores=scores,
        subsets=subsets,
        snapshots=list(reversed(lake.tags()))[:200],
        clips_at_first=CLIPS_AT_FIRST,
        max_clips=judging.MAX_CLIPS,
    )


def estimates(page: Page) -> list[dict[str, Any]]:
    """Returns what the judgements so far say about the whole, sample by sample.

    A model that is the only one of its sample has no row beside that of all together.
    """
    rows = page.explorer.lake.query(statement("statistics/judged_precision")).to_pylist()
    models = Counter((row["sample"], row["what"]) for row in rows if row["model"] is not None)
    return [row for row in rows if row["model"] is None or models[row["sample"], row["what"]] > 1]


@router.post("/judge/name")
def name(page: OnePage, form: OneForm) -> Response:
    """Remembers under which name this browser judges."""
    judge = form.text("judge")[: judging.JUDGE_CHARACTERS]
    if not judge:
        raise bad_request("a judgement needs the name of its judge")
    answer = see("/judge")
    remember_judge(answer, judge)
    return answer


@router.post("/judge/samples")
def draw(page: OnePage, form: OneForm) -> Response:
    """Draws a sample, and leads to its first clip."""
    wanted = Draw(
        clips=form.number("clips", CLIPS_AT_FIRST),
        seed=form.number("seed", 42),
        strata_by=tuple(form.texts("strata_by")),
        score=form.text("score") or "aesthetics",
        subset=form.text("subset") or None,
        snapshot=form.text("snapshot") or None,
        other_snapshot=form.text("other_snapshot") or None,
    )
    try:
        sample = judging.draw(page.explorer.lake, wanted, drawn_by=judge_of(page.request))
    except ValueError as error:
        raise bad_request(f"No sample was drawn: {error}.") from error
    return see(_address(sample))


@router.get("/judge/{sample}")
def review(page: OnePage, sample: str, at: int | None = None) -> Response:
    """One clip of the sample to judge: the first that is not judged, or the one at a position."""
    judge, lake = judge_of(page.request), page.explorer.lake
    places = judging.places(lake, sample, judge)
    if not places:
        raise not_found("sample", sample)
    shared: dict[str, Any] = {
        "title": "Judge",
        "sample": sample,
        "judge": judge,
        "places": places,
        "judged": sum(place.is_judged for place in places),
    }
    place = _place(places, at)
    if place is None:
        return page.html("judging/done.html", estimates=_of_sample(estimates(page), sample), **shared)
    row = lake.known("review_samples", [f"{place.clip_id}/{sample}"], ["kind"]).to_pylist()[0]
    # The digest first: of a caption that is written in between, the judgement is refused.
    digest = judging.caption_digest(lake, place.clip_id)
    shared |= {"place": place, "next": _next(places, place.position), "card": card_of(lake, place.clip_id)}
    if shared["card"] is not None:
        shared["clip"] = clip_of(page, place.clip_id)
        shared["media_type"] = played_as(video_of(page, shared["clip"]["video_id"]))
    if row["kind"] == "comparison":
        pair = judging.pair_of(lake, sample, place.clip_id, judge)
        return page.html("judging/compare.html", pair=pair, shown_digest=pair.digest if pair else "", **shared)
    verdicts = {
        row["what"]: row["verdict"]
        for row in reversed(judging.judgements_of(lake, place.clip_id))
        if row["sample"] == sample and row["judge"] == judge
    }
    return page.html("judging/review.html", verdicts=verdicts, shown_digest=digest or "", **shared)


@router.post("/judge/{sample}/undo")
def undo(page: OnePage, sample: str) -> Response:
    """Takes back what this judge said last, and shows the clip again."""
    judge, lake = judge_of(page.request), page.explorer.lake
    clip_id = judging.undo(lake, judge=judge, sample=sample)
    at = next((place.position for place in judging.places(lake, sample, judge) if place.clip_id == clip_id), None)
    return see(_address(sample, at))


@router.post("/judge/{sample}/{clip_id}")
def judge_clip(page: OnePage, form: OneForm, sample: str, clip_id: str) -> Response:
    """Writes what was said of the clip, and leads to the next one."""
    judge, lake = judge_of(page.request), page.explorer.lake
    places = judging.places(lake, sample, judge)
    place = next((place for place in places if place.clip_id == clip_id), None)
    if place is None:
        raise not_found("clip of this sample", clip_id)
    try:
        if chosen := form.text("chosen"):
            pair = judging.pair_of(lake, sample, clip_id, judge)
            if pair is None:
                raise NotJudgeable("one of the two captions is gone")
            judging.record_comparison(
                lake, pair, chosen, judge=judge, sample=sample, shown_digest=form.text("shown_digest")
            )
        else:
            judging.record(
                lake,
                clip_id,
                _verdicts(form),
                judge=judge,
                sample=sample,
                shown_digest=form.text("shown_digest"),
            )
    except NotJudgeable as error:
        raise bad_request(f"Nothing was written: {error}.") from error
    left = [clip for clip in places if clip.clip_id != clip_id and not clip.is_judged]
    following = next((clip for clip in left if clip.position > place.position), left[0] if left else None)
    return see(_address(sample, following.position if following else None))


@router.get("/clips/{clip_id}/judgements")
def judgements(page: OnePage, clip_id: str) -> Response:
    """What people said of a clip, and a form to say something; the page of the clip loads it."""
    clip_of(page, clip_id)
    digest = judging.caption_digest(page.view, clip_id)  # of what the page of the clip shows
    rows = judging.judgements_of(page.explorer.lake, clip_id)
    judge = judge_of(page.request)
    is_own = any(row["judge"] == judge and row["sample"] is None for row in rows)
    return page.html(
        "judging/clip.html",
        title="Judgements",
        clip_id=clip_id,
        judgements=rows,
        is_own=is_own,
        shown_digest=digest or "",
    )


@router.post("/clips/{clip_id}/judgements")
def judge_chosen_clip(page: OnePage, form: OneForm, clip_id: str) -> Response:
    """Writes what was said of a clip that someone chose: of no sample."""
    try:
        judge = judge_of(page.request)
        judging.record(
            page.explorer.lake, clip_id, _verdicts(form), judge=judge, shown_digest=form.text("shown_digest")
        )
    except NotJudgeable as error:
        raise bad_request(f"Nothing was written: {error}.") from error
    return see(f"/clips/{quote(clip_id, safe='')}#judgements")


@router.post("/clips/{clip_id}/judgements/undo")
def undo_chosen_clip(page: OnePage, clip_id: str) -> Response:
    """Takes back what this judge said last of this clip, outside of samples."""
    judging.undo(page.explorer.lake, judge=judge_of(page.request), sample=None, clip_id=clip_id)
    return see(f"/clips/{quote(clip_id, safe='')}#judgements")


def _verdicts(form: Form) -> dict[str, str]:
    """Returns what a form of a review says. The caption's button says of cut and safety what is not ticked."""
    cut, safety = "bad" if form.text("bad_cut") else "good", "unsafe" if form.text("unsafe") else "safe"
    return {"caption": form.text("caption"), "cut": cut, "safety": safety}


def _place(places: list[Place], at: int | None) -> Place | None:
    """Returns the clip at the position, or the first that is not judged; None where all are."""
    if at is not None:
        return next((place for place in places if place.position == at), None)
    return next((place for place in places if not place.is_judged), None)


def _next(places: list[Place], position: int) -> int:
    return position + 1 if position < len(places) else 1


def _of_sample(rows: list[dict[str, Any]], sample: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["sample"] == sample]


def _address(sample: str, at: int | None = None) -> str:
    return f"/judge/{quote(sample, safe='')}" + (f"?at={at}" if at is not None else "")
