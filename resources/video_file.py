"""A video file as a child process sees it: opened, hashed and probed, scanned into clips and frames, read and listened
to for what is said in it.

Every child imports this module, so nothing heavy is imported here: Dagster alone would cost a child a second.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import pyarrow as pa

if TYPE_CHECKING:
    from internvid.speech.sound import Window
    from internvid.speech.subtitles import Subtitles
    from internvid.video.probe import Probe
    from internvid.video.scan import ClipSpan, SampledFrame
    from internvid.video.settings import ScanSettings

FRAMES_PER_BATCH = 32

FRAME_COLUMNS = pa.schema(
    [
        ("pts", pa.int64()),
        ("seconds", pa.float64()),
        ("is_fine", pa.bool_()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("jpeg", pa.binary()),
    ]
)


WINDOW_COLUMNS = pa.schema([("start_seconds", pa.float64()), ("samples", pa.binary())])  # int16, 16 kHz


@dataclass(frozen=True)
class Inspected:
    """What a file is: its content's hash, its size and what the probe found."""

    sha256: str
    size_bytes: int
    probe: Probe


@dataclass(frozen=True)
class Scanned:
    """The clips of a video, and its sampled frames in a file of their own: a long video has more than memory holds."""

    clips: list[ClipSpan]
    frame_count: int
    frames_path: Path

    def frames(self) -> Iterator[pa.RecordBatch]:
        """The frames in batches of FRAME_COLUMNS, in the order they were decoded."""
        with pa.OSFile(str(self.frames_path)) as file, pa.ipc.open_stream(file) as stream:
            yield from stream

    def remove(self) -> None:
        shutil.rmtree(self.frames_path.parent)


@dataclass(frozen=True)
class Heard:
    """Where in a video somebody speaks. window_count: stretches of sound, each at most half a minute, in a file."""

    window_count: int
    windows_path: Path

    def windows(self) -> Iterator[Window]:
        """In order of time, read one by one."""
        import numpy as np

        from internvid.speech.sound import Window

        with pa.OSFile(str(self.windows_path)) as file, pa.ipc.open_stream(file) as stream:
            for batch in stream:
                for row in batch.to_pylist():
                    samples = np.frombuffer(row["samples"], np.int16).astype(np.float32) / 32768
                    yield Window(row["start_seconds"], samples)

    def remove(self) -> None:
        shutil.rmtree(self.windows_path.parent)


def local_path(uri: str) -> str | None:
    """The path of a local file, given as such or as file:// URI; None for anything remote."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return os.fsdecode(unquote_to_bytes(parts.path))
    return uri if "://" not in uri else None


@contextmanager
def opened(path: str, storage_options: Mapping[str, Any]) -> Iterator[str]:
    """The file as a path that decoders can open; a remote one is fetched into a temporary file."""
    if (on_disk := local_path(path)) is not None:
        yield on_disk
        return
    import fsspec

    filesystem, inside = fsspec.core.url_to_fs(path, **storage_options)
    with tempfile.TemporaryDirectory(prefix="internvid-") as folder:
        target = str(Path(folder) / PurePosixPath(inside).name)
        filesystem.get_file(inside, target)
        yield target


def duration(path: str) -> float:
    """Seconds by the header, 0 where that cannot be read."""
    from internvid.video.probe import UnreadableVideo, probe

    try:
        return float(probe(path).duration_seconds or 0.0)
    except (UnreadableVideo, OSError):
        return 0.0  # raw_videos meets the same error and records it


def inspect(uri: str, storage_options: Mapping[str, Any]) -> Inspected:
    """The file hashed and probed. Raises as `internvid.video.probe.probe`."""
    from internvid.video.probe import probe

    with opened(uri, storage_options) as path:
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Inspected(sha256, Path(path).stat().st_size, probe(path))


def scan_into(spool: str, video: str, storage_options: Mapping[str, Any], settings: ScanSettings) -> Scanned:
    """The video scanned, its frames in a folder of their own under `spool`. Raises as `internvid.video.scan.scan`."""
    from internvid.video.scan import scan

    frames_path = Path(tempfile.mkdtemp(dir=spool)) / "frames.arrow"
    waiting: list[SampledFrame] = []
    frame_count = 0
    with (
        opened(video, storage_options) as path,
        pa.OSFile(str(frames_path), "wb") as file,
        pa.ipc.new_stream(file, FRAME_COLUMNS) as stream,
    ):

        def write() -> None:
            rows = [{name: getattr(frame, name) for name in FRAME_COLUMNS.names} for frame in waiting]
            stream.write_batch(pa.RecordBatch.from_pylist(rows, schema=FRAME_COLUMNS))
            waiting.clear()

        def keep(frame: SampledFrame) -> None:
            nonlocal frame_count
            frame_count += 1
            waiting.append(frame)
            if len(waiting) >= FRAMES_PER_BATCH:
                write()

        clips = scan(path, settings, keep)
        write()
    return Scanned(clips, frame_count, frames_path)


def read_subtitles(
    video: str, name: str, files: Sequence[str], kinds: Sequence[str], storage_options: Mapping[str, Any]
) -> Subtitles | None:
    """What `internvid.speech.subtitles.subtitles_of` finds in the video and the files beside it, and raises."""
    from internvid.speech.subtitles import SubtitleFile, subtitles_of

    beside = []
    for uri in files:
        with opened(uri, storage_options) as path:
            file_name = unquote(PurePosixPath(urlsplit(uri).path).name, errors="replace")
            beside.append(SubtitleFile(file_name, Path(path).read_bytes()))
    with opened(video, storage_options) as path:
        return subtitles_of(path, name, beside, kinds)


def listen_into(spool: str, video: str, storage_options: Mapping[str, Any], only_speech: bool) -> Heard:
    """The windows of the video's sound, in a folder of their own under `spool`. Raises as `internvid.speech.sound`."""
    import numpy as np

    from internvid.speech.sound import Everything, Silero, windows

    windows_path = Path(tempfile.mkdtemp(dir=spool)) / "windows.arrow"
    window_count = 0
    with (
        opened(video, storage_options) as path,
        pa.OSFile(str(windows_path), "wb") as file,
        pa.ipc.new_stream(file, WINDOW_COLUMNS) as stream,
    ):
        for window in windows(path, Silero() if only_speech else Everything()):
            samples = np.clip(np.rint(window.samples * 32768), -32768, 32767).astype(np.int16)
            row = {"start_seconds": window.start_seconds, "samples": samples.tobytes()}
            stream.write_batch(pa.RecordBatch.from_pylist([row], schema=WINDOW_COLUMNS))
            window_count += 1
    return Heard(window_count, windows_path)
