"""The causal language model of a chat: read from a folder or the hub, or new; frozen, with LoRA, or trained in full."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from internvid.dialogue.recipe import Lora, NewLanguageModel, Trained
from internvid.hub import HubModel


def new_language_model(sizes: NewLanguageModel, tokenizer: Any, *, seed: int) -> Any:
    """Returns a small Llama with random weights, which depend on the seed alone."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=sizes.width,
        intermediate_size=sizes.mlp_width,
        num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads,
        max_position_embeddings=sizes.context,
        initializer_range=sizes.width
        ** -0.5,  # the default, 0.02, suits widths of thousands: attention would hardly begin
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def pretrained(source: str, dtype: torch.dtype) -> tuple[Any, Any]:
    """Returns model and tokenizer of a folder or hub id. Code that comes with a model is never run.

    Raises ValueError for a model that is not causal, or has weights in another form than safetensors.
    """
    hub_model = HubModel(source)
    config = AutoConfig.from_pretrained(**hub_model.source)
    if config.is_encoder_decoder:
        raise ValueError(f"{source} is an encoder-decoder model; a chat needs a causal one")
    try:
        model = AutoModelForCausalLM.from_pretrained(**hub_model.source, dtype=dtype, use_safetensors=True)
    except OSError as error:
        raise ValueError(f"{source} cannot be read as a causal language model in safetensors: {error}") from error
    return model, AutoTokenizer.from_pretrained(**hub_model.source)


def from_config(values: Mapping[str, Any]) -> Any:
    """Returns a model of this configuration, whose weights are to be loaded."""
    fields = dict(values)
    return AutoModelForCausalLM.from_config(
        AutoConfig.for_model(fields.pop("model_type"), **fields), dtype=torch.float32
    )


def with_lora(model: Any, lora: Lora, *, seed: int) -> Any:
    """Returns the model with low-rank additions to its linear layers, at first without effect. All else is frozen."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def set_trained(model: Any, trained: Trained) -> None:
    """Sets which weights get gradients. The model has LoRA where that is trained."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(trained == "full" or (trained == "lora" and "lora_" in name))


def weights_to_save(model: Any, trained: Trained) -> dict[str, Tensor]:
    """Returns the weights that a checkpoint needs beside the model's folder: none, those of LoRA, or all, each once."""
    if trained == "frozen":
        return {}
    if trained == "lora":
        return {name: value for name, value in model.state_dict().items() if "lora_" in name}
    seen: set[int] = set()
    weights = {}
    for name, value in model.state_dict().items():  # tied weights share their memory, which safetensors refuses
        if value.data_ptr() not in seen:
            weights[name] = value
            seen.add(value.data_ptr())
    return weights


def load_weights(model: Any, weights: Mapping[str, Tensor], trained: Trained) -> None:
    """Loads the result of `weights_to_save`. Raises ValueError for names that do not fit."""
    expected = weights_to_save(model, trained)
    if weights.keys() != expected.keys():
        different = sorted(weights.keys() ^ expected.keys())
        raise ValueError(f"the weights are not those of this language model: {', '.join(different[:5])}")
    own = model.state_dict()
    for name, value in weights.items():
        if own[name].shape != value.shape:
            raise ValueError(f"{name} is {list(value.shape)}, not {list(own[name].shape)}")
        own[name].copy_(value)


def base_config(model: Any) -> dict[str, Any]:
    return copy.deepcopy(model.config).to_dict()
