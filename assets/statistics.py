"""`statistics`: the paper's tables and figures over this lake, one DuckDB table for each file of `sql/statistics/`."""

from pathlib import Path

import dagster as dg

from assets.corpus_snapshot import corpus_snapshot, newest_snapshot_name
from resources.lake import Lake
from resources.published_files import publish
from resources.statements import statement, statements_in

MART = "statistics.duckdb"


@dg.asset(
    deps=[corpus_snapshot],
    group_name="corpus",
    kinds={"duckdb"},
    description="The paper's Table 1 and Figures 3b, 4a, 4b over this lake, in statistics.duckdb.",
)
def statistics(context: dg.AssetExecutionContext, lake: Lake) -> dg.MaterializeResult:
    """One table for each question in sql/statistics/, answered from the newest snapshot. Changes with the snapshot."""
    snapshot = newest_snapshot_name(lake)
    path = publish(lake, MART, lambda path: build(lake, snapshot, path))
    table_1 = lake.query(statement("statistics/table_1"), at=snapshot).to_pylist()[0]
    records = [dg.TableRecord({"measure": name, "value": str(value)}) for name, value in table_1.items()]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(snapshot),
        metadata={
            "path": dg.MetadataValue.path(path),
            "snapshot": snapshot,
            "table_1": dg.MetadataValue.table(records),
        },
    )


def build(lake: Lake, snapshot: str, path: Path) -> None:
    """Answers every question of sql/statistics/ over the lake as it was at `snapshot`, into a new DuckDB file."""
    import duckdb

    with lake.connect(at=snapshot) as connection, duckdb.connect(str(path)) as mart:
        for file in statements_in("statistics"):
            answer = connection.sql(statement(f"statistics/{file.stem}")).to_arrow_table()
            mart.register("answer", answer)
            title = statement(f"statistics/{file.stem}").splitlines()[0].removeprefix("--").strip()
            mart.execute(f'create table "{file.stem}" as select * from answer')  # the name of our own file
            quoted = title.replace("'", "''")  # a comment cannot be bound either
            mart.execute(f"comment on table \"{file.stem}\" is '{quoted}'")
            mart.unregister("answer")
