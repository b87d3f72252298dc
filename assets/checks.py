"""Checks, to be run at any time: they write nothing and so heal nothing they find.

Those over the whole lake stand at the fan-in, `corpus_snapshot`: on a partitioned asset they would run again with each
batch of a backfill, and fail while its other batches are pending.

The alarms of captions stand on the partitioned assets that they read: a run that writes a batch checks that batch, for
captions on the wrong clips should not wait for the night; and `check_lake` goes through the newest batches again, one
by one, for they must not drown among millions of right ones, and the vectors of one batch fit in memory.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.corpus_snapshot import corpus_snapshot
from assets.steps import DOORS, steps_of
from resources.aligner import ActiveCheckpoint, Aligner
from resources.lake import Lake
from resources.refresh import counts
from resources.schema import FRAME_CAPTIONS, VECTOR_SIZE
from resources.statements import statement

if TYPE_CHECKING:
    import numpy as np

    from internvid.captions.matching import Match

LARGEST_SHARE_OF_FAILURES = 0.2  # of a stage's inputs; a broken codec or model fails far more, odd files far fewer

FEWEST_CLIPS_TO_MATCH = 8  # with distinct captions; of fewer, too few orders could come out lower than the right one
CLIPS_TO_MATCH = 512  # of a batch at most: the test compares each with each
BATCHES_TO_CHECK = 1_000  # by `check_lake`, the newest: some 0.1 s each
BATCHES_TOLD = 10  # in the words of a result
LARGEST_P_VALUE = 0.05  # above it captions fit their clips no better than shuffled ones

FEWEST_CAPTIONS_TO_JUDGE = 8  # of one kind in a batch
LARGEST_SHARES = {
    "share_empty": 0.02,  # models do fall silent now and then
    "share_truncated": 0.1,  # more, and the limit of new tokens is too low
    "share_repeated": 0.2,  # one caption on clips of different videos: test cards exist, but a model also gets stuck
}


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(f"{stage}_{name}", asset=corpus_snapshot, description=f"{stage}: {description}")
        for stage in (
            *("downloads", "raw_videos", "clips", "fingerprints", "speech", "transcripts"),
            *("frame_captions", "clip_captions", "clip_embeddings", "clip_scores"),
        )
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


@dg.asset_check(
    asset=corpus_snapshot,
    description="Each frame has a caption at each scale or a row in attempts, and each caption is of its own frame.",
    required_resource_keys={"lake", *DOORS},
)
def keys_equal_frame_keys(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    in_order = {step.name: step for step in steps_of(context.resources)}
    (captions,) = in_order[FRAME_CAPTIONS.name].outputs
    scales = {"scales": list(captions.version)}
    found = context.resources.lake.query(statement("operations/frame_caption_keys"), scales).to_pylist()[0]
    return dg.AssetCheckResult(passed=not any(found.values()), metadata=found)


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "captions_fit_their_clips",
            asset="clip_embeddings",
            description="By the active checkpoint, captions are nearer to their own clips than shuffled ones are.",
        ),
        dg.AssetCheckSpec(
            "captions_fit_within_videos",
            asset="clip_embeddings",
            description="The same with captions shuffled within each video: sees captions that slipped to a neighbour.",
        ),
    ],
    can_subset=True,
)
def caption_alarms(
    context: dg.AssetCheckExecutionContext, lake: Lake, aligner: Aligner
) -> Iterator[dg.AssetCheckResult]:
    """Whether the captions of a batch can be those of its clips: of the run's, or of the newest batches one by one."""
    batches = batches_to_judge(context, lake)
    untold = why_nothing_can_be_told(lake, aligner)
    fits = [(None, None) if untold else matched(lake, aligner, batch) for batch in batches]
    for place, name, severity in (
        (0, "captions_fit_their_clips", dg.AssetCheckSeverity.ERROR),
        # A model may tell videos apart well, and hardly the shots of one.
        (1, "captions_fit_within_videos", dg.AssetCheckSeverity.WARN),
    ):
        if any(key.name == name for key in context.selected_asset_check_keys):
            judged = [judged_fit(batch, fit[place], untold) for batch, fit in zip(batches, fits, strict=True)]
            yield _result("clip_embeddings", name, severity, judged)


@dg.asset_check(
    asset="clip_captions",
    description="Few captions are empty, truncated, or the same on clips of different videos.",
)
def captions_are_sound(context: dg.AssetCheckExecutionContext, lake: Lake) -> dg.AssetCheckResult:
    """Of the run's batch, or of the newest ones."""
    sound = [judged_soundness(lake, batch) for batch in batches_to_judge(context, lake)]
    return _result("clip_captions", "captions_are_sound", dg.AssetCheckSeverity.WARN, sound)


def batches_to_judge(context: dg.AssetCheckExecutionContext, lake: Lake) -> list[str]:
    return [context.partition_key] if context.has_partition_key else newest_batches(lake)


