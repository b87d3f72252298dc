"""How long each statistic takes over a lake of ten million clips, on two threads and 4 GB.

    python benchmarks/statistics_speed.py [--clips 10000000] [--folder FOLDER]

The rows are made by SQL, straight into the tables that the statistics read: 20 clips a video, each with a caption, its
nouns and verbs (of some 160,000 different words, as often as words of a language are) and a score, and a third of them
with speech in one of four languages. First the totals are computed from the whole lake, which happens once; then those
after one more batch, as each publication does; then each statistic of sql/statistics/ from the totals, the median of
three.
Ends with 1 where a statistic takes more than three seconds.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from generators.appended_rows import CLIP, CLIPS_PER_VIDEO, VIDEO, append

MAX_SECONDS = 3.0

# Each table's rows of the videos from $first to before $end. A word's number is log-uniform, as by Zipf's law.
_WORD = "floor(exp(random() * 12))::bigint"
ROWS = {
    "sources": f"""select 's' || video as source_id, 'file' as kind, ingest_batch,
        timestamptz '2026-01-01' + to_days((video // 1000 % 365)::integer) as first_seen_at from ({VIDEO})""",
    "downloads": f"""select 's' || video as source_id, ['Gaming', 'Music', 'Sports'][1 + video % 3:1 + video % 3]
        as categories, ingest_batch from ({VIDEO})""",
    "raw_videos": f"""select 'v' || video as video_id, 's' || video as source_id, ingest_batch, 'h264' as video_codec,
        1280 as width, 720 as height, 200.0 as duration_seconds from ({VIDEO})""",
    "clips": f"""select 'c' || clip as clip_id, 'v' || video as video_id, ingest_batch, place * 10.0 as start_seconds,
        place * 10 + 1 + 15 * random() as end_seconds, 'cut' as boundary, 30.0 as cut_score, random() as motion,
        case when random() < 0.1 then ['still'] else [] end as flags, random() - 0.5 as pan_x, 0.0 as pan_y,
        0.0 as zoom, random() as stillness, random() as moving_share from ({CLIP})""",
    "clip_captions": f"""select 'c' || clip as clip_id, 'v' || video as video_id, ingest_batch, 'made' as model,
        (8 + 20 * random())::integer as word_count,
        list_distinct([{", ".join(f"'n' || {_WORD}" for _ in range(4))}]) as nouns,
        list_distinct([{", ".join(f"'v' || {_WORD}" for _ in range(2))}]) as verbs,
        concat_ws(' ', 'A man', {", ".join(f"'n' || {_WORD}" for _ in range(4))}, 'and a young woman',
            {", ".join(f"'v' || {_WORD}" for _ in range(2))}) || '.' as caption from ({CLIP})""",
    "transcripts": f"""select 'c' || clip as clip_id, 'v' || video as video_id, ingest_batch,
        ['en', 'zh', 'ko', 'de'][1 + video % 4] as language, concat_ws(' ', {", ".join(["'t' || " + _WORD] * 8)})
        as text from ({CLIP}) where clip % 3 = 0""",
    "clip_scores": f"""select 'c' || clip || '/a' as score_id, 'c' || clip as clip_id, 'v' || video as video_id,
        ingest_batch, 'aesthetics' as score, 'made' as model, 10 * random() as value from ({CLIP})""",
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--clips", type=int, default=10_000_000)
    arguments.add_argument("--folder", type=Path, help="where the lake is kept, and found again")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(0 if measure((given.folder or Path(temporary)) / f"lake_{given.clips}", given.clips) else 1)


def measure(root: Path, clips: int) -> bool:
    from resources.corpus.totals import totals_at
    from resources.lake.statements import statement, statements_in
    from resources.lake.store import Lake, tables_in

    lake = Lake(root=str(root))
    videos = clips // CLIPS_PER_VIDEO
    if not (root / "made").exists():
        lake.create_tables()
        started = time.monotonic()
        append(lake, ROWS, 0, videos)
        for table in ROWS:
            lake.index_new_rows(table)
        (root / "made").touch()
        print(f"{clips:,} clips made in {time.monotonic() - started:.0f} s", flush=True)
    tag = f"before-{time.time_ns()}"
    lake.tag(tag)
    started = time.monotonic()
    totals, _ = totals_at(lake, tag, None)
    print(f"totals from the whole lake: {time.monotonic() - started:.1f} s", flush=True)
    number = lake.dataset("sources").count_rows()
    append(lake, ROWS, number, number + 100)
    tag = f"after-{time.time_ns()}"
    lake.tag(tag)
    started = time.monotonic()
    totals, reasons = totals_at(lake, tag, totals)
    print(f"totals after one more batch: {time.monotonic() - started:.1f} s", *reasons, flush=True)

    names = [file.stem for file in statements_in("statistics")]
    named = dict.fromkeys(table for name in names for table in tables_in(statement(f"statistics/{name}")))
    slow = False
    with lake.connect(named, at=tag, memory_limit="4GB") as connection:
        connection.execute("set threads = 2")
        for name, rows in totals.rows.items():
            connection.register(name, rows)
        for name in names:
            seconds = []
            for _ in range(3):
                started = time.monotonic()
                connection.sql(statement(f"statistics/{name}")).to_arrow_table()
                seconds.append(time.monotonic() - started)
            median = statistics.median(seconds)
            slow |= median > MAX_SECONDS
            print(f"{name:<34}{median:>8.2f} s{'  too slow' if median > MAX_SECONDS else ''}", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"rows of totals: {sum(len(rows) for rows in totals.rows.values()):,}; peak of this process {peak:.1f} GB")
    return not slow


if __name__ == "__main__":
    main()
