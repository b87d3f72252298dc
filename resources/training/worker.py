"""The training processes, which `resources.training.trainer` starts; they can also be started by hand.

    python -m resources.training.worker CONFIG.json
    python -m torch.distributed.run --standalone --nproc-per-node N -m resources.training.worker CONFIG.json

CONFIG.json is a `TrainingConfig`. Started by Dagster Pipes, it logs to the run and reports the result as a message;
otherwise it prints both. The process that fails first writes its error to the folder as failure.json; the others fail
because of it. When the trainer that started the processes ends, in whatever way, they end too; a later training
continues from the state that was saved last.

torch is imported late: the trainer imports this module for the configuration, the loader's workers because it is main.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.recipe import Phase, Recipe
from internvid.viclip.recipes import RECIPES

if TYPE_CHECKING:
    from internvid.dialogue.recipe import ChatRecipe

FAILURE = "failure.json"
SECONDS_BETWEEN_LINES = 10.0
REMEMBERED_BYTES = 512 << 20  # of frames, in each process that reads
SECONDS_FOR_OTHERS_TO_END = 60.0  # the processes of a killed training take a few seconds to notice


@dataclass(frozen=True)
class TrainingConfig:
    """What a training needs to know, as JSON holds it.

    lake: root and storage_options. index: the file of `index_clips`. recipe: a recipe's name, or its fields, of which
    those not given are as in the recipe that has its name. device: as torch names it; auto: a GPU for each process if
    there are any. workers: of the data loader, for each process; None: on a GPU one for each core but one. threads: of
    torch, for each process; None: as torch likes. compile: as in `internvid.viclip.training.train`. initial_weights: a
    file of ViCLIP weights to start from, in place of what the recipe names. receipt: what the checkpoint's receipt is
    to say beside what training writes. starter: a file that whoever started this keeps locked for as long as it is to
    go on. chat: the fields of `ChatData`, for the training of a chat; its recipe is one of a chat. fine_tuning: the
    fields of `TuningData`, for a fine-tuning; its recipe is one of that, and index and snapshot are empty.
    is_generator: its recipe is one of a generator.
    """

    lake: dict[str, Any]
    snapshot: str
    index: str
    recipe: str | dict[str, Any]
    folder: str
    device: str = "auto"
    workers: int | None = None
    threads: int | None = None
    compile: bool | None = None
    initial_weights: str | None = None
    save_every_seconds: float = 60.0
    keep_seen: bool = False
    receipt: dict[str, Any] = field(default_factory=dict)
    starter: str | None = None
    chat: dict[str, str] | None = None
    fine_tuning: dict[str, Any] | None = None
    is_generator: bool = False

    def write(self, path: Path) -> None:
        """Readable by its owner alone: storage options may hold keys."""
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=2)

    @classmethod
    def read(cls, path: Path) -> TrainingConfig:
        """Raises ValueError for fields that are not its own, or missing."""
        held = json.loads(path.read_text(encoding="utf-8"))
        try:
            return cls(**held)
        except TypeError as error:
            raise ValueError(f"{path} does not say how to train: {error}") from error


@dataclass(frozen=True)
class ChatData:
    """What the training of a chat reads beside the clips. dialogues: the file of `index_dialogues`. vision: folder of
    the ViCLIP checkpoint that sees.
    """

    dialogues: str
    vision: str


@dataclass(frozen=True)
class TuningData:
    """What a fine-tuning reads. frames: folder of `keep_frames`. base: folder of the checkpoint that it begins as.

    classes: names of the benchmark's classes; empty for retrieval.
    """

    frames: str
    base: str
    classes: list[str]


def recipe_of(written: str | Mapping[str, Any]) -> Recipe:
    """A recipe by its name, or from its fields; those that are not given are as in the recipe of that name.

    Raises ValueError for an unknown name or field, and where a recipe with a name of its own lacks fields.
    """
    given: dict[str, Any] = {"name": written} if isinstance(written, str) else dict(written)
    known = RECIPES.get(given.get("name", ""))
    unknown = set(given) - {of_recipe.name for of_recipe in fields(Recipe)}
    if unknown or (known is None and set(given) <= {"name"}):
        what = f"field {', '.join(sorted(unknown))}" if unknown else f"name {given.get('name')!r}"
        raise ValueError(f"no recipe has the {what}; the recipes are {', '.join(RECIPES)}")
    values: dict[str, Any] = {**({} if known is None else vars(known)), **given}
    if not isinstance(values.get("model"), ViCLIPConfig):
        values["model"] = ViCLIPConfig(**values.get("model", {}))
    values["phases"] = tuple(Phase(**phase) if isinstance(phase, Mapping) else phase for phase in values["phases"])
    for name, value in values.items():
        values[name] = tuple(value) if isinstance(value, list) else value
    return Recipe(**values)


def main(config_path: str) -> None:
    config = TrainingConfig.read(Path(config_path))
    rank, ranks = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if config.starter is not None:
        threading.Thread(target=end_with, args=(Path(config.starter),), daemon=True).start()
    folder = Path(config.folder)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _reports(rank) as reports:
            if rank > 0:
                run(config, reports, ranks)
            else:
                # The other ranks wait for this one, so none reads what a former training may still be writing.
                with FileLock(folder / "running.lock", timeout=SECONDS_FOR_OTHERS_TO_END):
                    run(config, reports, ranks)
    except Exception as error:
        _leave_failure(folder / FAILURE, error, rank)
        raise


@dataclass(frozen=True)
class Reports:
    """Where lines and the result go; of other ranks than the first they go nowhere."""

    line: Callable[[str], object]
    result: Callable[[dict[str, Any]], object]


def run(config: TrainingConfig, reports: Reports, ranks: int) -> None:
    """Trains, as one of so many ranks."""
    if config.chat is not None:
        _run_chat(config, ChatData(**config.chat), reports)
        return
    if config.fine_tuning is not None:
        _run_fine_tuning(config, TuningData(**config.fine_tuning), reports)
        return
    if config.is_generator:
        _run_generator(config, reports, ranks)
        return
    import torch

    from internvid.viclip.checkpoint import checkpoint_digest
    from internvid.viclip.clips import CachedClips
    from internvid.viclip.sampling import Plan
    from internvid.viclip.training import train
    from internvid.viclip.weights import fit, read_weights
    from resources.lake.store import Lake
    from resources.training.lake_clips import LakeClips

    if config.threads is not None:
        torch.set_num_threads(config.threads)
    device = _joined_device(config, ranks)
    recipe = recipe_of(config.recipe)
    of_lake = LakeClips(Lake(**config.lake), config.index, config.snapshot, short_side=min_short_side(recipe))
    clips = CachedClips(of_lake, limit_bytes=REMEMBERED_BYTES)
    initial = None
    if config.initial_weights is not None:
        initial = fit(read_weights(Path(config.initial_weights)), recipe.model)
    reports.line(f"{len(clips):,} clips, {recipe.version}, ranks: {ranks}, device: {device.partition(':')[0]}")
    result = train(
        recipe,
        clips,
        folder=Path(config.folder),
        initial_weights=initial,
        device=device,
        workers=_workers(config.workers, device, ranks),
        compile=config.compile,
        log=Steps(Plan(recipe, clips.video_numbers).steps, reports.line),
        note=reports.line,
        save_every_seconds=config.save_every_seconds,
        keep_seen=config.keep_seen,
        receipt=config.receipt,
    )
    reports.result(
        {
            **{name: value for name, value in asdict(result).items() if not isinstance(value, Path)},
            "checkpoint": str(result.checkpoint),
            "seen": None if result.seen is None else str(result.seen),
            "digest": checkpoint_digest(result.checkpoint),
        }
    )
    if ranks > 1:
        torch.distributed.destroy_process_group()  # not after an error: it would wait for those that are gone


def _run_generator(config: TrainingConfig, reports: Reports, ranks: int) -> None:
    """Trains a generator, as one of so many ranks."""
    import torch

    from internvid.generation.checkpoint import generator_digest
    from internvid.generation.recipe import GenerationRecipe
    from internvid.generation.training import train_generator
    from resources.lake.store import Lake
    from resources.training.lake_clips import LakeClips
    from resources.training.video_clips import VideoClips, read_in_children

    if config.threads is not None:
        torch.set_num_threads(config.threads)
    if isinstance(config.recipe, str):
        raise ValueError("the recipe of a generator is given by its fields")
    device = _joined_device(config, ranks)
    recipe, lake = GenerationRecipe.from_dict(config.recipe), Lake(**config.lake)
    clips = VideoClips(lake, LakeClips(lake, config.index, config.snapshot), config.snapshot)
    reports.line(f"{len(clips):,} clips, {recipe.version}, ranks: {ranks}, device: {device.partition(':')[0]}")
    steps = GeneratorSteps(0, reports.line)
    result = train_generator(
        recipe,
        clips,
        folder=Path(config.folder),
        device=device,
        log=steps,
        note=reports.line,
        planned=steps.planned,
        save_every_seconds=config.save_every_seconds,
        receipt=config.receipt,
        read=partial(read_in_children, workers=max(1, _workers(config.workers, device, ranks))),
    )
    digest = generator_digest(result.checkpoint)
    reports.result({**asdict(result), "checkpoint": str(result.checkpoint), "digest": digest})
    if ranks > 1:
        torch.distributed.destroy_process_group()  # not after an error: it would wait for those that are gone


def _joined_device(config: TrainingConfig, ranks: int) -> str:
    """Returns the device of this process, which has joined the others."""
    import torch.distributed

    device = _device(config.device, ranks)
    if ranks > 1:
        torch.distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return device


def _run_chat(config: TrainingConfig, data: ChatData, reports: Reports) -> None:
    """Trains a chat, in this process alone."""
    import torch

    from internvid.dialogue.checkpoint import chat_digest
    from internvid.dialogue.recipe import ChatRecipe
    from internvid.dialogue.training import chat_phase_plans, train_chat
    from internvid.viclip.checkpoint import load_checkpoint
    from resources.lake.store import Lake
    from resources.training.lake_clips import LakeClips
    from resources.training.lake_dialogues import LakeDialogues

    if config.threads is not None:
        torch.set_num_threads(config.threads)
    if isinstance(config.recipe, str):
        raise ValueError("the recipe of a chat is given by its fields")
    recipe, device = ChatRecipe.from_dict(config.recipe), _device(config.device, 1)
    vision = load_checkpoint(Path(data.vision))
    clips = LakeClips(Lake(**config.lake), config.index, config.snapshot, short_side=vision.preprocessing.image_size)
    dialogues = LakeDialogues(Path(data.dialogues), clips)
    reports.line(f"{len(dialogues):,} dialogues, {len(clips):,} clips, {recipe.version}, device: {device}")
    max_sequences = None
    if device.startswith("cuda"):  # of which a batch may exceed the memory; on a CPU batches are small
        max_sequences = _max_sequences(recipe, vision.model.config, device)
        reports.line(f"{max_sequences:,} dialogues at once fit into the GPU's memory, by reckoning")
    steps = chat_phase_plans(recipe, len(dialogues))[-1].end_step
    result = train_chat(
        recipe,
        dialogues,
        vision,
        folder=Path(config.folder),
        device=device,
        log=ChatSteps(steps, reports.line),
        save_every_seconds=config.save_every_seconds,
        receipt=config.receipt,
        max_sequences=max_sequences,
    )
    reports.result({**asdict(result), "checkpoint": str(result.checkpoint), "digest": chat_digest(result.checkpoint)})


def _max_sequences(recipe: ChatRecipe, vision: ViCLIPConfig, device: str) -> int:
    """Returns how many dialogues of a batch fit into the GPU's free memory at once; at least one is tried."""
    import torch

    from internvid.dialogue.reckoning import SHARE_OF_MEMORY, fitting_sequences, language_config_of, reckoned_phases

    free, _ = torch.cuda.mem_get_info(device)
    phases = reckoned_phases(recipe, vision, language_config_of(recipe), sequences=1)
    return max(1, fitting_sequences(phases, free * SHARE_OF_MEMORY))


