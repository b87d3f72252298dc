"""Asks a chat about a video that is no video of the lake: answers in words, and choices by likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from internvid.dialogue.answering import Answer, Answerer
from internvid.dialogue.prompt import ShownClip
from internvid.dialogue.viewing import Viewed
from internvid.viclip.clips import InMemoryClip, InMemoryClips

if TYPE_CHECKING:
    from internvid.dialogue.checkpoint import ChatCheckpoint

VERSION = "asked-1"  # count it up with any change to how videos are shown or questions are asked


class AskedVideo:
    """A video that a chat is asked about, as `clips` clips of equal length."""

    def __init__(self, checkpoint: ChatCheckpoint, viewed: Viewed, *, clips: int, max_new_tokens: int) -> None:
        parts = np.array_split(viewed.frames, clips)
        stored = InMemoryClips([InMemoryClip(str(number), "", "", part) for number, part in enumerate(parts)])
        self.answerer = Answerer(checkpoint, stored, max_new_tokens=max_new_tokens)
        length = viewed.seconds / clips
        self.shown = [ShownClip(number, number * length, (number + 1) * length) for number in range(clips)]

    def answer(self, questions: Sequence[str]) -> list[Answer]:
        """Answers each question by itself. Raises ValueError for one that does not fit beside the clips."""
        return self.answerer.answer(self.shown, questions)

    def choose(self, question: str, options: Sequence[str]) -> int:
        """Returns the position of the likeliest option by its tokens' mean log-likelihood. Raises as `answer`."""
        scores = self.answerer.likelihoods(self.shown, question, options)
        return scores.index(max(scores))
