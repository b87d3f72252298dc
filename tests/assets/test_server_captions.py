"""Captions and summaries by a server, through Dagster: every frame ends with a caption or an attempt of its own."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import polars as pl
import pytest
from scripted_server import MODEL, scripted_server, told_of

from orchestration.house import House
from resources.server_captioner import ServerCaptioner
from resources.server_summariser import ServerSummariser


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def set_doors(house: House, url: str) -> None:
    captioner = ServerCaptioner(url=url, served_model=MODEL, tries=2, concurrency=4)
    summariser = ServerSummariser(url=url, served_model=MODEL, tries=2, concurrency=4)
    house.resources |= {"coarse_captioner": captioner, "fine_captioner": captioner, "summariser": summariser}


def without_captions(house: House) -> tuple[dict[str, bytes], set[str]]:
    """The lake's frames by their ids, and the captions that are missing once all were removed."""
    units = house.lake.polars("frame_captions")["frame_caption_id"].to_list()
    house.lake.delete("frame_captions", units)
    return dict(house.lake.polars("frames").select("frame_id", "jpeg").rows()), set(units)


def failures(house: House) -> pl.DataFrame:
    return house.lake.polars("attempts").filter(stage="frame_captions")


def test_every_frame_ends_with_its_own_caption_or_its_own_attempt(house: House, ingest: Any) -> None:
    frames, units = without_captions(house)
    times_seen = Counter(frames.values())  # a shot that stands still has the same picture again and again
    blocked, refused, busy, late = sorted(
        frame_id
        for frame_id in frames
        if times_seen[frames[frame_id]] == 1 and {f"{frame_id}/fine", f"{frame_id}/coarse"} & units
    )[:4]
    acts = {blocked: ["blocked"], refused: [400], busy: [503, 503], late: [(429, {"Retry-After": "1"})]}
    script = {told_of(frames[frame_id]): of_frame for frame_id, of_frame in acts.items()}
    with scripted_server(script) as server:
        set_doors(house, server.url)
        ingest(house)

    failed = failures(house)
    told = house.lake.polars("frame_captions")
    assert set(told["frame_caption_id"]) | set(failed["key"]) == units
    assert told.height + failed.height == len(units)
    assert [
        row["frame_caption_id"]
        for row in told.rows(named=True)
        if (row["caption"], row["model"], row["revision"]) != (told_of(frames[row["frame_id"]]), MODEL, f"{MODEL}-2026")
    ] == []
    by_frame = {row["label"]: (row["error_class"], row["next_try_at"] is not None) for row in failed.rows(named=True)}
    assert by_frame == {blocked: ("Blocked", False), refused: ("Refused", False), busy: ("NoAnswer", True)}

    clips = house.lake.polars("clip_captions")
    last_told = {
        clip_id: rows["caption"][-1]
        for (clip_id,), rows in told.sort("seconds").group_by("clip_id", maintain_order=True)
    }
    assert {row["clip_id"]: f"picture {row['caption']}" for row in clips.rows(named=True)} == last_told
    spent = (
        house.lake.polars("costs").filter(model=MODEL, stage="frame_captions").filter(pl.col("device") == server.url)
    )
    assert spent["output_tokens"].sum() >= 2 * told.height


def test_without_a_server_every_frame_has_an_attempt_that_is_tried_again(house: House, ingest: Any) -> None:
    _, units = without_captions(house)
    set_doors(house, "http://127.0.0.1:9/v1")
    started = time.monotonic()
    ingest(house)
    assert time.monotonic() - started < 60.0
    failed = failures(house)
    assert set(failed["key"]) == units
    assert set(failed["error_class"]) == {"NoAnswer"}
    assert failed["next_try_at"].null_count() == 0
    assert house.lake.polars("frame_captions").height == 0
