"""What the tables of trained models have in common: the newest row of a model, and what its subset was made from."""

from __future__ import annotations

from typing import Any

from resources.lake.schema import Table
from resources.lake.store import Lake


def newest_row(lake: Lake, table: Table, partition: str) -> dict[str, Any] | None:
    """Returns the row of the partition's newest checkpoint in one of these tables; None where there is none."""
    rows = lake.query(
        f"select * from {table.name} where {table.partition} = $partition "
        "order by written_at desc, checkpoint_id limit 1",
        {"partition": partition},
        tables=[table.name],
    ).to_pylist()
    return rows[0] if rows else None


def made_from(lake: Lake, subset: str) -> dict[str, Any] | None:
    """Returns snapshot and parameters (JSON) by which the subset was selected; None where it was not."""
    rows = lake.known("subset_snapshots", [subset], ["snapshot", "parameters"]).to_pylist()
    return rows[0] if rows else None
