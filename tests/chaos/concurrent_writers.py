"""Processes that write to one table at once, beside maintenance and readers:
`PYTHONPATH=.:tests python tests/chaos/concurrent_writers.py --writers 8 --commits 100 --where folder`. `--where bucket`
takes an S3 server on loopback.

Every writer commits rows of its own batch, rows of a batch that all of them write, and deletes some of its rows. At the
end all rows are there, none twice, and every version that was kept can be read.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path

import pyarrow as pa
from s3_server import BUCKET, s3_server

from resources.lake.maintenance import maintain
from resources.lake.schema import CLIPS
from resources.lake.store import Lake

SHARED = "all of them"  # the batch
ROWS = 10  # of each batch in a commit
DELETED_EVERY = 10  # commits


@dataclass(frozen=True)
class Outcome:
    """What the table holds. lost, extra: keys that should be there and are not, and the reverse. twice: keys."""

    rows: int
    lost: list[str]
    extra: list[str]
    twice: list[str]
    versions: int
    unreadable: list[int]
    maintained: int
    seconds: float
    commits: list[int]  # of each writer

    @property
    def is_well(self) -> bool:
        return not (self.lost or self.extra or self.twice or self.unreadable)


def write_at_once(lake: Lake, writers: int, commits: int, seconds: float = math.inf) -> Outcome:
    """commits: of each writer, or as many as it begins within so many seconds."""
    lake.create_tables()
    spawn = multiprocessing.get_context("spawn")  # Lance is not fork-safe
    with spawn.Manager() as manager, ProcessPoolExecutor(writers + 1, mp_context=spawn) as processes:
        ended = manager.Event()
        maintained = processes.submit(keep_maintaining, lake, ended)
        started = time.monotonic()
        try:
            writing = [processes.submit(write, lake, str(number), commits, seconds) for number in range(writers)]
            done = [future.result() for future in writing]
        finally:
            ended.set()
        took = time.monotonic() - started
        maintenances = maintained.result()
    keys = lake.polars(CLIPS.name, columns=[CLIPS.key])[CLIPS.key].to_list()
    expected = {key for number in range(writers) for key in kept(str(number), done[number])} | {
        key for commit in range(max(done)) for key in keys_of("shared", commit)
    }
    versions = [row["version"] for row in lake.dataset(CLIPS.name).versions()]
    return Outcome(
        rows=len(keys),
        lost=sorted(expected - set(keys)),
        extra=sorted(set(keys) - expected),
        twice=[key for key, count in Counter(keys).items() if count > 1],
        versions=len(versions),
        unreadable=[version for version in versions if not is_readable(lake, version)],
        maintained=maintenances,
        seconds=took,
        commits=done,
    )


def write(lake: Lake, writer: str, commits: int, seconds: float) -> int:
    """Returns the number of commits, each of which may be followed by a deletion."""
    end = time.monotonic() + seconds
    for commit in range(commits):
        if time.monotonic() > end:
            return commit
        rows = [*rows_of(keys_of(writer, commit), writer), *rows_of(keys_of("shared", commit), SHARED)]
        lake.upsert(CLIPS.name, pa.Table.from_pylist(rows))
        if commit % DELETED_EVERY == 0:
            lake.delete(CLIPS.name, keys_of(writer, commit)[:1])
    return commits


def keep_maintaining(lake: Lake, ended: Event) -> int:
    """Maintains the table until the writers have ended. Returns how often."""
    times = 0
    while not ended.is_set():
        maintain(partial(lake.dataset, CLIPS.name), CLIPS, keep_versions_for=timedelta(minutes=2))
        times += 1
        time.sleep(1)
    return times


def keys_of(writer: str, commit: int) -> list[str]:
    return [f"{writer}-{commit}-{number}" for number in range(ROWS)]


def kept(writer: str, commits: int) -> Iterator[str]:
    for commit in range(commits):
        yield from keys_of(writer, commit)[1 if commit % DELETED_EVERY == 0 else 0 :]


def rows_of(keys: list[str], batch: str) -> list[dict[str, str]]:
    return [{"clip_id": key, "video_id": "v", "ingest_batch": batch, "provenance": "p", "digest": key} for key in keys]


def is_readable(lake: Lake, version: int) -> bool:
    try:
        dataset = lake.dataset(CLIPS.name, version)
        return len(dataset.to_table(columns=["clip_id", "digest"])) == dataset.count_rows()
    except (OSError, ValueError):
        return False


@contextmanager
def lake_in(where: str) -> Iterator[Lake]:
    with ExitStack() as stack:
        if where == "bucket":
            yield Lake(root=f"s3://{BUCKET}/writers", storage_options=stack.enter_context(s3_server()))
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="writers-"))
            yield Lake(root=str(Path(folder) / "lake"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--commits", type=int, default=100, help="of each writer")
    parser.add_argument("--seconds", type=float, default=math.inf, help="after which no writer begins a commit")
    parser.add_argument("--where", choices=("folder", "bucket"), default="folder")
    arguments = parser.parse_args()
    with lake_in(arguments.where) as lake:
        outcome = write_at_once(lake, arguments.writers, arguments.commits, arguments.seconds)
    print(outcome)
    raise SystemExit(not outcome.is_well)


if __name__ == "__main__":
    main()
