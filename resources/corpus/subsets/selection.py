"""The clips that a subset selects from a lake, with weight and side of the split.

The draw: each clip gets u in (0, 1) from the first 13 hex digits of md5("draw/<seed>/<clip_id>"), and those with the
smallest -ln(u) / weight are drawn (Efraimidis and Spirakis 2006): the distribution of drawing clips successively with
chances proportional to weight. It depends on no order of rows, number of threads or version of DuckDB; and with one
seed a smaller draw is part of a larger one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from resources.corpus.subsets.header import Subset, Value
from resources.incremental.provenance import digest
from resources.lake.statements import statement
from resources.lake.store import Lake

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

REQUIRED_COLUMNS = ("clip_id", "weight", "reason")
NOT_MEASURED = {*REQUIRED_COLUMNS, "video_id"}
SPLITS = ("train", "validation", "test")
MEMORY_LIMIT = "2GB"  # of a selection; what exceeds it goes to files in the temporary folder
ROWS_PER_BATCH = 65_536  # of the reader; some 10 MB


@contextmanager
def connected(lake: Lake, subset: Subset, *, at: str | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens the tables that a subset may read: its SQL is code, and needs no files. at: a snapshot, or None."""
    with lake.connect(subset.tables, at=at, untrusted=True, memory_limit=MEMORY_LIMIT) as connection:
        yield connection


def select_subset(
    connection: duckdb.DuckDBPyConnection, subset: Subset, given: Mapping[str, object] | None = None
) -> pa.RecordBatchReader:
    """The rows of a subset: clip_id, video_id, split, weight, reason; one a clip, in order of clip_id.

    connection: of `connected`; it is busy until the reader is read to its end or closed.
    given: values of parameters; those not given have their defaults.
    Raises ValueError as `Subset.values` does, and for a statement that cannot be used; duckdb.Error where it fails.
    """
    parts, values = prepare(connection, subset, given, "drawn", "split")
    check_rows(connection, subset, parts, values)
    return _relation(connection, parts.compose(statement("selection/selection")), values).to_arrow_reader(
        ROWS_PER_BATCH
    )


def split_sizes(
    connection: duckdb.DuckDBPyConnection, subset: Subset, given: Mapping[str, object] | None = None
) -> dict[str, dict[str, int]]:
    """Clips and videos of the subset on each side: {"train": {"clips": 80, "videos": 8}, …}.

    Raises ValueError and duckdb.Error as `select_subset` does.
    """
    parts, values = prepare(connection, subset, given, "drawn", "split")
    rows = fetch_rows(connection, parts.compose(statement("selection/split_sizes")), values)
    sizes = {row["split"]: row for row in rows}
    return {
        split: {unit: sizes[split][unit] if split in sizes else 0 for unit in ("clips", "videos")} for split in SPLITS
    }


@dataclass(frozen=True)
class Parts:
    """The statement of a subset and the statements that read it, as common table expressions.

    conditions: the statement's boolean columns, in order. sql_by_name: the expressions, in order.
    """

    conditions: list[str]
    sql_by_name: dict[str, str]

    def compose(self, query: str) -> str:
        """One statement in which `query` may read each part, and each part those before it, by name."""
        expressions = ", ".join(f"{name} as (\n{sql}\n)" for name, sql in self.sql_by_name.items())
        return f"with {expressions}\n{query}"


