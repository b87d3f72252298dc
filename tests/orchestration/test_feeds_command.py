"""`internvid feeds` as people call it: adding feeds and plans, how they stand, and a poll at a real server."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import Result
from typer.testing import CliRunner
from web_server import WebServer, web_server

from orchestration.cli.feeds import app
from orchestration.schedules import build_schedules
from orchestration.settings import Settings
from resources.lake.store import Lake

Internvid = Callable[..., Result]


@pytest.fixture
def internvid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Internvid:
    """internvid("list") calls `internvid feeds list` on a lake of its own, and expects it to end well."""
    for name in [name for name in os.environ if name.startswith("INTERNVID_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    monkeypatch.setenv("INTERNVID_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv(
        "INTERNVID_PROVIDER_DOWNLOADER", json.dumps({"kind": "yt_dlp", "allowed_addresses": ["127.0.0.1"]})
    )

    def call(*arguments: str, ends_with: int = 0) -> Result:
        result = CliRunner().invoke(app, list(arguments))
        assert result.exit_code == ends_with, (result.output, result.exception)
        return result

    return call


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


def listed(internvid: Internvid, *options: str) -> dict[str, dict[str, Any]]:
    rows = json.loads(internvid("list", "--format", "json", *options).stdout)
    return {row["address"]: row for row in rows}


def test_feeds_are_added_and_listed_with_when_they_are_due(internvid: Internvid) -> None:
    pages = ["https://example.org/a", "https://example.org/b"]
    assert "2 new feeds, 0 changed, 0 known" in internvid("add", *pages, "--max-per-poll", "5").stdout
    assert "0 new feeds, 1 changed, 0 known" in internvid("add", pages[1], "--max-per-poll", "5", "--once").stdout

    rows = listed(internvid)

    assert {address: (row["plan"], row["state"], row["polls"]) for address, row in rows.items()} == {
        pages[0]: ("feeds", "active", 0),
        pages[1]: ("feeds", "active", 0),
    }
    assert all(datetime.fromisoformat(row["next_poll_at"]) <= datetime.now(UTC) for row in rows.values())
    table = " ".join(internvid("list").stdout.split())
    assert "next poll at" in table
    assert f"{datetime.now(UTC):%Y-%m-%d}" in table
    assert "None" not in table


def test_a_plan_of_a_file_is_phrases_by_categories_by_languages_and_tells_what_it_refuses(
    internvid: Internvid, tmp_path: Path
) -> None:
    file = tmp_path / "queries.jsonl"
    rows = [{"search_word_id": "open/close provider", "search_word": "开门"}, {"search_word_id": "commit suicide"}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ("--name", "providers", "--categories", "comedy,sports", "--languages", "en,zh", "--max-per-poll", "7")

    said = internvid("plan", str(file), *options).stdout

    assert "providers: 7 new searches, 0 changed, 0 known; 2 of the new and changed are refused" in said
    assert {address: row["state"] for address, row in listed(internvid, "--plan", "providers").items()} == {
        "ytsearch:open provider comedy": "active",
        "ytsearch:close provider comedy": "active",
        "ytsearch:开门": "active",
        "ytsearch:open provider sports": "active",
        "ytsearch:close provider sports": "active",
        "ytsearch:commit suicide comedy": "refused",
        "ytsearch:commit suicide sports": "refused",
    }
    refused = listed(internvid, "--state", "refused")
    assert {row["why"] for row in refused.values()} == {"unsafe words: suicide"}
    assert len(refused) == 2
    assert "0 new searches, 0 changed, 7 known" in internvid("plan", str(file), *options).stdout
    assert listed(internvid, "--plan", "others") == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "ftp://example.org/"), "no http or https URL"),
        (("add", "https://example.org/", "--every-hours", "0"), "more than 0"),
        (("plan", "{file}", "--name", "p"), "no column search_word_id, phrase or query"),
    ],
)
def test_what_makes_no_sense_is_told_and_nothing_is_added(
    internvid: Internvid, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    file = tmp_path / "phrases.csv"
    file.write_text("words\nswim\n")
    output = internvid(*(part.format(file=file) for part in arguments), ends_with=2).output
    assert said in " ".join(output.replace("│", " ").split())
    assert Lake(root=str(tmp_path / "lake")).dataset("feeds").count_rows() == 0


def test_a_look_registers_what_is_new_and_the_list_tells_when_the_next_is_due(
    internvid: Internvid, server: WebServer, tmp_path: Path
) -> None:
    feed = server.add_feed("/feed.rss")
    feed.add(f"{server.url}/1.mp4")
    feed.add(f"{server.url}/2.mp4")
    internvid("add", f"{server.url}/feed.rss", f"{server.url}/gone", "--every-hours", "12")

    said = internvid("poll").stdout

    assert "polls: 1, entries: 2, of them new: 2, left out: 0; polls failed: 1, waiting: 0" in " ".join(said.split())
    rows = listed(internvid)
    feed_row = rows[f"{server.url}/feed.rss"]
    assert (feed_row["state"], feed_row["polls"], feed_row["entries"], feed_row["new"]) == ("active", 1, 2, 2)
    hours = [datetime.fromisoformat(feed_row[name]) for name in ("last_poll_at", "next_poll_at")]
    assert hours[1] - hours[0] == timedelta(hours=12)
    gone = rows[f"{server.url}/gone"]
    assert (gone["state"], gone["polls"], gone["next_poll_at"]) == ("failed", 0, None)
    assert gone["why"].startswith("RemovedVideo: ")
    assert "404" in gone["why"]
    assert Lake(root=str(tmp_path / "lake")).dataset("sources").count_rows() == 2


def test_schedules_stand_still_unless_collecting_is_asked_for() -> None:
    crons = {"daily_discovery": "0 5 * * *", "weekly_source_check": "0 2 * * 0"}
    for collect, status in (
        (False, dg.DefaultScheduleStatus.STOPPED),
        (True, dg.DefaultScheduleStatus.RUNNING),
    ):
        schedules = {schedule.name: schedule for schedule in build_schedules(Settings(collect=collect))}
        assert {name: schedules[name].cron_schedule for name in crons} == crons
        assert {schedules[name].default_status for name in crons} == {status}
