"""`source_checks`: whether web sources are still available. Their history shows link rot."""

import dagster as dg

from resources.catalog.admission import Admission
from resources.catalog.downloader import Downloader
from resources.catalog.source_checks import MAX_CHECKS, check_sources
from resources.incremental.materialization import table_metadata
from resources.incremental.retries import FailurePolicy
from resources.lake.schema import SOURCE_CHECKS
from resources.lake.store import Lake


class CheckConfig(dg.Config):
    """max_checks: upper bound on sources in one run; those that were checked longest ago come first."""

    max_checks: int = MAX_CHECKS


@dg.asset(deps=["downloads"], group_name="ingest", pool="download", kinds={"lance", "ytdlp"})
def source_checks(
    context: dg.AssetExecutionContext,
    config: CheckConfig,
    lake: Lake,
    downloader: Downloader,
    admission: Admission,
    failure_policy: FailurePolicy,
) -> dg.MaterializeResult:
    """Checks whether web sources are still available, and their licence; those checked longest ago come first.

    One row is a check of one source. Rows are only added: they are the source's history.
    """
    lake.create_tables()
    checked = check_sources(
        lake, downloader, admission.exclusions(), failure_policy, config.max_checks, run_id=context.run_id
    )
    return dg.MaterializeResult(
        metadata={
            **table_metadata(lake, SOURCE_CHECKS),
            "checks": checked.checks,
            "available": checked.available,
            "gone": checked.gone,
            "unknown": checked.unknown,
            "sites_in_cooldown": {site: until.isoformat() for site, until in checked.cooldowns.items()},
        }
    )
