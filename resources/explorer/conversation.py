"""Questions about a clip, or about its video, answered by the newest chat of the lake.

The chat is loaded with the first question, and again when a newer one is trained.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from resources.explorer.view import LakeView
from resources.incremental.faults import ModelUnavailable
from resources.models.chat import ChatAnswer, load_chat_of
from resources.training.shown_clips import clips_to_show

if TYPE_CHECKING:
    from resources.models.chat import Chat

MAX_QUESTION_CHARACTERS = 500
MAX_NEW_TOKENS = 128


class NoAnswer(RuntimeError):
    """The question cannot be answered. The message says why."""


class Conversation:
    """The chat that answers. device, language_model: as `load_chat_of` takes them."""

    def __init__(self, *, device: str, language_model: str | None) -> None:
        self._device, self._language_model = device, language_model
        self._lock = threading.Lock()  # the model answers one question at a time
        self._loaded: Chat | None = None

    def newest(self, view: LakeView) -> str | None:
        """Returns the id of the chat that would answer; None where the lake has none."""
        rows = view.query("select checkpoint_id from chat_checkpoints order by written_at desc, checkpoint_id limit 1")
        ids = rows["checkpoint_id"].to_pylist()
        return ids[0] if ids else None

    def answer(self, view: LakeView, about: str, question: str) -> ChatAnswer:
        """Answers a question about a clip or a video. about: clip_id or video_id. Raises NoAnswer."""
        if len(question) > MAX_QUESTION_CHARACTERS:
            raise NoAnswer(f"a question has at most {MAX_QUESTION_CHARACTERS} characters")
        try:
            clips = clips_to_show(view, about)
            with self._lock:
                return self._chat(view).answer(clips, question, max_new_tokens=MAX_NEW_TOKENS)
        except (ValueError, ModelUnavailable) as error:
            raise NoAnswer(str(error)) from error

    def _chat(self, view: LakeView) -> Chat:
        newest = self.newest(view)
        if self._loaded is None or self._loaded.checkpoint_id != newest:
            self._loaded = load_chat_of(view, newest, device=self._device, language_model=self._language_model)
        self._loaded.lake = view  # its frames are those of the page
        return self._loaded
