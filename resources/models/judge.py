"""Providers of judges: language models that weigh a chat's answers to the questions of a benchmark."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from resources.models.provider import Disabled, ModelProvider
from resources.models.server import ServerProvider

if TYPE_CHECKING:
    from internvid.text.generated import Generated


class Judge(ModelProvider):
    """Judges answers by a language model."""

    @abstractmethod
    def reply(self, prompts: Sequence[str]) -> list[Generated | Exception]:
        """Returns the model's reply to each prompt, in their order, or its error."""


class NoJudge(Disabled, Judge):
    """No judge: only metrics that need none are computed."""

    def reply(self, prompts: Sequence[str]) -> list[Generated | Exception]:
        raise NotImplementedError("no judge is configured")


class ServerJudge(ServerProvider, Judge):
    """Judges by a chat model of a server. The prompts are those of `internvid.dialogue.judging`."""

    @property
    def _prompts(self) -> list[str]:
        from internvid.dialogue.judging import ASPECTS, VERSION, Asked, judge_prompt

        return [VERSION, *(judge_prompt(aspect, Asked("q", "e", "a", "o", "b")) for aspect in ASPECTS)]

    def reply(self, prompts: Sequence[str]) -> list[Generated | Exception]:
        from internvid.chat_server import Question

        return self._server.ask([Question(prompt) for prompt in prompts])
