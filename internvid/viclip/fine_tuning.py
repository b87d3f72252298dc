"""Fine-tunes a ViCLIP on a benchmark's train split: on its classes, or on retrieval of its videos by their captions.

Retrieval is trained by two losses: the contrastive one, and whether a text says what a video shows, for each pair and
for the pairs that the model mixes up (hard negatives, drawn by similarity). Recognition is trained by cross-entropy.

One process trains. A step depends on the recipe, the clips and its number only, so a killed fine-tuning goes on from
its last saved state and ends with the same weights (bit by bit on a CPU). `folder` holds

    state.pt      the state for resuming; nothing here removes it
    log.jsonl     one line per step, each step once
    checkpoint/   the fine-tuned model with its heads, after the last step
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
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from internvid.data import ClipDataset, Rows, generators_of_row, loaded_by
from internvid.viclip.checkpoint import Checkpoint, save_checkpoint
from internvid.viclip.clips import Clips
from internvid.viclip.device import peak_memory_bytes
from internvid.viclip.fine_tuning_recipe import FineTuning
from internvid.viclip.frame_choice import random_frames
from internvid.viclip.heads import ClassHead, Heads, MatchHead, MatchSizes, save_heads
from internvid.viclip.loss import contrastive_loss
from internvid.viclip.model import ViCLIP, patches_of, path_scales
from internvid.viclip.optimisation import (
    clear_key_gradients,
    key_biases,
    layer_groups,
    learning_rate,
    set_learning_rate,
)
from internvid.viclip.precision import precision_on
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.recipe import Phase
from internvid.viclip.sampling import PhasePlan, phase_plans
from internvid.viclip.saved_state import SavedState, StepLog
from internvid.viclip.tokenizer import Tokenizer, prepare_text
from internvid.viclip.training_progress import Row, TrainingProgress
from internvid.viclip.weights import fit, load_into, with_text_positions

IDS_PER_READ = 10_000


class LabelledClips(Clips, Protocol):
    """Clips of a benchmark: one for each caption of a video, or each video with its class.

    labels: [clips] int64, positions of the classes; of a benchmark for retrieval any.
    """

    @property
    def labels(self) -> np.ndarray: ...


@dataclass(frozen=True)
class FineTuningResult:
    """Totals, including the runs before it was resumed. The fields are as those of `training.TrainingResult`.

    loss, accuracy: of the last batch; accuracy of classes, or of matching videos to texts. clips: videos.
    """

    steps: int
    samples: int
    seconds: float
    samples_per_second: float
    waiting_share: float
    memory_bytes: int
    loss: float
    accuracy: float
    clips: int
    checkpoint: Path


class TunedModel(nn.Module):
    """A ViCLIP with its head. class_head, match_head: None where there is none."""

    def __init__(self, viclip: ViCLIP, class_head: ClassHead | None, match_head: MatchHead | None) -> None:
        super().__init__()
        self.viclip, self.class_head, self.match_head = viclip, class_head, match_head


def fine_tune(
    recipe: FineTuning,
    clips: LabelledClips,
    base: Checkpoint,
    *,
    folder: Path,
    class_vectors: np.ndarray | None = None,
    classes: tuple[str, ...] = (),
    device: str | torch.device = "cpu",
    workers: int = 0,
    log: Callable[[Row], object] = lambda row: None,
    save_every_seconds: float = 60.0,
    receipt: Mapping[str, Any] | None = None,
) -> FineTuningResult:
    """Fine-tunes a copy of the base, or resumes, and saves it in `folder / "checkpoint"`.

    classes: names, for recognition. class_vectors: [classes, d], the zero-shot classifier by the base, which the class
    head begins as. workers: processes that read and prepare frames, started by spawn. log: is called with each step's
    {step, phase, loss, learning_rate, accuracy, samples_per_second, waiting_share, peak_share, memory_bytes}.
    receipt: additional entries of the checkpoint's receipt.
    Raises ValueError if the folder holds the fine-tuning of another recipe, base or other clips, and for fewer than two
    clips; FloatingPointError, naming the step, if the loss is not finite.
    """
    device, folder = torch.device(device), Path(folder)
    if len(clips) < 2:
        raise ValueError(f"{len(clips)} clips are too few to fine-tune on")
    (plan,) = fine_tuning_plan(recipe, len(clips))
    saved = SavedState(folder / "state.pt", recipe.version, data_digest(clips, base))
    state = saved.read()
    model = _model(recipe, base, classes, class_vectors)
    heads = Heads(recipe.benchmark, classes, model.class_head, None, model.match_head)
    if model.class_head is not None:
        heads.zero_shot = ClassHead(*model.class_head.weight.shape)
        load_into(heads.zero_shot, {name: value.clone() for name, value in model.class_head.state_dict().items()})
    if state is not None:
        load_into(model, state["model"])
    model.to(device).train()
    trains_text = recipe.task == "retrieval"
    model.viclip.text_encoder.requires_grad_(trains_text)
    model.viclip.temp.requires_grad_(trains_text)
    if device.type == "cuda":
        model.viclip.recompute("blocks")  # a batch of 256 videos with all their tokens fits into no card otherwise
    # The learning rate is set before each step.
    groups = layer_groups(model, recipe.weight_decay, layer_decay=recipe.layer_decay)
    optimiser = torch.optim.AdamW(groups, lr=0.0, betas=recipe.betas, fused=True)
    if state is not None:
        optimiser.load_state_dict(state["optimiser"])
    tokenizer = _tokenizer(base.tokenizer, recipe)
    samples = Samples(clips, recipe, tokenizer, base)
    step = TuningStep(recipe, model, device, base.preprocessing)
    progress = _Progress(state, saved, StepLog(folder / "log.jsonl"), save_every_seconds, device)
    del state
    dataset = ClipDataset(Order(recipe.seed, plan, len(clips)), samples, rank=0, ranks=1, first_step=progress.step)
    for sample in loaded_by(dataset, workers=workers, pin_memory=device.type == "cuda"):
        progress.loaded()
        set_learning_rate(optimiser, rate := learning_rate(plan, sample.step))
        loss, accuracy = step.gradients(sample)
        if not math.isfinite(loss):
            raise FloatingPointError(f"step {sample.step}: the loss is {loss}")
        optimiser.step()
        log(progress.record(sample, rate, loss, accuracy))
        progress.save_if_time(partial(_state, model, optimiser))
    progress.save(partial(_state, model, optimiser))

    samples_seen = plan.steps * plan.batch_size
    result = FineTuningResult(
        steps=plan.steps,
        samples=samples_seen,
        seconds=round(progress.seconds, 3),
        samples_per_second=round(samples_seen / max(progress.seconds, 1e-9), 3),
        waiting_share=round(progress.waited / max(progress.seconds, 1e-9), 4),
        memory_bytes=progress.memory_bytes,
        loss=progress.last["loss"],
        accuracy=progress.last["accuracy"],
        clips=len(np.unique(clips.video_numbers)),
        checkpoint=folder / "checkpoint",
    )
    full_receipt = {
        "recipe": recipe.version,
        "recipe_settings": asdict(recipe),
        **{name: value for name, value in asdict(result).items() if name != "checkpoint"},
        "data": saved.data,
        "device": str(device),
        "torch": torch.__version__,
        "code": version("internvid-lakehouse"),
        **(receipt or {}),
    }
    save_heads(result.checkpoint, heads)  # before the weights, which are written last
    model.viclip.requires_grad_(True)
    save_checkpoint(result.checkpoint, Checkpoint(model.viclip, tokenizer, base.preprocessing, full_receipt))
    return result


def fine_tuning_plan(recipe: FineTuning, clips: int) -> list[PhasePlan]:
    """Converts the epochs to steps; the plan has one phase."""
    phase = Phase(
        name="fine-tuning",
        mask_ratio=0.0,
        learning_rate=recipe.learning_rate,
        epochs=recipe.epochs,
        warmup_epochs=recipe.warmup_epochs,
        batch_size=recipe.batch_size,
        learning_rate_floor=recipe.learning_rate_floor,
        max_steps=recipe.max_steps,
    )
    return phase_plans([phase], clips=clips)


def data_digest(clips: LabelledClips, base: Checkpoint) -> str:
    """Returns a hash (32 hex digits) of the clips' ids, captions, labels, frame counts, and of the base's weights."""
    digest = hashlib.md5(usedforsecurity=False)
    for numbers in (clips.video_numbers, clips.frame_counts, clips.labels):
        digest.update(np.ascontiguousarray(numbers, np.int64).tobytes())
    for start in range(0, len(clips), IDS_PER_READ):
        positions = range(start, min(start + IDS_PER_READ, len(clips)))
        digest.update(json.dumps([clips.clip_ids(positions), clips.captions(positions)]).encode())
    for name, value in base.model.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def as_begun(base: ViCLIP, config_of: ViCLIP) -> dict[str, Tensor]:
    """Returns the base's weights as a model that was fine-tuned from it began: with its frames and text positions."""
    config = config_of.config
    return fit(with_text_positions(base.state_dict(), config.context_length), config)


