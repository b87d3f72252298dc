"""Collecting from the web for three days: a feed that grows, polled at by the schedule's job, followed by sensors."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from web_server import Feed, File, Status, WebServer, make_video, web_server

from internvid.viclip.checkpoint import Checkpoint, save_checkpoint
from internvid.viclip.model import ViCLIP
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.recipes import RECIPES
from internvid.viclip.tokenizer import Tokenizer
from orchestration.cli.session import RunSummary, Session
from orchestration.sensors import build_sensors
from orchestration.settings import Settings
from resources.catalog.downloader import Downloader
from resources.catalog.feeds import add_feeds, pages
from resources.lake.store import Lake
from resources.models.activation import activate_named

pytestmark = pytest.mark.slow(minutes=2)

VIDEOS_FOLDER = 5


class Collection:
    """A lake that collects, with what the daemon would keep between ticks."""

    def __init__(self, session: Session, server: WebServer, feed: Feed, synthetic_videos: list[Path]) -> None:
        self.session, self.server, self.feed, self.synthetic_videos = session, server, feed, synthetic_videos
        self.cursor: str | None = None
        self.keys: set[str] = set()

    @property
    def lake(self) -> Lake:
        return self.session.lake

    def publish(self, number: int) -> None:
        url = self.server.add(f"/{number}.mp4", File(self.synthetic_videos[number]))
        self.feed.add(url, f"Video {number}", seconds=12)

    def day(self) -> RunSummary:
        """What the clock and the sensors bring about in a day."""
        self.let_a_day_pass()
        summary = RunSummary()
        self.session.run("discover", summary)
        sensors = {sensor.name: sensor for sensor in build_sensors(self.session.settings)}
        self.follow_up(sensors["registered_batches_sensor"], summary)
        self.follow_up(sensors["retry_sensor"], summary)
        return summary

    def let_a_day_pass(self) -> None:
        polls = self.lake.polars("feed_polls")
        if polls.height:
            self.lake.delete("feed_polls", polls["poll_id"].to_list())
            self.lake.upsert("feed_polls", polls.with_columns(pl.col("polled_at") - timedelta(days=1)))
        attempts = self.lake.polars("attempts")
        if attempts.height:
            self.lake.upsert("attempts", attempts.with_columns(pl.col("next_try_at") - timedelta(days=1)))

    def follow_up(self, sensor: dg.SensorDefinition, summary: RunSummary) -> None:
        with dg.build_sensor_context(
            cursor=self.cursor, instance=self.session.instance, resources={"lake": self.lake}
        ) as context:
            result = sensor(context)
        if isinstance(result, dg.SkipReason):
            return
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor or self.cursor
        for request in result.run_requests or []:
            if request.run_key not in self.keys:
                self.keys.add(request.run_key)
                self.session.instance.add_dynamic_partitions("ingest_batch", [request.partition_key])
                self.session.run("ingest", summary, partition=request.partition_key)

    def done(self) -> dict[str, int]:
        """How many videos each stage has brought so far: the number of distinct videos among its rows."""
        tables = ("raw_videos", "clips", "frames", "clip_captions", "clip_embeddings", "fingerprints")
        return {table: self.lake.polars(table, columns=["video_id"])["video_id"].n_unique() for table in tables}


def random_model(folder: Path) -> Path:
    """One that has learnt nothing makes vectors all the same."""
    recipe = RECIPES["viclip-tiny"]
    tokenizer = Tokenizer.trained_on(["a grey picture in which something moves"] * 2, vocab_size=530)
    checkpoint = Checkpoint(ViCLIP(recipe.model, temperature=0.07), tokenizer, Preprocessing.from_recipe(recipe))
    return save_checkpoint(folder, checkpoint)


@pytest.fixture
def collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collection]:
    monkeypatch.setenv("INTERNVID_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    synthetic_videos = [make_video(tmp_path / f"{number}.mp4", shade=40 * number) for number in range(VIDEOS_FOLDER)]
    with web_server() as server:
        session = Session(Settings(lake=str(tmp_path / "lake")))
        session.resources["downloader"] = Downloader(allowed_addresses=["127.0.0.1/32"], seconds_between_starts=0.0)
        activate_named(
            session.instance, session.lake, session.resources["aligner"], str(random_model(tmp_path / "model"))
        )
        feed = server.add_feed("/feed.rss", "A channel")
        add_feeds(session.lake, pages(session.lake, [f"{server.url}/feed.rss"]), every_hours=24.0)
        yield Collection(session, server, feed, synthetic_videos)


def test_each_day_only_what_is_new_is_fetched_and_everything_follows(collection: Collection) -> None:
    collection.publish(0)
    collection.publish(1)
    summary = collection.day()
    assert summary.is_well, (summary.failed_runs, summary.alarms)
    assert set(collection.done().values()) == {2}
    first = collection.lake.polars("clip_captions").sort("clip_id")

    collection.publish(2)
    summary = collection.day()
    assert summary.is_well, (summary.failed_runs, summary.alarms)
    assert set(collection.done().values()) == {3}, "clips, captions and vectors come without a hand"

    for number in (3, 4):
        collection.publish(number)
    collection.server.add("/4.mp4", Status(503), File(collection.synthetic_videos[4]))
    summary = collection.day()
    assert set(collection.done().values()) == {4}
    (failed,) = collection.lake.polars("attempts").filter(stage="downloads").to_dicts()
    assert (failed["outcome"], failed["error_class"]) == ("failed", "NetworkTrouble")
    assert failed["next_try_at"] > datetime.now(UTC)
    collection.day()
    assert set(collection.done().values()) == {5}, "what failed was tried again by itself"

    fetched = [request.path for request in collection.server.requests if request.path != "/feed.rss"]
    assert all(fetched.count(f"/{number}.mp4") == 2 for number in range(4)), "polled at and downloaded, once each"
    kept = collection.lake.polars("clip_captions").filter(pl.col("clip_id").is_in(first["clip_id"].to_list()))
    assert kept.sort("clip_id").equals(first), "what was there was not made again"
    assert collection.lake.polars("feed_polls").sort("number")["new"].to_list() == [2, 1, 2, 0]
