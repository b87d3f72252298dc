"""Folders as people have them: what is taken for a video, and what is told of the rest."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from resources.catalog.files import register
from resources.catalog.folders import FoundFiles, video_files
from resources.lake.store import Lake
from resources.media.store import Media

# Forty kinds: name, and the bytes where they matter.
NO_VIDEOS: dict[str, bytes] = {
    "app.ts": b"export class App {}\n" * 30,
    "lib.d.ts": b"declare module 'x'",
    "qt_de.ts": b"<?xml version='1.0'?><!DOCTYPE TS><TS/>",
    "worker.mts": b"export {}",
    "x.f137.mp4": b"",
    "x.f251.webm": b"",
    "x.temp.mp4": b"",
    "x.mp4.part": b"",
    "x.mp4.part-Frag3": b"",
    "x.mp4.ytdl": b"",
    "y.mp4.crdownload": b"",
    "y.mp4.!qB": b"",
    "y.mp4.aria2": b"",
    "._x.mp4": b"\0\5\26\7",
    ".DS_Store": b"",
    ".x.mp4.Zf81Qa": b"",
    "Thumbs.db": b"",
    "desktop.ini": b"",
    "x.info.json": b"{}",
    "x.description": b"words",
    "x.jpg": b"\xff\xd8\xff",
    "x.nfo": b"<movie/>",
    "x.torrent": b"d8:announce",
    "still.gif": b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;",
    "still.webp": b"RIFF\x1a\0\0\0WEBPVP8 " + b"\0" * 16,
    "song.mp3": b"ID3",
    "tune.mod": b"SONG" + b"\0" * 100,
    "list.m3u8": b"#EXTM3U",
    "manifest.mpd": b"<MPD/>",
    "project.prproj": b"",
    "archive.zip": b"PK\3\4",
    "install.iso": b"",
    "notes.txt": b"words",
    "README": b"words",
    "captions.csv": b"a,b",
    "lost.srt": b"1\n00:00:01,000 --> 00:00:02,000\nwords",
    "table.dat": b"1 2 3",
    "empty.ts": b"",
    "code.h264": b"words",
    "page.rm": b"<html></html>",
}


def found_in(folder: Path) -> tuple[list[str], dict[str, tuple[int, str]]]:
    """Names of the videos, and of what is passed over (example -> number of files and why)."""
    found = FoundFiles()
    names = [os.path.relpath(path, folder) for path in video_files([str(folder)], found)]
    return names, {kind.example: (kind.files, kind.why) for kind in found.passed_over.values()}


def test_of_forty_kinds_none_is_taken_for_a_video_and_each_is_told(tmp_path: Path) -> None:
    assert len(NO_VIDEOS) == 40
    for name, data in NO_VIDEOS.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "x.mp4").touch()
    (tmp_path / "x.en.vtt").touch()
    names, told = found_in(tmp_path)
    assert names == ["x.mp4"]
    assert sum(files for files, _ in told.values()) == 40
    assert set(told) <= set(NO_VIDEOS)
    assert told["app.ts"] == (3, "text, not a video")  # worker.mts has another suffix
    assert told["x.f137.mp4"] == (2, "a part of x that its download left over")
    assert told["lost.srt"] == (1, "subtitles of no video beside them")
    assert told["song.mp3"] == (1, "the suffix of no video")


def test_folders_that_are_links_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "folder"
    (elsewhere / "deep").mkdir(parents=True)
    (folder / "sub").mkdir(parents=True)
    (elsewhere / "deep" / "far.mp4").touch()
    (folder / "sub" / "near.mp4").touch()
    (folder / "link").symlink_to(elsewhere)
    (folder / "again").symlink_to(elsewhere / "deep")
    (folder / "sub" / "up").symlink_to(folder)
    (elsewhere / "round").symlink_to(elsewhere)
    (folder / "nowhere").symlink_to(tmp_path / "gone")
    (folder / ".hidden").mkdir()
    names, told = found_in(folder)
    assert sorted(names) == ["../elsewhere/deep/far.mp4", "sub/near.mp4"]
    assert told["nowhere"] == (1, "a link to nothing")
    assert told[".hidden"] == (1, "a hidden folder")
    (searched,) = [kind for kind in told.values() if "searched already" in kind[1]]
    assert searched[0] == 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0)
    _, told = found_in(tmp_path)
    assert told["locked"] == (1, "it cannot be read: Permission denied")


def test_what_is_passed_over_stands_in_attempts_and_is_written_once(
    tmp_path: Path, new_lake: Callable[[Path], Lake]
) -> None:
    lake, media = new_lake(tmp_path / "lake"), Media(root=str(tmp_path / "media"))
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("a.txt", "b.txt", "app.ts"):
        (folder / name).write_text("words")
    register(lake, media, [str(folder)], run_id="first")
    rows = lake.polars("attempts").sort("message")
    assert rows.select("stage", "label", "outcome", "error_class", "message", "run_id").rows() == [
        ("sources", str(folder), "skipped", "PassedOver", "1 .ts: text, not a video (app.ts)", "first"),
        ("sources", str(folder), "skipped", "PassedOver", "2 .txt: the suffix of no video (a.txt)", "first"),
    ]
    version = lake.dataset("attempts").version
    register(lake, media, [str(folder)], run_id="second")
    assert lake.dataset("attempts").version == version

    (folder / "app.ts").unlink()
    register(lake, media, [str(folder)], run_id="third")
    assert lake.polars("attempts")["message"].to_list() == ["2 .txt: the suffix of no video (a.txt)"]
