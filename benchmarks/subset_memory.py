"""What selecting a subset takes at forty million clips: memory, seconds of the processor, and whether it is right.

    python benchmarks/subset_memory.py [--clips 1000000] [--drawn 100000] [--subsets div …] [--folder FOLDER]

A lake is made by SQL, with narrow rows of what subsets read: 20 clips a video, of which 1 to 20 have a caption, each
with two scores of which one in thirty is missing. Then `internvid subset make NAME --set clips=DRAWN` runs as a user
runs it, in a process of its own: it pins a snapshot, judges every clip, draws, and writes the rows. Up to a million
clips, the rows are compared with those of the exact algorithm, written in Python from the definitions, all clips in
memory. Ends with 1 where a process takes 4 GB, or where a clip or its side of the split is another.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from generators.appended_rows import CLIP, CLIPS_PER_VIDEO, VIDEO, append

MAX_BYTES = 4 << 30
MAX_CLIPS_TO_COMPARE = 1_000_000
SEED, TEST_SHARE, VALIDATION_SHARE = 42, 0.1, 0.1
FLT_SCORE = "video_text_similarity"
FLT_SHARE, FLT_MIN_SECONDS, FLT_MAX_SECONDS, AES_THRESHOLD = 0.3, 1, 120, 4

_IDS = "'c' || clip as clip_id, md5('v' || video)[:16] as video_id, ingest_batch"
_DIGEST = "md5(clip::varchar) as digest"
_CAPTIONED = "where place <= hash(video) % 20"
ROWS = {
    "raw_videos": f"select md5('v' || video)[:16] as video_id, ingest_batch, 'h264' as video_codec from ({VIDEO})",
    "clips": f"""select {_IDS}, {_DIGEST}, place * 150.0 as start_seconds,
        place * 150 + 0.5 + hash(clip) % 1300 / 10 as end_seconds from ({CLIP})""",
    "frames": f"select {_IDS}, {_DIGEST}, 'c' || clip || '_0' as frame_id from ({CLIP})",
    "clip_captions": f"""select {_IDS}, {_DIGEST}, 'a dog runs' as caption, 3 as word_count
        from ({CLIP}) {_CAPTIONED}""",
    "clip_scores": " union all ".join(
        f"""select {_IDS}, 'c' || clip || '/{score}' as score_id, '{score}' as score,
        case when hash(clip, '{score}') % 30 > 0 then hash(clip, 1, '{score}') % 1000000 / 100000 end as value,
        'too dark' as reason from ({CLIP})"""
        for score in ("aesthetics", "video_text_similarity")
    ),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--clips", type=int, default=1_000_000)
    arguments.add_argument("--drawn", type=int, default=100_000)
    arguments.add_argument("--subsets", nargs="+", choices=EXACT, default=list(EXACT))
    arguments.add_argument("--folder", type=Path, help="where the lake is kept, and found again")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = (given.folder or Path(temporary)) / f"subsets_{given.clips}"
        prepare(root, given.clips)
        fits = [measured(root, subset, given.clips, given.drawn) for subset in given.subsets]
    sys.exit(0 if all(fits) else 1)


def prepare(root: Path, clips: int) -> None:
    from resources.lake.store import Lake

    if (root / "made").exists():
        return
    lake = Lake(root=str(root))
    lake.create_tables()
    started = time.process_time()
    append(lake, ROWS, 0, clips // CLIPS_PER_VIDEO)
    (root / "made").touch()
    size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    print(f"{clips:,} clips, {size / 1e9:.1f} GB, made in {time.process_time() - started:.0f} s of the processor")


def measured(root: Path, subset: str, clips: int, drawn: int) -> bool:
    command = [Path(sys.executable).with_name("internvid"), "subset", "make", subset, "--set", f"clips={drawn}"]
    command += ["--lake", root]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = process.stdout.read().strip().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{subset} failed: {lines}")
    peak = usage.ru_maxrss * 1024  # of the largest process that took part
    seconds = usage.ru_utime + usage.ru_stime
    print(f"{subset:<14}{seconds:>8.0f} s of the processor{peak / 2**30:>8.2f} GB at most   {lines[-1]}", flush=True)
    if clips > MAX_CLIPS_TO_COMPARE:
        return peak < MAX_BYTES
    differences = compare(root, subset, drawn)
    print(f"    rows that the exact algorithm has not, or has otherwise: {differences:,}", flush=True)
    return peak < MAX_BYTES and not differences


# --- the exact algorithm, as the paper and the subsets' files define it -------------------------------------------


def compare(root: Path, subset: str, drawn: int) -> int:
    """Returns the number of clips that are in one of both selections only, or on another side, or weigh otherwise."""
    from resources.lake.store import Lake

    lake = Lake(root=str(root))
    captioned = lake.dataset("clip_captions").to_table(columns=["clip_id", "video_id"]).to_pylist()
    seconds = {
        row["clip_id"]: row["end_seconds"] - row["start_seconds"]
        for row in lake.dataset("clips").to_table(columns=["clip_id", "start_seconds", "end_seconds"]).to_pylist()
    }
    rows = lake.dataset("clip_scores").to_table(columns=["clip_id", "score", "value"]).to_pylist()
    scores = {(row["clip_id"], row["score"]): row["value"] for row in rows if row["value"] is not None}
    videos = {row["clip_id"]: row["video_id"] for row in captioned}
    weights = EXACT[subset](videos, seconds, scores)
    waits = {clip_id: -math.log(uniform("draw", clip_id)) / weight for clip_id, weight in weights.items()}
    first = sorted(waits, key=lambda clip_id: (waits[clip_id], clip_id))[:drawn]
    expected = {(clip_id, side(videos[clip_id]), round(weights[clip_id], 9)) for clip_id in first}
    made = lake.query("select clip_id, split, weight from subsets where subset = $name", {"name": subset})
    selected = {(row["clip_id"], row["split"], round(row["weight"], 9)) for row in made.to_pylist()}
    return len(expected ^ selected)


def div(videos: dict[str, str], seconds: dict[str, float], scores: dict[tuple[str, str], float]) -> dict[str, float]:
    counts = Counter(videos.values())
    return {clip_id: 1 / counts[video_id] for clip_id, video_id in videos.items()}


def flt(videos: dict[str, str], seconds: dict[str, float], scores: dict[tuple[str, str], float]) -> dict[str, float]:
    weights = div(videos, seconds, scores)
    return {clip_id: weights[clip_id] for clip_id in highest(videos, scores)}


def flt_clipscore(
    videos: dict[str, str], seconds: dict[str, float], scores: dict[tuple[str, str], float]
) -> dict[str, float]:
    fitting = {
        clip_id: video_id
        for clip_id, video_id in videos.items()
        if FLT_MIN_SECONDS <= seconds[clip_id] <= FLT_MAX_SECONDS
    }
    return div({clip_id: videos[clip_id] for clip_id in highest(fitting, scores)}, seconds, scores)


def highest(videos: dict[str, str], scores: dict[tuple[str, str], float]) -> list[str]:
    """Returns those of the scored clips whose score is among the highest FLT_SHARE, with all that equal the last."""
    scored = {clip_id: value for clip_id in videos if (value := scores.get((clip_id, FLT_SCORE))) is not None}
    last = sorted(scored.values(), reverse=True)[math.ceil(round(FLT_SHARE * len(scored), 6)) - 1]
    return [clip_id for clip_id, value in scored.items() if value >= last]


def random(videos: dict[str, str], seconds: dict[str, float], scores: dict[tuple[str, str], float]) -> dict[str, float]:
    return dict.fromkeys(videos, 1.0)


def aes(videos: dict[str, str], seconds: dict[str, float], scores: dict[tuple[str, str], float]) -> dict[str, float]:
    return {clip_id: 1.0 for clip_id in videos if scores.get((clip_id, "aesthetics"), 0) >= AES_THRESHOLD}


EXACT = {"div": div, "flt": flt, "flt_clipscore": flt_clipscore, "random": random, "aes": aes}


def uniform(purpose: str, name: str) -> float:
    bits = int(hashlib.md5(f"{purpose}/{SEED}/{name}".encode()).hexdigest()[:13], 16)
    return (bits + 0.5 * (purpose == "draw")) / (1 << 52)


def side(video_id: str) -> str:
    """Returns the side of a video among so many that no side is empty."""
    u = uniform("split", video_id)
    return "test" if u < TEST_SHARE else "validation" if u < TEST_SHARE + VALIDATION_SHARE else "train"


if __name__ == "__main__":
    main()
