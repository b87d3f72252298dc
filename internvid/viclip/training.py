"""Trains a ViCLIP by a recipe, in one process or in several; a run that was killed can be resumed.

A step depends on the recipe, the clips and its number only. Ranks divide the rows of a batch, slices divide the rows
of a rank, and the loss is always that of the whole batch. A run that was killed therefore resumes from its last saved
state and ends with the same weights (bit by bit on one CPU rank). The number of ranks may change on resuming: only the
order of floating-point additions changes.

The caller initialises `torch.distributed`. All processes must see the same `folder`. It holds

    state.pt         the state for resuming; nothing here removes it
    log.jsonl        one line per step, each step once
    checkpoint/      the trained model, after the last step
    seen.parquet     on request: how often each clip was trained on
    not_finite.json  the step at which training stopped, and its clips
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
from torch import Tensor

from internvid.viclip.arithmetic import measured_peak, step_flops
from internvid.viclip.checkpoint import Checkpoint, save_checkpoint
from internvid.viclip.clips import Clips
from internvid.viclip.device import Waits, peak_memory_bytes
from internvid.viclip.initial_clip import initial_clip, initial_tokenizer
from internvid.viclip.loss import Loss
from internvid.viclip.memory import MemoryPlan
from internvid.viclip.model import ViCLIP
from internvid.viclip.optimisation import adamw, learning_rate, set_learning_rate
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.ranks import Ranks
from internvid.viclip.recipe import Recipe
from internvid.viclip.samples import Samples, Slice, Upload, batches_with_samples
from internvid.viclip.sampling import Batch, PhasePlan, Plan, crowding
from internvid.viclip.saved_state import SavedState, StepLog, atomic_file
from internvid.viclip.step import TrainingStep
from internvid.viclip.tokenizer import Tokenizer, prepare_text
from internvid.viclip.training_progress import Row, TrainingProgress
from internvid.viclip.weights import average, fit, load_into

IDS_PER_READ = 10_000
IDS_IN_MESSAGE = 64


@dataclass(frozen=True)
class TrainingResult:
    """Totals of a training, including the runs before it was resumed.

    samples: clips of all batches, counted with repetition. seconds: training time. waiting_share: share of it in which
    nothing was computed, because data, the log or a saved state was waited for. peak_share: useful arithmetic of a
    second as a share of what the GPU was measured to do; None on a CPU. memory_bytes: most that rank 0 held, of the
    GPU's memory or else of the process's. loss, accuracy: of the last step's batch. clips_never_seen: clips that were
    in no batch. seen: path of seen.parquet, if it was requested.
    """

    steps: int
    samples: int
    seconds: float
    samples_per_second: float
    waiting_share: float
    peak_share: float | None
    memory_bytes: int
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
    compile: bool | None = None,
    memory: MemoryPlan | None = None,
    log: Callable[[Row], object] = lambda row: None,
    note: Callable[[str], object] = lambda line: None,
    save_every_seconds: float = 60.0,
    keep_seen: bool = False,
    receipt: Mapping[str, Any] | None = None,
) -> TrainingResult:
    """Trains a model, or resumes its training, and saves it in `folder / "checkpoint"`.

    tokenizer, initial_weights: replace those that `recipe.initialise_from` names; if that is None, they replace a
    vocabulary learnt from the captions and random weights. Resuming needs the same ones again.
    workers: number of processes per rank that read and prepare frames. They are started by spawn: a script that calls
    this with workers must guard its own code by `if __name__ == "__main__"`.
    compile: compile the towers' blocks with torch.compile; None: on a GPU. memory: how a rank's rows are made to fit
    into memory; None: found at the start on a GPU, all at once on a CPU.
    log: called on rank 0 with each step's {step, phase, loss, learning_rate, samples_per_second, accuracy,
    temperature, gradient_norm, waiting_share, peak_share, memory_bytes}; steps count from 0, the temperature is the one
    after the step, the last three are as in TrainingResult. A resumed run repeats the steps after its last saved state.
    note: called on rank 0 with a line of what was found at the start.
    save_every_seconds: minimum time between two saved states. keep_seen: write seen.parquet.
    receipt: additional entries of the checkpoint's receipt.
    Raises ValueError if the folder holds the training of another recipe or of other clips; the folder is not changed.
    Raises FloatingPointError, naming the step and its clips, if the loss or a gradient is not finite; the folder
    keeps the last saved state.
    """
    device, folder = torch.device(device), Path(folder)
    ranks = Ranks.current()
    plan = Plan(recipe, clips.video_numbers)
    min_batch_size = min(phase.batch_size for phase in plan.phases)
    if min_batch_size < ranks.count:
        raise ValueError(f"a batch of {min_batch_size} clips cannot be divided among {ranks.count} ranks")
    saved = SavedState(folder / "state.pt", recipe.version, clips_digest(clips))
    state = saved.read()
    ranks.check_same_step(0 if state is None else state["step"])

    tokenizer = tokenizer or _tokenizer(recipe, clips)
    if tokenizer.vocab_size > recipe.model.vocab_size or tokenizer.context_length > recipe.model.context_length:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} tokens and returns {tokenizer.context_length} per text, but the "
            f"model embeds {recipe.model.vocab_size} and reads {recipe.model.context_length}"
        )
    recipe, initial = _with_initial_weights(recipe, initial_weights)
    model = _model(recipe, initial)
    if recipe.wise_ft is None or not ranks.first:
        initial = None  # it takes as much memory as the model, and only the average at the end needs it
    if state is not None:
        load_into(model, state["model"])
    model.to(device)
    model.text_encoder.requires_grad_(not recipe.freeze_text)
    model.train()
    step = TrainingStep(recipe, model, ranks, device, clips.video_numbers)
    on_gpu = device.type == "cuda"
    compile = on_gpu if compile is None else compile
    plans = {phase.number: memory or MemoryPlan() for phase in plan.phases}
    first_step = 0 if state is None else state["step"]
    peak: float | None = None
    if on_gpu and first_step < plan.steps:
        peak = measured_peak(device, torch.bfloat16 if recipe.precision == "bfloat16" else torch.float32)
    if on_gpu and memory is None and first_step < plan.steps:
        coming = [phase for phase in plan.phases if phase.end_step > first_step]
        plans |= step.fitted(coming, compile=compile, note=note if ranks.first else lambda line: None)
    elif compile:
        step.compile()

    waits = Waits(device)
    progress = _Progress(state, saved, StepLog(folder / "log.jsonl"), ranks, save_every_seconds, waits, recipe, peak)
    optimiser = adamw(model, recipe)
    if state is not None and progress.step < plan.steps and progress.step not in _phase_starts(plan):
        optimiser.load_state_dict(state["optimiser"])
    del state
    batches = batches_with_samples(
        Samples(clips, recipe, tokenizer, all_tokens=compile),
        plan,
        first_step=progress.step,
        rank=ranks.rank,
        ranks=ranks.count,
        slices={number: memory_plan.slices for number, memory_plan in plans.items()},
        workers=workers,
        pin_memory=on_gpu,
    )
    with waits.pause():
        loaded = _next_loaded(batches, step)
    while loaded is not None:
        batch = loaded.batch
        if batch.step in _phase_starts(plan) and batch.step:
            optimiser = adamw(model, recipe)  # in the paper, each phase is a separate run
        rate = learning_rate(batch.plan, batch.step)
        set_learning_rate(optimiser, rate)
        loss, norm = step.gradients(batch, loaded.slices, loaded.first, plans[batch.plan.number].recompute)
        with waits.pause():
            loaded = _next_loaded(batches, step)  # before the loss is waited for: a GPU still computes
            gradient_norm = norm.item()
        if not math.isfinite(loss.value.item()) or not math.isfinite(gradient_norm):
            raise FloatingPointError(_not_finite_message(batch, loss, clips, folder / "not_finite.json", ranks))
        optimiser.step()
        row = progress.record_step(batch, loss, rate, gradient_norm, model.temp.item())
        with waits.pause():
            if ranks.first:
                log(row)
                progress.save_if_time(partial(_state, model, optimiser))
    progress.save(partial(_state, model, optimiser))

    seen_by_phase = [plan.times_seen(phase) for phase in plan.phases]
    times_seen = np.sum(seen_by_phase, axis=0)
    result = TrainingResult(
        steps=plan.steps,
        samples=int(times_seen.sum()),
        seconds=round(progress.seconds, 3),
        samples_per_second=round(int(times_seen.sum()) / progress.seconds, 3),
        waiting_share=round(progress.waited / progress.seconds, 4),
        peak_share=progress.peak_share,
        memory_bytes=progress.memory_bytes,
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


@dataclass(frozen=True)
class _Loaded:
    """A batch whose samples are loaded. first: the upload of its first slice, which was started."""

    batch: Batch
    slices: list[Slice]
    first: Upload


def _next_loaded(batches: Iterator[tuple[Batch, list[Slice]]], step: TrainingStep) -> _Loaded | None:
    loaded = next(batches, None)
    return None if loaded is None else _Loaded(*loaded, step.uploads.begin(loaded[1][0]))


# ---- initial tokenizer and weights ----


def _tokenizer(recipe: Recipe, clips: Clips) -> Tokenizer:
    if recipe.initialise_from is not None:
        return initial_tokenizer(recipe.initialise_from, context_length=recipe.model.context_length)
    captions = (
        prepare_text(caption) for positions in _position_ranges(len(clips)) for caption in clips.captions(positions)
    )
    return Tokenizer.trained_on(
        captions, vocab_size=recipe.model.vocab_size, context_length=recipe.model.context_length
    )


def _with_initial_weights(
    recipe: Recipe, weights: Mapping[str, Tensor] | None
) -> tuple[Recipe, dict[str, Tensor] | None]:
    """Returns the recipe, with the activation of the CLIP that it starts from, and the weights that it starts with."""
    if weights is not None:
        return recipe, fit(weights, recipe.model)
    if recipe.initialise_from is not None:
        config, clip_weights = initial_clip(recipe.initialise_from)
        recipe = replace(recipe, model=replace(recipe.model, activation=config.activation))
        return recipe, fit({**clip_weights, "temp": torch.tensor(recipe.initial_temperature)}, recipe.model)
    return recipe, None


def _model(recipe: Recipe, initial: Mapping[str, Tensor] | None) -> ViCLIP:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        model = ViCLIP(recipe.model, temperature=recipe.initial_temperature)
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


class _Progress(TrainingProgress):
    """Notes also for how long nothing was computed, memory, and how much of its peak a GPU reached.

    waited: seconds in which nothing was computed. peak: operations per second that the GPU was measured to do.
    """

    def __init__(
        self,
        state: dict[str, Any] | None,
        saved: SavedState,
        log: StepLog,
        ranks: Ranks,
        save_every_seconds: float,
        waits: Waits,
        recipe: Recipe,
        peak: float | None,
    ) -> None:
        super().__init__(state, saved, log, save_every_seconds, is_first=ranks.first)
        self.ranks, self.waits, self.recipe, self.peak = ranks, waits, recipe, peak

    def begins_with(self, state: Mapping[str, Any]) -> None:
        self.last: Row = state["last"] if state else {}
        self.waited: float = state["waited"] if state else 0.0
        self.at_peak: float = state["at_peak"] if state else 0.0  # seconds that a GPU at its peak would have taken
        self.memory_bytes: int = state["memory_bytes"] if state else 0

    def counted(self) -> Mapping[str, Any]:
        return {name: getattr(self, name) for name in ("waited", "at_peak", "memory_bytes", "last")}

    @property
    def peak_share(self) -> float | None:
        return round(self.at_peak / self.seconds, 4) if self.at_peak else None

    def record_step(self, batch: Batch, loss: Loss, rate: float, gradient_norm: float, temperature: float) -> Row:
        now = time.monotonic()
        seconds, waited = now - self.step_began, self.waits.take()
        phase = batch.plan.phase
        at_peak = 0.0
        if self.peak is not None:
            operations = step_flops(
                self.recipe.model,
                frames=self.recipe.frames,
                mask_ratio=phase.mask_ratio,
                train_text=not self.recipe.freeze_text,
            )
            at_peak = operations * len(batch.clips) / self.ranks.count / self.peak
        self.waited += waited
        self.at_peak += at_peak
        self.memory_bytes = max(self.memory_bytes, peak_memory_bytes(self.waits.device))
        self.last = {
            "step": batch.step,
            "phase": phase.name,
            "loss": loss.value.item(),
            "learning_rate": rate,
            "samples_per_second": round(len(batch.clips) / seconds, 3),
            "accuracy": loss.accuracy.item(),
            "temperature": temperature,
            "gradient_norm": gradient_norm,
            "waiting_share": round(min(waited / seconds, 1.0), 4),
            "peak_share": round(at_peak / seconds, 4) if at_peak else None,
            "memory_bytes": self.memory_bytes,
        }
        return self.ended(self.last, now)


def _state(model: ViCLIP, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Returns what a training that goes on needs beside its progress."""
    return {"model": model.state_dict(), "optimiser": optimiser.state_dict()}


