"""Feeds on a real server that grows: what each day's polls find, and which polls fail, wait or are refused."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import polars as pl
import pytest
from web_server import Page, Status, WebServer, web_server

from assets.ingest.feed_polls import PollConfig, feed_polls
from assets.ingest.feeds import feeds as feeds_spec
from internvid.web.queries import Phrase, plan
from resources.catalog.downloader import Downloader
from resources.catalog.feeds import NO_PLAN, Added, Feed, PollResult, add_feeds, pages, poll
from resources.incremental.retries import FailurePolicy
from resources.lake.statements import statement
from resources.lake.store import Lake

POLICY = FailurePolicy()


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as server:
        yield server


@pytest.fixture
def downloader() -> Downloader:
    return Downloader(allowed_addresses=["127.0.0.1/32", "127.0.0.2/32"], seconds_between_starts=0.0)


def add(lake: Lake, *addresses: str, every_hours: float | None = 24.0, most: int = 50) -> Added:
    return add_feeds(lake, pages(lake, addresses), every_hours=every_hours, max_per_poll=most)


def add_plan(lake: Lake, name: str, *phrases: str, every_hours: float | None = None) -> Added:
    queries = plan([Phrase(phrase) for phrase in phrases])
    return add_feeds(lake, map(Feed.of_query, queries), plan=name, every_hours=every_hours)


def set_back(lake: Lake, table: str, **hours: float) -> None:
    """As if the times in these columns had been so many hours earlier."""
    frame = lake.polars(table).with_columns(pl.col(name) - timedelta(hours=by) for name, by in hours.items())
    lake.delete(table, frame.to_series(0).to_list())
    lake.upsert(table, frame)


def polls_made(lake: Lake) -> list[tuple[int, int, int]]:
    return lake.polars("feed_polls").sort("feed_id", "number").select("number", "entries", "new").rows()


def due(lake: Lake, polls: int, *plans: str) -> list[str]:
    """Addresses of the feeds whose turn it is, in order."""
    parameters = {"now": datetime.now(UTC), "plans": list(plans) or None, "polls": polls}
    ids = lake.query(statement("catalog/feeds_due"), parameters)["poll_id"].to_pylist()
    addresses = dict(lake.polars("feeds").select("feed_id", "address").rows())
    return [addresses[poll_id.partition("/")[0]] for poll_id in ids]


def polled_at(lake: Lake, address: str, *, number: int = 1, hours_ago: float) -> None:
    """A poll as a run leaves it."""
    (feed,) = lake.polars("feeds").filter(pl.col("address") == address).to_dicts()
    row = {
        "poll_id": f"{feed['feed_id']}/{number}",
        "feed_id": feed["feed_id"],
        "plan": feed["plan"],
        "number": number,
        "polled_at": datetime.now(UTC) - timedelta(hours=hours_ago),
    }
    lake.upsert("feed_polls", pl.DataFrame([row]))


# --- what feeds there are -------------------------------------------------------------------------------------------


def test_feeds_are_added_once_and_take_the_settings_that_are_given_last(lake: Lake) -> None:
    one, search = "https://example.org/feed", "ytsearchdate7: ride  a bike"
    assert add(lake, one, search) == Added(new=2)
    assert add(lake, one, one, search) == Added(known=2)
    assert add(lake, one, "https://example.org/other", every_hours=None, most=5) == Added(new=1, changed=1)

    columns = ("number", "address", "kind", "plan", "words", "max_per_poll", "every_hours")
    assert lake.polars("feeds").sort("number").select(columns).rows() == [
        (1, one, "page", NO_PLAN, None, 5, None),
        (2, "ytsearchdate:ride a bike", "search", NO_PLAN, "ride a bike", 50, 24.0),
        (4, "https://example.org/other", "page", NO_PLAN, None, 5, None),
    ]


def test_a_plan_keeps_what_it_refuses_with_the_reason(lake: Lake) -> None:
    assert add_plan(lake, "actions", "open/close provider", "commit suicide") == Added(new=3, refused=1)
    assert add_plan(lake, "again", "commit suicide", "open provider") == Added(known=2)

    columns = ("number", "address", "kind", "plan", "words", "phrase", "language", "refused")
    assert lake.polars("feeds").sort("number").select(columns).rows() == [
        (1, "ytsearch:open provider", "search", "actions", "open provider", "open/close provider", "en", None),
        (2, "ytsearch:close provider", "search", "actions", "close provider", "open/close provider", "en", None),
        (3, "ytsearch:commit suicide", "search", "actions", *["commit suicide"] * 2, "en", "unsafe words: suicide"),
    ]


@pytest.mark.parametrize("address", ["file:///etc/passwd", "somewhere", "scsearch:bike", "ytsearch:  "])
def test_what_is_no_feed_is_not_added(lake: Lake, address: str) -> None:
    with pytest.raises(ValueError, match="no http or https URL"):
        add(lake, "https://example.org/feed", address)
    assert lake.dataset("feeds").count_rows() == 0


def test_settings_and_names_that_make_no_sense_are_errors(lake: Lake) -> None:
    with pytest.raises(ValueError, match="every_hours is 0"):
        add(lake, "https://example.org/feed", every_hours=0)
    with pytest.raises(ValueError, match="at least one video"):
        add(lake, "https://example.org/feed", most=0)
    with pytest.raises(ValueError, match="ingest batches have such names"):
        add_plan(lake, "2026-01-01-0001", "swim")


# --- whose turn it is -----------------------------------------------------------------------------------------------


def test_a_feed_is_due_when_its_hours_have_passed_and_one_without_hours_once(lake: Lake) -> None:
    daily, weekly, once = (f"https://example.org/{name}" for name in ("daily", "weekly", "once"))
    add(lake, daily)
    add(lake, weekly, every_hours=168)
    add(lake, once, every_hours=None)
    assert due(lake, 10) == [daily, weekly, once]

    for address in (daily, weekly, once):
        polled_at(lake, address, hours_ago=30)
    assert due(lake, 10) == [daily]

    polled_at(lake, daily, number=2, hours_ago=23.9)
    assert due(lake, 10) == []


def test_a_feed_is_due_once_after_the_clock_was_set_back(lake: Lake) -> None:
    daily, once = (f"https://example.org/{name}" for name in ("daily", "once"))
    add(lake, daily)
    add(lake, once, every_hours=None)
    for address in (daily, once):
        polled_at(lake, address, hours_ago=-365 * 24)
    assert due(lake, 10) == [daily]
    polled_at(lake, daily, number=2, hours_ago=1)
    assert due(lake, 10) == []


def test_plans_take_turns_and_each_begins_with_what_was_looked_at_least(lake: Lake) -> None:
    page = "https://example.org/feed"
    add(lake, page)
    add_plan(lake, "a", "swim", "walk", "commit suicide", "run", every_hours=24)
    assert due(lake, 3) == ["ytsearch:swim", page, "ytsearch:walk"]
    assert due(lake, 2, "a") == ["ytsearch:swim", "ytsearch:walk"]

    polled_at(lake, "ytsearch:swim", hours_ago=48)
    polled_at(lake, page, hours_ago=48)
    assert due(lake, 9) == ["ytsearch:walk", page, "ytsearch:run", "ytsearch:swim"]


# --- polls ----------------------------------------------------------------------------------------------------------


def test_a_growing_feed_is_looked_at_daily_and_only_what_is_new_is_registered(
    lake: Lake, server: WebServer, downloader: Downloader
) -> None:
    feed = server.add_feed("/feed.rss")
    for number in range(3):
        feed.add(f"{server.url}/{number}.mp4", f"Video {number}", seconds=60 + number)
    add(lake, f"{server.url}/feed.rss")
    assert poll(lake, downloader, POLICY, run_id="monday") == PollResult(
        polls=1, entries=3, new=3, batches=batches(lake)
    )
    assert poll(lake, downloader, POLICY, run_id="monday again") == PollResult()
    on_monday = registered(lake)

    set_back(lake, "feed_polls", polled_at=25)
    feed.add(f"{server.url}/3.mp4", "Video 3", seconds=7200)
    tuesday = poll(lake, downloader, POLICY, run_id="tuesday")
    assert (tuesday.polls, tuesday.entries, tuesday.new) == (1, 4, 1)
    assert tuesday.batches == batches(lake) - {row["ingest_batch"] for row in on_monday.values()}

    set_back(lake, "feed_polls", polled_at=25)
    assert poll(lake, downloader, POLICY, run_id="wednesday") == PollResult(polls=1, entries=4)

    assert polls_made(lake) == [(1, 3, 3), (2, 4, 1), (3, 4, 0)]
    rows = registered(lake)
    assert {url: row["run_id"] for url, row in rows.items()} == {
        **{f"{server.url}/{number}.mp4": "monday" for number in range(3)},
        f"{server.url}/3.mp4": "tuesday",
    }
    assert {url: rows[url] for url in on_monday} == on_monday
    (feed_id,) = lake.polars("feeds")["feed_id"]
    synthetic_video = rows[f"{server.url}/1.mp4"]
    assert (
        synthetic_video["title"],
        synthetic_video["found_by"],
        synthetic_video["kind"],
        synthetic_video["site"],
        synthetic_video["estimated_seconds"],
    ) == (
        "Video 1",
        feed_id,
        "web",
        "127.0.0.1",
        61.0,
    )


def batches(lake: Lake) -> set[str]:
    return set(lake.polars("sources")["ingest_batch"])


def registered(lake: Lake) -> dict[str, dict]:
    return {row["uri"]: row for row in lake.polars("sources").to_dicts()}


def test_a_look_takes_no_more_than_it_may_and_leaves_out_what_is_forgotten(
    lake: Lake, server: WebServer, downloader: Downloader
) -> None:
    feed = server.add_feed("/feed.rss")
    for number in range(5):
        feed.add(f"{server.url}/{number}.mp4")
    tombstone = {"tombstone_id": f"url:{server.url}/4.mp4", "kind": "url", "value": f"{server.url}/4.mp4"}
    lake.upsert("tombstones", pl.DataFrame([{**tombstone, "state": "done", "asked_at": datetime.now(UTC)}]))
    add(lake, f"{server.url}/feed.rss", most=3)

    polled = poll(lake, downloader, POLICY, run_id="one")

    assert (polled.entries, polled.new, polled.left_out) == (3, 2, 1)
    assert sorted(registered(lake)) == [f"{server.url}/2.mp4", f"{server.url}/3.mp4"]
    assert lake.polars("feed_polls").select("entries", "new", "left_out").rows() == [(3, 2, 1)]


def test_looks_that_fail_are_told_and_tried_again_by_their_policy_and_refused_ones_never(
    lake: Lake, server: WebServer, downloader: Downloader
) -> None:
    feed = server.add_feed("/feed.rss")
    feed.add(f"{server.url}/1.mp4")
    server.add("/gone", Status(404))
    server.add("/ill", *[Status(500)] * 4, Page(feed.page().text, "application/rss+xml"))
    add(lake, f"{server.url}/gone", f"{server.url}/ill", f"{server.url}/feed.rss")
    add_plan(lake, "searches", "commit suicide")

    polled = poll(lake, downloader, POLICY, run_id="one")

    assert (polled.polls, polled.failed, polled.waiting, polled.refused) == (1, 2, 0, 1)
    told = {row["label"]: row for row in lake.polars("attempts").to_dicts()}
    assert {label: (row["outcome"], row["error_class"], row["tries"]) for label, row in told.items()} == {
        f"{server.url}/gone": ("failed", "RemovedVideo", 1),
        f"{server.url}/ill": ("failed", "NetworkTrouble", 1),
        "ytsearch:commit suicide": ("skipped", "NothingToDo", 0),
    }
    assert "404" in told[f"{server.url}/gone"]["message"]
    assert told["ytsearch:commit suicide"]["message"] == "unsafe words: suicide"
    assert told[f"{server.url}/gone"]["next_try_at"] is None
    assert told[f"{server.url}/ill"]["next_try_at"] > datetime.now(UTC)

    assert poll(lake, downloader, POLICY, run_id="too early") == PollResult(failed=2, refused=1)
    server.add("/ill", Page(feed.page().text, "application/rss+xml"))
    set_back(lake, "attempts", next_try_at=24)

    later = poll(lake, downloader, POLICY, run_id="two")

    assert (later.polls, later.entries, later.new, later.failed, later.refused) == (1, 1, 0, 1, 1)
    assert set(lake.polars("attempts")["label"]) == {f"{server.url}/gone", "ytsearch:commit suicide"}


def test_a_site_that_is_asked_too_often_is_left_alone_and_its_other_feeds_wait(
    lake: Lake, server: WebServer, downloader: Downloader
) -> None:
    feed = server.add_feed("/b")
    feed.add(f"{server.url}/1.mp4")
    server.add("/a", Status(429, {"Retry-After": "7200"}, "slow down"))
    with web_server("127.0.0.2") as other:
        other.add_feed("/d").add(f"{other.url}/2.mp4")
        add(lake, f"{server.url}/a", f"{server.url}/b", f"{other.url}/d")

        polled = poll(lake, downloader, POLICY, run_id="one")

        assert (polled.polls, polled.new, polled.failed, polled.waiting) == (1, 1, 0, 2)
        assert server.asked("/b") == []
        told = lake.polars("attempts").sort("label").to_dicts()
        assert [
            (row["label"], row["outcome"], row["error_class"], row["related_key"], row["tries"]) for row in told
        ] == [
            (f"{server.url}/a", "waiting", "RateLimited", "127.0.0.1", 1),
            (f"{server.url}/b", "waiting", "RateLimited", "127.0.0.1", 0),
        ]
        until = told[0]["next_try_at"] - datetime.now(UTC)
        assert timedelta(hours=1.9) < until <= timedelta(hours=2)

        add(lake, f"{server.url}/c")
        asked_before = len(server.requests)
        assert poll(lake, downloader, POLICY, run_id="two") == PollResult(waiting=3)
        assert len(server.requests) == asked_before

    set_back(lake, "attempts", next_try_at=3)
    for path in ("/a", "/c"):
        server.add(path, Page(feed.page().text, "application/rss+xml"))
    went_on = poll(lake, downloader, POLICY, max_polls=1, run_id="three")
    assert (went_on.polls, went_on.new, went_on.waiting) == (3, 1, 0)
    assert lake.dataset("attempts").count_rows() == 0


def test_the_asset_adds_the_batches_of_what_it_found_and_looks_only_at_the_plans_named(
    lake: Lake, server: WebServer, downloader: Downloader
) -> None:
    server.add_feed("/feed.rss").add(f"{server.url}/1.mp4")
    add(lake, f"{server.url}/feed.rss")
    add_plan(lake, "refused", "commit suicide")
    with dg.DagsterInstance.ephemeral() as instance:
        results = [
            dg.materialize(
                [feeds_spec, feed_polls],
                instance=instance,
                resources={"lake": lake, "downloader": downloader, "failure_policy": POLICY},
                run_config=dg.RunConfig({"feed_polls": PollConfig(plans=plans)}),
            )
            for plans in (["refused"], [])
        ]
        told = [result.asset_materializations_for_node("feed_polls")[0].metadata for result in results]
        names = ("polls", "entries", "sources_new", "left_out", "polls_failed", "polls_waiting", "searches_refused")
        assert [[metadata[name].value for name in names] for metadata in told] == [
            [0, 0, 0, 0, 0, 0, 1],
            [1, 1, 1, 0, 0, 0, 1],
        ]
        assert set(instance.get_dynamic_partitions("ingest_batch")) == batches(lake) != set()


def test_a_plan_that_is_not_there_is_an_error(lake: Lake, downloader: Downloader) -> None:
    add_plan(lake, "actions", "swim")
    with pytest.raises(ValueError, match="no feed has the plan action; the plans are actions"):
        poll(lake, downloader, POLICY, ["action"], run_id="one")
