"""Checks over the whole lake, at the fan-in `corpus_snapshot`.

On a partitioned asset they would run again with each batch of a backfill, and fail while its other batches are pending.
They write nothing of the corpus and so heal nothing that they find.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets.captions.frame_captions import frame_captions
from assets.corpus.corpus_snapshot import corpus_snapshot
from resources.incremental.batch_states import disagreements, read_batch_states
from resources.incremental.declaration import StageDefinition, StageScope, configured_stages
from resources.lake.schema import TABLES
from resources.lake.statements import statement
from resources.lake.store import Lake

NIGHTS = 7  # in which every batch is counted again once
MAX_SHOWN = 10
MAX_FAILURE_SHARE = 0.2  # of a stage's inputs; a broken codec or model fails far more, odd files far fewer


def build_stage_counts(stages: Sequence[StageDefinition]) -> dg.AssetChecksDefinition:
    """Builds two checks for each stage, whether its counts add up and whether few of its inputs failed, and one of the
    counts themselves, which are kept and not counted each time."""
    needs = {name for definition in stages for name in definition.needs}

    @dg.multi_asset_check(
        specs=[
            dg.AssetCheckSpec(
                f"{definition.name}_{check}", asset=corpus_snapshot, description=f"{definition.name}: {text}"
            )
            for definition in stages
            for check, text in (
                ("counts_add_up", "every input of the whole lake is done, failed or skipped."),
                ("share_of_failures", f"at most {MAX_FAILURE_SHARE:.0%} of the inputs failed."),
            )
        ]
        + [
            dg.AssetCheckSpec(
                "kept_counts_agree",
                asset=corpus_snapshot,
                description=f"What is kept of where batches stand is what the tables say: each of {NIGHTS} nights "
                "another part of the batches is counted again. `internvid status --recount` counts all of them.",
            )
        ],
        required_resource_keys={"lake", *needs},
    )
    def stage_counts(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        lake: Lake = context.resources.lake
        resources = {name: getattr(context.resources, name) for name in needs}
        configured = configured_stages(lake, stages, resources)
        for stage, number in read_batch_states(lake, configured).counts().items():
            share = number["failed"] / max(1, number["total"])
            yield dg.AssetCheckResult(
                check_name=f"{stage}_counts_add_up", passed=number["pending"] == 0, metadata=dict(number)
            )
            yield dg.AssetCheckResult(
                check_name=f"{stage}_share_of_failures",
                passed=share <= MAX_FAILURE_SHARE,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"share": share, **number},
            )
        tonight = datetime.now(UTC).toordinal()
        differing = disagreements(lake, configured, part=tonight, parts=NIGHTS)
        yield dg.AssetCheckResult(
            check_name="kept_counts_agree",
            passed=not differing,
            metadata={"disagreements": len(differing), "first": differing[:MAX_SHOWN]},
        )

    return stage_counts


@dg.asset_check(asset=corpus_snapshot, description="Each clip has one caption or a row in attempts that says why not.")
def keys_equal_clip_keys(lake: Lake) -> dg.AssetCheckResult:
    numbers = lake.query(statement("checks/caption_keys")).to_pylist()[0]
    return dg.AssetCheckResult(passed=not any(numbers.values()), metadata=numbers)


@dg.asset_check(asset=corpus_snapshot, description="No row without the row of the parent table that it is of.")
def no_orphan_rows(lake: Lake) -> dg.AssetCheckResult:
    numbers = orphans(lake)
    return dg.AssetCheckResult(passed=not any(numbers.values()), metadata=numbers)


def orphans(lake: Lake) -> dict[str, int]:
    """Returns, for each table with a parent, how many of its rows have none; and the clips without a frame."""
    numbers: dict[str, int] = lake.query(statement("checks/clips_without_frame")).to_pylist()[0]
    for table in TABLES.values():
        if table.parent is not None:
            column, parent = table.parent
            # Names of tables and columns cannot be bound; these come from resources.lake.schema, never from data.
            rows = lake.query(
                f"select count(*) as orphans from {table.name} "
                f"where {column} not in (select {TABLES[parent].key} from {parent})"
            )
            numbers[f"{table.name}_without_{parent}"] = rows["orphans"][0].as_py()
    return numbers


@dg.asset_check(
    asset=corpus_snapshot,
    description="Each frame has a caption at each scale or a row in attempts, and each caption is of its own frame.",
    required_resource_keys={"lake", *frame_captions.needs},
)
def keys_equal_frame_keys(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    resources: dict[str, Any] = {name: getattr(context.resources, name) for name in frame_captions.needs}
    (captions,) = frame_captions.configured(StageScope(context.resources.lake), resources).outputs
    scales = {"scales": list(captions.version)}
    numbers = context.resources.lake.query(statement("checks/frame_caption_keys"), scales).to_pylist()[0]
    return dg.AssetCheckResult(passed=not any(numbers.values()), metadata=numbers)
