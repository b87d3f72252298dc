"""How a ViCLIP is trained: in processes of their own, started through Dagster Pipes, for as long as this one lives.

What those processes do is `resources.training_run`; this module gives them what they need and gives back what they
report.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster as dg
from dagster._core.errors import DagsterPipesExecutionError  # what PipesSubprocessClient raises; it has no public name

from resources.lake_clips import index_clips
from resources.training_run import FAILURE, TrainingConfig

if TYPE_CHECKING:
    import pyarrow as pa

    from internvid.viclip.recipe import Recipe
    from resources.lake import Lake

LINES_IN_ERROR = 30


class TrainingFailed(RuntimeError):
    """Says what the training said of its error."""


@dataclass(frozen=True)
class Trained:
    """What a training came to. checkpoint: its folder; digest: `checkpoint_digest` of that.

    clips: trained on; left_out: how many of those asked for were not, by reason. steps, samples, seconds,
    samples_per_second, loss, accuracy, clips_never_seen, seen: as `internvid.viclip.training.TrainingResult`.
    """

    checkpoint: Path
    digest: str
    clips: int
    left_out: dict[str, int]
    steps: int
    samples: int
    seconds: float
    samples_per_second: float
    loss: float
    accuracy: float
    clips_never_seen: int
    seen: Path | None


class Trainer(dg.ConfigurableResource):
    """What is at hand for training.

    processes: ranks; a batch is divided among them. device: as torch names it; auto: a GPU for each process if there
    are any. workers: of the data loader, for each process. threads: of torch, for each process; None: the machine's
    cores, divided. initialise_from: a CLIP checkpoint of `transformers`, by hub id or folder, in place of the one
    that a recipe names; recipes that start from nothing still do. steps_at_most: of each phase, for a trial.
    """

    processes: int = 1
    device: str = "auto"
    workers: int = 0
    threads: int | None = None
    compile: bool = False
    initialise_from: str | None = None
    steps_at_most: int | None = None
    save_every_seconds: float = 60.0

    def as_trained(self, recipe: Recipe) -> Recipe:
        """The recipe with this trainer's checkpoint to start from, and its limit of steps: its version says so."""
        if self.initialise_from is not None and recipe.initialise_from is not None:
            recipe = replace(recipe, initialise_from=self.initialise_from)
        if self.steps_at_most is not None:
            limited = tuple(replace(phase, steps_at_most=self.steps_at_most) for phase in recipe.phases)
            recipe = replace(recipe, phases=limited)
        return recipe

    def train(
        self,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        lake: Lake,
        recipe: Recipe,
        clip_ids: pa.Array | pa.ChunkedArray | Iterable[str],
        *,
        snapshot: str,
        folder: Path,
        receipt: Mapping[str, Any] | None = None,
        initial_weights: Path | None = None,
        keep_seen: bool = False,
    ) -> Trained:
        """Trains on those clips as they are at the snapshot, or goes on where a training in that folder stood.

        folder: on a local disk; holds index, configuration, state, log and, in the end, the checkpoint.
        receipt: what the checkpoint's receipt is to say beside what training writes, as JSON holds it.
        The asset that calls this must yield or return a MaterializeResult: Dagster demands it of those that use Pipes.
        Raises TrainingFailed with the training's own error, and ValueError as `index_clips` does.
        """
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        index = index_clips(lake, clip_ids, folder / "clips.arrow", snapshot=snapshot)
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in index.left_out.items())
        context.log.info(f"{index.clips:,} clips to train on; left out: {left_out or 'none'}")
        config = TrainingConfig(
            lake={"root": lake.root, "storage_options": dict(lake.storage_options)},
            snapshot=snapshot,
            index=str(index.path),
            recipe=asdict(self.as_trained(recipe)),
            folder=str(folder),
            device=self.device,
            workers=self.workers,
            threads=self._threads,
            compile=self.compile,
            initial_weights=None if initial_weights is None else str(initial_weights.absolute()),
            save_every_seconds=self.save_every_seconds,
            keep_seen=keep_seen,
            receipt={"snapshot": snapshot, "left_out": index.left_out, **(receipt or {})},
        )
        with _started_from_here(folder) as starter:
            told = self._run(context, replace(config, starter=str(starter)))
        paths = {name: None if told[name] is None else Path(told[name]) for name in ("checkpoint", "seen")}
        return Trained(**{**told, **paths, "left_out": index.left_out})

    def _run(self, context: dg.AssetExecutionContext | dg.OpExecutionContext, config: TrainingConfig) -> dict[str, Any]:
        """Starts the processes, waits for them, and gives back what they report."""
        folder = Path(config.folder)
        config_path, output = folder / "config.json", folder / "output.log"
        config.write(config_path)
        (folder / FAILURE).unlink(missing_ok=True)
        module = [sys.executable, "-m"]
        if self.processes > 1:
            module += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(self.processes), "-m"]
        # The shell becomes the command, with its output in a file: pipes that nobody reads would fill up and block it.
        to_file = ["/bin/sh", "-c", 'exec >"$0" 2>&1; exec "$@"', str(output)]
        client = dg.PipesSubprocessClient()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", dg.PreviewWarning)  # of Pipes' own parts, not of what is used here
                done = client.run(
                    context=context,
                    command=[*to_file, *module, "resources.training_run", str(config_path)],
                    env={"OMP_NUM_THREADS": str(self._threads), "OPENCV_FOR_THREADS_NUM": "1"},
                )
        except DagsterPipesExecutionError as error:
            raise TrainingFailed(_what_failed(folder, output, str(error))) from None
        messages = done.get_custom_messages()
        if not messages:
            raise TrainingFailed(_what_failed(folder, output, "the training ended without a result"))
        return messages[-1]

    @property
    def _threads(self) -> int:
        return self.threads or max(1, (os.cpu_count() or 1) // self.processes)


@contextmanager
def _started_from_here(folder: Path) -> Iterator[Path]:
    """A locked file: the training goes on as long as it is locked. One for each start, so that what is left of a
    former training cannot take this one's lock for its own."""
    for left in folder.glob("starter-*.lock"):
        left.unlink(missing_ok=True)
    path = folder / f"starter-{uuid4().hex[:8]}.lock"
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


def _what_failed(folder: Path, output: Path, ending: str) -> str:
    """The error of the process that failed first, and the last lines of what all of them printed."""
    with output.open(encoding="utf-8", errors="replace") as file:
        last = f"The last lines of {output}:\n{''.join(deque(file, LINES_IN_ERROR))}"
    failure = folder / FAILURE
    if not failure.exists():  # none could say anything: killed, for instance for want of memory
        return f"{ending}. {last}"
    told = json.loads(failure.read_text(encoding="utf-8"))
    return f"{told['error']}\n\nIn process {told['rank']} of the training:\n{told['traceback']}\n{last}"
