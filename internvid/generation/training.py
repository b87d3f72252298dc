"""Trains a generator of videos: a new image model's autoencoder first, then the inflated denoiser. See `recipe`.

A step depends on the recipe, the clips and its number only: its noise, its times and the captions that are left out are
drawn for the whole batch, which ranks divide. So a killed training goes on from its last saved state and ends with the
same weights (bit by bit on one CPU rank). The caller initialises `torch.distributed`. The folder holds

    state.pt            the state for resuming
    log.jsonl           one line per step, each step once
    frames.cache        the frames of each clip, for a new autoencoder; with frames.cache.json
    latents.cache       the latents of each clip, encoded once; with latents.cache.json
    checkpoint/         the trained generator, after the last step
    not_finite.json     the step at which training stopped, and its clips
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from internvid.data import rows_of_rank
from internvid.generation.checkpoint import Generator, new_generator, save_generator
from internvid.generation.kept_arrays import KeptArray
from internvid.generation.model import listed_parameters, set_trained
from internvid.generation.recipe import GenerationRecipe
from internvid.viclip.clips import Clips
from internvid.viclip.frame_choice import middle_frames
from internvid.viclip.optimisation import learning_rate, parameter_groups, set_learning_rate
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.ranks import GradientMean, Ranks
from internvid.viclip.sampling import PhasePlan, phase_plans
from internvid.viclip.saved_state import SavedState, StepLog, atomic_file
from internvid.viclip.training import clips_digest

Row = dict[str, Any]

FRAMES_CACHE, LATENTS_CACHE = "frames.cache", "latents.cache"
CLIPS_PER_CALL = 4  # that are decoded together: of 1080 lines, each takes 100 MB
CLIPS_TO_SCALE = 256  # over whose latents the mean and deviation are measured
LOSSES_IN_MEAN = 50  # steps
KL_WEIGHT = 1e-5  # of the autoencoder: latents stay near a normal distribution
EMA_WARMUP = 10  # steps: the average forgets the first ones faster


@dataclass(frozen=True)
class GenerationTrainingResult:
    """Totals of a training, including the runs before it was resumed.

    samples: clips of all batches, counted with repetition. loss: of the denoiser, mean over the last steps.
    autoencoder_loss: mean over its last steps; None where it came with the image model.
    """

    steps: int
    samples: int
    seconds: float
    loss: float
    autoencoder_loss: float | None
    clips: int
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
) -> GenerationTrainingResult:
    """Trains a generator, or resumes its training, and saves it in `folder / "checkpoint"`.

    log: is called on rank 0 with each step's {step, phase, loss, learning_rate, gradient_norm, samples_per_second};
    note: with a line on what was prepared.
    Raises ValueError if the folder holds the training of another recipe or of other clips, and FloatingPointError,
    naming the step and its clips, if the loss or a gradient is not finite; the last saved state is kept.
    """
    device, folder, ranks = torch.device(device), Path(folder), Ranks.current()
    plans = generation_plans(recipe, len(clips))
    if plans[-1].batch_size < ranks.count:
        raise ValueError(f"a batch of {plans[-1].batch_size} clips cannot be divided among {ranks.count} ranks")
    data = clips_digest(clips)
    saved = SavedState(folder / "state.pt", recipe.version, data)
    state = saved.read()
    ranks.check_same_step(0 if state is None else state["step"])
    generator = new_generator(recipe, _captions(clips)).to(device)
    _set_trained(generator)
    prepared = PreparedClips(generator, clips, folder, ranks, made_of=f"{recipe.version} {data}")
    average: dict[str, Tensor] = {}
    if state is not None:
        _load_trained(generator, state["weights"])
        average = {name: value.to(device) for name, value in state["average"].items()}
        if state["scaling"] is not None:
            _set_scaling(generator, *state["scaling"])
    if device.type == "cuda":
        generator.denoiser.unet.enable_gradient_checkpointing()  # 16 frames of 256 pixels fit one GPU by it

    progress = _Progress(state, saved, StepLog(folder / "log.jsonl"), ranks, save_every_seconds)
    optimiser: torch.optim.Optimizer | None = None
    for plan, step, positions in _batches(recipe, plans, len(clips), progress.step):
        if optimiser is None or step == plan.first_step:
            if plan.phase.name == "autoencoder":
                prepared.keep_frames(note)
                objective: _Objective = AutoencoderObjective(generator, prepared, ranks)
            else:
                if recipe.autoencoder is not None and step == plan.first_step:
                    _set_scaling(generator, *prepared.scaling())
                    progress.save(generator, average, optimiser)  # latents are those of these weights
                prepared.keep_latents(note)
                objective = DenoiserObjective(generator, prepared, ranks)
            optimiser = _adamw(objective.trained, recipe)
            if state is not None and step == state["step"] and step != plan.first_step:
                optimiser.load_state_dict(state["optimiser"])
            state = None
        rate = learning_rate(plan, step)
        set_learning_rate(optimiser, rate)
        loss, norm = objective.gradients(plan, step, positions)
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise FloatingPointError(_not_finite_message(step, plan, clips, positions, folder, ranks))
        optimiser.step()
        if isinstance(objective, DenoiserObjective):
            _add_to_average(
                average, _trained_weights(generator, ("denoiser", "text_tower")), recipe, step - plan.first_step
            )
        row = progress.record(step, plan, len(positions), loss, rate, norm)
        if ranks.first:
            log(row)
            progress.save_if_time(generator, average, optimiser)
    progress.save(generator, average, optimiser)

    result = GenerationTrainingResult(
        steps=plans[-1].end_step,
        samples=sum(plan.steps * plan.batch_size for plan in plans),
        seconds=round(progress.seconds, 3),
        loss=progress.mean_loss("denoiser"),
        autoencoder_loss=None if recipe.autoencoder is None else progress.mean_loss("autoencoder"),
        clips=len(clips),
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


def generation_plans(recipe: GenerationRecipe, clips: int) -> list[PhasePlan]:
    """Converts the phases' epochs to steps. Raises ValueError without clips."""
    if clips < 1:
        raise ValueError("there are no clips to train on")
    return phase_plans(recipe.phases, clips=clips)


