"""What ten thousand small commits do to the tables: to writing, to opening and reading them, and to the disk.

    python benchmarks/commits.py [--commits 10000] [--commits-per-day 2880] [--folder /tmp]

The upserts of one video's ingest, through all stages and with all bookkeeping, are recorded from the product, and made
again for one video after another (a batch each) through `Lake.upsert`. Beside them goes what the product's schedules
do, by the number of commits instead of the clock: `hourly_publish` pins a snapshot, `nightly_maintenance` keeps the
tables. A day has 2,880 commits: a run that works without a pause commits every 30 seconds.

Printed after 100, 1,000, 5,000 and 10,000 commits: wall and processor milliseconds, median and 95th percentile, of the
last 100 upserts, and of opening a table and reading a row by its key; the versions, fragments, and segments of indexes;
and the bytes on disk over those of a fresh copy that holds the same rows in one version and has indexes. "Later" is a
copy of the lake that was maintained once the retention had passed: old snapshots and versions go, with a retention of 0
for 7 days. The newest snapshot stays, and with it what maintenance has compacted since: of tables this small, all. So
"after the next snapshot" is what is left once another one was pinned. Ends with 1 where the 10,000th commit costs more
than 1.5 times the 1,000th, or where what is left after the next snapshot takes more than 1.3 times the fresh copy.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
from generators import made_lake

from orchestration.cli.session import Session
from orchestration.due import pending_batches
from orchestration.settings import Settings
from resources.corpus.snapshots import remove_unused_snapshots, take_snapshot
from resources.incremental.declaration import configured_stages
from resources.incremental.provenance import digest
from resources.lake.schema import TABLES
from resources.lake.store import Lake

MAX_GROWTH, MAX_SIZE = 1.5, 1.3
CHECKPOINTS = (100, 1_000, 5_000, 10_000)
TIMED = 100  # upserts before a checkpoint, and reads at it
FIRST_BATCH = "2026-02-01-0000"
LEFT = "after the next snapshot"

Upserts = list[tuple[str, pa.Table]]
Times = tuple[float, float]  # seconds: by the wall's clock, and of the processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commits", type=int, default=CHECKPOINTS[-1])
    parser.add_argument("--commits-per-day", type=int, default=2880)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where to put the lake")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="commits-") as folder:
        recorded = recorded_upserts(Path(folder, "recorded"))
        by_table = Counter(table for table, _ in recorded)
        print(f"{len(recorded)} upserts a video: " + ", ".join(f"{table} {n}" for table, n in by_table.most_common()))
        lake = Lake(root=f"{folder}/lake")
        lake.create_tables()
        sys.exit(0 if run(lake, recorded, given.commits, given.commits_per_day, Path(folder)) else 1)


class RecordingLake(Lake):
    """A lake that remembers what was upserted."""

    def upsert(self, table: str, rows: pa.Table):
        RECORDED.append((table, rows))
        return super().upsert(table, rows)


RECORDED: Upserts = []


def recorded_upserts(folder: Path) -> Upserts:
    """Returns the upserts of the ingest of one video into a lake that holds one already."""
    session = Session(Settings(lake=str(folder)))
    session.lake  # noqa: B018 - it creates the tables
    lake = RecordingLake(root=str(folder))
    stages = configured_stages(lake, session.stages, session.resources)
    for number in range(2):
        RECORDED.clear()
        made_lake.register(lake, FIRST_BATCH[:-1] + str(number), range(number, number + 1))
        pending_batches(lake, session.stages, session.resources)
        made_lake.run_stages(lake, stages, FIRST_BATCH[:-1] + str(number))
        pending_batches(lake, session.stages, session.resources)
    return list(RECORDED)


def upserts(recorded: Upserts) -> Iterator[tuple[str, pa.Table]]:
    """Yields the recorded upserts for one video after another, without an end."""
    number = 1
    while True:
        number += 1
        # Ids of all tables begin with the source's, or contain it.
        replaced = {digest(1): digest(number), digest(1)[:16]: digest(number)[:16]}
        replaced |= {FIRST_BATCH[:-1] + "1": f"2026-02-{1 + number // 10_000:02d}-{number % 10_000:04d}"}
        for table, rows in recorded:
            yield table, with_texts_replaced(rows, replaced)


def with_texts_replaced(rows: pa.Table, replaced: dict[str, str]) -> pa.Table:
    import pyarrow.compute as pc

    columns = []
    for column in rows.columns:
        if pa.types.is_string(column.type):
            for old, new in replaced.items():
                column = pc.replace_substring(column, old, new)
        columns.append(column)
    return pa.table(columns, names=rows.column_names)


def run(lake: Lake, recorded: Upserts, commits: int, commits_per_day: int, folder: Path) -> bool:
    checkpoints = [checkpoint for checkpoint in CHECKPOINTS if checkpoint < commits] + [commits]
    commits_per_hour = max(1, commits_per_day // 24)
    upsert_times: list[Times] = []
    last: dict[str, pa.Table] = {}
    measured = []
    maintenance, snapshots = (0.0, 0.0), 0
    for commit, (table, rows) in enumerate(upserts(recorded), start=1):
        upsert_times.append(timed(lambda: lake.upsert(table, rows)))  # noqa: B023 - called at once
        last[table] = rows
        if commit in checkpoints:
            reads = [timed(lambda: read(lake, last, number)) for number in range(TIMED)]  # noqa: B023
            measured.append((median(upsert_times[-TIMED:]), median(reads)))
            print_checkpoint(lake, commit, upsert_times[-TIMED:], reads, maintenance, snapshots)
            sizes = sizes_of(lake, folder)
            times = ", ".join(f"{name} {size / sizes['fresh']:.2f} times" for name, size in sizes.items())
            print(f"    bytes on disk, against {sizes['fresh'] / 1e6:,.1f} MB of a fresh copy: {times}", flush=True)
        if commit == commits:
            break
        if commit % commits_per_hour == 0:
            snapshots += take_snapshot(lake, run_id="commits")[2]
        if commit % commits_per_day == 0:
            remove_unused_snapshots(lake)
            spent = timed(lake.optimize)
            maintenance = (maintenance[0] + spent[0], maintenance[1] + spent[1])
    first = 0 if len(checkpoints) < 3 else 1
    growth = [later / max(earlier, 1e-9) for earlier, later in zip(measured[first], measured[-1], strict=True)]
    size = sizes[LEFT] / sizes["fresh"]
    print(f"{checkpoints[first]:,} to {commits:,} commits: upsert {growth[0]:.2f} times, open and read {growth[1]:.2f}")
    return max(growth) <= MAX_GROWTH and size <= MAX_SIZE


def read(lake: Lake, last: dict[str, pa.Table], number: int) -> None:
    """Opens one of the tables, and reads the row that was written into it last."""
    table = sorted(last)[number % len(last)]
    key = last[table][TABLES[table].key][0].as_py()
    assert lake.fetch(table, [key]).num_rows == 1


def print_checkpoint(
    lake: Lake, commit: int, upserting: list[Times], reading: list[Times], maintenance: Times, snapshots: int
) -> None:
    print(f"{commit:,} commits, {snapshots} snapshots, maintenance so far {maintenance[1]:.0f} s of the processor")
    for name, times in (("upsert", upserting), ("open, read a key", reading)):
        wall, processor = ([1000 * each[clock] for each in times] for clock in (0, 1))
        print(
            f"    {name:<17} processor {percentile(processor, 50):6.1f} / {percentile(processor, 95):6.1f} ms,"
            f"  wall {percentile(wall, 50):6.1f} / {percentile(wall, 95):6.1f} ms"
        )
    datasets = {table: lake.dataset(table) for table in TABLES}
    counts = {
        "versions": lambda dataset: len(list(Path(dataset.uri, "_versions").glob("*.manifest"))),
        "fragments": lambda dataset: len(dataset.get_fragments()),
        "segments": lambda dataset: max((len(index.segments) for index in dataset.describe_indices()), default=0),
        "rows without index": lambda dataset: max(
            (dataset.count_rows() - index.num_rows_indexed for index in dataset.describe_indices()), default=0
        ),
    }
    for name, count in counts.items():
        by_table = {table: count(dataset) for table, dataset in datasets.items()}
        most = max(by_table, key=lambda table: by_table[table])
        print(f"    {name:<19}{sum(by_table.values()):>8,} in all, most in {most}: {by_table[most]:,}")


def sizes_of(lake: Lake, folder: Path) -> dict[str, int]:
    """Returns the bytes of the lake as it is, of what is left later, and of a fresh copy."""
    later, fresh = Lake(root=str(folder / "later")), Lake(root=str(folder / "fresh"))
    sizes = {"now": bytes_in(Path(lake.root))}
    shutil.copytree(lake.root, later.root)
    later.optimize(keep_versions_for=timedelta(0))
    sizes["later, all snapshots kept"] = bytes_in(Path(later.root))
    remove_unused_snapshots(later, older_than=timedelta(0))
    later.optimize(keep_versions_for=timedelta(0))
    sizes["later"] = bytes_in(Path(later.root))
    take_snapshot(later, run_id="later")
    remove_unused_snapshots(later, older_than=timedelta(0))
    later.optimize(keep_versions_for=timedelta(0))
    sizes[LEFT] = bytes_in(Path(later.root))
    fresh.create_tables()
    for table in TABLES:
        fresh.upsert(table, lake.dataset(table).to_table())
    fresh.optimize(keep_versions_for=timedelta(0))
    sizes["fresh"] = bytes_in(Path(fresh.root))
    for made in (later, fresh):
        shutil.rmtree(made.root)
    return sizes


def bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def timed(work: Callable[[], object]) -> Times:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def median(times: list[Times]) -> float:
    return statistics.median(processor for _, processor in times)


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


if __name__ == "__main__":
    main()
