"""Reckons what a training step of a chat takes, by running the networks without numbers (torch's device "meta").

Nothing of the language model but its configuration is needed. What is counted are the tensors that the backward pass
keeps, as torch's own hooks report them, and the arithmetic of both passes. What libraries take for workspaces, and what
fragmentation loses, is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from internvid.dialogue import language_model as language_models
from internvid.dialogue.checkpoint import new_projector
from internvid.dialogue.model import VideoChat
from internvid.dialogue.recipe import ChatRecipe
from internvid.viclip.config import ViCLIPConfig
from internvid.viclip.model import VisionEncoder
from internvid.viclip.recipe import Phase

SHARE_OF_MEMORY = 0.8  # of a GPU's: the rest is for workspaces of libraries and for fragmentation
ADAM_BYTES = 8  # of a trained weight: two moments in float32
SHARE_OF_ANSWERS = 0.5  # of the tokens of a prompt: their logits are computed, and the others are those of clips


@dataclass(frozen=True)
class PhaseReckoning:
    """What a step of a phase takes.

    sequences: of the batch. tokens: of each sequence, at most. parameters: of the three parts. trained: of them with
    gradients. weights_bytes: of all parts. state_bytes: gradients and the optimiser's moments.
    kept_bytes: what the forward pass keeps for the backward pass. flops: of both; a multiply-add is two.
    """

    phase: str
    sequences: int
    tokens: int
    parameters: int
    trained: int
    weights_bytes: int
    state_bytes: int
    kept_bytes: int
    flops: float

    @property
    def memory_bytes(self) -> int:
        return self.weights_bytes + self.state_bytes + self.kept_bytes


def reckoned_phases(
    recipe: ChatRecipe, vision: ViCLIPConfig, language_config: Any, *, sequences: int | None = None
) -> list[PhaseReckoning]:
    """Returns a step of each phase on a GPU. language_config: of `transformers`. sequences: of a batch, in place of the
    recipe's; all are computed at once, so memory grows with them.
    """
    phases = [phase for phase in (recipe.align, recipe.tune) if phase is not None]
    return [
        _reckoned(recipe, vision, language_config, phase, sequences if sequences is not None else phase.batch_size)
        for phase in phases
    ]


def language_config_of(recipe: ChatRecipe) -> Any:
    """Returns the configuration of the recipe's language model. Raises ValueError where it names none, OSError where
    there is none.
    """
    from transformers import AutoConfig, LlamaConfig

    from internvid.hub import HubModel

    if recipe.language_model is not None:
        if not recipe.language_model:
            raise ValueError(f"the recipe {recipe.name} needs a language model: set INTERNVID_LANGUAGE_MODEL")
        return AutoConfig.from_pretrained(**HubModel(recipe.language_model).source)
    sizes = recipe.new_language_model
    assert sizes is not None, "a recipe has a language model or the sizes of one"
    return LlamaConfig(
        vocab_size=sizes.vocab_size,
        hidden_size=sizes.width,
        intermediate_size=sizes.mlp_width,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        max_position_embeddings=sizes.context,
        tie_word_embeddings=True,
    )


def _reckoned(
    recipe: ChatRecipe, vision: ViCLIPConfig, language_config: Any, phase: Phase, sequences: int
) -> PhaseReckoning:
    from transformers import AutoModelForCausalLM

    # A pretrained model that stays as it is, or gets LoRA, is held in bfloat16.
    dtype = torch.float32 if recipe.trained == "full" else torch.bfloat16
    with torch.device("meta"):
        causal = AutoModelForCausalLM.from_config(language_config, dtype=dtype)
        if recipe.trained == "lora" and recipe.lora is not None:
            causal = language_models.with_lora(causal, recipe.lora, seed=recipe.seed)
        width = causal.get_input_embeddings().embedding_dim
        projector = new_projector(recipe, vision.vision_width, width)
        model = VideoChat(VisionEncoder(vision), projector, causal)
    is_aligned = phase.name == "align" and recipe.language_model is not None
    language_models.set_trained(causal, "frozen" if is_aligned else recipe.trained)
    model.vision.requires_grad_(recipe.train_vision)
    model.projector.requires_grad_(recipe.use_video)
    parameters = list(model.parameters())
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    # An odd number is the width of no layer, so that scores of attention are known by their shape.
    tokens = (min(recipe.max_tokens, language_config.max_position_embeddings) - 1) | 1
    with FlopCounterMode(display=False) as counter:
        kept_bytes = kept_by_passes(causal, _inputs(recipe, model, dtype, tokens), parameters)
    return PhaseReckoning(
        phase.name,
        sequences,
        tokens,
        sum(parameter.numel() for parameter in parameters),
        sum(parameter.numel() for parameter in trained),
        sum(parameter.nbytes for parameter in parameters),
        sum(parameter.nbytes + ADAM_BYTES * parameter.numel() for parameter in trained),
        sequences * kept_bytes,
        float(sequences * counter.get_total_flops()),
    )


def _inputs(recipe: ChatRecipe, model: VideoChat, dtype: torch.dtype, tokens: int) -> Tensor:
    """Returns the language model's inputs for one sequence, [1, tokens, width], with the graph of the projector."""
    config = model.vision.config
    clips = max(1, int(tokens * (1 - SHARE_OF_ANSWERS)) // model.projector.tokens_per_clip)
    width = model.language_model.get_input_embeddings().embedding_dim
    inputs = torch.zeros(1, tokens, width, dtype=dtype, device="meta")
    if not recipe.use_video:
        return inputs.requires_grad_()
    seen = torch.zeros(clips, 1 + recipe.frames * config.patches_per_frame, config.vision_width, device="meta")
    of_clips = model.projector(seen, recipe.frames).flatten(0, 1)[None].to(dtype)
    return torch.cat([of_clips[:, :tokens], inputs[:, of_clips.shape[1] :]], dim=1)


def kept_by_passes(language_model: Any, inputs: Tensor, parameters: Sequence[Tensor] = ()) -> int:
    """Runs a sequence forward and backward, and returns the bytes that the forward pass kept of the language model.

    inputs: [1, tokens, width], an odd number of tokens. parameters: further ones, which are not counted.
    """
    tokens, device = inputs.shape[1], inputs.device
    with _kept([*language_model.parameters(), *parameters], tokens) as kept:
        logits = language_model(
            inputs_embeds=inputs,
            attention_mask=torch.zeros(1, 1, tokens, tokens, dtype=inputs.dtype, device=device),
            position_ids=torch.zeros(1, tokens, dtype=torch.int64, device=device),
            logits_to_keep=max(1, int(tokens * SHARE_OF_ANSWERS)),
            use_cache=False,
        ).logits
        logits.float().log_softmax(-1).sum().backward()
    return kept[0]


@contextmanager
def _kept(parameters: Sequence[Tensor], tokens: int) -> Iterator[list[int]]:
    """Yields a list whose one number is the bytes that passes keep for their backward pass, each memory once.

    Scores of attention, [tokens, tokens] for each head, are left out: on a GPU no kernel keeps them.
    """
    total = [0]
    known = {parameter.untyped_storage()._cdata for parameter in parameters}
    holders: list[Tensor] = []  # so that no memory is another's before the end

    def note(tensor: Tensor) -> Tensor:
        memory = tensor.untyped_storage()
        is_score = tensor.shape[-2:] == (tokens, tokens)
        if memory._cdata not in known and not is_score:
            known.add(memory._cdata)
            holders.append(tensor)
            total[0] += memory.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield total


def fitting_sequences(phases: list[PhaseReckoning], memory_bytes: float) -> int:
    """Returns how many sequences at once fit into a GPU's memory in every phase; 0 where not even one does."""
    return max(0, min(int((memory_bytes - _fixed(phase)) // (phase.kept_bytes / phase.sequences)) for phase in phases))


def _fixed(phase: PhaseReckoning) -> int:
    return phase.weights_bytes + phase.state_bytes
