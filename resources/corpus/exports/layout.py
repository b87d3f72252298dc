"""What lies where in the folder of an export, finished or not.

manifest.json         written last
README.md             the dataset card
index/00000.jsonl     the clips of a part in order, also those that could not be cut, with all that is told of them
…                     the form's own files; clips that lie in files of their own in a folder for each part
.parts/plan.json      while it is made: what is being made
.parts/00000.json     while it is made: the files of a part that is done
.parts/00000/         while a part is made: its clips, each with a record
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from internvid.cutting.clips import measured
from internvid.report.whole_file import whole_file
from resources.corpus.exports.manifest import ExportFile, Plan, as_json

PARTS = ".parts"
PLAN = "plan.json"
INDEX = "index"
STAGED = "staged"
SUCCESS, FAILED = "success", "failed"

Row = Mapping[str, Any]  # a line of the index


@dataclass(frozen=True)
class Part:
    """Clips of one split, in their order. clips: where the files of its clips are, by name of the row's `file`."""

    number: int
    split: str
    rows: Sequence[Row]
    clips: Path

    @property
    def name(self) -> str:
        return f"{self.number:05d}"

    @property
    def exported(self) -> list[Row]:
        return [row for row in self.rows if row["status"] == SUCCESS]


@dataclass(frozen=True)
class ExportFolder:
    """The folder of an export."""

    path: Path

    @property
    def parts(self) -> Path:
        return self.path / PARTS

    def plan(self) -> Plan | None:
        """Returns what is being made here; None where nothing is."""
        try:
            return Plan.model_validate_json((self.parts / PLAN).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def begin(self, plan: Plan) -> None:
        self.parts.mkdir(parents=True, exist_ok=True)
        with whole_file(self.parts / PLAN) as file:
            file.write(plan.model_dump_json(indent=1))

    def work(self, number: int) -> Path:
        """The folder in which a part is made."""
        return self.parts / f"{number:05d}"

    def is_done(self, number: int) -> bool:
        return (self.parts / f"{number:05d}.json").exists()

    def put(self, part: Part, staged: Path, known: Mapping[str, tuple[int, str]]) -> None:
        """Moves the files of a part to their places and notes that it is done. Killed, it can be done again.

        known: bytes and sha256 of files that were measured before.
        """
        with whole_file(staged / INDEX / f"{part.name}.jsonl") as index:
            index.writelines(f"{as_json(row)}\n" for row in part.rows)
        files = []
        for path in _files_in(staged):
            name = path.relative_to(staged).as_posix()
            size, sha256 = known.get(name) or measured(path)
            files.append(ExportFile(file=name, bytes=size, sha256=sha256, part=part.number))
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(path, self.path / name)
        self.note_done(part.number, files)
        shutil.rmtree(self.work(part.number))

    def note_done(self, number: int, files: Iterable[ExportFile]) -> None:
        """Notes that a part is done whose files lie in their places."""
        with whole_file(self.parts / f"{number:05d}.json") as record:
            record.write("\n".join(file.model_dump_json() for file in files))

    def done_files(self, number: int) -> list[ExportFile]:
        """Returns the files of a part that is done."""
        lines = (self.parts / f"{number:05d}.json").read_text(encoding="utf-8").splitlines()
        return [ExportFile.model_validate_json(line) for line in lines]

    def numbers(self) -> list[int]:
        """Returns the numbers of the parts that have an index, in order."""
        return sorted(int(path.stem) for path in (self.path / INDEX).glob("*.jsonl"))

    def index_path(self, number: int) -> Path:
        return self.path / INDEX / f"{number:05d}.jsonl"

    def rows(self, number: int) -> list[dict[str, Any]]:
        """Returns the rows of a part, as its index has them."""
        with self.index_path(number).open(encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def all_rows(self) -> Iterator[dict[str, Any]]:
        """Yields the rows of all parts, in order; a part is in memory at a time."""
        for number in self.numbers():
            yield from self.rows(number)


def _files_in(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
