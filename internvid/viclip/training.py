"""Training of a ViCLIP by a recipe: in one process or in many, killed and resumed, always the same run.

What a step computes depends on the recipe, the clips and the step alone. Ranks divide the rows of a batch, slices
divide the rows of a rank, and the loss is always that of the whole batch. So a run that was killed goes on from its
last saved state and ends in the same weights (on one CPU rank bit by bit), and ranks may be other ones than before:
only the order in which numbers are added changes.

Processes find each other through `torch.distributed`, which the caller initialises; all see one `folder`. It holds

    state.pt         what resuming needs; removed by nobody
    log.jsonl        a line per step, each step once
    checkpoint/      the trained model, when it is done
    seen.parquet     on request: how often each clip was trained on
    not_finite.json  the step that stopped training, and its clips
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
BYTES_PER_REDUCTION = 100 << 20  # of gradients that are added over ranks at once; bounds the memory it takes
IDS_IN_MESSAGE = 64


@dataclass(frozen=True)
class TrainingResult:
    """steps: of the whole training, also of runs before. samples: clips in all of its batches. seconds: spent on it.

    loss, accuracy: of the last step's batch, among its own clips. seen: the file, if it was asked for.
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
    """Trains, or goes on training, and leaves the trained model in `folder/"checkpoint"`.

    tokenizer, initial_weights: in place of what `recipe.initialise_from` names; where that is None, of a vocabulary
    learnt from the captions and of random weights. Resuming needs the same ones again.
    workers: processes that read and prepare frames, for each rank. They are started by spawn: a script that calls
    this with workers guards its own code by `if __name__ == "__main__"`.
    log: called on rank 0 with each step's {step, phase, loss, learning_rate, samples_per_second, accuracy,
    temperature, gradient_norm}; steps count from 0, the temperature is that after the step. A resumed run gives again
    those that came after its state was saved.
    receipt: what else the checkpoint's receipt is to say.
    Raises ValueError where the folder holds the training of another recipe or other clips: nothing in it is touched.
    Raises FloatingPointError, naming the step and its clips, where the loss or a gradient is not finite; the folder
    keeps the last state before.
    """
    device, folder = torch.device(device), Path(folder)
    ranks = _Ranks.of_this_process()
    plan = Plan(recipe, clips.video_numbers)
    smallest = min(phase.batch_size for phase in plan.phases)
    if smallest < ranks.count:
        raise ValueError(f"a batch of {smallest} clips cannot be divided among {ranks.count} ranks")
    saved = _SavedState(folder / "state.pt", recipe.version, _digest(clips))
    state = saved.read()
    ranks.agree(0 if state is None else state["step"])

    tokenizer = tokenizer or _tokenizer(recipe, clips)
    if tokenizer.vocab_size > recipe.model.vocab_size or tokenizer.context_length > recipe.model.context_length:
        raise ValueError(
            f"the tokenizer knows {tokenizer.vocab_size} tokens and gives {tokenizer.context_length} of them a text, "
            f"the model {recipe.model.vocab_size} and {recipe.model.context_length}"
        )
    initial = _initial_weights(recipe, initial_weights)
    model = _model(recipe, initial)
    if recipe.wise_ft is None or not ranks.first:
        initial = None  # it takes as much memory as the model, and is needed at the end only
    if state is not None:
        load_into(model, state["model"])
    model.to(device)
    model.text_encoder.requires_grad_(not recipe.freeze_text)
    model.train()
    step = _Step(recipe, model, ranks, device, clips.video_numbers, compile)

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
            optimiser = adamw(model, recipe)  # the paper's phases are runs of their own
        rate = learning_rate(batch.plan, batch.step)
        set_learning_rate(optimiser, rate)
        loss, gradient_norm = step.gradients(batch, slices)
        if not math.isfinite(loss.value.item()) or not math.isfinite(gradient_norm):
            raise FloatingPointError(_not_finite(batch, loss, clips, folder / "not_finite.json", ranks))
        optimiser.step()
        row = progress.done(batch, loss, rate, gradient_norm, model.temp.item())
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
            _write_seen(result.seen, clips, times_seen)
        written = {
            **_receipt(recipe, result, data=saved.data, ranks=ranks.count, device=device),
            "phases": [_phase_receipt(plan, *phase) for phase in zip(plan.phases, seen_by_phase, strict=True)],
            **(receipt or {}),
        }
        trained = _averaged(recipe, model, initial)
        save_checkpoint(result.checkpoint, Checkpoint(trained, tokenizer, Preprocessing.of(recipe), written))
    ranks.wait()
    return result