def prepare(
    connection: duckdb.DuckDBPyConnection, subset: Subset, given: Mapping[str, object] | None, *names: str
) -> tuple[Parts, dict[str, Value]]:
    """Returns the subset's statement with its columns in a uniform form, and the parameters' values.

    The statement runs once for a connection: what it returns, and what follows from it for each clip of the pool, are
    temporary tables. names: further parts, files of sql/selection/.
    Raises ValueError for a statement that cannot be used, and duckdb.Error where it fails.
    """
    import duckdb

    values = subset.values(given)
    pool = statement("selection/pool")
    try:
        query = _single_select(connection, subset)
        described = _relation(connection, Parts([], {"pool": pool}).compose(f"select * from (\n{query}\n)"), values)
    except duckdb.Error as error:
        raise ValueError(f"{subset.path}: {error}") from error
    columns = {name: str(type) for name, type in zip(described.columns, described.types, strict=True)}
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    if missing:
        raise ValueError(
            f"{subset.path}: the statement returns no column {' and no '.join(missing)}; "
            f"it must return {', '.join(REQUIRED_COLUMNS)} (see resources/corpus/subsets/header.py)"
        )

    def once(name: str, sql: str, **before: str) -> str:
        """Makes a temporary table of it. Returns the statement that reads it."""
        table = f"{name}_{digest(subset.name, query, values)}"
        composed = Parts([], before).compose(f"from (\n{sql}\n)")
        _execute(connection, f"create temp table if not exists {table} as {composed}", values)
        return f"from {table}"

    conditions = [name for name, type in columns.items() if type == "BOOLEAN" and name not in NOT_MEASURED]
    unknown = [name for name in subset.conditions if name not in conditions]
    if unknown:
        raise ValueError(
            f"{subset.path}: the header declares the condition {', '.join(unknown)}, and the statement returns no "
            f"boolean column of that name"
        )
    measured = [name for name in columns if name not in NOT_MEASURED and name not in conditions]
    candidate = once("candidate", _in_one_form(query, conditions, measured), pool=pool)
    judged = once("judged", statement("selection/judged"), pool=pool, candidate=candidate)
    others = {name: statement(f"selection/{name}") for name in names}
    return Parts(conditions, {"candidate": candidate, "judged": judged, **others}), values


def check_rows(
    connection: duckdb.DuckDBPyConnection, subset: Subset, parts: Parts, values: Mapping[str, Value]
) -> None:
    """Raises ValueError for rows that no subset can be made from."""
    (faults,) = fetch_rows(connection, parts.compose(statement("selection/check")), values)
    if faults["without_id"]:
        raise ValueError(f"{subset.path}: the statement returns a row whose clip_id is null")
    if faults["twice"] is not None:
        raise ValueError(
            f"{subset.path}: the statement returns the clip {faults['twice']} twice; a join may find several rows for "
            f"a clip, as of clip_scores where its column score is not compared"
        )
    if faults["ill_weighted"] is not None:
        raise ValueError(
            f"{subset.path}: the weight of a clip that is kept must be finite and above 0; "
            f"that of {faults['ill_weighted']} is not"
        )


def fetch_rows(connection: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, object]) -> list[dict[str, Any]]:
    """Returns the rows of a statement. values: parameters, of which those that the statement names are bound."""
    return _relation(connection, sql, values).to_arrow_table().to_pylist()


def _relation(connection: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, object]) -> duckdb.DuckDBPyRelation:
    """The statement with its parameters bound; it runs when its rows are asked for."""
    return connection.sql(sql, params=_named(connection, sql, values))


def _execute(connection: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, object]) -> None:
    connection.execute(sql, _named(connection, sql, values))


def _named(connection: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, object]) -> dict[str, object]:
    """Returns the values of the parameters that the statement names."""
    (prepared,) = connection.extract_statements(sql)
    return {name: values[name] for name in prepared.named_parameters}


def _single_select(connection: duckdb.DuckDBPyConnection, subset: Subset) -> str:
    """The file's statement, without the semicolon that may end it. It uses declared parameters only."""
    import duckdb

    statements = connection.extract_statements(subset.statement)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise ValueError(
            f"{subset.path}: a subset is one SELECT; this file holds {len(statements)} statements or another kind"
        )
    undeclared = sorted(statements[0].named_parameters - set(subset.parameters))
    if undeclared:
        raise ValueError(
            f"{subset.path}: the statement uses ${undeclared[0]}, which the header does not declare: write under "
            f"parameters: {undeclared[0]}: {{type: …, default: …, meaning: …}}"
        )
    return statements[0].query.strip().removesuffix(";")


def _in_one_form(query: str, conditions: Sequence[str], measured: Sequence[str]) -> str:
    """The statement with its conditions in a list and its measurements in a struct, so that SQL files can read it.

    Names of columns cannot be bound: these are the statement's own, quoted.
    """
    listed = ", ".join(_identifier(name) for name in conditions)
    packed = ", ".join(f"{_identifier(name)} := {_identifier(name)}" for name in measured)
    return (
        f"select clip_id::varchar as clip_id, weight::double as weight, reason::varchar as reason,\n"
        f"[{listed}]::boolean[] as conditions,\n"
        f"{f'struct_pack({packed})' if measured else 'null'} as measured\n"
        f"from (\n{query}\n)"
    )


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
