"""Providers of judges: language models that weigh a chat's answers to the questions of a benchmark."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from resources.models.provider import Disabled, ModelProvider, Readiness
from resources.models.server import ServerProvider

if TYPE_CHECKING:
    from internvid.text.generated import Generated


class NoAnswer(Exception):
    """Nothing was asked, and its text says why."""


class Judge(ModelProvider):
    """Judges answers by a language model."""

    @abstractmethod
    def reply(self, prompts: Sequence[str]) -> list[Generated | Exception]:
        """Returns the model's reply to each prompt, in their order, or its error."""


class NoJudge(Disabled, Judge):
    """No judge: only metrics that need none are computed."""

    def reply(self, prompts: Sequence[str]) -> list[Generated | Exception]:
        return [NoAnswer("no judge is configured")] * len(prompts)

    def readiness(self) -> Readiness:
        return Readiness("none", 0, "answers of a chat are compared word for word alone; set the provider `judge`")


class ServerJudge(ServerProvider, Judge):
    """Judges by a chat model of a server. The prompts are those of `internvid.dialogue.judging`."""

    @property
    def _prompts(self) -> list[str]:
        from internvid.dialogue.judging import ASPECTS, VERSION, Asked, judge_prompt

        return [VERSION, *(judge_prompt(aspect, Asked("q", "e", "a", "o", "b")) for aspect in ASPECTS)]

    def reply(self, prompts: Sequence[str]) -> list[Generated | Exception]:
        from internvid.chat_server import Question

        return self._server.ask([Question(prompt) for prompt in prompts])
