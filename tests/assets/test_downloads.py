"""Downloads from a real server on loopback that behaves as badly as the web does."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import polars as pl
import pytest
from web_server import TEXT_PAGE, File, Hang, Page, Redirect, Status, WebServer, make_video, page_with_video, web_server

from assets.ingest.downloads import downloads
from resources.catalog.admission import Admission
from resources.catalog.downloader import Downloader
from resources.catalog.web import WebSource, register_web
from resources.incremental.commits import Report
from resources.incremental.declaration import StageRun, StageScope
from resources.incremental.retries import FailurePolicy
from resources.incremental.runner import process_pending
from resources.lake.store import Lake
from resources.media.store import Media

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
TESTS = REPOSITORY / "tests"
CHALLENGE = Status(403, {"cf-mitigated": "challenge"}, "<html><title>Just a moment...</title></html>")  # Cloudflare's
A_BILLION_SEGMENTS = """<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT20S">
<Period><AdaptationSet mimeType="video/mp4"><SegmentTemplate timescale="1" media="$Number$.m4s">
<SegmentTimeline><S t="0" d="1" r="999999999"/></SegmentTimeline></SegmentTemplate>
<Representation id="1" width="640" height="480" bandwidth="1000"/></AdaptationSet></Period></MPD>"""
QUICK = {
    "seconds_between_starts": 0.0,
    "timeout_seconds": 2.0,
    "allowed_addresses": ["127.0.0.1/32"],
    "max_memory_bytes": 1 << 30,
}


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as running:
        yield running


@pytest.fixture
def media(tmp_path: Path) -> Media:
    return Media(root=str(tmp_path / "media"))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    folder = tmp_path_factory.mktemp("videos")

    def made(name: str, **how: object) -> Path:
        path = folder / f"{name}.mp4"
        return path if path.exists() else make_video(path, **how)  # type: ignore[arg-type]

    return made


def register(lake: Lake, *urls: str, query_words: str | None = None) -> str:
    """Registers them, in one batch; its key."""
    registered = register_web(
        lake, [WebSource(url, seconds=12.0, query_words=query_words) for url in urls], found_by=None, run_id="test"
    )
    (batch,) = registered.batches
    return batch


def download(lake: Lake, media: Media, batch: str, **settings: object) -> Report:
    return run(lake, media, Downloader(**(QUICK | settings)), batch, "test")


def run(lake: Lake, media: Media, downloader: Downloader, batch: str, run_id: str) -> Report:
    resources = {
        "downloader": downloader,
        "media": media,
        "admission": Admission(),
        "failure_policy": FailurePolicy(),
    }
    stage = downloads.configured(StageScope(lake, batch), resources)
    stage_run = StageRun(lake, batch, run_id, print)
    return process_pending(
        lake, stage, lambda units: downloads.compute(stage_run, units, **resources), partition=batch, run_id=run_id
    )


def attempts(lake: Lake) -> dict[str, tuple[str, str]]:
    """URL path -> outcome and class."""
    rows = lake.polars("attempts").iter_rows(named=True)
    return {"/" + row["label"].split("/", 3)[3]: (row["outcome"], row["error_class"]) for row in rows}


def make_due(lake: Lake) -> None:
    """As if the time had come to try again what is to be tried again."""
    later = lake.polars("attempts").filter(pl.col("next_try_at").is_not_null())
    due = later.with_columns(next_try_at=pl.lit(datetime.now(UTC) - timedelta(seconds=1)))
    lake.upsert("attempts", due)


def test_a_direct_link_a_page_and_a_playlist_of_segments_come_into_the_store(server, lake, media, videos, tmp_path):
    synthetic_video = videos("synthetic_video")
    urls = [
        server.add("/video.mp4", File(synthetic_video)),
        server.add("/page", page_with_video("/other.mp4", title="A title\x07 with a bell")),
        server.add_hls("/live", videos("live", shade=60), tmp_path / "segments"),
    ]
    server.add("/other.mp4", File(videos("other", shade=30)))
    batch = register(lake, *urls, query_words="a video")
    report = download(lake, media, batch)
    assert report.units == {"total": 3, "done": 3, "failed": 0, "skipped": 0, "waiting": 0, "pending": 0}
    rows = {row["url"]: row for row in lake.polars("downloads").iter_rows(named=True)}
    assert set(rows) == set(urls)
    for row in rows.values():
        stored = Path(row["path"]).read_bytes()
        assert sha256(stored).hexdigest() == row["sha256"] == Path(row["path"]).stem
        assert row["query_words"] == "a video"
        assert row["downloader"].startswith("yt-dlp 20")
    assert Path(rows[urls[0]]["path"]).read_bytes() == synthetic_video.read_bytes()
    assert rows[urls[1]]["title"].startswith("A title with a bell")
    assert not list(Path(media.root, "downloads").iterdir()), "nothing is left of what was put together"
    assert download(lake, media, batch).processed == 0


def test_each_of_many_ends_in_its_own_class_and_the_server_is_asked_politely(server, lake, media, videos):
    good = File(videos("synthetic_video"))
    behaviours = {
        "fine": ([good], None),
        "gone": ([Status(404)], ("failed", "RemovedVideo")),
        "forbidden": ([Status(403)], ("failed", "Forbidden")),
        "busy": ([Status(429, {"Retry-After": "1"}), good], None),
        "broken": ([Status(500), good], ("failed", "NetworkTrouble")),
        "cut": ([File(good.path, cut_at=0.5)], ("failed", "NetworkTrouble")),
        "loop": ([Redirect("/loop")], ("failed", "RedirectLoop")),
        "text": ([TEXT_PAGE], ("failed", "NotAVideo")),
        "elsewhere": ([Redirect("http://127.0.0.2:9/video.mp4")], ("failed", "RefusedAddress")),
        "robots": ([File(good.path, {"X-Robots-Tag": "noai"})], ("skipped", "OptedOut")),
        "hang": ([Hang()], ("failed", "NetworkTrouble")),
        "long": ([Page(A_BILLION_SEGMENTS, "application/dash+xml")], ("failed", "AnswerTooLarge")),
    }
    several = {"fine": 12, "hang": 1}
    expected = {}
    for name, (acts, outcome) in behaviours.items():
        for number in range(several.get(name, 2)):
            path = "/loop" if name == "loop" else f"/{name}{number}.mp4"
            server.add(path, *acts)
            expected[path] = outcome
    batch = register(lake, *(server.url + path for path in expected))
    report = download(lake, media, batch, max_concurrent=4, max_concurrent_per_site=3)
    failed = {path: outcome for path, outcome in expected.items() if outcome is not None}
    assert attempts(lake) == failed
    by_outcome = Counter(outcome for outcome, _ in failed.values())
    assert report.units["done"] == len(expected) - len(failed) == lake.dataset("downloads").count_rows()
    assert (report.units["failed"], report.units["skipped"]) == (by_outcome["failed"], by_outcome["skipped"])
    assert report.units["pending"] == report.units["waiting"] == 0
    assert server.max_concurrent_requests <= 3
    for number in range(2):
        first, again, *_ = server.asked(f"/busy{number}.mp4")
        assert again.at - first.at >= 1.0, "it said when to come again"
    texts = {row["label"].rsplit("/", 1)[1]: row["message"] for row in lake.polars("attempts").iter_rows(named=True)}
    # What later tries may go on with lies here, and nothing of what nobody will try again.
    kept = {row["key"] for row in lake.polars("attempts").iter_rows(named=True) if row["next_try_at"]}
    assert {folder.name for folder in Path(media.root, "downloads").iterdir()} == kept
    assert len(media.partial_downloads()) == len(kept) > 0
    make_due(lake)
    assert download(lake, media, batch).units["done"] == report.units["done"] + 2
    for name, said in {"gone0.mp4": "404", "forbidden0.mp4": "403", "elsewhere0.mp4": "127.0.0.2"}.items():
        assert said in texts[name]


def test_a_bot_check_stops_its_site_and_the_next_run_goes_on_where_others_went_on(server, lake, media, videos):
    synthetic_video = File(videos("synthetic_video"))
    paths = [f"/{number:02d}.mp4" for number in range(12)]
    for path in paths:
        server.add(path, synthetic_video)
    challenged = server.add("/02.mp4", CHALLENGE)
    with web_server("127.0.0.2") as other:
        elsewhere = other.add("/video.mp4", synthetic_video)
        batch = register(lake, *(server.url + path for path in paths), elsewhere)
        allowed = {"allowed_addresses": ["127.0.0.0/8"], "max_concurrent_per_site": 1}
        report = download(lake, media, batch, **allowed)
        assert len(server.requests) < 2 * 4 + 2, "within what was under way"
        done = report.units["done"]
        assert report.units == {
            "total": 13,
            "done": done,
            "failed": 0,
            "skipped": 0,
            "waiting": 13 - done,
            "pending": 0,
        }
        assert elsewhere in lake.polars("downloads")["url"].to_list()
        waiting = lake.polars("attempts")
        assert set(waiting["error_class"]) == {"BotCheck"}
        assert set(waiting["related_key"]) == {"127.0.0.1"}
        assert set(waiting["tries"]) == {0, 1}, "only one was tried"
        assert (waiting["next_try_at"] > datetime.now(UTC) + timedelta(hours=5)).all()

        asked = len(server.requests)
        other_batch = register(lake, server.add("/later.mp4", synthetic_video))
        download(lake, media, other_batch, **allowed)
        assert len(server.requests) == asked, "another batch does not ask that site either"

        server.add("/02.mp4", synthetic_video)
        make_due(lake)
        report = download(lake, media, batch, **allowed)
        assert report.units["done"] == 13
        assert len(server.asked("/00.mp4")) == 2, "what was there is not fetched again: looked at and downloaded once"
    assert challenged in lake.polars("downloads")["url"].to_list()


def test_a_killed_run_goes_on_with_the_file_that_it_had_in_part(server, lake, media, videos, tmp_path, until):
    synthetic_video = videos("long", seconds=40)
    size = synthetic_video.stat().st_size
    server.add("/long.mp4", File(synthetic_video, stalls_after=size // 2))
    batch = register(lake, f"{server.url}/long.mp4")
    code = f"""
