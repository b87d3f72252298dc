"""Files that the lake gives out beside its tables: the statistics mart, the report, exports. Whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from resources.lake import Lake


def publish(lake: Lake, name: str, write: Callable[[Path], object]) -> str:
    """Lets `write` fill a temporary file, then puts it under the lake's root as `name`, replacing what was there.

    Readers that have the old file open keep it. Returns where it is.
    """
    target = f"{lake.root.rstrip('/')}/{name}"
    is_remote = "://" in lake.root
    with tempfile.TemporaryDirectory(prefix="internvid-", dir=None if is_remote else lake.root) as folder:
        made = Path(folder) / name
        write(made)
        if is_remote:
            filesystem(lake).put_file(str(made), target.split("://", 1)[1])
        else:
            os.replace(made, target)
    return target


def modified(lake: Lake, name: str) -> datetime | None:
    """When the file was last published; None if it never was."""
    if "://" not in lake.root:
        path = Path(lake.root, name)
        return datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.exists() else None
    remote, path_there = filesystem(lake), f"{lake.root.rstrip('/')}/{name}".split("://", 1)[1]
    return remote.modified(path_there) if remote.exists(path_there) else None


def local_copy(lake: Lake, name: str, folder: Path) -> Path:
    """The published file as a local path: itself, or fetched into `folder`. Raises FileNotFoundError without it."""
    if "://" not in lake.root:
        path = Path(lake.root, name)
        if not path.exists():
            raise FileNotFoundError(f"{path} has not been made yet: materialise `{Path(name).stem}`")
        return path
    path = folder / name
    filesystem(lake).get_file(f"{lake.root.rstrip('/')}/{name}".split("://", 1)[1], str(path))
    return path


def fsspec_options(storage_options: Mapping[str, str]) -> dict[str, str]:
    """Lance's options for a bucket, as fsspec's filesystem for S3 takes them."""
    names = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "aws_endpoint": "endpoint_url"}
    return {names[name]: value for name, value in storage_options.items() if name in names}


def filesystem(lake: Lake) -> Any:
    """The fsspec filesystem of a lake in a bucket."""
    import fsspec

    return fsspec.filesystem(lake.root.split("://", 1)[0], **fsspec_options(lake.storage_options))
