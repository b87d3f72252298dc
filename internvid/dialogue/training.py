"""Trains a model that talks about videos: first the projector on captions, then on dialogues. See `recipe`.

A killed training goes on from its last saved state and ends with the same weights. ViCLIP stays as it is unless the
recipe says otherwise; its tokens of a clip are then computed once, and kept while there is room.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from internvid.dialogue import language_model as language_models
from internvid.dialogue.checkpoint import (
    ChatCheckpoint,
    load_trained_weights,
    new_projector,
    save_chat,
    trained_weights,
)
from internvid.dialogue.model import IGNORED, PackedPrompts, VideoChat, answer_losses, packed
from internvid.dialogue.prompt import Prompts, VideoDialogue, VideoDialogues, captions_asked, small_tokenizer
from internvid.dialogue.recipe import ChatRecipe
from internvid.hub import HubModel
from internvid.viclip.checkpoint import Checkpoint
from internvid.viclip.clips import Clips, StoredFrames
from internvid.viclip.frame_choice import middle_frames
from internvid.viclip.optimisation import learning_rate, parameter_groups, set_learning_rate
from internvid.viclip.preprocessing import Preprocessing
from internvid.viclip.sampling import PhasePlan, phase_plans
from internvid.viclip.saved_state import SavedState, StepLog, atomic_file
from internvid.viclip.training_progress import PhaseProgress, Row

REMEMBERED_BYTES = 1 << 30  # of ViCLIP's tokens; those of further clips are computed each time


@dataclass(frozen=True)
class ChatTrainingResult:
    """Totals of a training, including the runs before it was resumed.

    samples: dialogues of all batches, counted with repetition. loss: mean over the last steps, per token of an answer.
    """

    steps: int
    samples: int
    seconds: float
    loss: float
    dialogues: int
    checkpoint: Path


class ClipTokens:
    """ViCLIP's space-time tokens of stored clips, [1 + l, w] each. They are kept in memory up to `limit_bytes`.

    A clip's tokens are computed by themselves, so that they do not depend on which clips are kept already.
    """

    def __init__(
        self,
        model: VideoChat,
        preprocessing: Preprocessing,
        clips: StoredFrames,
        *,
        frames: int,
        limit_bytes: int = REMEMBERED_BYTES,
    ) -> None:
        self.model, self.preprocessing, self.clips, self.frames = model, preprocessing, clips, frames
        self.limit_bytes, self._bytes = limit_bytes, 0
        self._kept: dict[int, Tensor] = {}

    def of(self, positions: Sequence[int]) -> Tensor:
        """Returns [c, 1 + l, w] on the model's device."""
        missing = sorted({position for position in positions if position not in self._kept})
        computed = dict(zip(missing, self._computed(missing), strict=True))
        for position, tokens in computed.items():
            if self._bytes + tokens.nbytes <= self.limit_bytes:
                self._kept[position] = tokens
                self._bytes += tokens.nbytes
        return torch.stack([computed[at] if at in computed else self._kept[at] for at in positions])

    def trained(self, positions: Sequence[int]) -> Tensor:
        """Returns [c, 1 + l, w] with gradients of the tower."""
        return self.model.space_time_tokens(self._video(positions))

    @torch.no_grad()
    def _computed(self, positions: Sequence[int]) -> list[Tensor]:
        if not positions:
            return []
        return [self.model.space_time_tokens(video[None])[0] for video in self._video(positions)]

    def _video(self, positions: Sequence[int]) -> Tensor:
        picks = [(at, middle_frames(int(self.clips.frame_counts[at]), self.frames)) for at in positions]
        pixels = self.preprocessing.pixels(self.clips.frames(picks))
        return self.preprocessing.normalised(pixels.to(self.model.device))