def _model(
    recipe: FineTuning, base: Checkpoint, classes: tuple[str, ...], class_vectors: np.ndarray | None
) -> TunedModel:
    config = base.model.config
    max_tokens = recipe.max_tokens if recipe.task == "retrieval" else config.context_length
    config = replace(config, frames=recipe.frames, context_length=max_tokens)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        viclip = ViCLIP(config)
        load_into(viclip, as_begun(base.model, viclip))
        if recipe.task == "retrieval":
            sizes = MatchSizes(recipe.match_width, recipe.match_layers, recipe.match_heads)
            return TunedModel(viclip, None, MatchHead(config, sizes) if recipe.match_weight else None)
    if class_vectors is None or len(class_vectors) != len(classes):
        raise ValueError(f"{len(classes)} classes need as many vectors to begin as")
    vectors = torch.as_tensor(class_vectors, dtype=torch.float32)
    return TunedModel(viclip, ClassHead.zero_shot(vectors, viclip.temp.item()), None)


def _tokenizer(tokenizer: Tokenizer, recipe: FineTuning) -> Tokenizer:
    if recipe.task == "classification":
        return tokenizer
    longer = Tokenizer.__new__(Tokenizer)
    longer.__setstate__({**tokenizer.__getstate__(), "context_length": recipe.max_tokens})
    return longer


