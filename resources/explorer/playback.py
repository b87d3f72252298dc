"""Stored videos as browsers read them: byte by byte where they play the file, else one clip of it, copied or encoded.

What is converted is done by the children that cut clips for exports: with limits of time and memory, few at a time. The
last clips are kept.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from internvid.cutting.clips import CannotCut, ClipFile, Cut
from internvid.cutting.exact import Encoding
from internvid.video.playable import can_be_copied, media_type
from resources.lake.paths import StoragePath
from resources.lake.temporary_folders import temporary_folder
from resources.media.store import Media
from resources.media.video_file import ToCut

VIDEO_COLUMNS = (
    "path",
    "source",
    "source_id",
    "sha256",
    "size_bytes",
    "container",
    "video_codec",
    "pixel_format",
    "audio_codec",
    "display_width",
    "display_height",
    "duration_seconds",
)
CLIP_COLUMNS = (
    "video_id",
    "start_pts",
    "end_pts",
    "time_base_numerator",
    "time_base_denominator",
    "start_seconds",
    "end_seconds",
    "start_frame",
    "end_frame",
)

CONVERSIONS_AT_A_TIME = 2
MAX_WAITING = 6
MAX_CLIP_SECONDS = 300.0  # of a clip that is converted
MAX_CONVERSION_SECONDS = 180.0
MAX_HEIGHT = 480  # pixels of a clip that is encoded: it is there within seconds
MEMORY_BYTES = 3 << 30
MAX_KEPT_BYTES = 1 << 30
MAX_KEPT_SECONDS = 3600.0


class CannotPlay(RuntimeError):
    """The video cannot be played now. The message says why."""


class Busy(CannotPlay):
    """So many clips are being converted that this one has to be asked for later."""


@dataclass(frozen=True)
class Converted:
    """A clip as MP4. start_seconds: where the clip begins in this file. made_at: of the monotonic clock."""

    path: Path
    start_seconds: float
    made_at: float


class Playback:
    """Reads stored videos, and converts clips of those that browsers do not play."""

    def __init__(self, media: Media) -> None:
        self._media = media
        files = ExitStack()
        self._folder = files.enter_context(temporary_folder())
        weakref.finalize(self, files.close)
        self._kept: OrderedDict[str, Converted] = OrderedDict()
        self._lock = threading.Lock()
        self._clip_locks: dict[str, threading.Lock] = {}
        self._waiting = 0
        self._turns = threading.Semaphore(CONVERSIONS_AT_A_TIME)

    def file(self, video: Mapping[str, Any]) -> StoragePath:
        """Returns the file of a video, a row with VIDEO_COLUMNS. Raises CannotPlay where it is not there any more, or
        has another size: its path may now name another file.
        """
        file = self._media.file(video["path"])
        try:
            size = file.size()
        except OSError as error:
            raise CannotPlay("The file of this video is not where it was.") from error
        if size != video["size_bytes"]:
            raise CannotPlay("The file of this video has changed since it was taken in.")
        return file

    def converted(self, clip_id: str, clip: Mapping[str, Any], video: Mapping[str, Any]) -> Converted:
        """Returns the clip as MP4; made now unless it is kept. clip, video: rows with CLIP_COLUMNS and VIDEO_COLUMNS.

        Raises CannotPlay.
        """
        if clip["end_seconds"] - clip["start_seconds"] > MAX_CLIP_SECONDS:
            raise CannotPlay(f"Clips over {MAX_CLIP_SECONDS / 60:.0f} minutes are not converted for a browser.")
        if clip["start_pts"] is None or clip["end_frame"] is None:
            raise CannotPlay("The lake does not know which frames this clip has.")
        self._remove_old()
        with self._lock:
            if clip_id in self._kept:
                self._kept.move_to_end(clip_id)
                return self._kept[clip_id]
            # Each of them holds a thread, also those that wait for the same clip.
            if self._waiting >= CONVERSIONS_AT_A_TIME + MAX_WAITING:
                raise Busy("Many clips are being converted now. Try again in a moment.")
            self._waiting += 1
            clip_lock = self._clip_locks.setdefault(clip_id, threading.Lock())
        try:
            with clip_lock:
                with self._lock:
                    if clip_id in self._kept:  # converted while this one waited
                        return self._kept[clip_id]
                with self._turns:
                    converted = self._convert(clip_id, clip, video)
                self._keep(clip_id, converted)
                return converted
        finally:
            with self._lock:
                self._waiting -= 1
                if not self._waiting:
                    self._clip_locks.clear()

    def _convert(self, clip_id: str, clip: Mapping[str, Any], video: Mapping[str, Any]) -> Converted:
        self.file(video)  # it is there
        cut = Cut(
            name="clip",
            start_pts=clip["start_pts"],
            end_pts=clip["end_pts"],
            start_seconds=clip["start_seconds"],
            end_seconds=clip["end_seconds"],
            frames=clip["end_frame"] - clip["start_frame"],
        )
        encodings: list[Encoding | None] = [Encoding(max_height=MAX_HEIGHT)]
        is_at_fault = (
            played_as(video) is None
        )  # else a browser that should play the file does not: copying changes nothing
        if is_at_fault and can_be_copied(video["video_codec"], video["pixel_format"], video["audio_codec"]):
            encodings.insert(0, None)
        problem: object = None
        for encoding in encodings:
            to_cut = ToCut(video["path"], (cut,), encoding)
            media = Media(
                root=self._media.root,
                storage_options=self._media.storage_options,
                workers=1,
                memory_bytes=MEMORY_BYTES,
                seconds_per_video_second=MAX_CONVERSION_SECONDS / max(to_cut.seconds, 1.0),
            )
            for _, result in media.cut([to_cut], self._folder):
                if isinstance(result, BaseException):
                    problem = result
                    continue
                folder, (file,) = result
                if isinstance(file, ClipFile) and file.name.endswith(".mp4"):
                    path = self._folder / f"{clip_id}.mp4"
                    os.replace(folder / file.name, path)
                    return Converted(path, max(0.0, clip["start_seconds"] - file.start_seconds), time.monotonic())
                problem = file
        reason = f": {problem}" if isinstance(problem, CannotCut) else ""
        raise CannotPlay(f"This clip cannot be converted for a browser{reason}.")

    def _keep(self, clip_id: str, converted: Converted) -> None:
        with self._lock:
            self._kept[clip_id] = converted
            kept_bytes = sum(each.path.stat().st_size for each in self._kept.values())
            while kept_bytes > MAX_KEPT_BYTES and len(self._kept) > 1:
                kept_bytes -= self._remove(next(iter(self._kept)))

    def _remove_old(self) -> None:
        """Removes what was converted long ago: it may be of a video that was forgotten since."""
        with self._lock:
            now = time.monotonic()
            for clip_id in [each for each, kept in self._kept.items() if now - kept.made_at > MAX_KEPT_SECONDS]:
                self._remove(clip_id)

    def _remove(self, clip_id: str) -> int:
        """Removes a clip, and returns the bytes that it had. A browser that reads it meanwhile asks again."""
        path = self._kept.pop(clip_id).path
        size = path.stat().st_size
        path.unlink()
        return size


def span_in_file(clip: Mapping[str, Any]) -> tuple[float, float]:
    """Returns from when to when the clip is, in seconds of the file's own clock, which browsers show: the first frame
    of a video need not be at 0. clip: a row with CLIP_COLUMNS.
    """
    seconds = clip["end_seconds"] - clip["start_seconds"]
    if clip["start_pts"] is None or not clip["time_base_denominator"]:
        return clip["start_seconds"], clip["end_seconds"]
    start = clip["start_pts"] * clip["time_base_numerator"] / clip["time_base_denominator"]
    return start, start + seconds


def played_as(video: Mapping[str, Any]) -> str | None:
    """Returns the media type under which browsers play the file; None where its clips are converted."""
    return media_type(video["container"], video["video_codec"], video["pixel_format"], video["audio_codec"])
