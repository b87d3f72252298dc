"""The captioner provider of models on a server that take pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from resources.models.captioner import Captioner
from resources.models.server import ServerProvider

if TYPE_CHECKING:
    from internvid.captions.measured import FrameCaption
    from internvid.text.generated import Generated


class ServerCaptioner(ServerProvider, Captioner):
    """Captions single frames with `prompt`, or the frames of a clip together with `prompt_together`.

    frames_together: upper bound on the frames of a clip in one request, spread over the clip; the server must allow so
    many pictures in one message (vLLM: --limit-mm-per-prompt).
    """

    max_tokens: int = 64
    prompt: str = "Describe in one sentence what this picture shows."
    prompt_together: str = (
        "These are frames of one video clip, in order of time. Describe in one or two sentences what happens in it."
    )
    frames_together: int = Field(default=32, ge=1)
    frames_per_call: int = 256  # at some 50 kB each; enough for many questions at a time to pay

    @property
    def version(self) -> str:
        return f"{super().version}+frames_together={self.frames_together}"

    @property
    def _prompts(self) -> list[str]:
        return [self.prompt, self.prompt_together]

    def caption(self, jpegs: Sequence[bytes]) -> list[FrameCaption | Exception]:
        from internvid.chat_server import Question

        answers = self._server.ask([Question(self.prompt, [jpeg]) for jpeg in jpegs])
        return [answer if isinstance(answer, Exception) else _caption(answer) for answer in answers]

    def caption_together(self, jpegs: Sequence[bytes]) -> FrameCaption:
        from internvid.chat_server import Question
        from internvid.viclip.frame_choice import middle_frames

        if len(jpegs) > self.frames_together:
            jpegs = [jpegs[at] for at in middle_frames(len(jpegs), self.frames_together)]
        (answer,) = self._server.ask([Question(self.prompt_together, jpegs)])
        if isinstance(answer, Exception):
            raise answer
        return _caption(answer)


def _caption(answer: Generated) -> FrameCaption:
    from internvid.captions.measured import FrameCaption

    return FrameCaption(answer.text, None, answer.status, answer.prompt_tokens, answer.output_tokens)
