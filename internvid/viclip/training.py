"""Trains a ViCLIP by a recipe, in one process or in several; a run that was killed can be resumed.

A step depends on the recipe, the clips and its number only. Ranks divide the rows of a batch, slices divide the rows
of a rank, and the loss is always that of the whole batch. A run that was killed therefore resumes from its last saved
state and ends with the same weights (bit by bit on one CPU rank). The number of ranks may change on resuming: only the
order of floating-point additions changes.

The caller initialises `torch.distributed`. All processes must see the same `folder`. It holds

    state.pt         the state for resuming; it is never removed
    log.jsonl        one line per step, each step once
    checkpoint/      the trained model, after the last step
    seen.parquet     on request: how often each clip was trained on
    not_finite.json  the step at which training stopped, and its clips
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
import torch.distributed
from torch import Tensor

from internvid.viclip.checkpoint import Checkpoint, save_checkpoint
from internvid.viclip.clips import Clips
from internvid.viclip.loss import Loss, contrastive_loss, gathered_contrastive_loss
from internvid.viclip.model import ViCLIP, path_scales
from internvid.viclip.optimisation import adamw, clear_key_gradients, key_biases, learning_rate, set_learning_rate
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.recipe import Recipe, SameVideo
from internvid.viclip.samples import Samples, Slice, batches_with_samples
from internvid.viclip.sampling import Batch, PhasePlan, Plan, crowding, rows_of_rank
from internvid.viclip.tokenizer import Tokenizer, prepare_text
from internvid.viclip.weights import average, fit, from_clip, load_into

Row = dict[str, Any]

IDS_PER_READ = 10_000
BYTES_PER_REDUCTION = 100 << 20  # upper bound on the gradients per all-reduce, which bounds its memory
IDS_IN_MESSAGE = 64


@dataclass(frozen=True)
class TrainingResult:
    """Totals of a training, including the runs before it was resumed.

    samples: clips of all batches, counted with repetition. seconds: training time. loss, accuracy: of the last step's
    batch. clips_never_seen: clips that were in no batch. seen: path of seen.parquet, if it was requested.
    """

    steps: int
    samples: int
    seconds: float
    samples_per_second: float
    loss: float
    accuracy: float
    clips: int
    clips_never_seen: int
    checkpoint: Path
    seen: Path | None


def train(
    recipe: Recipe,
    clips: Clips,
    *,
    folder: Path,
    tokenizer: Tokenizer | None = None,
    initial_weights: Mapping[str, Tensor] | None = None,
    device: str | torch.device = "cpu",
    workers: int = 0,
    compile: bool = False,
    log: Callable[[Row], object] = lambda row: None,
    save_every_seconds: float = 60.0,
    keep_seen: bool = False,
    receipt: Mapping[str, Any] | None = None,
) -> TrainingResult:
    """Trains a model, or resumes its training, and saves it in `folder / "checkpoint"`.

    tokenizer, initial_weights: replace those that `recipe.initialise_from` names; if that is None, they replace a
    vocabulary learnt from the captions and random weights. Resuming needs the same ones again.
    workers: number of processes per rank that read and prepare frames. They are started by spawn: a script that calls
    this with workers must guard its own code by `if __name__ == "__main__"`.
    compile: compile the towers with torch.compile.
    log: called on rank 0 with each step's {step, phase, loss, learning_rate, samples_per_second, accuracy,
    temperature, gradient_norm}; steps count from 0, the temperature is the one after the step. A resumed run repeats
    the steps after its last saved state.
    save_every_seconds: minimum time between two saved states. keep_seen: write seen.parquet.
    receipt: additional entries of the checkpoint's receipt.
    Raises ValueError if the folder holds the training of another recipe or of other clips; the folder is not changed.
    Raises FloatingPointError, naming the step and its clips, if the loss or a gradient is not finite; the folder
    keeps the last saved state.
    """
    device, folder = torch.device(device), Path(folder)
    ranks = _Ranks.current()
    plan = Plan(recipe, clips.video_numbers)
    min_batch_size = min(phase.batch_size for phase in plan.phases)
    if min_batch_size < ranks.count:
        raise ValueError(f"a batch of {min_batch_size} clips cannot be divided among {ranks.count} ranks")
    saved = _SavedState(folder / "state.pt", recipe.version, _digest(clips))
    state = saved.read()
    ranks.check_same_step(0 if state is None else state["step"])

    tokenizer = tokenizer or _tokenizer(recipe, clips)
    if tokenizer.vocab_size > recipe.model.vocab_size or tokenizer.context_length > recipe.model.context_length:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} tokens and returns {tokenizer.context_length} per text, but the "
            f"model embeds {recipe.model.vocab_size} and reads {recipe.model.context_length}"
        )
    initial = _initial_weights(recipe, initial_weights)
    model = _model(recipe, initial)
    if recipe.wise_ft is None or not ranks.first:
        initial = None  # it takes as much memory as the model, and only the average at the end needs it
    if state is not None:
        load_into(model, state["model"])
    model.to(device)
    model.text_encoder.requires_grad_(not recipe.freeze_text)
    model.train()
    step_gradients = _Step(recipe, model, ranks, device, clips.video_numbers, compile)

    progress = _Progress(state, saved, _Log(folder / "log.jsonl"), ranks.first, save_every_seconds)
    optimiser = adamw(model, recipe)
    if state is not None and progress.step < plan.steps and progress.step not in _phase_starts(plan):
        optimiser.load_state_dict(state["optimiser"])
    del state
    batches = batches_with_samples(
        Samples(clips, recipe, tokenizer),
        plan,
        first_step=progress.step,
        rank=ranks.rank,
        ranks=ranks.count,
        workers=workers,
        pin_memory=device.type == "cuda",
    )
    for batch, slices in batches:
        if batch.step in _phase_starts(plan) and batch.step:
            optimiser = adamw(model, recipe)  # in the paper, each phase is a separate run
        rate = learning_rate(batch.plan, batch.step)
        set_learning_rate(optimiser, rate)
        loss, gradient_norm = step_gradients.gradients(batch, slices)
        if not math.isfinite(loss.value.item()) or not math.isfinite(gradient_norm):
            raise FloatingPointError(_not_finite_message(batch, loss, clips, folder / "not_finite.json", ranks))
        optimiser.step()
        row = progress.record_step(batch, loss, rate, gradient_norm, model.temp.item())
        if ranks.first:
            log(row)
            progress.save_if_time(model, optimiser)
    if ranks.first:
        progress.save(model, optimiser)

    seen_by_phase = [plan.times_seen(phase) for phase in plan.phases]
    times_seen = np.sum(seen_by_phase, axis=0)
    result = TrainingResult(
        steps=plan.steps,
        samples=int(times_seen.sum()),
        seconds=round(progress.seconds, 3),
        samples_per_second=round(int(times_seen.sum()) / progress.seconds, 3),
        loss=progress.last["loss"],
        accuracy=progress.last["accuracy"],
        clips=len(clips),
        clips_never_seen=int((times_seen == 0).sum()),
        checkpoint=folder / "checkpoint",
        seen=folder / "seen.parquet" if keep_seen else None,
    )
    if ranks.first:
        if result.seen is not None:
            _write_times_seen(result.seen, clips, times_seen)
        full_receipt = {
            **_receipt(recipe, result, data=saved.data, ranks=ranks.count, device=device),
            "phases": [_phase_receipt(plan, *phase) for phase in zip(plan.phases, seen_by_phase, strict=True)],
            **(receipt or {}),
        }
        trained = _averaged(recipe, model, initial)
        save_checkpoint(
            result.checkpoint, Checkpoint(trained, tokenizer, Preprocessing.from_recipe(recipe), full_receipt)
        )
    ranks.barrier()
    return result


# ---- one step ----


class _Step:
    """Computes the gradients of the loss of the whole batch; this rank computes its own rows, in slices."""

    def __init__(
        self,
        recipe: Recipe,
        model: ViCLIP,
        ranks: _Ranks,
        device: torch.device,
        video_numbers: np.ndarray,
        compile: bool,
    ) -> None:
        self.model, self.ranks, self.device, self.video_numbers = model, ranks, device, video_numbers
        self.train_text = not recipe.freeze_text
        # The sampler keeps clips of one video apart as far as possible; the remaining pairs are masked.
        self.same_video: SameVideo = "masked" if recipe.same_video == "apart" else recipe.same_video
        self.half = recipe.precision == "bfloat16"
        self.drop_path = recipe.drop_path
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.key_biases = key_biases(model)
        self.encode_video = torch.compile(model.encode_video) if compile else model.encode_video
        self.encode_text = torch.compile(model.encode_text) if compile else model.encode_text

    def gradients(self, batch: Batch, slices: list[Slice]) -> tuple[Loss, float]:
        """Sets the parameters' gradients to those of the whole batch, on every rank.

        Returns the loss over all ranks, and the norm of the gradient.

        One slice takes one forward and one backward pass. With several slices, embeddings are computed without a graph,
        then the loss's gradient with respect to them, then each slice is recomputed with a graph for its backward pass.
        This needs the memory of one slice and a third more computation; the negatives are those of the whole batch.
        """
        for parameter in self.trained:
            parameter.grad = None
        with torch.set_grad_enabled(len(slices) == 1):
            embeddings = [self._embedded(slice_) for slice_ in slices]
        video, text = (torch.cat([pair[side].detach() for pair in embeddings]) for side in (0, 1))
        loss, (video_gradient, text_gradient, temperature_gradient) = self._loss(batch, video, text)
        first = 0
        for number, slice_ in enumerate(slices):
            pair = embeddings[0] if len(slices) == 1 else self._embedded(slice_)
            end = first + len(pair[0])
            self._backward(pair, (video_gradient[first:end], text_gradient[first:end]))
            embeddings[number] = (pair[0].detach(), pair[1].detach())  # frees the slice's graph
            first = end
        self.model.temp.grad = temperature_gradient
        clear_key_gradients(self.key_biases)
        gradients = [parameter.grad for parameter in self.trained if parameter.grad is not None]
        self.ranks.average(gradients)
        return loss, torch.nn.utils.get_total_norm(gradients).item()

    def _embedded(self, slice_: Slice) -> tuple[Tensor, Tensor]:
        """Returns the embeddings of video and text, each [rows, d] float32."""
        on_device = slice_.to(self.device)
        scales = path_scales(on_device.path_chances, self.drop_path) if self.drop_path else None
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            video = self.encode_video(on_device.video, keep=on_device.keep, path_scales=scales)
            with torch.set_grad_enabled(self.train_text and torch.is_grad_enabled()):
                text = self.encode_text(on_device.token_ids)
        return video.float(), text.float()

    def _backward(self, embeddings: tuple[Tensor, Tensor], gradients: tuple[Tensor, Tensor]) -> None:
        sides = 2 if self.train_text else 1
        torch.autograd.backward(embeddings[:sides], gradients[:sides])

    def _loss(self, batch: Batch, video: Tensor, text: Tensor) -> tuple[Loss, tuple[Tensor, ...]]:
        """Returns the loss over all ranks, and its gradients with respect to video, text and temperature.

        video, text: [rows, d] of this rank. The mean over ranks of the resulting parameter gradients is the gradient
        of the whole batch.
        """
        rows = len(batch.clips)
        first, end = rows_of_rank(rows, self.ranks.rank, self.ranks.count)
        is_even = rows % self.ranks.count == 0
        if is_even:
            compared_clips, loss_function = batch.clips[first:end], gathered_contrastive_loss
        else:
            # Some ranks have one row more, so each rank computes the loss of the whole batch.
            compared_clips, loss_function = batch.clips, contrastive_loss
            video, text = (self.ranks.gather_rows(side, rows) for side in (video, text))
        video.requires_grad_()
        text.requires_grad_()
        loss = loss_function(
            video,
            text,
            temperature=self.model.temperature,
            sample_ids=torch.from_numpy(compared_clips).to(self.device),
            video_numbers=torch.from_numpy(self.video_numbers[compared_clips]).to(self.device),
            same_video=self.same_video,
        )
        video_gradient, text_gradient, temperature_gradient = torch.autograd.grad(
            loss.value, [video, text, self.model.temp]
        )
        if not is_even:  # each row's gradient is on one rank only: scaling undoes the division by the mean over ranks
            video_gradient, text_gradient = (
                side[first:end] * self.ranks.count for side in (video_gradient, text_gradient)
            )
        return loss, (video_gradient, text_gradient, temperature_gradient)


@dataclass(frozen=True)
class _Ranks:
    """The processes that train together; a single one if torch.distributed is not initialised."""

    rank: int
    count: int

    @classmethod
    def current(cls) -> _Ranks:
        if not torch.distributed.is_initialized():
            return cls(0, 1)
        return cls(torch.distributed.get_rank(), torch.distributed.get_world_size())

    @property
    def first(self) -> bool:
        return self.rank == 0

    def barrier(self) -> None:
        if self.count > 1:
            torch.distributed.barrier()

    def check_same_step(self, step: int) -> None:
        """Raises ValueError if ranks resume at different steps. Also a barrier: no rank writes before all have read."""
        if self.count > 1:
            steps: list[Any] = [None] * self.count
            torch.distributed.all_gather_object(steps, step)
            if len(set(steps)) > 1:
                raise ValueError(f"ranks read states of different steps, {steps}: all ranks must see the same folder")

    def average(self, gradients: list[Tensor]) -> None:
        """Replaces the gradients by their mean over ranks."""
        if self.count == 1:
            return
        pending: list[Tensor] = []
        for number, gradient in enumerate(gradients):
            pending.append(gradient)
            size = sum(tensor.nbytes for tensor in pending)
            if size >= BYTES_PER_REDUCTION or number == len(gradients) - 1:
                flat = torch.cat([tensor.flatten() for tensor in pending])
                torch.distributed.all_reduce(flat)
                flat /= self.count
                parts = flat.split([tensor.numel() for tensor in pending])
                for tensor, part in zip(pending, parts, strict=True):
                    tensor.copy_(part.view_as(tensor))
                pending = []

    def gather_rows(self, rank_rows: Tensor, count: int) -> Tensor:
        """Returns the rows of all ranks, [count, d]. Ranks may have different numbers of rows. Without gradient."""
        first, end = rows_of_rank(count, self.rank, self.count)
        gathered = rank_rows.new_zeros(count, rank_rows.shape[1])
        gathered[first:end] = rank_rows
        torch.distributed.all_reduce(gathered)
        return gathered


# ---- initial tokenizer and weights ----


def _tokenizer(recipe: Recipe, clips: Clips) -> Tokenizer:
    if recipe.initialise_from is not None:
        return Tokenizer.clip_from_folder(recipe.initialise_from, context_length=recipe.model.context_length)
    captions = (
        prepare_text(caption) for positions in _position_ranges(len(clips)) for caption in clips.captions(positions)
    )
    return Tokenizer.trained_on(
        captions, vocab_size=recipe.model.vocab_size, context_length=recipe.model.context_length
    )


def _initial_weights(recipe: Recipe, weights: Mapping[str, Tensor] | None) -> dict[str, Tensor] | None:
    if weights is not None:
        return fit(weights, recipe.model)
    if recipe.initialise_from is not None:
        _, clip_weights = from_clip(recipe.initialise_from)
        return fit({**clip_weights, "temp": torch.tensor(recipe.initial_temperature)}, recipe.model)
    return None


def _model(recipe: Recipe, initial: Mapping[str, Tensor] | None) -> ViCLIP:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = ViCLIP(
            recipe.model,
            temperature=recipe.initial_temperature,
            gradient_checkpointing=recipe.gradient_checkpointing,
        )
    if initial is not None:
        load_into(model, initial)
    return model


def _averaged(recipe: Recipe, model: ViCLIP, initial: Mapping[str, Tensor] | None) -> ViCLIP:
    """Returns the model for the checkpoint: the trained one, or its average with the initial weights."""
    if initial is None or recipe.wise_ft is None:
        return model
    averaged = ViCLIP(recipe.model)
    trained = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    load_into(averaged, average(trained, initial, share=recipe.wise_ft))
    return averaged


def _phase_starts(plan: Plan) -> set[int]:
    return {phase.first_step for phase in plan.phases}


# ---- files ----


class _SavedState:
    """The file with the state for resuming, which belongs to one recipe and one set of clips."""

    def __init__(self, path: Path, recipe: str, data: str) -> None:
        self.path, self.recipe, self.data = path, recipe, data

    def read(self) -> dict[str, Any] | None:
        """Returns the state; None if there is none. Raises ValueError for the state of another training."""
        if not self.path.exists():
            return None
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        for name, stored, expected in (
            ("recipe", state["recipe"], self.recipe),
            ("clips", state["data"], self.data),
        ):
            if stored != expected:
                raise ValueError(
                    f"{self.path.parent} holds the training of other {name} ({stored}, not {expected}): "
                    "give another folder, or remove this one to start again"
                )
        return state

    def write(self, **content: Any) -> None:
        with _atomic_file(self.path) as file:
            torch.save({"recipe": self.recipe, "data": self.data, **content}, file)


@contextmanager
def _atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a temporary file that replaces `path` when it is complete: a killed process leaves the old file in place.

    The temporary file has a fixed name, so that the next attempt overwrites an incomplete one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary_path = path.with_name(f"{path.name}.unfinished")
    with open(temporary_path, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary_path, path)


class _Log:
    """A file with one line of JSON per step."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def truncate(self, step: int) -> None:
        """Removes the lines from `step` on, and an incomplete last line of a killed process."""
        if not self.path.exists():
            return
        with open(self.path) as lines:
            complete_lines = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] < step]
        with _atomic_file(self.path) as file:
            file.write("".join(complete_lines).encode())

    def add(self, row: Row) -> None:
        with open(self.path, "a") as file:
            file.write(json.dumps(row) + "\n")


