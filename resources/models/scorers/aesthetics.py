"""Providers of the score aesthetics: the highest aesthetic score of 4 frames of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from internvid.scores.weights_file import WeightsFile
from resources.models.hub import HubProvider
from resources.models.provider import Readiness
from resources.models.scorers.scorer import ClipToScore, Scorer

if TYPE_CHECKING:
    from internvid.scores.aesthetics import ClipAesthetics


class MeasuredAesthetics(Scorer):
    """Sharpness, exposure, contrast and colourfulness: no download, no GPU, no taste. 1 to 10, not on LAION's scale."""

    @property
    def model(self) -> str:
        from internvid.scores.measured import MODEL

        return MODEL

    @property
    def version(self) -> str:
        from internvid.scores.measured import VERSION

        return f"{VERSION}+max"

    def score(self, clips: Sequence[ClipToScore]) -> list[float | Exception]:
        from internvid.scores.clips import score_clips
        from internvid.scores.measured import scores

        return score_clips([clip.frames for clip in clips], scores, max)


class ClipHeadAesthetics(HubProvider, Scorer):
    """The paper's score: LAION's linear head on a CLIP's vectors. The head must be the one for that CLIP.

    head: a path, or a URL that begins with https://, fetched once. head_sha256: required hash of the head; empty: any.
    """

    weights: str = "openai/clip-vit-large-patch14"
    head: str = (
        "https://github.com/LAION-AI/aesthetic-predictor/raw/main/sa_0_4_vit_l_14_linear.pth"  # for ViT-L/14, 4 kB
    )
    head_sha256: str = ""
    frames_per_batch: int = 32

    @cached_property
    def head_file(self) -> WeightsFile:
        return WeightsFile(self.head, self.head_sha256)

    @property
    def model(self) -> str:
        return f"{self.hub_model.name}+{self.head_file.name}"

    @property
    def revision(self) -> str | None:
        clip, head = super().revision, self.head_file.digest
        return None if clip is None or head is None else f"{clip}+{head[:12]}"

    @property
    def version(self) -> str:
        return f"{self.weights_version}+{self.head_file.version}+max"

    def _load(self) -> ClipAesthetics:
        from internvid.scores.aesthetics import ClipAesthetics, LinearHead
        from internvid.scores.clip_tower import clip_tower

        tower = clip_tower(self.hub_model, self.hub_model.version, self.torch_device, self.torch_dtype)
        head = LinearHead.read(self.head_file.fetched())
        return ClipAesthetics(tower, head, pictures_per_batch=self.frames_per_batch)

    def score(self, clips: Sequence[ClipToScore]) -> list[float | Exception]:
        from internvid.scores.clips import score_clips

        return score_clips([clip.frames for clip in clips], self._loaded().score, max)

    def readiness(self) -> Readiness:
        clip, head = super().readiness(), self.head_file.file
        if head is not None:
            return Readiness(clip.state, (clip.size_bytes or 0) + head.stat().st_size, clip.advice)
        if self.head_file.is_url:
            advice = f"the first run fetches the head from {self.head}; or give a file as `head`"
        else:
            advice = f"there is no file {self.head}: give LAION's linear head for this CLIP as `head`"
        return Readiness("missing", advice="; ".join(text for text in (clip.advice, advice) if text))
