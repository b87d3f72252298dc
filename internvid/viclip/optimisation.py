"""AdamW as ViCLIP is trained with, and its learning rate. [R]: configuration and code published with the paper."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from internvid.viclip.recipe import Recipe
from internvid.viclip.sampling import PhasePlan

# Two-dimensional or more, yet not multiplied with anything. [R] utils/optimizer.py
EMBEDDINGS_WITHOUT_DECAY = ("positional_embedding", "temporal_positional_embedding", "class_embedding")


def learning_rate(plan: PhasePlan, step: int) -> float:
    """Of a step of all phases (0-based): max(floor, step/warm-up), then max(floor, half a cosine). [R] scheduler.py"""
    phase, done = plan.phase, step - plan.first_step
    if done < plan.warmup_steps:
        share = done / plan.warmup_steps
    else:
        progress = (done - plan.warmup_steps) / max(1, plan.steps - plan.warmup_steps)
        share = 0.5 * (1 + math.cos(math.pi * progress))
    return phase.learning_rate * max(phase.learning_rate_floor, share)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Trained parameters, with decay and without: biases, norms, class, position and time embeddings, temperature."""
    decayed: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            plain = parameter.ndim > 1 and name.rsplit(".", 1)[-1] not in EMBEDDINGS_WITHOUT_DECAY
            (decayed if plain else others).append(parameter)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def adamw(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Its learning rate is to be set at each step by `set_learning_rate`."""
    return torch.optim.AdamW(parameter_groups(model, recipe.weight_decay), lr=0.0, betas=recipe.betas, fused=True)


def set_learning_rate(optimiser: torch.optim.Optimizer, value: float) -> None:
    for group in optimiser.param_groups:
        group["lr"] = value


def key_biases(model: nn.Module) -> list[nn.Parameter]:
    """The trained biases of attention's queries, keys and values, each [3 · width]; for `clear_key_gradients`."""
    return [p for name, p in model.named_parameters() if name.endswith("attn.in_proj_bias") and p.requires_grad]


def clear_key_gradients(biases: list[nn.Parameter]) -> None:
    """Sets to nought what is nought but for rounding: the gradient of the bias of attention's keys.

    That bias adds the same number to all scores of a query, and the softmax does not see it. Adam divides a gradient
    by its own size, so it would walk the bias along rounding errors in full steps, other ones for another number of
    ranks.
    """
    for bias in biases:
        if bias.grad is not None:
            width = len(bias) // 3
            bias.grad[width : 2 * width] = 0.0  # the order is queries, keys, values
