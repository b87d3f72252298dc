"""Finds pairs of videos with the same content, and decides which of the two is kept. Nothing is deleted.

Files with equal bytes are not among them: the second one never becomes a video, and `attempts` names it
(ExactDuplicate).

What is looked at is what the tables say has changed: batch_states has a row with the versions up to which everything
was compared, and the rows that differ since are read. Of these, a video whose fingerprint is new or changed is compared
with those that share a key with it (`resources.corpus.copy_keys`); the table `comparisons` records that. So an
interrupted run continues where it was, and a publication costs what is new.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from resources.corpus.copy_keys import (
    Candidates,
    fingerprints_of,
    remove_former_keys,
    remove_keys,
    write_and_find_candidates,
)
from resources.incremental.provenance import digest
from resources.lake.changes import compare as compare_versions
from resources.lake.schema import (
    BATCH_STATES,
    COMPARISONS,
    COPY_KEYS,
    DUPLICATES,
    FINGERPRINTS,
    OF_THE_RUN,
    RAW_VIDEOS,
    Table,
)
from resources.lake.statements import statement
from resources.lake.store import Lake

if TYPE_CHECKING:
    import duckdb

    from internvid.video.copies import Copy

FRAMES_PER_BLOCK = 4_000_000  # of the videos that are looked up together; some 500 MB
VIDEOS_PER_BLOCK = 10_000
VIDEOS_PER_READ = 512
PAIRS_PER_READ = 512  # candidates whose fingerprints are in memory at once
PAIRS_PER_COMMIT = 5_000
MAX_CHANGED = 100_000  # videos whose rows are read by key; of more the tables are read as a whole
# Of the clips by which copies are judged. Of 20 batches in one condition, Lance plans for a minute, in 3 GB.
BATCHES_PER_READ = 8

# Row of batch_states with the versions up to which all videos were compared.
MARK = "duplicates/"
# The tables that decide what is looked at, and what of their rows.
READ: dict[str, tuple[Table, list[str], str]] = {
    "raw_videos": (RAW_VIDEOS, ["video_id", "packets_digest"], "hash(packets_digest)"),
    "fingerprints": (FINGERPRINTS, ["video_id", "digest"], "hash(digest)"),
    "comparisons": (COMPARISONS, ["video_id", "provenance"], "hash(provenance)"),
}


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
    compared = Compared()
    mark = _mark(lake)
    version = _version()
    if mark is not None and mark["stage_version"] != version:
        # What other keys or another comparison made is of no use. The mark last: a run that is killed does so again.
        lake.delete_all(COMPARISONS.name)
        lake.delete_all(COPY_KEYS.name)
        _write_mark(lake, version, {})
        mark = None
    since = {} if mark is None else json.loads(mark["table_versions"])
    now = {name: lake.version(name) for name in READ}
    if since == now:
        return compared
    with _changed_rows(lake, since, now) as connection:
        _remove_without_ground(lake, connection, compared)
        same = connection.sql(statement("corpus/same_packets")).to_arrow_table()
        for batch in same.to_batches(max_chunksize=PAIRS_PER_COMMIT):
            _write(lake, _with_same_packets(lake, batch.to_pylist()), run_id, compared)
        for block in _blocks(connection):
            _compare_block(lake, block, run_id, compared)
            compared.videos += len(block)
            log(f"duplicates: {compared.videos:,} videos compared with all others")
    # Later rows of `comparisons` are of this run: it need not look at them again.
    _write_mark(lake, version, now | {"comparisons": lake.version("comparisons")})
    return compared


def _version() -> str:
    """Returns a hash of what decides the pairs besides the rows of the tables."""
    from internvid.video import copies, copy_keys

    names = ("duplicates_without_ground", "compared_without_ground", "same_packets", "fingerprints_to_compare")
    return digest([copies.VERSION, copy_keys.VERSION, *(statement(f"corpus/{name}") for name in names)])


def _mark(lake: Lake) -> dict[str, Any] | None:
    rows = lake.known(BATCH_STATES.name, [MARK], ["stage_version", "table_versions"]).to_pylist()
    return rows[0] if rows else None


def _write_mark(lake: Lake, version: str, table_versions: dict[str, int]) -> None:
    row = {
        "batch_state_id": MARK,
        "stage": MARK.rstrip("/"),
        "stage_version": version,
        "table_versions": json.dumps(table_versions),
        "written_at": datetime.now(UTC),
    }
    lake.upsert(BATCH_STATES.name, pa.Table.from_pylist([row], schema=BATCH_STATES.arrow))


@contextmanager
def _changed_rows(lake: Lake, since: dict[str, int], now: dict[str, int]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens DuckDB with the rows of the four tables that can concern a change since those versions, under their names.

    Those are the rows of the changed videos, of the other videos in their pairs, and of videos with the same packets.
    Where the changes cannot be told, or are very many, these are the whole tables.
    """
    changed: set[str] | None = set()
    for name, version in now.items():
        of_table = _changed_videos(lake, name, since.get(name), version)
        changed = None if changed is None or of_table is None else changed | of_table
    if changed is None or len(changed) > MAX_CHANGED:
        with lake.connect([*READ, DUPLICATES.name]) as connection:
            yield connection
        return
    ids = sorted(changed)
    pairs = _pairs_of(lake, ids, ["video_id", "other_video_id", "kind"])
    packets = lake.known(RAW_VIDEOS.name, ids, ["packets_digest"])["packets_digest"].drop_null().unique().to_pylist()
    alike = lake.known(RAW_VIDEOS.name, packets, by="packets_digest")["video_id"].to_pylist()
    concerned = sorted({*ids, *alike, *pairs["video_id"].to_pylist(), *pairs["other_video_id"].to_pylist()})
    with lake.connect([]) as connection:
        connection.register("duplicates", pairs)
        connection.register("raw_videos", lake.known(RAW_VIDEOS.name, concerned, ["packets_digest"]))
        connection.register("fingerprints", lake.known(FINGERPRINTS.name, concerned, ["frames", "digest"]))
        connection.register("comparisons", lake.known(COMPARISONS.name, concerned, ["provenance"]))
        yield connection


