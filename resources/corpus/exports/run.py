"""Makes an export, part by part: clips are cut by child processes, a part is written when all of its clips are there.

Killed anywhere, it goes on from the clips that are cut, and ends in the same files. A clip that cannot be cut is a row
of the index with the reason, and counted in the manifest; where the disk or the media store is at fault, it stops.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from internvid.cutting.clips import ClipFile, Cut
from internvid.cutting.exact import Encoding
from internvid.report.whole_file import whole_file
from resources.corpus.exports.forms import form_named
from resources.corpus.exports.layout import FAILED, STAGED, SUCCESS, ExportFolder, Part
from resources.corpus.exports.manifest import FORMAT, Head, Plan, as_json, read_head, software
from resources.corpus.exports.selection import Selection, selected_clips
from resources.corpus.exports.whole import complete
from resources.incremental.faults import system_fault_of
from resources.lake.store import Lake
from resources.lake.temporary_folders import remove_abandoned
from resources.media.child_process import DecoderCrashed
from resources.media.store import Media
from resources.media.video_file import ToCut

CLIPS_PER_PART = 1_000
EXACT, COPY, NONE = "exact", "copy", "none"
KINDS_OF_CLIPS = (EXACT, COPY, NONE)
# Not of the index: they are needed to cut a clip alone.
ONLY_TO_CUT = ("path", "start_pts", "end_pts", "start_frame", "end_frame")


class FolderInUse(ValueError):
    """The folder holds something else. The message says what, and what to do."""


@dataclass(frozen=True)
class Options:
    """form: a name of `forms.FORMS`. clips: exact, copy or none; others raise ValueError. encoding: of exact clips."""

    form: str
    clips: str = EXACT
    encoding: Encoding = field(default_factory=Encoding)
    clips_per_part: int = CLIPS_PER_PART

    def __post_init__(self) -> None:
        form_named(self.form)
        if self.clips not in KINDS_OF_CLIPS:
            raise ValueError(f"clips are {', '.join(KINDS_OF_CLIPS)}, not {self.clips!r}")


def plan_of(chosen: Selection, options: Options) -> Plan:
    return Plan(
        format=FORMAT,
        form=options.form,
        clips=options.clips,
        max_height=options.encoding.max_height,
        fps=options.encoding.fps,
        clips_per_part=options.clips_per_part,
        snapshot=chosen.snapshot,
        subset=chosen.subset,
        statement=chosen.statement,
        values=dict(chosen.values),
        software=software(),
    )


def is_complete(path: Path, plan: Plan) -> bool:
    """Whether the folder holds this export, complete. Raises FolderInUse where it holds something else."""
    folder = ExportFolder(path)
    head = read_head(path)
    begun = folder.plan()
    if head is not None and begun is None:
        if head.plan == plan:
            return True
        raise FolderInUse(f"{path} holds another export ({_differences(head.plan, plan)}): remove it, or name another")
    if begun is not None and begun != plan:
        raise FolderInUse(
            f"{path} holds an unfinished export ({_differences(begun, plan)}): complete it, remove it, "
            "or name another folder"
        )
    if begun is None and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FolderInUse(f"{path} is there and no export: name another folder")
    return False


def _differences(there: Plan, wanted: Plan) -> str:
    names = [name for name in Plan.model_fields if getattr(there, name) != getattr(wanted, name)]
    return ", ".join(f"{name} {_short(getattr(there, name))}" for name in names)


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:60]}…"


def make_export(
    lake: Lake,
    media: Media,
    path: Path,
    chosen: Selection,
    options: Options,
    *,
    on_clips: Callable[[int], object] = lambda clips: None,
) -> Head:
    """Makes the export in the folder, or goes on with it. Returns its manifest.

    on_clips: called with the number of clips that are through since the last call.
    Raises FolderInUse, and SystemFault where the system is at fault, not a clip.
    """
    plan = plan_of(chosen, options)
    if is_complete(path, plan):
        head = read_head(path)
        assert head is not None
        return head
    folder = ExportFolder(path)
    folder.begin(plan)
    remove_abandoned(folder.parts)
    with selected_clips(lake, chosen) as (count, rows):
        _Run(media, folder, options, on_clips).through(rows)
    return complete(folder, plan, selected=count)


@dataclass
class _PartInWork:
    """A part whose clips are being cut. waiting: clips without a record yet."""

    number: int
    split: str
    rows: list[dict[str, Any]]
    waiting: int = 0


class _Run:
    def __init__(self, media: Media, folder: ExportFolder, options: Options, on_clips: Callable[[int], object]) -> None:
        self._media, self._folder, self._options, self._on_clips = media, folder, options, on_clips
        self._form = form_named(options.form)
        self._in_work: deque[_PartInWork] = deque()
        self._part_of: dict[int, _PartInWork] = {}  # by the identity of what is being cut

    def through(self, rows: Iterator[dict[str, Any]]) -> None:
        """Cuts the clips and writes the parts."""
        for video, result in self._media.cut(self._to_cut(rows), self._folder.parts):
            part = self._part_of.pop(id(video))
            self._take(part, video, result)
            self._write_what_is_there()
        self._write_what_is_there()

    def _to_cut(self, rows: Iterator[dict[str, Any]]) -> Iterator[ToCut]:
        """Yields what is to be cut, and notes for which part it is."""
        for part in _parts(rows, self._options.clips_per_part):
            if self._folder.is_done(part.number):
                self._on_clips(len(part.rows))
                continue
            work = self._folder.work(part.number)
            work.mkdir(exist_ok=True)
            self._in_work.append(part)
            tasks = [] if self._options.clips == NONE else list(self._tasks(part, work))
            part.waiting = sum(len(task.cuts) for task in tasks)
            self._on_clips(len(part.rows) - part.waiting)
            self._write_what_is_there()  # without anything to cut, no result comes to do so
            for task in tasks:
                self._part_of[id(task)] = part
                yield task

    def _tasks(self, part: _PartInWork, work: Path) -> Iterator[ToCut]:
        encoding = self._options.encoding if self._options.clips == EXACT else None
        for path, rows in groupby(part.rows, key=lambda row: row["path"]):
            cuts = tuple(_cut(row) for row in rows if not _is_cut(work, _name(row)))
            if cuts:
                yield ToCut(path, cuts, encoding)

    def _take(self, part: _PartInWork, video: ToCut, result: Any) -> None:
        """Moves the clips of a video to their part, each with its record."""
        work = self._folder.work(part.number)
        if isinstance(result, DecoderCrashed) and len(video.cuts) > 1:
            # One of the clips made the decoder crash, and the others are not at fault.
            single = [ToCut(video.path, (cut,), video.encoding) for cut in video.cuts]
            for each, result_of_one in self._media.cut(single, self._folder.parts):
                self._take(part, each, result_of_one)
            return
        if isinstance(result, BaseException):
            if fault := system_fault_of(result, str(self._folder.path)):
                raise fault
            if not isinstance(result, Exception):
                raise result
            results: list[Any] = [result] * len(video.cuts)
            cut_into = None
        else:
            cut_into, results = result
        for cut, outcome in zip(video.cuts, results, strict=True):
            if isinstance(outcome, ClipFile):
                assert cut_into is not None
                os.replace(cut_into / outcome.name, work / outcome.name)
                record = {"status": SUCCESS, **asdict(outcome)}
            else:
                record = {"status": FAILED, "error_class": type(outcome).__name__, "error_message": str(outcome)}
            with whole_file(work / f"{cut.name}.json") as file:
                file.write(as_json(record))
        if cut_into is not None:
            with suppress(FileNotFoundError):
                shutil.rmtree(cut_into)
        part.waiting -= len(video.cuts)
        self._on_clips(len(video.cuts))

    def _write_what_is_there(self) -> None:
        while self._in_work and self._in_work[0].waiting == 0:
            self._write(self._in_work.popleft())

    def _write(self, made: _PartInWork) -> None:
        work = self._folder.work(made.number)
        staged = work / STAGED
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
        rows = [self._index_row(made, position, row, work) for position, row in enumerate(made.rows)]
        part = Part(made.number, made.split, rows, work)
        known = {}
        if not self._form.packs:
            for row in part.exported:
                if row["file"] is not None:
                    (staged / row["file"]).parent.mkdir(parents=True, exist_ok=True)
                    os.replace(work / Path(row["file"]).name, staged / row["file"])
                    known[row["file"]] = (row["clip_bytes"], row["clip_sha256"])
        self._form.write(part, staged)
        self._folder.put(part, staged, known)

    def _index_row(self, part: _PartInWork, position: int, row: dict[str, Any], work: Path) -> dict[str, Any]:
        """Returns the row of the index: what the lake tells of the clip, then what its file is."""
        left_out = ONLY_TO_CUT if self._options.clips != NONE else ("start_pts", "end_pts")
        of_lake = {name: value for name, value in row.items() if name not in left_out}
        key = f"{part.number:05d}{position:04d}"
        if self._options.clips == NONE:
            return {"key": key, "status": SUCCESS, "error_class": None, "error_message": None, **of_lake, **NO_FILE}
        record = json.loads((work / f"{_name(row)}.json").read_text(encoding="utf-8"))
        if record["status"] == FAILED:
            return {"key": key, **record, **of_lake, **NO_FILE}
        return {
            "key": key,
            "status": SUCCESS,
            "error_class": None,
            "error_message": None,
            **of_lake,
            "file": self._form.place(f"{part.number:05d}", record["name"]),
            "file_start_seconds": record["start_seconds"],
            "file_end_seconds": record["end_seconds"],
            "frames": record["frames"],
            # Of a copied clip, rotation and pixel aspect are the player's business: it is shown as its video is.
            "width": row["video_width"] if self._options.clips == COPY else record["width"],
            "height": row["video_height"] if self._options.clips == COPY else record["height"],
            "video_codec": record["video_codec"],
            "audio_codec": record["audio_codec"],
            "why_no_sound": record["why_no_sound"],
            "clip_bytes": record["bytes"],
            "clip_sha256": record["sha256"],
        }


NO_FILE = dict.fromkeys(
    ("file", "file_start_seconds", "file_end_seconds", "frames", "width", "height", "video_codec", "audio_codec",
     "why_no_sound", "clip_bytes", "clip_sha256")
)  # fmt: skip


def _parts(rows: Iterator[dict[str, Any]], clips_per_part: int) -> Iterator[_PartInWork]:
    """Divides the clips, in their order, into parts of one split each."""
    number = 0
    for split, of_split in groupby(rows, key=lambda row: row["split"]):
        while clips := list(islice(of_split, clips_per_part)):
            yield _PartInWork(number, split, clips)
            number += 1


def _name(row: dict[str, Any]) -> str:
    # An imported clip's id holds the name of its dataset, which may hold what is no file name.
    return quote(row["clip_id"], safe="")


def _cut(row: dict[str, Any]) -> Cut:
    return Cut(
        name=_name(row),
        start_pts=row["start_pts"],
        end_pts=row["end_pts"],
        start_seconds=row["start_seconds"],
        end_seconds=row["end_seconds"],
        frames=row["end_frame"] - row["start_frame"],
    )


def _is_cut(work: Path, name: str) -> bool:
    """Whether the clip's file is there. One that an earlier run could not cut is tried again: its video may be back."""
    try:
        record = json.loads((work / f"{name}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    return record["status"] == SUCCESS and (work / record["name"]).exists()
