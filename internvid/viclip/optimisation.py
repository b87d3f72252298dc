"""The optimiser of ViCLIP's training, AdamW, and its learning-rate schedule. [R]: code published with the paper."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from internvid.viclip.recipe import Recipe
from internvid.viclip.sampling import PhasePlan

# Embeddings of two or more dimensions that get no weight decay: they are added, not multiplied. [R] utils/optimizer.py
EMBEDDINGS_WITHOUT_DECAY = ("positional_embedding", "temporal_positional_embedding", "class_embedding")


def learning_rate(plan: PhasePlan, step: int) -> float:
    """Returns the learning rate of a step: max(floor, step/warm-up), then max(floor, half a cosine). [R] scheduler.py

    step: 0-based, counted over all phases.
    """
    phase, steps_done = plan.phase, step - plan.first_step
    if steps_done < plan.warmup_steps:
        share = steps_done / plan.warmup_steps
    else:
        progress = (steps_done - plan.warmup_steps) / max(1, plan.steps - plan.warmup_steps)
        share = 0.5 * (1 + math.cos(math.pi * progress))
    return phase.learning_rate * max(phase.learning_rate_floor, share)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Groups the trained parameters: with weight decay and without.

    Biases, norms, the temperature, and class, position and time embeddings have none.
    """
    decayed: list[nn.Parameter] = []
    not_decayed: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            has_decay = parameter.ndim > 1 and name.rsplit(".", 1)[-1] not in EMBEDDINGS_WITHOUT_DECAY
            (decayed if has_decay else not_decayed).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": not_decayed, "weight_decay": 0.0}]


def adamw(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Returns AdamW with learning rate 0: call `set_learning_rate` before each step."""
    return torch.optim.AdamW(parameter_groups(model, recipe.weight_decay), lr=0.0, betas=recipe.betas, fused=True)


def set_learning_rate(optimiser: torch.optim.Optimizer, value: float) -> None:
    """Sets it in every group of parameters, times the group's share, where it has one (`layer_groups`)."""
    for group in optimiser.param_groups:
        group["lr"] = value * group.get("share", 1.0)


def layer_groups(model: nn.Module, weight_decay: float, *, layer_decay: float) -> list[dict[str, Any]]:
    """Groups the trained parameters as `parameter_groups`, and by depth: a block learns `layer_decay` times as fast as
    the next one, the embeddings of a tower slower than its first block, and what follows the last block at full rate.
    """
    layers = {
        tower: len(module.transformer.resblocks)
        for tower, module in model.named_modules()
        if tower.endswith(("vision_encoder", "text_encoder"))
    }
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            has_decay = parameter.ndim > 1 and name.rsplit(".", 1)[-1] not in EMBEDDINGS_WITHOUT_DECAY
            share = layer_decay ** _blocks_above(name, layers)
            groups.setdefault((share, has_decay), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": weight_decay if has_decay else 0.0, "share": share}
        for (share, has_decay), parameters in groups.items()
    ]


AFTER_BLOCKS = ("ln_post", "proj", "ln_final", "text_projection")


def _blocks_above(name: str, layers: Mapping[str, int]) -> int:
    """Returns how many blocks, the parameter's own among them, lie between it and the end of its tower."""
    tower = next((tower for tower in layers if name.startswith(f"{tower}.")), None)
    if tower is None:
        return 0  # a head, or the temperature
    first, *rest = name.removeprefix(f"{tower}.").split(".")
    if first in AFTER_BLOCKS:
        return 0
    if first == "transformer":
        return layers[tower] - int(rest[1])
    return layers[tower] + 1


def key_biases(model: nn.Module) -> list[nn.Parameter]:
    """Returns the trained biases of attention's queries, keys and values, each [3 · width]."""
    return [p for name, p in model.named_parameters() if name.endswith("attn.in_proj_bias") and p.requires_grad]


def clear_key_gradients(biases: list[nn.Parameter]) -> None:
    """Sets the gradient of the keys' bias in attention to zero. It is zero in exact arithmetic.

    That bias adds the same number to all scores of a query, which the softmax cancels. Adam divides a gradient by its
    own magnitude, so it would follow rounding errors in full steps, and differently for each number of ranks.
    """
    for bias in biases:
        if bias.grad is not None:
            width = len(bias) // 3
            bias.grad[width : 2 * width] = 0.0  # the order is queries, keys, values
