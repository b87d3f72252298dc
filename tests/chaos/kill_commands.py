"""Kills commands at random moments: `PYTHONPATH=. python tests/chaos/kill_commands.py --kills 10`. Takes a quarter of
an hour on a machine that does nothing else.

A lake goes through all commands that write, once without a kill, and once with each command killed so many times
before it may end. The moments are spread over the time that a command takes once it has started, one in each equal
part of it. At the end the two must have the same rows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from internvid.synthetic.plans import Backdrop, Figure, Shot, VideoPlan
from internvid.synthetic.render import render
from resources.lake.schema import TABLES
from resources.lake.store import Lake

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-c", "from orchestration.cli.main import main; main()"]
OF_THE_RUN = {"run_id", "written_at", "first_seen_at", "ingest_batch", "partition", "made_at", "asked_at", "since"}
COMPARED = (
    *("sources", "raw_videos", "clips", "frames", "fingerprints", "frame_captions", "clip_captions", "attempts"),
    *("duplicates", "comparisons", "tombstones"),
)
COLOURS = ("white", "blue", "green", "yellow", "purple", "orange")


def commands(place: Path) -> list[tuple[str, ...]]:
    lake = ("--lake", str(place / "lake"))
    return [
        ("ingest", str(place.parent / "first"), *lake),
        ("subset", "make", "all", *lake),
        ("train", "viclip-tiny", "--subset", "all", *lake),
        ("export", str(place / "clips.jsonl"), *lake),
        ("snapshot", "tag", "kept", *lake),
        ("ingest", str(place.parent / "second"), *lake),
        ("forget", str(place.parent / "first" / "0.mp4"), "--yes", *lake),
        ("maintain", *lake),
        ("backup", str(place / "backup"), *lake),
        ("restore", str(place / "backup"), "--lake", str(place / "restored")),
    ]


def environment(place: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INTERNVID_", "DAGSTER_"))}
    temporary = place / "temporary"
    temporary.mkdir(parents=True, exist_ok=True)
    return kept | {
        "INTERNVID_WORKERS": "1",
        "INTERNVID_FIRST_MODEL": "",
        "INTERNVID_TRIAL_STEPS": "2",
        "TMPDIR": str(temporary),
        "PYTHONPATH": str(REPOSITORY),
    }


def run(command: tuple[str, ...], place: Path, seconds: float | None = None) -> int | None:
    """Runs the command; kills it after so many seconds, with or without its children. Returns None if it was killed."""
    with (place / "log").open("a") as log:
        log.write(f"\n$ {' '.join(command)} ({seconds})\n")
        log.flush()
        process = subprocess.Popen(
            [*COMMAND, *command], env=environment(place), stdout=log, stderr=log, start_new_session=True
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            if int(seconds * 1000) % 2:  # the children notice it by themselves
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return None


def rows(lake: Lake) -> dict[str, dict[str, Any]]:
    """Table -> key -> row, without what differs between two runs."""
    content = {}
    for name in COMPARED:
        columns = [column for column in TABLES[name].column_names if column not in OF_THE_RUN]
        of_table = lake.polars(name, columns=columns).to_dicts()
        content[name] = {row[TABLES[name].key]: row for row in of_table}
        assert len(content[name]) == len(of_table), f"a row of {name} is there twice"
    content["subsets"] = {row["clip_id"]: (row["subset"], row["weight"]) for row in lake.polars("subsets").to_dicts()}
    tags = lake.dataset("raw_videos").tags.list()  # a forgotten video is in no snapshot, and in no pin of one
    pinned = {video for tag in tags for video in lake.polars("raw_videos", at=tag, columns=["video_id"])["video_id"]}
    content["videos in snapshots"] = dict.fromkeys(sorted(pinned), "held")
    content["checkpoints"] = dict(enumerate(sorted(lake.polars("checkpoints")["model"].to_list())))
    return content


def without_place(content: dict[str, dict[str, Any]], place: Path) -> Any:
    return json.loads(json.dumps(content, default=str, sort_keys=True).replace(str(place), "PLACE"))


def videos(folder: Path, numbers: range) -> None:
    folder.mkdir()
    for number in numbers:
        shots = (
            Shot(15, Backdrop("flat", COLOURS[number]), (Figure("circle", "pink", "moving right"),)),
            Shot(15, Backdrop("noise", "grey", number)),
        )
        plan = VideoPlan("synthetic_video", shots, width=160, height=120, fps=10, sound=False)
        render(plan, folder / ".rendering", seed=number).rename(folder / f"{number}.mp4")
        shutil.rmtree(folder / ".rendering")


def differences(left: Any, right: Any) -> Iterator[str]:
    for name in left:
        if left[name] != right[name]:
            keys = sorted(key for key in left[name] | right[name] if left[name].get(key) != right[name].get(key))
            yield f"{name}: {len(keys)} rows differ, such as {left[name].get(keys[0])} and {right[name].get(keys[0])}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10, help="of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="the commands to kill, such as train; the others run once")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    videos(folder / "first", range(4))
    videos(folder / "second", range(4, 6))
    unbroken, killed = folder / "unbroken", folder / "killed"
    kills = ended = 0
    for place in (unbroken, killed):
        place.mkdir()
    seconds = []
    for command in commands(unbroken):
        started = time.monotonic()
        code = run(command, unbroken)
        seconds.append(time.monotonic() - started)
        print(f"{seconds[-1]:6.1f} s  {' '.join(command[:2])}: {code}", flush=True)
        assert code == 0, (unbroken / "log").read_text()[-3000:]
    started = time.monotonic()
    run(("status", "--lake", str(unbroken / "lake")), unbroken)
    starting = 0.7 * (time.monotonic() - started)  # every command imports as much, and opens the lake
    for command, duration in zip(commands(killed), seconds, strict=True):
        done = 0
        wanted = arguments.kills if command[0] in (arguments.only or [command[0]]) else 0
        for number in range(wanted):
            started = time.monotonic()
            share = (number + chance.uniform(0.05, 0.95)) / wanted
            code = run(command, killed, starting + share * max(0.2, duration - starting))
            if code is not None:  # less was left to do than in the unbroken lake
                done += 1
                duration = min(duration, time.monotonic() - started)
                starting = min(starting, 0.6 * duration)
            kills += code is None
            if command[0] == "restore" and code == 0:
                shutil.rmtree(killed / "restored")
        code = run(command, killed)
        # A restore or a forget that had ended when it was killed is done already.
        said = (killed / "log").read_text()[-400:]
        is_done = command[0] == "restore" and "there is a lake" in said
        assert code == 0 or is_done, f"{command}: {code}: {(killed / 'log').read_text()[-3000:]}"
        ended += done
        print(f"{' '.join(command[:2])}: {wanted - done} kills, then {code}", flush=True)
    print(f"{kills} kills, {ended} runs that ended before")
    whole = {place: without_place(rows(Lake(root=str(place / "lake"))), place) for place in (unbroken, killed)}
    wrong = list(differences(whole[unbroken], whole[killed]))
    for place in (unbroken, killed):
        restored = without_place(rows(Lake(root=str(place / "restored"))), place)
        wrong += [f"restored: {line}" for line in differences(whole[place], restored)]
    lines = [(place / "clips.jsonl").read_text().splitlines() for place in (unbroken, killed)]
    if [len(each) for each in lines] != [len(lines[0])] * 2:
        wrong.append("the exports differ")
    left = [path.name for path in (killed / "temporary").iterdir() if not path.name.startswith("pymp-")]
    print(f"left in the folder for temporary files: {left}")
    for line in wrong:
        print(f"DIFFERENT {line[:2000]}")
    if not wrong:
        print(f"the same rows: { {name: len(content) for name, content in whole[killed].items()} }")
        shutil.rmtree(folder)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
