"""`duplicates`: videos that show the same, over the whole lake, and which of two is kept. Nothing is deleted for it.

Files of equal bytes are none of these: the second never becomes a video, and `attempts` names it (ExactDuplicate).

A video whose fingerprint is new or changed is compared with all the others; what has been compared, the table
`comparisons` tells. So a run that is killed goes on where it was, and a new video costs one look through the
fingerprints.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
import pyarrow as pa

from assets.fingerprints import fingerprints
from resources.lake import Lake
from resources.refresh import column_schema
from resources.schema import COMPARISONS, DUPLICATES
from resources.statements import statement

if TYPE_CHECKING:
    from internvid.video.copies import Copy
    from internvid.video.fingerprint import Fingerprint

FRAMES_PER_INDEX = 1_000_000  # of the videos compared at once; some 500 MB
FRAMES_PER_LOOK = 50_000  # of those that they are compared with, a few at a time
VIDEOS_PER_READ = 512
PAIRS_PER_COMMIT = 5_000
COLUMNS = ["video_id", "seconds", "hashes"]  # of fingerprints
OF_THE_RUN = ("run_id", "written_at")


@dataclass
class Compared:
    """What a run did. videos: that were compared with all others; the rest in pairs."""

    videos: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0


@dataclass(frozen=True)
class Judged:
    """A video with what decides which of two copies is kept. seconds: measured. decode_errors: packets that could not
    be decoded. first_seen_at: of its source.
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


@dg.asset(
    deps=[fingerprints, dg.AssetKey("raw_videos")],
    group_name="corpus",
    kinds={"lance"},
    description="Pairs of videos that show the same: in other containers, re-encoded, resized, cropped, with a logo.",
)
def duplicates(context: dg.AssetExecutionContext, lake: Lake) -> dg.MaterializeResult:
    """One row is a pair of videos. Changes with their packets and fingerprints."""
    compared = compare_new_videos(lake, run_id=context.run_id, log=context.log.info)
    with lake.connect([DUPLICATES.name]) as connection:
        connection.execute(
            f"create temp view rows as select pair_id as key, {DUPLICATES.rests_on} as provenance from duplicates"
        )
        pairs, version = connection.sql(statement("operations/table_digest")).fetchall()[0]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(version),
        metadata={
            "dagster/table_name": DUPLICATES.name,
            "dagster/uri": lake.uri(DUPLICATES.name),
            "dagster/row_count": pairs,
            "dagster/column_schema": column_schema(DUPLICATES),
            "videos_compared": compared.videos,
            "pairs_added": compared.added,
            "pairs_changed": compared.changed,
            "pairs_removed": compared.removed,
        },
    )


def compare_new_videos(lake: Lake, *, run_id: str, log: Callable[[str], object] = lambda text: None) -> Compared:
    """Brings the pairs up to date with the videos and their fingerprints."""
    from internvid.video.copies import VERSION

    compared = Compared()
    gone = lake.query(statement("operations/duplicates_without_ground"))["pair_id"].to_pylist()
    compared.removed += lake.delete(DUPLICATES.name, gone)
    lake.delete(COMPARISONS.name, lake.query(statement("operations/compared_without_ground"))["video_id"].to_pylist())
    same = lake.query(statement("operations/same_packets")).to_pylist()
    for first in range(0, len(same), PAIRS_PER_COMMIT):
        _write(lake, _with_same_packets(lake, same[first : first + PAIRS_PER_COMMIT]), run_id, compared)
    to_compare = lake.query(statement("operations/fingerprints_to_compare"), {"version": VERSION})
    for block in _blocks(to_compare):
        _compare_block(lake, block, run_id, compared)
        compared.videos += len(block)
        log(f"duplicates: {compared.videos:,} of {to_compare.num_rows:,} videos compared with all others")
    return compared


def kept(one: Judged, other: Judged) -> tuple[Judged, str]:
    """Which of two copies a subset without copies keeps, and by which rule: the first that tells them apart.

    1. The longer one, by powers of two: a part, however sharp, does not stand for the whole.
    2. The one with more pixels.
    3. The one that is less damaged.
    4. The longer one, by whole seconds.
    5. The one with more bytes a second, by steps of a quarter: the less compressed, whatever the container adds.
    6. The one whose source was registered first.
    7. The one with the lower video_id.

    Each rule compares one number, so they put all videos in one order: of several copies always one is left.
    """
    rules = (
        (lambda video: math.floor(math.log2(max(video.seconds, 0.001))), _longer),
        (lambda video: video.width * video.height, _more_pixels),
        (lambda video: -video.decode_errors, _less_damaged),
        (lambda video: round(video.seconds), _longer),
        (lambda video: math.floor(math.log(max(video.bytes_per_second, 1), 1.25)), _more_bytes),
        (lambda video: -_seen(video), lambda best, rest: "it was registered first"),
    )
    for number, told in rules:
        if number(one) != number(other):
            best, rest = (one, other) if number(one) > number(other) else (other, one)
            return best, told(best, rest)
    return min(one, other, key=lambda video: video.video_id), "nothing tells them apart: the lower video_id"