# ---- what one step computes ----


class _Step:
    """Gradients of the loss of a whole batch, of which this rank has some rows, in slices."""

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
        # The sampler keeps them apart as far as it can; the few pairs that it cannot are no negatives either.
        self.same_video: SameVideo = "masked" if recipe.same_video == "apart" else recipe.same_video
        self.half = recipe.precision == "bfloat16"
        self.drop_path = recipe.drop_path
        self.trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.key_biases = key_biases(model)
        self.encode_video = torch.compile(model.encode_video) if compile else model.encode_video
        self.encode_text = torch.compile(model.encode_text) if compile else model.encode_text

    def gradients(self, batch: Batch, slices: list[Slice]) -> tuple[Loss, float]:
        """Leaves them in the parameters, those of the whole batch on every rank. Returns the loss, that of all ranks,
        and the length of the gradient.

        With one slice this is a forward and a backward pass. With more, embeddings come first, without a graph, then
        the loss's gradient by embedding, then for each slice a forward pass again and its backward pass: so the memory
        is that of one slice, for a third more work, and the negatives are those of the whole batch.
        """
        for parameter in self.trained:
            parameter.grad = None
        with torch.set_grad_enabled(len(slices) == 1):
            embedded = [self._embedded(slice_) for slice_ in slices]
        video, text = (torch.cat([pair[side].detach() for pair in embedded]) for side in (0, 1))
        loss, (of_video, of_text, of_temperature) = self._loss(batch, video, text)
        first = 0
        for number, slice_ in enumerate(slices):
            pair = embedded[0] if len(slices) == 1 else self._embedded(slice_)
            end = first + len(pair[0])
            self._backward(pair, (of_video[first:end], of_text[first:end]))
            embedded[number] = (pair[0].detach(), pair[1].detach())  # lets go of the slice's graph
            first = end
        self.model.temp.grad = of_temperature
        clear_key_gradients(self.key_biases)
        gradients = [parameter.grad for parameter in self.trained if parameter.grad is not None]
        self.ranks.average(gradients)
        return loss, torch.nn.utils.get_total_norm(gradients).item()

    def _embedded(self, slice_: Slice) -> tuple[Tensor, Tensor]:
        """[rows, d] float32, of video and text."""
        there = slice_.to(self.device)
        scales = path_scales(there.path_chances, self.drop_path) if self.drop_path else None
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            video = self.encode_video(there.video, keep=there.keep, path_scales=scales)
            with torch.set_grad_enabled(self.train_text and torch.is_grad_enabled()):
                text = self.encode_text(there.token_ids)
        return video.float(), text.float()

    def _backward(self, embedded: tuple[Tensor, Tensor], gradients: tuple[Tensor, Tensor]) -> None:
        sides = 2 if self.train_text else 1
        torch.autograd.backward(embedded[:sides], gradients[:sides])

    def _loss(self, batch: Batch, video: Tensor, text: Tensor) -> tuple[Loss, tuple[Tensor, ...]]:
        """video, text: [rows, d] of this rank. Returns the loss of the batches of all ranks, and its gradients by
        video, text and temperature, such that the mean over ranks of what they lead to is the whole batch's."""
        rows = len(batch.clips)
        first, end = rows_of_rank(rows, self.ranks.rank, self.ranks.count)
        even = rows % self.ranks.count == 0
        if even:
            compared, compute = batch.clips[first:end], gathered_contrastive_loss
        else:
            # Some ranks have a row more, so each computes the loss of the whole batch.
            compared, compute = batch.clips, contrastive_loss
            video, text = (self.ranks.all_rows(side, rows) for side in (video, text))
        video.requires_grad_()
        text.requires_grad_()
        loss = compute(
            video,
            text,
            temperature=self.model.temperature,
            sample_ids=torch.from_numpy(compared).to(self.device),
            video_numbers=torch.from_numpy(self.video_numbers[compared]).to(self.device),
            same_video=self.same_video,
        )
        of_video, of_text, of_temperature = torch.autograd.grad(loss.value, [video, text, self.model.temp])
        if not even:  # whole where the row is, and nothing elsewhere: a mean over ranks would make it less
            of_video, of_text = (side[first:end] * self.ranks.count for side in (of_video, of_text))
        return loss, (of_video, of_text, of_temperature)


