"""Files and folders by one name wherever they are: on this machine's disk, or on a storage that fsspec reaches.

Everything that asks "on a disk, or in a bucket?" asks it here: the lake's files, the media store, checkpoints. A file
appears under its name only when all of it is there. Tables are Lance's own business.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit
from uuid import uuid4

from resources.lake.temporary_folders import temporary_folder

# A put into one of these shows all of an object or nothing. Elsewhere a file is put beside its place, and then moved.
OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss"}


def local_path(uri: str) -> str | None:
    """The path of a local file, given as such or as file:// URI; None for anything remote."""
    if ":" not in uri:  # as almost every path: to parse it takes ten times as long as all else of a listing
        return uri
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return os.fsdecode(unquote_to_bytes(parts.path))
    return uri if "://" not in uri else None


def absolute(path: str) -> str:
    """The path without ~ and relative parts; a URI as it is."""
    return path if "://" in path else os.path.abspath(os.path.expanduser(path))


def folder_on_this_machine(root: str, name: str) -> Path:
    """A folder for state that has to be on a local disk: under `root` where that is on one, else in ~/.internvid."""
    if (folder := local_path(root)) is not None:
        return Path(folder, name)
    return Path.home() / ".internvid" / name.removeprefix(".")


def fsspec_options(storage_options: Mapping[str, str]) -> dict[str, str]:
    """Lance's options for a bucket, as fsspec's filesystem for S3 takes them."""
    names = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "aws_endpoint": "endpoint_url"}
    return {names[name]: value for name, value in storage_options.items() if name in names}


