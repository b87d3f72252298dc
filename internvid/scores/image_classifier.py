"""Scores how probable something is in a picture (for example a watermark), with an image classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch

from internvid.batches import Batches
from internvid.hub import HubModel
from internvid.scores.hub_pixels import HubPixels

MULTI_LABEL = "multi_label_classification"  # the labels do not exclude each other


class ImageClassifier:
    """Scores pictures by the probability of some of a classifier's labels.

    labels: labels of the model whose probabilities are added up; where labels do not exclude each other, the most
    probable one counts. dtype: as `from_pretrained` takes it. pictures_per_batch: pictures in a forward pass.
    Raises ValueError for labels that the model does not have, OSError for a model that does not exist.
    """

    def __init__(
        self,
        hub_model: HubModel,
        labels: Sequence[str],
        *,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | Literal["auto"] = torch.float32,
        pictures_per_batch: int = 32,
    ) -> None:
        from transformers import AutoConfig, AutoModelForImageClassification

        known = {label: at for at, label in AutoConfig.from_pretrained(**hub_model.source).id2label.items()}
        unknown = [label for label in labels if label not in known]
        if unknown or not labels:
            named = ", ".join(unknown) or "but none was named"
            raise ValueError(f"{hub_model.name} has no label {named}; it has {', '.join(known)}")
        self.chosen = sorted({known[label] for label in labels})
        model = AutoModelForImageClassification.from_pretrained(dtype=dtype, **hub_model.source)
        self.model = model.to(device).eval()
        self.pixels = HubPixels(hub_model)
        self.batches = Batches(pictures_per_batch)

    def score(self, pictures: Sequence[np.ndarray]) -> list[float | Exception]:
        """Scores each picture, [height, width, 3] uint8 RGB, 0 to 1; the result is the error for one that fails."""
        return self.batches.map_prepared(self.pixels.prepared, self._probabilities, pictures)

    @torch.inference_mode()
    def _probabilities(self, prepared: torch.Tensor) -> list[float]:
        pixels = self.pixels.on_device(prepared, self.model.device, self.model.dtype)
        logits = self.model(pixel_values=pixels).logits.float()
        # A softmax over a single output would always be 1.
        if logits.shape[1] == 1 or self.model.config.problem_type == MULTI_LABEL:
            return logits.sigmoid()[:, self.chosen].amax(dim=1).tolist()
        return logits.softmax(dim=1)[:, self.chosen].sum(dim=1).tolist()
