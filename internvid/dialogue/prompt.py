"""Prompts about the clips of a video, as token ids with places for the clips, and the clips that an answer names.

A prompt shows the clips in order, each with its times, then asks. A model whose tokenizer has a chat template gets the
prompt in it. Answers begin with the numbers of the clips that show them: `[clip 2] A red car.` So a model first finds
where the answer is, then gives it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from internvid.viclip.clips import Clips

# Marks in a prompt before it is tokenised, from the private use area of Unicode. Texts lose these characters.
_CLIP, _QUESTION = "\ue000", "\ue001"
_WITHOUT_MARKS = {ord(_CLIP): " ", ord(_QUESTION): " "}

_CITED = re.compile(r"\s*\[clips? (\d+(?:, ?\d+)*)\]")


@dataclass(frozen=True)
class ShownClip:
    """A clip of a prompt. clip: its position among the stored clips. speech: what is said in it; empty: nothing."""

    clip: int
    start_seconds: float
    end_seconds: float
    speech: str = ""


@dataclass(frozen=True)
class AskedTurn:
    """A question with its answer. clips: numbers of the shown clips that show the answer, from 1."""

    question: str
    answer: str
    clips: tuple[int, ...] = ()

    @property
    def cited_answer(self) -> str:
        """The answer as a model learns to give it, with the clips that show it."""
        if not self.clips:
            return self.answer
        return f"[clip{'s' * (len(self.clips) > 1)} {', '.join(map(str, self.clips))}] {self.answer}"


@dataclass(frozen=True)
class VideoDialogue:
    """Clips of a video in order of time, and questions about them. Each question is understood by itself."""

    dialogue_id: str
    shown: tuple[ShownClip, ...]
    turns: tuple[AskedTurn, ...]


class VideoDialogues(Protocol):
    """Dialogues by position, and the clips that they show. Storage is opened in the process that reads."""

    @property
    def clips(self) -> Clips: ...

    def __len__(self) -> int: ...

    def dialogue(self, position: int) -> VideoDialogue: ...


def read_cited(answer: str) -> tuple[str, tuple[int, ...]]:
    """Divides an answer into its text and the numbers of the clips that it names, each once, in order."""
    numbers = [int(number) for cited in _CITED.findall(answer) for number in cited.split(",")]
    return _CITED.sub("", answer).strip(), tuple(sorted(set(numbers)))


def captions_asked(dialogue: VideoDialogue, clips: Clips) -> VideoDialogue:
    """Returns a dialogue that asks for the caption of each clip, and for the clips of each caption: what a projector is
    aligned on.
    """
    captions = clips.captions([shown.clip for shown in dialogue.shown])
    turns = [
        AskedTurn(f"What does clip {number} show?", caption, (number,)) for number, caption in enumerate(captions, 1)
    ]
    for caption in dict.fromkeys(captions):
        numbers = tuple(number for number, own in enumerate(captions, 1) if own == caption)
        turns.append(AskedTurn(f"Where is this shown? {caption}", "There.", numbers))
    return VideoDialogue(dialogue.dialogue_id, dialogue.shown, tuple(turns))


@dataclass(frozen=True)
class Prompt:
    """The token ids of a prompt in parts.

    shown: the part that shows the clips, in which a clip is CLIP_PLACE. questions: for each question its part, up to
    where the answer begins. answers: for each question its answer with the end token; empty where it is asked for.
    """

    shown: list[int]
    questions: list[list[int]]
    answers: list[list[int]]


CLIP_PLACE = -1


class Prompts:
    """Makes prompts for a tokenizer of `transformers`. with_video: False: without places for the clips' tokens."""

    def __init__(self, tokenizer: Any, *, with_video: bool = True) -> None:
        self.tokenizer, self.with_video = tokenizer, with_video
        self.has_template = bool(tokenizer.chat_template)

    def prompt(self, shown: Sequence[ShownClip], questions: Sequence[str]) -> Prompt:
        """Returns a prompt whose questions have no answers yet."""
        return self._prompt(shown, questions, [])

    def with_answers(self, dialogue: VideoDialogue) -> Prompt:
        """Returns the prompt of a dialogue with its answers, which name their clips."""
        answers = [[*self._ids(" " + _plain(turn.cited_answer)), self.end] for turn in dialogue.turns]
        return self._prompt(dialogue.shown, [turn.question for turn in dialogue.turns], answers)

    def options(self, shown: Sequence[ShownClip], question: str, options: Sequence[AskedTurn]) -> Prompt:
        """Returns a prompt that asks the same question once for each option, whose answer follows."""
        answers = [self._ids(" " + _plain(option.cited_answer)) for option in options]
        return self._prompt(shown, [question] * len(options), answers)

    @property
    def end(self) -> int:
        return self.tokenizer.eos_token_id

    def _prompt(self, shown: Sequence[ShownClip], questions: Sequence[str], answers: list[list[int]]) -> Prompt:
        before, after = self._frame(shown)
        parts = before.split(_CLIP)
        ids = self._ids(parts[0], first=True)
        for part in parts[1:]:
            ids += [CLIP_PLACE, *self._ids(part)] if self.with_video else self._ids(part)
        return Prompt(ids, [self._ids(_plain(question) + after) for question in questions], answers)

    def _frame(self, shown: Sequence[ShownClip]) -> tuple[str, str]:
        """Returns the text before a question, with marks for the clips, and the text between it and the answer."""
        clips = "".join(_line(number, clip) for number, clip in enumerate(shown, 1))
        if not self.has_template:
            return f"{clips}Question: ", "\nAnswer:"
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": clips + _QUESTION}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,  # templates without thinking ignore it
        )
        before, _, after = text.partition(_QUESTION)
        return before, after

    def _ids(self, text: str, *, first: bool = False) -> list[int]:
        """first: whether it begins the prompt; without a template the model's own first token then stands before."""
        return self.tokenizer(text, add_special_tokens=first and not self.has_template, verbose=False).input_ids


def _line(number: int, clip: ShownClip) -> str:
    speech = f", where is said “{_plain(clip.speech)}”" if clip.speech else ""
    return f"Clip {number}, {clip.start_seconds:.1f} to {clip.end_seconds:.1f} s{speech}: {_CLIP}\n"


def _plain(text: str) -> str:
    return text.translate(_WITHOUT_MARKS)


def small_tokenizer(texts: Iterable[str], *, vocab_size: int) -> Any:
    """Learns a tokenizer of `transformers` from texts: pairs of bytes, so that any text can be read; digits by
    themselves. The same texts give the same tokenizer.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    learnt = Tokenizer(models.BPE())
    learnt.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    learnt.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=["<|pad|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learnt.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=learnt, pad_token="<|pad|>", eos_token="<|end|>")
