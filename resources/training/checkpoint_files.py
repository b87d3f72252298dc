"""Stores the files of trained models beside the lake's tables, in its folder or bucket."""

from __future__ import annotations

import shutil
from pathlib import Path

from internvid.generation.unreadable import UNREADABLE
from resources.lake.paths import StoragePath, folder_on_this_machine
from resources.lake.schema import CHAT_CHECKPOINTS, CHECKPOINTS, GENERATION_CHECKPOINTS
from resources.lake.store import Lake

WEIGHTS = "model.safetensors"
# In the folder of a training: internvid/viclip/training.py, and the modules of that name for chats and generators.
STATE, CHECKPOINT = "state.pt", "checkpoint"
FRAMES = "frames"  # what a fine-tuning decoded of a benchmark's videos
CACHES = ("latents.cache", "latents.cache.json", "autoencoder.cache", UNREADABLE)  # of a generator's clips
# Tables of checkpoints that were trained in such a folder.
TRAINED = (CHECKPOINTS.name, CHAT_CHECKPOINTS.name, GENERATION_CHECKPOINTS.name)


def training_folder(lake: Lake, name: str) -> Path:
    """Returns the folder of a training's state, always on a local disk. An interrupted training continues from it."""
    return folder_on_this_machine(lake.root, "training") / name


def remove_states(lake: Lake) -> None:
    """Removes from the folders of trainings what only an interrupted one needs, once their checkpoint is in the lake:
    the state, some three times the weights, the checkpoint that was published, a benchmark's frames, and caches of a
    generator's clips. What a model was trained on stays.
    """
    for table in TRAINED:
        for provenance in set(lake.polars(table, columns=["provenance"])["provenance"].to_list()):
            folder = training_folder(lake, provenance)
            (folder / STATE).unlink(missing_ok=True)
            for made in (CHECKPOINT, FRAMES):
                shutil.rmtree(folder / made, ignore_errors=True)
            remove_caches(folder)


def remove_caches(folder: Path) -> None:
    """Removes the latents that a training of a generator keeps; it makes them again."""
    for name in CACHES:
        (folder / name).unlink(missing_ok=True)


def publish_folder(lake: Lake, folder: Path, name: str) -> str:
    """Puts a checkpoint's folder under the lake's root as checkpoints/<name>; returns its path.

    On a disk it is there whole or not at all, in a bucket the weights come last.
    """
    target = lake.file(f"checkpoints/{name}")
    target.put_folder(folder, last=WEIGHTS)
    return str(target)


def local_folder(lake: Lake, path: str) -> Path:
    """Returns the checkpoint's folder on a local disk, fetched once if remote. Raises FileNotFoundError if missing."""
    checkpoint = StoragePath(path, lake.file_options)
    if checkpoint.is_local:
        if not checkpoint.on_disk.is_dir():
            raise FileNotFoundError(f"the checkpoint's folder {path} is gone; train again, or activate another one")
        return checkpoint.on_disk
    kept = folder_on_this_machine(lake.root, "checkpoints") / path.split("://", 1)[1].replace("/", "_")
    if not (kept / WEIGHTS).exists():
        checkpoint.fetch_folder(kept)
    return kept