def train_chat(
    recipe: ChatRecipe,
    dialogues: VideoDialogues,
    vision: Checkpoint,
    *,
    folder: Path,
    device: str | torch.device = "cpu",
    log: Callable[[Row], object] = lambda row: None,
    save_every_seconds: float = 60.0,
    receipt: Mapping[str, Any] | None = None,
    max_sequences: int | None = None,
) -> ChatTrainingResult:
    """Trains a model, or resumes its training, and saves it in `folder / "checkpoint"`.

    vision: the ViCLIP whose video tower sees. max_sequences: upper bound on the dialogues of a batch that are in
    memory together; None: all. It changes a result by rounding only.
    log: is called with each step's {step, phase, loss, learning_rate, gradient_norm, samples_per_second}.
    Raises ValueError if the folder holds the training of another recipe or of other dialogues, and FloatingPointError,
    naming the step and its dialogues, if the loss or a gradient is not finite; the last saved state is kept.
    """
    device, folder = torch.device(device), Path(folder)
    plans = chat_phase_plans(recipe, len(dialogues))
    data = data_digest(dialogues, vision)
    saved = SavedState(folder / "state.pt", recipe.version, data)
    state = saved.read()
    causal, tokenizer = _language_model(recipe, dialogues, folder, is_new=state is None, device=device)
    tower = vision.model.vision_encoder
    width = causal.get_input_embeddings().embedding_dim
    model = VideoChat(tower, new_projector(recipe, tower.config.vision_width, width), causal)
    if state is not None:
        load_trained_weights(model, recipe, state["model"])
    model.to(device)
    prompts = Prompts(tokenizer, with_video=recipe.use_video)
    clip_tokens = ClipTokens(model, vision.preprocessing, dialogues.clips, frames=recipe.frames)

    progress = PhaseProgress(state, saved, StepLog(folder / "log.jsonl"), save_every_seconds)
    optimiser: torch.optim.Optimizer | None = None
    for plan, step, positions in _batches(recipe, plans, len(dialogues), progress.step):
        if optimiser is None or step == plan.first_step:
            _set_trained(model, recipe, plan)
            optimiser = _adamw(model, recipe)
            if state is not None and step == state["step"] and step != plan.first_step:
                optimiser.load_state_dict(state["optimiser"])
            state = None
        rate = learning_rate(plan, step)
        set_learning_rate(optimiser, rate)
        asked = [_asked(dialogues.dialogue(position), dialogues.clips, plan) for position in positions]
        loss, norm = _gradients(model, recipe, prompts, clip_tokens, asked, max_sequences or len(asked))
        if not math.isfinite(loss) or not math.isfinite(norm):
            raise FloatingPointError(_not_finite_message(step, plan, asked, folder / "not_finite.json"))
        optimiser.step()
        log(progress.record(step, plan, len(asked), loss, rate, norm))
        progress.save_if_time(partial(_state, model, recipe, optimiser))
    if optimiser is not None:
        progress.save(partial(_state, model, recipe, optimiser))

    result = ChatTrainingResult(
        steps=plans[-1].end_step,
        samples=sum(plan.steps * plan.batch_size for plan in plans),
        seconds=round(progress.seconds, 3),
        loss=progress.mean_loss,
        dialogues=len(dialogues),
        checkpoint=folder / "checkpoint",
    )
    base = None if recipe.trained == "full" else HubModel(recipe.language_model or "").version
    full_receipt = {
        "recipe": recipe.version,
        "recipe_settings": asdict(recipe),
        **{name: value for name, value in asdict(result).items() if name != "checkpoint"},
        "data": data,
        "device": str(device),
        "torch": torch.__version__,
        "code": version("internvid-lakehouse"),
        **(receipt or {}),
    }
    model.eval()
    save_chat(result.checkpoint, ChatCheckpoint(model, tokenizer, vision.preprocessing, recipe, base, full_receipt))
    return result


def chat_phase_plans(recipe: ChatRecipe, dialogues: int) -> list[PhasePlan]:
    """Converts the phases' epochs to steps. Raises ValueError without dialogues."""
    if dialogues < 1:
        raise ValueError("there are no dialogues to train on")
    phases = [phase for phase in (recipe.align, recipe.tune) if phase is not None]
    return phase_plans(phases, clips=dialogues)


def data_digest(dialogues: VideoDialogues, vision: Checkpoint) -> str:
    """Returns a hash (32 hex digits) of the dialogues, and of the weights by which their clips are seen."""
    digest = hashlib.md5(usedforsecurity=False)
    for position in range(len(dialogues)):
        digest.update(json.dumps(asdict(dialogues.dialogue(position))).encode())
    for name, value in vision.model.vision_encoder.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _language_model(
    recipe: ChatRecipe, dialogues: VideoDialogues, folder: Path, *, is_new: bool, device: torch.device
) -> tuple[Any, Any]:
    """Returns the language model and its tokenizer. A new one's tokenizer is kept beside the state."""
    from transformers import AutoTokenizer

    if recipe.language_model is not None:
        if not recipe.language_model:
            raise ValueError(f"the recipe {recipe.name} needs a language model: set INTERNVID_LANGUAGE_MODEL")
        dtype = torch.float32 if device.type == "cpu" or recipe.trained == "full" else torch.bfloat16
        model, tokenizer = language_models.pretrained(recipe.language_model, dtype)
        if recipe.trained == "lora":
            assert recipe.lora is not None, "a recipe with LoRA has its sizes"
            model = language_models.with_lora(model, recipe.lora, seed=recipe.seed)
        return model, tokenizer
    sizes, kept = recipe.new_language_model, folder / "tokenizer"
    assert sizes is not None, "a recipe has a language model or the sizes of one"
    if is_new:
        shutil.rmtree(kept, ignore_errors=True)
        small_tokenizer(_texts(dialogues), vocab_size=sizes.vocab_size).save_pretrained(kept)
    tokenizer = AutoTokenizer.from_pretrained(str(kept))
    return language_models.new_language_model(sizes, tokenizer, seed=recipe.seed), tokenizer


