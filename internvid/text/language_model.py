"""A language model of `transformers`, encoder-decoder or causal, that answers prompts.

Prompts are token ids, so that code that splits a text can count them. Prompts of similar length are batched together.
Batching and padding do not change the answers, because decoding is deterministic.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    GenerationConfig,
)

from internvid.batches import Batches
from internvid.hub import HubModel
from internvid.text.generated import EmptyAnswer, Generated
from internvid.text.generation import end_tokens, generation_config, take_generation_config

_UNKNOWN_LENGTH = 10**9  # a tokeniser without a limit reports 10 ** 30


@dataclass(frozen=True)
class Weights:
    """A loaded model with its tokeniser. generation: the model's default generation config."""

    model: Any  # as the Auto classes give them
    tokenizer: Any
    generation: GenerationConfig


def load(hub_model: HubModel, device: torch.device, dtype: torch.dtype | Literal["auto"]) -> Weights:
    """Loads a model from its folder or the hub. The last two models are cached."""
    return _load(hub_model, hub_model.version, device, dtype)


@lru_cache(maxsize=2)  # a summariser and a translator
def _load(hub_model: HubModel, version: str, device: torch.device, dtype: torch.dtype | Literal["auto"]) -> Weights:
    """version: part of the cache key, because the files of a folder can change."""
    source = hub_model.source
    is_encoder_decoder = AutoConfig.from_pretrained(**source).is_encoder_decoder
    kind = AutoModelForSeq2SeqLM if is_encoder_decoder else AutoModelForCausalLM
    model: Any = kind.from_pretrained(**source, dtype=dtype)
    model.to(device).eval()
    return Weights(model, AutoTokenizer.from_pretrained(**source), take_generation_config(model))


class LanguageModel:
    """Answers prompts with a model of `transformers`.

    generation: keyword arguments of `generate`; other settings are the model's defaults, with sampling disabled.
    context_tokens: number of tokens that the model can read (causal models: read and write); None: as its files say.
    """

    def __init__(
        self, weights: Weights, *, generation: Mapping[str, Any], context_tokens: int | None = None, batch: int = 16
    ) -> None:
        """batch: upper bound on prompts per batch. Raises ValueError for invalid settings."""
        self.model, self.tokenizer, self.batches = weights.model, weights.tokenizer, Batches(batch)
        self.is_causal = not self.model.config.is_encoder_decoder
        self.generation = generation_config(weights.generation, self.tokenizer, generation)
        self.max_new_tokens = self.generation.max_new_tokens
        self.max_prompt_length = self._max_prompt_length(context_tokens)
        self.ends = end_tokens(self.generation)

    def tokens(self, prompt: str) -> list[int]:
        """Returns the token ids of a prompt; for a chat model, of the prompt in its chat template."""
        if not self.tokenizer.chat_template:
            return self.tokenizer(prompt, verbose=False).input_ids
        message = {"role": "user", "content": prompt}
        # Templates without thinking ignore enable_thinking.
        return self.tokenizer.apply_chat_template(
            [message], add_generation_prompt=True, enable_thinking=False, return_dict=False
        )

    @property
    def limit(self) -> str:
        return f"{self.max_prompt_length} tokens"

    def fits(self, prompt: str) -> bool:
        return len(self.tokens(prompt)) <= self.max_prompt_length

    def answer(self, prompts: Sequence[str]) -> list[Generated | Exception]:
        """Same as `write`, for prompts as text."""
        return self.write([self.tokens(prompt) for prompt in prompts])

    def write(self, prompts: Sequence[Sequence[int]], *, first_token: int | None = None) -> list[Generated | Exception]:
        """Returns the answer to each prompt, in their order; without an answer, `EmptyAnswer` or another error.

        first_token: first token of every answer, for models that select the output language by it.
        """
        # Batches of similar length, the longest first: if memory is too small, the first batch shows it.
        order = sorted(range(len(prompts)), key=lambda position: -len(prompts[position]))
        written = self.batches.map(
            lambda batch: self._write(batch, first_token), [prompts[position] for position in order]
        )
        answers = dict(zip(order, written, strict=True))
        return [answers[position] for position in range(len(prompts))]

    @torch.inference_mode()
    def _write(self, prompts: Sequence[Sequence[int]], first_token: int | None) -> list[Generated | Exception]:
        width = max(map(len, prompts))
        ids = torch.full((len(prompts), width), self.generation.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            # A causal model continues at the end of its prompt, so prompts are padded on the left.
            columns = slice(width - len(prompt), width) if self.is_causal else slice(0, len(prompt))
            ids[row, columns] = torch.tensor(prompt)
            mask[row, columns] = 1
        device = self.model.device
        generation = copy.copy(self.generation)
        if first_token is not None:
            generation.forced_bos_token_id = first_token
        written = self.model.generate(
            input_ids=ids.to(device), attention_mask=mask.to(device), generation_config=generation
        )
        written = written[
            :, width if self.is_causal else 1 :
        ].tolist()  # without the prompt, or the decoder's start token
        skipped_tokens = 0 if first_token is None else 1  # M2M100's tokeniser decodes language tokens as words
        return [
            self._answer(len(prompt), tokens, skipped_tokens) for prompt, tokens in zip(prompts, written, strict=True)
        ]

    def _answer(self, prompt_tokens: int, tokens: list[int], skipped_tokens: int) -> Generated | Exception:
        """tokens: generated, with padding after the end. skipped_tokens: number of first tokens that are no text."""
        end = next((index for index, token in enumerate(tokens) if token in self.ends), None)
        tokens = tokens if end is None else tokens[: end + 1]
        text = self.tokenizer.decode(tokens[skipped_tokens:], skip_special_tokens=True).strip()
        if not text:
            return EmptyAnswer(f"the model wrote nothing ({len(tokens)} tokens, none of them text)")
        return Generated(text, "truncated" if end is None else "success", prompt_tokens, len(tokens))

    def _max_prompt_length(self, context_tokens: int | None) -> int:
        """Returns the upper bound on the tokens of a prompt."""
        config = self.model.config.get_text_config()
        positions = getattr(config, "max_position_embeddings", None)
        limits = [positions, getattr(config, "n_positions", None), self.tokenizer.model_max_length]
        context = context_tokens or min((length for length in limits if length and length < _UNKNOWN_LENGTH), default=0)
        max_prompt_length = context - self.max_new_tokens if self.is_causal else context
        if max_prompt_length <= 0:
            raise ValueError(
                f"a context of {context} tokens leaves no room for a prompt beside max_new_tokens: "
                f"{self.max_new_tokens}; lower that, or set context_tokens if the model can read more"
            )
        if not self.is_causal and positions and self.max_new_tokens >= positions:
            raise ValueError(f"max_new_tokens: {self.max_new_tokens} is more than the model's {positions} positions")
        return max_prompt_length
