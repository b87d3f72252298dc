"""Whether sources can still be had, as a real server answers; and the ledger that is counted from it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from web_server import File as ServedFile
from web_server import Status, WebServer, make_video, web_server

from assets.ingest.source_checks import CheckConfig, source_checks
from resources.catalog.admission import Admission
from resources.catalog.downloader import Downloader
from resources.catalog.source_checks import MAX_CHECKS, Checked, check_sources
from resources.catalog.web import WebSource, register_web, source_id_of
from resources.incremental.retries import FailurePolicy
from resources.lake.schema import TABLES
from resources.lake.statements import statement
from resources.lake.store import Lake

NOW = datetime.now(UTC)


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "video.mp4", seconds=1, size=(64, 48))


@pytest.fixture
def downloader() -> Downloader:
    return Downloader(allowed_addresses=["127.0.0.1/32", "127.0.0.2/32"], seconds_between_starts=0.0)


def upsert(lake: Lake, table: str, *rows: dict[str, Any]) -> None:
    lake.upsert(table, pa.Table.from_pylist([dict(row) for row in rows], schema=TABLES[table].arrow))


def full(table: str, **row: Any) -> dict[str, Any]:
    """The row with all columns, in the one batch of these tests."""
    empty: dict[str, Any] = dict.fromkeys(TABLES[table].column_names)
    return empty | {name: "b1" for name in ("ingest_batch", "partition") if name in empty} | row


def downloaded(lake: Lake, url: str, days_ago: float) -> str:
    """Registers and downloads, so far as the tables tell."""
    register_web(lake, [WebSource(url)], found_by=None, run_id="test")
    upsert(
        lake,
        "downloads",
        full("downloads", source_id=source_id_of(url), url=url, fetched_at=NOW - timedelta(days=days_ago)),
    )
    return source_id_of(url)


def failed(lake: Lake, url: str, error_class: str, days_ago: float, outcome: str = "failed") -> str:
    register_web(lake, [WebSource(url)], found_by=None, run_id="test")
    key = source_id_of(url)
    upsert(lake, "attempts", attempt("downloads", key, outcome, error_class, days_ago))
    return key


def attempt(stage: str, key: str, outcome: str, error_class: str, days_ago: float = 0) -> dict[str, Any]:
    made = {"outcome": outcome, "error_class": error_class, "written_at": NOW - timedelta(days=days_ago)}
    return full("attempts", attempt_id=f"{stage}/{key}", stage=stage, key=key, **made)


def check(
    lake: Lake, downloader: Downloader, max_checks: int = MAX_CHECKS, *, run_id: str, admission: Admission | None = None
) -> Checked:
    exclusions = (admission or Admission()).exclusions()
    return check_sources(lake, downloader, exclusions, FailurePolicy(), max_checks, run_id=run_id)


def told(lake: Lake) -> dict[str, tuple]:
    """Source -> is_available and error class of its checks, oldest first."""
    rows = lake.polars("source_checks").sort("checked_at").group_by("source_id", maintain_order=True)
    return {key[0]: tuple(of.select("is_available", "error_class").rows()) for key, of in rows}


def test_each_answer_is_written_down_and_history_stays(
    lake: Lake, server: WebServer, downloader: Downloader, video: Path
) -> None:
    there = downloaded(lake, server.add("/1.mp4", ServedFile(video)), days_ago=3)
    gone = downloaded(lake, server.add("/2.mp4", Status(410)), days_ago=2)
    unsure = failed(lake, server.add("/3.mp4", Status(503)), "NetworkTrouble", days_ago=1)

    assert check(lake, downloader, run_id="one") == Checked(available=1, gone=1, unknown=1)
    assert told(lake) == {
        there: ((True, None),),
        gone: ((False, "RemovedVideo"),),
        unsure: ((None, "NetworkTrouble"),),
    }
    message = dict(lake.polars("source_checks").select("source_id", "message").rows())[gone]
    assert "410" in message

    server.add("/1.mp4", Status(404))
    assert check(lake, downloader, 1, run_id="two") == Checked(gone=1)
    assert told(lake)[there] == ((True, None), (False, "RemovedVideo"))


def test_the_oldest_words_come_first_and_those_without_a_word_or_skipped_not_at_all(
    lake: Lake, server: WebServer, downloader: Downloader, tmp_path: Path
) -> None:
    register_web(lake, [WebSource(f"{server.url}/never-tried.mp4")], found_by=None, run_id="test")
    failed(lake, f"{server.url}/too-long.mp4", "TooLong", days_ago=9, outcome="skipped")
    downloaded(lake, "http://127.0.0.3/opted-out.mp4", days_ago=8)
    opt_outs = tmp_path / "opt-outs.txt"
    opt_outs.write_text("127.0.0.3\n")
    admission = Admission(opt_outs=[str(opt_outs)])
    old = downloaded(lake, f"{server.url}/old.mp4", days_ago=7)
    upsert(lake, "source_checks", full("source_checks", check_id="1", source_id=old, checked_at=NOW))
    middle = failed(lake, f"{server.url}/middle.mp4", "RemovedVideo", days_ago=6)
    young = downloaded(lake, f"{server.url}/young.mp4", days_ago=5)

    assert check(lake, downloader, 1, run_id="one", admission=admission) == Checked(gone=1)
    assert set(told(lake)) == {old, middle}
    assert check(lake, downloader, 1, run_id="two", admission=admission) == Checked(gone=1)
    assert set(told(lake)) == {old, middle, young}
    assert sorted({request.path for request in server.requests}) == ["/middle.mp4", "/young.mp4"]


def test_a_site_that_is_asked_too_often_is_left_alone_until_it_says_and_others_are_asked(
    lake: Lake, server: WebServer, downloader: Downloader, video: Path
) -> None:
    busy = downloaded(lake, server.add("/1.mp4", Status(429, {"Retry-After": "7200"}), ServedFile(video)), days_ago=3)
    waits = downloaded(lake, server.add("/2.mp4", ServedFile(video)), days_ago=2)
    with web_server("127.0.0.2") as other:
        there = downloaded(lake, other.add("/3.mp4", ServedFile(video)), days_ago=1)

        checked = check(lake, downloader, run_id="one")

        assert (checked.available, checked.gone, checked.unknown) == (1, 0, 1)
        assert list(checked.cooldowns) == ["127.0.0.1"]
        assert told(lake) == {busy: ((None, "RateLimited"),), there: ((True, None),)}
        (waiting,) = lake.polars("attempts").to_dicts()
        assert (waiting["outcome"], waiting["related_key"]) == ("waiting", "127.0.0.1")
        assert waiting["next_try_at"] == checked.cooldowns["127.0.0.1"] > NOW + timedelta(hours=1.9)
        assert check(lake, downloader, run_id="two") == Checked(available=1)

        later = {"next_try_at": NOW - timedelta(minutes=1)}
        upsert(lake, "attempts", waiting | later)
        assert check(lake, downloader, 2, run_id="three") == Checked(available=2)
    assert told(lake)[waits] == ((True, None),)
    assert lake.dataset("attempts").count_rows() == 0


def test_the_asset_tells_what_it_found(lake: Lake, server: WebServer, downloader: Downloader, video: Path) -> None:
    downloaded(lake, server.add("/1.mp4", ServedFile(video)), days_ago=3)
    result = dg.materialize(
        [source_checks],
        resources={
            "lake": lake,
            "downloader": downloader,
            "admission": Admission(),
            "failure_policy": FailurePolicy(),
        },
        run_config=dg.RunConfig({"source_checks": CheckConfig(max_checks=5)}),
    )
    metadata = result.asset_materializations_for_node("source_checks")[0].metadata
    assert [metadata[name].value for name in ("checks", "available", "gone", "unknown")] == [1, 1, 0, 0]


# --- the ledger -----------------------------------------------------------------------------------------------------


def test_every_source_is_counted_once_by_what_became_of_it(lake: Lake) -> None:
    def source(name: str, kind: str = "web") -> dict[str, Any]:
        return full("sources", source_id=name, uri=f"https://example.org/{name}", kind=kind)

    names = ("done", "done-again", "fetched", "gone", "gone-2", "odd", "excluded", "waits", "new")
    upsert(lake, "sources", *map(source, names), source("file", "file"), source("copy", "file"), source("lost", "file"))
    upsert(lake, "downloads", *(full("downloads", source_id=name) for name in ("done", "done-again", "fetched", "odd")))
    upsert(
        lake,
        "raw_videos",
        *(full("raw_videos", video_id=name, source_id=name) for name in ("done", "done-again", "file")),
    )
    upsert(
        lake,
        "attempts",
        attempt("downloads", "done-again", "failed", "NetworkTrouble"),  # the new try of what is there
        attempt("downloads", "fetched", "failed", "NetworkTrouble"),
        attempt("downloads", "gone", "failed", "RemovedVideo"),
        attempt("downloads", "gone-2", "failed", "RemovedVideo"),
        attempt("raw_videos", "odd", "failed", "ProbeError"),
        attempt("downloads", "excluded", "skipped", "InBenchmark"),
        attempt("downloads", "waits", "waiting", "BotCheck"),
        attempt("raw_videos", "copy", "skipped", "ExactDuplicate"),
        attempt("clips", "done", "failed", "DecodeError"),
    )

    counted = lake.query(statement("statistics/sources_by_state")).to_pylist()

    assert [tuple(row.values())[:5] for row in counted] == [
        ("file", "done", None, None, 1),
        ("file", "skipped", "raw_videos", "ExactDuplicate", 1),
        ("file", "pending", "raw_videos", None, 1),
        ("web", "done", None, None, 2),
        ("web", "failed", "downloads", "RemovedVideo", 2),
        ("web", "failed", "raw_videos", "ProbeError", 1),
        ("web", "skipped", "downloads", "InBenchmark", 1),
        ("web", "waiting", "downloads", "BotCheck", 1),
        ("web", "pending", "downloads", None, 1),
        ("web", "pending", "raw_videos", None, 1),
    ]
    assert sum(row["sources"] for row in counted) == lake.dataset("sources").count_rows()
    assert sum(row["share"] for row in counted) == pytest.approx(1)


def test_link_rot_counts_the_last_word_of_each_month_since_a_source_was_first_seen(lake: Lake) -> None:
    seen = datetime(2025, 1, 15, tzinfo=UTC)

    def months_later(months: float) -> datetime:
        return seen + timedelta(days=31 * months)

    upsert(
        lake,
        "sources",
        *(
            full("sources", source_id=name, uri=name, kind="web", first_seen_at=seen)
            for name in ("stays", "goes", "never-had", "unknown")
        ),
    )
    upsert(
        lake,
        "downloads",
        *(full("downloads", source_id=name, fetched_at=seen) for name in ("stays", "goes")),
    )
    upsert(
        lake,
        "attempts",
        attempt("downloads", "never-had", "failed", "PrivateVideo") | {"written_at": seen},
        attempt("downloads", "unknown", "failed", "NetworkTrouble") | {"written_at": seen},
    )
    checks = [
        ("stays", 2.1, True, None),
        ("stays", 2.2, None, "NetworkTrouble"),
        ("goes", 2.1, True, None),
        ("goes", 2.3, False, "RemovedVideo"),
        ("goes", 0.1, None, "BotCheck"),
    ]
    upsert(
        lake,
        "source_checks",
        *(
            full("source_checks", check_id=f"{name}/{months}", source_id=name, checked_at=months_later(months))
            | {"is_available": is_available, "error_class": error_class}
            for name, months, is_available, error_class in checks
        ),
    )

    rows = lake.query(statement("statistics/link_rot")).to_pylist()

    assert [tuple(row.values()) for row in rows] == [
        (0, "available", 2, pytest.approx(2 / 3)),
        (0, "PrivateVideo", 1, pytest.approx(1 / 3)),
        (2, "available", 1, 0.5),
        (2, "RemovedVideo", 1, 0.5),
    ]


def test_a_phrase_is_counted_by_what_its_searches_brought(lake: Lake) -> None:
    def search(name: str, phrase: str, **more: Any) -> dict[str, Any]:
        return full("feeds", feed_id=name, address=f"ytsearch:{name}", kind="search", phrase=phrase, **more)

    page = full("feeds", feed_id="page", address="https://example.org/", kind="page")
    upsert(lake, "feeds", search("a", "swim"), search("b", "swim"), search("c", "kill people", refused="x"), page)
    polls = [("a", 1, 5), ("a", 2, 4), ("b", 1, 3), ("page", 1, 9)]
    upsert(
        lake,
        "feed_polls",
        *(full("feed_polls", poll_id=f"{feed}/{number}", feed_id=feed, entries=n) for feed, number, n in polls),
    )
    found = [("s1", "a"), ("s2", "a"), ("s3", "b"), ("s4", "b"), ("s5", "page"), ("s6", None)]
    upsert(lake, "sources", *(full("sources", source_id=name, found_by=by, kind="web") for name, by in found))
    upsert(lake, "downloads", *(full("downloads", source_id=name) for name in ("s1", "s2", "s3", "s5")))
    upsert(
        lake, "raw_videos", *(full("raw_videos", video_id=f"v{name}", source_id=name) for name in ("s1", "s3", "s5"))
    )
    upsert(lake, "clips", *(full("clips", clip_id=f"c{n}", video_id=video) for n, video in enumerate(["vs1"] * 3)))

    rows = lake.query(statement("statistics/queries")).to_pylist()

    names = ("phrase", "searches", "refused", "polls", "entries", "sources", "downloads", "videos", "clips", "share")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("swim", 2, 0, 3, 12, 4, 3, 2, 3, 0.5),
        ("kill people", 1, 1, 0, 0, 0, 0, 0, 0, None),
    ]
