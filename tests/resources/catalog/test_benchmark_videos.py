"""Videos of benchmarks: what is a copy of one is named, and each is decoded once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from altered_videos import copied, cropped
from lake_copies import IN_A_FOLDER
from real_videos import REAL_VIDEOS, needs_real_videos

from internvid.video.fingerprint import Fingerprint
from internvid.video.scan import SampledFrame, scan
from internvid.video.settings import ScanSettings
from resources.catalog.admission import Admission
from resources.catalog.benchmark_videos import BenchmarkVideos
from resources.lake.store import Lake
from resources.media.store import Media

OPEN = REAL_VIDEOS / "open"

pytestmark = needs_real_videos
SETTINGS = ScanSettings()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two videos, one of them below, and a file that is none."""
    folder = tmp_path / "benchmark"
    (folder / "test").mkdir(parents=True)
    shutil.copy(OPEN / "carphone_qcif.mp4", folder / "test" / "one.mp4")
    shutil.copy(OPEN / "grid_bbaf2n.mpg", folder / "two.mpg")
    (folder / "broken.mp4").write_text("this is no video")
    return folder


@pytest.fixture
def videos(tmp_path: Path, lake: Lake, folder: Path) -> BenchmarkVideos:
    return BenchmarkVideos(lake, Media(root=str(tmp_path / "media"), workers=1), SETTINGS, str(folder))


def fingerprint(path: Path) -> Fingerprint:
    frames: list[SampledFrame] = []
    scan(str(path), SETTINGS, frames.append)
    return Fingerprint.from_frames((frame.seconds, frame.jpeg) for frame in frames)


def again(videos: BenchmarkVideos, log: list[str]) -> BenchmarkVideos:
    """As another process would open them."""
    return BenchmarkVideos(videos.lake, videos.media, videos.settings, videos.folder, log.append)


def test_a_copy_is_named_after_the_benchmark_s_file_and_each_file_is_read_once(
    tmp_path: Path, folder: Path, videos: BenchmarkVideos
) -> None:
    copy = fingerprint(copied(OPEN / "carphone_qcif.mp4", tmp_path / "copy.mp4", cropped(0.05)))
    assert videos.matches(copy) == "test/one.mp4"
    assert videos.matches(fingerprint(OPEN / "grid_bbaf2n.mpg")) == "two.mpg"
    assert videos.matches(fingerprint(OPEN / "grid_lwbsza.mpg")) is None
    assert list(videos.unreadable) == ["broken.mp4"]
    assert "this is a text file" in videos.unreadable["broken.mp4"]

    log: list[str] = []
    (folder / "two.mpg").unlink()
    second = again(videos, log)
    assert second.matches(copy) == "test/one.mp4"
    assert second.matches(fingerprint(OPEN / "grid_bbaf2n.mpg")) is None
    assert log == []

    shutil.copy(OPEN / "grid_lwbsza.mpg", folder / "three.mpg")
    third = again(videos, log)
    assert third.matches(fingerprint(OPEN / "grid_lwbsza.mpg")) == "three.mpg"
    assert log == [f"reading 1 benchmark videos in {folder}"]
    assert len({videos.version, second.version, third.version}) == 3
    assert again(videos, log).version == third.version


@IN_A_FOLDER
def test_without_a_folder_nothing_matches(lake: Lake, videos: BenchmarkVideos) -> None:
    none = Admission().benchmarks(lake, videos.media, SETTINGS)
    assert none.matches(fingerprint(OPEN / "carphone_qcif.mp4")) is None
    assert none.version == ""
    configured = Admission(benchmark_videos=videos.folder).benchmarks(lake, videos.media, SETTINGS)
    assert configured.folder == str(videos.folder)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        Admission(benchmark_videos=os.devnull).benchmarks(lake, videos.media, SETTINGS)
