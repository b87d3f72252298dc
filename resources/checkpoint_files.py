"""Where the files of trained models lie: beside the lake's tables, in its folder or bucket."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from resources.lake import Lake
from resources.published_files import filesystem


def training_folder(lake: Lake, name: str) -> Path:
    """Where a training keeps its state until it ends, so that a killed one goes on: always on a local disk."""
    if "://" not in lake.root:
        return Path(lake.root, "training", name)
    return Path.home() / ".internvid" / "training" / name


def publish_folder(lake: Lake, folder: Path, name: str) -> str:
    """Puts a checkpoint's folder under the lake's root as checkpoints/<name>, whole or not at all; returns its path."""
    target = f"{lake.root.rstrip('/')}/checkpoints/{name}"
    if "://" in lake.root:
        remote = filesystem(lake)
        path = target.split("://", 1)[1]
        if remote.exists(path):
            remote.rm(path, recursive=True)
        for file in sorted(folder.iterdir(), key=lambda file: file.suffix == ".safetensors"):  # the weights last
            remote.put_file(str(file), f"{path}/{file.name}")
        return target
    started = Path(f"{target}.{os.getpid()}.part")
    started.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(folder, started)
    if Path(target).exists():
        shutil.rmtree(target)
    os.replace(started, target)
    return target


def local_folder(lake: Lake, path: str) -> Path:
    """The checkpoint's folder on a local disk: itself, or fetched once. Raises FileNotFoundError if it is gone."""
    if "://" not in path:
        if not Path(path).is_dir():
            raise FileNotFoundError(f"the checkpoint's folder {path} is gone; train again, or activate another one")
        return Path(path)
    kept = Path.home() / ".internvid" / "checkpoints" / path.split("://", 1)[1].replace("/", "_")
    if not (kept / "model.safetensors").exists():
        started = kept.with_name(f"{kept.name}.{os.getpid()}.part")
        started.mkdir(parents=True)
        remote = filesystem(lake)
        for file in remote.ls(path.split("://", 1)[1], detail=False):
            remote.get_file(file, str(started / Path(file).name))
        shutil.rmtree(kept, ignore_errors=True)
        os.replace(started, kept)
    return kept