def _texts(dialogues: VideoDialogues) -> Iterator[str]:
    """Yields all texts of prompts and answers."""
    for position in range(len(dialogues)):
        dialogue = dialogues.dialogue(position)
        for shown in dialogue.shown:
            yield f"Clip 1, {shown.start_seconds:.1f} to {shown.end_seconds:.1f} s: \n"
            if shown.speech:
                yield f" s, where is said “{shown.speech}”: "
        for turn in (*dialogue.turns, *captions_asked(dialogue, dialogues.clips).turns):
            yield f"Question: {turn.question}\nAnswer: {turn.cited_answer}"


def _batches(
    recipe: ChatRecipe, plans: Iterable[PhasePlan], dialogues: int, first_step: int
) -> Iterator[tuple[PhasePlan, int, list[int]]]:
    """Yields (phase, step, positions of its dialogues) from `first_step` on. Epochs are seeded permutations."""
    for plan in plans:
        order: tuple[int, np.ndarray] | None = None
        for step in range(max(first_step, plan.first_step), plan.end_step):
            epoch, index = divmod(step - plan.first_step, plan.batches_per_epoch)
            if order is None or order[0] != epoch:
                order = epoch, np.random.default_rng([recipe.seed, plan.number, epoch]).permutation(dialogues)
            yield plan, step, order[1][index * plan.batch_size :][: plan.batch_size].tolist()


def _asked(dialogue: VideoDialogue, clips: Clips, plan: PhasePlan) -> VideoDialogue:
    return captions_asked(dialogue, clips) if plan.phase.name == "align" else dialogue


def _set_trained(model: VideoChat, recipe: ChatRecipe, plan: PhasePlan) -> None:
    """Sets which weights the phase trains. While a projector is aligned, a pretrained language model stays frozen."""
    is_aligned = plan.phase.name == "align" and recipe.language_model is not None
    language_models.set_trained(model.language_model, "frozen" if is_aligned else recipe.trained)
    model.vision.requires_grad_(recipe.train_vision)
    model.projector.requires_grad_(recipe.use_video)
    model.train()


def _adamw(model: VideoChat, recipe: ChatRecipe) -> torch.optim.AdamW:
    return torch.optim.AdamW(parameter_groups(model, recipe.weight_decay), lr=0.0, betas=recipe.betas, fused=True)


def _gradients(
    model: VideoChat,
    recipe: ChatRecipe,
    prompts: Prompts,
    clip_tokens: ClipTokens,
    asked: Sequence[VideoDialogue],
    at_once: int,
) -> tuple[float, float]:
    """Computes the gradients of a batch, of so many dialogues at once. Returns its loss and the norm of the gradients
    before clipping.
    """
    tokens_per_clip = model.projector.tokens_per_clip
    slices = [asked[start : start + at_once] for start in range(0, len(asked), at_once)]
    batches = [
        packed([prompts.with_answers(dialogue) for dialogue in part], tokens_per_clip, recipe.max_tokens)
        for part in slices
    ]
    targets = sum(int((batch.targets != IGNORED).sum()) for batch in batches)
    model.zero_grad(set_to_none=True)
    total = 0.0
    for part, batch in zip(slices, batches, strict=True):
        loss = _losses(model, recipe, clip_tokens, part, batch).sum() / targets
        loss.backward()
        total += loss.item()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    norm = torch.nn.utils.clip_grad_norm_(trained, recipe.max_gradient_norm)
    return total, norm.item()


def _losses(
    model: VideoChat,
    recipe: ChatRecipe,
    clip_tokens: ClipTokens,
    asked: Sequence[VideoDialogue],
    batch: PackedPrompts,
) -> Tensor:
    """Returns the loss of each target of the packed dialogues, with its graph."""
    device = model.device
    with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16" and device.type != "cpu"):
        projected = None
        if recipe.use_video:
            positions = [shown.clip for dialogue in asked for shown in dialogue.shown]
            seen = clip_tokens.trained(positions) if recipe.train_vision else clip_tokens.of(positions)
            projected = model.projector(seen, recipe.frames)
        return answer_losses(model, batch.to(device), projected)


def _state(model: VideoChat, recipe: ChatRecipe, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Returns what a training that goes on needs beside its progress."""
    weights = trained_weights(model, recipe, with_vision=recipe.train_vision)
    return {"model": weights, "optimiser": optimiser.state_dict()}


def _not_finite_message(step: int, plan: PhasePlan, asked: Sequence[VideoDialogue], path: Path) -> str:
    """Writes the step's dialogues to a file and returns the error message."""
    ids = [dialogue.dialogue_id for dialogue in asked]
    with atomic_file(path) as file:
        file.write(json.dumps({"step": step, "dialogue_ids": ids}).encode())
    return (
        f"step {step} ({plan.phase.name}): the loss or a gradient is not finite; its dialogues: {', '.join(ids[:16])}"
    )