@dataclass(frozen=True)
class _Ranks:
    """The processes that train together; one where torch.distributed is not initialised."""

    rank: int
    count: int

    @classmethod
    def of_this_process(cls) -> _Ranks:
        if not torch.distributed.is_initialized():
            return cls(0, 1)
        return cls(torch.distributed.get_rank(), torch.distributed.get_world_size())

    @property
    def first(self) -> bool:
        return self.rank == 0

    def wait(self) -> None:
        if self.count > 1:
            torch.distributed.barrier()

    def agree(self, step: int) -> None:
        """That all found the same state to go on from. Also keeps any from writing before all have read."""
        if self.count > 1:
            found: list[Any] = [None] * self.count
            torch.distributed.all_gather_object(found, step)
            if len(set(found)) > 1:
                raise ValueError(f"ranks found states of different steps, {found}: all must see one folder")

    def average(self, gradients: list[Tensor]) -> None:
        """The mean over ranks, in place."""
        if self.count == 1:
            return
        together: list[Tensor] = []
        for number, gradient in enumerate(gradients):
            together.append(gradient)
            size = sum(tensor.nbytes for tensor in together)
            if size >= BYTES_PER_REDUCTION or number == len(gradients) - 1:
                flat = torch.cat([tensor.flatten() for tensor in together])
                torch.distributed.all_reduce(flat)
                flat /= self.count
                parts = flat.split([tensor.numel() for tensor in together])
                for tensor, part in zip(together, parts, strict=True):
                    tensor.copy_(part.view_as(tensor))
                together = []

    def all_rows(self, own: Tensor, rows: int) -> Tensor:
        """[rows, d] of all ranks, however many each has. Without gradient."""
        first, end = rows_of_rank(rows, self.rank, self.count)
        every = own.new_zeros(rows, own.shape[1])
        every[first:end] = own
        torch.distributed.all_reduce(every)
        return every


# ---- what is begun with ----


def _tokenizer(recipe: Recipe, clips: Clips) -> Tokenizer:
    if recipe.initialise_from is not None:
        return Tokenizer.clip_from_folder(recipe.initialise_from, context_length=recipe.model.context_length)
    captions = (prepare_text(caption) for positions in _stretches(len(clips)) for caption in clips.captions(positions))
    return Tokenizer.trained_on(
        captions, vocab_size=recipe.model.vocab_size, context_length=recipe.model.context_length
    )


def _initial_weights(recipe: Recipe, given: Mapping[str, Tensor] | None) -> dict[str, Tensor] | None:
    if given is not None:
        return fit(given, recipe.model)
    if recipe.initialise_from is not None:
        _, of_clip = from_clip(recipe.initialise_from)
        return fit({**of_clip, "temp": torch.tensor(recipe.initial_temperature)}, recipe.model)
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
    """What the checkpoint gets: the trained model, or its average with what it began with."""
    if initial is None or recipe.wise_ft is None:
        return model
    averaged = ViCLIP(recipe.model)
    trained = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    load_into(averaged, average(trained, initial, share=recipe.wise_ft))
    return averaged


def _phase_starts(plan: Plan) -> set[int]:
    return {phase.first_step for phase in plan.phases}


# ---- what is kept ----