class PreparedClips:
    """What a training reads of its clips, each computed once and kept in a file by the first rank."""

    def __init__(self, generator: Generator, clips: Clips, folder: Path, ranks: Ranks, *, made_of: str) -> None:
        recipe = generator.recipe
        self.generator, self.clips, self.ranks = generator, clips, ranks
        self.preprocessing = Preprocessing(image_size=recipe.image_size, fit=recipe.fit)
        side = recipe.image_size
        self.frames = KeptArray(
            folder / FRAMES_CACHE,
            clips=len(clips),
            row_shape=(recipe.frames, 3, side, side),
            dtype=np.uint8,
            made_of=made_of,
        )
        self.latents = KeptArray(
            folder / LATENTS_CACHE,
            clips=len(clips),
            row_shape=generator.latent_shape,
            dtype=np.float32,
            made_of=made_of,
        )

    def keep_frames(self, note: Callable[[str], object]) -> None:
        """Decodes each clip's frames."""
        self._fill(self.frames, lambda positions: self.decoded(positions).numpy(), "frames", note)

    def keep_latents(self, note: Callable[[str], object]) -> None:
        """Encodes each clip's frames."""
        self._fill(self.latents, lambda positions: self.encoded(positions).numpy(), "latents", note)

    def _fill(
        self, kept: KeptArray, rows: Callable[[range], np.ndarray], what: str, note: Callable[[str], object]
    ) -> None:
        if self.ranks.first and kept.filled < len(self.clips):
            began = time.monotonic()
            missing = len(self.clips) - kept.filled
            kept.fill(rows, clips_per_call=CLIPS_PER_CALL)
            note(f"{what} of {missing:,} clips in {time.monotonic() - began:.0f} s")
        self.ranks.barrier()

    def decoded(self, positions: Sequence[int]) -> Tensor:
        """Returns frames from all over each clip, [clips, t, 3, h, w] uint8: the middle ones of equal parts."""
        frames = self.generator.recipe.frames
        picks = [(at, middle_frames(int(self.clips.frame_counts[at]), frames)) for at in positions]
        return self.preprocessing.pixels(self.clips.frames(picks))

    def encoded(self, positions: Sequence[int]) -> Tensor:
        """Returns [clips, t, c, h, w]. A clip is encoded by itself: so its latents do not depend on its neighbours."""
        if self.frames.filled == len(self.clips):
            videos = torch.from_numpy(self.frames.rows(positions))
        else:
            videos = self.decoded(positions)
        return torch.stack([self.generator.encoded(video).cpu() for video in videos])

    def scaling(self) -> tuple[float, float]:
        """Returns factor and shift by which the latents of a new autoencoder get the mean 0 and the deviation 1."""
        _set_scaling(self.generator, 1.0, 0.0)
        count = min(CLIPS_TO_SCALE, len(self.clips))
        evenly = [number * len(self.clips) // count for number in range(count)]
        latents = torch.cat(
            [self.encoded(evenly[start : start + CLIPS_PER_CALL]) for start in range(0, count, CLIPS_PER_CALL)]
        )
        return 1.0 / float(latents.std()), float(latents.mean())


class _Objective:
    """What a phase trains, and its loss. trained: the networks whose parameters are trained."""

    def __init__(self, generator: Generator, prepared: PreparedClips, ranks: Ranks, trained: nn.ModuleList) -> None:
        self.generator, self.prepared, self.ranks, self.trained = generator, prepared, ranks, trained
        self.recipe = generator.recipe
        trained.train()
        self.parameters = [parameter for parameter in trained.parameters() if parameter.requires_grad]

    @cached_property
    def mean_over_ranks(self) -> GradientMean:
        return GradientMean(self.parameters, self.ranks)

    def gradients(self, plan: PhasePlan, step: int, positions: Sequence[int]) -> tuple[float, float]:
        """Computes the gradients of a batch. Returns its loss and the norm of the gradients before clipping."""
        first, end = rows_of_rank(len(positions), self.ranks.rank, self.ranks.count)
        device = self.generator.device
        seed = np.random.SeedSequence([self.recipe.seed, plan.number, step]).generate_state(1, np.uint64)[0]
        random = torch.Generator().manual_seed(int(seed) >> 1)
        is_bfloat16 = self.recipe.precision == "bfloat16" and device.type != "cpu"
        for parameter in self.parameters:
            parameter.grad = None
        with torch.autocast(device.type, torch.bfloat16, enabled=is_bfloat16):
            losses = self.losses(positions, slice(first, end), random)  # of each clip of this rank
        # The mean over the ranks of this is the mean over the batch.
        loss = losses.sum() * self.ranks.count / len(positions)
        with self.mean_over_ranks.during():
            loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.recipe.max_gradient_norm)
        value = loss.detach()
        self.mean_over_ranks.of(value)
        return value.item(), norm.item()

    def losses(self, positions: Sequence[int], rows: slice, random: torch.Generator) -> Tensor:
        """Returns the loss of each of the batch's clips in `rows`. random: is used alike by all ranks."""
        raise NotImplementedError


