"""Makes a checkpoint the active one, and reports it to Dagster, which then shows other vectors as stale."""

from __future__ import annotations

import re
from pathlib import Path

import dagster as dg

from resources.lake.store import Lake
from resources.models.aligner import ActiveCheckpoint, Aligner, activate
from resources.training.checkpoint_files import local_folder

ASSET = "active_checkpoint"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
FETCHED = ("*.json", "*.txt", "*.model", "*.safetensors", "*.gz")  # of a model of the hub


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
    """Makes the checkpoint of that id, in that folder, or of that id of the Hugging Face hub, the active one.

    Raises ValueError where there is no such checkpoint, and ModelUnavailable where it cannot be loaded.
    """
    wanted = checkpoint_named(lake, checkpoint)
    aligner.encoder(lake, wanted)  # loads it: what cannot be used does not become active
    make_active(instance, lake, wanted)
    return wanted


def checkpoint_named(lake: Lake, checkpoint: str) -> ActiveCheckpoint:
    """Returns the checkpoint of that id, in that folder, or of that id of the hub, which need not become active.

    Raises ValueError where there is none.
    """
    return _of_lake(lake, checkpoint) or _in_folder(checkpoint)


def checkpoint_folder(lake: Lake, checkpoint: str) -> Path:
    """Returns the folder of a checkpoint, given as `activate_named` takes it. Raises ValueError where there is none."""
    known = _of_lake(lake, checkpoint)
    return _existing_folder(checkpoint) if known is None else local_folder(lake, known.path)


def _of_lake(lake: Lake, checkpoint_id: str) -> ActiveCheckpoint | None:
    rows = lake.query(
        "select checkpoint_id, path, weights_digest as digest from checkpoints where checkpoint_id = $checkpoint_id",
        {"checkpoint_id": checkpoint_id},
    ).to_pylist()
    return ActiveCheckpoint(**rows[0]) if rows else None


def _in_folder(checkpoint: str) -> ActiveCheckpoint:
    from internvid.video_text.folders import encoder_digest

    path = _existing_folder(checkpoint).resolve()
    name = path.name if Path(checkpoint).is_dir() else checkpoint
    return ActiveCheckpoint(name, str(path), encoder_digest(path))


def _existing_folder(checkpoint: str) -> Path:
    if Path(checkpoint).is_dir():
        return Path(checkpoint)
    if HUB_ID.fullmatch(checkpoint) is None:
        raise ValueError(f"{checkpoint!r} is neither a checkpoint of this lake (table checkpoints) nor a folder")
    return _fetched(checkpoint)


def _fetched(hub_id: str) -> Path:
    """Returns the folder of a model of the hub, fetched unless it is on this machine: weights and settings, no code."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(hub_id, allow_patterns=list(FETCHED)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ValueError(
            f"{hub_id!r} is neither a checkpoint of this lake nor a folder, and as a model of the Hugging Face hub it "
            f"cannot be fetched: {error}"
        ) from error
