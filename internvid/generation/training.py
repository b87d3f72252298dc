"""Trains a generator of videos: an image model's denoiser, inflated to video. See `recipe`.

A step depends on the recipe, the clips and its number only: its noise, its times and the captions that are left out are
drawn for the whole batch, which ranks divide. So a killed training goes on from its last saved state and ends with the
same weights (bit by bit on one CPU rank). The caller initialises `torch.distributed`. The folder holds

    state.pt            the state for resuming
    log.jsonl           one line per step, each step once
    latents.cache       the latents of each clip, encoded once; with latents.cache.json, and of a linear autoencoder
                        autoencoder.cache
    unreadable.jsonl    one line per clip that was left out because its frames could not be read
    checkpoint/         the trained generator, after the last step
    checkpoint_at_N/    the same after N steps, where this was asked for
    not_finite.json     the step at which training stopped, and its clips
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from internvid.data import rows_of_rank
from internvid.generation.checkpoint import Generator, new_generator, save_generator
from internvid.generation.model import listed_parameters, set_trained
from internvid.generation.prepared_clips import PreparedClips, ReadClips, read_in_process
from internvid.generation.recipe import GenerationRecipe
from internvid.viclip.clips import Clips
from internvid.viclip.optimisation import learning_rate, parameter_groups, set_learning_rate
from internvid.viclip.ranks import GradientMean, Ranks
from internvid.viclip.sampling import PhasePlan, phase_plans
from internvid.viclip.saved_state import SavedState, StepLog, atomic_file
from internvid.viclip.training import clips_digest
from internvid.viclip.training_progress import PhaseProgress, Row

EMA_WARMUP = 10  # steps: the average forgets the first ones faster


@dataclass(frozen=True)
class GenerationTrainingResult:
    """Totals of a training, including the runs before it was resumed.

    samples: clips of all batches, counted with repetition. loss: mean over the last steps. clips: number trained on.
    unreadable: number of clips that were left out because their frames could not be read: see `unreadable`.
    """

    steps: int
    samples: int
    seconds: float
    loss: float
    clips: int
    unreadable: int
    checkpoint: Path


def train_generator(
    recipe: GenerationRecipe,
    clips: Clips,
    *,
    folder: Path,
    device: str | torch.device = "cpu",
    log: Callable[[Row], object] = lambda row: None,
    note: Callable[[str], object] = lambda line: None,
    save_every_seconds: float = 60.0,
    receipt: Mapping[str, Any] | None = None,
    planned: Callable[[int], object] = lambda steps: None,
    read: ReadClips = read_in_process,
    checkpoints_at: Collection[int] = (),
) -> GenerationTrainingResult:
    """Trains a generator, or resumes its training, and saves it in `folder / "checkpoint"`.

    log: is called on rank 0 with each step's {step, phase, loss, learning_rate, gradient_norm, samples_per_second};
    note: with a line on what was prepared; planned: with the number of steps, before the first one. read: how the
    clips' frames are read. checkpoints_at: numbers of steps after which a checkpoint is written too.
    Raises ValueError if the folder holds the training of another recipe or of other clips, TooManyUnreadable, and
    FloatingPointError, naming the step and its clips, if the loss or a gradient is not finite; the last saved state is
    kept.
    """
    device, folder, ranks = torch.device(device), Path(folder), Ranks.current()
    if not len(clips):
        raise ValueError("there are no clips to train on")
    data = clips_digest(clips)
    saved = SavedState(folder / "state.pt", recipe.version, data)
    state = saved.read()
    ranks.check_same_step(0 if state is None else state["step"])
    generator = new_generator(recipe, _captions(clips)).to(device)
    _set_trained(generator)
    average: dict[str, Tensor] = {}
    if state is not None:
        _load_trained(generator, state["weights"])
        average = {name: value.to(device) for name, value in state["average"].items()}
    prepared = PreparedClips(generator, clips, folder, ranks, made_of=f"{recipe.version} {data}", read=read)
    prepared.prepare(note)
    if state is not None and state["unreadable"] != prepared.unreadable:
        raise ValueError(f"{folder} holds the training of other clips, for others can be read now: remove the folder")
    plan = generation_plan(recipe, len(prepared.readable))
    if plan.batch_size < ranks.count:
        raise ValueError(f"a batch of {plan.batch_size} clips cannot be divided among {ranks.count} ranks")
    planned(plan.steps)
    if device.type == "cuda":
        generator.denoiser.unet.enable_gradient_checkpointing()  # 16 frames of 256 pixels fit one GPU by it

    log_file = StepLog(folder / "log.jsonl")
    progress = PhaseProgress(state, saved, log_file, save_every_seconds, is_first=ranks.first)
    denoiser_step = DenoiserStep(generator, prepared, ranks)
    optimiser = torch.optim.AdamW(
        parameter_groups(denoiser_step.trained, recipe.weight_decay), lr=0.0, betas=recipe.betas, fused=True
    )
    if state is not None:
        optimiser.load_state_dict(state["optimiser"])
    del state
    to_save = partial(_state, generator, average, optimiser, prepared.unreadable)
    for step, positions in _batches(recipe, plan, prepared.readable, progress.step):
        rate = learning_rate(plan, step)
        set_learning_rate(optimiser, rate)
        loss, norm = denoiser_step.gradients(step, positions)
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise FloatingPointError(_not_finite_message(step, clips, positions, folder, ranks))
        optimiser.step()
        _add_to_average(average, _trained_weights(generator), recipe, step)
        row = progress.record(step, plan, len(positions), loss, rate, norm)
        if ranks.first:
            log(row)
            if step + 1 in checkpoints_at:
                save_generator(checkpoint_at(folder, step + 1), generator, average)
            progress.save_if_time(to_save)
    progress.save(to_save)

    result = GenerationTrainingResult(
        steps=plan.steps,
        samples=plan.steps * plan.batch_size,
        seconds=round(progress.seconds, 3),
        loss=progress.mean_loss,
        clips=len(prepared.readable),
        unreadable=len(prepared.unreadable),
        checkpoint=folder / "checkpoint",
    )
    if ranks.first:
        added = [listed for listed in listed_parameters(generator.denoiser) if listed.image_name is None]
        generator.receipt = {
            "recipe": recipe.version,
            "recipe_settings": asdict(recipe),
            **{name: value for name, value in asdict(result).items() if name != "checkpoint"},
            "added_parameters": sum(math.prod(listed.shape) for listed in added),
            "data": data,
            "ranks": ranks.count,
            "device": str(device),
            "torch": torch.__version__,
            "code": version("internvid-lakehouse"),
            **(receipt or {}),
        }
        save_generator(result.checkpoint, generator, average)
    ranks.barrier()
    return result


def checkpoint_at(folder: Path, steps: int) -> Path:
    """Returns the folder of the checkpoint that was written after so many steps."""
    return folder / f"checkpoint_at_{steps}"


def generation_plan(recipe: GenerationRecipe, clips: int) -> PhasePlan:
    """Converts the recipe's epochs to steps."""
    (plan,) = phase_plans([recipe.denoiser], clips=clips)
    return plan


