"""`sources`: where videos come from, one row per file or URL. Registering assigns sources to ingest batches."""

import dagster as dg

from assets.partitions import INGEST_BATCH
from resources.catalog.files import register
from resources.catalog.inbox import Inbox
from resources.incremental.materialization import table_metadata
from resources.lake.schema import SOURCES
from resources.lake.store import Lake
from resources.media.store import Media


class Locations(dg.Config):
    """locations: files and folders to register; empty means the inbox."""

    locations: list[str] = []


@dg.asset(deps=["feed_polls"], group_name="ingest", kinds={"lance"})
def sources(
    context: dg.AssetExecutionContext, config: Locations, lake: Lake, media: Media, inbox: Inbox
) -> dg.MaterializeResult:
    """Where videos come from, one row per file or URL.

    Registering assigns sources to the ingest batches that all later assets are partitioned by. Changes when a file or
    a subtitle file beside it does.
    """
    locations = config.locations or [inbox.required_folder()]
    registered = register(lake, media, locations, run_id=context.run_id)
    context.instance.add_dynamic_partitions(INGEST_BATCH, sorted(registered.batches))
    return dg.MaterializeResult(
        metadata={
            **table_metadata(lake, SOURCES),
            "files_new": registered.new,
            "files_changed": registered.changed,
            "files_unchanged": registered.unchanged,
            "files_ignored": registered.tally.passed_over_files,
            "files_ignored_by_suffix": [str(kind) for kind in registered.tally.passed_over.values()],
            "batches": sorted(registered.batches),
        }
    )
