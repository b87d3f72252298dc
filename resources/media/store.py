"""Stores video files, and reads them safely.

The media store is content-addressed (`ab/abcdef….mp4` under the sha256) on any fsspec path. A file kept by reference
stays where it is. Files are only opened in child processes (`resources.media.child_process`), by the functions of
`resources.media.video_file`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

import dagster as dg

from resources.lake.credentials import with_keys
from resources.lake.paths import StoragePath, fsspec_options, local_path
from resources.lake.temporary_folders import temporary_folder
from resources.media.child_process import ordered
from resources.media.confinement import Confinement
from resources.media.video_file import (
    Heard,
    Inspected,
    Scanned,
    ToCut,
    ToScan,
    cut_into,
    duration,
    inspect,
    listen_into,
    read_subtitles,
    scan_into,
)

if TYPE_CHECKING:
    from internvid.cutting.clips import CannotCut, ClipFile
    from internvid.speech.subtitles import Subtitles
    from internvid.video.settings import ScanSettings

SECONDS_TO_START = 60.0  # a child's imports and opening a file, on a busy machine


@dataclass(frozen=True)
class SpokenVideo:
    """A stored video with the subtitle files beside its source. seconds: length of the video, 0 if unknown."""

    path: str
    source: str
    seconds: float
    subtitles: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the file at its source."""
        return unquote(PurePosixPath(urlsplit(self.source).path).name, errors="replace")


class Media(dg.ConfigurableResource):
    """The media store, and the child processes that read from it.

    downloads: folder on this machine's disk for partial downloads. By default it is in the store's folder, or in the
    system's temporary folder where the store is a bucket.
    """

    root: str = "media"
    downloads: str | None = None
    keep: Literal["reference", "import"] = "reference"
    storage_options: dict[str, str] = {}  # as Lance takes them; keys are references, as those of the lake
    workers: int = 2
    memory_bytes: int = 6 << 30  # that a child may write to: 4K AV1 takes 2 GiB
    seconds_per_video_second: float = 10.0  # 4K AV1 on one slow core decodes at about a third of real time

    def store(self, uri: str, sha256: str) -> str:
        """Stores the bytes if they are not kept by reference. Returns the file's path, or its path in the store."""
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
        """Returns the folder of a partial download, on this machine's disk; the same one each time, to resume it."""
        root = self.downloads or local_path(self.root) or f"{tempfile.gettempdir()}/internvid"
        return f"{root.rstrip('/')}/downloads/{key}"

    def partial_downloads(self) -> list[int]:
        """Returns the bytes of each partial download on this machine's disk."""
        folders = Path(self.download_folder("")).glob("*")
        return [sum(map(_bytes_in, folder.rglob("*"))) for folder in folders]

    def file(self, path: str) -> StoragePath:
        """Returns a file by its path, in the store or elsewhere."""
        return StoragePath(path, self._options(path))

    def _put(self, uri: str, name: str) -> str:
        target = self.file(self.root) / name
        if not target.exists():
            with self.local(uri) as source:
                target.put(source)
        return str(target)

    def exists(self, path: str) -> bool:
        return self.file(path).exists()

    def local(self, path: str) -> AbstractContextManager[str]:
        """Yields a path of the file that decoders can open; a remote file is fetched into a temporary file."""
        return self.file(path).local()

    def durations(self, paths: Iterable[str]) -> Iterator[tuple[str, float]]:
        """Yields the seconds of each video by its header, 0 if unreadable, in order. Only for estimates."""
        results = self._children(
            duration,
            paths,
            read=lambda path: (path,),
            arguments=lambda path, folder: (path,),
            video_seconds=lambda path: 0,
        )
        for path, result in results:
            yield path, result if isinstance(result, float) else 0.0

    def inspect(self, uris: Iterable[str]) -> Iterator[tuple[str, Inspected | BaseException]]:
        """Yields hash and probe of each file, in order."""
        return self._children(
            inspect,
            uris,
            read=lambda uri: (uri,),
            arguments=lambda uri, folder: (uri, self._options(uri)),
            video_seconds=lambda uri: 600,
        )

    def scan(
        self, videos: Iterable[ToScan], settings: ScanSettings
    ) -> Iterator[tuple[ToScan, Scanned | BaseException]]:
        """Yields clips and frames of each video, in order; each video is decoded once."""
        return self._children(
            scan_into,
            videos,
            read=lambda video: (video.path,),
            arguments=lambda video, folder: (folder, video, self._options(video.path), settings),
            video_seconds=lambda video: video.seconds or 3600,
        )

    def subtitles(
        self, videos: Iterable[SpokenVideo], kinds: Sequence[str]
    ) -> Iterator[tuple[SpokenVideo, Subtitles | BaseException | None]]:
        """Yields the subtitles of each video, in order; None for a video without subtitles."""
        return self._children(
            read_subtitles,
            videos,
            read=lambda video: (video.path, *video.subtitles),
            arguments=lambda video, folder: (
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
        """Yields the windows of each video's sound with speech, or all windows, in order. The caller removes them."""
        return self._children(
            listen_into,
            videos,
            read=lambda video: (video.path,),
            arguments=lambda video, folder: (folder, video.path, self._options(video.path), only_speech),
            video_seconds=lambda video: video.seconds or 3600,
        )

    def cut(
        self, videos: Iterable[ToCut], beside: Path
    ) -> Iterator[tuple[ToCut, tuple[Path, list[ClipFile | CannotCut]] | BaseException]]:
        """Yields, in order, a folder with the clips of each video and their results. The folder lies in `beside`, so
        that its files can be moved to another folder there; it lasts as long as the results are taken.
        """
        return self._children(
            cut_into,
            videos,
            read=lambda video: (video.path,),
            arguments=lambda video, folder: (folder, video, self._options(video.path)),
            video_seconds=lambda video: video.seconds,
            beside=beside,
        )

    def _children(
        self,
        work: Callable[..., Any],
        inputs: Iterable[Any],
        *,
        read: Callable[[Any], tuple[str, ...]],
        arguments: Callable[[Any, str], tuple[Any, ...]],
        video_seconds: Callable[[Any], float],
        beside: Path | None = None,
    ) -> Iterator[tuple[Any, Any]]:
        """read: the files that the child of an input opens. arguments: of an input, and of the only folder in which the
        children may write, which lasts as long as the results are taken. beside: where that folder is; None: TMPDIR.
        """
        with temporary_folder(beside) as path:
            folder = str(path)

            def confinement(item: Any) -> Confinement:
                is_remote = any(local_path(file) is None for file in read(item))  # then it fetches the file first
                return Confinement(folder, network=is_remote)

            yield from ordered(
                work,
                inputs,
                arguments=lambda item: arguments(item, folder),
                seconds=lambda item: SECONDS_TO_START + self.seconds_per_video_second * video_seconds(item),
                workers=self.workers,
                memory_bytes=self.memory_bytes,
                confinement=confinement,
            )

    def _options(self, path: str) -> dict[str, Any]:
        return fsspec_options(with_keys(self.storage_options)) if local_path(path) is None else {}


def _bytes_in(file: Path) -> int:
    try:
        return file.stat().st_size if file.is_file() else 0
    except FileNotFoundError:  # its download has just ended
        return 0


def _is_unicode(path: str) -> bool:
    """Says whether a column can store the text: file names that are not text contain lone surrogates."""
    return not any("\udc80" <= character <= "\udcff" for character in path)
