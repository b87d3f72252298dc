"""`subsets` and `subset_snapshots`: named parts of the corpus, each selected by one SQL file from a pinned snapshot."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa

from assets.partitions import SUBSET
from resources.corpus.clip_contents import TABLES, make_contents
from resources.corpus.snapshots import newest_snapshot_name
from resources.corpus.subset_files import SubsetFiles
from resources.corpus.subsets import Subset, connected, select_subset, split_sizes, waterfall
from resources.incremental.declaration import Configuration, StageRun, StageScope, stage
from resources.incremental.stage import Done, Outcome, Rows, Skipped, Unit, one_by_one
from resources.lake.schema import SUBSET_SNAPSHOTS, SUBSETS
from resources.lake.store import Lake

if TYPE_CHECKING:
    import duckdb

    from resources.corpus.subsets import WaterfallRow


MEMORY_LIMIT = "1GB"  # of the contents of the clips; what exceeds it goes to files in the temporary folder


class SubsetConfig(dg.Config):
    """values: value of each parameter of the subset, as text; parameters that are not named have their defaults."""

    values: dict[str, str] = {}


def configure(scope: StageScope, *, subset_files: SubsetFiles) -> Configuration:
    """The version names the statement and the values of its parameters; without a partition there is no version."""
    if scope.partition is None or scope.lake is None:
        return Configuration(({}, {}), parameters=pa.table({}))
    subset, values = _subset(subset_files, scope.partition, scope.config)
    version = {subset.name: subset.version(values)}
    parameters = pa.table({"subset": [subset.name], "snapshot": [newest_snapshot_name(scope.lake)]})
    return Configuration((version, version), chunk_size=1, parameters=parameters)


def _subset(subset_files: SubsetFiles, name: str, config: SubsetConfig) -> tuple[Subset, dict[str, Any]]:
    subset = subset_files.named(name)
    return subset, subset.parsed(f"{parameter}={value}" for parameter, value in config.values.items())


def _sample(lake: Lake, table: str, subset: str) -> dict[str, Any]:
    return made_from(lake, subset)


@stage(
    name="subsets",
    group="model",
    outputs=(SUBSETS, SUBSET_SNAPSHOTS),
    configure=configure,
    partition=SUBSET,
    pool="select",
    kinds=("lance", "duckdb"),
    resources=("subset_files",),
    reads=("corpus_snapshot",),
    samples={SUBSETS.name: _sample, SUBSET_SNAPSHOTS.name: ("snapshot", "clips", "parameters")},
    config=SubsetConfig,
)
def subsets_and_snapshots(run: StageRun, units: list[Unit], *, subset_files: SubsetFiles) -> Iterator[Outcome]:
    """Clips of a named subset, with weight, reason and split; and what the subset was made from.

    The subset is selected by sql/subsets/NAME.sql from the newest snapshot. Changes when the selection or the selected
    clips do.
    """
    subset, values = _subset(subset_files, run.partition, run.config)
    snapshot = newest_snapshot_name(run.lake)
    yield from one_by_one(units, lambda unit: make(run.lake, subset, values, snapshot, unit))


def make(lake: Lake, subset: Subset, values: dict[str, Any], snapshot: str, unit: Unit) -> Outcome:
    """Selects the subset from the snapshot. An empty subset is skipped, with the effect of each condition."""
    with ExitStack() as stack:
        connection = stack.enter_context(connected(lake, subset, at=snapshot))
        rows = waterfall(connection, subset, values, examples=0)
        sizes = split_sizes(connection, subset, values)
        clips = rows[-1].left
        if clips == 0:
            effects = ", ".join(f"{row.condition} removed {row.removed:,} and left {row.left:,}" for row in rows)
            return Skipped(unit, "EmptySubset", f"no clip fulfils its conditions: {effects}")
        until_read = stack.pop_all()  # the connection holds what the statement returned
    made = {
        "subset": subset.name,
        "snapshot": snapshot,
        "parameters": json.dumps(subset.values(values)),
        "statement": subset.statement,
        "waterfall": json.dumps([_shown(row) for row in rows]),
        "clips": clips,
        **{f"{split}_clips": size["clips"] for split, size in sizes.items()},
    }
    batches = selected(lake, connection, subset, values, snapshot)
    return Done(unit, (Rows(clips, batches), Rows.of([made], SUBSET_SNAPSHOTS)), release=until_read.close)


def selected(
    lake: Lake, connection: "duckdb.DuckDBPyConnection", subset: Subset, values: dict[str, Any], snapshot: str
) -> Iterator[pa.RecordBatch]:
    """Yields the subset's rows. connection: of `connected`."""
    with lake.connect(TABLES, at=snapshot, memory_limit=MEMORY_LIMIT) as contents:
        # In the order of the subset's rows, so that a batch of them meets with a part of the table alone.
        make_contents(contents)
        for batch in select_subset(connection, subset, values):
            yield from _with_content(contents, subset.name, batch)


def made_from(lake: Lake, name: str) -> dict[str, Any]:
    """Returns what the UI shows of a subset: snapshot, parameters, the waterfall."""
    rows = lake.query(
        "select * from subset_snapshots where subset = $subset", {"subset": name}, tables=["subset_snapshots"]
    ).to_pylist()
    if not rows:
        return {}
    row = rows[0]
    conditions = json.loads(row["waterfall"])
    records = [dg.TableRecord({key: str(value) for key, value in condition.items()}) for condition in conditions]
    return {
        "waterfall": dg.MetadataValue.table(records),
        "snapshot": row["snapshot"],
        "parameters": dg.MetadataValue.json(json.loads(row["parameters"])),
        "statement": dg.MetadataValue.md(f"```sql\n{row['statement']}\n```"),
        **{column: row[column] for column in ("clips", "train_clips", "validation_clips", "test_clips")},
    }


def _with_content(
    contents: "duckdb.DuckDBPyConnection", subset: str, batch: pa.RecordBatch
) -> Iterator[pa.RecordBatch]:
    contents.register("batch", batch)
    rows = contents.sql(
        "select $subset || '/' || clip_id as subset_clip_id, clip_id, video_id, split, weight, reason, content "
        "from batch left join (from contents where clip_id between $first and $last) as contents using (clip_id)",
        params={"subset": subset, "first": batch["clip_id"][0].as_py(), "last": batch["clip_id"][-1].as_py()},
    ).to_arrow_table()
    contents.unregister("batch")
    # The partition's column is added when the row is written, with the other columns of provenance.
    yield from rows.select(SUBSETS.content.names).cast(SUBSETS.content).to_batches()


def _shown(row: "WaterfallRow") -> dict[str, Any]:
    condition = f"{row.condition} (unknown)" if row.is_unknown else row.condition
    return {"condition": condition, "meaning": row.meaning, "removed": row.removed, "left": row.left}
