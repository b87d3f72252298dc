"""A language model of `transformers`, encoder-decoder or causal: it reads prompts and writes answers.

Prompts are token ids, so that whoever splits a text knows what fits. Prompts are read in batches of about equal length;
how they are batched and padded does not change what is written, for nothing is drawn by lot.
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
from internvid.text.generation import asked_for, ends_of, taken_from

_UNKNOWN_LENGTH = 10**9  # a tokeniser without a limit says 10 ** 30


@dataclass(frozen=True)
class Weights:
    """A model with its tokeniser, as loaded. generation: how its makers have it write."""

    model: Any  # as the Auto classes give them
    tokenizer: Any
    generation: GenerationConfig


def load(hub_model: HubModel, device: torch.device, dtype: torch.dtype | Literal["auto"]) -> Weights:
    """From its folder or the hub. Kept: asked again for the same it does not load again."""
    return _load(hub_model, hub_model.version, device, dtype)


@lru_cache(maxsize=2)  # a summariser and a translator
def _load(hub_model: HubModel, version: str, device: torch.device, dtype: torch.dtype | Literal["auto"]) -> Weights:
    """version: a folder's says when its files have changed."""
    source = hub_model.source
    is_encoder_decoder = AutoConfig.from_pretrained(**source).is_encoder_decoder
    kind = AutoModelForSeq2SeqLM if is_encoder_decoder else AutoModelForCausalLM
    model: Any = kind.from_pretrained(**source, dtype=dtype)
    model.to(device).eval()
    return Weights(model, AutoTokenizer.from_pretrained(**source), taken_from(model))


class LanguageModel:
    """generation: as `generate` of transformers takes it; what it leaves open is as the model's makers say, except that
    nothing is drawn by lot. context_tokens: how many the model can read (of a causal one, read and write), None for
    what its files say.
    """

    def __init__(
        self, weights: Weights, *, generation: Mapping[str, Any], context_tokens: int | None = None, batch: int = 16
    ) -> None:
        """batch: prompts read at once. Raises ValueError for settings that cannot be."""
        self.model, self.tokenizer, self.batches = weights.model, weights.tokenizer, Batches(batch)
        self.is_causal = not self.model.config.is_encoder_decoder
        self.generation = asked_for(weights.generation, self.tokenizer, generation)
        self.max_new_tokens = self.generation.max_new_tokens
        self.room = self._room(context_tokens)
        self.ends = ends_of(self.generation)

    def tokens(self, prompt: str) -> list[int]:
        """What the model reads of a prompt: of a chat model, the prompt within its chat template."""
        if not self.tokenizer.chat_template:
            return self.tokenizer(prompt, verbose=False).input_ids
        message = {"role": "user", "content": prompt}
        # Templates that know no thinking take no notice of enable_thinking.
        return self.tokenizer.apply_chat_template(
            [message], add_generation_prompt=True, enable_thinking=False, return_dict=False
        )

    @property
    def limit(self) -> str:
        return f"{self.room} tokens"

    def fits(self, prompt: str) -> bool:
        return len(self.tokens(prompt)) <= self.room

    def answer(self, prompts: Sequence[str]) -> list[Generated | Exception]:
        """As `write`, of prompts in words."""
        return self.write([self.tokens(prompt) for prompt in prompts])

    def write(self, prompts: Sequence[Sequence[int]], *, first_token: int | None = None) -> list[Generated | Exception]:
        """The answer to each prompt, in their order; `EmptyAnswer` or another error for one without.

        first_token: what every answer begins with, for models that are told so which language to write.
        """
        # Those of about equal length together; the longest first: if the memory does not suffice, that shows at once.
        by_length = sorted(range(len(prompts)), key=lambda place: -len(prompts[place]))
        written = self.batches.through(
            lambda some: self._write(some, first_token), [prompts[place] for place in by_length]
        )
        answers = dict(zip(by_length, written, strict=True))
        return [answers[place] for place in range(len(prompts))]

    @torch.inference_mode()
    def _write(self, prompts: Sequence[Sequence[int]], first_token: int | None) -> list[Generated | Exception]:
        width = max(map(len, prompts))
        ids = torch.full((len(prompts), width), self.generation.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            # A causal model goes on where the prompt ends, so its prompts end together.
            of_prompt = slice(width - len(prompt), width) if self.is_causal else slice(0, len(prompt))
            ids[row, of_prompt] = torch.tensor(prompt)
            mask[row, of_prompt] = 1
        device = self.model.device
        generation = copy.copy(self.generation)
        if first_token is not None:
            generation.forced_bos_token_id = first_token
        written = self.model.generate(
            input_ids=ids.to(device), attention_mask=mask.to(device), generation_config=generation
        )
        written = written[:, width if self.is_causal else 1 :].tolist()  # without prompt, or the decoder's first token
        silent = 0 if first_token is None else 1  # M2M100's tokeniser takes its names of languages for words
        return [self._answer(len(prompt), tokens, silent) for prompt, tokens in zip(prompts, written, strict=True)]

    def _answer(self, prompt_tokens: int, tokens: list[int], silent: int) -> Generated | Exception:
        """tokens: as written, with what fills up the batch after the end. silent: how many of the first are no text."""
        end = next((index for index, token in enumerate(tokens) if token in self.ends), None)
        tokens = tokens if end is None else tokens[: end + 1]
        text = self.tokenizer.decode(tokens[silent:], skip_special_tokens=True).strip()
        if not text:
            return EmptyAnswer(f"the model wrote nothing ({len(tokens)} tokens, none of them text)")
        return Generated(text, "truncated" if end is None else "success", prompt_tokens, len(tokens))

    def _room(self, context_tokens: int | None) -> int:
        """How many tokens a prompt may have."""
        config = self.model.config.get_text_config()
        positions = getattr(config, "max_position_embeddings", None)
        known = [positions, getattr(config, "n_positions", None), self.tokenizer.model_max_length]
        context = context_tokens or min((length for length in known if length and length < _UNKNOWN_LENGTH), default=0)
        room = context - self.max_new_tokens if self.is_causal else context
        if room <= 0:
            raise ValueError(
                f"a context of {context} tokens leaves no room for a prompt beside max_new_tokens: "
                f"{self.max_new_tokens}; lower that, or set context_tokens if the model can read more"
            )
        if not self.is_causal and positions and self.max_new_tokens >= positions:
            raise ValueError(f"max_new_tokens: {self.max_new_tokens} is more than the model's {positions} positions")
        return room
