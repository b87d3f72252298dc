"""Where the files of trained models lie: beside the lake's tables, in its folder or bucket."""

from __future__ import annotations

from pathlib import Path

from resources.lake.paths import StoragePath, folder_on_this_machine
from resources.lake.store import Lake

WEIGHTS = "model.safetensors"


def training_folder(lake: Lake, name: str) -> Path:
    """Where a training keeps its state until it ends, so that a killed one goes on: always on a local disk."""
    return folder_on_this_machine(lake.root, "training") / name


def publish_folder(lake: Lake, folder: Path, name: str) -> str:
    """Puts a checkpoint's folder under the lake's root as checkpoints/<name>; returns its path.

    On a disk it is there whole or not at all, in a bucket the weights come last.
    """
    target = lake.file(f"checkpoints/{name}")
    target.put_folder(folder, last=WEIGHTS)
    return str(target)


def local_folder(lake: Lake, path: str) -> Path:
    """The checkpoint's folder on a local disk: itself, or fetched once. Raises FileNotFoundError if it is gone."""
    checkpoint = StoragePath(path, lake.file_options)
    if checkpoint.is_local:
        if not checkpoint.on_disk.is_dir():
            raise FileNotFoundError(f"the checkpoint's folder {path} is gone; train again, or activate another one")
        return checkpoint.on_disk
    kept = folder_on_this_machine(lake.root, "checkpoints") / path.split("://", 1)[1].replace("/", "_")
    if not (kept / WEIGHTS).exists():
        checkpoint.fetch_folder(kept)
    return kept
