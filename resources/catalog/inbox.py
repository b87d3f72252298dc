"""The inbox: a folder that is watched. What lands in it and is not being written any more is registered."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

import dagster as dg
import pyarrow as pa

from internvid.speech.sidecars import SidecarFinder
from resources.catalog.files import Registered, is_video, seen_now, video_files
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
    """What lies in the inbox. young: files modified so lately that they may still be being written."""

    videos: int = 0
    young: int = 0
    other_files: int = 0

    def __str__(self) -> str:
        return f"{self.videos:,} video files, {self.young:,} of them too young; {self.other_files:,} other files"


class Inbox(dg.ConfigurableResource):
    """The watched folder; None watches nothing.

    settled_seconds: a file is registered once it was not modified for so long: a copy in progress is modified later.
    """

    folder: Optional[str] = None  # noqa: UP045 - Dagster's config knows no other union
    settled_seconds: float = 10.0

    def required_folder(self) -> str:
        """Returns the folder. Raises dg.Failure when none is configured."""
        if not self.folder:
            raise dg.Failure("nothing to register: give `locations` in the run's config, or set INTERNVID_INBOX")
        return self.folder

    def unregistered(self, lake: Lake, contents: InboxContents, *, max_files: int) -> list[str]:
        """Returns URIs of new and changed files, at most max_files: the others have their turn later."""
        seen = pa.Table.from_pylist(list(self._settled_files(contents)), schema=SEEN)
        with lake.connect(["sources"]) as connection:
            connection.register("seen", seen)
            rows = connection.execute(statement("catalog/unregistered"), {"files": max_files}).fetchall()
        return [uri for (uri,) in rows]

    def _settled_files(self, contents: InboxContents) -> Iterator[dict[str, object]]:
        registered = Registered()
        sidecars = SidecarFinder(is_video)
        for path in video_files([self.required_folder()], registered):
            try:
                seen = seen_now(path, sidecars)
                times = [seen["modified_ns"], *(file.stat().st_mtime_ns for file in sidecars.subtitle_files(path))]
            except FileNotFoundError:  # moved away meanwhile, or a link to nothing
                continue
            contents.videos += 1
            # A file dated in the future was not written just now: its date is that of another clock.
            if any(abs(time.time_ns() - modified_ns) < 1e9 * self.settled_seconds for modified_ns in times):
                contents.young += 1
            else:
                yield {name: seen[name] for name in SEEN.names}
        contents.other_files = registered.ignored
