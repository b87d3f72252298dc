"""Video files: where their bytes are, and reading them safely.

The media store is content-addressed (`ab/abcdef….mp4` under the sha256) on any fsspec path. A file kept by reference
stays where it is. Every look into a file happens in a child process (`resources.child_process`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote_to_bytes, urlsplit
from uuid import uuid4

import dagster as dg
import pyarrow as pa

from resources.child_process import ordered

if TYPE_CHECKING:
    from internvid.video.probe import Probe
    from internvid.video.scan import ClipSpan, ScanSettings

SECONDS_TO_START = 60.0  # a child's imports and opening a file, on a busy machine
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


class Media(dg.ConfigurableResource):
    """The media store, and the children that read from it."""

    root: str = "media"
    keep: Literal["reference", "import"] = "reference"
    storage_options: dict[str, str] = {}
    workers: int = 2
    memory_bytes: int = 6 << 30  # address space of a child: 4K AV1 takes 2 GiB of it, NumPy and FFmpeg reserve more
    seconds_per_video_second: float = 10.0  # 4K AV1 on one slow core decodes at about a third of real time

    def store(self, uri: str, sha256: str) -> str:
        """Puts the bytes where they are to stay and returns that path: the file's own, or one in the store."""
        if self.keep == "reference":
            path = local_path(uri)
            return uri if path is None or not _is_unicode(path) else path
        import fsspec

        name = f"{sha256[:2]}/{sha256}{PurePosixPath(urlsplit(uri).path).suffix.lower()}"
        target = f"{self.root.rstrip('/')}/{name}"
        filesystem, path = fsspec.core.url_to_fs(target, **self._options(target))
        if not filesystem.exists(path):
            filesystem.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
            part = f"{path}.{uuid4().hex}.part"  # of two that import the same bytes at once, neither sees half a file
            with self.local(uri) as source:
                filesystem.put_file(source, part)
            filesystem.mv(part, path)
        return target

    def exists(self, path: str) -> bool:
        if (on_disk := local_path(path)) is not None:
            return os.path.exists(on_disk)
        import fsspec

        filesystem, inside = fsspec.core.url_to_fs(path, **self._options(path))
        return bool(filesystem.exists(inside))

    @contextmanager
    def local(self, path: str) -> Iterator[str]:
        """The file as a path that decoders can open; a remote one is fetched into a temporary file."""
        if (on_disk := local_path(path)) is not None:
            yield on_disk
            return
        import fsspec

        filesystem, inside = fsspec.core.url_to_fs(path, **self._options(path))
        with tempfile.TemporaryDirectory(prefix="internvid-") as folder:
            target = str(Path(folder) / PurePosixPath(inside).name)
            filesystem.get_file(inside, target)
            yield target

    def durations(self, paths: Iterable[str]) -> Iterator[tuple[str, float]]:
        """Seconds of each video by its header, 0 where that cannot be read; in order. For sizing work, not for data."""
        results = self._children(_duration, paths, arguments=lambda path: (path,), video_seconds=lambda path: 0)
        for path, result in results:
            yield path, result if isinstance(result, float) else 0.0

    def inspect(self, uris: Iterable[str]) -> Iterator[tuple[str, Inspected | BaseException]]:
        """Hash and probe of each file, in order."""
        return self._children(_inspect, uris, arguments=self._opened, video_seconds=lambda uri: 600)

    def scan(
        self, videos: Iterable[tuple[str, float]], settings: ScanSettings
    ) -> Iterator[tuple[tuple[str, float], Scanned | BaseException]]:
        """Clips and frames of each (path, duration in seconds or 0 if unknown), in order: one decode of each."""
        spool = tempfile.mkdtemp(prefix="internvid-scan-")
        try:
            yield from self._children(
                _scan,
                videos,
                arguments=lambda video: (*self._opened(video[0]), settings, spool),
                video_seconds=lambda video: video[1] or 3600,
            )
        finally:
            shutil.rmtree(spool)

    def _opened(self, path: str) -> tuple[str, dict[str, Any]]:
        return path, self.model_dump(include={"root", "keep", "storage_options"})

    def _children(
        self,
        work: Callable[..., Any],
        inputs: Iterable[Any],
        *,
        arguments: Callable[[Any], tuple[Any, ...]],
        video_seconds: Callable[[Any], float],
    ) -> Iterator[tuple[Any, Any]]:
        return ordered(
            work,
            inputs,
            arguments=arguments,
            seconds=lambda item: SECONDS_TO_START + self.seconds_per_video_second * video_seconds(item),
            workers=self.workers,
            memory_bytes=self.memory_bytes,
        )

    def _options(self, path: str) -> dict[str, Any]:
        return dict(self.storage_options) if "://" in path and not path.startswith("file://") else {}


def local_path(uri: str) -> str | None:
    """The path of a local file, given as such or as file:// URI; None for anything remote."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return os.fsdecode(unquote_to_bytes(parts.path))
    return uri if "://" not in uri else None


def _is_unicode(path: str) -> bool:
    """Whether a column can hold it: a name need not be text, and what is not stands in a path as lone surrogates."""
    return not any("\udc80" <= character <= "\udcff" for character in path)


def _duration(path: str) -> float:
    from internvid.video.probe import UnreadableVideo, probe

    try:
        return float(probe(path).duration_seconds or 0.0)
    except (UnreadableVideo, OSError):
        return 0.0  # raw_videos meets the same error and records it


def _inspect(uri: str, media: dict[str, Any]) -> Inspected:
    from internvid.video.probe import probe

    with Media(**media).local(uri) as path:
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Inspected(sha256, Path(path).stat().st_size, probe(path))


def _scan(video: str, media: dict[str, Any], settings: ScanSettings, spool: str) -> Scanned:
    from internvid.video.scan import SampledFrame, scan

    frames_path = Path(tempfile.mkdtemp(dir=spool)) / "frames.arrow"
    waiting: list[SampledFrame] = []
    frame_count = 0
    with (
        Media(**media).local(video) as path,
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
