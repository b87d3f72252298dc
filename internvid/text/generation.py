"""How a model of `transformers` is to write: what its makers say, less what would let lot decide or hide that an answer
was stopped, and what the user sets.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from transformers import GenerationConfig

_NOT_FROM_MAKERS = (
    *("temperature", "top_p", "top_k", "min_p", "typical_p"),  # of use only where words are drawn by lot
    "max_length",  # max_new_tokens says it
    "forced_eos_token_id",  # an answer that was stopped would look like one that ended
)


def taken_from(model: Any) -> GenerationConfig:
    """How the model's makers have it write. The model keeps none of it: `generate` would take from there what a request
    leaves unset on purpose.
    """
    of_makers, model.generation_config = model.generation_config, GenerationConfig()
    return of_makers


def asked_for(
    of_makers: GenerationConfig, tokenizer: Any, settings: Mapping[str, Any], by_house: Mapping[str, Any] | None = None
) -> GenerationConfig:
    """settings: as `generate` of transformers takes them. by_house: what stands before the makers' word and behind the
    settings. Nothing is drawn by lot unless the settings say so. Raises ValueError for what cannot be.
    """
    generation = copy.deepcopy(of_makers)
    pad, end = tokenizer.pad_token_id, generation.eos_token_id
    if end is None:
        end = tokenizer.eos_token_id
    ours = {
        **dict.fromkeys(_NOT_FROM_MAKERS),
        "do_sample": False,
        "eos_token_id": end,
        "pad_token_id": pad if pad is not None else end[0] if isinstance(end, list) else end,
    }
    if unknown := generation.update(**ours | dict(by_house or {}) | dict(settings)):
        raise ValueError(f"generation has no {', '.join(sorted(unknown))}")
    if generation.num_return_sequences not in (None, 1):
        raise ValueError("each input has one answer: generation takes no num_return_sequences")
    return generation


def ends_of(generation: GenerationConfig) -> set[int]:
    """The tokens of which any ends an answer."""
    ends = generation.eos_token_id
    return set(ends) if isinstance(ends, list) else {ends}
