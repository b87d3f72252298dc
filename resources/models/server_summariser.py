"""The summariser provider of chat models on a server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from resources.incremental.provenance import digest
from resources.models.server import ServerProvider
from resources.models.summariser import Summariser

if TYPE_CHECKING:
    from internvid.captions.summary import ClipMeasures, ClipSummary, TimedCaption
    from internvid.chat_server import ChatServer
    from internvid.dialogue.facts import ClipFacts, Dialogue


class ServerSummariser(ServerProvider, Summariser):
    """Summarises by a chat model.

    template: prompt; {captions} is replaced by the captions of the clip's frames in order of time, one per line with
    its second and scale. characters: upper bound on the length of a prompt, because a server does not report its limit
    of tokens. The captions of a longer clip are summarised in parts, and then the summaries. The default, some 6,000
    tokens, leaves room in a context of 8,192.
    dialogue_template: prompt for a dialogue about a stretch of a video; {clips} is replaced by its clips, one per line
    with number, span, caption and what is said, {turns} by dialogue_turns. Empty: templates write dialogues, and the
    model is not asked. dialogue_max_tokens: upper bound on the length of a dialogue, in place of max_tokens.
    """

    template: str = (
        "Below are captions of single frames of one video clip, in order of time. They repeat each other, and some are "
        "wrong. Write one sentence that says what the clip shows, with only what the captions say, and first what "
        "several of them agree on. Answer with that sentence alone.\n\n{captions}"
    )
    characters: int = Field(default=24_000, ge=1)
    clips_per_call: int = 256
    dialogue_template: str = (
        "Below are the clips of one video, or of a part of it, in order of time: of each its number, its span, what it "
        "shows, and what is said in it, if anything. Write {turns} questions that a person could ask of this video, "
        "each with a full answer: what it shows, details, what comes first, what happens after something, how long "
        "something takes, how the camera moves, what is said, and one whose answer is no. Say only what the clips say. "
        "Each question must be understood without those before it. Answer with JSON alone, where clips are the numbers "
        'of the clips that show the answer: {"turns": [{"question": "…", "answer": "…", "clips": [1]}]}\n\n{clips}'
    )
    dialogue_turns: int = Field(default=6, ge=1)
    dialogue_max_tokens: int = Field(default=1024, ge=1)

    @field_validator("template")
    @classmethod
    def _holds_the_captions(cls, template: str) -> str:
        if "{captions}" not in template:
            raise ValueError("the template must say by {captions} where the captions go, or the model never sees them")
        return template

    @field_validator("dialogue_template")
    @classmethod
    def _holds_the_clips(cls, template: str) -> str:
        if template and "{clips}" not in template:
            raise ValueError("the template must say by {clips} where the clips go, or the model never sees them")
        return template

    @property
    def _prompts(self) -> list[str]:
        return [self.template]

    def summarise(self, clips: Sequence[tuple[ClipMeasures, Sequence[TimedCaption]]]) -> list[ClipSummary | Exception]:
        from internvid.served_model import ServedModel
        from internvid.text.written_summary import WritingSummariser

        model = ServedModel(self._server, self.characters, self.max_tokens)
        return WritingSummariser(model, self.template).summarise([captions for _, captions in clips])

    @property
    def version(self) -> str:
        from internvid.text.written_summary import VERSION

        return f"{super().version}+characters={self.characters}+captions-{VERSION}"

    # --- dialogues ------------------------------------------------------------------------------------------------

    @property
    def writes_dialogues(self) -> bool:
        return bool(self.dialogue_template)

    @property
    def dialogue_model(self) -> str:
        return self.model if self.writes_dialogues else super().dialogue_model

    @property
    def dialogue_version(self) -> str:
        from internvid.dialogue.written import VERSION

        if not self.writes_dialogues:
            return super().dialogue_version
        parameters = [f"{name}={json.dumps(value)}" for name, value in sorted(self._dialogue_parameters.items())]
        prompt = f"prompt {digest(self.dialogue_template)[:8]}"
        settings = (prompt, f"turns={self.dialogue_turns}", f"characters={self.characters}", f"dialogues-{VERSION}")
        return "+".join([self.served_model, "server", *parameters, *settings])

    def write_dialogues(self, stretches: Sequence[Sequence[ClipFacts]]) -> Sequence[Dialogue | Exception]:
        from internvid.dialogue.written import DialogueWriter
        from internvid.served_model import ServedModel

        if not self.writes_dialogues:
            return super().write_dialogues(stretches)
        model = ServedModel(self._dialogue_server, self.characters, self.dialogue_max_tokens)
        return DialogueWriter(model, self.dialogue_template, self.dialogue_turns).write(stretches)

    @property
    def _dialogue_parameters(self) -> dict[str, Any]:
        """The parameters of a request, with the limit of a dialogue under whichever name the server takes it."""
        limits = ("max_tokens", "max_completion_tokens")
        return {
            name: self.dialogue_max_tokens if name in limits and value is not None else value
            for name, value in self._all_parameters.items()
        }

    @cached_property
    def _dialogue_server(self) -> ChatServer:
        return self._server_with(self._dialogue_parameters)