def _changed_videos(lake: Lake, name: str, since: int | None, now: int) -> set[str] | None:
    """Returns the videos of which the table has another row now, or none; None where that cannot be told."""
    if since is None or since == now:
        return None if since is None else set()
    table, columns, content = READ[name]
    select = f"video_id as key, {content} as content"
    rows = compare_versions(lake, table, since, lake.dataset(name, now), columns, select, "corpus/changed_videos")
    return None if rows is None else {video_id for (video_id,) in rows}


def _remove_without_ground(lake: Lake, connection: duckdb.DuckDBPyConnection, compared: Compared) -> None:
    """Removes the pairs that are no longer valid, and what is kept of videos without a fingerprint."""
    pairs = connection.sql(statement("corpus/duplicates_without_ground")).to_arrow_table()
    compared.removed += lake.delete(DUPLICATES.name, pairs["pair_id"].to_pylist())
    gone = connection.sql(statement("corpus/compared_without_ground")).to_arrow_table()["video_id"].to_pylist()
    remove_keys(lake, gone)
    lake.delete(COMPARISONS.name, gone)


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
    of_block = [row["video_id"] for row in block]
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

    # Of a video that was compared before, another fingerprint may have left keys.
    remove_former_keys(lake, [row["video_id"] for row in block if row["was_compared"]])
    for left, right, copy in _copies(lake, write_and_find_candidates(lake, of_block)):
        waiting[f"{left}/{right}"] = (left, right, copy)
        if len(waiting) >= PAIRS_PER_COMMIT:
            write()
    write()
    known = _pairs_of(lake, of_block, ["kind"]).to_pylist()
    no_more = [pair["pair_id"] for pair in known if pair["kind"] == "perceptual" and pair["pair_id"] not in pair_ids]
    compared.removed += lake.delete(DUPLICATES.name, no_more)
    lake.upsert(COMPARISONS.name, _notes(block, pair_counts, run_id))