# ---- data ----


@dataclass(frozen=True)
class TunedBatch:
    """The clips of a step. clips: positions, [batch] int64."""

    step: int
    clips: np.ndarray


@dataclass(frozen=True)
class Order:
    """Epochs are seeded permutations of the clips, cut into batches."""

    seed: int
    plan: PhasePlan
    clips: int

    def batches(self, first_step: int = 0) -> Iterator[TunedBatch]:
        """Yields the batches from `first_step` on."""
        order: tuple[int, np.ndarray] | None = None
        for step in range(first_step, self.plan.steps):
            epoch, index = divmod(step, self.plan.batches_per_epoch)
            if order is None or order[0] != epoch:
                order = epoch, np.random.default_rng([self.seed, epoch]).permutation(self.clips)
            yield TunedBatch(step, order[1][index * self.plan.batch_size :][: self.plan.batch_size])


@dataclass(frozen=True)
class Sample:
    """A batch as the network reads it. pixels: [b, t, 3, size, size] uint8. path_chances: [b, 2 · layers] in 0..1.

    video_numbers, labels: [b] int64. token_ids: [b, s] int64.
    """

    step: int
    pixels: Tensor
    token_ids: Tensor
    video_numbers: Tensor
    labels: Tensor
    path_chances: Tensor

    def to(self, device: torch.device) -> Sample:
        tensors: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **tensors)

    def pin_memory(self) -> Sample:
        """Returns the sample in pinned memory: the DataLoader's thread calls it."""
        tensors: dict[str, Any] = {
            name: value.pin_memory() for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **tensors)


