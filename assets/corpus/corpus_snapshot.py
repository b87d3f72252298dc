"""`corpus_snapshot`: the state of the whole lake, pinned. Where the ingest batches come together.

Dagster's staleness stops where a partitioned asset meets an unpartitioned one, so everything after it depends on this.
"""

import dagster as dg

from resources.corpus.snapshots import take_snapshot
from resources.lake.store import Lake


@dg.asset(deps=["duplicates"], group_name="corpus", kinds={"lance"})  # and every stage of ingest batches: definitions
def corpus_snapshot(context: dg.AssetExecutionContext, lake: Lake) -> dg.MaterializeResult:
    """The pinned version of every table of data: what statistics, subsets and checkpoints are made from.

    One row is the version of one table in a snapshot. Changes when any table's rows do.
    """
    name, rows, is_new = take_snapshot(lake, run_id=context.run_id)
    context.log.info(f"{'new snapshot' if is_new else 'nothing changed since'} {name}")
    records = [
        dg.TableRecord({key: str(row[key]) for key in ("table_name", "table_version", "row_count")}) for row in rows
    ]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(name),
        metadata={"snapshot": name, "is_new": is_new, "tables": dg.MetadataValue.table(records)},
    )