@dataclass(frozen=True)
class StoragePath:
    """A file or a folder, whether it exists or not. Opens nothing by itself.

    path: a path on this machine, or a URI; of a file:// URI the path. options: what fsspec needs to reach a URI.
    """

    path: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if (on_disk := local_path(self.path)) is not None:
            object.__setattr__(self, "path", on_disk)

    def __str__(self) -> str:
        return self.path

    def __truediv__(self, name: str) -> StoragePath:
        return StoragePath(f"{self.path.rstrip('/')}/{name}", self.options)

    @property
    def name(self) -> str:
        last = self.path.rpartition("/")[2]
        return PurePosixPath(self._place).name if last in ("", ".", "..") else last

    @property
    def is_local(self) -> bool:
        return "://" not in self.path

    @property
    def on_disk(self) -> Path:
        """The path on this machine. Raises ValueError for a remote one."""
        if not self.is_local:
            raise ValueError(f"{self.path} is not on this machine's disk")
        return Path(self.path)

    def exists(self) -> bool:
        return self.on_disk.exists() if self.is_local else bool(self._filesystem.exists(self._place))

    def size(self) -> int:
        """The bytes of the file. Raises FileNotFoundError without it."""
        return self.on_disk.stat().st_size if self.is_local else int(self._filesystem.size(self._place))

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`; fewer where the file ends before. Raises FileNotFoundError without it."""
        if not self.is_local:
            return bytes(self._filesystem.cat_file(self._place, start=start, end=end))
        with self.on_disk.open("rb", buffering=0) as file:
            file.seek(start)
            return file.read(end - start)

    def modified(self) -> datetime | None:
        """When the file was last written; None if there is none."""
        if not self.exists():
            return None
        if self.is_local:
            return datetime.fromtimestamp(self.on_disk.stat().st_mtime, UTC)
        return self._filesystem.modified(self._place)

    def files(self, *, with_subfolders: bool = False) -> list[tuple[StoragePath, int]]:
        """Every file of the folder with its size in bytes; none where there is no such folder."""
        self._filesystem.invalidate_cache()  # other processes add and remove files too
        if not self.exists():
            return []
        if self.is_local and self.on_disk.is_dir() and not with_subfolders:
            with os.scandir(self.on_disk) as entries:
                sizes = [(entry.name, entry.stat().st_size) for entry in entries if entry.is_file()]
            return [(self / name, size) for name, size in sorted(sizes)]
        depth = None if with_subfolders else 1
        files = self._filesystem.find(self._place, maxdepth=depth, detail=True)
        return [(self / place.removeprefix(f"{self._place}/"), file["size"]) for place, file in sorted(files.items())]

    def read_text(self) -> str:
        """Returns the file's text. Raises FileNotFoundError without it."""
        if self.is_local:
            return self.on_disk.read_text(encoding="utf-8")
        return self._filesystem.cat_file(self._place).decode()

    def write_text(self, text: str) -> None:
        """Replaces the file, whole or not at all."""
        with self.filled() as file:
            file.write_text(text, encoding="utf-8")

    @contextmanager
    def filled(self) -> Iterator[Path]:
        """A file on this machine to fill: when the block ends without an error, it replaces this one as a whole.

        Readers that have the old file open keep it.
        """
        with self.temporary_folder_beside() as folder:
            file = folder / self.name
            yield file
            self.take(file)

    @contextmanager
    def temporary_folder_beside(self) -> Iterator[Path]:
        """A folder on this machine in which files are put together that `take` then puts here."""
        beside = self.on_disk.parent if self.is_local else None  # the same disk, so that a file moves at once
        with temporary_folder(beside) as folder:
            yield folder

    def take(self, file: Path) -> None:
        """Moves a file from a temporary folder beside this path to it, whole or not at all."""
        if self.is_local:
            self.on_disk.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, self.on_disk)
        else:
            self.put(file)

    def put(self, file: str | Path) -> None:
        """Copies a file of this machine to this path, whole or not at all."""
        part = f"{self._place}.{uuid4().hex}.part"  # of two that put the same at once, neither shows half a file
        if self.is_local:
            self.on_disk.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copyfile(file, part)
                os.replace(part, self.on_disk)
            finally:
                Path(part).unlink(missing_ok=True)
        elif urlsplit(self.path).scheme in OBJECT_STORES:
            self._filesystem.put_file(str(file), self._place)
        else:
            self._filesystem.makedirs(self._place.rpartition("/")[0], exist_ok=True)
            self._filesystem.put_file(str(file), part)
            self._filesystem.mv(part, self._place)

    def put_folder(self, folder: Path, *, last: str) -> None:
        """Copies a folder of files to this path in place of what is there. On a disk it appears as a whole; elsewhere
        file by file, and the one called `last` when all others are there.
        """
        if self.is_local:
            part = self.on_disk.with_name(f"{self.name}.{os.getpid()}.part")
            part.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(folder, part)
            self.remove()
            os.replace(part, self.on_disk)
            return
        self.remove()
        for file in sorted(folder.iterdir(), key=lambda file: file.name == last):
            (self / file.name).put(file)

    def fetch(self, file: Path) -> None:
        """Copies this file to a path on this machine. Raises FileNotFoundError without it."""
        self._filesystem.get_file(self._place, str(file))

    def fetch_folder(self, folder: Path) -> None:
        """Copies the folder's files to a folder on this machine, which is there as a whole or not at all."""
        part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
        part.mkdir(parents=True)
        for file, _ in self.files():
            file.fetch(part / file.name)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(part, folder)

    @contextmanager
    def local(self) -> Iterator[str]:
        """The file as a path on this machine: itself, or a temporary copy."""
        if self.is_local:
            yield str(self.on_disk)
            return
        with temporary_folder() as folder:
            copy = folder / self.name
            self.fetch(copy)
            yield str(copy)

    def remove(self) -> None:
        """Removes the file, or the folder with all that is in it; nothing where there is none."""
        if self.exists():
            with suppress(FileNotFoundError):  # another process removed it since
                self._filesystem.rm(self._place, recursive=True)

    @property
    def _filesystem(self) -> Any:
        import fsspec

        # fsspec keeps one instance for the same options.
        return fsspec.filesystem("file") if self.is_local else fsspec.core.url_to_fs(self.path, **self.options)[0]

    @property
    def _place(self) -> str:
        """The path as the filesystem has it."""
        if self.is_local:
            return os.path.abspath(self.path)
        import fsspec

        return fsspec.core.url_to_fs(self.path, **self.options)[1]
