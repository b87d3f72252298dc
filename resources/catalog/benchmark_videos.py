"""Finds copies of benchmark videos, so that no model is trained on videos that it is evaluated on.

A setting names the folder of the benchmark videos. Each is decoded once; its fingerprint is stored in a file beside the
tables. Benchmarks that are known only by ids are excluded by `resources.catalog.exclusions`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from resources.incremental.provenance import digest
from resources.lake.published_files import local_copy, modified, publish
from resources.lake.temporary_folders import temporary_folder
from resources.media.video_file import ToScan

if TYPE_CHECKING:
    from internvid.video.copies import CopyIndex
    from internvid.video.fingerprint import Fingerprint
    from internvid.video.settings import ScanSettings
    from resources.lake.store import Lake
    from resources.media.store import Media

# error: why there is no fingerprint; null where there is a fingerprint.
COLUMNS = pa.schema(
    [
        *((name, pa.string()) for name in ("state", "file", "error")),
        *((name, pa.binary()) for name in ("seconds", "hashes")),
    ]
)


@dataclass
class BenchmarkVideos:
    """The videos under a folder, at any depth; None: no videos, and nothing matches.

    settings: the lake's settings of sampling. The files are read when a match is first requested.
    """

    lake: Lake
    media: Media
    settings: ScanSettings
    folder: str | None = None
    log: Callable[[str], object] = lambda text: None

    @classmethod
    def in_folder(cls, lake: Lake, media: Media, settings: ScanSettings, folder: str | None) -> BenchmarkVideos:
        """Returns the videos of the folder. Raises FileNotFoundError where it does not exist."""
        if folder is not None and not Path(folder).is_dir():
            raise FileNotFoundError(
                f"INTERNVID_BENCHMARK_VIDEOS names {folder}, which is not a folder: correct it or unset it"
            )
        return cls(lake, media, settings, folder)

    @cached_property
    def version(self) -> str:
        """A hash of the files and of the method of comparison; empty without a folder."""
        from internvid.video.copies import VERSION

        return digest(VERSION, sorted(self._states)) if self.folder else ""

    def matches(self, fingerprint: Fingerprint) -> str | None:
        """Returns the file of which the video is most probably a copy, as its path in the folder; None: no copy."""
        if not self.folder:
            return None
        copies = self._index.copies_of([("", fingerprint)])  # pairs are ordered by name: "" first, then the file
        best = max(copies, key=lambda pair: (pair[2].frames_alike, pair[1]), default=None)
        return None if best is None else best[1]

    @cached_property
    def unreadable(self) -> dict[str, str]:
        """File -> why it cannot be matched. Callers of `matches` should report them."""
        return {row["file"]: row["error"] for row in self._rows if row["error"] is not None}

    @cached_property
    def _index(self) -> CopyIndex:
        from internvid.video.copies import CopyIndex
        from internvid.video.fingerprint import Fingerprint

        readable = (row for row in self._rows if row["error"] is None)
        return CopyIndex((row["file"], Fingerprint.from_bytes(row["seconds"], row["hashes"])) for row in readable)

    @cached_property
    def _states(self) -> dict[str, str]:
        """Hash of a file's state and of the settings -> its path within the folder."""
        from internvid.video.fingerprint import VERSION

        assert self.folder is not None
        states = {}
        for path in sorted(Path(self.folder).rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                name, stat = str(path.relative_to(self.folder)), path.stat()
                # Cuts decide which frames are middle frames.
                how = (VERSION, self.settings.cut_version, self.settings.frame_version)
                states[digest(name, stat.st_size, stat.st_mtime_ns, *how)] = name
        return states

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        """One row for each file. Missing rows are computed, and the stored file is replaced."""
        assert self.folder is not None
        stored = {row["state"]: row for row in self._stored()}
        missing = {state: name for state, name in self._states.items() if state not in stored}
        if not missing:
            return [stored[state] for state in self._states]
        self.log(f"reading {len(missing):,} benchmark videos in {self.folder}")
        made = {row["state"]: row for row in self._made(missing)}
        rows = [made.get(state) or stored[state] for state in self._states]
        publish(self.lake, self._file, lambda path: _write(path, rows))
        return rows

    @property
    def _file(self) -> str:
        return f"benchmark_videos-{digest(str(self.folder))[:8]}.arrow"

    def _stored(self) -> list[dict[str, Any]]:
        if modified(self.lake, self._file) is None:
            return []
        with temporary_folder() as folder:
            path = local_copy(self.lake, self._file, folder)
            with pa.OSFile(str(path)) as file, pa.ipc.open_stream(file) as stream:
                return stream.read_all().to_pylist()

    def _made(self, files: dict[str, str]) -> Iterator[dict[str, Any]]:
        from internvid.video.fingerprint import Fingerprint

        paths = [str(Path(str(self.folder), name)) for name in files.values()]
        to_scan = (ToScan(path, seconds) for path, seconds in self.media.durations(paths))
        scans = self.media.scan(to_scan, self.settings)
        for (state, name), (_, scanned) in zip(files.items(), scans, strict=True):
            row: dict[str, Any] = {"state": state, "file": name, "error": None, "seconds": None, "hashes": None}
            if isinstance(scanned, BaseException):
                yield row | {"error": f"{type(scanned).__name__}: {scanned}"}
                continue
            frames = (
                (frame["seconds"], frame["jpeg"])
                for batch in scanned.frames()
                for frame in batch.select(["seconds", "jpeg"]).to_pylist()
            )
            fingerprint = Fingerprint.from_frames(frames)
            scanned.remove()
            yield row | {"seconds": fingerprint.seconds_bytes, "hashes": fingerprint.hashes_bytes}


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, COLUMNS) as stream:
        for row in rows:
            stream.write_batch(pa.RecordBatch.from_pylist([row], schema=COLUMNS))
