"""The provider of the scores watermark and safety: probability of a class in the frames of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from internvid.hub import HubModel
from resources.models.hub import HubProvider
from resources.models.scorers.scorer import ClipToScore, Scorer

if TYPE_CHECKING:
    import torch

    from internvid.scores.image_classifier import ImageClassifier


class ImageClassifierScorer(HubProvider, Scorer):
    """Scores by a classifier of pictures.

    labels: labels of the model whose probabilities are added up. over_frames: the maximum over the frames, which misses
    less, or their mean.
    """

    labels: list[str] = Field(min_length=1)
    over_frames: Literal["max", "mean"] = "max"
    frames_per_batch: int = 32

    @property
    def version(self) -> str:
        return f"{self.weights_version}+{'|'.join(sorted(set(self.labels)))}+{self.over_frames}"

    def _load(self) -> ImageClassifier:
        return _classifier(
            self.hub_model,
            self.hub_model.version,
            tuple(self.labels),
            self.torch_device,
            self.torch_dtype,
            self.frames_per_batch,
        )

    def score(self, clips: Sequence[ClipToScore]) -> list[float | Exception]:
        from statistics import fmean

        from internvid.scores.clips import score_clips

        over_frames = max if self.over_frames == "max" else fmean
        return score_clips([clip.frames for clip in clips], self._loaded().score, over_frames)


@lru_cache(maxsize=2)  # one for watermarks, one for safety
def _classifier(
    hub_model: HubModel,
    version: str,
    labels: tuple[str, ...],
    device: torch.device,
    dtype: torch.dtype | Literal["auto"],
    pictures_per_batch: int,
) -> ImageClassifier:
    """Returns the loaded classifier, cached. version: changes when the files of a folder change."""
    from internvid.scores.image_classifier import ImageClassifier

    return ImageClassifier(hub_model, labels, device=device, dtype=dtype, pictures_per_batch=pictures_per_batch)
