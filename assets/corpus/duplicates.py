"""`duplicates`: pairs of videos with the same content. Nothing is deleted because of it."""

import dagster as dg

from resources.corpus.duplicates import compare_new_videos
from resources.corpus.snapshots import content_now
from resources.incremental.costs import recorded
from resources.incremental.materialization import table_metadata
from resources.lake.schema import DUPLICATES
from resources.lake.store import Lake


@dg.asset(deps=["fingerprints", "raw_videos"], group_name="corpus", kinds={"lance"})
def duplicates(context: dg.AssetExecutionContext, lake: Lake) -> dg.MaterializeResult:
    """Pairs of videos with the same content: in another container, re-encoded, resized, cropped, with a logo.

    One row is a pair of videos. Changes with their packets and fingerprints.
    """
    with recorded(lake, "duplicates", run_id=context.run_id) as ledger:
        compared = compare_new_videos(lake, run_id=context.run_id, log=context.log.info)
        ledger.units = compared.videos
    pairs = content_now(lake, DUPLICATES)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(pairs.digest),
        metadata={
            **table_metadata(lake, DUPLICATES),
            "videos_compared": compared.videos,
            "pairs": pairs.row_count,
            "pairs_added": compared.added,
            "pairs_changed": compared.changed,
            "pairs_removed": compared.removed,
        },
    )