def _run_fine_tuning(config: TrainingConfig, data: TuningData, reports: Reports) -> None:
    """Fine-tunes on a benchmark, in this process alone."""
    import torch

    from internvid.evaluation.classification import class_vectors
    from internvid.viclip.checkpoint import load_checkpoint
    from internvid.viclip.encoder import Encoder
    from internvid.viclip.fine_tuning import fine_tune, fine_tuning_plan
    from internvid.viclip.fine_tuning_recipe import FineTuning
    from internvid.video_text.folders import encoder_digest
    from resources.training.benchmark_clips import BenchmarkClips

    if config.threads is not None:
        torch.set_num_threads(config.threads)
    if isinstance(config.recipe, str):
        raise ValueError("the recipe of a fine-tuning is given by its fields")
    recipe, device = FineTuning.from_dict(config.recipe), _device(config.device, 1)
    base, clips = load_checkpoint(Path(data.base)), BenchmarkClips(Path(data.frames))
    vectors = None
    if data.classes:  # by the base's text tower, as the zero-shot evaluation has them
        vectors = class_vectors(data.classes, partial(Encoder(base).encode_texts, prepare=False))
    reports.line(f"{len(clips):,} clips, {recipe.version}, device: {device}")
    (plan,) = fine_tuning_plan(recipe, len(clips))
    result = fine_tune(
        recipe,
        clips,
        base,
        folder=Path(config.folder),
        classes=tuple(data.classes),
        class_vectors=vectors,
        device=device,
        workers=_workers(config.workers, device, 1),
        log=Steps(plan.steps, reports.line),
        save_every_seconds=config.save_every_seconds,
        receipt=config.receipt,
    )
    reports.result(
        {**asdict(result), "checkpoint": str(result.checkpoint), "digest": encoder_digest(result.checkpoint)}
    )