class DenoiserStep:
    """The gradients of a batch: at a random time of diffusion, the denoiser predicts what the recipe says: the noise in
    a clip's latents, the velocity, or the latents.
    """

    def __init__(self, generator: Generator, prepared: PreparedClips, ranks: Ranks) -> None:
        self.generator, self.prepared, self.ranks = generator, prepared, ranks
        self.recipe = generator.recipe
        self.trained = nn.ModuleList([generator.denoiser, generator.text_tower]).train()
        self.parameters = [parameter for parameter in self.trained.parameters() if parameter.requires_grad]
        self.mean_over_ranks = GradientMean(self.parameters, ranks)

    def gradients(self, step: int, positions: Sequence[int]) -> tuple[float, float]:
        """Computes the gradients of a batch. Returns its loss and the norm of the gradients before clipping."""
        first, end = rows_of_rank(len(positions), self.ranks.rank, self.ranks.count)
        device = self.generator.device
        seed = np.random.SeedSequence([self.recipe.seed, step]).generate_state(1, np.uint64)[0]
        random = torch.Generator().manual_seed(int(seed) >> 1)
        is_bfloat16 = self.recipe.precision == "bfloat16" and device.type != "cpu"
        for parameter in self.parameters:
            parameter.grad = None
        with torch.autocast(device.type, torch.bfloat16, enabled=is_bfloat16):
            losses = self._losses(positions, slice(first, end), random)
        # The mean over the ranks of this is the mean over the batch.
        loss = losses.sum() * self.ranks.count / len(positions)
        with self.mean_over_ranks.during():
            loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.recipe.max_gradient_norm)
        value = loss.detach()
        self.mean_over_ranks.of(value)
        return value.item(), norm.item()

    def _losses(self, positions: Sequence[int], rows: slice, random: torch.Generator) -> Tensor:
        """Returns the loss of each of the batch's clips in `rows`. random: is used alike by all ranks."""
        scheduler, device = self.generator.scheduler, self.generator.device
        count = scheduler.config.num_train_timesteps
        times = torch.randint(count, (len(positions),), generator=random)[rows]
        is_last = torch.rand(len(positions), generator=random)[rows] < self.recipe.last_time_share
        times[is_last] = count - 1
        without = torch.rand(len(positions), generator=random)[rows] < self.recipe.caption_dropout
        noise = torch.randn(len(positions), *self.generator.latent_shape, generator=random)[rows].to(device)
        latents = torch.from_numpy(self.prepared.latents.rows(positions[rows])).to(device)
        times = times.to(device)
        captions = self.prepared.clips.captions(positions[rows])
        read = ["" if is_left_out else caption for caption, is_left_out in zip(captions, without, strict=True)]
        noisy = scheduler.add_noise(latents, noise, times)
        targets = {
            "epsilon": lambda: noise,
            "v_prediction": lambda: scheduler.get_velocity(latents, noise, times),
            "sample": lambda: latents,
        }
        target = targets[scheduler.config.prediction_type]()
        predicted = self.generator.denoiser(noisy, times, self.generator.texts(read))
        return functional.mse_loss(predicted.float(), target, reduction="none").mean((1, 2, 3, 4))


