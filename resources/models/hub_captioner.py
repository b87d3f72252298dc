"""The captioner provider of `transformers` models: any model that reads pictures and writes text."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Optional

from pydantic import Field

from resources.models.captioner import Captioner
from resources.models.hub import HubProvider

if TYPE_CHECKING:
    from internvid.captions.measured import FrameCaption
    from internvid.captions.vision_language import VisionLanguageCaptioner

VERSION = "vision-language-1"  # increment it with any change of the model's input, or of the use of its output


class HubCaptioner(HubProvider, Captioner):
    """Captions frames by a model of `transformers`.

    prompt, chat, generation: as in `internvid.captions.vision_language.Request`. frames_per_batch: batch size of the
    model. frames_together: upper bound on the frames of a clip in one caption, spread over the clip.
    """

    prompt: Optional[str] = None  # noqa: UP045 - Dagster's config knows no other union
    chat: dict[str, Any] = {}
    generation: dict[str, Any] = {}
    frames_per_batch: int = Field(16, ge=1)
    frames_together: int = Field(32, ge=1)

    @property
    def version(self) -> str:
        settings = [
            f"{name}={value}" for group in (self.generation, self.chat) for name, value in sorted(group.items())
        ]
        if self.prompt is not None:
            settings.append(f"prompt={self.prompt!r}")
        if self.frames_together != type(self).model_fields["frames_together"].default:
            settings.append(f"frames_together={self.frames_together}")
        return "+".join([self.weights_version, VERSION, *settings])

    def _load(self) -> VisionLanguageCaptioner:
        return self._captioner

    def caption(self, jpegs: Sequence[bytes]) -> list[FrameCaption | Exception]:
        return self._loaded().caption(jpegs)

    def caption_together(self, jpegs: Sequence[bytes]) -> FrameCaption:
        from internvid.viclip.frame_choice import middle_frames

        if len(jpegs) > self.frames_together:
            jpegs = [jpegs[at] for at in middle_frames(len(jpegs), self.frames_together)]
        return self._loaded().caption_together(jpegs)

    @cached_property
    def _captioner(self) -> VisionLanguageCaptioner:
        from internvid.captions.vision_language import Request, VisionLanguageCaptioner, load

        weights = load(self.hub_model, self.torch_device, self.torch_dtype)
        request = Request(prompt=self.prompt, chat=self.chat, generation=self.generation)
        return VisionLanguageCaptioner(weights, request, frames_per_batch=self.frames_per_batch)
