"""`feed_polls`: polls of feeds, with the number of entries and new sources of each."""

import dagster as dg

from assets.partitions import add_ingest_batches
from resources.catalog.downloader import Downloader
from resources.catalog.feeds import MAX_POLLS, poll
from resources.incremental.materialization import table_metadata
from resources.incremental.retries import FailurePolicy
from resources.lake.schema import FEED_POLLS
from resources.lake.store import Lake


class PollConfig(dg.Config):
    """plans: poll only feeds of these plans; empty means all. max_polls: upper bound in this run."""

    plans: list[str] = []
    max_polls: int = MAX_POLLS


@dg.asset(deps=["feeds"], group_name="ingest", pool="download", kinds={"lance", "ytdlp"})
def feed_polls(
    context: dg.AssetExecutionContext,
    config: PollConfig,
    lake: Lake,
    downloader: Downloader,
    failure_policy: FailurePolicy,
) -> dg.MaterializeResult:
    """Polls the feeds that are due. New videos become sources, in new ingest batches.

    One row is a poll of a feed. A poll is never repeated: the next one is another row.
    """
    lake.create_tables()
    result = poll(
        lake, downloader, failure_policy, config.plans, config.max_polls, run_id=context.run_id, log=context.log.info
    )
    add_ingest_batches(context.instance, result.batches)
    if result.new:
        # Polling registers sources: the UI shows `sources` as changed, as when files are registered.
        context.instance.report_runless_asset_event(
            dg.AssetMaterialization("sources", metadata={"sources_new": result.new, "found_by": "feed_polls"})
        )
    return dg.MaterializeResult(
        metadata={
            **table_metadata(lake, FEED_POLLS),
            "polls": result.polls,
            "entries": result.entries,
            "sources_new": result.new,
            "left_out": result.left_out,
            "polls_failed": result.failed,
            "polls_waiting": result.waiting,
            "searches_refused": result.refused,
            "batches": sorted(result.batches),
        }
    )
