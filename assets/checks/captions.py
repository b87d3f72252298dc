"""Checks of captions: whether captions fit their clips, and how many are empty, truncated or repeated.

The checks belong to the partitioned assets that they read. A run that writes a batch checks that batch at once, so that
captions on the wrong clips are reported early. The job `check_lake` checks the newest batches again, one at a time: a
faulty batch would not show in an average over millions of clips, and the vectors of one batch fit in memory. The checks
write nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from resources.lake.schema import VECTOR_SIZE
from resources.lake.statements import statement
from resources.lake.store import Lake
from resources.models.aligner import ActiveCheckpoint, Aligner

if TYPE_CHECKING:
    import numpy as np

    from internvid.captions.matching import Match

MIN_CLIPS_TO_MATCH = 8  # clips with distinct captions; fewer have too few permutations for a p-value below MAX_P_VALUE
CLIPS_TO_MATCH = 512  # maximum of a batch: the test compares every pair
BATCHES_TO_CHECK = 1_000  # newest batches that `check_lake` goes through: some 0.1 s each
BATCHES_SHOWN = 10  # in the description of a result
MAX_P_VALUE = 0.05  # above it captions fit their clips no better than shuffled captions

MIN_CAPTIONS_TO_JUDGE = 8  # of one kind in a batch
MAX_SHARES = {
    "share_empty": 0.02,  # models do fall silent now and then
    "share_truncated": 0.1,  # a larger share means that the limit of new tokens is too low
    "share_repeated": 0.2,  # one caption on clips of different videos: test cards exist, but a model also gets stuck
}


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "captions_fit_their_clips",
            asset="clip_embeddings",
            description="By the active checkpoint, captions are nearer to their own clips than shuffled captions are.",
        ),
        dg.AssetCheckSpec(
            "captions_fit_within_videos",
            asset="clip_embeddings",
            description="The same with captions shuffled within each video: detects captions of a neighbouring clip.",
        ),
    ],
    can_subset=True,
)
def caption_alarms(
    context: dg.AssetCheckExecutionContext, lake: Lake, aligner: Aligner
) -> Iterator[dg.AssetCheckResult]:
    """Tests whether captions fit their clips: of the run's batch, or of each of the newest batches."""
    batches = batches_to_judge(context, lake)
    why_unknown = why_no_verdict(lake, aligner)
    fits = [(None, None) if why_unknown else matched(lake, aligner, batch) for batch in batches]
    for place, name, severity in (
        (0, "captions_fit_their_clips", dg.AssetCheckSeverity.ERROR),
        # A warning only: a model may distinguish videos well and the shots of one video hardly.
        (1, "captions_fit_within_videos", dg.AssetCheckSeverity.WARN),
    ):
        if any(key.name == name for key in context.selected_asset_check_keys):
            verdicts = [judged_fit(batch, fit[place], why_unknown) for batch, fit in zip(batches, fits, strict=True)]
            yield _result("clip_embeddings", name, severity, verdicts)


@dg.asset_check(
    asset="clip_captions",
    description="Few captions are empty, truncated, or the same on clips of different videos.",
)
def captions_are_sound(context: dg.AssetCheckExecutionContext, lake: Lake) -> dg.AssetCheckResult:
    """Tests the run's batch, or the newest batches."""
    sound = [judged_soundness(lake, batch) for batch in batches_to_judge(context, lake)]
    return _result("clip_captions", "captions_are_sound", dg.AssetCheckSeverity.WARN, sound)


def batches_to_judge(context: dg.AssetCheckExecutionContext, lake: Lake) -> list[str]:
    return [context.partition_key] if context.has_partition_key else newest_batches(lake)


@dataclass(frozen=True)
class BatchVerdict:
    """Result of a check of one batch. remark: for people; metadata: its numbers."""

    batch: str
    passed: bool
    remark: str
    metadata: Mapping[str, Any]


def newest_batches(lake: Lake) -> list[str]:
    batches = lake.query(
        "select distinct ingest_batch from clip_captions order by ingest_batch desc limit $batches",
        {"batches": BATCHES_TO_CHECK},
        tables=["clip_captions"],
    )
    return sorted(batches["ingest_batch"].to_pylist())


