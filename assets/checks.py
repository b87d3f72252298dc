"""Checks over the whole lake, to be run at any time: they write nothing and so heal nothing they find.

They stand at the fan-in, `corpus_snapshot`: on a partitioned asset they would run again with each batch of a backfill,
and fail while its other batches are pending.
"""

from typing import Any

import dagster as dg

from assets.corpus_snapshot import corpus_snapshot
from assets.steps import DOORS, steps_of
from resources.lake import Lake
from resources.refresh import counts
from resources.statements import statement

LARGEST_SHARE_OF_FAILURES = 0.2  # of a stage's inputs; a broken codec or model fails far more, odd files far fewer


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(f"{stage}_{name}", asset=corpus_snapshot, description=f"{stage}: {description}")
        for stage in ("raw_videos", "clips", "frame_captions", "clip_captions", "clip_embeddings", "clip_scores")
        for name, description in (
            ("counts_add_up", "every input of the whole lake is done, failed or skipped."),
            ("share_of_failures", f"at most {LARGEST_SHARE_OF_FAILURES:.0%} of the inputs failed."),
        )
    ],
    required_resource_keys={"lake", *DOORS},
)
def stage_counts(context: dg.AssetCheckExecutionContext):
    """Input = done + failed + skipped, at every stage; and not too many failed."""
    for step in steps_of(context.resources):
        number: dict[str, Any] = counts(context.resources.lake, step)
        share = number["failed"] / max(1, number["total"])
        yield dg.AssetCheckResult(
            check_name=f"{step.name}_counts_add_up",
            passed=number["pending"] == 0,
            metadata=number,
        )
        yield dg.AssetCheckResult(
            check_name=f"{step.name}_share_of_failures",
            passed=share <= LARGEST_SHARE_OF_FAILURES,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"share": share, **number},
        )


@dg.asset_check(asset=corpus_snapshot, description="Each clip has one caption or a row in attempts that says why not.")
def keys_equal_clip_keys(lake: Lake) -> dg.AssetCheckResult:
    found = lake.query(statement("operations/caption_keys")).to_pylist()[0]
    return dg.AssetCheckResult(passed=not any(found.values()), metadata=found)


@dg.asset_check(
    asset=corpus_snapshot, description="No clip, frame or caption without the video, clip or frame it is of."
)
def no_orphan_rows(lake: Lake) -> dg.AssetCheckResult:
    found = lake.query(statement("operations/orphans")).to_pylist()[0]
    return dg.AssetCheckResult(passed=not any(found.values()), metadata=found)
