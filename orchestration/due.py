"""Decides from the tables what is due: batches, a first model, publishing, outdated subsets.

The command line runs what is due in its own process; the sensors request the same jobs from the daemon. Only decisions
belong here; the jobs are in `orchestration.jobs`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assets.partitions import model_key
from resources.corpus.published_export import INTERNVID_JSONL
from resources.corpus.published_subset import FOLDERS, published_subsets, read_subset_manifest
from resources.corpus.report import REPORT
from resources.corpus.snapshots import is_current, newest_snapshot, newest_snapshot_name
from resources.corpus.statistics import MART
from resources.corpus.subset_files import SubsetFiles
from resources.corpus.subsets import shown
from resources.incremental.batch_states import read_batch_states
from resources.incremental.declaration import StageDefinition, configured_stages
from resources.lake.published_files import MANIFEST, modified
from resources.lake.schema import INTERLEAVED
from resources.lake.store import Lake
from resources.models.aligner import Aligner

# What is published beside the tables -> the file that is written last.
PUBLISHED = {MART: MART, INTERNVID_JSONL: f"{INTERNVID_JSONL}/{MANIFEST}", REPORT: REPORT}


@dataclass(frozen=True)
class DueRun:
    """A run that is due. run_key: of what it is made from, so that it is requested once; None: it may be repeated."""

    job: str
    partition: str | None = None
    run_key: str | None = None


def pending_batches(lake: Lake, stages: Sequence[StageDefinition], resources: Mapping[str, Any]) -> list[str]:
    """Returns the ingest batches in which any stage has pending units or rows to remove, in order."""
    return read_batch_states(lake, configured_stages(lake, stages, resources)).pending_partitions()


def first_model(lake: Lake, aligner: Aligner, setting: str) -> tuple[str, str] | None:
    """Returns recipe and subset of the first model of a lake without a model; None where no model is due.

    setting: recipe and subset, joined by |; empty: no first model.
    """
    if not setting or aligner.active(lake) or not lake.dataset("clip_captions").count_rows():
        return None
    recipe, _, subset = setting.partition("|")
    return recipe, subset


def next_run_to_first_model(lake: Lake, aligner: Aligner, setting: str) -> DueRun | None:
    """Returns the run that brings a lake without a model closer to its first one; None where no model is due.

    The lake is pinned, the subset selected, and the recipe trained on it, each by a run of its own.
    """
    model = first_model(lake, aligner, setting)
    if model is None:
        return None
    recipe, subset = model
    if not is_current(lake):
        return DueRun("pin")
    rows = lake.query(
        "select snapshot, provenance from subset_snapshots where subset = $subset",
        {"subset": subset},
        tables=["subset_snapshots"],
    ).to_pylist()
    newest = newest_snapshot_name(lake)
    if not rows or rows[0]["snapshot"] != newest:
        return DueRun("select", subset, run_key=f"first model/{subset}/{newest}")
    return DueRun("train", model_key(recipe, subset), run_key=f"first model/{recipe}/{subset}/{newest}")


def is_published(lake: Lake) -> bool:
    """Says whether the newest snapshot is current and every published file is newer than the snapshot."""
    if not is_current(lake):
        return False
    taken_at = newest_snapshot(lake)[0]["written_at"]
    times = [modified(lake, file) for file in PUBLISHED.values()]
    return all(time is not None and time >= taken_at for time in times)


def outdated_subsets(lake: Lake, subset_files: SubsetFiles) -> dict[str, dict[str, str]]:
    """Returns the subsets of an older snapshot, each with the values of its parameters.

    Selecting them from the newest snapshot shows which models were trained on clips that differ from their subset.
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


def outdated_documents(lake: Lake, subset_files: SubsetFiles) -> dict[str, str]:
    """Returns the subsets that were written and whose files are of an older selection or gone, each with its snapshot.

    A subset whose snapshot was removed has to be selected first.
    """
    rows = lake.query("select subset, snapshot from subset_snapshots order by subset").to_pylist()
    if not rows:
        return {}
    known, pinned = subset_files.all(), set(lake.tags())
    return {
        row["subset"]: row["snapshot"]
        for row in rows
        if row["subset"] in known
        and row["snapshot"] in pinned
        and not _is_written(lake, row["subset"], row["snapshot"])
        and _has_documents(lake, row["subset"])
    }


def _is_written(lake: Lake, subset: str, snapshot: str) -> bool:
    manifests = [read_subset_manifest(lake.file(folder) / subset) for folder in FOLDERS]
    return all(manifest is not None and manifest.snapshot == snapshot for manifest in manifests)


def _has_documents(lake: Lake, subset: str) -> bool:
    import pyarrow.compute as pc

    return lake.dataset(INTERLEAVED.name).count_rows(filter=pc.field("subset") == subset) > 0  # by the index


def published_names(lake: Lake) -> list[str]:
    """Returns the names of all published files and folders, those by subset included."""
    return [*PUBLISHED, *published_subsets(lake)]
