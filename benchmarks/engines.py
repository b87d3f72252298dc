"""Measures what the engine `ray` costs on one machine, against the local engine.

    python benchmarks/engines.py [--videos N] [--seconds S]

Renders videos, and runs `internvid ingest` on them into a new lake with each engine: with a Ray that the run starts by
itself, in turn with the local one. Both compute the same rows on the same cores, so what Ray takes longer is its
overhead: starting it and its workers, and carrying units and rows. Prints wall seconds by stage, and processor seconds
of this run's processes, workers and decoding children as the ledger of costs has them.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from internvid.synthetic.plans import Backdrop, Figure, Shot, VideoPlan
from internvid.synthetic.render import render
from resources.lake.store import Lake

ENGINES = ("local", "ray")
FRAMES_PER_SECOND = 24
COLOURS = ("white", "blue", "green", "yellow", "purple", "orange", "grey", "red")
LIMIT = 0.15  # of overhead


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--videos", type=int, default=15)
    arguments.add_argument("--seconds", type=int, default=120, help="length of each video")
    arguments.add_argument("--runs", type=int, default=2, help="runs of each engine")
    given = arguments.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{given.videos} videos of {given.seconds} s, {given.runs} runs of each engine in turn, medians\n")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "videos").mkdir()
        for number in range(given.videos):
            rendered(folder / "videos" / str(number), number, given.seconds)
        totals: dict[str, list[float]] = {engine: [] for engine in ENGINES}
        stages: dict[str, list[dict[str, tuple[float, float]]]] = {engine: [] for engine in ENGINES}
        for number in range(given.runs):
            for engine in ENGINES:
                lake = Lake(root=str(folder / f"{engine}-{number}"))
                totals[engine].append(ingested(folder / "videos", lake, engine))
                stages[engine].append(costs(lake))
        report(totals, stages)


def rendered(folder: Path, number: int, seconds: int) -> None:
    """Renders a video into the folder, with shots of five seconds, still and moving in turn."""
    shots = tuple(
        Shot(
            5 * FRAMES_PER_SECOND,
            Backdrop(
                "flat" if (number + at) % 2 else "noise", COLOURS[(number + at) % len(COLOURS)], number * 100 + at
            ),
            (Figure("circle", "pink", "moving right"),),
        )
        for at in range(seconds // 5)
    )
    render(VideoPlan("engines", shots, width=640, height=360, fps=FRAMES_PER_SECOND, sound=False), folder, seed=number)


def ingested(videos: Path, lake: Lake, engine: str) -> float:
    """Runs the command; returns its seconds."""
    command = [Path(sys.executable).with_name("internvid"), "ingest", videos, "--lake", lake.root]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("INTERNVID_")}
    started = time.perf_counter()
    subprocess.run(
        command,
        env=environment | {"INTERNVID_ENGINE": engine, "INTERNVID_FIRST_MODEL": ""},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - started


def costs(lake: Lake) -> dict[str, tuple[float, float]]:
    """Returns wall and processor seconds by stage, as the ledger has them."""
    rows = lake.query(
        "select stage, sum(wall_seconds) as wall, sum(processor_seconds) as processor from costs where model = '' "
        "group by stage order by min(written_at), stage"
    ).to_pylist()
    return {row["stage"]: (row["wall"], row["processor"]) for row in rows}


def report(totals: dict[str, list[float]], stages: dict[str, list[dict[str, tuple[float, float]]]]) -> None:
    print(f"{'stage':<20}{'wall s':>10}{'ray':>8}{'':>7}{'processor s':>14}{'ray':>8}")
    sums = [0.0, 0.0]
    for stage in stages["local"][0]:
        local, ray = (
            [median(of_run[stage][kind] for of_run in stages[engine]) for kind in (0, 1)] for engine in ENGINES
        )
        sums = [sums[0] + local[1], sums[1] + ray[1]]
        print(f"{stage:<20}{local[0]:>10.2f}{ray[0]:>8.2f}{'':>7}{local[1]:>14.2f}{ray[1]:>8.2f}")
    local_seconds, ray_seconds = (median(totals[engine]) for engine in ENGINES)
    overhead = ray_seconds / local_seconds - 1
    print(f"{'the whole command':<20}{local_seconds:>10.2f}{ray_seconds:>8.2f}{overhead:>+7.0%}", end="")
    print(f"{sums[0]:>14.2f}{sums[1]:>8.2f}{sums[1] / sums[0] - 1:>+7.0%}")
    print(f"\nlimit of the overhead: {LIMIT:.0%}")
    if overhead > LIMIT:
        sys.exit("the engine ray costs more than that")


if __name__ == "__main__":
    main()
