"""The code location: every asset, check, job, sensor and schedule, with the resources that they run on."""

from collections.abc import Mapping

import dagster as dg

from assets import (
    checks,
    clip_captions,
    clips,
    corpus_snapshot,
    frame_captions,
    internvid_jsonl,
    raw_videos,
    report,
    sources,
    statistics,
)
from orchestration.inbox import inbox_sensor
from orchestration.jobs import check_lake, ingest, publish
from orchestration.maintenance import maintenance, maintenance_schedule, publish_schedule
from resources.configured import configured

ASSET_MODULES = [
    sources,
    raw_videos,
    clips,
    frame_captions,
    clip_captions,
    corpus_snapshot,
    statistics,
    internvid_jsonl,
    report,
]


def definitions(resources: Mapping[str, object] | None = None) -> dg.Definitions:
    """The definitions with the resources of the environment; `resources` replaces some of them."""
    return dg.Definitions(
        assets=dg.load_assets_from_modules(ASSET_MODULES),
        asset_checks=dg.load_asset_checks_from_modules([checks]),
        jobs=[ingest, publish, check_lake, maintenance],
        sensors=[inbox_sensor],
        schedules=[publish_schedule, maintenance_schedule],
        resources={**configured(), **(resources or {})},
    )


@dg.definitions
def defs() -> dg.Definitions:
    return definitions()