def why_no_verdict(lake: Lake, aligner: Aligner) -> str | None:
    """Returns why the check cannot judge: no model, or a model that retrieves by chance. None where it can."""
    active = aligner.active(lake)
    if active is None:
        return "not checked: no model is active"
    proved = lake.query(statement("training/proved_recall"), {"checkpoint_id": active.checkpoint_id})
    if proved["share"].to_pylist() == [0.0]:
        return f"not checked: {active.checkpoint_id} retrieves held-out clips no better than by chance"
    return None


def matched(lake: Lake, aligner: Aligner, batch: str) -> "tuple[Match | None, Match | None]":
    """Compares captions with those of other clips of the batch, and with those of other clips of the same video."""
    from internvid.captions.matching import match

    active = aligner.active(lake)
    assert active is not None, "why_no_verdict is asked first"
    videos, captions, video_of = vectors_to_match(lake, active, batch)
    return match(videos, captions), match(videos, captions, video_of)


def judged_fit(batch: str, match: "Match | None", why_unknown: str | None) -> BatchVerdict:
    """Returns the verdict on a batch. why_unknown: why no batch can be judged."""
    clips = match.clips if match else 0
    if why_unknown is None and clips < MIN_CLIPS_TO_MATCH:
        why_unknown = f"not checked: {clips} clips with distinct captions, fewer than {MIN_CLIPS_TO_MATCH}"
    if why_unknown is not None or match is None:
        return BatchVerdict(batch, True, why_unknown or "", {})
    fits = match.p_value <= MAX_P_VALUE
    nearer = "nearer" if fits else "NO nearer"
    return BatchVerdict(
        batch,
        fits,
        f"captions are {nearer} to their own clips than shuffled captions are: cosine {match.own_cosine:.3f} against "
        f"{match.other_cosine:.3f}, AUC {match.auc:.2f}, p {match.p_value:.3f} over {clips} clips",
        vars(match),
    )


def judged_soundness(lake: Lake, batch: str) -> BatchVerdict:
    """Judges the shares of faulty captions, for each kind that has enough captions."""
    kinds = lake.query(
        statement("checks/caption_faults"),
        tables=["frame_captions", "clip_captions", "attempts"],
        only={"ingest_batch": batch, "partition": batch},
    ).to_pylist()
    faults = [
        f"{kind['kind']}: {fault.replace('_', ' ')} {kind[fault]:.0%}, more than {largest:.0%}"
        + (f" ({kind['commonest']!r})" if fault == "share_repeated" else "")
        for kind in kinds
        for fault, largest in MAX_SHARES.items()
        if kind["captions"] >= MIN_CAPTIONS_TO_JUDGE and kind[fault] > largest
    ]
    shares = {f"{kind['kind']}_{fault}": kind[fault] for kind in kinds for fault in MAX_SHARES}
    return BatchVerdict(batch, not faults, "; ".join(faults), shares)


def vectors_to_match(lake: Lake, active: ActiveCheckpoint, batch: str) -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
    """Returns for up to CLIPS_TO_MATCH clips the vectors of video and caption, both [n, d], and the video ids, [n]."""
    import numpy as np

    chosen = lake.query(
        statement("checks/clips_to_match"),
        {"model": active.checkpoint_id, "clips": CLIPS_TO_MATCH},
        tables=["clip_captions", "clip_embeddings", "caption_embeddings"],
        only={"ingest_batch": batch},
    )
    clip_ids = chosen["clip_id"].to_pylist()

    def vectors(table: str) -> np.ndarray:
        rows = lake.fetch(table, clip_ids, ["vector"])
        return rows["vector"].combine_chunks().flatten().to_numpy().reshape(len(clip_ids), VECTOR_SIZE)

    return vectors("clip_embeddings"), vectors("caption_embeddings"), np.array(chosen["video_id"].to_pylist(), str)


def _result(
    asset: str, name: str, severity: dg.AssetCheckSeverity, verdicts: list[BatchVerdict]
) -> dg.AssetCheckResult:
    """Returns one result for all batches. Its numbers are those of the first batch that failed, else of the newest."""
    failed = [verdict for verdict in verdicts if not verdict.passed]
    shown = failed[:BATCHES_SHOWN] or verdicts[-1:]
    return dg.AssetCheckResult(
        passed=not failed,
        asset_key=asset,
        check_name=name,
        severity=severity,
        description="; ".join(f"{verdict.batch}: {verdict.remark}" for verdict in shown if verdict.remark) or None,
        metadata={
            "batches": len(verdicts),
            "batches_failed": len(failed),
            **{key: value for verdict in shown[:1] for key, value in verdict.metadata.items()},
        },
    )
