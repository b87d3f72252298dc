"""Dialogues of videos that went through the pipeline: by templates they are true, by a model they are grounded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import polars as pl
import pytest
from dialogue_truth import KnownVideo
from scripted_server import MODEL, scripted_server

from internvid.dialogue import templates
from internvid.synthetic import programme
from internvid.synthetic.render import render_all
from internvid.synthetic.truth import read_truth
from orchestration.cli.session import Session
from resources.models.server_summariser import ServerSummariser

# Of the sample videos those that are quick to render; the others bring no kind of answer that these lack.
PLANS = (programme.CITY_EVENING, programme.TALK_WITH_SLIDES, programme.TOY_SHAPES, programme.WIDE_TRAVELS)
KINDS = {"description", "detail", "order", "after", "length", "camera", "motion", "presence"}


def of_videos(session: Session) -> dict[str, list[dict[str, Any]]]:
    """video_id -> the turns of its dialogues."""
    rows = session.lake.polars("dialogues").sort("dialogue_id").to_dicts()
    turns: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        of_row = json.loads(row["turns"])
        assert row["turn_count"] == len(of_row) > 0
        assert all(set(turn["clip_ids"]) <= set(row["clip_ids"]) and turn["clip_ids"] for turn in of_row)
        turns.setdefault(row["video_id"], []).extend(of_row)
    return turns


@pytest.mark.slow
def test_every_answer_agrees_with_what_the_renderer_knows(
    empty_session: Session, ingest: Callable[..., Any], folder: Path
) -> None:
    render_all(folder, PLANS)
    ingest(empty_session, folder)
    sources = empty_session.lake.polars("raw_videos").select("video_id", "source").rows()
    paths = {video_id: Path(unquote(urlsplit(source).path)) for video_id, source in sources}
    plans = {plan.name: plan for plan in PLANS}
    turns = of_videos(empty_session)
    assert len(turns) == len(PLANS)
    wrong = [
        contradiction
        for video_id, of_video in turns.items()
        for turn in of_video
        for contradiction in KnownVideo(plans[paths[video_id].stem], read_truth(paths[video_id])).contradictions(turn)
    ]
    assert wrong == []
    asked = [turn for of_video in turns.values() for turn in of_video]
    assert {turn["kind"] for turn in asked} == KINDS
    assert {turn["answer"].split(",")[0] for turn in asked if turn["kind"] == "presence"} == {"Yes", "No"}
    clips = set(empty_session.lake.polars("clips")["clip_id"])
    assert {fact["clip_id"] for turn in asked for fact in turn["facts"]} <= clips


def test_a_served_model_s_dialogue_names_clips_of_the_video_or_is_refused_with_its_text(
    session: Session, ingest: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert set(session.lake.polars("dialogues")["model"]) == {templates.MODEL}
    by_templates = session.lake.polars("dialogues")
    turn = {"question": "What is first?", "answer": "A circle.", "clips": [2, 1]}
    grounded = json.dumps({"turns": [turn]})
    refused = json.dumps({"turns": [turn | {"clips": []}]})
    with scripted_server({"dialogue": [{"says": refused}, {"says": grounded}]}) as server:
        session.resources["summariser"] = ServerSummariser(
            url=server.url, served_model=MODEL, concurrency=1, dialogue_template="{clips}\n\nWrite a dialogue"
        )
        ingest(session, folder)
        asked = [body for body in server.bodies if body["messages"][0]["content"].endswith("dialogue")]
    assert [body["max_tokens"] for body in asked] == [1024, 1024]
    (failed,) = session.lake.polars("attempts").filter(stage="dialogues").to_dicts()
    assert failed["error_class"] == "RefusedDialogue"
    assert failed["message"] == f"the answer to 'What is first?' names no clip. The model wrote: {refused}"
    assert failed["next_try_at"] is None
    (row,) = session.lake.polars("dialogues").filter(model=MODEL).to_dicts()
    assert {row["video_id"], failed["key"]} == set(by_templates["video_id"])
    (of_row,) = of_videos(session)[row["video_id"]]
    assert (of_row["question"], of_row["answer"]) == (turn["question"], turn["answer"])
    assert of_row["clip_ids"] == [row["clip_ids"][1], row["clip_ids"][0]]
    assert (row["revision"], row["output_tokens"]) == (f"{MODEL}-2026", len(grounded.split()))
    spent = session.lake.polars("costs").filter(pl.col("model") == MODEL, stage="dialogues")
    assert spent["device"].to_list() == [server.url]


def test_without_a_template_for_dialogues_a_served_model_is_not_asked_for_them() -> None:
    silent = ServerSummariser(url="http://127.0.0.1:9/v1", served_model=MODEL, dialogue_template="")
    assert (silent.dialogue_model, silent.dialogue_version) == (templates.MODEL, templates.VERSION)
    assert next(iter(silent.write_dialogues([[]]))).turns == []
    asked = ServerSummariser(url="http://127.0.0.1:9/v1", served_model=MODEL)
    assert silent.version == asked.version, "captions do not depend on how dialogues are written"
    longer = asked.model_copy(update={"dialogue_turns": 9})
    assert longer.dialogue_version != asked.dialogue_version
    renamed = asked.model_copy(update={"parameters": {"max_tokens": None, "max_completion_tokens": 64}})
    assert "max_completion_tokens=1024+max_tokens=null" in renamed.dialogue_version
    with pytest.raises(ValueError, match=r"by \{clips\} where the clips go"):
        ServerSummariser(url="http://127.0.0.1:9/v1", served_model=MODEL, dialogue_template="Write")
