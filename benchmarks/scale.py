"""What a question or a small change costs in a lake of each size, and its growth per ten times the rows.

    python benchmarks/scale.py [--videos 100 1000] [--clips 20] [--frames 5] [--folder FOLDER] [--rows ROW …]

Lakes are made by benchmarks/generators/made_lake.py, in FOLDER where it is given and found there again, else in a
temporary one: in a second of the processor some 1,000 videos of 5 clips with 4 frames each, or 3,000 of 2 clips with 1.
Each row is measured in a process of its own, after the imports: seconds of the processor, and the process's peak of
memory. Ends with 1 where a row grows by more than 1.5 per ten times the videos, or takes 2 GB; what reads or writes
every clip may grow. Times below the floor count as the floor: they are noise.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

MAX_GROWTH, MAX_BYTES = 1.5, 2 << 30
FLOOR_SECONDS = 0.1
FIRST_BATCH, NEW_BATCH = "2026-01-01-000001", "2026-02-01-{:04d}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--videos", type=int, nargs="+", default=[100, 1_000])
    arguments.add_argument("--clips", default="20", help="of each video that a lake is made of; a new one has 20")
    arguments.add_argument("--frames", default="5", help="of each clip of these")
    arguments.add_argument("--folder", type=Path)
    arguments.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW", help="only these rows")
    arguments.add_argument("--measure", nargs=2, metavar=("ROW", "LAKE"), help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.measure:
        print(json.dumps(measured(*given.measure)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        sizes = sorted(given.videos)
        for videos in sizes:
            prepare(folder / f"lake_{videos}", videos, "--clips", given.clips, "--frames", given.frames)
        sys.exit(0 if compare(folder, sizes, given.rows) else 1)


def prepare(lake: Path, videos: int, *shape: str) -> None:
    if (lake / "made").exists():
        return
    generator = Path(__file__).parent / "generators" / "made_lake.py"
    subprocess.run([sys.executable, generator, lake, "--videos", str(videos), *shape], check=True)
    (lake / "made").touch()


def compare(folder: Path, sizes: list[int], rows: list[str]) -> bool:
    is_flat = True
    print(
        f"{'processor seconds':<34}"
        + "".join(f"{videos:>12,}" for videos in sizes)
        + f"{'x per ten':>12}{'peak MB':>10}"
    )
    for row in rows:
        results = []
        for videos in sizes:
            command = [sys.executable, __file__, "--measure", row, str(folder / f"lake_{videos}")]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{row} at {videos:,} videos: {done.stderr}")
            results.append(json.loads(done.stdout.splitlines()[-1]))
        seconds = [result["seconds"] for result in results]
        peak = max(result["peak_bytes"] for result in results)
        tens = math.log10(sizes[-1] / sizes[0])
        ratio = max(seconds[-1], FLOOR_SECONDS) / max(seconds[0], FLOOR_SECONDS)
        growth = ratio ** (1 / tens) if tens else 1.0
        fits = growth <= MAX_GROWTH and peak < MAX_BYTES
        is_flat &= fits or (row in WHOLE and peak < MAX_BYTES)
        mark = f"  {WHOLE[row]}" if row in WHOLE else "" if fits else "  too much"
        print(
            f"{row:<34}"
            + "".join(f"{value:>12.2f}" for value in seconds)
            + f"{growth:>12.2f}{peak / 2**20:>10,.0f}{mark}",
            flush=True,
        )
    return is_flat


def measured(row: str, lake: str) -> dict[str, float]:
    """Runs one row on the lake. Imports and the opening of the lake are not measured."""
    from orchestration.cli.session import Session
    from orchestration.settings import Settings

    session = Session(Settings(lake=lake))
    session.stages  # noqa: B018 - it imports them
    session.lake.query("select 1 as one", tables=[])
    run = ROWS[row](session)
    before = _processor_seconds()
    run()
    return {
        "seconds": _processor_seconds() - before,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


# --- rows: each prepares what it needs, and returns what is measured -------------------------------------------


def count_all(session) -> Callable[[], object]:
    from resources.incremental.batch_states import forget_batch_states

    forget_batch_states(session.lake)
    return session.counts


def status(session) -> Callable[[], object]:
    return session.counts


def idle_pass(session) -> Callable[[], object]:
    from orchestration.due import pending_batches

    def run() -> None:
        assert pending_batches(session.lake, session.stages, session.resources) == []

    return run


def one_new_video(session) -> Callable[[], object]:
    from generators import made_lake

    from orchestration.due import pending_batches
    from resources.incremental.declaration import configured_stages

    session.counts()
    number = session.lake.dataset("sources").count_rows()
    batch = NEW_BATCH.format(number % 10_000)
    stages = configured_stages(session.lake, session.stages, session.resources)

    def run() -> None:
        made_lake.register(session.lake, batch, range(number, number + 1))
        assert pending_batches(session.lake, session.stages, session.resources) == [batch]
        made_lake.run_stages(session.lake, stages, batch)
        assert pending_batches(session.lake, session.stages, session.resources) == []

    return run


def a_changed_batch(session) -> Callable[[], object]:
    from generators import made_lake

    from orchestration.due import pending_batches
    from resources.incremental.declaration import configured_stages

    session.counts()
    stages = configured_stages(session.lake, session.stages, session.resources)
    batch = FIRST_BATCH
    keys = session.lake.query(
        "select clip_id from clip_captions", tables=["clip_captions"], only={"ingest_batch": batch}
    )["clip_id"].to_pylist()

    def run() -> None:
        session.lake.delete("clip_captions", keys[:200])
        assert pending_batches(session.lake, session.stages, session.resources) == [batch]
        made_lake.run_stages(session.lake, stages, batch)
        assert pending_batches(session.lake, session.stages, session.resources) == []

    return run


def digest_all(session) -> Callable[[], object]:
    from resources.corpus.content import content
    from resources.lake.schema import pinned_tables

    return lambda: [content(session.lake, table) for table in pinned_tables()]


def is_current(session) -> Callable[[], object]:
    from resources.corpus import snapshots

    snapshots.take_snapshot(session.lake, run_id="scale")
    return lambda: snapshots.is_current(session.lake)


def snapshot_after_one_video(session) -> Callable[[], object]:
    from resources.corpus.snapshots import take_snapshot

    take_snapshot(session.lake, run_id="scale")
    one_new_video(session)()
    return lambda: take_snapshot(session.lake, run_id="scale")


def first_search_for_copies(session) -> Callable[[], object]:
    from resources.corpus.duplicates import MARK, compare_new_videos

    session.lake.delete("batch_states", [MARK])
    for table in ("comparisons", "copy_keys"):
        session.lake.delete_all(table)
    return lambda: compare_new_videos(session.lake, run_id="scale")


def copies_of_one_new_video(session) -> Callable[[], object]:
    from resources.corpus.duplicates import compare_new_videos

    compare_new_videos(session.lake, run_id="scale")
    session.lake.optimize()
    one_new_video(session)()

    def run() -> None:
        assert compare_new_videos(session.lake, run_id="scale").videos == 1

    return run


def why(session) -> Callable[[], object]:
    from resources.corpus.lineage import story

    clip = session.lake.query("select clip_id from clips limit 1", tables=["clips"])["clip_id"][0].as_py()
    return lambda: story(session.lake, session.stages, clip, None)


def registered_batches_tick(session) -> Callable[[], object]:
    from resources.lake.statements import statement

    sql = statement("catalog/registered_batches")
    parameters = {"since": datetime.now(UTC), "last": "", "batches": 200}
    return lambda: session.lake.query(sql, parameters, tables=["sources"])


def retry_tick(session) -> Callable[[], object]:
    from resources.lake.statements import statement

    sql = statement("incremental/batches_to_retry")
    return lambda: session.lake.query(sql, {"now": datetime.now(UTC), "batches": 200}, tables=["attempts"])


def forget_dry_run(session) -> Callable[[], object]:
    from orchestration.due import PUBLISHED
    from resources.corpus.forgetting.forgetting import names_of, own_files, survey, whole

    video = session.lake.query("select video_id from raw_videos limit 1", tables=["raw_videos"])["video_id"][0].as_py()

    def run() -> None:
        target = whole(session.lake, names_of(session.lake, video)[0])
        survey(session.lake, session.media, session.instance, target, PUBLISHED)
        own_files(session.lake, session.media, target)

    return run


def select_a_subset(session) -> Callable[[], object]:
    from resources.corpus.subsets import connected, select_subset, split_sizes, waterfall

    subset, values = session.resources["subset_files"].named("flt"), {"score": "aesthetics"}

    def run() -> None:
        with connected(session.lake, subset, at=None) as connection:
            clips = waterfall(connection, subset, values, examples=0)[-1].left
            split_sizes(connection, subset, values)
            assert sum(batch.num_rows for batch in select_subset(connection, subset, values)) == clips

    return run


def first_statistics(session) -> Callable[[], object]:
    from resources.corpus.snapshots import take_snapshot
    from resources.corpus.statistics import build_mart

    snapshot, _, _ = take_snapshot(session.lake, run_id="scale")
    folder = tempfile.TemporaryDirectory()
    return lambda: build_mart(session.lake, snapshot, Path(folder.name, "statistics.duckdb"))


def statistics_after_one_video(session) -> Callable[[], object]:
    from resources.corpus.snapshots import take_snapshot
    from resources.corpus.statistics import build_mart

    folder = tempfile.TemporaryDirectory()
    earlier = Path(folder.name, "earlier.duckdb")
    build_mart(session.lake, take_snapshot(session.lake, run_id="scale")[0], earlier)
    one_new_video(session)()
    snapshot, _, _ = take_snapshot(session.lake, run_id="scale")

    def run() -> None:
        computed_wholly: list[str] = []
        later = Path(folder.name, "later.duckdb")
        build_mart(session.lake, snapshot, later, earlier=earlier, log=computed_wholly.append)
        assert not computed_wholly

    return run


def first_export(session) -> Callable[[], object]:
    from resources.corpus.published_export import INTERNVID_JSONL, publish_export
    from resources.corpus.snapshots import take_snapshot
    from resources.lake.published_files import withdraw

    snapshot, _, _ = take_snapshot(session.lake, run_id="scale")
    withdraw(session.lake, INTERNVID_JSONL)
    return lambda: publish_export(session.lake, snapshot)


def export_after_one_video(session) -> Callable[[], object]:
    from resources.corpus.published_export import publish_export
    from resources.corpus.snapshots import take_snapshot

    publish_export(session.lake, take_snapshot(session.lake, run_id="scale")[0])
    one_new_video(session)()
    snapshot, _, _ = take_snapshot(session.lake, run_id="scale")

    def run() -> None:
        publication = publish_export(session.lake, snapshot)
        assert (publication.written, publication.whole_because) == (1, None)

    return run


def export_to_a_file(session) -> Callable[[], object]:
    from resources.corpus.exports.jsonl import export

    folder = tempfile.TemporaryDirectory()
    return lambda: export(session.lake, Path(folder.name, "internvid.jsonl"))


ROWS: dict[str, Callable] = {
    "count the whole lake": count_all,
    "status": status,
    "a pass with nothing to do": idle_pass,
    "one new video, all stages": one_new_video,
    "a changed batch": a_changed_batch,
    "digest the whole lake": digest_all,
    "is the snapshot current": is_current,
    "a snapshot after one new video": snapshot_after_one_video,
    "the first search for copies": first_search_for_copies,
    "copies of one new video": copies_of_one_new_video,
    "why": why,
    "tick: registered batches": registered_batches_tick,
    "tick: retries": retry_tick,
    "forget --dry-run": forget_dry_run,
    "select a subset": select_a_subset,
    "the first statistics": first_statistics,
    "statistics after one new video": statistics_after_one_video,
    "the first export": first_export,
    "export after one new video": export_after_one_video,
    "export to one file": export_to_a_file,
}
# What reads every clip, and why it may: the others must not grow.
WHOLE = {
    "count the whole lake": "once in a lake",
    "digest the whole lake": "once in a lake",
    "the first search for copies": "once in a lake",
    "select a subset": "reads every clip",
    "the first statistics": "once in a lake",
    "the first export": "once in a lake",
    "export to one file": "writes every clip",
}


if __name__ == "__main__":
    main()
