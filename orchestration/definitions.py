"""The code location: every asset, check, job, sensor and schedule, with the resources that they run on."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets import (
    active_checkpoint,
    annotations,
    checkpoints,
    checks,
    clip_captions,
    clip_embeddings,
    clip_scores,
    clips,
    corpus_snapshot,
    downloads,
    duplicates,
    evaluations,
    feeds,
    fingerprints,
    frame_captions,
    internvid_jsonl,
    raw_videos,
    report,
    source_checks,
    sources,
    speech,
    statistics,
    subsets,
    transcripts,
)
from assets.steps import DOORS, steps
from orchestration.activation import activate_checkpoint
from orchestration.collection import check_sources, check_sources_schedule, discover, discover_schedule
from orchestration.configured import configured
from orchestration.follow_up import found_sources_sensor, retry_sensor
from orchestration.inbox import inbox_sensor
from orchestration.jobs import check_lake, ingest, pin, publish, select, train
from orchestration.maintenance import check_schedule, maintenance, maintenance_schedule, publish_schedule

ASSET_MODULES = [
    feeds,
    sources,
    source_checks,
    annotations,
    downloads,
    raw_videos,
    clips,
    fingerprints,
    speech,
    transcripts,
    frame_captions,
    clip_captions,
    active_checkpoint,
    clip_embeddings,
    clip_scores,
    duplicates,
    corpus_snapshot,
    subsets,
    checkpoints,
    evaluations,
    statistics,
    internvid_jsonl,
    report,
]


def definitions(resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """The definitions with the resources of the environment; `resources` replaces some of them."""
    doors = {**configured(), **(resources or {})}
    return dg.Definitions(
        assets=_with_code_versions(dg.load_assets_from_modules(ASSET_MODULES, include_specs=True), doors),
        asset_checks=dg.load_asset_checks_from_modules([checks]),
        jobs=[
            *(ingest, discover, check_sources, pin, select, train),
            *(activate_checkpoint, publish, check_lake, maintenance),
        ],
        sensors=[inbox_sensor, found_sources_sensor, retry_sensor],
        schedules=[
            *(discover_schedule, check_sources_schedule),
            *(publish_schedule, maintenance_schedule, check_schedule),
        ],
        resources=doors,
    )


def _with_code_versions(assets: Sequence[Any], doors: Mapping[str, Any]) -> list[Any]:
    """Each partitioned asset with its step's version as code version: Dagster then shows what a change makes stale."""
    of_steps = steps(None, **{name: doors[name] for name in DOORS})
    # What rests on the active checkpoint has no version of its own: that asset's data version tells it.
    versions = {
        output.table.name: output.readable_version
        for step in of_steps
        for output in step.outputs
        if step.declared is None
    }

    def with_version(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(code_version=versions.get(spec.key.to_user_string()))

    return list(dg.map_asset_specs(with_version, assets))


@dg.definitions
def defs() -> dg.Definitions:
    return definitions()
