"""Which clips an export holds: those of a subset as it is at a snapshot, or all captioned clips of one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from resources.corpus.snapshots import newest_snapshot
from resources.corpus.subset_files import SubsetFiles
from resources.corpus.subsets import Subset, connected, select_subset
from resources.lake.statements import statement
from resources.lake.store import Lake, tables_in

if TYPE_CHECKING:
    import duckdb

ROWS_PER_READ = 1_000
MEMORY_LIMIT = "1GB"  # of the joins and the sort; what exceeds it goes to files in the temporary folder
CLIPS_PER_PART, BATCHES_PER_PART = 20_000, 64
ALL_CLIPS = "select clip_id, 'train' as split from clip_captions where caption <> ''"
OF_SUBSET = "select clip_id, split from subsets"


class NothingToExport(ValueError):
    """The subset or the snapshot is not there. The message says what to do."""


@dataclass(frozen=True)
class Selection:
    """What is exported. subset: None: every captioned clip, all in the split train.

    statement, values: of the subset, the SQL that selects it and the value of each parameter. declaration: where the
    subset has to be selected again, because the table has it from another snapshot; else None.
    """

    snapshot: str
    subset: str | None = None
    statement: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    declaration: Subset | None = None


def selection(lake: Lake, subset_files: SubsetFiles, *, subset: str | None, at: str | None) -> Selection:
    """Returns what to export. at: a snapshot; None: the one that the subset was made from, else the newest.

    A subset that was made from another snapshot is selected from this one, with the same values of its parameters.
    Raises NothingToExport.
    """
    if subset is None:
        return Selection(_existing(lake, at or _newest(lake)))
    rows = lake.query(
        "select snapshot, parameters, statement from subset_snapshots where subset = $subset",
        {"subset": subset},
        tables=["subset_snapshots"],
    ).to_pylist()
    if not rows and at is None:
        raise NothingToExport(f"the subset {subset!r} has not been made yet: `internvid subset make {subset}`")
    snapshot = _existing(lake, at or rows[0]["snapshot"], subset)
    values = json.loads(rows[0]["parameters"]) if rows else {}
    if rows and rows[0]["snapshot"] == snapshot:
        return Selection(snapshot, subset, rows[0]["statement"], values)
    try:
        declaration = subset_files.named(subset)
        values = declaration.values({name: value for name, value in values.items() if name in declaration.parameters})
    except ValueError as error:
        raise NothingToExport(str(error)) from error
    return Selection(snapshot, subset, declaration.statement, values, declaration)


@contextmanager
def selected_clips(lake: Lake, chosen: Selection) -> Iterator[tuple[int, Iterator[dict[str, Any]]]]:
    """Yields the number of clips, and the clips in order of split, batch, video and time, as rows of
    sql/exports/clips.sql.

    They are read some batches at a time: lists of scores, of all clips at once, do not fit in memory and cannot go to
    files.
    """
    tables = [*tables_in(ALL_CLIPS), *tables_in(OF_SUBSET)]
    only = {"subset": chosen.subset} if chosen.subset is not None else None
    with lake.connect(tables, at=chosen.snapshot, only=only, memory_limit=MEMORY_LIMIT) as connection:
        if chosen.declaration is not None:
            with connected(lake, chosen.declaration, at=chosen.snapshot) as selecting:
                rows = select_subset(selecting, chosen.declaration, chosen.values)
                connection.register("selected", rows)
                connection.execute("create table chosen as select clip_id, split from selected")
        else:
            connection.execute(f"create table chosen as {ALL_CLIPS if chosen.subset is None else OF_SUBSET}")
        connection.execute(
            "create table in_batches as "
            "select chosen.clip_id, split, ingest_batch from chosen inner join clip_captions using (clip_id)"
        )
        ((count,),) = connection.sql("select count(*) from chosen").fetchall()
        yield count, _in_parts(lake, chosen.snapshot, connection)


def _in_parts(lake: Lake, snapshot: str, connection: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    sql = statement("exports/clips")
    for split, batches in _parts(connection):
        of_part = connection.sql(
            "select clip_id, split from in_batches where split = $split and ingest_batch in (select unnest($batches))",
            params={"split": split, "batches": batches},
        ).to_arrow_table()
        only = {"ingest_batch": batches}
        with lake.connect(tables_in(sql), at=snapshot, only=only, memory_limit=MEMORY_LIMIT) as part:
            part.register("chosen", of_part)
            yield from _rows(part.sql(sql).to_arrow_reader(ROWS_PER_READ))


def _parts(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[str, list[str]]]:
    """Yields splits with consecutive batches, in their order, of at most CLIPS_PER_PART clips unless one has more."""
    split, batches, clips = "", list[str](), 0
    for next_split, batch, more in connection.sql(
        "from (select split, ingest_batch, count(*) from in_batches group by split, ingest_batch) "
        "order by list_position(['train', 'validation', 'test'], split), ingest_batch"
    ).fetchall():
        if batches and (next_split != split or clips + more > CLIPS_PER_PART or len(batches) == BATCHES_PER_PART):
            yield split, batches
            batches, clips = [], 0
        split, clips = next_split, clips + more
        batches.append(batch)
    if batches:
        yield split, batches


def _rows(batches: pa.RecordBatchReader) -> Iterator[dict[str, Any]]:
    for batch in batches:
        for row in batch.to_pylist():
            # Arrow's maps come as lists of pairs.
            yield row | {name: dict(row[name] or []) for name in ("scores", "score_models")}


def _newest(lake: Lake) -> str:
    rows = newest_snapshot(lake)
    if not rows:
        raise NothingToExport("there is no snapshot yet: `internvid ingest` takes one")
    return rows[0]["snapshot"]


def _existing(lake: Lake, snapshot: str, subset: str | None = None) -> str:
    if snapshot in lake.tags():
        return snapshot
    if subset is None:
        raise NothingToExport(f"there is no snapshot {snapshot!r}: `internvid snapshot list` names them")
    raise NothingToExport(f"the snapshot of {subset!r} was removed: `internvid subset make {subset}` selects it again")
