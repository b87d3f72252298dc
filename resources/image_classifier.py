"""The watermark and safety doors to a classifier of pictures: how probable something is in any frame of a clip."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from internvid.hub import HubModel
from resources.hub_door import HubDoor
from resources.scorer import ClipToScore, Scorer

if TYPE_CHECKING:
    import torch

    from internvid.scores.image_classifier import ImageClassifier


class ImageClassifierScorer(HubDoor, Scorer):
    """labels: of the model's, those whose probabilities are added up. over_frames: the highest of the frames' scores,
    for what must not be missed, or their mean.
    """

    labels: list[str] = Field(min_length=1)
    over_frames: Literal["max", "mean"] = "max"
    frames_per_batch: int = 32

    @property
    def version(self) -> str:
        return f"{self.weights_version}+{'|'.join(sorted(set(self.labels)))}+{self.over_frames}"

    def score(self, clips: Sequence[ClipToScore]) -> list[float | Exception]:
        from statistics import fmean

        from internvid.scores.clips import by_clip

        try:
            classifier = _classifier(
                self.hub_model,
                self.hub_model.version,
                tuple(self.labels),
                self.torch_device,
                self.torch_dtype,
                self.frames_per_batch,
            )
        except Exception as error:  # noqa: BLE001 - without the model no clip has a score, and this is why
            return [error] * len(clips)
        over_frames = max if self.over_frames == "max" else fmean
        return by_clip([clip.frames for clip in clips], classifier.score, over_frames)


@lru_cache(maxsize=2)  # one for watermarks, one for safety
def _classifier(
    hub_model: HubModel,
    version: str,
    labels: tuple[str, ...],
    device: torch.device,
    dtype: torch.dtype | Literal["auto"],
    pictures_per_batch: int,
) -> ImageClassifier:
    """Kept: asked again for the same it does not load again. version: of a folder says when its files have changed."""
    from internvid.scores.image_classifier import ImageClassifier

    return ImageClassifier(hub_model, labels, device=device, dtype=dtype, pictures_per_batch=pictures_per_batch)