def clips_digest(clips: Clips) -> str:
    """Returns a hash (32 hex digits) of the clips' ids, captions, video numbers and frame counts, not their frames."""
    digest = hashlib.md5(usedforsecurity=False)
    digest.update(np.ascontiguousarray(clips.video_numbers, np.int64).tobytes())
    digest.update(np.ascontiguousarray(clips.frame_counts, np.int32).tobytes())
    for positions in _position_ranges(len(clips)):
        digest.update(json.dumps([clips.clip_ids(positions), clips.captions(positions)]).encode())
    return digest.hexdigest()


def _position_ranges(count: int) -> list[range]:
    return [range(start, min(start + IDS_PER_READ, count)) for start in range(0, count, IDS_PER_READ)]


def _not_finite_message(batch: Batch, loss: Loss, clips: Clips, path: Path, ranks: Ranks) -> str:
    """Writes the step's clips to a file and returns the error message, which lists the first of them."""
    ids = clips.clip_ids(batch.clips.tolist())
    value = loss.value.item()
    problem = f"the loss is {value}" if not math.isfinite(value) else "a gradient is not finite"
    if ranks.first:
        with atomic_file(path) as file:
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
        "waiting_share": result.waiting_share,
        "peak_share": result.peak_share,
        "memory_bytes": result.memory_bytes,
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
    with atomic_file(path) as file, pq.ParquetWriter(file, schema) as writer:
        for positions in _position_ranges(len(clips)):
            times = times_seen[positions.start : positions.stop]
            writer.write_table(pa.table([clips.clip_ids(positions), times], schema=schema))
