"""The statistics mart: a DuckDB file with one table for each statement of sql/statistics/."""

from __future__ import annotations

from pathlib import Path

from resources.lake.statements import statement, statements_in
from resources.lake.store import Lake

MART = "statistics.duckdb"


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
