"""Ends commands before and after each kind of commit: `PYTHONPATH=. python tests/chaos/crash_points.py`. Takes half an
hour.

A commit is one of a table (rows, a deletion, an index, a compaction, a tag), or a file that appears under its name. Its
kind is what is done to which table or file. A command is run until it ends by itself; each run ends, like a killed one,
at the first moment before or after a commit of a kind at which none ended yet. At the end the lake must have the same
rows as one through which the commands went without an end before their time.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from kill_commands import REPOSITORY, commands, differences, environment, rows, run, videos, without_place

from resources.lake.store import Lake

KILLED = 137
MAX_RUNS = 300  # of a command


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="crashes-"))
    videos(folder / "first", range(2))
    videos(folder / "second", range(4, 5))
    unbroken, crashed = folder / "unbroken", folder / "crashed"
    for place in (unbroken, crashed):
        place.mkdir()
    for command in commands(unbroken):
        assert run(command, unbroken) == 0, (unbroken / "log").read_text()[-3000:]
    seen = crashed / "seen"
    seen.touch()
    for command in commands(crashed):
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
    restored = without_place(rows(Lake(root=str(crashed / "restored"))), crashed)
    wrong += [f"restored: {line}" for line in differences(whole[crashed], restored)]
    for line in wrong:
        print(f"DIFFERENT {line[:2000]}")
    if not wrong:
        print(f"the same rows: { {name: len(content) for name, content in whole[crashed].items()} }")
        shutil.rmtree(folder)
    sys.exit(bool(wrong))


def run_to_next_point(command: tuple[str, ...], place: Path, seen: Path) -> int:
    """Runs the command up to the next moment that is not seen yet; returns its exit code."""
    with (place / "log").open("a") as log:
        log.write(f"\n$ {' '.join(command)}\n")
        log.flush()
        arguments = [sys.executable, __file__, "--child", str(seen), *command]
        paths = os.pathsep.join((str(REPOSITORY), str(Path(__file__).parent)))
        return subprocess.run(
            arguments, env=environment(place) | {"PYTHONPATH": paths}, stdout=log, stderr=log, check=False
        ).returncode


# --- in the process of the command ----------------------------------------------------------------------------------


def child(seen: Path, command: list[str]) -> None:
    """Runs the command in this process, and ends it at the first moment that is not seen yet."""
    at_points(lambda point: end_at(point, seen))
    from orchestration.cli.main import main as internvid

    sys.argv[1:] = command
    internvid()


def end_at(point: str, seen: Path) -> None:
    if point in seen.read_text().splitlines():
        return
    with seen.open("a") as file:
        file.write(f"{point}\n")
    os._exit(KILLED)


def at_points(reached: Callable[[str], None]) -> None:
    """Calls `reached` with the name of each moment before and after a commit, from now on."""
    from lance.dataset import DatasetOptimizer, LanceDataset, Tags

    from resources.lake.paths import StoragePath

    def around(owner: Any, method: str, name_of: Callable[..., str]) -> None:
        plain = getattr(owner, method)

        @wraps(plain)
        def watched(*arguments: Any, **options: Any) -> Any:
            name = f"{method} {name_of(*arguments, **options)}"
            reached(f"before {name}")
            result = plain(*arguments, **options)
            reached(f"after {name}")
            return result

        setattr(owner, method, watched)

    merge_insert = LanceDataset.merge_insert

    def watched_merge(dataset: Any, *arguments: Any, **options: Any) -> Any:
        return _Merge(merge_insert(dataset, *arguments, **options), _table(dataset), reached)

    LanceDataset.merge_insert = watched_merge
    for method in ("delete", "create_scalar_index", "create_index", "drop_index", "cleanup_old_versions"):
        around(LanceDataset, method, lambda dataset, *_, **__: _table(dataset))
    for method in ("compact_files", "optimize_indices"):
        around(DatasetOptimizer, method, lambda optimizer, **_: _table(optimizer._dataset))
    for method in ("create", "delete"):
        around(Tags, method, lambda *_, **__: "a tag")
    for method in ("take", "put", "put_folder", "remove"):
        around(StoragePath, method, lambda path, *_, **__: _kind(path.path))
    around(os, "replace", lambda _, target: _kind(str(target)))


class _Merge:
    """A builder of a merge, whose execution is a commit."""

    def __init__(self, builder: Any, table: str, reached: Callable[[str], None]) -> None:
        self._builder, self._table, self._reached = builder, table, reached
        self._does = ""

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._builder, name)

        def called(*arguments: Any, **options: Any) -> Any:
            if name == "execute":
                self._reached(f"before merge {self._table}{self._does}")
            result = method(*arguments, **options)
            if name == "execute":
                self._reached(f"after merge {self._table}{self._does}")
                return result
            if name == "when_matched_delete":
                self._does = " (deletion)"
            return self

        return called


def _table(dataset: Any) -> str:
    return dataset.uri.rstrip("/").rpartition("/")[2]


def _kind(path: str) -> str:
    """The file's name without what is different in each lake."""
    return re.sub(r"[0-9a-f]{8,}|\d+", "#", Path(path).name)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]), sys.argv[3:])
    else:
        main()
