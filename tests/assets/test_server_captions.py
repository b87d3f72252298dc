"""Captions and summaries by a server, through Dagster: every frame ends with a caption or an attempt of its own."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import polars as pl
import pytest
from scripted_server import MODEL, scripted_server, told_of

from orchestration.cli.session import RunSummary, Session
from resources.incremental.faults import SystemFault
from resources.models.server_captioner import ServerCaptioner
from resources.models.server_summariser import ServerSummariser

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def enabled_providers(session: Session, url: str) -> None:
    captioner = ServerCaptioner(url=url, served_model=MODEL, tries=2, concurrency=4)
    summariser = ServerSummariser(url=url, served_model=MODEL, tries=2, concurrency=4)
    session.resources |= {"coarse_captioner": captioner, "fine_captioner": captioner, "summariser": summariser}


def without_captions(session: Session) -> tuple[dict[str, bytes], set[str]]:
    """The lake's frames by their ids, and the captions that are missing once all were removed."""
    units = session.lake.polars("frame_captions")["frame_caption_id"].to_list()
    session.lake.delete("frame_captions", units)
    return dict(session.lake.polars("frames").select("frame_id", "jpeg").rows()), set(units)


def failures(session: Session) -> pl.DataFrame:
    return session.lake.polars("attempts").filter(stage="frame_captions")


def test_every_frame_ends_with_its_own_caption_or_its_own_attempt(session: Session, ingest: Any) -> None:
    frames, units = without_captions(session)
    times_seen = Counter(frames.values())  # a shot that stands still has the same picture again and again
    blocked, refused, busy, late = sorted(
        frame_id
        for frame_id in frames
        if times_seen[frames[frame_id]] == 1 and {f"{frame_id}/fine", f"{frame_id}/coarse"} & units
    )[:4]
    acts = {blocked: ["blocked"], refused: [400], busy: [503, 503], late: [(429, {"Retry-After": "1"})]}
    script = {told_of(frames[frame_id]): of_frame for frame_id, of_frame in acts.items()}
    with scripted_server(script) as server:
        enabled_providers(session, server.url)
        ingest(session)

    failed = failures(session)
    told = session.lake.polars("frame_captions")
    assert set(told["frame_caption_id"]) | set(failed["key"]) == units
    assert told.height + failed.height == len(units)
    assert [
        row["frame_caption_id"]
        for row in told.rows(named=True)
        if (row["caption"], row["model"], row["revision"]) != (told_of(frames[row["frame_id"]]), MODEL, f"{MODEL}-2026")
    ] == []
    by_frame = {row["label"]: (row["error_class"], row["next_try_at"] is not None) for row in failed.rows(named=True)}
    assert by_frame == {blocked: ("Blocked", False), refused: ("Refused", False), busy: ("NoAnswer", True)}

    clips = session.lake.polars("clip_captions")
    last_told = {
        clip_id: rows["caption"][-1]
        for (clip_id,), rows in told.sort("seconds").group_by("clip_id", maintain_order=True)
    }
    assert {row["clip_id"]: f"picture {row['caption']}" for row in clips.rows(named=True)} == last_told
    spent = (
        session.lake.polars("costs").filter(model=MODEL, stage="frame_captions").filter(pl.col("device") == server.url)
    )
    assert spent["output_tokens"].sum() >= 2 * told.height


def test_without_a_server_the_run_ends_with_one_message_and_the_next_one_makes_it_good(
    session: Session, open_session: Any, ingest: Any
) -> None:
    _, units = without_captions(session)
    enabled_providers(session, "http://127.0.0.1:9/v1")
    started, summary = time.monotonic(), RunSummary()
    with pytest.raises(SystemFault, match=r"^frame_captions: "):
        session.run_pending_batches(summary)
    assert time.monotonic() - started < 60.0
    (message,) = summary.failed_runs.values()
    assert message.startswith("frame_captions: ")
    assert "start the server, or set `url` to where it is" in message
    assert session.counts()["frame_captions"]["pending"] == len(units)
    assert failures(session).is_empty()
    assert session.lake.polars("frame_captions").height == 0

    with scripted_server({}) as server:
        reopened = open_session()
        enabled_providers(reopened, server.url)
        ingest(reopened)
    assert set(session.lake.polars("frame_captions")["frame_caption_id"]) == units