from resources.catalog.downloader import Downloader
from resources.lake.store import Lake
from resources.media.store import Media
from test_downloads import run

if __name__ == "__main__":
    lake, media = Lake(root={lake.root!r}), Media(root={media.root!r})
    run(lake, media, Downloader(**{QUICK | {"timeout_seconds": 60.0}}), {batch!r}, "killed")
"""
    script = tmp_path / "run.py"
    script.write_text(code)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY, TESTS, TESTS / "assets")))}
    process = subprocess.Popen([sys.executable, script], env=environment, start_new_session=True)
    parts = Path(media.root, "downloads")
    try:
        until(lambda: sum(file.stat().st_size for file in parts.rglob("*.part")) > size // 10, "part of the file")
        time.sleep(0.2)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    server.add("/long.mp4", File(synthetic_video))
    there = sum(file.stat().st_size for file in parts.rglob("*.part"))
    asked = len(server.requests)
    assert download(lake, media, batch).units["done"] == 1
    ranges = [request.range for request in server.requests[asked:] if request.range]
    assert f"bytes={there}-" in ranges, ranges
    assert Path(lake.polars("downloads")["path"][0]).read_bytes() == synthetic_video.read_bytes()


def test_other_rules_leave_out_or_take_what_is_here_without_asking_its_site(server, lake, media, videos):
    batch = register(lake, server.add("/video.mp4", File(videos("synthetic_video"))))
    assert download(lake, media, batch).units["done"] == 1
    content = lake.polars("downloads").select("digest", "path")
    asked = len(server.requests)
    assert download(lake, media, batch, max_duration_seconds=3600.0).units["done"] == 1
    assert lake.polars("downloads").select("digest", "path").equals(content)
    assert download(lake, media, batch, min_duration_seconds=60.0).units["skipped"] == 1
    assert attempts(lake) == {"/video.mp4": ("skipped", "TooShort")}
    assert len(server.requests) == asked


def test_what_is_too_small_or_too_short_is_left_out_with_the_reason(server, lake, media, videos):
    small = server.add("/small.mp4", File(videos("small", size=(320, 240))))
    short = server.add("/short.mp4", File(videos("short", seconds=3)))
    report = download(lake, media, register(lake, small, short))
    assert report.units["skipped"] == 2
    assert attempts(lake) == {"/small.mp4": ("skipped", "TooSmall"), "/short.mp4": ("skipped", "TooShort")}
    assert "240 pixels" in " ".join(lake.polars("attempts")["message"])
    assert not list(Path(media.root).rglob("*.mp4"))
