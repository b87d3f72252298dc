"""Makes a checkpoint the active one, and reports it to Dagster, which then shows other vectors as stale."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from resources.lake.store import Lake
from resources.models.aligner import ActiveCheckpoint, Aligner, activate
from resources.training.checkpoint_files import local_folder

ASSET = "active_checkpoint"


def make_active(instance: dg.DagsterInstance, lake: Lake, checkpoint: ActiveCheckpoint) -> None:
    """Writes the active checkpoint, and reports it to Dagster with the checkpoint's digest as data version."""
    activate(lake, checkpoint)
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            ASSET,
            metadata={"checkpoint_id": checkpoint.checkpoint_id, "path": dg.MetadataValue.path(checkpoint.path)},
            tags={"dagster/data_version": checkpoint.digest},
        )
    )


def activate_named(instance: dg.DagsterInstance, lake: Lake, aligner: Aligner, checkpoint: str) -> ActiveCheckpoint:
    """Makes the checkpoint of that id, or in that folder, the active one.

    Raises ValueError where there is no such checkpoint, and ModelUnavailable where it cannot be loaded.
    """
    wanted = _of_lake(lake, checkpoint) or _in_folder(checkpoint)
    aligner.encoder(lake, wanted)  # loads it: what cannot be used does not become active
    make_active(instance, lake, wanted)
    return wanted


def checkpoint_folder(lake: Lake, checkpoint: str) -> Path:
    """Returns the folder of a checkpoint, given by its id or folder. Raises ValueError where there is neither."""
    known = _of_lake(lake, checkpoint)
    return _existing_folder(checkpoint) if known is None else local_folder(lake, known.path)


def _of_lake(lake: Lake, checkpoint_id: str) -> ActiveCheckpoint | None:
    rows = lake.query(
        "select checkpoint_id, path, weights_digest as digest from checkpoints where checkpoint_id = $checkpoint_id",
        {"checkpoint_id": checkpoint_id},
    ).to_pylist()
    return ActiveCheckpoint(**rows[0]) if rows else None


def _in_folder(folder: str) -> ActiveCheckpoint:
    from internvid.viclip.checkpoint import checkpoint_digest

    path = _existing_folder(folder).resolve()
    return ActiveCheckpoint(path.name, str(path), checkpoint_digest(path))


def _existing_folder(checkpoint: str) -> Path:
    if not Path(checkpoint).is_dir():
        raise ValueError(f"{checkpoint!r} is neither a checkpoint of this lake (table checkpoints) nor a folder")
    return Path(checkpoint)