class _SavedState:
    """What resuming needs, in one file, of one recipe and the same clips."""

    def __init__(self, path: Path, recipe: str, data: str) -> None:
        self.path, self.recipe, self.data = path, recipe, data

    def read(self) -> dict[str, Any] | None:
        """None where there is none. Raises ValueError for that of another training."""
        if not self.path.exists():
            return None
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        for what, found, wanted in (
            ("recipe", state["recipe"], self.recipe),
            ("clips", state["data"], self.data),
        ):
            if found != wanted:
                raise ValueError(
                    f"{self.path.parent} holds the training of other {what} ({found}, not {wanted}): "
                    "give another folder, or remove this one to start anew"
                )
        return state

    def write(self, **content: Any) -> None:
        with _beside(self.path) as unfinished:
            torch.save({"recipe": self.recipe, "data": self.data, **content}, unfinished)


@contextmanager
def _beside(path: Path) -> Iterator[BinaryIO]:
    """A file to write, put at `path` when it is whole: whenever the process is killed, the old or the new is there.

    The unfinished one has one name, so that the next try overwrites what a killed one left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
    with open(unfinished, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)


class _Log:
    """A line of JSON for each step."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def cut(self, step: int) -> None:
        """Removes lines from `step` on, and one that a killed process left half written."""
        if not self.path.exists():
            return
        with open(self.path) as lines:
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] < step]
        with _beside(self.path) as unfinished:
            unfinished.write("".join(kept).encode())

    def add(self, row: Row) -> None:
        with open(self.path, "a") as file:
            file.write(json.dumps(row) + "\n")


class _Progress:
    """How far training is, in steps and seconds, and when its state is saved. `step`: the next one."""

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
            log.cut(self.step)

    @property
    def seconds(self) -> float:
        """From the first step's beginning to the last one's end; for a run that was killed, up to its last save."""
        return self.seconds_before + self.step_began - self.started

    def done(self, batch: Batch, loss: Loss, rate: float, gradient_norm: float, temperature: float) -> Row:
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
    """Of all that training depends on but the frames themselves: 32 hex digits."""
    digest = hashlib.md5(usedforsecurity=False)
    digest.update(np.ascontiguousarray(clips.video_numbers, np.int64).tobytes())
    digest.update(np.ascontiguousarray(clips.frame_counts, np.int32).tobytes())
    for positions in _stretches(len(clips)):
        digest.update(json.dumps([clips.clip_ids(positions), clips.captions(positions)]).encode())
    return digest.hexdigest()


def _stretches(count: int) -> list[range]:
    return [range(start, min(start + IDS_PER_READ, count)) for start in range(0, count, IDS_PER_READ)]


def _not_finite(batch: Batch, loss: Loss, clips: Clips, path: Path, ranks: _Ranks) -> str:
    """The message. Where the batch is large, all of its clips are in the file alone."""
    ids = clips.clip_ids(batch.clips.tolist())
    value = loss.value.item()
    what = f"the loss is {value}" if not math.isfinite(value) else "a gradient is not finite"
    if ranks.first:
        with _beside(path) as unfinished:
            unfinished.write(json.dumps({"step": batch.step, "what": what, "clip_ids": ids}).encode())
    more = f" and {len(ids) - IDS_IN_MESSAGE} more, see {path}" if len(ids) > IDS_IN_MESSAGE else ""
    return f"step {batch.step} ({batch.plan.phase.name}): {what}; its clips: {', '.join(ids[:IDS_IN_MESSAGE])}{more}"


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
    """crowded_per_epoch: clips in a batch with an earlier one of their video, in the phase's first epoch."""
    return {
        "name": phase.phase.name,
        "steps": phase.steps,
        "batch_size": phase.batch_size,
        "batches_per_epoch": phase.batches_per_epoch,
        "left_out_per_epoch": phase.left_out_per_epoch,
        "clips_never_seen": int((times_seen == 0).sum()),
        "crowded_per_epoch": crowding(plan.epoch(phase, 0), plan.video_numbers),
    }


def _write_seen(path: Path, clips: Clips, times_seen: np.ndarray) -> None:
    """clip_id, times: a row for every clip, also for those never seen."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("clip_id", pa.string()), ("times", pa.int64())])
    with _beside(path) as unfinished, pq.ParquetWriter(unfinished, schema) as writer:
        for positions in _stretches(len(clips)):
            times = times_seen[positions.start : positions.stop]
            writer.write_table(pa.table([clips.clip_ids(positions), times], schema=schema))
