"""Videos of benchmarks: what a video is a copy of, so that no model is trained on what it is measured on.

INTERNVID_BENCHMARK_VIDEOS names a folder of them. Each is decoded once; its fingerprint is kept in a file beside the
tables. Benchmarks that are known by their ids alone are kept out by `resources.exclusions`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from resources.published_files import local_copy, modified, publish
from resources.refresh import digest
from resources.video_file import ToScan

if TYPE_CHECKING:
    from internvid.video.copies import CopyIndex
    from internvid.video.fingerprint import Fingerprint
    from internvid.video.settings import ScanSettings
    from resources.lake import Lake
    from resources.media import Media

BENCHMARK_VIDEOS = "INTERNVID_BENCHMARK_VIDEOS"

# error: why there is no fingerprint, null where there is one.
COLUMNS = pa.schema(
    [
        *((name, pa.string()) for name in ("state", "file", "error")),
        *((name, pa.binary()) for name in ("seconds", "hashes")),
    ]
)


@dataclass
class BenchmarkVideos:
    """The videos under a folder, at any depth; without a folder there are none, and nothing matches.

    settings: how frames are sampled, as in the lake. Files are looked at when first asked for a match.
    """

    lake: Lake
    media: Media
    settings: ScanSettings
    folder: str | None = None
    log: Callable[[str], object] = lambda text: None

    @classmethod
    def of_environment(cls, lake: Lake, media: Media, settings: ScanSettings) -> BenchmarkVideos:
        """Raises FileNotFoundError where the folder that INTERNVID_BENCHMARK_VIDEOS names does not exist."""
        folder = os.environ.get(BENCHMARK_VIDEOS) or None
        if folder is not None and not Path(folder).is_dir():
            raise FileNotFoundError(f"{BENCHMARK_VIDEOS} names {folder}, which is no folder: correct it or unset it")
        return cls(lake, media, settings, folder)

    @cached_property
    def version(self) -> str:
        """A hash of what there is to match; empty without a folder. It changes with the files, and with how they are
        compared."""
        from internvid.video.copies import VERSION

        return digest(VERSION, sorted(self._states)) if self.folder else ""

    def matches(self, fingerprint: Fingerprint) -> str | None:
        """The file, as its path within the folder, that the video is a copy of or shares most with; None for none."""
        if not self.folder:
            return None
        found = self._index.copies_of([("", fingerprint)])  # a file's name is longer, so it is the other of the two
        best = max(found, key=lambda pair: (pair[2].frames_alike, pair[1]), default=None)
        return None if best is None else best[1]

    @cached_property
    def unreadable(self) -> dict[str, str]:
        """File -> why it cannot be matched. Whoever calls `matches` should tell of them."""
        return {row["file"]: row["error"] for row in self._rows if row["error"] is not None}

    @cached_property
    def _index(self) -> CopyIndex:
        from internvid.video.copies import CopyIndex
        from internvid.video.fingerprint import Fingerprint

        readable = (row for row in self._rows if row["error"] is None)
        return CopyIndex((row["file"], Fingerprint.from_bytes(row["seconds"], row["hashes"])) for row in readable)

    @cached_property
    def _states(self) -> dict[str, str]:
        """What a file is and how it is read -> its path within the folder."""
        from internvid.video.fingerprint import VERSION

        assert self.folder is not None
        found = {}
        for path in sorted(Path(self.folder).rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                name, stat = str(path.relative_to(self.folder)), path.stat()
                # Cuts decide which frames are middle ones.
                how = (VERSION, self.settings.cut_version, self.settings.frame_version)
                found[digest(name, stat.st_size, stat.st_mtime_ns, *how)] = name
        return found

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        """One for each file. Those that the file beside the tables lacks are made, and it is written anew."""
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
        with tempfile.TemporaryDirectory(prefix="internvid-") as folder:
            path = local_copy(self.lake, self._file, Path(folder))
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
            found = Fingerprint.of(frames)
            scanned.remove()
            yield row | {"seconds": found.seconds_bytes, "hashes": found.hashes_bytes}


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, COLUMNS) as stream:
        for row in rows:
            stream.write_batch(pa.RecordBatch.from_pylist([row], schema=COLUMNS))
