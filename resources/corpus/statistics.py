"""The statistics mart: a DuckDB file with one table for each question in `sql/statistics/`.

Questions are answered from totals (`resources.corpus.totals`), which lie in the file's schema `totals` and are carried
on from one file to the next; what does not grow with clips is read from the lake.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.corpus.totals import Totals, totals_at
from resources.lake.published_files import local_copy, modified, publish
from resources.lake.statements import header, statement, statements_in
from resources.lake.store import Lake, tables_in
from resources.lake.temporary_folders import temporary_folder
from resources.lake.totals import totals_header

if TYPE_CHECKING:
    import duckdb

MART = "statistics.duckdb"
READABLE_SINCE = "v1.0.0"  # of DuckDB: tools that people open the file with have an older one than this program


def publish_mart(lake: Lake, snapshot: str, log: Callable[[str], object]) -> tuple[str, dict[str, pa.Table]]:
    """Publishes the file of this snapshot, and returns where it is, and its tables by name. log: as of `build_mart`."""
    answers: dict[str, pa.Table] = {}
    with temporary_folder() as folder:
        earlier = local_copy(lake, MART, folder) if modified(lake, MART) else None
        path = publish(
            lake, MART, lambda path: answers.update(build_mart(lake, snapshot, path, earlier=earlier, log=log))
        )
    return path, answers


def build_mart(
    lake: Lake,
    snapshot: str,
    path: Path,
    *,
    earlier: Path | None = None,
    log: Callable[[str], object] = lambda text: None,
) -> dict[str, pa.Table]:
    """Runs every statement of sql/statistics/ on the lake as it was at `snapshot`, into a new DuckDB file.

    A table has the name of its file, and the title of its header as a comment.
    earlier: the file of an earlier snapshot, whose totals are carried on. Without it, and where they cannot be, they
    are computed from the whole lake; `log` takes one line for each reason.
    Returns the tables by name.
    """
    import duckdb

    statistics = [file.stem for file in statements_in("statistics")]
    named = dict.fromkeys(table for name in statistics for table in tables_in(statement(f"statistics/{name}")))
    totals, reasons = totals_at(lake, snapshot, None if earlier is None else read_totals(earlier))
    for reason in dict.fromkeys(reasons.values()):
        names = ", ".join(name for name in reasons if reasons[name] == reason)
        log(f"{names}: computed from the whole lake, because {reason}")
    with (
        lake.connect(named, at=snapshot) as connection,
        duckdb.connect(str(path), config={"storage_compatibility_version": READABLE_SINCE}) as mart,
    ):
        mart.execute("begin")
        mart.execute("create schema totals")
        for name, rows in totals.rows.items():
            connection.register(name, rows)
            _write(mart, "totals", name, rows, totals_header(name).title)
        _write(mart, "totals", "made_from", _made_from(totals, snapshot), "What the totals were computed from")
        answers = {name: connection.sql(statement(f"statistics/{name}")).to_arrow_table() for name in statistics}
        for name, answer in answers.items():
            _write(mart, "main", name, answer, header(f"statistics/{name}").title)
        mart.execute("commit")
    return answers


def read_totals(mart: Path) -> Totals | None:
    """Returns the totals in a file of statistics; None where there is no such file, or they cannot be read."""
    import duckdb

    if not mart.exists():
        return None
    try:
        with duckdb.connect(str(mart), read_only=True) as connection:
            connection.execute("set timezone = 'UTC'")
            (made_from,) = connection.table("totals.made_from").to_arrow_table().to_pylist()
            versions, digests = (json.loads(made_from[name]) for name in ("table_versions", "statement_digests"))
            rows = {name: connection.table(f"totals.{name}").to_arrow_table() for name in digests}
    except (duckdb.Error, ValueError):  # damaged, of another program, or without totals
        return None
    return Totals(versions, digests, rows)


def sampled_clips(mart: Path) -> dict[str, str]:
    """Returns the ids of clips drawn at random, each with its ingest batch, in order."""
    import duckdb

    with duckdb.connect(str(mart), read_only=True) as connection:
        rows = connection.sql("select clip_id, ingest_batch from totals.sampled_clips order by ranked_by").fetchall()
    return dict(rows)


def _made_from(totals: Totals, snapshot: str) -> pa.Table:
    row = {
        "snapshot": snapshot,
        "table_versions": json.dumps(totals.versions),
        "statement_digests": json.dumps(totals.statement_digests),
    }
    return pa.Table.from_pylist([row])


def _write(mart: duckdb.DuckDBPyConnection, schema: str, name: str, rows: pa.Table, title: str) -> None:
    mart.register("rows", rows)
    mart.execute(f'create table {schema}."{name}" as select * from rows')  # the name of our own file
    quoted = title.replace("'", "''")  # a comment cannot be bound either
    mart.execute(f"comment on table {schema}.\"{name}\" is '{quoted}'")
    mart.unregister("rows")