@dataclass(frozen=True)
class Judged:
    """A batch: what was found, in words and in numbers."""

    batch: str
    passed: bool
    remark: str
    metadata: Mapping[str, Any]


def newest_batches(lake: Lake) -> list[str]:
    found = lake.query(
        "select distinct ingest_batch from clip_captions order by ingest_batch desc limit $batches",
        {"batches": BATCHES_TO_CHECK},
        tables=["clip_captions"],
    )
    return sorted(found["ingest_batch"].to_pylist())


def why_nothing_can_be_told(lake: Lake, aligner: Aligner) -> str | None:
    """A model that has not learnt to tell clips apart proves nothing of captions. None where there is a good one."""
    active = aligner.active(lake)
    if active is None:
        return "nothing to tell by: no model is active"
    proved = lake.query(statement("operations/proved_recall"), {"checkpoint_id": active.checkpoint_id})
    if proved["share"].to_pylist() == [0.0]:
        return f"nothing to tell by: {active.checkpoint_id} finds held-out clips no better than by lot"
    return None


def matched(lake: Lake, aligner: Aligner, batch: str) -> "tuple[Match | None, Match | None]":
    """Captions against those of other clips of the batch, and of other clips of the same video."""
    from internvid.captions.matching import match

    active = aligner.active(lake)
    assert active is not None, "whoever asks has seen to that"
    videos, captions, video_of = vectors_to_match(lake, active, batch)
    return match(videos, captions), match(videos, captions, video_of)


def judged_fit(batch: str, found: "Match | None", untold: str | None) -> Judged:
    """untold: why nothing can be told of any batch."""
    clips = found.clips if found else 0
    if untold is None and clips < FEWEST_CLIPS_TO_MATCH:
        untold = f"not enough to tell: {clips} clips with different captions"
    if untold is not None or found is None:
        return Judged(batch, True, untold or "", {})
    fits = found.p_value <= LARGEST_P_VALUE
    nearer = "nearer" if fits else "NO nearer"
    return Judged(
        batch,
        fits,
        f"captions are {nearer} to their own clips than shuffled ones: cosine {found.matched:.3f} against "
        f"{found.others:.3f}, AUC {found.auc:.2f}, p {found.p_value:.3f} over {clips} clips",
        vars(found),
    )


def judged_soundness(lake: Lake, batch: str) -> Judged:
    """Shares of faulty captions by kind, of each kind that has enough captions."""
    kinds = lake.query(
        statement("operations/caption_faults"),
        tables=["frame_captions", "clip_captions", "attempts"],
        only={"ingest_batch": batch, "partition": batch},
    ).to_pylist()
    faults = [
        f"{kind['kind']}: {fault.replace('_', ' ')} {kind[fault]:.0%}, more than {largest:.0%}"
        + (f" ({kind['commonest']!r})" if fault == "share_repeated" else "")
        for kind in kinds
        for fault, largest in LARGEST_SHARES.items()
        if kind["captions"] >= FEWEST_CAPTIONS_TO_JUDGE and kind[fault] > largest
    ]
    shares = {f"{kind['kind']}_{fault}": kind[fault] for kind in kinds for fault in LARGEST_SHARES}
    return Judged(batch, not faults, "; ".join(faults), shares)


def vectors_to_match(lake: Lake, active: ActiveCheckpoint, batch: str) -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
    """Of some clips of the batch: their vectors and their captions', both [n, d], and each one's video, [n] text."""
    import numpy as np

    chosen = lake.query(
        statement("operations/clips_to_match"),
        {"model": active.checkpoint_id, "clips": CLIPS_TO_MATCH},
        tables=["clip_captions", "clip_embeddings"],
        only={"ingest_batch": batch},
    )
    clip_ids = chosen["clip_id"].to_pylist()

    def vectors(kind: str) -> np.ndarray:
        rows = lake.fetch("clip_embeddings", [f"{clip_id}/{kind}" for clip_id in clip_ids], ["vector"])
        return rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(clip_ids), VECTOR_SIZE)

    return vectors("video"), vectors("caption"), np.array(chosen["video_id"].to_pylist(), str)


def _result(asset: str, name: str, severity: dg.AssetCheckSeverity, judged: list[Judged]) -> dg.AssetCheckResult:
    """One result for all batches; the numbers are of the first that failed, or else of the newest."""
    failed = [one for one in judged if not one.passed]
    told = failed[:BATCHES_TOLD] or judged[-1:]
    return dg.AssetCheckResult(
        passed=not failed,
        asset_key=asset,
        check_name=name,
        severity=severity,
        description="; ".join(f"{one.batch}: {one.remark}" for one in told if one.remark) or None,
        metadata={
            "batches": len(judged),
            "batches_failed": len(failed),
            **{key: value for one in told[:1] for key, value in one.metadata.items()},
        },
    )
