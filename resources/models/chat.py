"""A trained chat of the lake: answers questions about clips, and names the clips that show an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resources.incremental.faults import ModelUnavailable
from resources.lake.schema import CHAT_CHECKPOINTS
from resources.models.machine import this_machine
from resources.training.checkpoint_rows import checkpoint_named
from resources.training.shown_clips import ClipToShow, ShownFrames

if TYPE_CHECKING:
    from internvid.dialogue.checkpoint import ChatCheckpoint
    from resources.lake.store import Lake


@dataclass(frozen=True)
class ChatAnswer:
    """text: the answer. clips: those that it names as showing it. read: those that the model was shown.

    is_complete: False where the model was stopped at its limit of new tokens.
    """

    text: str
    clips: tuple[ClipToShow, ...]
    read: tuple[ClipToShow, ...]
    is_complete: bool
    prompt_tokens: int
    output_tokens: int


class Chat:
    """A checkpoint that answers about clips of a lake. Each question is answered by itself."""

    def __init__(self, lake: Lake, checkpoint_id: str, checkpoint: ChatCheckpoint) -> None:
        self.lake, self.checkpoint_id, self.checkpoint = lake, checkpoint_id, checkpoint

    def answer(self, clips: Sequence[ClipToShow], question: str, *, max_new_tokens: int = 128) -> ChatAnswer:
        """Answers a question about the clips of a video, in order of time.

        Of more clips than the model can read, evenly spaced ones are shown. Raises ValueError where the question does
        not fit.
        """
        from internvid.dialogue.answering import Answerer

        stored = ShownFrames(self.lake, clips)
        answerer = Answerer(self.checkpoint, stored, max_new_tokens=max_new_tokens)
        shown = answerer.fitting(stored.shown, question)
        (answer,) = answerer.answer(shown, [question])
        read = tuple(clips[clip.clip] for clip in shown)
        return ChatAnswer(
            answer.text,
            tuple(read[number - 1] for number in answer.clips if 1 <= number <= len(read)),
            read,
            answer.is_complete,
            answer.prompt_tokens,
            answer.output_tokens,
        )


def load_chat_of(lake: Lake, name: str | None, *, device: str, language_model: str | None = None) -> Chat:
    """Loads a chat. name: an id of the table chat_checkpoints, or a checkpoint's folder; None: the newest of the lake.

    language_model: in place of the folder or hub id that the checkpoint names, if it began with one.
    Raises ValueError for an unknown name, and ModelUnavailable where its files are gone or changed.
    """
    from internvid.dialogue.checkpoint import chat_digest, load_chat

    checkpoint_id, folder, digest = checkpoint_named(lake, CHAT_CHECKPOINTS, name, what="chat", recipe="chat-tiny")
    try:
        if digest is not None and chat_digest(folder) != digest:
            raise ValueError(f"{folder} is not the checkpoint that was trained: its files have changed")
        loaded = load_chat(folder, this_machine().device_named(device), language_model=language_model)
    except (OSError, ValueError) as error:
        raise ModelUnavailable(str(error)) from error
    return Chat(lake, checkpoint_id, loaded)
