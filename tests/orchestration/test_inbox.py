"""The inbox: what the sensor asks for when files land in the watched folder."""

import os
import shutil
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import dagster as dg
import pytest
from dagster_service import REPOSITORY_SELECTOR, Service

from orchestration.inbox import FILES_PER_LOOK, inbox_sensor
from resources.lake import Lake
from resources.media import Media

SECONDS_TO_CAPTIONS = 240

RUNS_OF_BATCH = """
query ($filter: RunsFilter!) { runsOrError(filter: $filter) { ... on Runs { results { status } } } }
"""
TICKS = """
query ($sensor: SensorSelector!) {
  sensorOrError(sensorSelector: $sensor) {
    ... on Sensor { sensorState { ticks(limit: 100) { timestamp status runKeys } } }
  }
}
"""


class Inbox:
    """A watched folder with its lake, and the cursor that Dagster would keep between looks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "inbox"
        self.folder.mkdir()
        self.lake = Lake(root=str(folder / "lake"))
        self.media = Media(root=str(folder / "media"), workers=1)
        self.cursor: str | None = None

    def look(self) -> dg.SensorResult:
        """One tick of the sensor; its cursor is kept."""
        result = self.lost_look()
        self.cursor = result.cursor
        return result

    def lost_look(self) -> dg.SensorResult:
        """A tick whose result does not reach Dagster."""
        with dg.build_sensor_context(cursor=self.cursor, resources={"lake": self.lake, "media": self.media}) as context:
            result = inbox_sensor(context)
        assert isinstance(result, dg.SensorResult)
        return result

    def sources(self) -> list[str]:
        return sorted(Path(uri).name for uri in self.lake.polars("sources")["uri"])


@pytest.fixture
def inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    inbox = Inbox(tmp_path)
    monkeypatch.setenv("INTERNVID_INBOX", str(inbox.folder))
    return inbox


def put(inbox: Inbox, name: str, content: bytes = b"not really a film", *, seconds_old: float = 60) -> Path:
    path = inbox.folder / name
    path.write_bytes(content)
    modified = time.time() - seconds_old
    os.utime(path, (modified, modified))
    return path


def put_long(inbox: Inbox, name: str, *, hours: float) -> None:
    """A film of two pictures, the second `hours` after the first."""
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


def asked_for(result: dg.SensorResult) -> list[str]:
    return [str(request.partition_key) for request in result.run_requests or []]


def run_keys(result: dg.SensorResult) -> set[str | None]:
    return {request.run_key for request in result.run_requests or []}


def test_without_a_folder_to_watch_the_sensor_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INTERNVID_INBOX", raising=False)
    lake = Lake(root=str(tmp_path / "lake"))
    with dg.build_sensor_context(resources={"lake": lake, "media": Media(root=str(tmp_path / "media"))}) as context:
        result = inbox_sensor(context)
    assert isinstance(result, dg.SkipReason)
    assert "INTERNVID_INBOX is not set" in str(result.skip_message)


def test_a_new_file_becomes_a_batch_that_is_asked_for_once(inbox: Inbox) -> None:
    put(inbox, "film.mp4")
    put(inbox, "notes.txt")
    first = inbox.look()
    (batch,) = asked_for(first)
    assert inbox.sources() == ["film.mp4"]
    assert [request.partition_keys for request in first.dynamic_partitions_requests or []] == [[batch]]
    assert [event.asset_key for event in first.asset_events] == [dg.AssetKey("sources")]
    # A look may ask again for what the one before asked for: under a key that Dagster has had a run of.
    assert run_keys(inbox.look()) <= run_keys(first)
    third = inbox.look()
    assert asked_for(third) == []
    assert third.skip_reason is not None
    assert "1 video files" in str(third.skip_reason.skip_message)


def test_a_file_still_being_written_is_left_for_a_later_look(inbox: Inbox) -> None:
    path = put(inbox, "film.mp4", b"half of", seconds_old=0)
    assert asked_for(inbox.look()) == []
    assert inbox.sources() == []
    put(inbox, path.name, b"half of it and the other half")
    assert len(asked_for(inbox.look())) == 1
    assert inbox.sources() == ["film.mp4"]


def test_a_file_dated_in_the_future_is_taken_in(inbox: Inbox) -> None:
    put(inbox, "film.mp4", seconds_old=-365 * 24 * 3600)
    assert len(asked_for(inbox.look())) == 1


def test_a_changed_file_asks_for_its_batch_again(inbox: Inbox) -> None:
    put(inbox, "film.mp4")
    first = inbox.look()
    inbox.look()
    put(inbox, "film.mp4", b"another cut of it")
    again = inbox.look()
    assert asked_for(again) == asked_for(first)
    assert run_keys(again).isdisjoint(run_keys(first))


def test_a_look_that_dies_after_registering_is_made_good_by_the_next(inbox: Inbox) -> None:
    put(inbox, "film.mp4")
    lost = inbox.lost_look()
    made_good = inbox.look()
    assert len(asked_for(lost)) == 1
    assert (asked_for(made_good), run_keys(made_good)) == (asked_for(lost), run_keys(lost))


def test_hours_of_video_are_cut_into_several_batches(inbox: Inbox) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        put_long(inbox, name, hours=1.5)
    assert len(asked_for(inbox.look())) == 3


def test_thousands_of_new_files_are_taken_in_over_several_looks(inbox: Inbox) -> None:
    for number in range(FILES_PER_LOOK + 1):
        put(inbox, f"{number:05d}.mp4")
    first = inbox.look()
    assert len(inbox.sources()) == FILES_PER_LOOK
    second = inbox.look()
    assert len(inbox.sources()) == FILES_PER_LOOK + 1
    assert len(set(asked_for(first)) | set(asked_for(second))) == 2


def test_two_links_to_one_file_are_one_source(inbox: Inbox, tmp_path: Path) -> None:
    put(inbox, "film.mp4").rename(tmp_path / "film.mp4")
    for name in ("one.mp4", "two.mp4"):
        (inbox.folder / name).symlink_to(tmp_path / "film.mp4")
    (inbox.folder / "nowhere.mp4").symlink_to(tmp_path / "missing.mp4")
    assert len(asked_for(inbox.look())) == 1
    assert inbox.sources() == ["film.mp4"]


def test_batches_that_others_registered_are_not_asked_for(inbox: Inbox, tmp_path: Path) -> None:
    from assets.sources import register

    elsewhere = tmp_path / "elsewhere.mp4"
    elsewhere.write_bytes(b"not really a film")
    register(inbox.lake, inbox.media, [str(elsewhere)], run_id="internvid ingest")
    assert asked_for(inbox.look()) == []


@pytest.mark.timeout(400)
def test_a_file_copied_into_the_inbox_of_a_running_service_ends_as_captions_by_one_run(
    service: Service, film: Callable[..., Path], tmp_path: Path
) -> None:
    shutil.copy(film(tmp_path, "landed.mp4", 7), service.inbox)

    def batch_with_captions() -> str | None:
        rows = service.lake.query(
            "select ingest_batch from sources inner join clip_captions using (ingest_batch) "
            "where uri like '%/landed.mp4' group by ingest_batch having count(*) = 2",
            tables=["sources", "clip_captions"],
        ).to_pylist()
        return rows[0]["ingest_batch"] if rows else None

    batch = service.wait(batch_with_captions, seconds=SECONDS_TO_CAPTIONS)

    def looks_that_asked() -> int:
        ticks = service.graphql(TICKS, sensor={**REPOSITORY_SELECTOR, "sensorName": "inbox_sensor"})["sensorState"][
            "ticks"
        ]
        return sum(any(key.startswith(batch) for key in tick["runKeys"]) for tick in ticks)

    service.wait(lambda: looks_that_asked() > 1, seconds=120)
    runs = service.graphql(RUNS_OF_BATCH, filter={"tags": [{"key": "dagster/partition", "value": batch}]})["results"]
    assert len(runs) == 1
