"""Measures how well `internvid plan` predicts: a plan for ten times the videos, against ingesting them.

    python benchmarks/planner.py [--videos N] [--seconds S] [--times T] [--folder FOLDER]

Renders videos, ingests N of them in three commands of different sizes, has T times as many planned from that lake, and
ingests as many other ones into a new lake. Prints predicted and measured processor seconds by stage, bytes, and wall
seconds. Processor seconds are the honest comparison: those of the wall are right on a quiet machine only. Ends with an
error where processor seconds in all, or bytes in all, differ by more than the limit. FOLDER keeps videos and lakes;
what is there is not made a second time.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from internvid.synthetic.plans import Backdrop, Figure, Shot, VideoPlan
from internvid.synthetic.render import render
from resources.lake.store import Lake

COLOURS = ("white", "blue", "green", "yellow", "purple", "orange", "grey", "red")
FRAMES_PER_SECOND = 24
SECONDS_PER_SHOT = 2.5
COMMANDS = 3  # of different sizes, each with twice the videos of the one before
LIMIT = 0.20


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--videos", type=int, default=4)
    arguments.add_argument("--seconds", type=float, default=10, help="length of each video")
    arguments.add_argument("--times", type=int, default=10, help="how many times as many are predicted")
    arguments.add_argument("--folder", type=Path, help="keeps videos and lakes")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        measured(folder, given.videos, given.times, given.seconds)


def measured(folder: Path, videos: int, times: int, seconds: float) -> None:
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{videos} videos of {seconds:g} s, and {times} times as many\n", flush=True)
    small, large = folder / "small", folder / "large"
    for number in range(videos * (1 + times)):
        rendered(folder / "videos" / ("small" if number < videos else "large"), number, seconds)
    files = sorted((folder / "videos" / "small").glob("*.mp4"))
    for number in range(COMMANDS):
        ingested(files[: max(number + 1, videos >> (COMMANDS - 1 - number))], small, str(number))
    ingested([folder / "videos" / "large"], large, "all")
    hours = videos * times * seconds / 3600
    report(planned(small, videos * times, hours), large)


def rendered(folder: Path, number: int, seconds: float) -> None:
    """Renders a video into the folder, with still and moving backdrops in turn."""
    target = folder / f"{number:04d}.mp4"
    if target.exists():
        return
    shots = tuple(
        Shot(
            int(SECONDS_PER_SHOT * FRAMES_PER_SECOND),
            Backdrop(
                "flat" if (number + at) % 2 else "noise", COLOURS[(number + at) % len(COLOURS)], number * 100 + at
            ),
            (Figure("circle", "pink", "moving right"),),
        )
        for at in range(int(seconds / SECONDS_PER_SHOT))
    )
    plan = VideoPlan("planner", shots, width=320, height=180, fps=FRAMES_PER_SECOND, sound=False)
    render(plan, folder / f".{number}", seed=number).rename(target)


def ingested(locations: Sequence[Path], lake: Path, command: str) -> None:
    """Runs `internvid ingest`, and notes the seconds that it took."""
    note = lake.with_name(f"{lake.name}-{command}.json")
    if note.exists():
        return
    started = time.perf_counter()
    run("ingest", *map(str, locations), "--lake", str(lake))
    note.write_text(json.dumps(time.perf_counter() - started))


def planned(lake: Path, videos: int, hours: float) -> dict[str, Any]:
    return json.loads(run("plan", "--videos", str(videos), "--hours", str(hours), "--json", "--lake", str(lake)))


def run(*arguments: str) -> str:
    environment = {name: text for name, text in os.environ.items() if not name.startswith("INTERNVID_")}
    return subprocess.run(
        [str(Path(sys.executable).with_name("internvid")), *arguments],
        env=environment | {"INTERNVID_FIRST_MODEL": ""},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout


def report(plan: dict[str, Any], folder: Path) -> None:
    lake = Lake(root=str(folder))
    rows = lake.query(
        "select stage, sum(processor_seconds) as processor_seconds from costs where model = '' group by stage "
        "order by min(written_at), stage"
    ).to_pylist()
    took = {row["stage"]: row["processor_seconds"] for row in rows}
    predicted = {stage["stage"]: stage["processor_hours"] * 3600 for stage in plan["stages"] if stage["stage"] in took}
    print(f"{'processor seconds':<20}{'predicted':>12}{'measured':>12}{'ratio':>8}")
    for stage, seconds in took.items():
        line(stage, predicted.get(stage), seconds)
    ratios = [line("all", sum(predicted.values()), sum(took.values()))]
    print(f"\n{'bytes':<20}{'predicted':>12}{'measured':>12}{'ratio':>8}")
    in_tables = {table["name"]: table["bytes"] for table in plan["storage"]["tables"] if table["bytes"]}
    sizes = {name: live_bytes(lake, name) for name in in_tables}
    for name, size in sizes.items():
        line(name, in_tables[name], size)
    ratios.append(line("all", sum(in_tables.values()), sum(sizes.values())))
    seconds = json.loads(folder.with_name(f"{folder.name}-all.json").read_text())
    print("\nseconds of the wall, to be believed on a quiet machine only")
    line("all", plan["wall_hours"] * 3600, seconds)
    if any(abs(ratio - 1) > LIMIT for ratio in ratios):
        sys.exit(f"a prediction in all differs by more than {LIMIT:.0%}")


def line(name: str, predicted: float | None, measured: float) -> float:
    ratio = (predicted or 0.0) / measured
    shown = "none" if predicted is None else f"{predicted:,.2f}" if measured < 1000 else f"{predicted:,.0f}"
    of_run = f"{measured:,.2f}" if measured < 1000 else f"{measured:,.0f}"
    print(f"{name:<20}{shown:>12}{of_run:>12}{ratio:>8.2f}")
    return ratio


def live_bytes(lake: Lake, table: str) -> int:
    from resources.corpus.estimate.storage import rows_and_bytes

    return sum(size for _, size in rows_and_bytes(lake, table))


if __name__ == "__main__":
    main()
