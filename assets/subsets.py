"""`subsets` and `subset_snapshots`: named parts of the corpus, each selected by one SQL file from a pinned snapshot."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa

from assets.corpus_snapshot import corpus_snapshot, newest_snapshot_name
from assets.model_partitions import subset_partitions
from resources.lake import Lake
from resources.refresh import Done, Outcome, Output, Rows, Skipped, Step, Unit, batch_counts_spec, one_by_one, refresh
from resources.samples import rows_sample
from resources.schema import SUBSET_SNAPSHOTS, SUBSETS
from resources.statements import statement
from resources.subsets import Subset, select_subset, split_sizes, subset_named, waterfall

if TYPE_CHECKING:
    import duckdb

    from resources.subsets import WaterfallStep


class SubsetConfig(dg.Config):
    """values: of the subset's parameters, as texts; those not named have their defaults."""

    values: dict[str, str] = {}


def step(subset: Subset, values: dict[str, Any], snapshot: str) -> Step:
    """The version names the statement and the values of its parameters."""
    version = {subset.name: subset.version(values)}
    declared = pa.table({"subset": [subset.name], "snapshot": [snapshot]})
    outputs = (Output(SUBSETS, version), Output(SUBSET_SNAPSHOTS, version))
    return Step("subsets", "subsets_units", outputs, chunk=1, declared=declared)


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            "subsets",
            deps=[corpus_snapshot],
            group_name="model",
            kinds={"lance", "duckdb"},
            description="Clips of a named subset, with weight, reason and split; by sql/subsets/NAME.sql.",
        ),
        dg.AssetSpec(
            "subset_snapshots",
            deps=[corpus_snapshot],
            group_name="model",
            kinds={"lance", "duckdb"},
            description="What each subset was made from: snapshot, parameters, statement, waterfall, counts.",
        ),
    ],
    partitions_def=subset_partitions,
    check_specs=[batch_counts_spec("subsets"), batch_counts_spec("subset_snapshots")],
)
def subsets_and_snapshots(
    context: dg.AssetExecutionContext, config: SubsetConfig, lake: Lake
) -> Iterator[dg.MaterializeResult]:
    """One row of subsets is a clip in the subset. Changes when the selection or the selected clips do."""
    name = context.partition_key
    subset = subset_named(name)
    values = subset.parsed(f"{parameter}={value}" for parameter, value in config.values.items())
    snapshot = newest_snapshot_name(lake)
    yield from refresh(
        context,
        lake,
        step(subset, values, snapshot),
        lambda units: one_by_one(units, lambda unit: make(lake, subset, values, snapshot, unit)),
        sample=lambda table: made_from(lake, name) if table == SUBSETS.name else rows_sample(lake, table, name),
    )


def make(lake: Lake, subset: Subset, values: dict[str, Any], snapshot: str, unit: Unit) -> Outcome:
    """Selects the subset from the snapshot. One without a clip is skipped, and the reason says what removed them."""
    with lake.connect(subset.tables, at=snapshot, untrusted=True) as connection:
        steps = waterfall(connection, subset, values, examples=0)
        sizes = split_sizes(connection, subset, values)
    clips = steps[-1].left
    if clips == 0:
        told = ", ".join(f"{one.condition} removed {one.removed:,} and left {one.left:,}" for one in steps)
        return Skipped(unit, "EmptySubset", f"no clip is in it: {told}")
    made = {
        "subset": subset.name,
        "snapshot": snapshot,
        "parameters": json.dumps(subset.values(values)),
        "statement": subset.statement,
        "waterfall": json.dumps([_told(one) for one in steps]),
        "clips": clips,
        **{f"{split}_clips": size["clips"] for split, size in sizes.items()},
    }
    return Done(unit, (Rows(clips, selected(lake, subset, values, snapshot)), Rows.of([made], SUBSET_SNAPSHOTS)))


def selected(lake: Lake, subset: Subset, values: dict[str, Any], snapshot: str) -> Iterator[pa.RecordBatch]:
    """The subset's rows as a stream."""
    with (
        lake.connect(subset.tables, at=snapshot, untrusted=True) as selecting,
        lake.connect(["clips", "frames", "clip_captions"], at=snapshot) as contents,
    ):
        contents.execute(f"create temp table contents as {statement('operations/clip_contents')}")
        for batch in select_subset(selecting, subset, values):
            yield from _with_content(contents, subset.name, batch)


def made_from(lake: Lake, name: str) -> dict[str, Any]:
    """What the UI shows of a subset: snapshot, parameters, the waterfall."""
    rows = lake.query(
        "select * from subset_snapshots where subset = $subset", {"subset": name}, tables=["subset_snapshots"]
    ).to_pylist()
    if not rows:
        return {}
    row = rows[0]
    records = [dg.TableRecord({key: str(value) for key, value in one.items()}) for one in json.loads(row["waterfall"])]
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
        "select $subset || '/' || clip_id as subset_clip_id, clip_id, video_id, split, weight, "
        "reason, content from batch left join contents using (clip_id)",
        params={"subset": subset},
    ).to_arrow_table()
    contents.unregister("batch")
    # The partition's column is added with the others that say what made the row.
    yield from rows.select(SUBSETS.content.names).cast(SUBSETS.content).to_batches()


def _told(step: "WaterfallStep") -> dict[str, Any]:
    condition = f"{step.condition} (cannot be told)" if step.is_unknown else step.condition
    return {"condition": condition, "meaning": step.meaning, "removed": step.removed, "left": step.left}
