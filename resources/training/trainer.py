"""Trains a ViCLIP, a chat that sees by one, or a generator of videos, in separate processes.

They are started through Dagster Pipes, and end with this process.

The training itself is in `resources.training.worker`; this module writes its configuration and returns its result.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import dagster as dg

from internvid.generation.unreadable import UNREADABLE
from resources.incremental.progress import progress
from resources.training.benchmark_clips import keep_frames
from resources.training.checkpoint_files import FRAMES
from resources.training.lake_clips import index_clips
from resources.training.lake_dialogues import FILE_NAME as DIALOGUES_INDEX
from resources.training.lake_dialogues import index_dialogues
from resources.training.worker import FAILURE, ChatData, TrainingConfig, TuningData

if TYPE_CHECKING:
    import pyarrow as pa

    from internvid.dialogue.recipe import ChatRecipe
    from internvid.evaluation.benchmarks import Benchmark
    from internvid.generation.recipe import GenerationRecipe
    from internvid.viclip.fine_tuning_recipe import FineTuning
    from internvid.viclip.recipe import Recipe
    from resources.lake.store import Lake
from resources.lake.temporary_folders import temporary_folder

LINES_IN_ERROR = 30
SECONDS_TO_END = 20.0  # after an interruption


class TrainingFailed(RuntimeError):
    """The training ended with an error; the message contains it."""


@dataclass(frozen=True)
class Trained:
    """Result of a training.

    checkpoint: its folder. digest: `checkpoint_digest` of the checkpoint. clips: number of clips trained on. left_out:
    number of requested clips that were left out, by reason. The other fields are those of
    `internvid.viclip.training.TrainingResult`.
    """

    checkpoint: Path
    digest: str
    clips: int
    left_out: dict[str, int]
    steps: int
    samples: int
    seconds: float
    samples_per_second: float
    waiting_share: float
    peak_share: float | None
    memory_bytes: int
    loss: float
    accuracy: float
    clips_never_seen: int
    seen: Path | None


@dataclass(frozen=True)
class TrainedChat:
    """Result of the training of a chat.

    checkpoint: its folder. digest: `chat_digest` of it. left_out: as of `Trained`. The other fields are those of
    `internvid.dialogue.training.ChatTrainingResult`.
    """

    checkpoint: Path
    digest: str
    clips: int
    left_out: dict[str, int]
    dialogues: int
    steps: int
    samples: int
    seconds: float
    loss: float


@dataclass(frozen=True)
class Tuned:
    """Result of a fine-tuning.

    checkpoint: its folder. digest: `encoder_digest` of it. clips: videos. failed: (video, error) of videos that could
    not be read. The other fields are those of `internvid.viclip.fine_tuning.FineTuningResult`.
    """

    checkpoint: Path
    digest: str
    clips: int
    failed: tuple[tuple[str, str], ...]
    steps: int
    samples: int
    seconds: float
    samples_per_second: float
    waiting_share: float
    memory_bytes: int
    loss: float
    accuracy: float


@dataclass(frozen=True)
class TrainedGenerator:
    """Result of the training of a generator.

    checkpoint: its folder. digest: `generator_digest` of it. left_out: as of `Trained`. unreadable_list: the file that
    `internvid.generation.unreadable.unreadable_clips` reads. The other fields are those of
    `internvid.generation.training.GenerationTrainingResult`.
    """

    checkpoint: Path
    digest: str
    clips: int
    unreadable: int
    unreadable_list: Path
    left_out: dict[str, int]
    steps: int
    samples: int
    seconds: float
    loss: float


class Trainer(dg.ConfigurableResource):
    """Trains with the configured processes and devices.

    processes: number of ranks; a batch is divided among them. device: as torch names it; auto: a GPU for each process
    if there are GPUs. workers: data loader workers per process; null: on a GPU one for each core but one, else none.
    threads: torch threads per process; null: the machine's cores divided by the processes. compile: whether blocks of
    the network are compiled; null: on a GPU. initialise_from: a CLIP checkpoint of `transformers`, by hub id or folder,
    or a folder of open_clip, that replaces the one of a recipe; recipes with random initialisation ignore it.
    language_model: a causal language model of `transformers`, by hub id or folder, for the recipes of chats that start
    from one. image_model: a text-to-image model of `diffusers`, likewise, for the recipes of generators. max_steps:
    upper bound on the steps of each phase, for a trial. steps: of a generator, exactly so many, however many clips it
    has, to compare subsets. save_every_seconds: period of saving the state.
    """

    processes: int = 1
    device: str = "auto"
    workers: int | None = None
    threads: int | None = None
    compile: bool | None = None
    initialise_from: str | None = None
    language_model: str | None = None
    image_model: str | None = None
    max_steps: int | None = None
    steps: int | None = None
    save_every_seconds: float = 60.0

    def as_trained(self, recipe: Recipe) -> Recipe:
        """Returns the recipe with this trainer's initial checkpoint and max_steps, both of which its version names."""
        if self.initialise_from is not None and recipe.initialise_from is not None:
            recipe = replace(recipe, initialise_from=self.initialise_from)
        if self.max_steps is not None:
            limited = tuple(replace(phase, max_steps=self.max_steps) for phase in recipe.phases)
            recipe = replace(recipe, phases=limited)
        return recipe

    def chat_as_trained(self, recipe: ChatRecipe) -> ChatRecipe:
        """Returns the recipe with this trainer's language model and max_steps, both of which its version names."""
        if self.language_model is not None and recipe.language_model is not None:
            recipe = replace(recipe, language_model=self.language_model)
        if self.max_steps is not None:
            align, tune = (
                None if phase is None else replace(phase, max_steps=self.max_steps)
                for phase in (recipe.align, recipe.tune)
            )
            recipe = replace(recipe, align=align, tune=tune or recipe.tune)
        return recipe

    def generator_as_trained(self, recipe: GenerationRecipe) -> GenerationRecipe:
        """Returns the recipe with this trainer's image model, max_steps and steps, which its version names."""
        if self.image_model is not None and recipe.image_model is not None:
            recipe = replace(recipe, image_model=self.image_model)
        if self.max_steps is not None:
            recipe = replace(recipe, denoiser=replace(recipe.denoiser, max_steps=self.max_steps))
        if self.steps is not None:
            recipe = replace(recipe, denoiser=replace(recipe.denoiser, min_steps=self.steps, max_steps=self.steps))
        return recipe

    def train_generator(
        self,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        lake: Lake,
        recipe: GenerationRecipe,
        clip_ids: pa.Array | pa.ChunkedArray | Iterable[str],
        *,
        snapshot: str,
        folder: Path,
        receipt: Mapping[str, Any] | None = None,
    ) -> TrainedGenerator:
        """Trains a generator on the clips as they are at the snapshot, or continues its training.

        Its frames are decoded from the videos, once; clips that cannot be read are left out. The parameters and errors
        are those of `train`.
        """
        folder = _made(folder)
        index = index_clips(lake, clip_ids, folder / "clips.arrow", snapshot=snapshot)
        context.log.info(f"{index.clips:,} clips to train on")
        config = TrainingConfig(
            **self._common(lake, index.path, snapshot, folder),
            recipe=asdict(self.generator_as_trained(recipe)),
            receipt={"snapshot": snapshot, "left_out": index.left_out, **(receipt or {})},
            is_generator=True,
        )
        result = self._run(context, config)
        if result["unreadable"]:
            context.log.info(f"{result['unreadable']:,} clips were left out, for they cannot be read: see attempts")
        about = {"checkpoint": Path(result["checkpoint"]), "unreadable_list": folder / UNREADABLE}
        return TrainedGenerator(**{**result, **about, "left_out": index.left_out})

    def train_chat(
        self,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        lake: Lake,
        recipe: ChatRecipe,
        clip_ids: pa.Array | pa.ChunkedArray | Iterable[str],
        *,
        vision: Path,
        snapshot: str,
        folder: Path,
        receipt: Mapping[str, Any] | None = None,
    ) -> TrainedChat:
        """Trains a chat on the dialogues about the clips as they are at the snapshot, or continues its training.

        vision: folder of the ViCLIP that sees. The other parameters and errors are those of `train`; also raises
        ValueError where no dialogue is about the clips. A chat is trained by one process.
        """
        folder = _made(folder)
        index = index_clips(lake, clip_ids, folder / "clips.arrow", snapshot=snapshot)
        dialogues = index_dialogues(lake, index.path, folder / DIALOGUES_INDEX, snapshot=snapshot)
        if not dialogues:
            raise ValueError(f"there is no dialogue about the {index.clips:,} clips to train on")
        context.log.info(f"{dialogues:,} dialogues about {index.clips:,} clips to train on")
        config = TrainingConfig(
            **self._common(lake, index.path, snapshot, folder),
            recipe=asdict(self.chat_as_trained(recipe)),
            receipt={"snapshot": snapshot, "left_out": index.left_out, **(receipt or {})},
            chat=asdict(ChatData(dialogues=str(folder / DIALOGUES_INDEX), vision=str(vision.absolute()))),
        )
        result = self.model_copy(update={"processes": 1})._run(context, config)
        about = {"checkpoint": Path(result["checkpoint"]), "clips": index.clips, "left_out": index.left_out}
        return TrainedChat(**{**result, **about})

    def as_tuned(self, recipe: FineTuning) -> FineTuning:
        """Returns the recipe with this trainer's max_steps, which its version names."""
        return recipe if self.max_steps is None else replace(recipe, max_steps=self.max_steps)

    def fine_tune(
        self,
        context: dg.AssetExecutionContext | dg.OpExecutionContext,
        lake: Lake,
        recipe: FineTuning,
        benchmark: Benchmark,
        *,
        base: Path,
        folder: Path,
        decoding_workers: int = 1,
        receipt: Mapping[str, Any] | None = None,
    ) -> Tuned:
        """Fine-tunes a checkpoint on the benchmark's videos, or continues in the folder what was interrupted.

        base: folder of the checkpoint. decoding_workers: processes that decode the videos, once. Errors are as of
        `train`; one process trains.
        """
        folder = _made(folder)
        recipe = self.as_tuned(recipe)
        with progress("decoding videos", len(benchmark.items), context.log.info) as advance:
            kept = keep_frames(
                benchmark,
                folder / FRAMES,
                frames=recipe.stored_frames,
                short_side=recipe.stored_side,
                workers=decoding_workers,
                on_videos=advance,
            )
        for video, error in kept.failed:
            context.log.info(f"left out, for it cannot be read: {video}: {error}")
        absent = {"missing": len(benchmark.missing), "failed": [list(each) for each in kept.failed]}
        data = TuningData(str(kept.folder), str(base.absolute()), list(benchmark.classes))
        config = TrainingConfig(
            **self._common(lake, Path(), "", folder),
            recipe=asdict(recipe),
            workers=self.workers,
            receipt={**absent, **(receipt or {})},
            fine_tuning=asdict(data),
        )
        result = self.model_copy(update={"processes": 1})._run(context, config)
        return Tuned(**{**result, "checkpoint": Path(result["checkpoint"]), "failed": kept.failed})

    def _common(self, lake: Lake, index: Path, snapshot: str, folder: Path) -> dict[str, Any]:
        """Returns the fields of the configuration that every training has."""
        return {
            "lake": {"root": lake.root, "storage_options": dict(lake.storage_options)},
            "snapshot": snapshot,
            "index": str(index),
            "folder": str(folder),
            "device": self.device,
            "threads": self._threads,
            "save_every_seconds": self.save_every_seconds,
        }

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
        """Trains on the clips as they are at the snapshot, or continues an interrupted training in the folder.

        folder: on a local disk; contains index, configuration, state, log and, in the end, the checkpoint.
        receipt: further JSON values for the checkpoint's receipt.
        The asset that calls this must yield or return a MaterializeResult, as Dagster requires with Pipes.
        Raises TrainingFailed with the training's error, and ValueError as `index_clips` does.
        """
        folder = _made(folder)
        index = index_clips(lake, clip_ids, folder / "clips.arrow", snapshot=snapshot)
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in index.left_out.items())
        context.log.info(f"{index.clips:,} clips to train on; left out: {left_out or 'none'}")
        config = TrainingConfig(
            **self._common(lake, index.path, snapshot, folder),
            recipe=asdict(self.as_trained(recipe)),
            workers=self.workers,
            compile=self.compile,
            initial_weights=None if initial_weights is None else str(initial_weights.absolute()),
            keep_seen=keep_seen,
            receipt={"snapshot": snapshot, "left_out": index.left_out, **(receipt or {})},
        )
        result = self._run(context, config)
        paths = {name: None if result[name] is None else Path(result[name]) for name in ("checkpoint", "seen")}
        return Trained(**{**result, **paths, "left_out": index.left_out})

    def _run(self, context: dg.AssetExecutionContext | dg.OpExecutionContext, config: TrainingConfig) -> dict[str, Any]:
        """Starts the processes, waits for them, and returns what they report."""
        with _started_from_here(Path(config.folder)) as starter:
            return self._run_started(context, replace(config, starter=str(starter)))

    def _run_started(
        self, context: dg.AssetExecutionContext | dg.OpExecutionContext, config: TrainingConfig
    ) -> dict[str, Any]:
        folder = Path(config.folder)
        config_path, output = folder / "config.json", folder / "output.log"
        config.write(config_path)
        (folder / FAILURE).unlink(missing_ok=True)
        module = [sys.executable, "-m"]
        if self.processes > 1:
            module += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(self.processes), "-m"]
        # The shell becomes the command, with its output in a file: pipes that nobody reads would fill up and block it.
        to_file = ["/bin/sh", "-c", 'exec >"$0" 2>&1; exec "$@"', str(output)]
        environment = {"OMP_NUM_THREADS": str(self._threads), "OPENCV_FOR_THREADS_NUM": "1"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", dg.PreviewWarning)  # of Pipes' own parts, not of what is used here
            # Not by PipesSubprocessClient: the error that it raises has no public name. Nor by its own temporary files,
            # which stay when this process is killed.
            with (
                temporary_folder() as pipes,
                dg.open_pipes_session(
                    context,
                    dg.PipesFileContextInjector(str(pipes / "context")),
                    dg.PipesFileMessageReader(str(pipes / "messages")),
                ) as session,
            ):
                exit_code = _exit_code(
                    [*to_file, *module, "resources.training.worker", str(config_path)],
                    {**os.environ, **environment, **session.get_bootstrap_env_vars()},
                )
        if exit_code != 0:
            raise TrainingFailed(_what_failed(folder, output, f"the training failed with code {exit_code}"))
        messages = session.get_custom_messages()
        if not messages:
            raise TrainingFailed(_what_failed(folder, output, "the training ended without a result"))
        return messages[-1]

    @property
    def _threads(self) -> int:
        return self.threads or max(1, (os.cpu_count() or 1) // self.processes)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


def _exit_code(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs the command until it ends. Where this process is interrupted, the command is too."""
    process = subprocess.Popen(command, env=environment)
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(SECONDS_TO_END)


@contextmanager
def _started_from_here(folder: Path) -> Iterator[Path]:
    """Yields a locked file; the training runs as long as it is locked.

    Each start has its own file, so that processes of an earlier training do not take this lock for theirs.
    """
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
    """Returns the error of the process that failed first, and the last lines of the output of all processes."""
    with output.open(encoding="utf-8", errors="replace") as file:
        last = f"The last lines of {output}:\n{''.join(deque(file, LINES_IN_ERROR))}"
    failure = folder / FAILURE
    if not failure.exists():  # the processes were killed, because of missing memory for instance
        return f"{ending}. {last}"
    report = json.loads(failure.read_text(encoding="utf-8"))
    return f"{report['error']}\n\nIn process {report['rank']} of the training:\n{report['traceback']}\n{last}"
