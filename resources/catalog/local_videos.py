"""Finds the local files of videos that lists name by an id: `ID.mp4`, `title [ID].webm`, `v_ID.mkv`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from internvid.lists.annotations import Annotation
from internvid.video.file_kinds import is_video_name
from internvid.web.addresses import youtube_id_of
from resources.catalog.folders import FoundFiles, video_files
from resources.lake.paths import local_path

if TYPE_CHECKING:
    import polars as pl

FILES_PER_PART = 50_000

_IN_BRACKETS = re.compile(r"[\[({]([^\[\](){}]+)[\])}]")
# An id at the end of a name (youtube-dl's title-ID), or before a title. What stands right after an id makes the name of
# a part of the video: ID_12, ID.0, ID-Scene-001.
_AT_THE_END = re.compile(r"(?:^v_|[\s_-])(?P<id>[\w-]{11})$")
_AT_THE_BEGINNING = re.compile(r"(?P<id>[\w-]{11})\s")


class LocalVideos:
    """The videos in a folder by the ids in their names: some hundred bytes of memory for each file."""

    def __init__(self, folder: Path) -> None:
        """Raises FileNotFoundError where there is no such folder."""
        import polars as pl

        self.folder = folder
        self.files = 0
        self.wanted: set[int] = set()
        self.present: set[int] = set()
        files, parts = video_files([str(folder)], FoundFiles()), []
        while paths := list(islice(files, FILES_PER_PART)):
            parts.append(self._indexed(paths))
        empty = pl.DataFrame(schema={"key": pl.String, "rank": pl.UInt8, "path": pl.String})
        self._index = pl.concat([empty, *parts]).sort("key", "rank", "path").unique("key", keep="first")

    def _indexed(self, paths: Sequence[Path]) -> pl.DataFrame:
        import polars as pl

        self.files += len(paths)
        rows = [(key, rank, str(path)) for path in paths for rank, key in enumerate(self._keys(path))]
        return pl.DataFrame(rows, schema={"key": pl.String, "rank": pl.UInt8, "path": pl.String}, orient="row")

    def _keys(self, path: Path) -> Iterator[str]:
        """Yields the names by which a list may mean the file, the surest first."""
        stem = path.stem
        keys = [os.path.relpath(path, self.folder.resolve()), path.name, stem]
        if is_video_name(stem):  # clip.mov.mp4
            keys.append(PurePosixPath(stem).stem)
        keys += _IN_BRACKETS.findall(stem)[::-1]
        keys += [match["id"] for form in (_AT_THE_END, _AT_THE_BEGINNING) if (match := form.search(stem))]
        return (key.strip().encode(errors="backslashreplace").decode() for key in dict.fromkeys(keys))

    def attach(self, spans: Sequence[Annotation]) -> tuple[list[Annotation], list[Annotation]]:
        """Returns the spans with the path of their file as `url`, and those whose file is not there.

        A file that was cut out for a span, by the clip's name, is the span from its beginning to its end.
        """
        import polars as pl

        keys = {key for span in spans for key in chain(_clip_keys(span), _video_keys(span))}
        rows = self._index.filter(pl.col("key").is_in(list(keys))).select("key", "path").rows()
        paths: dict[str, str] = dict(rows)
        attached, missing = [], []
        for span in spans:
            clip = next((paths[key] for key in _clip_keys(span) if key in paths), None)
            video = next((paths[key] for key in _video_keys(span) if key in paths), None)
            self.wanted.add(hash(span.url or span.clip))
            if video is not None and not span.is_whole_clip:
                attached.append(replace(span, url=video))
            elif clip is not None:
                attached.append(replace(span, url=clip, start_seconds=0.0, end_seconds=None, is_whole_clip=False))
            else:
                missing.append(span)
                continue
            self.present.add(hash(span.url or span.clip))
        return attached, missing


def _clip_keys(span: Annotation) -> Iterable[str]:
    return () if span.clip is None else _names(span.clip)


def _video_keys(span: Annotation) -> Iterable[str]:
    if (youtube_id := youtube_id_of(span.url)) is not None:
        return (youtube_id,)
    path = local_path(span.url)
    if path is None:
        return _names(unquote(PurePosixPath(urlsplit(span.url).path).name))
    return (path, *_names(PurePosixPath(path).name)) if path else ()


def _names(name: str) -> tuple[str, ...]:
    """Returns the name with and without its suffix."""
    return (name, PurePosixPath(name).stem) if is_video_name(name) else (name,)