class Samples:
    """Loads the rows of a batch. It can be pickled to worker processes if the clips can."""

    def __init__(self, clips: LabelledClips, recipe: FineTuning, tokenizer: Tokenizer, base: Checkpoint) -> None:
        self.clips, self.recipe, self.tokenizer = clips, recipe, tokenizer
        self.preprocessing, self.layers = base.preprocessing, base.model.config.vision_layers

    def __call__(self, rows: Rows[TunedBatch]) -> Sample:
        recipe, positions = self.recipe, rows.clips.tolist()
        generators = [
            generators_of_row(recipe.seed, rows.batch.step, rows.first_row + row) for row in range(len(positions))
        ]
        picks = [
            (clip, random_frames(int(self.clips.frame_counts[clip]), recipe.frames, rng))
            for clip, (rng, _) in zip(positions, generators, strict=True)
        ]
        pixels, chances = [], []
        for video, (_, generator) in zip(self.clips.frames(picks), generators, strict=True):
            pixels.append(
                self.preprocessing.augmented(
                    video,
                    crop_scale=recipe.crop_scale,
                    flip=recipe.horizontal_flip,
                    generator=generator,
                    crop=recipe.crop,
                )
            )
            chances.append(torch.rand(2 * self.layers, generator=generator))
        token_ids = self.tokenizer([prepare_text(caption) for caption in self.clips.captions(positions)])
        max_length = int(token_ids.argmax(dim=1).max()) + 1  # tokens after the end token have no effect
        return Sample(
            rows.batch.step,
            torch.stack(pixels),
            token_ids[:, :max_length].contiguous(),
            torch.from_numpy(np.asarray(self.clips.video_numbers[rows.clips], np.int64)),
            torch.from_numpy(np.asarray(self.clips.labels[rows.clips], np.int64)),
            torch.stack(chances),
        )


# ---- one step ----


