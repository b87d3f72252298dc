"""Finds the subtitle files beside a video, and parses their names.

`video.mp4` has `video.srt`, `video.en.vtt`, `video.mp4.de.srt`, `video.en-orig.json3`; yt-dlp's `video [id].mp4` has
`video [id].en.vtt`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from internvid.speech.language import language_code

# Forms that cannot be read (pictures, codes of broadcasters) are among them: they are told of, by name.
SUFFIXES = tuple(
    f".{suffix}"
    for suffix in (
        *(
            "srt",
            "vtt",
            "webvtt",
            "ass",
            "ssa",
            "sbv",
            "lrc",
            "sub",
            "mpl",
            "mpl2",
            "ttml",
            "dfxp",
            "itt",
            "smi",
            "sami",
        ),
        *("json3", "srv1", "srv2", "srv3", "stl", "scc", "sup", "usf", "rt", "jss"),
    )
)

_AUTOMATIC = {"auto", "asr", "automatic", "generated"}
_FORCED = {"forced", "foreign"}  # subtitles of foreign speech only
# Tags that mean no language, though some are codes of languages, too.
_NO_LANGUAGE = {
    *_AUTOMATIC,
    *_FORCED,
    "sdh",
    "cc",
    "full",
    "default",
    "new",
    "the",
}


@dataclass(frozen=True)
class NameTags:
    """Tags in a subtitle file's name. language: as `language_code`. is_original: the spoken one (YouTube's `-orig`)."""

    language: str | None
    is_original: bool
    is_automatic: bool
    is_forced: bool


def tags_in_name(video: str, subtitles: str) -> NameTags:
    """Parses the tags between the video's name and the suffix. video, subtitles: the names of the two files."""
    rest = Path(subtitles).stem
    for prefix in (video, Path(video).stem):
        if rest.startswith(prefix):
            rest = rest.removeprefix(prefix)
            break
    tags = [tag for tag in rest.lower().split(".") if tag]
    codes = [language_code(tag.removesuffix("-orig")) for tag in tags if tag not in _NO_LANGUAGE]
    is_original = any(tag.endswith("-orig") for tag in tags)
    return NameTags(
        language=next(filter(None, codes), None),
        is_original=is_original,
        is_automatic=is_original or not _AUTOMATIC.isdisjoint(tags),
        is_forced=not _FORCED.isdisjoint(tags),
    )


class SidecarFinder:
    """Finds the subtitle files of videos; reads each folder once. is_video: decides by a file's name."""

    def __init__(self, is_video: Callable[[str], bool]) -> None:
        self._is_video = is_video
        self._folders: dict[Path, dict[str, list[str]]] = {}

    def subtitle_files(self, video: Path) -> list[Path]:
        """Returns the subtitle files of the video, in order of name."""
        folder = video.parent
        if folder not in self._folders:
            self._folders[folder] = self._names_by_video(folder)
        names = self._folders[folder]
        return [folder / name for name in sorted({*names.get(video.stem, ()), *names.get(video.name, ())})]

    def _names_by_video(self, folder: Path) -> dict[str, list[str]]:
        with os.scandir(folder) as entries:
            # Whoever opens a pipe waits for a writer.
            return subtitles_by_video([entry.name for entry in entries if entry.is_file()], self._is_video)


def subtitles_by_video(names: Sequence[str], is_video: Callable[[str], bool]) -> dict[str, list[str]]:
    """Returns video name, with or without suffix -> names of its subtitle files. names: of the files in a folder.

    A subtitle file belongs to the longest matching name: `video.2.srt` to `video.2.mp4` and not to `video.mp4`.
    """
    subtitles = [name for name in names if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
    if not subtitles:
        return {}
    videos = {form for name in names if is_video(name) for form in (name, Path(name).stem)}
    names_by_video: dict[str, list[str]] = {}
    for name in subtitles:
        parts = name.split(".")
        prefixes = (".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))
        if owner := next((prefix for prefix in prefixes if prefix in videos), None):
            names_by_video.setdefault(owner, []).append(name)
    return names_by_video