class AutoencoderObjective(_Objective):
    """A random frame of each clip is to be the same after encoding and decoding."""

    def __init__(self, generator: Generator, prepared: PreparedClips, ranks: Ranks) -> None:
        super().__init__(generator, prepared, ranks, nn.ModuleList([generator.autoencoder]))

    def losses(self, positions: Sequence[int], rows: slice, random: torch.Generator) -> Tensor:
        chosen = torch.randint(self.recipe.frames, (len(positions),), generator=random)
        noise = torch.randn(len(positions), *self.generator.latent_shape[1:], generator=random)[rows]
        videos = torch.from_numpy(self.prepared.frames.rows(positions[rows]))
        pixels = self.generator.pixels(videos[torch.arange(len(videos)), chosen[rows]])
        encoded = self.generator.autoencoder.encode(pixels).latent_dist
        latents = encoded.mean + encoded.std * noise.to(pixels.device)
        decoded = self.generator.autoencoder.decode(latents).sample
        difference = (decoded - pixels).abs().mean((1, 2, 3)) + functional.mse_loss(
            decoded, pixels, reduction="none"
        ).mean((1, 2, 3))
        return difference.float() + KL_WEIGHT * encoded.kl()


class DenoiserObjective(_Objective):
    """The denoiser predicts, at a random time of diffusion, the noise in a clip's latents, or the velocity."""

    def __init__(self, generator: Generator, prepared: PreparedClips, ranks: Ranks) -> None:
        super().__init__(generator, prepared, ranks, nn.ModuleList([generator.denoiser, generator.text_tower]))

    def losses(self, positions: Sequence[int], rows: slice, random: torch.Generator) -> Tensor:
        scheduler, device = self.generator.scheduler, self.generator.device
        times = torch.randint(scheduler.config.num_train_timesteps, (len(positions),), generator=random)[rows]
        without = torch.rand(len(positions), generator=random)[rows] < self.recipe.caption_dropout
        noise = torch.randn(len(positions), *self.generator.latent_shape, generator=random)[rows].to(device)
        latents = torch.from_numpy(self.prepared.latents.rows(positions[rows])).to(device)
        times = times.to(device)
        captions = self.prepared.clips.captions(positions[rows])
        read = ["" if is_left_out else caption for caption, is_left_out in zip(captions, without, strict=True)]
        noisy = scheduler.add_noise(latents, noise, times)
        is_velocity = scheduler.config.prediction_type == "v_prediction"
        target = scheduler.get_velocity(latents, noise, times) if is_velocity else noise
        predicted = self.generator.denoiser(noisy, times, self.generator.texts(read))
        return functional.mse_loss(predicted.float(), target, reduction="none").mean((1, 2, 3, 4))


def _captions(clips: Clips) -> Iterator[str]:
    for start in range(0, len(clips), 10_000):
        yield from clips.captions(range(start, min(start + 10_000, len(clips))))


