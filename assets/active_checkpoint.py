"""`active_checkpoint`: the model whose vectors the lake holds. Here the loop closes: it was trained on this lake, or
on another, or is a released one.

An asset of its own, above the data, and not an edge from `checkpoints`: a newly trained model would otherwise make
every vector anew, with them the scores, with them the subsets that it was trained on, and so on without end.
"""

from pathlib import Path

import dagster as dg

from resources.aligner import ActiveCheckpoint, Aligner, activate
from resources.checkpoint_files import local_folder
from resources.lake import Lake

active_checkpoint = dg.AssetSpec(
    "active_checkpoint",
    group_name="vectors",
    kinds={"torch"},
    description="The checkpoint whose vectors the lake holds. Changed by `internvid activate` or the job "
    "`activate_checkpoint`; the first model trained here becomes active by itself.",
)


def make_active(instance: dg.DagsterInstance, lake: Lake, checkpoint: ActiveCheckpoint) -> None:
    """Writes it down, and tells Dagster, with the checkpoint's digest as data version: vectors by another are stale."""
    activate(lake, checkpoint)
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            active_checkpoint.key,
            metadata={"checkpoint_id": checkpoint.checkpoint_id, "path": dg.MetadataValue.path(checkpoint.path)},
            tags={"dagster/data_version": checkpoint.digest},
        )
    )


def activate_named(instance: dg.DagsterInstance, lake: Lake, aligner: Aligner, checkpoint: str) -> ActiveCheckpoint:
    """Makes the checkpoint of that id, or in that folder, the active one.

    Raises ValueError where there is none, and what loading raises where it cannot be used.
    """
    wanted = _of_lake(lake, checkpoint) or _in_folder(checkpoint)
    aligner.encoder(lake, wanted)  # loads it: what cannot be used does not become active
    make_active(instance, lake, wanted)
    return wanted


def checkpoint_folder(lake: Lake, checkpoint: str) -> Path:
    """The folder of the checkpoint of that id, or that folder. Raises ValueError where there is neither."""
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
