"""The table of what was exported, by which `internvid forget` finds it: nothing is exported without a row."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from resources.corpus.exports.manifest import Head
from resources.corpus.exports.run import Options, make_export, plan_of
from resources.corpus.exports.selection import Selection
from resources.incremental.faults import raising_faults
from resources.incremental.provenance import digest
from resources.lake.schema import EXPORTS
from resources.lake.store import Lake
from resources.media.store import Media


def note_export(
    lake: Lake,
    path: Path,
    *,
    form: str | None,
    subset: str | None,
    snapshot: str | None,
    clips: int,
    key: str | None = None,
) -> None:
    """Records what was exported to the path.

    clips: 0 while it is made: what is there of it has to be found too. key: what tells the exports to one path apart;
    None: the time.
    """
    now = datetime.now(UTC)
    row = {
        "export_id": f"{path.resolve()}@{key or now.isoformat()}",
        "path": str(path.resolve()),
        "form": form,
        "subset": subset,
        "snapshot": snapshot,
        "clips": clips,
        "written_at": now,
    }
    lake.upsert(EXPORTS.name, pa.Table.from_pylist([row], schema=EXPORTS.arrow))


def make_registered_export(
    lake: Lake,
    media: Media,
    path: Path,
    chosen: Selection,
    options: Options,
    *,
    on_clips: Callable[[int], object] = lambda clips: None,
) -> Head:
    """Makes the export, or goes on with it, and records it from its beginning on. As `make_export` otherwise."""
    row = {
        "form": options.form,
        "subset": chosen.subset,
        "snapshot": chosen.snapshot,
        "key": digest(plan_of(chosen, options).model_dump())[:16],
    }
    with raising_faults(str(path)):
        note_export(lake, path, clips=0, **row)
        head = make_export(lake, media, path, chosen, options, on_clips=on_clips)
    note_export(lake, path, clips=head.clips_exported, **row)
    return head
