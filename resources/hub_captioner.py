"""The door to captioners of `transformers`: any model that looks at pictures and writes, by its id or folder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Optional

from pydantic import Field

from resources.captioner import Captioner
from resources.hub_door import HubDoor

if TYPE_CHECKING:
    from internvid.captions.measured import FrameCaption
    from internvid.captions.vision_language import VisionLanguageCaptioner

VERSION = "vision-language-1"  # count it up with any change to what a model is given, or to what is made of its answer


class HubCaptioner(HubDoor, Captioner):
    """prompt, chat, generation: as of `internvid.captions.vision_language.Request`. frames_per_batch: that the model
    looks at together. frames_together: of a clip, how many at most it is shown at once, spread over the clip.
    """

    prompt: Optional[str] = None  # noqa: UP045 - Dagster's config knows no other union
    chat: dict[str, Any] = {}
    generation: dict[str, Any] = {}
    frames_per_batch: int = Field(16, ge=1)
    frames_together: int = Field(32, ge=1)

    @property
    def version(self) -> str:
        said = [
            f"{name}={value}" for settings in (self.generation, self.chat) for name, value in sorted(settings.items())
        ]
        if self.prompt is not None:
            said.append(f"prompt={self.prompt!r}")
        if self.frames_together != type(self).model_fields["frames_together"].default:
            said.append(f"frames_together={self.frames_together}")
        return "+".join([self.weights_version, VERSION, *said])

    def caption(self, jpegs: Sequence[bytes]) -> list[FrameCaption | Exception]:
        return self._captioner.caption(jpegs)

    def caption_together(self, jpegs: Sequence[bytes]) -> FrameCaption:
        from internvid.viclip.frame_choice import middle_frames

        if len(jpegs) > self.frames_together:
            jpegs = [jpegs[at] for at in middle_frames(len(jpegs), self.frames_together)]
        return self._captioner.caption_together(jpegs)

    @cached_property
    def _captioner(self) -> VisionLanguageCaptioner:
        from internvid.captions.vision_language import Request, VisionLanguageCaptioner, load

        weights = load(self.hub_model, self.torch_device, self.torch_dtype)
        request = Request(prompt=self.prompt, chat=self.chat, generation=self.generation)
        return VisionLanguageCaptioner(weights, request, frames_per_batch=self.frames_per_batch)
