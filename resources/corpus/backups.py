"""Copies of a lake, made while others write it, and lakes made of such copies.

Files of a table never change, and each version of it names its own. So a copy holds one version of each table, with
those that snapshots pin; the next copy adds the files that are new, and removes those that it needs no more. Tables are
copied at versions of slightly different times: where one lacks what another depends on, the next run of the restored
lake finds it pending, as after a kill.

A backup is what its file `backup.json` says, which is written last.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from resources.incremental.batch_states import forget_batch_states
from resources.lake.paths import StoragePath
from resources.lake.schema import CORPUS_SNAPSHOT, SOURCES, TABLES
from resources.lake.temporary_folders import PREFIX

if TYPE_CHECKING:
    from resources.lake.store import Lake

NAMES = "backup.json"
LAKE, MEDIA = "lake", "media"
COPIES_AT_A_TIME = 8
MAX_TRIES = 3  # of a table whose files were erased while they were copied
# Of this machine, and of no use elsewhere: Dagster's storage, trainings under way, partial downloads.
LEFT_OUT = {".dagster", "training", "downloads", "benchmark_vectors"}


@dataclass
class Copied:
    """What a backup or a restore did. files, bytes: copied. kept: files that were there. removed: files."""

    files: int = 0
    bytes: int = 0
    kept: int = 0
    removed: int = 0


def back_up(lake: Lake, media_root: str, to: StoragePath) -> Copied:
    """Brings the backup at `to` up to date with the lake, which others may write meanwhile.

    media_root: the media store, with what the lake keeps of its videos.
    """
    copied = Copied()
    there = _sizes(to)
    needed: dict[str, dict[str, int]] = {}
    # Snapshots first: a snapshot then names no version that is not copied after it.
    for name in sorted(TABLES, key=lambda name: name != CORPUS_SNAPSHOT.name):
        needed[name] = _copy_table(lake, name, to, there, copied)
    for folder, root in _roots(lake, media_root).items():
        _copy_files_beside(StoragePath(root, lake.file_options), to / folder, folder, there, copied)
    text = json.dumps({"made_at": datetime.now(UTC).isoformat(), "tables": needed})
    (to / NAMES).write_text(text)
    for name in there.keys() - _names(needed):
        if name.startswith(f"{LAKE}/") and ".lance/" in name:
            (to / name).remove()
            copied.removed += 1
    return copied


def restore(backup: StoragePath, lake: Lake, media_root: str) -> Copied:
    """Makes a lake of the backup. Raises ValueError where a lake is there already, or no whole backup."""
    if lake.exists():
        raise ValueError(f"there is a lake at {lake.root} already: restore to another place, or move it away")
    try:
        tables: dict[str, dict[str, int]] = json.loads((backup / NAMES).read_text())["tables"]
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise ValueError(f"{backup} is no whole backup: {NAMES} is missing or damaged") from error
    there, copied = _sizes(backup), Copied()
    if missing := sorted(_names(tables) - there.keys()):
        raise ValueError(f"{backup} lacks {len(missing):,} of its files, such as {missing[0]}: nothing was restored")
    for folder, root in _roots(lake, media_root).items():
        names = [name for name in there if name.startswith(f"{folder}/") and ".lance/" not in name]
        target = StoragePath(root, lake.file_options)
        _copy(((backup / name, target / name.removeprefix(f"{folder}/"), there[name]) for name in names), copied)
    # `sources` last: a lake is there once that table is, so a restore that was killed can be run again.
    for name in sorted(tables, key=lambda name: name == SOURCES.name):
        target = StoragePath(lake.uri(name), lake.file_options)
        for chosen in _manifests_last(tables[name]):
            files = ((file, tables[name][file]) for file in chosen)
            _copy(((backup / f"{LAKE}/{name}.lance/{file}", target / file, size) for file, size in files), copied)
    lake.create_tables()
    forget_batch_states(lake)  # they name versions of tables, which the restored ones count from theirs
    return copied


def _names(tables: Mapping[str, Iterable[str]]) -> set[str]:
    """Returns the files of tables, as the backup has them."""
    return {f"{LAKE}/{name}.lance/{file}" for name, files in tables.items() for file in files}


def _roots(lake: Lake, media_root: str) -> dict[str, str]:
    """Returns what is copied, by the folder of the backup. The media store is mostly in the lake's own folder."""
    is_inside = f"{media_root}/".startswith(f"{lake.root.rstrip('/')}/")
    return {LAKE: lake.root} if is_inside else {LAKE: lake.root, MEDIA: media_root}


