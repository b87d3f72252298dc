"""Rows of `attempts` for what never becomes a unit of a stage: unusable rows of imported lists and annotations, files
that are passed over, cues of subtitles that cannot be read.

The attempts of a stage's units are written by resources.incremental.commits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.lake.schema import ATTEMPTS
from resources.lake.statements import statement

if TYPE_CHECKING:
    from resources.lake.store import Lake


@dataclass(frozen=True)
class Unusable:
    """A row, file or cue that could not be used.

    key: unique within its stage. label: its place in the list, for people. why: the error's text. partition,
    provenance: of the unit in which it was met, where there is one. outcome: as in `attempts`.
    """

    key: str
    label: str
    error_class: str
    why: str
    partition: str | None = None
    provenance: str | None = None
    outcome: str = "failed"


def note(lake: Lake, stage: str, unusable: Iterable[Unusable], run_id: str) -> None:
    """Writes one row for each key; of several rows with the same key, the last is kept."""
    now = datetime.now(UTC)
    rows = {
        row.key: {
            "attempt_id": f"{stage}/{row.key}",
            "stage": stage,
            "key": row.key,
            "label": row.label,
            "outcome": row.outcome,
            "error_class": row.error_class,
            "message": row.why.encode(errors="backslashreplace").decode(),  # it may quote what is no text
            "tries": 1,
            "partition": row.partition,
            "provenance": row.provenance,
            "run_id": run_id,
            "written_at": now,
        }
        for row in unusable
    }
    if rows:
        lake.upsert(ATTEMPTS.name, pa.Table.from_pylist(list(rows.values()), schema=ATTEMPTS.arrow))


def settle(lake: Lake, stage: str, prefix: str, run_id: str) -> None:
    """Removes rows of earlier runs whose keys start with `prefix`, after the list was read again completely."""
    earlier = lake.query(
        statement("incremental/bad_rows_of_other_runs"), {"stage": stage, "prefix": prefix, "run_id": run_id}
    )
    lake.delete(ATTEMPTS.name, earlier["attempt_id"].to_pylist())
