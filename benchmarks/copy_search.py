"""What it costs to search for copies of new videos in a large lake: time of the processor, pairs compared in vain.

    python benchmarks/copy_search.py [--videos 100000] [--new 2000] [--folder FOLDER]

A lake is made with fingerprints of strangers, 100 frames of 20 random pictures each, and 256 random keys of each in the
table copy_keys. Then new videos, strangers too, are searched for among them, as `resources.corpus.duplicates` does:
their keys are written, the table is read for those who hold the same, and candidates are compared. Then again with one
shared key being enough for a candidate, however unlike the frames; and a pass over the table alone, against searching
for each stored key among those that are looked up.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import numpy as np
import pyarrow as pa

from internvid.video.copy_keys import Probes, probed_keys
from internvid.video.fingerprint import CROPS, WORDS, Fingerprint
from resources.corpus.copy_keys import _rows_with_keys, fingerprints_of, write_and_find_candidates
from resources.corpus.duplicates import _copies
from resources.lake.schema import COPY_KEYS, FINGERPRINTS
from resources.lake.store import Lake

FRAMES, PICTURES, KEYS_PER_VIDEO = 100, 20, 256
VIDEOS_PER_WRITE = 10_000


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--videos", type=int, default=100_000)
    arguments.add_argument("--new", type=int, default=2_000)
    arguments.add_argument("--folder", default=tempfile.gettempdir(), help="where to put the lake")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as root:
        measure(Lake(root=root), given.videos, given.new)


def measure(lake: Lake, videos: int, new: int) -> None:
    import lance

    from internvid.video import copy_keys

    random = np.random.default_rng(0)
    lake.create_tables()
    for first in range(0, videos, VIDEOS_PER_WRITE):
        numbers = range(first, min(videos, first + VIDEOS_PER_WRITE))
        lance.write_dataset(fingerprints("0", numbers, random), lake.uri(FINGERPRINTS.name), mode="append")
        lance.write_dataset(random_keys(numbers), lake.uri(COPY_KEYS.name), mode="append")
    lake.upsert(FINGERPRINTS.name, fingerprints("f", range(new), random))
    for table in (FINGERPRINTS, COPY_KEYS):
        lake.index_new_rows(table.name)
    rows = lake.dataset(COPY_KEYS.name).count_rows()
    print(f"{videos:,} videos, {rows:,} keys; {new:,} new ones", flush=True)

    ids = [name_of("f", number) for number in range(new)]
    for which in ("by the keys that they share", "where one key is enough"):
        if which == "where one key is enough":
            copy_keys.FURTHER_BITS_CLOSE = copy_keys.FURTHER_BITS_APART
        started = time.process_time()
        candidates = write_and_find_candidates(lake, ids)
        searched = time.process_time()
        copies = sum(1 for _ in _copies(lake, candidates))
        finding, comparing = searched - started, time.process_time() - searched
        print(
            f"candidates {which}: {len(candidates):,}, of which copies: {copies}; to find them "
            f"{finding / new * 1000:.2f} ms of the processor a video, to compare them {comparing / new * 1000:.2f}",
            flush=True,
        )

    keys = Probes(probed_keys(fingerprint) for _, fingerprint in fingerprints_of(lake, ids)).distinct_keys
    dataset = lake.dataset(COPY_KEYS.name)
    started = time.process_time()
    wanted = sum(len(part) for part in _rows_with_keys(dataset, keys))
    by_bits = time.process_time() - started
    started = time.process_time()
    by_search = 0
    for batch in dataset.scanner(columns=COPY_KEYS.column_names).to_batches():
        stored = batch["copy_key"].to_numpy()
        by_search += int((keys[np.minimum(np.searchsorted(keys, stored), len(keys) - 1)] == stored).sum())
    assert wanted == by_search
    seconds = time.process_time() - started
    print(
        f"a pass over the table, {len(keys):,} keys, {wanted:,} rows wanted: {by_bits / rows * 1e9:.0f} ns a row by a "
        f"table of bits, {seconds / rows * 1e9:.0f} by a search for each row"
    )


def name_of(letter: str, number: int) -> str:
    return f"{letter}{number:015x}"


def fingerprints(letter: str, numbers: range, random: np.random.Generator) -> pa.Table:
    rows = []
    for number in numbers:
        pictures = random.integers(0, 2**63, (PICTURES, len(CROPS), WORDS), np.uint64)
        video = Fingerprint(np.arange(FRAMES, dtype=np.float32), np.repeat(pictures, FRAMES // PICTURES, axis=0))
        content = {"frames": FRAMES, "seconds": video.seconds_bytes, "hashes": video.hashes_bytes}
        made_by = dict.fromkeys(("ingest_batch", "provenance", "digest"), "made")
        rows.append({"video_id": name_of(letter, number)} | content | made_by)
    return pa.Table.from_pylist(rows, schema=FINGERPRINTS.arrow)


def random_keys(numbers: range) -> pa.Table:
    import duckdb

    with duckdb.connect() as connection:
        rows = connection.sql(
            """
            select printf('%016x/%08x', video, key) as copy_key_id, key::integer as copy_key,
                (hash(video, key)::hugeint - 9223372036854775808)::bigint as further_bits
            from (
                select video, (hash(video, number) % (10 * 67108864))::bigint as key
                from range($first, $end) as videos (video), range($keys) as keys (number)
            )
            """,
            params={"first": numbers.start, "end": numbers.stop, "keys": KEYS_PER_VIDEO},
        ).to_arrow_table()
    return rows.cast(COPY_KEYS.arrow)


if __name__ == "__main__":
    main()
