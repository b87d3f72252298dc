"""Answers questions about the clips of a video, with the clips that show an answer; weighs given answers."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from internvid.dialogue.checkpoint import ChatCheckpoint
from internvid.dialogue.model import IGNORED, answer_losses, packed, spread
from internvid.dialogue.prompt import AskedTurn, Prompts, ShownClip, read_cited
from internvid.dialogue.training import ClipTokens
from internvid.text.generation import end_tokens, generation_config, take_generation_config
from internvid.viclip.clips import StoredFrames

QUESTIONS_PER_BATCH = 16


@dataclass(frozen=True)
class Answer:
    """text: without the clips that it names. clips: their numbers among the shown clips, from 1.

    is_complete: False where the model was stopped at the limit of new tokens.
    """

    text: str
    clips: tuple[int, ...]
    is_complete: bool
    prompt_tokens: int
    output_tokens: int


class Answerer:
    """A checkpoint that answers. clips: where the shown clips are stored. max_new_tokens: of an answer."""

    def __init__(self, checkpoint: ChatCheckpoint, clips: StoredFrames, *, max_new_tokens: int = 128) -> None:
        self.model, self.recipe = checkpoint.model, checkpoint.recipe
        self.tokenizer, self.preprocessing = checkpoint.tokenizer, checkpoint.preprocessing
        self.prompts = Prompts(self.tokenizer, with_video=self.recipe.use_video)
        self.clip_tokens = ClipTokens(self.model, self.preprocessing, clips, frames=self.recipe.frames)
        defaults = copy.deepcopy(take_generation_config(self.model.language_model))
        self.generation = generation_config(defaults, self.tokenizer, {"max_new_tokens": max_new_tokens})
        self.max_new_tokens = max_new_tokens

    def fitting(self, shown: Sequence[ShownClip], question: str) -> list[ShownClip]:
        """Returns the clips, or as many evenly spaced ones as the model can read with the question and an answer.

        Raises ValueError where not even one fits.
        """
        for count in range(len(shown), 0, -1):
            chosen = [shown[place * len(shown) // count] for place in range(count)]
            if self._prompt_length(chosen, question) + self.max_new_tokens <= self._context:
                return chosen
        raise ValueError(f"the question does not fit beside a clip into the model's {self._context} tokens")

    @torch.inference_mode()
    def answer(self, shown: Sequence[ShownClip], questions: Sequence[str]) -> list[Answer]:
        """Answers questions about the clips, each by itself. Raises ValueError for a prompt that is too long."""
        answers: list[Answer] = []
        for start in range(0, len(questions), QUESTIONS_PER_BATCH):
            answers += self._answered(shown, questions[start : start + QUESTIONS_PER_BATCH])
        return answers

    @torch.inference_mode()
    def likelihoods(self, shown: Sequence[ShownClip], question: str, options: Sequence[str]) -> list[float]:
        """Returns the mean log-likelihood of each option's tokens as the answer, after the clips that it names.

        Raises ValueError where the clips leave no room for an option.
        """
        (own,) = self._answered(shown, [question])
        projected = self._projected(shown)
        scores: list[float] = []
        while len(scores) < len(options):  # as many at once as the context holds
            asked = [AskedTurn("", option, own.clips) for option in options[len(scores) :]]
            prompt = self.prompts.options(shown, question, asked)
            batch = packed([prompt], self.model.projector.tokens_per_clip, self._context).to(self.model.device)
            losses = answer_losses(self.model, batch, projected)[0]
            for number in range(1, int(batch.turn.max()) + 1):
                of_option = (batch.turn[0] == number) & (batch.targets[0] != IGNORED)
                scores.append(-losses[of_option].mean().item())
        return scores

    @property
    def _context(self) -> int:
        positions = self.model.language_model.config.max_position_embeddings
        return min(self.recipe.max_tokens + self.max_new_tokens, positions)

    def _prompt_length(self, shown: Sequence[ShownClip], question: str) -> int:
        prompt = self.prompts.prompt(shown, [question])
        return len(spread(prompt.shown, self.model.projector.tokens_per_clip)[0]) + len(prompt.questions[0])

    def _projected(self, shown: Sequence[ShownClip]) -> Tensor | None:
        if not self.recipe.use_video:
            return None
        return self.model.projector(self.clip_tokens.of([clip.clip for clip in shown]), self.recipe.frames)

    def _answered(self, shown: Sequence[ShownClip], questions: Sequence[str]) -> list[Answer]:
        prompt = self.prompts.prompt(shown, questions)
        ids, is_clip = spread(prompt.shown, self.model.projector.tokens_per_clip)
        lengths = [len(ids) + len(question) for question in prompt.questions]
        width = max(lengths)
        if width + self.max_new_tokens > self._context:
            raise ValueError(f"a prompt of {width} tokens is too long: the model reads and writes {self._context}")
        rows = [[0] * (width - length) + ids + asked for length, asked in zip(lengths, prompt.questions, strict=True)]
        places = [
            [0] * (width - length) + is_clip + [0] * len(asked)
            for length, asked in zip(lengths, prompt.questions, strict=True)
        ]
        mask = [[0] * (width - length) + [1] * length for length in lengths]
        token_ids, clip_places, attention = (
            torch.tensor(part, device=self.model.device) for part in (rows, places, mask)
        )
        projected = self._projected(shown)
        if projected is not None:
            projected = projected.repeat(len(questions), 1, 1)
        written = self.model.language_model.generate(
            inputs_embeds=self.model.embedded(token_ids, clip_places.bool(), projected),
            attention_mask=attention,
            generation_config=self.generation,
        ).tolist()
        return [self._read(length, tokens) for length, tokens in zip(lengths, written, strict=True)]

    def _read(self, prompt_tokens: int, tokens: list[int]) -> Answer:
        ends = end_tokens(self.generation)
        end = next((place for place, token in enumerate(tokens) if token in ends), None)
        used = tokens if end is None else tokens[: end + 1]
        text, clips = read_cited(self.tokenizer.decode(used, skip_special_tokens=True))
        return Answer(text, clips, end is not None, prompt_tokens, len(used))