def min_short_side(recipe: Recipe) -> int:
    """Returns the shorter side of frames, in pixels, at which even the smallest random crop need not be enlarged."""
    narrowest = 3 / 4  # width by height of a crop
    return round(recipe.model.image_size / sqrt(narrowest * recipe.crop_scale[0]))


OF_THE_DEVICE = ("samples_per_second", "waiting_share", "peak_share", "memory_bytes")


class Steps:
    """Takes each step's row and gives a line on the first, the last and each phase's first, and now and then."""

    def __init__(self, steps: int, line: Callable[[str], object]) -> None:
        self.steps, self.line = steps, line
        self.phase = ""
        self.last_line = time.monotonic()

    def __call__(self, row: Mapping[str, Any]) -> None:
        now = time.monotonic()
        is_due = now - self.last_line >= SECONDS_BETWEEN_LINES
        if is_due or row["phase"] != self.phase or row["step"] == self.steps - 1:
            self.last_line, self.phase = now, row["phase"]
            self.line(f"step {row['step'] + 1:,} of {self.steps:,}, {row['phase']}: {self.measured(row)}")

    def measured(self, row: Mapping[str, Any]) -> str:
        from internvid.viclip.device import Use

        return (
            f"loss {row['loss']:.4f}, accuracy {row['accuracy']:.3f}, learning rate {row['learning_rate']:.3g}, "
            f"{Use(*(row[name] for name in OF_THE_DEVICE))}"
        )


