"""A lake trains a model that talks about its videos, and answers in the terminal and at an endpoint.

Training is cut to a few steps: what a model learns is shown in benchmarks/chat_tiny.py, here it is what becomes of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from fastapi.testclient import TestClient
from markupsafe import escape
from typer.testing import CliRunner

from assets.partitions import model_key
from internvid.dialogue.recipe import CHAT_RECIPES
from orchestration.chat_endpoint import chat_app
from orchestration.cli.app import app
from orchestration.cli.session import RunSummary, Session
from orchestration.explorer.app import explorer_app
from resources.catalog.files import register
from resources.incremental.faults import ModelUnavailable
from resources.models.chat import load_chat_of
from resources.training.shown_clips import clips_to_show
from resources.training.trainer import Trainer

pytestmark = pytest.mark.slow

CHAT = model_key("chat-tiny", "all")
QUESTION = "What does the video show?"


@pytest.fixture(scope="module")
def opened(place: Path, open_session: Callable[[], Session]) -> Iterator[Callable[[], Session]]:
    """Opens the lake as one that trains its first model, in a few steps."""

    def opened() -> Session:
        session = open_session()
        session.resources["trainer"] = Trainer(max_steps=3, threads=1)
        return session

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("INTERNVID_FIRST_MODEL", "viclip-tiny|all")
        yield opened


@pytest.fixture(scope="module")
def session(place: Path, opened: Callable[[], Session], synthetic_video: Callable[..., Path]) -> Session:
    """A lake of six videos with a ViCLIP, and a chat."""
    folder = place / "synthetic_videos"
    folder.mkdir(parents=True)
    for number in range(6):
        synthetic_video(folder, f"{number}.mp4", number)
    session = opened()
    register(session.lake, session.media, [str(folder)], run_id="test")
    assert session.bring_up_to_date().failed_runs == {}
    train(session)
    return session


def train(session: Session) -> None:
    summary = RunSummary()
    session.train_chat("chat-tiny", "all", summary)
    assert summary.failed_runs == {}


def test_the_row_and_the_receipt_say_what_the_chat_was_made_from(session):
    (row,) = session.lake.polars("chat_checkpoints").to_dicts()
    (active,) = session.lake.polars("active_checkpoint").to_dicts()
    assert (row["chat"], row["vision_checkpoint_id"]) == (CHAT, active["checkpoint_id"])
    assert row["language_model"] is None
    assert row["steps"] == 6
    assert 0 < row["dialogues"] <= session.lake.polars("dialogues").height
    receipt = json.loads(Path(row["path"], "receipt.json").read_text())
    assert receipt["snapshot"] == row["snapshot"]
    assert receipt["snapshot"] in session.lake.tags()
    assert receipt["recipe"] == session.resources["trainer"].chat_as_trained(CHAT_RECIPES["chat-tiny"]).version
    assert receipt["vision_digest"] == active["provenance"]


def test_training_again_trains_nothing(session):
    before = session.lake.version("chat_checkpoints")
    train(session)
    assert session.lake.version("chat_checkpoints") == before


def video_of(session: Session) -> str:
    return session.lake.polars("clips").sort("clip_id")["video_id"][0]


def test_the_command_answers_about_a_video_and_about_a_clip(session):
    video_id = video_of(session)
    done = CliRunner().invoke(app, ["chat", video_id, "-q", QUESTION, "--max-tokens", "8", "--lake", session.lake.root])
    assert done.exit_code == 0, done.output
    assert f"> {QUESTION}" in done.output
    assert f"on 2 clips of {video_id}, 0.0 to 3.0 s" in done.output
    clip_id = session.lake.polars("clips").sort("clip_id")["clip_id"][0]
    done = CliRunner().invoke(app, ["chat", clip_id, "--max-tokens", "8", "--lake", session.lake.root], input="What?\n")
    assert done.exit_code == 0, done.output
    assert "on 1 clips" in done.output
    done = CliRunner().invoke(app, ["chat", "nothing", "-q", QUESTION, "--lake", session.lake.root])
    assert done.exit_code == 2
    assert "is no clip or video of this lake" in done.output


def test_the_endpoint_answers_in_the_protocol_s_form(session):
    chat = load_chat_of(session.lake, None, device="cpu")
    clips = clips_to_show(session.lake, video_of(session))
    client = TestClient(chat_app(chat, clips), base_url="http://127.0.0.1:8020")
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == [chat.checkpoint_id]

    def ask(**changes: object):
        request = {"model": chat.checkpoint_id, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 8}
        return client.post("/v1/chat/completions", json={**request, **changes})

    answer = ask().json()
    expected = chat.answer(clips, QUESTION, max_new_tokens=8)
    (choice,) = answer["choices"]
    assert choice["message"] == {"role": "assistant", "content": expected.text}
    assert answer["usage"]["completion_tokens"] == expected.output_tokens
    assert answer["internvid"]["clips_read"] == 2

    part = {"type": "video_url", "video_url": {"url": f"internvid:{clips[1].clip_id}"}}
    about_one = ask(messages=[{"role": "user", "content": [part, {"type": "text", "text": QUESTION}]}]).json()
    assert about_one["internvid"]["clips_read"] == 1
    part["video_url"]["url"] = "file:///etc/passwd"
    refused = ask(messages=[{"role": "user", "content": [part, {"type": "text", "text": QUESTION}]}])
    assert refused.status_code == 400
    assert "videos are those of the lake" in refused.json()["error"]["message"]
    assert ask(stream=True).status_code == 400
    assert ask(model="another").status_code == 404
    assert ask(messages=[]).status_code == 400
    assert client.get("/v1/models", headers={"host": "evil.example"}).status_code == 421
    headers = {"origin": "http://evil.example"}
    assert client.post("/v1/chat/completions", json={}, headers=headers).status_code == 403


def test_a_clip_s_page_asks_the_chat_about_the_clip_or_its_video(session):
    pages = TestClient(explorer_app(session.settings, session.resources), base_url="http://127.0.0.1:3030")
    clip, other = session.lake.polars("clips").sort("clip_id")["clip_id"][:2]
    assert 'name="ask"' in pages.get(f"/clips/{clip}").text
    assert 'class="answer"' not in pages.get(f"/clips/{clip}").text
    chat = load_chat_of(session.lake, None, device="cpu")
    for of, about in (("", clip), ("video", video_of(session))):
        expected = chat.answer(clips_to_show(session.lake, about), QUESTION)
        text = pages.get(f"/clips/{clip}", params={"ask": QUESTION, "of": of}).text
        assert f"data-summary>{escape(expected.text or '(no text)')}</p>" in text
        assert f"which was shown {len(expected.read)} clip" in text
        assert all(f'<a href="/clips/{shown.clip_id}">' in text for shown in expected.clips)
    text = pages.get(f"/clips/{other}", params={"ask": "why? " * 101}).text
    assert "No answer: a question has at most 500 characters" in text


def test_a_chat_whose_files_have_changed_is_refused(session):
    (row,) = session.lake.polars("chat_checkpoints").to_dicts()
    config = Path(row["path"], "config.json")
    text = config.read_text()
    try:
        config.write_text(text.replace('"seed": 42', '"seed": 43'))
        with pytest.raises(ModelUnavailable, match="files have changed"):
            load_chat_of(session.lake, row["checkpoint_id"], device="cpu")
    finally:
        config.write_text(text)
    with pytest.raises(ValueError, match="neither a chat of this lake"):
        load_chat_of(session.lake, "another", device="cpu")


# --- what follows changes the lake ------------------------------------------------------------------------------


def status_of(session: Session, asset: str, partition: str) -> StaleStatus:
    graph = session._definitions.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(session.instance, graph, LoadingContextForTest(session.instance))
    return resolver.get_status(dg.AssetKey(asset), partition)


def test_a_changed_subset_makes_the_chat_stale_and_training_makes_another(session, place, synthetic_video):
    assert status_of(session, "chat_checkpoints", CHAT) == StaleStatus.FRESH
    synthetic_video(place / "synthetic_videos", "new.mp4", 7)
    register(session.lake, session.media, [str(place / "synthetic_videos")], run_id="test")
    assert session.bring_up_to_date().failed_runs == {}
    assert status_of(session, "chat_checkpoints", CHAT) == StaleStatus.STALE
    train(session)
    first, second = session.lake.polars("chat_checkpoints").sort("written_at").to_dicts()
    assert first["provenance"] != second["provenance"]
    assert load_chat_of(session.lake, None, device="cpu").checkpoint_id == second["checkpoint_id"]
