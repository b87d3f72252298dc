"""`statistics`: the paper's tables and figures over this lake, one DuckDB table for each file of `sql/statistics/`."""

import dagster as dg

from assets.corpus.corpus_snapshot import corpus_snapshot
from resources.corpus.snapshots import newest_snapshot_name
from resources.corpus.statistics import publish_mart
from resources.incremental.costs import clips_in, recorded
from resources.lake.store import Lake

FIGURES = ("figure_3", "figure_4", "resolutions")  # how the names of those begin that the UI shows as plots


@dg.asset(deps=[corpus_snapshot], group_name="corpus", kinds={"duckdb"})
def statistics(context: dg.AssetExecutionContext, lake: Lake) -> dg.MaterializeResult:
    """The paper's Table 1 and Figures 3, 4, 15 and 16 over this lake, in statistics.duckdb.

    One table for each question in sql/statistics/, answered from the newest snapshot. Changes with the snapshot. The
    totals of the earlier file are carried on with what changed since.
    """
    from internvid.report.report import plots_markdown

    snapshot = newest_snapshot_name(lake)
    with recorded(lake, "statistics", run_id=context.run_id) as ledger:
        path, tables = publish_mart(lake, snapshot, context.log.info)
        ledger.units = clips_in(lake)
    shown = {name: table.to_pylist() for name, table in tables.items() if name.startswith(FIGURES)}
    (table_1,) = tables["table_1"].to_pylist()
    records = [dg.TableRecord({"measure": name, "value": str(value)}) for name, value in table_1.items()]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(snapshot),
        metadata={
            "path": dg.MetadataValue.path(path),
            "snapshot": snapshot,
            "table_1": dg.MetadataValue.table(records),
            "figures": dg.MetadataValue.md(plots_markdown(shown)),
        },
    )