class ChatSteps(Steps):
    """The same for the steps of a chat."""

    def measured(self, row: Mapping[str, Any]) -> str:
        return (
            f"loss {row['loss']:.4f}, learning rate {row['learning_rate']:.3g}, "
            f"{row['samples_per_second']:.1f} dialogues/s"
        )


class GeneratorSteps(Steps):
    """The same for the steps of a generator, whose number is known once its clips have been read."""

    def planned(self, steps: int) -> None:
        self.steps = steps

    def measured(self, row: Mapping[str, Any]) -> str:
        return (
            f"loss {row['loss']:.4f}, learning rate {row['learning_rate']:.3g}, {row['samples_per_second']:.1f} clips/s"
        )


def end_with(starter: Path) -> None:
    """Ends this process as soon as nobody has the file locked any more, or removed it: see `TrainingConfig`.

    The system lets go of a lock however its holder ends. A process's number would not do: it may be another's by now.
    """
    with suppress(FileNotFoundError), starter.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # waits
    print("what started this training has ended, so it ends", file=sys.stderr, flush=True)
    # Not sys.exit: that ends a thread. Every file is whole or not there at all times, so nothing needs to be closed.
    os._exit(1)


@contextmanager
def _reports(rank: int) -> Iterator[Reports]:
    from dagster_pipes import PipesEnvVarParamsLoader, open_dagster_pipes

    if rank > 0:
        yield Reports(lambda line: None, lambda result: None)
    elif PipesEnvVarParamsLoader().is_dagster_pipes_process():
        with open_dagster_pipes() as pipes:
            yield Reports(pipes.log.info, pipes.report_custom_message)
    else:
        yield Reports(lambda line: print(line, flush=True), lambda result: print(json.dumps(result), flush=True))


def _workers(wanted: int | None, device: str, ranks: int) -> int:
    """Returns the number of processes that load samples. On a CPU they would take the cores that training needs."""
    if wanted is not None:
        return wanted
    return max(1, (os.cpu_count() or 1) // ranks - 1) if device.startswith("cuda") else 0


def _device(wanted: str, ranks: int) -> str:
    """Of this process. Raises ValueError for more ranks than GPUs."""
    import torch

    name = wanted if wanted != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    if name != "cuda":
        return name
    local, gpus = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if local >= gpus:
        raise ValueError(f"{ranks} processes, and {gpus} GPUs: each needs one of its own")
    torch.cuda.set_device(local)
    return f"cuda:{local}"


def _leave_failure(path: Path, error: Exception, rank: int) -> None:
    """Writes the error for the trainer. Only the first error is kept: the other ranks fail because of it."""
    report = {
        "error": f"{type(error).__name__}: {error}",
        "rank": rank,
        "traceback": "".join(traceback.format_exception(error)),
    }
    with suppress(FileExistsError), path.open("x", encoding="utf-8") as file:
        json.dump(report, file)


if __name__ == "__main__":
    main(sys.argv[1])