def _captions(clips: Clips) -> Iterator[str]:
    for start in range(0, len(clips), 10_000):
        yield from clips.captions(range(start, min(start + 10_000, len(clips))))


def _set_trained(generator: Generator) -> None:
    """Sets which parameters are trained. A text tower that came with an image model stays as it is."""
    recipe = generator.recipe
    generator.autoencoder.requires_grad_(False)
    generator.text_tower.requires_grad_(recipe.image_model is None)
    set_trained(generator.denoiser, recipe.trained)


def _trained_weights(generator: Generator) -> dict[str, Tensor]:
    return {
        f"{part}.{name}": parameter
        for part, network in generator.parts.items()
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
    }


@torch.no_grad()
def _load_trained(generator: Generator, weights: Mapping[str, Tensor]) -> None:
    for name, parameter in _trained_weights(generator).items():
        parameter.copy_(weights[name])


@torch.no_grad()
def _add_to_average(
    average: dict[str, Tensor], weights: Mapping[str, Tensor], recipe: GenerationRecipe, steps_before: int
) -> None:
    decay = min(recipe.ema_decay, (1 + steps_before) / (EMA_WARMUP + steps_before))
    if not average:
        average.update({name: value.detach().clone() for name, value in weights.items()})
    torch._foreach_lerp_(list(average.values()), [weights[name] for name in average], 1 - decay)


def _batches(
    recipe: GenerationRecipe, plan: PhasePlan, clips: np.ndarray, first_step: int
) -> Iterator[tuple[int, list[int]]]:
    """Yields (step, positions of its clips) from `first_step` on. Epochs are seeded permutations of the clips."""
    order: tuple[int, np.ndarray] | None = None
    for step in range(first_step, plan.steps):
        epoch, index = divmod(step, plan.batches_per_epoch)
        if order is None or order[0] != epoch:
            order = epoch, np.random.default_rng([recipe.seed, epoch]).permutation(clips)
        yield step, order[1][index * plan.batch_size :][: plan.batch_size].tolist()


def _state(
    generator: Generator, average: Mapping[str, Tensor], optimiser: torch.optim.Optimizer, unreadable: list[int]
) -> dict[str, Any]:
    """Returns what a training that goes on needs beside its progress. unreadable: positions of clips."""
    return {
        "unreadable": unreadable,
        "weights": {name: value.detach() for name, value in _trained_weights(generator).items()},
        "average": dict(average),
        "optimiser": optimiser.state_dict(),
    }


def _not_finite_message(step: int, clips: Clips, positions: Sequence[int], folder: Path, ranks: Ranks) -> str:
    """Writes the step's clips to a file and returns the error message."""
    ids = clips.clip_ids(positions)
    if ranks.first:
        with atomic_file(folder / "not_finite.json") as file:
            file.write(json.dumps({"step": step, "clip_ids": ids}).encode())
    return f"step {step}: the loss or a gradient is not finite; its clips: {', '.join(ids[:16])}"