def _copies(lake: Lake, candidates: Candidates) -> Iterator[tuple[str, str, Copy]]:
    """Yields (lower video_id, higher video_id, how) for each candidate pair of which one is a copy of the other."""
    from internvid.video.copies import compare

    pairs = sorted(candidates)
    for first in range(0, len(pairs), PAIRS_PER_READ):
        part = pairs[first : first + PAIRS_PER_READ]
        fingerprints = dict(fingerprints_of(lake, sorted({video_id for pair in part for video_id in pair})))
        for left, right in part:
            if left not in fingerprints or right not in fingerprints:
                continue  # the video was forgotten after its keys were read
            copy = compare(fingerprints[left], fingerprints[right], candidates[left, right])
            if copy is not None:
                yield left, right, copy


def _pairs_of(lake: Lake, video_ids: Sequence[str], columns: Sequence[str]) -> pa.Table:
    """Returns the pairs with at least one of the videos, each once: pair_id and the columns."""
    pairs = pa.concat_tables(
        lake.known(DUPLICATES.name, video_ids, columns, by=column) for column in ("video_id", "other_video_id")
    )
    once = pairs.group_by(DUPLICATES.key).aggregate([(name, "min") for name in columns])
    return once.rename_columns([DUPLICATES.key, *columns])


def _perceptual_pairs(lake: Lake, copies: dict[str, tuple[str, str, Copy]]) -> list[dict[str, Any]]:
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
    """Returns the videos that are still there, by id. Read by key, and of the clips the batches of these videos."""
    import pyarrow.compute as pc

    columns = [
        *("source_id", "ingest_batch", "packets_digest", "duration_seconds"),
        *("display_width", "display_height", "size_bytes"),
    ]
    videos = lake.known(RAW_VIDEOS.name, sorted(video_ids), columns).sort_by("ingest_batch")
    batches = sorted(set(videos["ingest_batch"].to_pylist()))
    judged: dict[str, VideoQuality] = {}
    for first in range(0, len(batches), BATCHES_PER_READ):
        part = batches[first : first + BATCHES_PER_READ]
        of_part = videos.filter(pc.is_in(videos["ingest_batch"], pa.array(part)))
        sources = lake.known("sources", of_part["source_id"].to_pylist(), ["first_seen_at"])
        with lake.connect(["clips"], only={"ingest_batch": part}) as connection:
            connection.register("raw_videos", of_part)
            connection.register("sources", sources)
            rows = connection.sql(statement("corpus/copies_to_judge")).to_arrow_table().to_pylist()
        judged |= {row["video_id"]: VideoQuality(**row) for row in rows}
    return judged


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
    columns = [name for name in DUPLICATES.column_names if name not in OF_THE_RUN]
    return {row["pair_id"]: row for row in lake.known(DUPLICATES.name, pair_ids, columns).to_pylist()}


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


def _blocks(connection: duckdb.DuckDBPyConnection) -> Iterator[list[dict[str, Any]]]:
    """Yields the videos to compare in blocks that fit in memory."""
    from internvid.video import copies, copy_keys

    block: list[dict[str, Any]] = []
    frames = 0
    to_compare = connection.sql(
        statement("corpus/fingerprints_to_compare"), params={"version": f"{copies.VERSION}+{copy_keys.VERSION}"}
    )
    for batch in to_compare.to_arrow_reader(VIDEOS_PER_READ):
        for video in batch.to_pylist():
            if block and (frames + video["frames"] > FRAMES_PER_BLOCK or len(block) == VIDEOS_PER_BLOCK):
                yield block
                block, frames = [], 0
            block.append(video)
            frames += video["frames"]
    if block:
        yield block
