"""A disk without room, and one that cannot be written: real ones, of a megabyte of memory."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from command import internvid_process, refused, succeeded

from resources.lake.store import Lake


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


@pytest.mark.slow
def test_a_full_disk_ends_the_command_and_once_there_is_room_the_same_command_goes_on(
    disk: Path, tmp_path: Path, synthetic_video: Callable[..., Path]
) -> None:
    (tmp_path / "videos").mkdir()
    synthetic_video(tmp_path / "videos", "video.mp4")
    command = ("ingest", tmp_path / "videos")
    home = {"DAGSTER_HOME": str(tmp_path)}
    done = internvid_process(*command, lake=disk / "lake", **home)
    assert done.returncode == 1
    assert f"stopped: no room left on the disk of {disk}" in refused(done)
    remount(disk, "size=100m")
    succeeded(internvid_process(*command, lake=disk / "lake", **home))


def test_a_disk_that_cannot_be_written_ends_the_command_and_the_lake_can_still_be_asked(
    disk: Path, tmp_path: Path, synthetic_video: Callable[..., Path]
) -> None:
    remount(disk, "size=100m")
    Lake(root=str(disk / "lake")).create_tables()
    remount(disk, "ro")
    home = {"DAGSTER_HOME": str(tmp_path)}
    done = internvid_process("ingest", synthetic_video(tmp_path, "video.mp4"), lake=disk / "lake", **home)
    assert done.returncode == 1
    assert f"stopped: the disk is read-only: {disk}" in refused(done)
    assert "raw_videos" in succeeded(internvid_process("status", lake=disk / "lake", **home))
    remount(disk, "rw")
