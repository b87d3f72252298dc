"""`corpus_snapshot`: pins the state of the whole lake, after all ingest batches.

Dagster's staleness does not pass from a partitioned asset to an unpartitioned one, so the assets after the ingest
batches depend on the snapshot.
"""

import dagster as dg

from resources.corpus.snapshots import take_snapshot
from resources.incremental.costs import clips_in, recorded
from resources.lake.store import Lake


@dg.asset(deps=["duplicates"], group_name="corpus", kinds={"lance"})  # definitions adds every stage of ingest batches
def corpus_snapshot(context: dg.AssetExecutionContext, lake: Lake) -> dg.MaterializeResult:
    """The pinned version of every table of data, from which statistics, subsets and checkpoints are computed.

    One row is the version of one table in a snapshot. Changes when any table's rows do.
    """
    with recorded(lake, "corpus_snapshot", run_id=context.run_id) as ledger:
        name, rows, is_new = take_snapshot(lake, run_id=context.run_id)
        ledger.units = clips_in(lake) if is_new else 0
    context.log.info(f"{'new snapshot' if is_new else 'nothing changed since'} {name}")
    records = [
        dg.TableRecord({key: str(row[key]) for key in ("table_name", "table_version", "row_count")}) for row in rows
    ]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(name),
        metadata={"snapshot": name, "is_new": is_new, "tables": dg.MetadataValue.table(records)},
    )
