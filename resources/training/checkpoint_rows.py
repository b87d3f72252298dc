"""What the tables of trained models have in common: the newest row of a model, and what its subset was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from resources.incremental.faults import ModelUnavailable
from resources.lake.schema import Table
from resources.lake.store import Lake
from resources.training.checkpoint_files import TRAINED, local_folder


def of_all_checkpoints(columns: str) -> str:
    """Returns SQL of these columns of all tables of trained models, to be a part of a statement over `TRAINED`."""
    return " union all ".join(f"select {columns} from {table}" for table in TRAINED)


def newest_row(lake: Lake, table: Table, partition: str) -> dict[str, Any] | None:
    """Returns the row of the partition's newest checkpoint in one of these tables; None where there is none."""
    rows = lake.query(
        f"select * from {table.name} where {table.partition} = $partition "
        "order by written_at desc, checkpoint_id limit 1",
        {"partition": partition},
        tables=[table.name],
    ).to_pylist()
    return rows[0] if rows else None


def checkpoint_named(
    lake: Lake, table: Table, name: str | None, *, what: str, recipe: str
) -> tuple[str, Path, str | None]:
    """Returns id, folder on this machine and digest of a trained model; the digest is None of a folder that is given.

    name: an id of the table, or a checkpoint's folder; None: the newest of the lake. what: such a model, in messages.
    recipe: one that trains it. Raises ValueError for an unknown name, and ModelUnavailable where its files are gone.
    """
    if name is not None and Path(name).is_dir():
        return name, Path(name), None
    rows = lake.query(
        f"select checkpoint_id, path, weights_digest from {table.name} "
        "where $name is null or checkpoint_id = $name order by written_at desc, checkpoint_id limit 1",
        {"name": name},
        tables=[table.name],
    ).to_pylist()
    if not rows and name is None:
        raise ValueError(f"this lake has no {what} yet: `internvid train {recipe}` trains one")
    if not rows:
        raise ValueError(f"{name!r} is neither a {what} of this lake (table {table.name}) nor a folder")
    try:
        return rows[0]["checkpoint_id"], local_folder(lake, rows[0]["path"]), rows[0]["weights_digest"]
    except FileNotFoundError as error:
        raise ModelUnavailable(str(error)) from error


def made_from(lake: Lake, subset: str) -> dict[str, Any] | None:
    """Returns snapshot and parameters (JSON) by which the subset was selected; None where it was not."""
    rows = lake.known("subset_snapshots", [subset], ["snapshot", "parameters"]).to_pylist()
    return rows[0] if rows else None