class TuningStep:
    """Computes the gradients of a batch's loss."""

    def __init__(
        self, recipe: FineTuning, model: TunedModel, device: torch.device, preprocessing: Preprocessing
    ) -> None:
        self.recipe, self.model, self.device, self.preprocessing = recipe, model, device, preprocessing
        self.key_biases = key_biases(model)
        self.is_bfloat16 = precision_on(device.type, recipe.precision) == "bfloat16"

    def gradients(self, sample: Sample) -> tuple[float, float]:
        """Sets the gradients. Returns the loss and the accuracy."""
        on_device = sample.to(self.device)
        self.model.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.is_bfloat16):
            tokens = self._video_tokens(on_device)
            video = tokens[:, 0] @ self.model.viclip.vision_encoder.proj
            if self.model.class_head is not None:
                loss, accuracy = self._of_classes(video, on_device.labels)
            else:
                loss, accuracy = self._of_retrieval(tokens, video, on_device)
        loss.backward()
        clear_key_gradients(self.key_biases)
        return loss.item(), accuracy.item()

    def _video_tokens(self, sample: Sample) -> Tensor:
        config = self.model.viclip.config
        patches = patches_of(sample.pixels, config.patch_size, None)
        scales = path_scales(sample.path_chances, self.recipe.drop_path) if self.recipe.drop_path else None
        return self.model.viclip.vision_encoder.space_time_tokens(
            self.preprocessing.normalised(patches), self.recipe.frames, scales
        )

    def _of_classes(self, video: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        assert self.model.class_head is not None
        with torch.autocast(self.device.type, enabled=False):
            scores = self.model.class_head(video)
        return functional.cross_entropy(scores, labels), (scores.argmax(1) == labels).float().mean()

    def _of_retrieval(self, tokens: Tensor, video: Tensor, sample: Sample) -> tuple[Tensor, Tensor]:
        text_encoder, head = self.model.viclip.text_encoder, self.model.match_head
        states = text_encoder.states(sample.token_ids)
        text = text_encoder.pooled(states, sample.token_ids)
        # Captions of one video are no negatives of it.
        contrastive = contrastive_loss(
            video, text, temperature=self.model.viclip.temperature, sample_ids=sample.video_numbers
        )
        if head is None:
            return contrastive.value, contrastive.accuracy
        wrong = self._negatives(video, text, sample)
        if wrong is None:
            return contrastive.value, contrastive.accuracy
        wrong_videos, wrong_texts = wrong
        right = torch.arange(len(video), device=self.device)
        videos = torch.cat([right, wrong_videos, right])
        texts = torch.cat([right, right, wrong_texts])
        scores = head(
            head.video_tokens(tokens, self.recipe.frames)[videos],
            head.text_tokens(states)[texts],
            sample.token_ids[texts],
        )
        targets = (torch.arange(len(scores), device=self.device) < len(video)).float()
        matching = functional.binary_cross_entropy_with_logits(scores, targets)
        return contrastive.value + self.recipe.match_weight * matching, contrastive.accuracy

    @torch.no_grad()
    def _negatives(self, video: Tensor, text: Tensor, sample: Sample) -> tuple[Tensor, Tensor] | None:
        """Draws for each text another video, and for each video another text, by similarity: the likely mistakes.

        Returns positions, each [b]; None where all rows are of one video.
        """
        numbers = sample.video_numbers
        is_own = numbers[:, None] == numbers
        if bool(is_own.all(1).any()):
            return None
        cosines = functional.normalize(video.float(), dim=1) @ functional.normalize(text.float(), dim=1).T
        scores = (cosines / self.model.viclip.temperature).masked_fill(is_own, -torch.inf).cpu()
        generator = torch.Generator().manual_seed(
            int(np.random.default_rng([self.recipe.seed, sample.step]).integers(2**63))
        )
        # Every row has a chance: beside one video that is very like, softmax would give the others none.
        floor = (~is_own).float().cpu() / len(numbers)
        wrong_videos = torch.multinomial(scores.softmax(0).T + 0.1 * floor, 1, generator=generator).squeeze(1)
        wrong_texts = torch.multinomial(scores.softmax(1) + 0.1 * floor, 1, generator=generator).squeeze(1)
        return wrong_videos.to(self.device), wrong_texts.to(self.device)


class _Progress(TrainingProgress):
    """Notes also for how long data was waited for, and memory. waited: seconds in which nothing was computed."""

    def __init__(
        self,
        state: Mapping[str, Any] | None,
        saved: SavedState,
        log: StepLog,
        save_every_seconds: float,
        device: torch.device,
    ) -> None:
        super().__init__(state, saved, log, save_every_seconds)
        self.device = device
        self.waiting = 0.0

    def begins_with(self, state: Mapping[str, Any]) -> None:
        self.last: Row = state["last"] if state else {}
        self.waited: float = state["waited"] if state else 0.0
        self.memory_bytes: int = state["memory_bytes"] if state else 0

    def counted(self) -> Mapping[str, Any]:
        return {"waited": self.waited, "memory_bytes": self.memory_bytes, "last": self.last}

    def loaded(self) -> None:
        """A batch is there; until now it was waited for."""
        self.waiting = time.monotonic() - self.step_began

    def record(self, sample: Sample, rate: float, loss: float, accuracy: float) -> Row:
        now = time.monotonic()
        seconds = max(now - self.step_began, 1e-9)
        self.waited += self.waiting
        self.memory_bytes = max(self.memory_bytes, peak_memory_bytes(self.device))
        self.last = {
            "step": sample.step,
            "phase": "fine-tuning",
            "loss": loss,
            "learning_rate": rate,
            "accuracy": accuracy,
            "samples_per_second": round(len(sample.labels) / seconds, 3),
            "waiting_share": round(self.waiting / seconds, 4),
            "peak_share": None,
            "memory_bytes": self.memory_bytes,
        }
        return self.ended(self.last, now)


def _state(model: TunedModel, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Returns what a training that goes on needs beside its progress."""
    return {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