class _Progress:
    """Counts steps and seconds, writes the log, and saves the state. step: the next step."""

    def __init__(
        self, state: dict[str, Any] | None, saved: _SavedState, log: _Log, first_rank: bool, save_every_seconds: float
    ) -> None:
        self.saved, self.log, self.first_rank = saved, log, first_rank
        self.save_every_seconds = save_every_seconds
        self.step: int = state["step"] if state else 0
        self.last: Row = state["last"] if state else {}
        self.seconds_before: float = state["seconds"] if state else 0.0
        self.saved_step = self.step
        self.started = self.saved_at = self.step_began = time.monotonic()
        if first_rank:
            saved.path.parent.mkdir(parents=True, exist_ok=True)
            log.truncate(self.step)

    @property
    def seconds(self) -> float:
        """Time from the start of the first step to the end of the last; earlier runs count up to their last save."""
        return self.seconds_before + self.step_began - self.started

    def record_step(self, batch: Batch, loss: Loss, rate: float, gradient_norm: float, temperature: float) -> Row:
        now = time.monotonic()
        self.last = {
            "step": batch.step,
            "phase": batch.plan.phase.name,
            "loss": loss.value.item(),
            "learning_rate": rate,
            "samples_per_second": round(len(batch.clips) / (now - self.step_began), 3),
            "accuracy": loss.accuracy.item(),
            "temperature": temperature,
            "gradient_norm": gradient_norm,
        }
        self.step, self.step_began = batch.step + 1, now
        if self.first_rank:
            self.log.add(self.last)
        return self.last

    def save_if_time(self, model: ViCLIP, optimiser: torch.optim.Optimizer) -> None:
        if time.monotonic() - self.saved_at >= self.save_every_seconds:
            self.save(model, optimiser)

    def save(self, model: ViCLIP, optimiser: torch.optim.Optimizer) -> None:
        if self.step == self.saved_step:
            return
        self.saved.write(
            step=self.step,
            seconds=self.seconds,
            last=self.last,
            model=model.state_dict(),
            optimiser=optimiser.state_dict(),
        )
        self.saved_step, self.saved_at = self.step, time.monotonic()


