"""The code location: every asset, check, job, sensor and schedule, with the resources that they run on."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets import checks
from assets.captions import clip_captions, frame_captions
from assets.corpus import corpus_snapshot, internvid_jsonl, report, statistics
from assets.ingest import downloads, raw_videos
from assets.model import checkpoints, evaluations, subsets
from assets.speech import speech, transcripts
from assets.stages import PROVIDERS, stages
from assets.vectors import active_checkpoint, clip_embeddings, clip_scores
from assets.video import clips, fingerprints
from orchestration.activation import activate_checkpoint
from orchestration.collection import check_sources, check_sources_schedule, discover, discover_schedule
from orchestration.configured import configured
from orchestration.follow_up import found_sources_sensor, retry_sensor
from orchestration.inbox import inbox_sensor
from orchestration.jobs import check_lake, ingest, pin, publish, select, train
from orchestration.maintenance import check_schedule, maintenance, maintenance_schedule, publish_schedule
from resources.catalog import annotations, feeds, source_checks
from resources.catalog import files as sources
from resources.corpus import duplicates

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
    providers = {**configured(), **(resources or {})}
    return dg.Definitions(
        assets=_with_code_versions(dg.load_assets_from_modules(ASSET_MODULES, include_specs=True), providers),
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
        resources=providers,
    )


def _with_code_versions(assets: Sequence[Any], providers: Mapping[str, Any]) -> list[Any]:
    """Each partitioned asset with its stage's version as code version: Dagster then shows what a change makes stale."""
    configured_stages = stages(None, **{name: providers[name] for name in PROVIDERS})
    # What rests on the active checkpoint has no version of its own: that asset's data version tells it.
    versions = {
        output.table.name: output.readable_version
        for stage in configured_stages
        for output in stage.outputs
        if stage.parameters is None
    }

    def with_version(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(code_version=versions.get(spec.key.to_user_string()))

    return list(dg.map_asset_specs(with_version, assets))


@dg.definitions
def defs() -> dg.Definitions:
    return definitions()
