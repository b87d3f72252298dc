"""Subtitle files that lie beside a video: which belong to it, and what their names tell.

`film.mp4` has `film.srt`, `film.en.vtt`, `film.mp4.de.srt`, `film.en-orig.json3`; yt-dlp's `film [id].mp4` has
`film [id].en.vtt`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from internvid.speech.language import language_code

SUFFIXES = (".srt", ".vtt", ".ass", ".ssa", ".json3")

_AUTOMATIC = {"auto", "asr", "automatic", "generated"}
_FORCED = {"forced", "foreign"}  # only what is said in another language than the rest
_NO_LANGUAGE = {*_AUTOMATIC, *_FORCED, "sdh", "cc", "full", "default", "new", "the"}  # some are codes of languages, too


@dataclass(frozen=True)
class NameTells:
    """language: as `language_code`. is_original: of the language that is spoken, as YouTube's `-orig`."""

    language: str | None
    is_original: bool
    is_automatic: bool
    is_forced: bool


def name_tells(video: str, subtitles: str) -> NameTells:
    """From the names of both files, by the tags between the video's name and the suffix."""
    rest = Path(subtitles).stem
    for beginning in (video, Path(video).stem):
        if rest.startswith(beginning):
            rest = rest.removeprefix(beginning)
            break
    tags = [tag for tag in rest.lower().split(".") if tag]
    codes = [language_code(tag.removesuffix("-orig")) for tag in tags if tag not in _NO_LANGUAGE]
    is_original = any(tag.endswith("-orig") for tag in tags)
    return NameTells(
        language=next(filter(None, codes), None),
        is_original=is_original,
        is_automatic=is_original or not _AUTOMATIC.isdisjoint(tags),
        is_forced=not _FORCED.isdisjoint(tags),
    )


class SidecarFinder:
    """Finds the subtitle files of videos; looks into each folder once. is_video: by a file's name."""

    def __init__(self, is_video: Callable[[str], bool]) -> None:
        self._is_video = is_video
        self._folders: dict[Path, dict[str, list[str]]] = {}

    def of(self, video: Path) -> list[Path]:
        """Those of the video, in order of name."""
        folder = video.parent
        if folder not in self._folders:
            self._folders[folder] = self._by_video(folder)
        found = self._folders[folder]
        return [folder / name for name in sorted({*found.get(video.stem, ()), *found.get(video.name, ())})]

    def _by_video(self, folder: Path) -> dict[str, list[str]]:
        """Video's name, with or without suffix -> its subtitle files: of `film.mp4` and `film.2.mp4`, both of whose
        names `film.2.srt` begins with, it belongs to the longer."""
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if not entry.name.startswith(".")]
        subtitles = [name for name in names if name.lower().endswith(SUFFIXES)]
        if not subtitles:
            return {}
        videos = {form for name in names if self._is_video(name) for form in (name, Path(name).stem)}
        found: dict[str, list[str]] = {}
        for name in subtitles:
            parts = name.split(".")
            beginnings = (".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))
            if owner := next((beginning for beginning in beginnings if beginning in videos), None):
                found.setdefault(owner, []).append(name)
        return found
