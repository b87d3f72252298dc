"""Generation settings of a model of `transformers`: the model's own defaults, then ours, then the user's.

Model defaults for sampling are ignored, and so are those that hide that an answer was truncated.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from transformers import GenerationConfig

_IGNORED_MODEL_DEFAULTS = (
    *("temperature", "top_p", "top_k", "min_p", "typical_p"),  # only used for sampling
    "max_length",  # max_new_tokens is used instead
    "forced_eos_token_id",  # a truncated answer would look complete
)


def take_generation_config(model: Any) -> GenerationConfig:
    """Removes the generation config from the model and returns it.

    Otherwise `generate` would use its values for settings that a request deliberately leaves unset.
    """
    config, model.generation_config = model.generation_config, GenerationConfig()
    return config


def generation_config(
    model_defaults: GenerationConfig,
    tokenizer: Any,
    settings: Mapping[str, Any],
    defaults: Mapping[str, Any] | None = None,
) -> GenerationConfig:
    """Combines generation settings; later ones override earlier ones: model_defaults, defaults, settings.

    settings, defaults: keyword arguments of `generate`. Decoding is deterministic unless the settings enable sampling.
    Raises ValueError for unknown settings and for more than one answer per input.
    """
    generation = copy.deepcopy(model_defaults)
    pad, end = tokenizer.pad_token_id, generation.eos_token_id
    if end is None:
        end = tokenizer.eos_token_id
    overrides = {
        **dict.fromkeys(_IGNORED_MODEL_DEFAULTS),
        "do_sample": False,
        "eos_token_id": end,
        "pad_token_id": pad if pad is not None else end[0] if isinstance(end, list) else end,
    }
    if unknown := generation.update(**overrides | dict(defaults or {}) | dict(settings)):
        raise ValueError(f"generation has no {', '.join(sorted(unknown))}")
    if generation.num_return_sequences not in (None, 1):
        raise ValueError("each input has one answer: generation takes no num_return_sequences")
    return generation


def end_tokens(generation: GenerationConfig) -> set[int]:
    """Returns the tokens that end an answer."""
    ends = generation.eos_token_id
    return set(ends) if isinstance(ends, list) else {ends}