def _digest(clips: Clips) -> str:
    """Returns a hash (32 hex digits) of the clips' ids, captions, video numbers and frame counts, not their frames."""
    digest = hashlib.md5(usedforsecurity=False)
    digest.update(np.ascontiguousarray(clips.video_numbers, np.int64).tobytes())
    digest.update(np.ascontiguousarray(clips.frame_counts, np.int32).tobytes())
    for positions in _position_ranges(len(clips)):
        digest.update(json.dumps([clips.clip_ids(positions), clips.captions(positions)]).encode())
    return digest.hexdigest()


def _position_ranges(count: int) -> list[range]:
    return [range(start, min(start + IDS_PER_READ, count)) for start in range(0, count, IDS_PER_READ)]


def _not_finite_message(batch: Batch, loss: Loss, clips: Clips, path: Path, ranks: _Ranks) -> str:
    """Writes the step's clips to a file and returns the error message, which lists the first of them."""
    ids = clips.clip_ids(batch.clips.tolist())
    value = loss.value.item()
    problem = f"the loss is {value}" if not math.isfinite(value) else "a gradient is not finite"
    if ranks.first:
        with _atomic_file(path) as file:
            file.write(json.dumps({"step": batch.step, "what": problem, "clip_ids": ids}).encode())
    remainder = f" and {len(ids) - IDS_IN_MESSAGE} more, see {path}" if len(ids) > IDS_IN_MESSAGE else ""
    first_ids = ", ".join(ids[:IDS_IN_MESSAGE])
    return f"step {batch.step} ({batch.plan.phase.name}): {problem}; its clips: {first_ids}{remainder}"


