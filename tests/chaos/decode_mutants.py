"""Decodes mutants as stages do, in confined children, and counts how each ends.

A mutant ends as done, or with an error that says why. Children that crash, hang or reach their limit of memory cost
their own file. What must not be: an error without a text, a process or a file that stays, memory above the limit.
Many of them: `PYTHONPATH=.:tests python tests/chaos/decode_mutants.py --number 10000`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mutants import Mutant, mutants, parents
from real_videos import REAL_VIDEOS

from internvid.video.settings import ScanSettings
from resources.media.store import Media, SpokenVideo
from resources.media.video_file import Heard, Scanned, ToScan

MEMORY_BYTES = 1 << 30
MAX_ODD_BYTES = 400_000  # of a file of the folder of odd videos that becomes a parent
PER_ROUND = 200  # mutants on the disk at once
MAX_MESSAGE = 100_000  # characters


@dataclass
class Outcome:
    """How the mutants ended. ends: by step and class. faults: what must not be. max_memory: of a child, in bytes."""

    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")
    max_memory: int = 0


def decode(seeds: Sequence[int], *, workers: int = 2) -> Outcome:
    """Decodes the mutants of these seeds; their files and the children's are in the folder for temporary files."""
    outcome = Outcome()
    media = Media(workers=workers, memory_bytes=MEMORY_BYTES, seconds_per_video_second=1.0)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, _watched(outcome):
        place = Path(folder)
        sources = [*parents(place / "parents") * 4, *_odd_videos()]  # the odd ones are broken enough already
        (place / "mutants").mkdir()
        before = _temporary()
        for start in range(0, len(seeds), PER_ROUND):
            part = list(mutants(sources, place / "mutants", seeds[start : start + PER_ROUND]))
            _decode(media, part, outcome)
            for mutant in part:
                mutant.path.unlink()
            if more := _temporary() - before:
                outcome.faults.append(f"files that stay: {sorted(more)}")
    if left := _children():
        outcome.faults.append(f"processes that stay: {left}")
    return outcome


def _odd_videos() -> list[Path]:
    folder = REAL_VIDEOS / "odd"
    return sorted(path for path in folder.glob("*") if 0 < path.stat().st_size < MAX_ODD_BYTES)


def _decode(media: Media, part: list[Mutant], outcome: Outcome) -> None:
    by_path = {str(mutant.path): mutant for mutant in part}
    readable = []
    for path, inspected in _timed(media.inspect(by_path), by_path, outcome):
        _note("inspect", by_path[path], inspected, outcome)
        if not isinstance(inspected, BaseException):
            readable.append((path, inspected.packets.duration_seconds))
    scans = [ToScan(path, min(seconds, 60.0)) for path, seconds in readable]
    for video, scanned in _timed(media.scan(scans, ScanSettings()), by_path, outcome, lambda video: video.path):
        _note("scan", by_path[video.path], scanned, outcome)
        if isinstance(scanned, Scanned):
            frames = sum(batch.num_rows for batch in scanned.frames())
            if frames != scanned.frame_count:
                outcome.faults.append(f"{by_path[video.path].made_by}: {frames} of {scanned.frame_count} frames")
            scanned.remove()
    spoken = [SpokenVideo(path, f"file://{path}", min(seconds, 60.0), ()) for path, seconds in readable]
    for video, subtitles in media.subtitles(spoken, ["manual"]):
        _note("subtitles", by_path[video.path], subtitles, outcome)
    for video, heard in media.listen(spoken, only_speech=True):
        _note("listen", by_path[video.path], heard, outcome)
        if isinstance(heard, Heard):
            heard.remove()


def _timed(
    results: Iterator[tuple[Any, Any]],
    by_path: dict[str, Mutant],
    outcome: Outcome,
    path_of: Callable[[Any], str] = lambda item: item,
) -> Iterator[tuple[Any, Any]]:
    started = time.monotonic()
    for item, result in results:
        outcome.slowest = max(outcome.slowest, (time.monotonic() - started, by_path[path_of(item)].made_by))
        yield item, result
        started = time.monotonic()


def _note(step: str, mutant: Mutant, result: Any, outcome: Outcome) -> None:
    if not isinstance(result, BaseException):
        outcome.ends[f"{step}: done"] += 1
        return
    name, text = type(result).__name__, str(result)
    outcome.ends[f"{step}: {name}"] += 1
    if not text.strip() or len(text) > MAX_MESSAGE:
        outcome.faults.append(f"{mutant.made_by}: {step}: {name} with a text of {len(text)} characters")
    if name in ("DecoderCrashed", "RaisedInChild", "SystemExit", "AssertionError", "TypeError", "KeyError"):
        outcome.ends[f"{step}: {name}: {text[:100]}"] += 1


class _watched:
    """Looks at the memory of this process's children ten times a second."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome, self.ended = outcome, threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *error: object) -> None:
        self.ended.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.ended.wait(0.1):
            for pid in _children():
                try:
                    status = Path(f"/proc/{pid}/status").read_text()
                except (FileNotFoundError, ProcessLookupError):
                    continue
                lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
                anonymous = int(lines.get("RssAnon", "0 kB").split()[0]) << 10
                self.outcome.max_memory = max(self.outcome.max_memory, anonymous)


def _children() -> list[int]:
    """Returns the processes that were forked from the server of this process; the server itself stays."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, rest = stat.read_text().split(" ", 1)
        except (FileNotFoundError, ProcessLookupError):
            continue
        state, parent = rest.rsplit(")", 1)[1].split()[:2]
        if state not in "ZX":
            parents[int(pid)] = int(parent)
    own = {pid for pid, parent in parents.items() if parent == os.getpid()}
    return sorted(pid for pid, parent in parents.items() if parent in own)


def _temporary() -> set[str]:
    return {name for name in os.listdir(tempfile.gettempdir()) if not name.startswith("pymp-")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=300)
    parser.add_argument("--first", type=int, default=0, help="seed of the first mutant")
    arguments = parser.parse_args()
    started = time.monotonic()
    outcome = decode(range(arguments.first, arguments.first + arguments.number))
    for end, number in sorted(outcome.ends.items()):
        print(f"{number:7,}  {end}")
    print(f"largest child: {outcome.max_memory / 2**20:,.0f} MiB of {MEMORY_BYTES / 2**20:,.0f}")
    print(f"longest wait: {outcome.slowest[0]:.1f} s: {outcome.slowest[1]}")
    print(f"{arguments.number:,} mutants in {time.monotonic() - started:,.0f} s")
    for fault in outcome.faults:
        print(f"FAULT {fault}")
    sys.exit(bool(outcome.faults))


if __name__ == "__main__":
    main()
