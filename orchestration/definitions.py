"""The code location: every asset, check, job, sensor and schedule, with the resources that they run on."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from assets.checks import captions, whole_lake
from assets.corpus import corpus_snapshot, duplicates, internvid_jsonl, statistics
from assets.corpus.report import build_report
from assets.ingest import annotations, feed_polls, feeds, source_checks, sources
from assets.partitions import INGEST_BATCH, partitions_of
from assets.stages import stage_definitions
from assets.vectors import active_checkpoint
from orchestration.configured import configured
from orchestration.jobs import build_jobs
from orchestration.schedules import build_schedules
from orchestration.sensors import build_sensors
from orchestration.settings import Settings
from resources.incremental.declaration import StageDefinition, StageScope
from resources.incremental.materialization import build_asset

# Assets that are no stages: they work on no units, or are filled by commands.
ASSET_MODULES = [
    feeds,
    feed_polls,
    sources,
    source_checks,
    annotations,
    active_checkpoint,
    duplicates,
    corpus_snapshot,
    statistics,
    internvid_jsonl,
]


def definitions(settings: Settings | None = None, resources: Mapping[str, Any] | None = None) -> dg.Definitions:
    """Builds the definitions by the settings, those of the environment unless given; `resources` replaces some."""
    settings = settings or Settings()
    by_name = {**configured(settings), **(resources or {})}
    partitions = partitions_of(by_name["subset_files"].all())
    stages = stage_definitions(settings.stages)
    batch_stages = [definition for definition in stages if definition.partition == INGEST_BATCH]
    stage_assets = [
        build_asset(
            definition,
            partitions[definition.partition],
            code_version=_code_version(definition, by_name),
        )
        for definition in stages
    ]
    others = dg.load_assets_from_modules(ASSET_MODULES, include_specs=True)
    return dg.Definitions(
        assets=[*stage_assets, *_with_fan_in(others, batch_stages), build_report(batch_stages)],
        asset_checks=[
            whole_lake.build_stage_counts(batch_stages),
            *dg.load_asset_checks_from_modules([captions, whole_lake]),
        ],
        jobs=build_jobs(stages, partitions),
        sensors=build_sensors(settings),
        schedules=build_schedules(settings),
        resources=by_name,
    )


def _code_version(definition: StageDefinition, resources: Mapping[str, Any]) -> str | None:
    """Returns the stage's versions as code version: Dagster then shows what a change makes stale.

    What depends on the lake (the active checkpoint, a snapshot) has none: those assets' data versions say it.
    """
    stage = definition.configured(StageScope(lake=None), resources)
    if stage.parameters is not None:
        return None
    return "; ".join(dict.fromkeys(output.readable_version for output in stage.outputs))


def _with_fan_in(assets: Any, stages: list[StageDefinition]) -> list[Any]:
    """Adds to the snapshot every table of the stages: it pins them all."""
    tables = [dg.AssetDep(table.name) for definition in stages for table in definition.outputs]

    def with_tables(spec: dg.AssetSpec) -> dg.AssetSpec:
        is_snapshot = spec.key == corpus_snapshot.corpus_snapshot.key
        return spec.replace_attributes(deps=[*spec.deps, *tables]) if is_snapshot else spec

    return list(dg.map_asset_specs(with_tables, assets))


@dg.definitions
def defs() -> dg.Definitions:
    return definitions()
