"""Finds pairs of videos with the same content, and decides which of the two is kept. Nothing is deleted.

Files with equal bytes are not among them: the second one never becomes a video, and `attempts` names it
(ExactDuplicate).

A video whose fingerprint is new or changed is compared with all the others; the table `comparisons` records that. So an
interrupted run continues where it was, and a new video costs one scan of the fingerprints.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from resources.lake.schema import COMPARISONS, DUPLICATES
from resources.lake.statements import statement
from resources.lake.store import Lake

if TYPE_CHECKING:
    from internvid.video.copies import Copy
    from internvid.video.fingerprint import Fingerprint

FRAMES_PER_INDEX = 1_000_000  # frames of the videos in one index; some 500 MB
FRAMES_PER_READ = 50_000  # frames of the videos that are compared with an index in one call
VIDEOS_PER_READ = 512
PAIRS_PER_COMMIT = 5_000
COLUMNS = ["video_id", "seconds", "hashes"]  # of fingerprints
OF_THE_RUN = ("run_id", "written_at")


@dataclass
class Compared:
    """Result of a run. videos: number of videos compared with all others. added, changed, removed: numbers of pairs."""

    videos: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0


@dataclass(frozen=True)
class VideoQuality:
    """The properties of a video by which one of two copies is kept.

    seconds: measured length. decode_errors: number of packets that could not be decoded. first_seen_at: time at which
    its source was registered.
    """

    video_id: str
    packets_digest: str | None
    seconds: float
    width: int
    height: int
    bytes: int
    decode_errors: int
    first_seen_at: datetime | None

    @property
    def bytes_per_second(self) -> float:
        return self.bytes / max(self.seconds, 0.001)


def compare_new_videos(lake: Lake, *, run_id: str, log: Callable[[str], object] = lambda text: None) -> Compared:
    """Brings the pairs up to date with the videos and their fingerprints."""
    from internvid.video.copies import VERSION

    compared = Compared()
    gone = lake.query(statement("corpus/duplicates_without_ground"))["pair_id"].to_pylist()
    compared.removed += lake.delete(DUPLICATES.name, gone)
    lake.delete(COMPARISONS.name, lake.query(statement("corpus/compared_without_ground"))["video_id"].to_pylist())
    same = lake.query(statement("corpus/same_packets")).to_pylist()
    for first in range(0, len(same), PAIRS_PER_COMMIT):
        _write(lake, _with_same_packets(lake, same[first : first + PAIRS_PER_COMMIT]), run_id, compared)
    to_compare = lake.query(statement("corpus/fingerprints_to_compare"), {"version": VERSION})
    for block in _blocks(to_compare):
        _compare_block(lake, block, run_id, compared)
        compared.videos += len(block)
        log(f"duplicates: {compared.videos:,} of {to_compare.num_rows:,} videos compared with all others")
    return compared


def kept(left: VideoQuality, right: VideoQuality) -> tuple[VideoQuality, str]:
    """Returns which of two copies a subset without copies keeps, and why. The first rule with a difference decides:

    1. the longer video, by powers of two: a part, however sharp, does not replace the whole,
    2. the video with more pixels,
    3. the less damaged video,
    4. the longer video, by whole seconds,
    5. the video with more bytes per second, in steps of a quarter: it is compressed less,
    6. the video whose source was registered first,
    7. the video with the lower video_id.

    Each rule compares one number, so the rules order all videos, and of several copies exactly one is kept.
    """
    rules = (
        (lambda video: math.floor(math.log2(max(video.seconds, 0.001))), _longer),
        (lambda video: video.width * video.height, _more_pixels),
        (lambda video: -video.decode_errors, _less_damaged),
        (lambda video: round(video.seconds), _longer),
        (lambda video: math.floor(math.log(max(video.bytes_per_second, 1), 1.25)), _more_bytes),
        (lambda video: -_seen(video), lambda best, rest: "it was registered first"),
    )
    for measure, explain in rules:
        if measure(left) != measure(right):
            best, rest = (left, right) if measure(left) > measure(right) else (right, left)
            return best, explain(best, rest)
    return min(left, right, key=lambda video: video.video_id), "equal by every rule: the lower video_id"


def _longer(best: VideoQuality, rest: VideoQuality) -> str:
    return f"it is longer: {best.seconds:.1f} s, the other {rest.seconds:.1f} s"


def _more_pixels(best: VideoQuality, rest: VideoQuality) -> str:
    return f"it has more pixels: {best.width} x {best.height}, the other {rest.width} x {rest.height}"


def _less_damaged(best: VideoQuality, rest: VideoQuality) -> str:
    return f"it is less damaged: {best.decode_errors} packets could not be decoded, of the other {rest.decode_errors}"


def _more_bytes(best: VideoQuality, rest: VideoQuality) -> str:
    rates = f"{best.bytes_per_second / 1000:.0f} kB, the other {rest.bytes_per_second / 1000:.0f} kB"
    return f"it has more bytes a second: {rates}"


def _seen(video: VideoQuality) -> float:
    return math.inf if video.first_seen_at is None else video.first_seen_at.timestamp()


def _with_same_packets(lake: Lake, pairs: list[dict[str, str]]) -> list[dict[str, Any]]:
    judged = _judged(lake, {video_id for pair in pairs for video_id in pair.values()})
    alike = {"similarity": 1.0, "offset_seconds": 0.0, "speed": 1.0, "kind": "packets"}
    return [
        alike
        | _pair(judged[pair["video_id"]], judged[pair["other_video_id"]])
        | {"evidence": json.dumps({"packets_digest": judged[pair["video_id"]].packets_digest})}
        for pair in pairs
    ]


def _compare_block(lake: Lake, block: list[dict[str, Any]], run_id: str, compared: Compared) -> None:
    """Compares a block of videos with all videos: writes the pairs, removes obsolete pairs, and records the block."""
    from internvid.video.copies import CopyIndex

    of_block = [row["video_id"] for row in block]
    index = CopyIndex(_fetched(lake, of_block))
    pair_counts: dict[str, int] = dict.fromkeys(of_block, 0)
    pair_ids: set[str] = set()
    waiting: dict[str, tuple[str, str, Copy]] = {}

    def write() -> None:
        rows = _perceptual_pairs(lake, waiting)
        pair_ids.update(row["pair_id"] for row in rows)
        for row in rows:
            for video_id in (row["video_id"], row["other_video_id"]):
                if video_id in pair_counts:
                    pair_counts[video_id] += 1
        _write(lake, rows, run_id, compared)
        waiting.clear()

    for fingerprints in _fingerprints(lake):
        for left, right, copy in index.copies_of(fingerprints):
            waiting[f"{left}/{right}"] = (left, right, copy)
        if len(waiting) >= PAIRS_PER_COMMIT:
            write()
    write()
    known = lake.query(statement("corpus/pairs_of_videos"), {"video_ids": of_block}).to_pylist()
    no_more = [pair["pair_id"] for pair in known if pair["kind"] == "perceptual" and pair["pair_id"] not in pair_ids]
    compared.removed += lake.delete(DUPLICATES.name, no_more)
    lake.upsert(COMPARISONS.name, _notes(block, pair_counts, run_id))


def _perceptual_pairs(lake: Lake, copies: dict[str, tuple[str, str, "Copy"]]) -> list[dict[str, Any]]:
    """Returns rows of perceptual pairs. Pairs with the same packets are left out, because they have rows already."""
    judged = _judged(lake, {video_id for left, right, _ in copies.values() for video_id in (left, right)})
    rows = []
    for left_id, right_id, copy in copies.values():
        if left_id not in judged or right_id not in judged:
            continue  # the video was forgotten after its fingerprint was read
        left, right = judged[left_id], judged[right_id]
        if left.packets_digest is not None and left.packets_digest == right.packets_digest:
            continue
        rows.append(
            _pair(left, right)
            | {
                "kind": "perceptual",
                "similarity": copy.similarity,
                "offset_seconds": round(copy.offset_seconds, 3),
                "speed": round(copy.speed, 4),
                "evidence": json.dumps(
                    {
                        "frames_compared": copy.frames_compared,
                        "frames_alike": copy.frames_alike,
                        "mean_distance_of_256_bits": round(copy.mean_distance, 1),
                        **copy.way.in_words,
                    }
                ),
            }
        )
    return rows


def _pair(left: VideoQuality, right: VideoQuality) -> dict[str, Any]:
    best, why = kept(left, right)
    return {
        "pair_id": f"{left.video_id}/{right.video_id}",
        "video_id": left.video_id,
        "other_video_id": right.video_id,
        "kept": best.video_id,
        "why_kept": why,
    }


def _judged(lake: Lake, video_ids: Iterable[str]) -> dict[str, VideoQuality]:
    rows = lake.query(statement("corpus/copies_to_judge"), {"video_ids": sorted(video_ids)}).to_pylist()
    return {row["video_id"]: VideoQuality(**row) for row in rows}


def _write(lake: Lake, rows: list[dict[str, Any]], run_id: str, compared: Compared) -> None:
    """Writes the rows that differ from the stored rows."""
    stored = _stored(lake, [row["pair_id"] for row in rows])
    fresh = [row for row in rows if stored.get(row["pair_id"]) != row]
    if not fresh:
        return
    of_run = {"run_id": run_id, "written_at": datetime.now(UTC)}
    change = lake.upsert(
        DUPLICATES.name, pa.Table.from_pylist([row | of_run for row in fresh], schema=DUPLICATES.arrow)
    )
    compared.added += change.added
    compared.changed += change.changed


def _stored(lake: Lake, pair_ids: list[str]) -> dict[str, dict[str, Any]]:
    rows = lake.query(
        "select * from duplicates where pair_id in (select unnest($pair_ids))", {"pair_ids": pair_ids}
    ).to_pylist()
    return {row["pair_id"]: {name: row[name] for name in row if name not in OF_THE_RUN} for row in rows}


def _notes(block: list[dict[str, Any]], pair_counts: dict[str, int], run_id: str) -> pa.Table:
    now = datetime.now(UTC)
    rows = [
        {
            "video_id": row["video_id"],
            "pairs": pair_counts[row["video_id"]],
            "provenance": row["provenance"],
            "run_id": run_id,
            "written_at": now,
        }
        for row in block
    ]
    return pa.Table.from_pylist(rows, schema=COMPARISONS.arrow)


def _blocks(videos: pa.Table) -> Iterator[list[dict[str, Any]]]:
    """Yields the videos in blocks whose frames fit in memory."""
    block: list[dict[str, Any]] = []
    frames = 0
    for batch in videos.to_batches(max_chunksize=VIDEOS_PER_READ):
        for video in batch.to_pylist():
            if block and frames + video["frames"] > FRAMES_PER_INDEX:
                yield block
                block, frames = [], 0
            block.append(video)
            frames += video["frames"]
    if block:
        yield block


def _fetched(lake: Lake, video_ids: list[str]) -> "Iterator[tuple[str, Fingerprint]]":
    for first in range(0, len(video_ids), VIDEOS_PER_READ):
        yield from _decoded(lake.fetch("fingerprints", video_ids[first : first + VIDEOS_PER_READ], COLUMNS))


def _fingerprints(lake: Lake) -> "Iterator[list[tuple[str, Fingerprint]]]":
    """Yields all fingerprints, in chunks."""
    chunk: list[tuple[str, Fingerprint]] = []
    frames = 0
    for batch in lake.dataset("fingerprints").scanner(columns=COLUMNS, batch_size=VIDEOS_PER_READ).to_batches():
        for video in _decoded(batch):
            chunk.append(video)
            frames += len(video[1])
            if frames >= FRAMES_PER_READ:
                yield chunk
                chunk, frames = [], 0
    yield chunk


def _decoded(rows: pa.Table | pa.RecordBatch) -> "Iterator[tuple[str, Fingerprint]]":
    from internvid.video.fingerprint import Fingerprint

    for row in rows.to_pylist():
        yield row["video_id"], Fingerprint.from_bytes(row["seconds"], row["hashes"])