def _longer(best: Judged, rest: Judged) -> str:
    return f"it is longer: {best.seconds:.1f} s, the other {rest.seconds:.1f} s"


def _more_pixels(best: Judged, rest: Judged) -> str:
    return f"it has more pixels: {best.width} x {best.height}, the other {rest.width} x {rest.height}"


def _less_damaged(best: Judged, rest: Judged) -> str:
    return f"it is less damaged: {best.decode_errors} packets could not be decoded, of the other {rest.decode_errors}"


def _more_bytes(best: Judged, rest: Judged) -> str:
    rates = f"{best.bytes_per_second / 1000:.0f} kB, the other {rest.bytes_per_second / 1000:.0f} kB"
    return f"it has more bytes a second: {rates}"


def _seen(video: Judged) -> float:
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
    """Some videos with all: writes the pairs, removes those that are none any more, and notes that it is done."""
    from internvid.video.copies import CopyIndex

    of_block = [row["video_id"] for row in block]
    index = CopyIndex(_fetched(lake, of_block))
    found: dict[str, int] = dict.fromkeys(of_block, 0)
    pair_ids: set[str] = set()
    waiting: dict[str, tuple[str, str, Copy]] = {}

    def write() -> None:
        rows = _looking_alike(lake, waiting)
        pair_ids.update(row["pair_id"] for row in rows)
        for row in rows:
            for video_id in (row["video_id"], row["other_video_id"]):
                if video_id in found:
                    found[video_id] += 1
        _write(lake, rows, run_id, compared)
        waiting.clear()

    for some in _looks(lake):
        for one, other, copy in index.copies_of(some):
            waiting[f"{one}/{other}"] = (one, other, copy)
        if len(waiting) >= PAIRS_PER_COMMIT:
            write()
    write()
    known = lake.query(statement("operations/pairs_of_videos"), {"video_ids": of_block}).to_pylist()
    no_more = [pair["pair_id"] for pair in known if pair["kind"] == "perceptual" and pair["pair_id"] not in pair_ids]
    compared.removed += lake.delete(DUPLICATES.name, no_more)
    lake.upsert(COMPARISONS.name, _notes(block, found, run_id))


def _looking_alike(lake: Lake, copies: dict[str, tuple[str, str, "Copy"]]) -> list[dict[str, Any]]:
    """The rows; none for videos of the same packets, which have theirs."""
    judged = _judged(lake, {video_id for one, other, _ in copies.values() for video_id in (one, other)})
    rows = []
    for one_id, other_id, copy in copies.values():
        if one_id not in judged or other_id not in judged:
            continue  # forgotten since its fingerprint was read
        one, other = judged[one_id], judged[other_id]
        if one.packets_digest is not None and one.packets_digest == other.packets_digest:
            continue
        rows.append(
            _pair(one, other)
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


def _pair(one: Judged, other: Judged) -> dict[str, Any]:
    best, why = kept(one, other)
    return {
        "pair_id": f"{one.video_id}/{other.video_id}",
        "video_id": one.video_id,
        "other_video_id": other.video_id,
        "kept": best.video_id,
        "why_kept": why,
    }


def _judged(lake: Lake, video_ids: Iterable[str]) -> dict[str, Judged]:
    rows = lake.query(statement("operations/copies_to_judge"), {"video_ids": sorted(video_ids)}).to_pylist()
    return {row["video_id"]: Judged(**row) for row in rows}


def _write(lake: Lake, rows: list[dict[str, Any]], run_id: str, compared: Compared) -> None:
    """Those that say something else than the ones that are there."""
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


def _notes(block: list[dict[str, Any]], found: dict[str, int], run_id: str) -> pa.Table:
    now = datetime.now(UTC)
    rows = [
        {
            "video_id": row["video_id"],
            "pairs": found[row["video_id"]],
            "provenance": row["provenance"],
            "run_id": run_id,
            "written_at": now,
        }
        for row in block
    ]
    return pa.Table.from_pylist(rows, schema=COMPARISONS.arrow)


def _blocks(videos: pa.Table) -> Iterator[list[dict[str, Any]]]:
    """Rows of videos, cut where their frames would take too much memory."""
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


def _looks(lake: Lake) -> "Iterator[list[tuple[str, Fingerprint]]]":
    """All fingerprints, some at a time."""
    some: list[tuple[str, Fingerprint]] = []
    frames = 0
    for batch in lake.dataset("fingerprints").scanner(columns=COLUMNS, batch_size=VIDEOS_PER_READ).to_batches():
        for video in _decoded(batch):
            some.append(video)
            frames += len(video[1])
            if frames >= FRAMES_PER_LOOK:
                yield some
                some, frames = [], 0
    yield some


def _decoded(rows: pa.Table | pa.RecordBatch) -> "Iterator[tuple[str, Fingerprint]]":
    from internvid.video.fingerprint import Fingerprint

    for row in rows.to_pylist():
        yield row["video_id"], Fingerprint.from_bytes(row["seconds"], row["hashes"])
