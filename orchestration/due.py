"""What is due, read from the tables: which batches, whether a first model, what to publish, which subsets.

The command line runs what is due in its own process; the sensors request the same jobs from the daemon. Only decisions
belong here: what a job does is `orchestration.jobs`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from resources.corpus.exports import INTERNVID_JSONL
from resources.corpus.report import REPORT
from resources.corpus.snapshots import is_current, newest_snapshot, newest_snapshot_name
from resources.corpus.statistics import MART
from resources.corpus.subset_files import SubsetFiles
from resources.corpus.subsets import shown
from resources.incremental.declaration import StageDefinition, StageScope
from resources.incremental.state import pending_partitions
from resources.lake.published_files import modified
from resources.lake.store import Lake
from resources.models.aligner import Aligner

PUBLISHED = (MART, INTERNVID_JSONL, REPORT)  # files that the lake gives out beside its tables


def pending_batches(lake: Lake, stages: Sequence[StageDefinition], resources: Mapping[str, Any]) -> list[str]:
    """Returns the ingest batches in which any stage has something to do, in order."""
    scope = StageScope(lake)
    pending: set[str] = set()
    for definition in stages:
        pending.update(pending_partitions(lake, definition.configured(scope, resources)))
    return sorted(pending)


def first_model(lake: Lake, aligner: Aligner, setting: str) -> tuple[str, str] | None:
    """Returns recipe and subset of the model that a lake without one is to train; None where none is due.

    setting: recipe and subset, joined by |; empty for none.
    """
    if not setting or aligner.active(lake) or not lake.dataset("clip_captions").count_rows():
        return None
    recipe, _, subset = setting.partition("|")
    return recipe, subset


def is_published(lake: Lake) -> bool:
    """Says whether the newest snapshot shows all that the tables hold, and every file was made after that snapshot."""
    if not is_current(lake):
        return False
    taken_at = newest_snapshot(lake)[0]["written_at"]
    times = [modified(lake, file) for file in PUBLISHED]
    return all(time is not None and time >= taken_at for time in times)


def outdated_subsets(lake: Lake, subset_files: SubsetFiles) -> dict[str, dict[str, str]]:
    """Returns the subsets that were made of an older snapshot, each with the values of its parameters.

    Made again of the newest one, they show which models were trained on other clips than are in their subset now.
    """
    rows = lake.query("select subset, snapshot, parameters from subset_snapshots order by subset").to_pylist()
    if not rows:
        return {}
    newest, known = newest_snapshot_name(lake), subset_files.all()
    return {
        row["subset"]: {name: shown(value) for name, value in json.loads(row["parameters"]).items()}
        for row in rows
        if row["subset"] in known and row["snapshot"] != newest
    }
