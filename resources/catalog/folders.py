"""Finds the video files in folders, and keeps what is passed over there: how many files of which suffix, and why.

The counts stand in `attempts`, a row for each folder, suffix and reason: `internvid status` lists them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from internvid.speech.sidecars import SUFFIXES as SUBTITLE_SUFFIXES
from internvid.speech.sidecars import subtitles_by_video
from internvid.video.file_kinds import is_video_name, why_left_over, why_no_video
from resources.incremental import attempts
from resources.incremental.attempts import Unusable
from resources.incremental.provenance import digest
from resources.lake.paths import local_path
from resources.lake.store import Lake

STAGE = "sources"  # in attempts: files that are passed over
FOLDER = "a folder"  # in place of a suffix
NO_SUFFIX = "no suffix"
_MAX_SUFFIX_LENGTH = 12  # characters with the point; more is part of a name with a point in it
_MAX_KINDS = 200  # of suffix and reason in a location, told one by one


@dataclass(frozen=True)
class PassedOver:
    """Files of a suffix that are passed over for one reason. example: one of them, within the location."""

    location: str
    suffix: str
    why: str
    files: int
    example: str

    def __str__(self) -> str:
        return f"{self.files:,} {self.suffix}: {self.why} ({self.example})"


@dataclass
class FoundFiles:
    """What was passed over while folders were searched, by location, suffix and reason; and the folders themselves."""

    passed_over: dict[tuple[str, str, str], PassedOver] = field(default_factory=dict)
    locations: list[str] = field(default_factory=list)

    @property
    def passed_over_files(self) -> int:
        return sum(kind.files for kind in self.passed_over.values() if kind.suffix != FOLDER)

    def pass_over(self, location: str, path: str, why: str, suffix: str | None = None) -> None:
        suffix = _shown_suffix(PurePath(path).name) if suffix is None else suffix
        key = (location, suffix, why)
        if key not in self.passed_over and len(self.passed_over) >= _MAX_KINDS:
            key = (location, "other suffixes", "no video, or left over")
        known = self.passed_over.get(key)
        example = os.path.relpath(path, location).encode(errors="backslashreplace").decode()
        self.passed_over[key] = replace(known, files=known.files + 1) if known else PassedOver(*key, 1, example)

    def add(self, tally: FoundFiles) -> None:
        for key, kind in tally.passed_over.items():
            known = self.passed_over.get(key)
            self.passed_over[key] = replace(kind, files=kind.files + known.files) if known else kind
        self.locations += tally.locations


def video_files(locations: Iterable[str], tally: FoundFiles) -> Iterator[Path]:
    """Yields files given by name, and the videos in folders, at any depth, in order of name.

    Folders that are links are followed; each folder is searched once. Raises FileNotFoundError for a location that does
    not exist.
    """
    for location in locations:
        path = Path(local_path(location) or location).expanduser()
        if path.is_dir():
            tally.locations.append(str(path.resolve()))
            yield from _videos_below(path, tally)
        elif path.exists():
            yield path.resolve()
        else:
            raise FileNotFoundError(f"no such file or folder: {location}")


def _videos_below(root: Path, tally: FoundFiles) -> Iterator[Path]:
    location = str(root.resolve())
    searched: set[tuple[int, int]] = set()

    def pass_over(path: str, why: str, suffix: str | None = None) -> None:
        tally.pass_over(location, path, why, suffix)

    def unreadable(error: OSError) -> None:
        pass_over(error.filename, f"it cannot be read: {error.strerror}", FOLDER)

    for folder, subfolders, names in os.walk(location, followlinks=True, onerror=unreadable):
        if not _is_first_visit(folder, searched):
            pass_over(folder, "it was searched already, by another name", FOLDER)
            subfolders.clear()
            continue
        for name in subfolders:
            if name.startswith("."):
                pass_over(os.path.join(folder, name), "a hidden folder", FOLDER)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        yield from _videos_in(folder, sorted(names), pass_over)


def _is_first_visit(folder: str, searched: set[tuple[int, int]]) -> bool:
    status = os.stat(folder)
    identity = status.st_dev, status.st_ino
    is_first = identity not in searched
    searched.add(identity)
    return is_first


def _videos_in(folder: str, names: list[str], pass_over: Callable[[str, str], None]) -> Iterator[Path]:
    beside = set(names)
    owned = {name for of_video in subtitles_by_video(names, is_video_name).values() for name in of_video}
    for name in names:
        path = Path(folder, name)
        why = why_left_over(name, beside)
        if why is None and name.lower().endswith(SUBTITLE_SUFFIXES):
            if name in owned:
                continue
            why = "subtitles of no video beside them"
        if why is None:
            why = _why_no_video(path)
        if why is None:
            yield path.resolve()
        else:
            pass_over(str(path), why)


def _why_no_video(path: Path) -> str | None:
    try:
        if path.is_file():
            return why_no_video(path)
        return "a link to nothing" if not path.exists() else "no regular file"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"


def _shown_suffix(name: str) -> str:
    suffix = PurePath(name).suffix.lower()
    if name.startswith(".") and name.count(".") == 1:
        suffix = name.lower()
    return suffix if 1 < len(suffix) <= _MAX_SUFFIX_LENGTH and " " not in suffix else NO_SUFFIX


def note_passed_over(lake: Lake, tally: FoundFiles, run_id: str) -> None:
    """Writes what was passed over in the locations, where it is not what `attempts` says already."""
    for location in dict.fromkeys(tally.locations):
        prefix = digest(location)[:16]
        rows = [_row(prefix, kind) for kind in tally.passed_over.values() if kind.location == location]
        known = lake.query(
            "select attempt_id, key, message from attempts where stage = $stage and starts_with(key, $prefix)",
            {"stage": STAGE, "prefix": f"{prefix}/"},
            tables=["attempts"],
        ).to_pylist()
        stated = {row["key"]: row["message"] for row in known}
        if stated != {row.key: row.why for row in rows}:
            present = {row.key for row in rows}
            attempts.note(lake, STAGE, rows, run_id)
            lake.delete("attempts", [row["attempt_id"] for row in known if row["key"] not in present])


def _row(prefix: str, kind: PassedOver) -> Unusable:
    key = f"{prefix}/{digest(kind.suffix, kind.why)[:16]}"
    return Unusable(key, kind.location, "PassedOver", str(kind), outcome="skipped")
