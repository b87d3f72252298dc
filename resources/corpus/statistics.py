"""The statistics mart: a DuckDB file with one table for each question in `sql/statistics/`."""

from __future__ import annotations

from pathlib import Path

from resources.lake.statements import header, statement, statements_in
from resources.lake.store import Lake

MART = "statistics.duckdb"
READABLE_SINCE = "v1.0.0"  # of DuckDB: tools that people open the file with have an older one than this program


def build_mart(lake: Lake, snapshot: str, path: Path) -> None:
    """Runs every statement of sql/statistics/ on the lake as it was at `snapshot`, into a new DuckDB file.

    A table has the name of its file, and the title of its header as a comment.
    """
    import duckdb

    with (
        lake.connect(at=snapshot) as connection,
        duckdb.connect(str(path), config={"storage_compatibility_version": READABLE_SINCE}) as mart,
    ):
        for file in statements_in("statistics"):
            name = f"statistics/{file.stem}"
            mart.register("answer", connection.sql(statement(name)).to_arrow_table())
            mart.execute(f'create table "{file.stem}" as select * from answer')  # the name of our own file
            quoted = header(name).title.replace("'", "''")  # a comment cannot be bound either
            mart.execute(f"comment on table \"{file.stem}\" is '{quoted}'")
            mart.unregister("answer")
