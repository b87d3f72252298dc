"""The frame-text similarity door: how well one random frame of a clip fits its caption, by CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from resources.hub_door import HubDoor
from resources.scorer import ClipToScore, NoScore, Scorer


class ClipFrameTextSimilarity(HubDoor, Scorer):
    """InternVid's makers chose FLT so, with this CLIP. Several frames: the mean of their cosines."""

    weights: str = "openai/clip-vit-large-patch14"
    frames: int = 1
    frame_choice: Literal["middle", "random"] = "random"
    reads_caption: bool = True
    frames_per_batch: int = 32

    @property
    def version(self) -> str:
        return f"{self.weights_version}+cosine-mean"

    def score(self, clips: Sequence[ClipToScore]) -> list[float | Exception]:
        from statistics import fmean

        from internvid.scores.clip_similarity import ClipSimilarity
        from internvid.scores.clip_tower import clip_tower
        from internvid.scores.clips import by_clip

        try:
            tower = clip_tower(self.hub_model, self.hub_model.version, self.torch_device, self.torch_dtype)
        except Exception as error:  # noqa: BLE001 - without the model no clip has a score, and this is why
            return [error] * len(clips)
        similarity = ClipSimilarity(tower, pairs_per_batch=self.frames_per_batch)
        pairs = [[(frame, clip.caption) for frame in clip.frames] for clip in clips if clip.caption]
        found = iter(by_clip(pairs, similarity.score, fmean))
        return [next(found) if clip.caption else NoScore("the clip has no caption") for clip in clips]
