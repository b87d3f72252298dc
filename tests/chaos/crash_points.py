"""Ends commands before and after each kind of commit: `PYTHONPATH=.:tests python tests/chaos/crash_points.py`. Takes
half an hour.

A commit is one of a table (rows, a deletion, an index, a compaction, a tag), or a file that appears under its name. Its
kind is what is done to which table or file. A command is run until it ends by itself; each run ends, like a killed one,
at the first moment before or after a commit of a kind at which none ended yet. At the end the lake must have the same
rows as one through which the commands went without an end before their time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from commit_points import at_commits
from kill_commands import REPOSITORY, commands, differences, environment, rows, run, videos, without_place

from resources.lake.store import Lake

KILLED = 137
MAX_RUNS = 300  # of a command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--without", nargs="*", default=[], help="commands that are left out, such as train")
    parser.add_argument("--only", nargs="*", help="the commands to end, such as maintain; the others run once")
    arguments = parser.parse_args()
    left_out = arguments.without
    folder = Path(tempfile.mkdtemp(prefix="crashes-"))
    videos(folder / "first", range(2))
    videos(folder / "second", range(4, 5))
    unbroken, crashed = folder / "unbroken", folder / "crashed"
    for place in (unbroken, crashed):
        place.mkdir()
    for command in wanted(unbroken, left_out):
        assert run(command, unbroken) == 0, (unbroken / "log").read_text()[-3000:]
    seen = crashed / "seen"
    seen.touch()
    for command in wanted(crashed, left_out):
        if command[0] not in (arguments.only or [command[0]]):
            assert run(command, crashed) == 0, (crashed / "log").read_text()[-3000:]
            continue
        points = len(seen.read_text().splitlines())
        for _ in range(MAX_RUNS):
            if (code := run_to_next_point(command, crashed, seen)) != KILLED:
                break
        said = (crashed / "log").read_text()[-3000:]
        # A restore or a forget that had ended when it was killed is done already.
        assert code == 0 or (command[0] == "restore" and "there is a lake" in said), f"{command}: {code}: {said}"
        ended = len(seen.read_text().splitlines()) - points
        print(f"{' '.join(command[:2])}: ended {ended} times, then {code}", flush=True)
    points = seen.read_text().splitlines()
    print(f"{len(points)} moments: {'; '.join(points)}")
    whole = {place: without_place(rows(Lake(root=str(place / "lake"))), place) for place in (unbroken, crashed)}
    wrong = list(differences(whole[unbroken], whole[crashed]))
    if "restore" not in left_out:
        restored = without_place(rows(Lake(root=str(crashed / "restored"))), crashed)
        wrong += [f"restored: {line}" for line in differences(whole[crashed], restored)]
    for line in wrong:
        print(f"DIFFERENT {line[:2000]}")
    if not wrong:
        print(f"the same rows: { {name: len(content) for name, content in whole[crashed].items()} }")
        shutil.rmtree(folder)
    sys.exit(bool(wrong))


def wanted(place: Path, left_out: list[str]) -> list[tuple[str, ...]]:
    return [command for command in commands(place) if command[0] not in left_out]


def run_to_next_point(command: tuple[str, ...], place: Path, seen: Path) -> int:
    """Runs the command up to the next moment that is not seen yet; returns its exit code."""
    with (place / "log").open("a") as log:
        log.write(f"\n$ {' '.join(command)}\n")
        log.flush()
        arguments = [sys.executable, __file__, "--child", str(seen), *command]
        paths = os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "tests", Path(__file__).parent)))
        return subprocess.run(
            arguments, env=environment(place) | {"PYTHONPATH": paths}, stdout=log, stderr=log, check=False
        ).returncode


# --- in the process of the command ----------------------------------------------------------------------------------


def child(seen: Path, command: list[str]) -> None:
    """Runs the command in this process, and ends it at the first moment that is not seen yet."""
    from orchestration.cli.main import main as internvid

    sys.argv[1:] = command
    with at_commits(lambda point: end_at(point, seen)):
        internvid()


def end_at(point: str, seen: Path) -> None:
    if point in seen.read_text().splitlines():
        return
    with seen.open("a") as file:
        file.write(f"{point}\n")
    os._exit(KILLED)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), sys.argv[3:])
    else:
        main()
