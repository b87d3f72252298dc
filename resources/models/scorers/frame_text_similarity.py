"""The provider of the score frame_text_similarity: CLIP's cosine of a random frame and the clip's caption."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from resources.models.hub import HubProvider
from resources.models.scorers.scorer import ClipToScore, NoScore, Scorer

if TYPE_CHECKING:
    from internvid.scores.clip_similarity import ClipSimilarity


class ClipFrameTextSimilarity(HubProvider, Scorer):
    """CLIP's similarity, by which InternVid selected FLT with this CLIP. Of several frames: the mean of the cosines."""

    weights: str = "openai/clip-vit-large-patch14"
    frames: int = 1
    frame_choice: Literal["middle", "random"] = "random"
    reads_caption: bool = True
    frames_per_batch: int = 32

    @property
    def version(self) -> str:
        return f"{self.weights_version}+cosine-mean"

    def _load(self) -> ClipSimilarity:
        from internvid.scores.clip_similarity import ClipSimilarity
        from internvid.scores.clip_tower import clip_tower

        tower = clip_tower(self.hub_model, self.hub_model.version, self.torch_device, self.torch_dtype)
        return ClipSimilarity(tower, pairs_per_batch=self.frames_per_batch)

    def score(self, clips: Sequence[ClipToScore]) -> list[float | Exception]:
        from statistics import fmean

        from internvid.scores.clips import score_clips

        pairs = [[(frame, clip.caption) for frame in clip.frames] for clip in clips if clip.caption]
        scores = iter(score_clips(pairs, self._loaded().score, fmean))
        return [next(scores) if clip.caption else NoScore("the clip has no caption") for clip in clips]
