"""The manifest of an export: what it shows, how it was made, and every file with its size and checksum.

It is written last, so a folder with a manifest is a complete export. `verify` compares the folder with it, file by
file: memory does not grow with the files but for eight bytes each.
"""

from __future__ import annotations

import hashlib
import json
import os
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from internvid.cutting.clips import measured
from internvid.report.whole_file import whole_file
from resources.lake.published_files import MANIFEST

FORMAT = "internvid-export/2"  # changes with every change of what is written for the same clips
MAX_FAILURES_LISTED = 1_000  # the index has all
FILES_BEGIN = ' "files": ['  # after all else, so that it need not be read for that


class Plan(BaseModel):
    """All that decides an export's bytes: it is gone on with, or complete, where this is equal.

    clips: exact, copy or none. snapshot, subset, statement, values: as of `Selection`. software: package -> version.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: str
    form: str
    clips: str
    max_height: int | None
    fps: float | None
    clips_per_part: int
    snapshot: str
    subset: str | None
    statement: str | None
    values: dict[str, Any]
    software: dict[str, str]


class ModelUse(BaseModel):
    """A model, for what it was used, by which version, and for how many clips of the export."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    role: str
    model: str
    version: str | None
    clips: int


class Failures(BaseModel):
    """Clips that are not in the export. by_class: their number by class of error. listed: the first ones."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    by_class: dict[str, int]
    listed: list[dict[str, str]]


class Head(BaseModel):
    """The manifest without its list of files.

    clips_selected = clips_exported + the failures; of these three numbers none counts the forgotten clips, which were
    taken out since, because their videos were forgotten. content_sha256: of the index.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    plan: Plan
    clips_selected: int
    clips_exported: int
    forgotten: int
    failures: Failures
    models: list[ModelUse]
    content_sha256: str
    bytes: int


class ExportFile(BaseModel):
    """A file of the export. part: the part that it belongs to; None: it is of the whole export.

    Raises ValueError for a file outside the export: others may have written the manifest, and what it names is read,
    replaced and removed.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    file: str
    bytes: int
    sha256: str
    part: int | None = None

    @field_validator("file")
    @classmethod
    def _is_inside(cls, file: str) -> str:
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"{file!r} is not in the folder of the export")
        return file


def write_manifest(folder: Path, head: Head, files: Iterable[ExportFile]) -> None:
    """Writes the manifest, whole or not at all; one line for each file."""
    text = head.model_dump_json(indent=1).removesuffix("\n}")
    with whole_file(folder / MANIFEST) as manifest:
        manifest.write(f"{text},\n{FILES_BEGIN}")
        for number, file in enumerate(files):
            manifest.write(f"{',' if number else ''}\n  {file.model_dump_json()}")
        manifest.write("\n ]\n}\n")


def read_head(folder: Path) -> Head | None:
    """Returns the manifest without its files; None where there is none, or one of another format."""
    try:
        with (folder / MANIFEST).open(encoding="utf-8") as manifest:
            lines = list(takewhile(lambda line: not line.startswith(FILES_BEGIN), manifest))
        return Head.model_validate_json("".join(lines).rstrip().removesuffix(",") + "}")
    except (FileNotFoundError, ValueError):
        return None


def files_of(folder: Path) -> Iterator[ExportFile]:
    """Yields the files that the manifest names, one by one. Raises ValueError for one that cannot be read."""
    import ijson

    with (folder / MANIFEST).open("rb") as file:
        try:
            for fields in ijson.items(file, "files.item"):
                yield ExportFile.model_validate(fields)
        except (ijson.JSONError, ValidationError) as error:
            raise ValueError(f"{folder / MANIFEST} is damaged: {error}") from error


@dataclass(frozen=True)
class Fault:
    """A file that is not as the manifest says. what: missing, changed, or extra."""

    file: str
    what: str


def verify(folder: Path) -> Iterator[Fault]:
    """Yields every difference between the folder and its manifest. Raises ValueError without a manifest to read."""
    if not (folder / MANIFEST).exists():
        raise ValueError(f"{folder} has no {MANIFEST}: it is no complete export")
    named = array("Q")
    for file in files_of(folder):
        named.append(_number(file.file))
        path = folder / file.file
        if not path.is_file():
            yield Fault(file.file, "missing")
        elif (size := path.stat().st_size) != file.bytes:
            yield Fault(file.file, f"changed: {size:,} bytes, not {file.bytes:,}")
        elif measured(path)[1] != file.sha256:
            yield Fault(file.file, "changed: another sha256")
    known = np.sort(np.frombuffer(named, np.uint64)) if named else np.zeros(0, np.uint64)
    for name in _names_in(folder):
        number = np.uint64(_number(name))
        at = int(np.searchsorted(known, number))
        if name != MANIFEST and (at == len(known) or known[at] != number):
            yield Fault(name, "extra: the manifest does not name it")


def _names_in(folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            yield (Path(parent) / name).relative_to(folder).as_posix()


def _number(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")


def software() -> dict[str, str]:
    """Returns the versions of what decides the bytes of clips and files."""
    from importlib.metadata import version

    import av

    names = ("internvid-lakehouse", "av", "pyarrow", "pylance")
    return {name: version(name) for name in names} | {"ffmpeg": av.ffmpeg_version_info}


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
