"""A stage for the engines' tests: the label of each of its units says what becomes of it, and every call leaves a mark.

It stands in a module of its own, for workers import it.
"""

import errno
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from resources.incremental.costs import Cost
from resources.incremental.declaration import Computation, Configuration, StageDefinition, StageRun, StageScope, stage
from resources.incremental.stage import Done, Failed, Outcome, Rows, Skipped, Stage, Unit
from resources.lake.schema import CLIPS, FRAMES
from resources.lake.store import Lake

ROWS = pa.schema([("row", pa.string())])


class TwoTexts(ValueError):
    """An error that pickles and cannot be unpickled."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")


def configure(scope: StageScope) -> Configuration:
    return Configuration(({"": os.environ.get("MARKING_VERSION", "1")}, {"": "1"}), chunk_size=4, is_divisible=True)


@stage(name="marking", units="clips", group="video", outputs=(CLIPS, FRAMES), configure=configure, workers="cpu")
def marking(run: StageRun, units: list[Unit]) -> Iterator[Outcome]:
    """Computes each unit as its label says. run.config: the folder of the marks."""
    for unit in units:
        with Path(run.config, "marks").open("a") as file:
            file.write(f"{os.getpid()} {unit.key} {os.environ.get('CUDA_VISIBLE_DEVICES')}\n")
        yield _outcome(run, unit)


def _outcome(run: StageRun, unit: Unit) -> Outcome:
    match unit.label:
        case "ends its worker":
            os.kill(os.getpid(), signal.SIGKILL)
        case "ends its first worker" if marks(run.config)[unit.key] == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        case "waits for another worker":
            while len(pids(run.config)) < 2:
                time.sleep(0.05)
        case "waits for ever":
            time.sleep(3600)
        case "is unreadable":
            return Failed(unit, ValueError("it cannot be read"), Cost(bytes_read=7))
        case "has an odd error":
            return Failed(unit, TwoTexts("odd", "very"))
        case "meets a full disk":
            return Failed(unit, OSError(errno.ENOSPC, "No space left on device", run.config))
        case "finds a bug":
            raise KeyError("a bug")
        case "is of no use":
            run.log(f"{unit.key} is of no use")
            return Skipped(unit, "NothingToDo", "of no use")
    return _rows_in_a_file(run, unit)


def _rows_in_a_file(run: StageRun, unit: Unit) -> Done:
    """Rows that lie in a file until they are read, as the frames of a video do."""
    handle, path = tempfile.mkstemp(dir=run.config, suffix=".rows")
    os.close(handle)
    batch = pa.RecordBatch.from_pydict({"row": [f"{unit.key}/{number}" for number in range(3)]}, schema=ROWS)
    with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, ROWS) as stream:
        stream.write_batch(batch)
        stream.write_batch(batch)

    def read() -> Iterator[pa.RecordBatch]:
        with pa.OSFile(path, "rb") as file, pa.ipc.open_stream(file) as stream:
            yield from stream

    return Done(
        unit, (Rows(6, read()), Rows(0, [])), release=lambda: os.unlink(path), cost=Cost(model="m", model_seconds=1.0)
    )


def marks(folder: str) -> Counter[str]:
    """Returns how often each unit was begun."""
    return Counter(line.split()[1] for line in Path(folder, "marks").read_text().splitlines())


def pids(folder: str) -> set[str]:
    """Returns the processes that computed a unit."""
    return {line.split()[0] for line in Path(folder, "marks").read_text().splitlines()}


def gpus(folder: str) -> set[str]:
    """Returns the GPUs that were visible where a unit was computed."""
    return {line.split()[2] for line in Path(folder, "marks").read_text().splitlines()}


def load() -> tuple[Mapping[str, StageDefinition], Mapping[str, Any]]:
    """What a worker builds."""
    return {marking.name: marking}, {"lake": Lake(root="no lake is needed")}


def to_compute(folder: Path, labels: Mapping[str, str], log: list[str]) -> tuple[Stage, Computation, list[Unit]]:
    """Returns what an engine takes. labels: by the unit's key."""
    (folder / "marks").touch()
    lake = Lake(root="no lake is needed")
    run = StageRun(lake, "batch", "run", log.append, str(folder))
    units = [Unit(key, "batch", label, "", ["p", "p"], 0) for key, label in labels.items()]
    return marking.configured(StageScope(lake, "batch"), {}), Computation(marking, run, {}), units
