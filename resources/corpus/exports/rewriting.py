"""Takes videos out of an export: their clips, their lines, and their share of the card and the manifest.

It needs nothing but the folder: the index has what is told of each clip, and packed clips are read from the parts. The
manifest goes first, so that no folder claims to be complete while it is rewritten; what was killed is gone on with.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from internvid.report.whole_file import whole_file
from resources.corpus.exports.forms import form_named
from resources.corpus.exports.layout import STAGED, ExportFolder, Part
from resources.corpus.exports.manifest import ExportFile, Head, files_of, read_head
from resources.corpus.exports.whole import complete
from resources.lake.published_files import MANIFEST
from resources.lake.temporary_folders import PREFIX

SELECTED = "selected.json"  # of an export that was complete: number of clips that were selected first


def holds(path: Path, video_ids: Collection[str]) -> int:
    """Returns the number of clips of these videos that the index of an export names; 0 where there is no export."""
    folder = ExportFolder(path)
    return sum(row["video_id"] in video_ids for number in folder.numbers() for row in folder.rows(number))


def is_export(path: Path) -> bool:
    """Whether the folder is an export that can be rewritten, complete or not."""
    return read_head(path) is not None or ExportFolder(path).plan() is not None


def take_out(path: Path, video_ids: Collection[str]) -> int:
    """Takes the clips of the videos out of the export. Returns their number.

    An unfinished export loses the parts in work and stays unfinished: its snapshot is gone with the videos.
    """
    folder = ExportFolder(path)
    head = read_head(path)
    if head is not None:
        if not holds(path, video_ids):
            return 0
        _reopen(folder, head)
    plan = folder.plan()
    assert plan is not None
    for left_over in (*folder.parts.glob(f"{PREFIX}*"), *folder.parts.glob("[0-9]*[0-9]")):
        shutil.rmtree(left_over)  # clips that are being cut
    form = form_named(plan.form)
    taken = 0
    for number in folder.numbers():
        rows = folder.rows(number)
        kept = [row for row in rows if row["video_id"] not in video_ids]
        if len(kept) == len(rows):
            continue
        taken += len(rows) - len(kept)
        if kept:
            _rewrite(folder, number, form, rows, kept)
        else:
            _remove(folder, number)
    counts_file = folder.parts / SELECTED
    if counts_file.exists():
        for file_of_whole in _files_of_whole(folder):
            file_of_whole.unlink()
        selected = json.loads(counts_file.read_text(encoding="utf-8"))
        left = sum(len(folder.rows(number)) for number in folder.numbers())
        complete(folder, plan, selected=left, forgotten=selected - left)
    return taken


def _reopen(folder: ExportFolder, head: Head) -> None:
    """Turns a complete export into one whose parts are done and whose whole is not."""
    by_part: dict[int, list[ExportFile]] = defaultdict(list)
    for file in files_of(folder.path):
        if file.part is not None:
            by_part[file.part].append(file)
    folder.begin(head.plan)
    for number, files in by_part.items():
        folder.note_done(number, files)
    with whole_file(folder.parts / SELECTED) as counts:
        counts.write(str(head.clips_selected + head.forgotten))
    (folder.path / MANIFEST).unlink()


def _rewrite(
    folder: ExportFolder, number: int, form: Any, rows: list[dict[str, Any]], kept: list[dict[str, Any]]
) -> None:
    """Writes a part again without some of its rows."""
    work = folder.work(number)
    work.mkdir()
    files = folder.done_files(number)
    known: dict[str, tuple[int, str]] = {}
    staged = work / STAGED
    staged.mkdir()
    if form.packs:
        wanted = {row["file"] for row in kept if row["file"]}
        if wanted:
            for name, content in form.clips(folder, number, rows):
                if name in wanted:
                    (work / name).write_bytes(content)
    else:
        known = {row["file"]: (row["clip_bytes"], row["clip_sha256"]) for row in kept if row["file"]}
        for name in known:
            (staged / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(folder.path / name, staged / name)  # both stay, whenever it is killed
    part = Part(number, rows[0]["split"], kept, work)
    form.write(part, staged)
    folder.put(part, staged, known)
    for gone in {file.file for file in files} - {file.file for file in folder.done_files(number)}:
        (folder.path / gone).unlink()


def _remove(folder: ExportFolder, number: int) -> None:
    """Removes a part of which nothing is left: some readers refuse a shard without a clip."""
    folder.index_path(number).unlink()  # the others are of no part then, should this be killed here
    for file in folder.done_files(number):
        (folder.path / file.file).unlink(missing_ok=True)


def _files_of_whole(folder: ExportFolder) -> Iterator[Path]:
    """Yields the files beside the parts' own, which are written again."""
    of_parts = {folder.path / file.file for number in folder.numbers() for file in folder.done_files(number)}
    for path in sorted(folder.path.rglob("*")):
        if path.is_file() and path not in of_parts and folder.parts not in path.parents:
            yield path
