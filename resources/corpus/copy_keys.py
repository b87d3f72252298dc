"""Writes the keys of videos into the table copy_keys, and finds by them the videos that may be copies.

Only this search belongs here; whether two videos are copies is decided by `internvid.video.copies`, and which videos
are searched for by `resources.corpus.duplicates`. It costs what is searched for, however many videos there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from resources.lake.lookup import begins_with
from resources.lake.schema import COPY_KEYS, FINGERPRINTS

if TYPE_CHECKING:
    import lance
    import numpy as np

    from internvid.video.copy_keys import CopyKeys
    from internvid.video.fingerprint import Fingerprint
    from resources.lake.store import Lake

VIDEOS_PER_READ = 512
KEYS_PER_READ = 10_000
# A key that is looked up by the index takes as long as some 500 rows of a scan. Few keys go by the index in any case.
MAX_KEYS_BY_INDEX = 50_000
ROWS_PER_KEY = 500
ROWS_PER_SCAN_BATCH = 1 << 17
ROWS_PER_TAKE = 200_000
NEW_ROWS_TO_INDEX = 1_000_000  # such rows are scanned by every search until the next maintenance
KEY_LENGTH = len("/00000000")  # of the end of copy_key_id, after the video_id

Candidates = dict[tuple[str, str], set[str]]


def fingerprints_of(lake: Lake, video_ids: Sequence[str]) -> Iterator[tuple[str, Fingerprint]]:
    """Yields the videos that have a fingerprint, with it, reading some hundreds at a time."""
    from internvid.video.fingerprint import Fingerprint

    for first in range(0, len(video_ids), VIDEOS_PER_READ):
        rows = lake.known(FINGERPRINTS.name, video_ids[first : first + VIDEOS_PER_READ], ["seconds", "hashes"])
        for row in rows.to_pylist():
            yield row["video_id"], Fingerprint.from_bytes(row["seconds"], row["hashes"])


def write_and_find_candidates(lake: Lake, video_ids: Sequence[str]) -> Candidates:
    """Writes the keys of the videos, and returns the pairs of one of them and any other video that may be copies by
    the keys that they share.

    (lower video_id, higher video_id) -> orientations in which the lower may appear in the higher.

    The keys are written first: of two processes that bring videos at once, the later one finds those of the earlier.
    Of a key that VIDEOS_PER_KEY videos hold, the videos written here lose theirs again. So no search reads more,
    and a picture that thousands of videos share pairs each of them with the first of them.
    """
    from internvid.video.copies import VIDEOS_PER_KEY
    from internvid.video.copy_keys import CandidatePairs, Probes
    from internvid.video.fingerprint import ORIENTATIONS, inverse_orientation

    named: list[str] = []
    probes = Probes(_written(lake, video_ids, named))
    candidates = CandidatePairs[str]()
    inverse = [ORIENTATIONS.index(inverse_orientation(name)) for name in ORIENTATIONS]
    superfluous: list[str] = []
    of_these = pa.array(named, pa.string())
    for ids, keys, further_bits, rank in _held(lake, probes.distinct_keys):
        is_first = rank < VIDEOS_PER_KEY
        superfluous += _of_videos(ids.filter(pa.array(~is_first)), of_these)
        ids, keys, further_bits = ids.filter(pa.array(is_first)), keys[is_first], further_bits[is_first]
        for stored, *matches in probes.matches(keys, further_bits):
            holders = ids.take(pa.array(stored)).to_pylist()
            of_probes = (keys[stored], *matches)
            for copy_key_id, *match in zip(holders, *(array.tolist() for array in of_probes), strict=True):
                key, video, orientation, bits_apart = match
                video_id, holder = named[video], copy_key_id[:-KEY_LENGTH]
                if video_id < holder:
                    candidates.add(video_id, holder, orientation, key, bits_apart)
                elif video_id > holder:
                    candidates.add(holder, video_id, inverse[orientation], key, bits_apart)
    lake.delete(COPY_KEYS.name, superfluous)
    return candidates.pairs()


def remove_keys(lake: Lake, video_ids: Iterable[str]) -> None:
    """Removes all keys of the videos."""
    for video_id in video_ids:
        _remove(lake, video_id, kept=frozenset())


def _written(lake: Lake, video_ids: Sequence[str], named: list[str]) -> Iterator[dict[str, CopyKeys]]:
    """Yields the keys of those videos that have a fingerprint, and writes them. named: takes the names of the videos.

    All are written once the last of them was read.
    """
    from internvid.video.copy_keys import probed_keys

    parts: list[pa.Table] = []
    new_rows = 0
    for video_id, fingerprint in fingerprints_of(lake, video_ids):
        named.append(video_id)
        by_orientation = probed_keys(fingerprint)
        parts.append(_rows(video_id, by_orientation["as it is"]))
        if len(parts) == VIDEOS_PER_READ:
            new_rows += lake.upsert(COPY_KEYS.name, pa.concat_tables(parts)).added
            parts = []
        yield by_orientation
    if parts:
        new_rows += lake.upsert(COPY_KEYS.name, pa.concat_tables(parts)).added
    if new_rows >= NEW_ROWS_TO_INDEX:
        lake.index_new_rows(COPY_KEYS.name)


def _rows(video_id: str, keys: CopyKeys) -> pa.Table:
    ids = [f"{video_id}/{key:08x}" for key in keys.keys.tolist()]
    return pa.table([pa.array(ids, pa.string()), keys.keys, keys.further_bits], schema=COPY_KEYS.arrow)


def remove_former_keys(lake: Lake, video_ids: Sequence[str]) -> None:
    """Removes the keys that videos had by an earlier fingerprint and have not by their present one."""
    from internvid.video.copy_keys import stored_keys

    for video_id, fingerprint in fingerprints_of(lake, video_ids):
        _remove(lake, video_id, kept=set(_rows(video_id, stored_keys(fingerprint))[COPY_KEYS.key].to_pylist()))


def _remove(lake: Lake, video_id: str, *, kept: set[str] | frozenset[str]) -> None:
    scanner = lake.dataset(COPY_KEYS.name).scanner(
        columns=[COPY_KEYS.key], filter=begins_with(COPY_KEYS.key, f"{video_id}/")
    )
    lake.delete(COPY_KEYS.name, [key for key in scanner.to_table()[COPY_KEYS.key].to_pylist() if key not in kept])


def _held(lake: Lake, keys: np.ndarray) -> Iterator[tuple[pa.Array, np.ndarray, np.ndarray, np.ndarray]]:
    """Yields the rows of copy_keys with one of these keys, in parts: id, key, further bits, and the row's rank among
    those with the same key. keys: [keys] int32, rising."""
    import numpy as np

    held = np.zeros(len(keys), np.int32)
    for rows in _with_keys(lake, keys):
        stored = rows["copy_key"].to_numpy()
        at = np.searchsorted(keys, stored)
        order = np.argsort(at, kind="stable")
        first = np.flatnonzero(np.diff(at[order], prepend=-1))
        within = np.arange(len(at)) - np.repeat(first, np.diff(first, append=len(at)))
        rank = np.empty(len(at), np.int64)
        rank[order] = within + held[at[order]]
        np.add.at(held, at, 1)
        yield rows[COPY_KEYS.key].combine_chunks(), stored, rows["further_bits"].to_numpy(), rank


def _with_keys(lake: Lake, keys: np.ndarray) -> Iterator[pa.Table]:
    """Yields the rows with one of the keys: found by the index, or where the keys are very many, in one pass."""
    import pyarrow.compute as pc

    dataset = lake.dataset(COPY_KEYS.name)
    columns = COPY_KEYS.column_names
    if len(keys) > MAX_KEYS_BY_INDEX and dataset.count_rows() < len(keys) * ROWS_PER_KEY:
        for rows in _rows_with_keys(dataset, keys):
            yield dataset.take(rows, columns=columns)
        return
    for first in range(0, len(keys), KEYS_PER_READ):
        part = pa.array(keys[first : first + KEYS_PER_READ])
        yield dataset.scanner(columns=columns, filter=pc.field("copy_key").isin(part)).to_table()


def _rows_with_keys(dataset: lance.LanceDataset, keys: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the numbers of the rows with one of the keys, rising, in parts of some hundreds of thousands.

    Only the keys are read, and each is looked up in a table of bits: 20 ns a row, where a search among ten million
    keys takes a microsecond. Of some ten million keys, one in seventy is wanted.
    """
    import numpy as np

    from internvid.video.copies import BLOCK_PAIRS, KEY_BITS

    is_wanted = np.zeros(len(BLOCK_PAIRS) << (KEY_BITS - 3), np.uint8)  # a bit for each possible key; 84 MB
    np.bitwise_or.at(is_wanted, keys >> 3, np.uint8(1) << (keys & 7).astype(np.uint8))
    parts: list[np.ndarray] = []
    seen = rows = 0
    for batch in dataset.scanner(columns=["copy_key"], batch_size=ROWS_PER_SCAN_BATCH).to_batches():
        stored = batch["copy_key"].to_numpy()
        parts.append(seen + np.flatnonzero(is_wanted[stored >> 3] >> (stored & 7).astype(np.uint8) & 1))
        seen += len(stored)
        rows += len(parts[-1])
        if rows >= ROWS_PER_TAKE:
            yield np.concatenate(parts)
            parts, rows = [], 0
    if rows:
        yield np.concatenate(parts)


def _of_videos(ids: pa.Array, video_ids: pa.Array) -> list[str]:
    """Returns the ids of rows that are of one of the videos."""
    import pyarrow.compute as pc

    return ids.filter(pc.is_in(pc.utf8_slice_codeunits(ids, 0, -KEY_LENGTH), video_ids)).to_pylist()
