"""The inbox: what the sensors request when files land in the watched folder."""

import os
import time
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import dagster as dg
import pytest

from assets.ingest.sources import sources
from orchestration.sensors import MAX_FILES_PER_RUN, build_sensors
from orchestration.settings import Settings
from resources.catalog.files import register
from resources.catalog.inbox import Inbox
from resources.catalog.locations import RUN_ID
from resources.lake.store import Lake
from resources.media.store import Media


@dataclass
class Tick:
    """What the two sensors requested. registering: the run that registers files. batches: runs that ingest a batch."""

    registering: dg.RunRequest | None
    skip_message: str
    batches: list[dg.RunRequest]

    @property
    def partitions(self) -> list[str]:
        return [str(request.partition_key) for request in self.batches]

    @property
    def run_keys(self) -> set[str | None]:
        return {request.run_key for request in self.batches}


class WatchedFolder:
    """A watched folder with its lake, and what Dagster would keep between ticks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "inbox"
        self.folder.mkdir()
        self.lake = Lake(root=str(folder / "lake"))
        self.media = Media(root=str(folder / "media"), workers=1)
        self.inbox = Inbox(folder=str(self.folder))
        self.instance = dg.DagsterInstance.ephemeral()
        settings = Settings(lake=self.lake.root, inbox=str(self.folder))
        self.sensors = {sensor.name: sensor for sensor in build_sensors(settings)}
        self.cursor: str | None = None
        self.run_keys: set[str | None] = set()

    def tick(self) -> Tick:
        """A tick of each sensor; between them the run that registers, which a run key starts only once."""
        registering = self.look()
        request = registering if isinstance(registering, dg.RunRequest) else None
        if request is not None and request.run_key not in self.run_keys:
            self.run_keys.add(request.run_key)
            self.register(request)
        result = self.lost_tick()
        skip_message = str(registering.skip_message) if isinstance(registering, dg.SkipReason) else ""
        if isinstance(result, dg.SkipReason):
            return Tick(request, skip_message, [])
        self.cursor = result.cursor
        return Tick(request, skip_message, list(result.run_requests or []))

    def look(self) -> dg.RunRequest | dg.SkipReason:
        """A tick of the inbox sensor, whose run does not start."""
        with dg.build_sensor_context(resources={"lake": self.lake, "inbox": self.inbox}) as context:
            result = self.sensors["inbox_sensor"](context)
        assert isinstance(result, dg.RunRequest | dg.SkipReason)
        return result

    def register(self, request: dg.RunRequest) -> None:
        resources = {"lake": self.lake, "media": self.media, "inbox": self.inbox}
        dg.materialize([sources], resources=resources, run_config=request.run_config, instance=self.instance)

    def lost_tick(self) -> dg.SensorResult | dg.SkipReason:
        """A tick for registered batches whose result does not reach Dagster."""
        with dg.build_sensor_context(cursor=self.cursor, resources={"lake": self.lake}) as context:
            result = self.sensors["registered_batches_sensor"](context)
        assert isinstance(result, dg.SensorResult | dg.SkipReason)
        return result

    def sources(self) -> list[str]:
        return sorted(Path(uri).name for uri in self.lake.polars("sources")["uri"])


@pytest.fixture
def inbox(tmp_path: Path) -> WatchedFolder:
    return WatchedFolder(tmp_path)


def put(inbox: WatchedFolder, name: str, content: bytes = b"not really a video", *, seconds_old: float = 60) -> Path:
    path = inbox.folder / name
    path.write_bytes(content)
    modified = time.time() - seconds_old
    os.utime(path, (modified, modified))
    return path


def put_long(inbox: WatchedFolder, name: str, *, hours: float) -> None:
    """A video of two pictures, the second `hours` after the first."""
    path = inbox.folder / name
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 25)
        for pts in (0, round(hours * 3600 * 25)):
            frame = av.VideoFrame(64, 64, "yuv420p")
            frame.pts, frame.time_base = pts, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    put(inbox, name, path.read_bytes())


def test_without_a_folder_to_watch_the_sensor_says_so(tmp_path: Path) -> None:
    lake = Lake(root=str(tmp_path / "lake"))
    (sensor, *_) = build_sensors(Settings(lake=lake.root, inbox=None))
    with dg.build_sensor_context(resources={"lake": lake, "inbox": Inbox()}) as context:
        result = sensor(context)
    assert isinstance(result, dg.SkipReason)
    assert "INTERNVID_INBOX is not set" in str(result.skip_message)
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED


def test_a_new_file_becomes_a_batch_that_is_requested_once(inbox: WatchedFolder) -> None:
    path = put(inbox, "video.mp4")
    put(inbox, "notes.txt")
    first = inbox.tick()
    assert first.registering is not None
    assert first.registering.run_config == {"ops": {"sources": {"config": {"locations": [path.as_uri()]}}}}
    (batch,) = first.partitions
    assert inbox.sources() == ["video.mp4"]
    assert inbox.instance.get_dynamic_partitions("ingest_batch") == [batch]
    assert inbox.instance.get_latest_materialization_event(dg.AssetKey("sources")) is not None
    second = inbox.tick()
    assert (second.registering, second.batches) == (None, [])
    assert "1 video files, 0 of them too young; 1 other files" in second.skip_message


def test_a_file_still_being_written_is_left_for_a_later_tick(inbox: WatchedFolder) -> None:
    path = put(inbox, "video.mp4", b"half of", seconds_old=0)
    tick = inbox.tick()
    assert (tick.registering, tick.batches, inbox.sources()) == (None, [], [])
    assert "1 of them too young" in tick.skip_message
    put(inbox, path.name, b"half of it and the other half")
    assert len(inbox.tick().batches) == 1
    assert inbox.sources() == ["video.mp4"]


def test_a_file_dated_in_the_future_is_registered(inbox: WatchedFolder) -> None:
    put(inbox, "video.mp4", seconds_old=-365 * 24 * 3600)
    assert len(inbox.tick().batches) == 1


def test_a_changed_file_requests_its_batch_again(inbox: WatchedFolder) -> None:
    put(inbox, "video.mp4")
    first = inbox.tick()
    inbox.tick()
    put(inbox, "video.mp4", b"another cut of it")
    again = inbox.tick()
    assert again.partitions == first.partitions
    assert again.run_keys.isdisjoint(first.run_keys)


def test_a_tick_that_dies_after_registering_is_made_good_by_the_next(inbox: WatchedFolder) -> None:
    put(inbox, "video.mp4")
    requested = inbox.look()
    assert isinstance(requested, dg.RunRequest)
    inbox.register(requested)
    lost = inbox.lost_tick()
    assert isinstance(lost, dg.SensorResult)
    made_good = inbox.tick()
    assert made_good.batches == list(lost.run_requests or [])
    assert len(made_good.batches) == 1


def test_a_run_that_did_not_register_is_requested_again_but_not_at_every_tick(
    inbox: WatchedFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(inbox, "video.mp4")
    run_keys = []
    for minute in (0, 9, 10, 11):

        class Clock(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> datetime:
                return datetime(2026, 1, 1, 12, minute, 30, tzinfo=tz)  # noqa: B023 - called in this round

        monkeypatch.setattr("orchestration.sensors.datetime", Clock)
        requested = inbox.look()
        assert isinstance(requested, dg.RunRequest)
        run_keys.append(requested.run_key)
    assert run_keys[0] == run_keys[1] != run_keys[2] == run_keys[3]


def test_hours_of_video_are_cut_into_several_batches(inbox: WatchedFolder) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        put_long(inbox, name, hours=1.5)
    assert len(inbox.tick().batches) == 3


def test_thousands_of_new_files_are_registered_over_several_ticks(inbox: WatchedFolder) -> None:
    for number in range(MAX_FILES_PER_RUN + 1):
        put(inbox, f"{number:05d}.mp4")
    first = inbox.tick()
    assert len(inbox.sources()) == MAX_FILES_PER_RUN
    second = inbox.tick()
    assert len(inbox.sources()) == MAX_FILES_PER_RUN + 1
    assert len({*first.partitions, *second.partitions}) == 2


def test_two_links_to_one_file_are_one_source(inbox: WatchedFolder, tmp_path: Path) -> None:
    put(inbox, "video.mp4").rename(tmp_path / "video.mp4")
    for name in ("one.mp4", "two.mp4"):
        (inbox.folder / name).symlink_to(tmp_path / "video.mp4")
    (inbox.folder / "nowhere.mp4").symlink_to(tmp_path / "missing.mp4")
    assert len(inbox.tick().batches) == 1
    assert inbox.sources() == ["video.mp4"]


def test_batches_that_the_command_line_registered_are_not_requested(inbox: WatchedFolder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.mp4"
    elsewhere.write_bytes(b"not really a video")
    register(inbox.lake, inbox.media, [str(elsewhere)], run_id=RUN_ID)
    assert inbox.tick().batches == []