def _receipt(recipe: Recipe, result: TrainingResult, *, data: str, ranks: int, device: torch.device) -> dict[str, Any]:
    return {
        "recipe": recipe.version,
        "recipe_settings": asdict(recipe),
        "steps": result.steps,
        "samples": result.samples,
        "seconds": result.seconds,
        "samples_per_second": result.samples_per_second,
        "loss": result.loss,
        "accuracy": result.accuracy,
        "data": data,
        "clips": result.clips,
        "clips_never_seen": result.clips_never_seen,
        "ranks": ranks,
        "device": str(device),
        "torch": torch.__version__,
        "code": version("internvid-lakehouse"),
    }


def _phase_receipt(plan: Plan, phase: PhasePlan, times_seen: np.ndarray) -> dict[str, Any]:
    """crowded_per_epoch: clips whose batch holds an earlier clip of the same video, in the phase's first epoch."""
    return {
        "name": phase.phase.name,
        "steps": phase.steps,
        "batch_size": phase.batch_size,
        "batches_per_epoch": phase.batches_per_epoch,
        "left_out_per_epoch": phase.left_out_per_epoch,
        "clips_never_seen": int((times_seen == 0).sum()),
        "crowded_per_epoch": crowding(plan.epoch(phase, 0), plan.video_numbers),
    }


def _write_times_seen(path: Path, clips: Clips, times_seen: np.ndarray) -> None:
    """Writes a row (clip_id, times) for every clip, including clips that were never seen."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("clip_id", pa.string()), ("times", pa.int64())])
    with _atomic_file(path) as file, pq.ParquetWriter(file, schema) as writer:
        for positions in _position_ranges(len(clips)):
            times = times_seen[positions.start : positions.stop]
            writer.write_table(pa.table([clips.clip_ids(positions), times], schema=schema))
