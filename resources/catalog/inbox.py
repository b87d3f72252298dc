"""The inbox: a watched folder. Files in it are registered once they are completely written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Optional

import dagster as dg
import pyarrow as pa

from internvid.speech.sidecars import SidecarFinder
from internvid.video.file_kinds import is_video_name
from resources.catalog.files import seen_now
from resources.catalog.folders import FoundFiles, video_files
from resources.lake.statements import statement
from resources.lake.store import Lake

SEEN = pa.schema(
    [
        ("uri", pa.string()),
        ("size_bytes", pa.int64()),
        ("modified_ns", pa.int64()),
        ("subtitles_seen", pa.string()),
    ]
)


@dataclass
class InboxContents:
    """Numbers of files in the inbox. young: video files that were modified recently, so may still be written."""

    videos: int = 0
    young: int = 0
    other_files: int = 0

    def __str__(self) -> str:
        return f"{self.videos:,} video files, {self.young:,} of them too young; {self.other_files:,} other files"


class Inbox(dg.ConfigurableResource):
    """The watched folder; None: no folder is watched.

    settled_seconds: time without a modification after which a file is registered; a copy in progress is modified more
    often.
    """

    folder: Optional[str] = None  # noqa: UP045 - Dagster's config knows no other union
    settled_seconds: float = 10.0

    def required_folder(self) -> str:
        """Returns the folder. Raises dg.Failure when none is configured."""
        if not self.folder:
            raise dg.Failure("nothing to register: give `locations` in the run's config, or set INTERNVID_INBOX")
        return self.folder

    def unregistered(self, lake: Lake, contents: InboxContents, *, max_files: int) -> list[dict[str, Any]]:
        """Returns rows of SEEN of new and changed files, at most max_files; a later call returns the others."""
        seen = pa.Table.from_pylist(list(self._settled_files(contents)), schema=SEEN)
        with lake.connect(["sources"]) as connection:
            connection.register("seen", seen)
            files = connection.sql(statement("catalog/unregistered"), params={"files": max_files}).to_arrow_table()
        return files.to_pylist()

    def _settled_files(self, contents: InboxContents) -> Iterator[dict[str, object]]:
        tally = FoundFiles()
        sidecars = SidecarFinder(is_video_name)
        for path in video_files([self.required_folder()], tally):
            try:
                seen = seen_now(path, sidecars)
                times = [seen["modified_ns"], *(file.stat().st_mtime_ns for file in sidecars.subtitle_files(path))]
            except FileNotFoundError:  # moved away meanwhile, or a link to nothing
                continue
            contents.videos += 1
            # A time far in the future comes from another clock: the file was not written just now.
            if any(abs(time.time_ns() - modified_ns) < 1e9 * self.settled_seconds for modified_ns in times):
                contents.young += 1
            else:
                yield {name: seen[name] for name in SEEN.names}
        contents.other_files = tally.passed_over_files
