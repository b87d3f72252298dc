"""What it costs to commit a batch of clips into a large table, against an empty one, in the same run.

    python benchmarks/commit_cost.py [--millions 10] [--rows 5000] [--commits 7] [--folder /tmp]

Fills the `clips` table of a lake in a temporary folder with generated rows and maintains it, then commits batches
through `Lake.upsert`: new clips, the same clips at another provenance, and again, when nothing is left to write.
"Empty" is a new lake for each batch. Everything is removed afterwards.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa

from resources.lake.schema import CLIPS
from resources.lake.store import Lake

CLIPS_PER_VIDEO = 33  # the paper: 234 million clips of 7.1 million videos
ROWS_PER_BATCH = 5000
FILL_ROWS = 100_000
GOAL = 3.0


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory(dir=arguments.folder, prefix="commit_cost-") as folder:
        large = Lake(root=f"{folder}/large")
        large.create_tables()
        rows = int(arguments.millions * 1_000_000)
        fill_seconds = _seconds(lambda: _fill(large, rows))
        maintain_seconds = _seconds(large.optimize)
        _print_setting(large, fill_seconds, maintain_seconds, Path(folder))
        _print_costs(large, Path(folder), rows, arguments.rows, arguments.commits)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, default=10.0, help="rows of the large table, millions")
    parser.add_argument("--rows", type=int, default=5000, help="rows of one commit")
    parser.add_argument("--commits", type=int, default=7, help="commits of each kind; the median is printed")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where to put the tables")
    return parser.parse_args()


def _fill(lake: Lake, rows: int) -> None:
    """Writes the rows as a stream: memory stays at a few batches."""
    batches = (_clips(first, min(FILL_ROWS, rows - first)) for first in range(0, rows, FILL_ROWS))
    reader = pa.RecordBatchReader.from_batches(CLIPS.arrow, _record_batches(batches))
    lance.write_dataset(reader, lake.uri("clips"), mode="append")


def _record_batches(tables: Iterator[pa.Table]) -> Iterator[pa.RecordBatch]:
    for table in tables:
        yield from table.to_batches()


def _clips(first: int, count: int, *, provenance: str = "1") -> pa.Table:
    """Clips number `first` and on: ids as the pipeline makes them, so those of a video stand together."""
    numbers = np.arange(first, first + count)
    videos = [hashlib.sha256(str(video).encode()).hexdigest()[:16] for video in numbers // CLIPS_PER_VIDEO]
    index = (numbers % CLIPS_PER_VIDEO).astype(np.int32)
    start_pts, end_pts = index.astype(np.int64) * 150_000, (index.astype(np.int64) + 1) * 150_000
    noise = np.random.default_rng(first).random((count, 8), dtype=np.float32)
    values = {
        "clip_id": [f"{video}_{a}_{b}" for video, a, b in zip(videos, start_pts, end_pts, strict=True)],
        "video_id": videos,
        "clip_index": index,
        "start_seconds": start_pts / 30_000,
        "end_seconds": end_pts / 30_000,
        "start_pts": start_pts,
        "end_pts": end_pts,
        "time_base_numerator": np.full(count, 1, np.int32),
        "time_base_denominator": np.full(count, 30_000, np.int32),
        "start_frame": start_pts // 1001,
        "end_frame": end_pts // 1001,
        "boundary": ["start" if number == 0 else "cut" for number in index],
        "flags": [[]] * count,
        "decode_errors": np.zeros(count, np.int32),
        "ingest_batch": [f"2026-01-01-{number // ROWS_PER_BATCH:04d}" for number in numbers],
        "digest": [hashlib.md5(str(number).encode()).hexdigest() for number in numbers],
        "provenance": [hashlib.md5(f"{video}{provenance}".encode()).hexdigest() for video in videos],
        "unit_rows": np.full(count, CLIPS_PER_VIDEO, np.int32),
        "version": ["content-cuts+27"] * count,
        "run_id": ["0d1f6c2e-5b8e-4a0e-9b67-2f3f5d8f7a11"] * count,
        "written_at": [datetime(2026, 1, 1, tzinfo=UTC)] * count,
    }
    measures = [field.name for field in CLIPS.arrow if field.type == pa.float32()]
    values |= {name: noise[:, number % 8] for number, name in enumerate(measures)}
    return pa.table([pa.array(values[field.name], field.type) for field in CLIPS.arrow], schema=CLIPS.arrow)


def _print_setting(lake: Lake, fill_seconds: float, maintain_seconds: float, folder: Path) -> None:
    dataset = lake.dataset("clips")
    gigabytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9
    packages = ", ".join(f"{name} {version(name)}" for name in ("pylance", "pyarrow"))
    print(f"machine: {_processor()}, {platform.system()} {platform.release()}, Python {platform.python_version()}")
    print(f"packages: {packages}")
    print(
        f"large table: {dataset.count_rows():,} clips in {len(dataset.get_fragments())} fragments, {gigabytes:.1f} GB; "
        f"filled in {fill_seconds:.0f} s, maintained in {maintain_seconds:.0f} s"
    )


def _print_costs(large: Lake, folder: Path, rows: int, per_commit: int, commits: int) -> None:
    empty_times: dict[str, list[float]] = {}
    large_times: dict[str, list[float]] = {}
    for number in range(commits):
        first = rows + number * per_commit
        empty = Lake(root=f"{folder}/empty-{number}")
        empty.create_tables()
        new, changed = _clips(first, per_commit), _clips(first, per_commit, provenance="2")
        for kind, batch in (("new rows", new), ("the same, changed", changed), ("the same, unchanged", changed)):
            empty_times.setdefault(kind, []).append(_seconds(partial(empty.upsert, "clips", batch)))
            large_times.setdefault(kind, []).append(_seconds(partial(large.upsert, "clips", batch)))
    print(f"one upsert of {per_commit:,} rows, seconds, median (least to most) of {commits}:")
    print(f"{'':22}{'empty table':>24}{'large table':>24}{'ratio':>8}")
    for kind, small in empty_times.items():
        ratio = statistics.median(large_times[kind]) / statistics.median(small)
        verdict = "" if ratio <= GOAL else f"  above the goal of {GOAL}"
        print(f"{kind:22}{_spread(small):>24}{_spread(large_times[kind]):>24}{ratio:8.1f}{verdict}")


def _spread(times: list[float]) -> str:
    return f"{statistics.median(times):.3f} ({min(times):.3f} to {max(times):.3f})"


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{len(names)} x {names[0]}" if names else platform.processor()


if __name__ == "__main__":
    main()