def _copy_table(lake: Lake, name: str, to: StoragePath, there: dict[str, int], copied: Copied) -> dict[str, int]:
    """Copies one version of the table, and those that snapshots pin. Returns its files, with their sizes."""
    for attempt in range(MAX_TRIES):
        root, prefix = StoragePath(lake.uri(name), lake.file_options), f"{LAKE}/{name}.lance"
        try:
            files = _files_of(lake, name, root)
            for chosen in _manifests_last(files):
                new = [file for file in chosen if there.get(f"{prefix}/{file}") != files[file]]
                _copy(((root / file, to / f"{prefix}/{file}", files[file]) for file in new), copied)
                copied.kept += len(chosen) - len(new)
            return files
        except FileNotFoundError:  # what was deleted has just been erased for good
            if attempt == MAX_TRIES - 1:
                raise
    raise AssertionError("unreachable")


def _files_of(lake: Lake, name: str, root: StoragePath) -> dict[str, int]:
    """Returns the files of the newest version and of the pinned ones. Raises FileNotFoundError where one is gone."""
    dataset = lake.dataset(name)
    tags = dataset.tags.list()
    versions = {dataset.version, *(tag["version"] for tag in tags.values())}
    tracked = dataset.tracked_files().read_all().to_pylist()
    sizes = {file.path.removeprefix(f"{root.path}/"): size for file, size in root.files(with_subfolders=True)}
    paths = {row["path"] for row in tracked if row["version"] in versions}
    paths |= {f"_refs/tags/{tag}.json" for tag in tags}
    paths -= {path for path in paths if path.startswith("_transactions/")} - sizes.keys()  # nobody reads old ones
    if gone := sorted(paths - sizes.keys()):
        raise FileNotFoundError(f"{root}/{gone[0]}")
    return {path: sizes[path] for path in sorted(paths)}


def _manifests_last(files: Iterable[str]) -> tuple[list[str], list[str]]:
    """A table is at a version once the version's manifest is there, and a tag is a file beside it."""
    last = ("_versions/", "_refs/")
    return [file for file in files if not file.startswith(last)], [file for file in files if file.startswith(last)]


def _copy_files_beside(root: StoragePath, to: StoragePath, folder: str, there: dict[str, int], copied: Copied) -> None:
    """Copies the files that are not of tables: what is published, checkpoints, videos. They may be replaced."""

    def new() -> Iterator[tuple[StoragePath, StoragePath, int]]:
        for file, size in root.files(with_subfolders=True):
            name = file.path.removeprefix(f"{root.path.rstrip('/')}/")
            folders = name.split("/")[:-1]
            if ".lance/" in name or LEFT_OUT.intersection(folders) or (folders[:1] and folders[0].startswith(PREFIX)):
                continue
            target = to / name
            if there.get(f"{folder}/{name}") == size and _is_newer(target, file):
                copied.kept += 1
            else:
                yield file, target, size

    _copy(new(), copied)


def _is_newer(copy: StoragePath, file: StoragePath) -> bool:
    made, written = copy.modified(), file.modified()
    return made is not None and written is not None and made >= written


def _copy(files: Iterable[tuple[StoragePath, StoragePath, int]], copied: Copied) -> None:
    def copy(item: tuple[StoragePath, StoragePath, int]) -> int:
        source, target, size = item
        with source.local() as file:
            target.put(file)
        return size

    with ThreadPoolExecutor(COPIES_AT_A_TIME) as threads:
        for size in threads.map(copy, files):
            copied.files += 1
            copied.bytes += size


def _sizes(folder: StoragePath) -> dict[str, int]:
    """Returns the size of each file by its name under the folder."""
    root = f"{folder.path.rstrip('/')}/"
    return {file.path.removeprefix(root): size for file, size in folder.files(with_subfolders=True)}
