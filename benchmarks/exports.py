"""What an export takes at two sizes of a lake: memory, seconds of the processor, bytes.

    python benchmarks/exports.py [--videos 2000 20000] [--forms jsonl hf] [--folder FOLDER]

The lakes are made by benchmarks/generators/made_lake.py: 20 clips a video. Their videos do not exist, so clips are left
in them (`--clips none`), and what is measured is all but the cutting: the order of the clips, rows, files, checksums,
manifest. Each is `internvid export`, as a user runs it, in a process of its own. `rows of the query` is the same order
of clips read to nothing, the least that any form takes. Ends with 1 where a process takes 2 GB.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from scale import prepare

MAX_BYTES = 2 << 30
QUERY = """
import sys
from collections import deque
from resources.corpus.exports.selection import Selection, selected_clips
from resources.lake.store import Lake
with selected_clips(Lake(root=sys.argv[1]), Selection(sys.argv[2])) as (count, rows):
    deque(rows, maxlen=0)
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--videos", type=int, nargs="+", default=[2_000, 20_000])
    arguments.add_argument("--forms", nargs="+", default=["jsonl", "hf"])
    arguments.add_argument("--folder", type=Path, help="where the lakes are kept, and found again")
    given = arguments.parse_args()
    print(f"{'':<20}{'clips':>12}{'processor s':>13}{'peak MB':>9}{'MB written':>12}")
    with tempfile.TemporaryDirectory() as temporary:
        fits = [
            measured(root, snapshot, name, Path(temporary, f"{videos}-{name}"))
            for videos in given.videos
            for root, snapshot in [made_lake((given.folder or Path(temporary)) / f"lake_{videos}", videos)]
            for name in ("rows of the query", *given.forms)
        ]
    sys.exit(0 if all(fits) else 1)


def made_lake(root: Path, videos: int) -> tuple[Path, str]:
    """Returns the lake, and a snapshot of it."""
    from resources.corpus.snapshots import take_snapshot
    from resources.lake.store import Lake

    prepare(root, videos)
    return root, take_snapshot(Lake(root=str(root)), run_id="exports")[0]


def measured(root: Path, snapshot: str, name: str, out: Path) -> bool:
    internvid = Path(sys.executable).parent / "internvid"
    command = [str(internvid), "export", str(out), "--form", name, "--clips", "none", "--at", snapshot]
    if name == "rows of the query":
        command = [sys.executable, "-c", QUERY, str(root), snapshot]
    process = subprocess.Popen(command, env={**os.environ, "INTERNVID_LAKE": str(root)}, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    from resources.lake.store import Lake

    clips = Lake(root=str(root)).dataset("clips").count_rows()
    written = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    peak = used.ru_maxrss * 1024
    seconds = used.ru_utime + used.ru_stime
    print(f"{name:<20}{clips:>12,}{seconds:>13,.1f}{peak / 1e6:>9,.0f}{written / 1e6:>12,.1f}", flush=True)
    return peak < MAX_BYTES


if __name__ == "__main__":
    main()
