"""Video files: where their bytes are, and reading them safely.

The media store is content-addressed (`ab/abcdef….mp4` under the sha256) on any fsspec path. A file kept by reference
stays where it is. Every look into a file (`resources.video_file`) happens in a child (`resources.child_process`).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import dagster as dg

from resources.child_process import ordered
from resources.video_file import (
    Heard,
    Inspected,
    Scanned,
    ToScan,
    duration,
    inspect,
    listen_into,
    local_path,
    opened,
    read_subtitles,
    scan_into,
)

if TYPE_CHECKING:
    from internvid.speech.subtitles import Subtitles
    from internvid.video.settings import ScanSettings

SECONDS_TO_START = 60.0  # a child's imports and opening a file, on a busy machine


@dataclass(frozen=True)
class SpokenVideo:
    """A stored video, and the subtitle files that lie beside its source. seconds: of the video, 0 if unknown."""

    path: str
    source: str
    seconds: float
    subtitles: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of the file at its source."""
        return unquote(PurePosixPath(urlsplit(self.source).path).name, errors="replace")


class Media(dg.ConfigurableResource):
    """The media store, and the children that read from it.

    downloads: a folder on this machine's disk where downloads are put together; in the store's own unless set, or where
    that is in a bucket in the system's temporary folder.
    """

    root: str = "media"
    downloads: str | None = None
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
        return self.take_in(uri, sha256)

    def take_in(self, uri: str, sha256: str) -> str:
        """Puts the bytes into the store, under their hash; returns the path there."""
        return self._put(uri, f"{sha256[:2]}/{sha256}{PurePosixPath(urlsplit(uri).path).suffix.lower()}")

    def take_in_beside(self, uri: str, name: str) -> str:
        """Puts a file that belongs to a video into the store, under that name; returns the path there."""
        return self._put(uri, name)

    def download_folder(self, key: str) -> str:
        """Where a download is put together, on this machine's disk; always there, so that it is resumed."""
        root = self.downloads or (f"{tempfile.gettempdir()}/internvid" if "://" in self.root else self.root)
        return f"{root.rstrip('/')}/downloads/{key}"

    def _put(self, uri: str, name: str) -> str:
        import fsspec

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

    def local(self, path: str) -> AbstractContextManager[str]:
        """The file as a path that decoders can open; a remote one is fetched into a temporary file."""
        return opened(path, self._options(path))

    def durations(self, paths: Iterable[str]) -> Iterator[tuple[str, float]]:
        """Seconds of each video by its header, 0 where that cannot be read; in order. For sizing work, not for data."""
        results = self._children(duration, paths, arguments=lambda path: (path,), video_seconds=lambda path: 0)
        for path, result in results:
            yield path, result if isinstance(result, float) else 0.0

    def inspect(self, uris: Iterable[str]) -> Iterator[tuple[str, Inspected | BaseException]]:
        """Hash and probe of each file, in order."""
        return self._children(
            inspect, uris, arguments=lambda uri: (uri, self._options(uri)), video_seconds=lambda uri: 600
        )

    def scan(
        self, videos: Iterable[ToScan], settings: ScanSettings
    ) -> Iterator[tuple[ToScan, Scanned | BaseException]]:
        """Clips and frames of each, in order: one decode of each."""
        spool = tempfile.mkdtemp(prefix="internvid-scan-")
        try:
            yield from self._children(
                scan_into,
                videos,
                arguments=lambda video: (spool, video, self._options(video.path), settings),
                video_seconds=lambda video: video.seconds or 3600,
            )
        finally:
            shutil.rmtree(spool)

    def subtitles(
        self, videos: Iterable[SpokenVideo], kinds: Sequence[str]
    ) -> Iterator[tuple[SpokenVideo, Subtitles | BaseException | None]]:
        """The subtitles that came with each, in order; None for those without."""
        return self._children(
            read_subtitles,
            videos,
            arguments=lambda video: (
                video.path,
                video.name,
                video.subtitles,
                tuple(kinds),
                self._options(video.path),
            ),
            video_seconds=lambda video: video.seconds or 3600,
        )

    def listen(
        self, videos: Iterable[SpokenVideo], *, only_speech: bool
    ) -> Iterator[tuple[SpokenVideo, Heard | BaseException]]:
        """The windows of each one's sound in which somebody speaks, or all of it; in order. A taker removes them."""
        spool = tempfile.mkdtemp(prefix="internvid-listen-")
        try:
            yield from self._children(
                listen_into,
                videos,
                arguments=lambda video: (spool, video.path, self._options(video.path), only_speech),
                video_seconds=lambda video: video.seconds or 3600,
            )
        finally:
            shutil.rmtree(spool)

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


def _is_unicode(path: str) -> bool:
    """Whether a column can hold it: a name need not be text, and what is not stands in a path as lone surrogates."""
    return not any("\udc80" <= character <= "\udcff" for character in path)