def _set_trained(generator: Generator) -> None:
    """Sets which parameters are trained in any phase. A text tower that came with an image model stays as it is."""
    recipe = generator.recipe
    generator.autoencoder.requires_grad_(recipe.autoencoder is not None)
    generator.text_tower.requires_grad_(recipe.image_model is None)
    set_trained(generator.denoiser, recipe.trained)


def _set_scaling(generator: Generator, factor: float, shift: float) -> None:
    generator.autoencoder.register_to_config(scaling_factor=factor, shift_factor=shift)


def _trained_weights(generator: Generator, parts: Sequence[str] | None = None) -> dict[str, Tensor]:
    return {
        f"{part}.{name}": parameter
        for part, network in generator.parts.items()
        if parts is None or part in parts
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
    recipe: GenerationRecipe, plans: Iterable[PhasePlan], clips: int, first_step: int
) -> Iterator[tuple[PhasePlan, int, list[int]]]:
    """Yields (phase, step, positions of its clips) from `first_step` on. Epochs are seeded permutations."""
    for plan in plans:
        order: tuple[int, np.ndarray] | None = None
        for step in range(max(first_step, plan.first_step), plan.end_step):
            epoch, index = divmod(step - plan.first_step, plan.batches_per_epoch)
            if order is None or order[0] != epoch:
                order = epoch, np.random.default_rng([recipe.seed, plan.number, epoch]).permutation(clips)
            yield plan, step, order[1][index * plan.batch_size :][: plan.batch_size].tolist()


def _adamw(trained: nn.Module, recipe: GenerationRecipe) -> torch.optim.AdamW:
    return torch.optim.AdamW(parameter_groups(trained, recipe.weight_decay), lr=0.0, betas=recipe.betas, fused=True)


class _Progress:
    """Counts steps and seconds, writes the log, and saves the state. step: the next step."""

    def __init__(
        self,
        state: Mapping[str, Any] | None,
        saved: SavedState,
        log: StepLog,
        ranks: Ranks,
        save_every_seconds: float,
    ) -> None:
        self.saved, self.log, self.ranks, self.save_every_seconds = saved, log, ranks, save_every_seconds
        self.step: int = state["step"] if state else 0
        self.seconds_before: float = state["seconds"] if state else 0.0
        self.losses: dict[str, list[float]] = dict(state["losses"]) if state else {}
        self.started = self.saved_at = self.step_began = time.monotonic()
        if ranks.first:
            saved.path.parent.mkdir(parents=True, exist_ok=True)
            log.truncate(self.step)

    @property
    def seconds(self) -> float:
        return self.seconds_before + self.step_began - self.started

    def mean_loss(self, phase: str) -> float:
        return sum(self.losses[phase]) / len(self.losses[phase])

    def record(self, step: int, plan: PhasePlan, clips: int, loss: float, rate: float, norm: float) -> Row:
        now, phase = time.monotonic(), plan.phase.name
        row = {
            "step": step,
            "phase": phase,
            "loss": loss,
            "learning_rate": rate,
            "gradient_norm": norm,
            "samples_per_second": round(clips / (now - self.step_began), 3),
        }
        self.losses[phase] = [*self.losses.get(phase, []), loss][-LOSSES_IN_MEAN:]
        self.step, self.step_began = step + 1, now
        if self.ranks.first:
            self.log.add(row)
        return row

    def save_if_time(
        self, generator: Generator, average: Mapping[str, Tensor], optimiser: torch.optim.Optimizer
    ) -> None:
        if time.monotonic() - self.saved_at >= self.save_every_seconds:
            self.save(generator, average, optimiser)

    def save(
        self, generator: Generator, average: Mapping[str, Tensor], optimiser: torch.optim.Optimizer | None
    ) -> None:
        if not self.ranks.first or optimiser is None:
            return
        config = generator.autoencoder.config
        self.saved.write(
            step=self.step,
            seconds=self.seconds,
            losses=self.losses,
            weights={name: value.detach() for name, value in _trained_weights(generator).items()},
            average=dict(average),
            scaling=(config.scaling_factor, config.shift_factor or 0.0),
            optimiser=optimiser.state_dict(),
        )
        self.saved_at = time.monotonic()


def _not_finite_message(
    step: int, plan: PhasePlan, clips: Clips, positions: Sequence[int], folder: Path, ranks: Ranks
) -> str:
    """Writes the step's clips to a file and returns the error message."""
    ids = clips.clip_ids(positions)
    if ranks.first:
        with atomic_file(folder / "not_finite.json") as file:
            file.write(json.dumps({"step": step, "clip_ids": ids}).encode())
    return f"step {step} ({plan.phase.name}): the loss or a gradient is not finite; its clips: {', '.join(ids[:16])}"
