"""Rows of `attempts` for what never becomes an input of a step: rows of lists that say nothing that can be used.

What a step's inputs end as is written by resources.refresh.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.schema import ATTEMPTS
from resources.statements import statement

if TYPE_CHECKING:
    from resources.lake import Lake


@dataclass(frozen=True)
class Unusable:
    """key: within its stage. label: where it stands, for people. why: the error's text. partition, provenance: of what
    it was found with, where that is known.
    """

    key: str
    label: str
    error_class: str
    why: str
    partition: str | None = None
    provenance: str | None = None


def note(lake: Lake, stage: str, found: Iterable[Unusable], run_id: str) -> None:
    """Writes one row for each key; what is said last of a key stays."""
    now = datetime.now(UTC)
    rows = {
        one.key: {
            "attempt_id": f"{stage}/{one.key}",
            "stage": stage,
            "key": one.key,
            "label": one.label,
            "outcome": "failed",
            "error_class": one.error_class,
            "message": one.why.encode(errors="backslashreplace").decode(),  # it may quote what is no text
            "tries": 1,
            "partition": one.partition,
            "provenance": one.provenance,
            "run_id": run_id,
            "written_at": now,
        }
        for one in found
    }
    if rows:
        lake.upsert(ATTEMPTS.name, pa.Table.from_pylist(list(rows.values()), schema=ATTEMPTS.arrow))


def settle(lake: Lake, stage: str, prefix: str, run_id: str) -> None:
    """Removes what other runs said of the keys that begin so: the list has been read again, to its end."""
    earlier = lake.query(
        statement("operations/bad_rows_of_other_runs"), {"stage": stage, "prefix": prefix, "run_id": run_id}
    )
    lake.delete(ATTEMPTS.name, earlier["attempt_id"].to_pylist())
