"""The code location: every asset, check, job, sensor and schedule, with the resources that they run on."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from assets.checks import captions, whole_lake
from assets.corpus import corpus_snapshot, duplicates, internvid_jsonl, statistics
from assets.corpus.report import build_report
from assets.dialogue.instructions import build_instructions
from assets.ingest import annotations, feed_polls, feeds, source_checks, sources
from assets.model import finetuned_checkpoints
from assets.model.exports import build_exports
from assets.partitions import EXPORT, INGEST_BATCH, SUBSET, partitions_of
from assets.stages import stage_definitions
from assets.vectors import active_checkpoint
from orchestration.automation import build_automation, follow_inputs
from orchestration.configured import configured
from orchestration.jobs import build_jobs
from orchestration.schedules import PUBLISHED_HOURLY, build_schedules
from orchestration.sensors import build_first_model_sensor, build_sensors
from orchestration.settings import Settings
from resources.incremental.declaration import StageDefinition, StageScope
from resources.incremental.materialization import build_asset
from resources.models.activation import ASSET as ACTIVE_CHECKPOINT

# Assets that are no stages: they work on no units, or are filled by commands.
ASSET_MODULES = [
    feeds,
    feed_polls,
    sources,
    source_checks,
    annotations,
    active_checkpoint,
    finetuned_checkpoints,
    duplicates,
    corpus_snapshot,
    statistics,
    internvid_jsonl,
]

EXECUTORS = {"in_process": dg.in_process_executor, "multiprocess": dg.multiprocess_executor}


def definitions(
    settings: Settings | None = None, resources: Mapping[str, Any] | None = None, *, with_retries: bool = True
) -> dg.Definitions:
    """Builds the definitions by the settings, those of the environment unless given.

    resources: by name, those that replace some. with_retries: whether a step that failed is tried again by itself.
    """
    settings = settings or Settings()
    by_name = {**configured(settings), **(resources or {})}
    partitions = partitions_of(by_name["subset_files"].all())
    stages = stage_definitions(settings.stages)
    batch_stages = [definition for definition in stages if definition.partition == INGEST_BATCH]
    condition = follow_inputs(batch_stages)
    owners = [settings.owner] if settings.owner else []
    stage_assets = [
        build_asset(
            definition,
            partitions[definition.partition],
            code_version=_code_version(definition, by_name),
            with_retries=with_retries,
            automation_condition=condition if definition in batch_stages else None,
            owners=owners,
        )
        for definition in stages
    ]
    others = [
        *dg.load_assets_from_modules(ASSET_MODULES, include_specs=True),
        build_report(batch_stages),
        build_instructions(partitions[SUBSET]),
        build_exports(partitions[EXPORT]),
    ]
    jobs = build_jobs(stages)
    return dg.Definitions(
        assets=_with_explorer([*stage_assets, *_completed(others, batch_stages, owners)], settings.explorer_url),
        asset_checks=[
            whole_lake.build_stage_counts(batch_stages),
            *dg.load_asset_checks_from_modules([captions, whole_lake]),
        ],
        jobs=jobs,
        sensors=[
            *build_sensors(settings),
            build_first_model_sensor(settings, jobs),
            build_automation(batch_stages),
        ],
        schedules=build_schedules(settings),
        resources=by_name,
        executor=EXECUTORS[settings.executor],
    )


def _code_version(definition: StageDefinition, resources: Mapping[str, Any]) -> str | None:
    """Returns the stage's versions as code version: Dagster then shows, and recomputes, what a change makes stale.

    What depends on the lake (the active checkpoint, a snapshot) has none: those assets' data versions say it.
    """
    if definition.partition != INGEST_BATCH or ACTIVE_CHECKPOINT in definition.reads:
        return None
    stage = definition.configured(StageScope(lake=None), resources)
    return "; ".join(dict.fromkeys(output.readable_version for output in stage.outputs))


def _completed(assets: Any, stages: list[StageDefinition], owners: list[str]) -> list[Any]:
    """Adds to the snapshot every table of the stages, for it pins them all; and to what the clock makes, how fresh
    that is to be."""
    tables = [dg.AssetDep(table.name) for definition in stages for table in definition.outputs]

    def completed(spec: dg.AssetSpec) -> dg.AssetSpec:
        spec = spec.replace_attributes(owners=owners)
        if spec.group_name == "corpus":
            spec = spec.replace_attributes(freshness_policy=PUBLISHED_HOURLY)
        is_snapshot = spec.key == corpus_snapshot.corpus_snapshot.key
        return spec.replace_attributes(deps=[*spec.deps, *tables]) if is_snapshot else spec

    return list(dg.map_asset_specs(completed, assets))


def _with_explorer(assets: list[Any], url: str) -> list[Any]:
    """Adds to every asset a link to the explorer."""
    link = {"explorer": dg.MetadataValue.url(url)}
    return list(dg.map_asset_specs(lambda spec: spec.merge_attributes(metadata=link), assets))


@dg.definitions
def defs() -> dg.Definitions:
    return definitions()
